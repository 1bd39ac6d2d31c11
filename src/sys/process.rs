//! Children: the forks of the house, their deaths, their ends. A child never returns, so that
//! nothing that the master owns is ever dropped in it.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{self, SigHandler, SigSet, SigmaskHow, Signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout};

use super::{heap, signals};

/// The standard streams of a child.
#[derive(Clone, Copy, Debug)]
pub struct Streams<'a> {
    /// Standard input.
    pub input: BorrowedFd<'a>,
    /// Standard output.
    pub output: BorrowedFd<'a>,
    /// Standard error.
    pub errors: BorrowedFd<'a>,
}

/// Forks, and runs `child` in the new process with `streams`, no descriptors but those and `keep`,
/// and no signal handlers. `child` ends with [`leave`], never by returning.
///
/// A child ignores what a terminal or an operator sends to all processes of the name (INT, HUP,
/// USR1, USR2): the master hears them and decides for all.
///
/// # Errors
/// What fork(2) says, `EAGAIN` above all.
pub fn spawn(
    streams: Streams<'_>,
    keep: &[RawFd],
    child: impl FnOnce() -> Infallible,
) -> io::Result<Pid> {
    let mut before = SigSet::empty();
    signal::sigprocmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::all()),
        Some(&mut before),
    )?;
    let forked = fork(libc::SIGCHLD);
    if let Ok(None) = forked {
        heap::part();
        if become_child(streams, keep).is_err() {
            leave(1);
        }
        child();
    }
    signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    forked?.map_or_else(|| leave(1), Ok)
}

/// Forks a sibling: a child of our parent's, who hears of its death, and runs `child` in it. It has all
/// that this process has, but for `gone`, which is closed in it; `child` never returns.
///
/// # Errors
/// What clone(2) says, `EAGAIN` above all.
pub fn spawn_sibling(gone: BorrowedFd<'_>, child: impl FnOnce() -> Infallible) -> io::Result<Pid> {
    let forked = fork(SIBLING)?;
    if forked.is_none() {
        heap::part();
        // It belongs to a value that is never dropped here.
        let _ = nix::unistd::close(gone.as_raw_fd());
        child();
    }
    forked.map_or_else(|| leave(1), Ok)
}

/// The flags of clone(2) for a sibling.
pub(super) const SIBLING: libc::c_int = libc::CLONE_PARENT | libc::SIGCHLD;

/// The new process; `None` in itself. It is the call of the kernel, not the function of the C library,
/// which puts its own house in order for processes with several threads: five more pages of each child.
/// The flags are its first argument on all machines for which there are filters.
fn fork(flags: libc::c_int) -> nix::Result<Option<Pid>> {
    // SAFETY: without flags of memory or of threads this is a fork, and the child goes on with a copy of
    // this stack. The process has one thread (no room starts another before or after a fork), so the child
    // finds no lock held and no structure half changed. What the C library remembers of the thread is its
    // number, which it asks the kernel for where it matters: when the thread sends itself a signal.
    // CLONE_PARENT takes no right: whose child the new process is says only who may wait for it, and our
    // parent waits for whoever is its own.
    #[expect(unsafe_code, reason = "the one fork of the house")]
    let forked = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    let pid = || Pid::from_raw(i32::try_from(forked).unwrap_or_default());
    Ok((forked != 0).then(pid))
}

/// Closes what whoever started this program left open in it. To be called before anything is opened.
pub fn close_inherited() {
    close_others(&[]);
}

/// Makes `end` the standard output and error of this process.
///
/// # Errors
/// What the kernel says.
pub fn print_to(end: BorrowedFd<'_>) -> io::Result<()> {
    dup2_stdout(end)?;
    dup2_stderr(end)?;
    Ok(())
}

