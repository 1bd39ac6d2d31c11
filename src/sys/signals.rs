//! Signals. In the master each becomes a flag and a byte in a pipe, so that its loop hears them
//! where it sleeps; handlers restart system calls, so nothing may block anywhere else. A worker
//! hears its two from a descriptor.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc::SIGXFSZ;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::{flag, low_level};

/// What a fork does to the dispositions: the number, and whether a child ignores it. PIPE stays
/// ignored, as it is from the start of every Rust program.
pub(super) const IN_CHILDREN: &[(i32, bool)] = &[
    (SIGCHLD, false),
    (SIGTERM, false),
    (SIGINT, true),
    (SIGHUP, true),
    (SIGUSR1, true),
    (SIGUSR2, true),
    // Who writes beyond a limit of the size of files is told.
    (SIGXFSZ, true),
];

/// The master's ear.
pub struct Signals {
    bell: UnixStream,
    child: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    reopen: Arc<AtomicBool>,
    upgrade: Arc<AtomicBool>,
}

/// The signals that came since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// CHLD: a child has ended.
    pub child: bool,
    /// TERM or INT.
    pub stop: bool,
    /// HUP.
    pub reload: bool,
    /// USR1.
    pub reopen: bool,
    /// USR2.
    pub upgrade: bool,
}

impl Signals {
    /// Installs the handlers, and hears what was held back for them.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn register() -> io::Result<Self> {
        let (bell, rope) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let on = |numbers: &[i32]| {
            let heard = Arc::new(AtomicBool::new(false));
            for &number in numbers {
                // The flag before the byte: who hears the bell finds the flag set.
                flag::register(number, Arc::clone(&heard))?;
                low_level::pipe::register(number, rope.try_clone()?)?;
            }
            io::Result::Ok(heard)
        };
        let own = Self {
            child: on(&[SIGCHLD])?,
            stop: on(&[SIGTERM, SIGINT])?,
            reload: on(&[SIGHUP])?,
            reopen: on(&[SIGUSR1])?,
            upgrade: on(&[SIGUSR2])?,
            bell,
        };
        own.release()?;
        Ok(own)
    }

    /// Holds all signals back from now on; whether none had come before. What comes is kept by the
    /// kernel, also for another program that this process becomes.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn hold(&self) -> io::Result<bool> {
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
        let Self {
            bell: _,
            child,
            stop,
            reload,
            reopen,
            upgrade,
        } = self;
        let mut flags = [child, stop, reload, reopen, upgrade].into_iter();
        Ok(!flags.any(|flag| flag.load(Ordering::Relaxed)))
    }

    /// Hears all signals again.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn release(&self) -> io::Result<()> {
        Ok(sigprocmask(
            SigmaskHow::SIG_SETMASK,
            Some(&SigSet::empty()),
            None,
        )?)
    }

    /// Takes what has come.
    pub fn take(&mut self) -> Heard {
        let mut bytes = [0; 64];
        while self.bell.read(&mut bytes).is_ok_and(|count| count > 0) {}
        let taken = |flag: &AtomicBool| flag.swap(false, Ordering::Relaxed);
        Heard {
            child: taken(&self.child),
            stop: taken(&self.stop),
            reload: taken(&self.reload),
            reopen: taken(&self.reopen),
            upgrade: taken(&self.upgrade),
        }
    }
}

impl AsFd for Signals {
    /// Can be read when a signal has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// A clerk's ear: CHLD, for the programs that it runs.
pub struct Deaths(SignalFd);

impl Deaths {
    /// From now on the death of a child is heard here only.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open() -> io::Result<Self> {
        let set: SigSet = [Signal::SIGCHLD].into_iter().collect();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(SignalFd::with_flags(&set, flags)?))
    }

    /// Takes all that has come: some child has died, or several.
    pub fn take(&self) {
        while matches!(self.0.read_signal(), Ok(Some(_))) {}
    }
}

impl AsFd for Deaths {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A worker's ear: TERM (sent to it alone, or to all processes by a service manager) and ALRM (the
/// alarm that it set itself).
pub struct Ear(SignalFd);

impl Ear {
    /// From now on the two are heard here only.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open() -> io::Result<Self> {
        let set: SigSet = [Signal::SIGTERM, Signal::SIGALRM].into_iter().collect();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(SignalFd::with_flags(&set, flags)?))
    }

    /// Takes one; whether it was the alarm. `None`: none has come.
    pub fn take(&self) -> Option<bool> {
        let info = self.0.read_signal().ok()??;
        Some(i32::try_from(info.ssi_signo) == Ok(Signal::SIGALRM as i32))
    }

    /// Another descriptor of the same ear.
    ///
    /// # Errors
    /// The descriptor could not be duplicated.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    #[test]
    fn a_signal_rings_the_bell_and_is_taken_once() {
        let mut signals = Signals::register().unwrap();
        low_level::raise(SIGUSR1).unwrap();
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::from(5000u16)), Ok(1));
        assert!(signals.take().reopen);
        assert!(!signals.take().reopen);
    }
}
