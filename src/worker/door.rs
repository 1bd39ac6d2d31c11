//! Where a worker without a client waits: one epoll set for its listeners, its leash and its
//! signals.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::leash;
use crate::sys::signals::Ear;

/// What a wait was ended by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// The master has said something, or is gone.
    Word,
    Signal,
    /// A client; a sibling may be faster.
    Client,
}

impl Came {
    const ALL: [Self; 3] = [Self::Word, Self::Signal, Self::Client];
}

/// The epoll set.
pub(super) struct Door(Epoll);

impl Door {
    pub(super) fn open(
        listeners: &[TcpListener],
        leash: &leash::Worker,
        ear: &Ear,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let add = |fd: &dyn AsFd, flags, came| epoll.add(fd.as_fd(), EpollEvent::new(flags, came));
        add(leash, EpollFlags::EPOLLIN, Came::Word as u64)?;
        add(ear, EpollFlags::EPOLLIN, Came::Signal as u64)?;
        for listener in listeners {
            // Of all workers that wait for a client, one is woken for it.
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
            add(listener, flags, Came::Client as u64)?;
        }
        Ok(Self(epoll))
    }

    /// Waits as long as it takes; in the order in which they are to be dealt with.
    pub(super) fn wait(&self) -> io::Result<Vec<Came>> {
        let mut events = [EpollEvent::empty(); 8];
        let count = match self.0.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        let came = |came: &Came| {
            let events = events.iter().take(count);
            events.into_iter().any(|event| event.data() == *came as u64)
        };
        Ok(Came::ALL.into_iter().filter(came).collect())
    }
}