fn become_child(streams: Streams<'_>, keep: &[RawFd]) -> io::Result<()> {
    reset_dispositions()?;
    dup2_stdin(streams.input)?;
    dup2_stdout(streams.output)?;
    dup2_stderr(streams.errors)?;
    let mut kept = keep.to_vec();
    kept.sort_unstable();
    close_others(&kept);
    signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

fn reset_dispositions() -> io::Result<()> {
    for &(number, is_ignored) in signals::IN_CHILDREN {
        let handler = if is_ignored {
            SigHandler::SigIgn
        } else {
            SigHandler::SigDfl
        };
        // SAFETY: neither of the two is a handler function, so nothing of ours runs in signal
        // context; the handlers that they replace are the master's.
        #[expect(unsafe_code, reason = "belongs to the fork")]
        unsafe {
            signal::signal(Signal::try_from(number)?, handler)?;
        }
    }
    Ok(())
}

/// Takes every signal as a program expects it that knows nothing of us.
pub(super) fn hear_all_signals() -> io::Result<()> {
    for number in signals::IN_CHILDREN
        .iter()
        .map(|(number, _)| *number)
        .chain([libc::SIGPIPE])
    {
        // SAFETY: no handler is installed; this process is about to become another program.
        #[expect(unsafe_code, reason = "belongs to the fork")]
        unsafe {
            signal::signal(Signal::try_from(number)?, SigHandler::SigDfl)?;
        }
    }
    Ok(())
}

/// Has who waits for a child hear of its end, also where whoever started us did not want to. To be called
/// before anybody waits.
///
/// # Errors
/// What the kernel says.
pub fn hear_of_deaths() -> io::Result<()> {
    // SAFETY: no handler is installed, and none is replaced.
    #[expect(unsafe_code, reason = "belongs to the fork")]
    unsafe {
        signal::signal(Signal::SIGCHLD, SigHandler::SigDfl)?;
    }
    Ok(())
}

/// Closes everything above the standard streams that is not in `kept`, which is sorted.
pub(super) fn close_others(kept: &[RawFd]) {
    let mut from = 3;
    for &fd in kept.iter().filter(|&&fd| fd >= 3) {
        if fd > from {
            close_range(from, fd.saturating_sub(1));
        }
        from = fd.saturating_add(1);
    }
    close_range(from, RawFd::MAX);
}

fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: in a child the descriptors belong to values of the master, which in this process are
    // never used and never dropped, because a child does not return from `spawn`. At the start of
    // the program they belong to nobody.
    #[expect(unsafe_code, reason = "belongs to the fork")]
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed == 0 {
        return;
    }
    // Kernels before 5.9.
    let open = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let open: Vec<RawFd> = open
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|fd| (first..=last).contains(fd)) {
        let _ = nix::unistd::close(fd);
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It left with this code.
    Exit(i32),
    /// A signal killed it.
    Killed(Signal),
}

impl fmt::Display for Ending {
    /// As in a log line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "status={code}"),
            Self::Killed(signal) => write!(f, "signal={}", signal.as_str()),
        }
    }
}

/// A child that has ended and is buried now, if there is one.
///
/// # Errors
/// What waitid(2) says, except that having no child is no error.
pub fn reap() -> io::Result<Option<(Pid, Ending)>> {
    match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
        Ok(WaitStatus::Exited(pid, code)) => Ok(Some((pid, Ending::Exit(code)))),
        Ok(WaitStatus::Signaled(pid, signal, _)) => Ok(Some((pid, Ending::Killed(signal)))),
        Ok(_) | Err(Errno::ECHILD) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits for the end of the child `pid` and buries it.
///
/// # Errors
/// What waitpid(2) says.
pub fn wait(pid: Pid) -> io::Result<Ending> {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(Ending::Exit(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Ending::Killed(signal)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Waits for the end of a process that is not our child; whether it came within `limit`. Nothing
/// tells us of it, so it is looked for.
#[must_use]
pub fn await_end(pid: Pid, limit: Duration) -> bool {
    const LOOK_EVERY: Duration = Duration::from_millis(50);
    let begun = Instant::now();
    while is_there(pid) {
        if begun.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    true
}

/// One that is dead and not buried is not there.
fn is_there(pid: Pid) -> bool {
    if signal::kill(pid, None) == Err(Errno::ESRCH) {
        return false;
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split(' ').nth(1));
    !matches!(state, Some("Z" | "X"))
}

/// Kills the child `pid` for good. That it has just ended is no error.
pub fn kill(pid: Pid) {
    let _ = signal::kill(pid, Signal::SIGKILL);
}

/// Ends this process at once with `code`: no destructor and no exit handler of another process's
/// making runs.
pub fn leave(code: u8) -> ! {
    signal_hook::low_level::exit(code.into())
}

/// Asks the kernel to kill this process when its parent ends; to be called when its rights are
/// final, since a change of user forgets it.
///
/// # Errors
/// What prctl(2) says; `NotFound` when the parent is gone already.
pub fn die_with_parent(parent: Pid) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    if nix::unistd::getppid() == parent {
        Ok(())
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}
