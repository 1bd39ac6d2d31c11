//! The lines that all processes log, written. What is written to may be full, slow, frozen or gone: it is
//! waited for here and nowhere else. Knows no events.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::stat::{fstat, makedev};

use super::hear;
use crate::leash::{self, FromClerk, ToClerk};
use crate::logger::{self, Arrivals, Which};
use crate::vigil::{self, For};

/// How often a disk that was full is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Lines that follow each other are left to gather for so long, unless there are so many bytes of them
/// that a pipe could fill up: to be woken for each costs this process and all others more than to write it.
const GATHERING: Duration = Duration::from_millis(10);
const MANY: usize = 8 * 1024;

/// A full pipe is read in as many pieces, and some.
const CHUNKS: usize = 24;

/// Until nobody is left who could log anything.
pub(super) fn work(leash: &leash::Clerk, mut arrivals: Arrivals) -> io::Result<()> {
    let (mut has_master, mut is_known_gone) = (true, false);
    let mut rests_until = None;
    while arrivals.ends().next().is_some() {
        wait(has_master.then_some(leash), &arrivals, rests_until)?;
        let mut taken = arrivals.take();
        let bytes: usize = taken.iter().map(|(_, lines)| lines.len()).sum();
        rests_until = (1..MANY)
            .contains(&bytes)
            .then(|| Instant::now() + GATHERING);
        // Where lines go that were logged after the master had said so has been said by now.
        let mut words = Vec::new();
        has_master = has_master && hear(leash, |word| words.push(word))?;
        for word in words {
            if leads_nowhere(&word) {
                // What was logged before goes where it was to go.
                for _ in 0..CHUNKS {
                    write(std::mem::replace(&mut taken, arrivals.take()));
                }
            }
            heed(word);
        }
        write(taken);
        let is_gone = logger::is_disconnected();
        if is_gone && !is_known_gone && has_master {
            leash.send(&FromClerk::NoSyslogd)?;
        }
        is_known_gone = is_gone;
    }
    Ok(())
}

/// Waits for lines, but not before `rests_until`, for the master, or until it is time to try again.
fn wait(
    leash: Option<&leash::Clerk>,
    arrivals: &Arrivals,
    rests_until: Option<Instant>,
) -> io::Result<()> {
    let leash = leash.map(|leash| (leash.as_fd(), For::Reading));
    if rests_until.is_some() {
        match vigil::wait_until(leash.as_slice(), rests_until) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            waited => return waited.map(|_| ()),
        }
    }
    let ends = arrivals.ends().map(|end| (end.as_fd(), For::Reading));
    let sources: Vec<_> = ends.chain(leash).collect();
    let again = (logger::losses() > 0).then(|| Instant::now() + AGAIN);
    match vigil::wait_until(&sources, again) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => logger::settle(),
        waited => {
            waited?;
        }
    }
    Ok(())
}

fn write(taken: Vec<(Which, Vec<u8>)>) {
    for (which, lines) in taken {
        logger::pass_on(which, &lines);
    }
}

/// Whether a log is wanted no more.
fn leads_nowhere(message: &ToClerk) -> bool {
    let ToClerk::Log { fd, .. } = message else {
        return false;
    };
    fstat(fd).is_ok_and(|about| about.st_rdev == makedev(1, 3))
}

fn heed(message: ToClerk) {
    if let ToClerk::Log { which, fd } = message
        && let Some(which) = Which::numbered(which)
        && let Err(error) = logger::replace(which, &fd)
    {
        log::warn!("log-not-replaced why=\"{error}\"");
    }
}
