//! The lines that all processes log, written. What is written to may be full, slow, frozen or gone: it is
//! waited for here and nowhere else. Knows no events.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::hear;
use crate::leash::{self, FromClerk, ToClerk};
use crate::logger::{self, Arrivals, Which};
use crate::vigil::{self, For};

/// How often a disk that was full is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Until nobody is left who could log anything.
pub(super) fn work(leash: &leash::Clerk, mut arrivals: Arrivals) -> io::Result<()> {
    let (mut has_master, mut is_known_gone) = (true, false);
    while arrivals.ends().next().is_some() {
        wait(has_master.then_some(leash), &arrivals)?;
        let taken = arrivals.take();
        // Where lines go that were logged after the master had said so has been said by now.
        has_master = has_master && hear(leash, heed)?;
        for (which, lines) in taken {
            logger::pass_on(which, &lines);
        }
        let is_gone = logger::is_disconnected();
        if is_gone && !is_known_gone && has_master {
            leash.send(&FromClerk::NoSyslogd)?;
        }
        is_known_gone = is_gone;
    }
    Ok(())
}

/// Waits for lines, for the master, or until it is time to try again.
fn wait(leash: Option<&leash::Clerk>, arrivals: &Arrivals) -> io::Result<()> {
    let ends = arrivals.ends().map(|end| (end.as_fd(), For::Reading));
    let leash = leash.map(|leash| (leash.as_fd(), For::Reading));
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

fn heed(message: ToClerk) {
    if let ToClerk::Log { which, fd } = message
        && let Some(which) = Which::numbered(which)
        && let Err(error) = logger::replace(which, &fd)
    {
        log::warn!("log-not-replaced why=\"{error}\"");
    }
}
