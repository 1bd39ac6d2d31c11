//! The log: lines of the `log` macros to a file, a console, or syslogd, and the transfer log. The
//! master opens everything while it has the right to; one process writes, and all others have pipes to
//! it. A line is one write; what cannot be written at once is dropped and counted, because no log is
//! worth a session. Knows no events.
#![forbid(unsafe_code)]

mod errand;
mod journal;
mod line;
mod relay;
mod sink;
mod syslogd;
mod xferlog;

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::OnceLock;

use jiff::tz::TimeZone;

pub use errand::{Errand, errand, reference};
use journal::Journal;
pub use journal::{Sinks, open};
pub use relay::{Arrivals, Relay};
use sink::{Sink, Way};
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

/// A connection to syslogd.
///
/// # Errors
/// It is not there.
pub fn syslogd() -> io::Result<OwnedFd> {
    Sink::syslogd(Path::new(syslogd::SOCKET)).map(|sink| sink.descriptor)
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
        Some(journal) => journal.replace(which, descriptor, Way::of(which)),
        None => Ok(()),
    }
}

/// Puts lines into `mouth` from now on, where somebody takes them who writes them.
///
/// # Errors
/// The descriptor cannot be duplicated.
pub fn relay(which: Which, mouth: &impl AsFd) -> io::Result<()> {
    match JOURNAL.get() {
        Some(journal) => journal.replace(which, mouth, Way::File),
        None => Ok(()),
    }
}

/// The descriptors that a child must keep open.
#[must_use]
pub fn descriptors() -> Vec<RawFd> {
    JOURNAL.get().map(Journal::descriptors).unwrap_or_default()
}

/// Writes lines that other processes have put into a pipe to what this process has for them.
pub fn pass_on(which: Which, lines: &[u8]) {
    if let Some(journal) = JOURNAL.get() {
        journal.pass_on(which, lines);
    }
}

/// How many lines this process could not write, and has not said so: it is to [`settle`] then from
/// time to time.
#[must_use]
pub fn losses() -> u64 {
    JOURNAL.get().map_or(0, Journal::losses)
}

/// Tries to write what is left of a line, and to say how many are missing.
pub fn settle() {
    if let Some(journal) = JOURNAL.get() {
        journal.settle();
    }
}

/// Leaves it to somebody else to say how many lines are missing here: to him who adds it to his own.
#[must_use]
pub fn take_losses() -> u64 {
    JOURNAL.get().map_or(0, Journal::take_losses)
}

/// Another process could not write so many lines.
pub fn add_losses(lines: u64) {
    if let Some(journal) = JOURNAL.get() {
        journal.add_losses(lines);
    }
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
