//! The lines of the log: `YYYYMMDD-HHMMSS [pid] : level event key=value …`.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use jiff::civil::DateTime;
use log::Level;

use crate::text::quoted;

/// The longest line, in bytes: what a pipe takes whole.
pub(super) const LONGEST: usize = 4096;

/// A line with its end. The process is asked for its number each time: it may have been forked.
pub(super) fn whole(now: DateTime, level: Level, text: &str) -> Vec<u8> {
    let mut line = format!(
        "{:04}{:02}{:02}-{:02}{:02}{:02} [{}] : {} ",
        now.year(),
        now.month(),
        now.day(),
        now.hour(),
        now.minute(),
        now.second(),
        std::process::id(),
        word(level)
    );
    append(&mut line, text, LONGEST - 1);
    line.push('\n');
    line.into_bytes()
}

pub(super) fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Appends `text` as it may stand in a line: without control characters, and cut so that `line`
/// has no more than `most` bytes.
pub(super) fn append(line: &mut String, text: &str, most: usize) {
    const CUT: &str = "...";
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(line, "{}", c.escape_unicode());
        } else {
            line.push(c);
        }
        if line.len() > most {
            break;
        }
    }
    if line.len() > most {
        let mut end = most.saturating_sub(CUT.len());
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push_str(CUT);
    }
}

/// The event of a panic at `place`.
pub(super) fn panic(place: &str, message: &str) -> String {
    format!("panic place={place} message={}", quoted(message.as_bytes()))
}
