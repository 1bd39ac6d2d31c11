//! Waiting, in one place. A worker is one thread with one session; while it waits for a socket (the
//! client's, a tracker's, a storage node's) it must still notice an `ABOR` on the control
//! connection and a word from the master. Every blocking call of a worker is therefore a
//! non-blocking call plus [`wait`], and whoever must be noticed meanwhile is a bystander.
//!
//! Knows nothing of FTP, trackers or processes.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// What a bystander wants after it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on waiting, keep an eye on me.
    Stay,
    /// Go on waiting, do not look at me again until I am watched anew.
    Rest,
    /// End every wait with [`Interrupted`], this one and those that follow, while I am watched.
    Leave,
}

/// The direction in which [`wait`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// Until something can be read (or accepted, or the other end is gone).
    Reading,
    /// Until something can be written (or a connect has ended).
    Writing,
}

/// The reason why a wait ended early: a bystander said [`Verdict::Leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Whether `error` is, or wraps, the end of a wait by a bystander. It is not
/// `ErrorKind::Interrupted`, which std's own loops would silently try again.
#[must_use]
pub fn was_interrupted(error: &io::Error) -> bool {
    was_caused_by::<Interrupted>(error)
}

/// Whether `error` wraps a `Cause`.
#[must_use]
pub fn was_caused_by<Cause: std::error::Error + 'static>(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Cause>)
}

struct Bystander {
    fd: Rc<OwnedFd>,
    notice: RefCell<Box<dyn FnMut() -> Verdict>>,
    mood: Cell<Verdict>,
}

/// Somebody who wants to be called at an instant.
struct Sleeper {
    at: Cell<Option<Instant>>,
    notice: RefCell<Box<dyn FnMut()>>,
}

/// Never dropped: what is to be dropped at the end of a thread the C library writes down when it is used
/// first, in five pages that a worker would else share with all others.
type Lasting<T> = RefCell<ManuallyDrop<Vec<Rc<T>>>>;

const fn lasting<T>() -> Lasting<T> {
    RefCell::new(ManuallyDrop::new(Vec::new()))
}

thread_local! {
    static SLEEPERS: Lasting<Sleeper> = const { lasting() };
    static BYSTANDERS: Lasting<Bystander> = const { lasting() };
    static DEAF: Cell<u32> = const { Cell::new(0) };
    static ROUNDS: Cell<u64> = const { Cell::new(0) };
}

/// Keeps a bystander watched; dropping it ends that.
pub struct Watch(Rc<Bystander>);

impl Watch {
    /// From now on it is as if the bystander had answered `verdict` when it was last called.
    pub fn set(&self, verdict: Verdict) {
        self.0.mood.set(verdict);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        BYSTANDERS.with_borrow_mut(|all| all.retain(|one| !Rc::ptr_eq(one, &self.0)));
    }
}

/// Watches `fd` during every [`wait`] of this thread: `notice` is called when it can be read.
/// While `notice` runs it is not watched, so it may itself wait.
///
/// # Errors
/// The descriptor could not be duplicated.
pub fn watch(fd: BorrowedFd<'_>, notice: impl FnMut() -> Verdict + 'static) -> io::Result<Watch> {
    Ok(watch_shared(Rc::new(fd.try_clone_to_owned()?), notice))
}

/// The same of a descriptor that is watched again and again: it is not duplicated.
pub fn watch_shared(fd: Rc<OwnedFd>, notice: impl FnMut() -> Verdict + 'static) -> Watch {
    let one = Rc::new(Bystander {
        fd,
        notice: RefCell::new(Box::new(notice)),
        mood: Cell::new(Verdict::Stay),
    });
    BYSTANDERS.with_borrow_mut(|all| all.push(Rc::clone(&one)));
    Watch(one)
}

/// How often bystanders were looked at: who finds another number than before knows that they were.
#[must_use]
pub fn rounds() -> u64 {
    ROUNDS.get()
}

/// Keeps somebody in mind; dropping it ends that.
pub struct Reminder(Rc<Sleeper>);

impl Reminder {
    /// To be called once after `time`, unless that was asked for already.
    pub fn set(&self, time: Duration) {
        if self.0.at.get().is_none() {
            self.0.at.set(Instant::now().checked_add(time));
        }
    }
}

impl Drop for Reminder {
    fn drop(&mut self) {
        SLEEPERS.with_borrow_mut(|all| all.retain(|one| !Rc::ptr_eq(one, &self.0)));
    }
}

/// `notice` is called in the first [`wait`] of this thread in which the time that was set has come. It must
/// not wait itself.
#[must_use]
pub fn remind(notice: impl FnMut() + 'static) -> Reminder {
    let one = Rc::new(Sleeper {
        at: Cell::new(None),
        notice: RefCell::new(Box::new(notice)),
    });
    SLEEPERS.with_borrow_mut(|all| all.push(Rc::clone(&one)));
    Reminder(one)
}

/// When the next one is to be called.
fn next_call() -> Option<Instant> {
    SLEEPERS.with_borrow(|all| all.iter().filter_map(|one| one.at.get()).min())
}

