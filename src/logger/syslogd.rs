//! What syslogd is sent: a datagram a line, as RFC 3164 has it.
#![forbid(unsafe_code)]

use jiff::civil::DateTime;
use log::Level;
use syslog::{Facility, Formatter3164, LogFormat as _, Severity};

use super::line;

/// Where syslogd listens.
pub(super) const SOCKET: &str = "/dev/log";

/// The longest message, in bytes: what is written before it, and the end that a pipe needs, go into a
/// pipe whole with it.
const LONGEST: usize = line::LONGEST - 64;

pub(super) fn datagram(now: DateTime, facility: Facility, level: Level, text: &str) -> Vec<u8> {
    let mut message = format!("{} ", line::word(level));
    line::append(&mut message, text, LONGEST);
    let formatter = Formatter3164 {
        facility,
        hostname: None,
        process: "nanoftpd".to_owned(),
        // Fixed when the formatter is made: ours is made for each record, in the process that
        // writes it.
        pid: std::process::id(),
    };
    let severity = match level {
        Level::Error => Severity::LOG_ERR,
        Level::Warn => Severity::LOG_WARNING,
        Level::Info => Severity::LOG_INFO,
        Level::Debug | Level::Trace => Severity::LOG_DEBUG,
    };
    let mut datagram = Vec::new();
    let formatted = formatter.format(&mut datagram, severity, message);
    debug_assert!(formatted.is_ok(), "a vector takes what is written");
    // The formatter writes the time of UTC, a syslogd reads it as local time.
    let start = datagram
        .iter()
        .position(|byte| *byte == b'>')
        .map_or(0, |at| at + 1);
    let time = now.strftime("%b %e %H:%M:%S").to_string();
    if let Some(place) = datagram.get_mut(start..start + time.len()) {
        place.copy_from_slice(time.as_bytes());
    }
    datagram
}
