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
    Clerk(i32),
    Nursery(i32),
    Worker(i32),
    Stray,
    Client,
    Desk,
    Guest(u32),
}

impl Ring {
    /// Pids fill the lower half of a number.
    const OTHERS: u64 = 1 << 32;
    /// And guests the lower half of another.
    const GUESTS: u64 = 2 << 32;
    /// Pids of nurseries, of which there may be more than one for a while.
    const NURSERIES: u64 = 3 << 32;
    /// Pids of clerks.
    const CLERKS: u64 = 4 << 32;

    fn number(self) -> u64 {
        match self {
            Self::Worker(pid) => u64::from(pid.unsigned_abs()),
            Self::Signal => Self::OTHERS,
            Self::Stray => Self::OTHERS + 1,
            Self::Client => Self::OTHERS + 2,
            Self::Desk => Self::OTHERS + 3,
            Self::Guest(guest) => Self::GUESTS + u64::from(guest),
            Self::Nursery(pid) => Self::NURSERIES + u64::from(pid.unsigned_abs()),
            Self::Clerk(pid) => Self::CLERKS + u64::from(pid.unsigned_abs()),
        }
    }

    fn of(number: u64) -> Self {
        let half = u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default();
        match number >> 32 {
            0 => Self::Worker(i32::try_from(half).unwrap_or_default()),
            1 => match half {
                0 => Self::Signal,
                1 => Self::Stray,
                2 => Self::Client,
                _ => Self::Desk,
            },
            2 => Self::Guest(half),
            3 => Self::Nursery(i32::try_from(half).unwrap_or_default()),
            _ => Self::Clerk(i32::try_from(half).unwrap_or_default()),
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

    /// From now on `fd` rings when it can be written.
    pub(super) fn await_room(&self, fd: &impl AsFd, ring: Ring) {
        let mut event = EpollEvent::new(EpollFlags::EPOLLOUT, ring.number());
        let _ = self.0.modify(fd, &mut event);
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
            Ring::Clerk(7),
            Ring::Worker(1),
            Ring::Worker(i32::MAX),
            Ring::Nursery(7),
            Ring::Stray,
            Ring::Client,
            Ring::Desk,
            Ring::Guest(0),
            Ring::Guest(u32::MAX),
        ];
        for ring in all {
            assert_eq!(Ring::of(ring.number()), ring);
        }
    }
}
