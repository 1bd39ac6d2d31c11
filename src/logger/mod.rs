//! The log: lines of the `log` macros to a file, a console, or syslogd, and the transfer log. The
//! master opens everything while it has the right to; every other process inherits descriptors,
//! and is sent new ones. A line is one write; what cannot be written at once is dropped and
//! counted, because no log is worth a session. Knows no events.
#![forbid(unsafe_code)]

mod errand;
mod journal;
mod line;
mod sink;
mod syslogd;
mod xferlog;

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use jiff::tz::TimeZone;

use crate::config::Logging;
pub use errand::{Errand, errand, reference};
use journal::Journal;
pub use journal::{Sinks, open};
pub use xferlog::{Direction, Transfer};

/// The sinks that processes inherit, and are sent anew when files are reopened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Log = 0,
    Xferlog = 1,
    Syslog = 2,
}

impl Which {
    const ALL: [Self; 3] = [Self::Log, Self::Xferlog, Self::Syslog];

    /// The one that `which as u8` is the number of.
    #[must_use]
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|which| *which as u8 == number)
    }
}

static JOURNAL: OnceLock<Journal> = OnceLock::new();

/// Sends the lines of the `log` macros to `sinks` from now on, instead of those that were installed
/// before; of these the descriptors keep their numbers. The first call also reads the time zone of
/// the log, which a sandboxed process could not.
pub fn install(sinks: Sinks) {
    log::set_max_level(sinks.level);
    let mut sinks = Some(sinks);
    let journal = JOURNAL.get_or_init(|| Journal::new(sinks.take(), TimeZone::system()));
    if let Some(sinks) = sinks {
        journal.adopt(sinks);
    }
    // It fails when the same logger was set before.
    let _ = log::set_logger(journal);
}

/// Opens the files that `config` names anew, as logrotate wishes, and uses them; returns them so
/// that they can be sent to the other processes. On an error everything is as it was.
///
/// # Errors
/// A file cannot be opened; the error names it.
pub fn reopen(config: &Logging) -> io::Result<Vec<(Which, OwnedFd)>> {
    let fresh = open(config, false)?;
    let mut opened = Vec::new();
    for (which, sink) in [
        (Which::Log, fresh.log),
        (Which::Xferlog, fresh.xferlog),
        (Which::Syslog, fresh.syslog),
    ] {
        if let Some(sink) = sink {
            replace(which, &sink.descriptor)?;
            opened.push((which, sink.descriptor));
        }
    }
    Ok(opened)
}

/// Looks for syslogd again if a line could not be sent to it; returns the new descriptor, so that
/// it can be sent to the other processes.
///
/// # Errors
/// It is not there.
pub fn reconnect() -> io::Result<Option<OwnedFd>> {
    match JOURNAL.get() {
        Some(journal) => journal.reconnect(Path::new(syslogd::SOCKET)),
        None => Ok(None),
    }
}

/// Whether syslogd is wanted and was not there when a line was last sent.
#[must_use]
pub fn is_disconnected() -> bool {
    JOURNAL.get().is_some_and(Journal::is_disconnected)
}

/// Writes to `descriptor` from now on. The sink's own descriptor keeps its number.
///
/// # Errors
/// The descriptor cannot be duplicated.
pub fn replace(which: Which, descriptor: &impl AsFd) -> io::Result<()> {
    match JOURNAL.get() {
        Some(journal) => journal.replace(which, descriptor),
        None => Ok(()),
    }
}

/// The descriptors that a child must keep open.
#[must_use]
pub fn descriptors() -> Vec<RawFd> {
    JOURNAL.get().map(Journal::descriptors).unwrap_or_default()
}

/// How many lines this process could not write.
#[must_use]
pub fn lost() -> u64 {
    let lost = |journal: &Journal| journal.lost.load(Ordering::Relaxed);
    JOURNAL.get().map_or(0, lost)
}

/// Writes a line to the transfer log, if there is one.
pub fn transferred(transfer: &Transfer<'_>) {
    if let Some(journal) = JOURNAL.get() {
        journal.transferred(transfer);
    }
}

/// Logs panics with their place from now on, before the process aborts.
pub fn catch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload();
        let message = message
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| message.downcast_ref::<String>().map(String::as_str))
            .unwrap_or_default();
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        log::error!("{}", line::panic(&place, message));
    }));
}

#[cfg(test)]
mod tests;
