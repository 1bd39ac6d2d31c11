//! Where the master sleeps: one epoll set for its signals, its children and stray output, and for
//! the listeners while the pool is full.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Who rang. The order is the one in which they are attended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ring {
    Signal,
    Clerk,
    Worker(i32),
    Stray,
    Client,
}

impl Ring {
    /// Pids fill the lower half of a number.
    const OTHERS: u64 = 1 << 32;

    fn number(self) -> u64 {
        match self {
            Self::Worker(pid) => u64::from(pid.unsigned_abs()),
            Self::Signal => Self::OTHERS,
            Self::Clerk => Self::OTHERS + 1,
            Self::Stray => Self::OTHERS + 2,
            Self::Client => Self::OTHERS + 3,
        }
    }

    fn of(number: u64) -> Self {
        match i32::try_from(number) {
            Ok(pid) => Self::Worker(pid),
            Err(_) => match number - Self::OTHERS {
                0 => Self::Signal,
                1 => Self::Clerk,
                2 => Self::Stray,
                _ => Self::Client,
            },
        }
    }
}

#[derive(Debug)]
pub(super) struct Bell(Epoll);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    pub(super) fn add(&self, fd: &impl AsFd, ring: Ring) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, ring.number());
        Ok(self.0.add(fd, event)?)
    }

    pub(super) fn remove(&self, fd: &impl AsFd) {
        let _ = self.0.delete(fd);
    }

    /// Sleeps until somebody rings, at the latest until `wake`.
    pub(super) fn wait(&self, wake: Option<Instant>, now: Instant) -> io::Result<Vec<Ring>> {
        let mut events = [EpollEvent::empty(); 128];
        let count = match self.0.wait(&mut events, timeout(wake, now)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        let rang = events.iter().take(count);
        let mut rang: Vec<Ring> = rang.map(|event| Ring::of(event.data())).collect();
        rang.sort_unstable();
        rang.dedup();
        Ok(rang)
    }
}

/// Rounded up to a millisecond, so that a deadline has passed when it wakes us.
fn timeout(wake: Option<Instant>, now: Instant) -> EpollTimeout {
    let Some(wake) = wake else {
        return EpollTimeout::NONE;
    };
    let left: Duration = wake.saturating_duration_since(now);
    let millis = left.as_micros().div_ceil(1000);
    EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_number_and_is_known_by_it() {
        let all = [
            Ring::Signal,
            Ring::Clerk,
            Ring::Worker(1),
            Ring::Worker(i32::MAX),
            Ring::Stray,
            Ring::Client,
        ];
        for ring in all {
            assert_eq!(Ring::of(ring.number()), ring);
        }
    }
}