/// Calls those whose time has come.
fn remind_due() {
    let now = Instant::now();
    let is_due = |one: &&Rc<Sleeper>| one.at.get().is_some_and(|at| at <= now);
    let due: Vec<_> = SLEEPERS.with_borrow(|all| all.iter().filter(is_due).cloned().collect());
    for one in due {
        one.at.set(None);
        if let Ok(mut notice) = one.notice.try_borrow_mut() {
            notice();
        }
    }
}

/// While it lives, no bystander of this thread is called and no wait is ended by one.
pub struct Undisturbed(());

impl Drop for Undisturbed {
    fn drop(&mut self) {
        DEAF.set(DEAF.get().saturating_sub(1));
    }
}

/// Begins a stretch that must be finished once it is begun, such as the committing of an upload:
/// until the guard is dropped bystanders have to wait. Keep it short, and every wait in it limited.
#[must_use]
pub fn undisturbed() -> Undisturbed {
    DEAF.set(DEAF.get().saturating_add(1));
    Undisturbed(())
}

/// Waits for nothing but bystanders.
///
/// # Errors
/// As [`wait`], without `TimedOut`.
pub fn pause(time: Duration) -> io::Result<()> {
    let deadline = Instant::now().checked_add(time);
    match wait_until(&[], deadline) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
        ended => ended.map(|_| ()),
    }
}

/// Waits until `fd` is ready, at most `limit` (`None`: for ever).
///
/// # Errors
/// `TimedOut` after `limit`; an error for which [`was_interrupted`] holds when a bystander says so;
/// otherwise what poll(2) says.
pub fn wait(fd: BorrowedFd<'_>, direction: For, limit: Option<Duration>) -> io::Result<()> {
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    wait_until(&[(fd, direction)], deadline).map(|_| ())
}

/// Waits until one of `fds` is ready and returns its index, at the latest at `deadline`.
///
/// # Errors
/// As [`wait`].
pub fn wait_until(fds: &[(BorrowedFd<'_>, For)], deadline: Option<Instant>) -> io::Result<usize> {
    loop {
        if let Some(index) = look(fds, deadline)? {
            return Ok(index);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// Waits for what a bystander brings: until it has made `is_there` true, at the latest at
/// `deadline`. (To wait for the bystander's descriptor would not do: what comes between the two
/// looks at it is taken by the bystander alone.)
///
/// # Errors
/// As [`wait`].
pub fn wait_for(is_there: impl Fn() -> bool, deadline: Option<Instant>) -> io::Result<()> {
    while !is_there() {
        look(&[], deadline)?;
        if !is_there() && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

/// Polls once, until `deadline` if nothing happens, and calls the bystanders that are due.
fn look(fds: &[(BorrowedFd<'_>, For)], deadline: Option<Instant>) -> io::Result<Option<usize>> {
    let watched = watched()?;
    let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(fds.len() + watched.len());
    polled.extend(
        fds.iter()
            .map(|(fd, direction)| PollFd::new(*fd, flags(*direction))),
    );
    polled.extend(
        watched
            .iter()
            .map(|one| PollFd::new(one.fd.as_fd(), PollFlags::POLLIN)),
    );
    let next_call = next_call();
    let first = [deadline, next_call].into_iter().flatten().min();
    match ppoll(&mut polled, time_left(first), None) {
        Err(Errno::EINTR) => return Ok(None),
        Err(errno) => return Err(errno.into()),
        Ok(_) => {}
    }
    if next_call.is_some() {
        remind_due();
    }
    if DEAF.get() == 0 {
        ROUNDS.set(ROUNDS.get().wrapping_add(1));
    }
    let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
    for (one, fd) in watched.iter().zip(polled.iter().skip(fds.len())) {
        if is_ready(fd) {
            call(one)?;
        }
    }
    Ok(polled.iter().take(fds.len()).position(is_ready))
}

/// The bystanders to poll now; those that are being called at this moment are left out.
fn watched() -> io::Result<Vec<Rc<Bystander>>> {
    if DEAF.get() > 0 {
        return Ok(Vec::new());
    }
    BYSTANDERS.with_borrow(|all| {
        let mut watched = Vec::with_capacity(all.len());
        for one in all.iter() {
            match (one.mood.get(), one.notice.try_borrow_mut()) {
                (Verdict::Stay, Ok(_)) => watched.push(Rc::clone(one)),
                (Verdict::Leave, Ok(_)) => return Err(io::Error::other(Interrupted)),
                _ => {}
            }
        }
        Ok(watched)
    })
}

fn call(one: &Bystander) -> io::Result<()> {
    let Ok(mut notice) = one.notice.try_borrow_mut() else {
        return Ok(());
    };
    let verdict = notice();
    one.mood.set(verdict);
    if verdict == Verdict::Leave {
        Err(io::Error::other(Interrupted))
    } else {
        Ok(())
    }
}

fn flags(direction: For) -> PollFlags {
    match direction {
        For::Reading => PollFlags::POLLIN,
        For::Writing => PollFlags::POLLOUT,
    }
}

/// `None`: for ever.
fn time_left(deadline: Option<Instant>) -> Option<TimeSpec> {
    deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()).into())
}

#[cfg(test)]
mod tests;
