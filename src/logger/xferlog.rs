//! The transfer log, line by line: as wu-ftpd or as web servers wrote it, since that is what log
//! analysers read, or as JSON.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Zoned;
use jiff::civil::DateTime;

use crate::text::json;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the client.
    Down,
    /// From the client.
    Up,
}

/// A transfer that ended just now.
#[derive(Clone, Copy, Debug)]
pub struct Transfer<'a> {
    pub direction: Direction,
    pub user: &'a [u8],
    pub peer: IpAddr,
    /// Names the session in the log.
    pub session: &'a str,
    /// The file, in the served tree.
    pub path: &'a [u8],
    pub bytes: u64,
    pub took: Duration,
    pub ascii: bool,
    /// Whether the client was told that all went well.
    pub complete: bool,
}

/// The line, with its end: time, seconds, host, bytes, name, type, special action, direction, kind
/// of user (real), user, service, authentication (none by ident), its user, completion.
pub(super) fn line(now: DateTime, transfer: &Transfer<'_>) -> Vec<u8> {
    let mut line = format!(
        "{} {} {} {} ",
        now.strftime("%a %b %e %H:%M:%S %Y"),
        // Analysers divide by it.
        transfer.took.as_millis().div_ceil(1000).max(1),
        transfer.peer.to_canonical(),
        transfer.bytes
    )
    .into_bytes();
    line.extend(transfer.path.iter().map(word));
    let kind = if transfer.ascii { 'a' } else { 'b' };
    let direction = match transfer.direction {
        Direction::Down => 'o',
        Direction::Up => 'i',
    };
    line.extend_from_slice(format!(" {kind} _ {direction} r ").as_bytes());
    line.extend(transfer.user.iter().map(word));
    let end = if transfer.complete { 'c' } else { 'i' };
    line.extend_from_slice(format!(" ftp 0 * {end}\n").as_bytes());
    line
}

/// The same and the session as a JSON object (RFC 8259), with its end; times are local ones, as in
/// the log.
pub(super) fn object(now: DateTime, transfer: &Transfer<'_>) -> Vec<u8> {
    let direction = match transfer.direction {
        Direction::Down => "out",
        Direction::Up => "in",
    };
    let line = format!(
        "{{\"time\":\"{}\",\"peer\":\"{}\",\"session\":{},\"direction\":\"{direction}\",\
         \"bytes\":{},\"seconds\":{:.3},\"type\":\"{}\",\"complete\":{},\"user\":{},\"path\":{}}}\n",
        now.strftime("%Y-%m-%dT%H:%M:%S"),
        transfer.peer.to_canonical(),
        json(transfer.session.as_bytes()),
        transfer.bytes,
        transfer.took.as_secs_f64(),
        if transfer.ascii { "a" } else { "b" },
        transfer.complete,
        json(transfer.user),
        json(transfer.path),
    );
    line.into_bytes()
}

/// The same as in the Common Log Format of web servers, with its end: host, no identity, user, time,
/// request, status, bytes. A transfer that was broken off has the status of FTP for that.
pub(super) fn common(now: &Zoned, transfer: &Transfer<'_>) -> Vec<u8> {
    let method = match transfer.direction {
        Direction::Down => "GET",
        Direction::Up => "PUT",
    };
    let line = format!(
        "{} - {} [{}] \"{method} {}\" {} {}\n",
        transfer.peer.to_canonical(),
        escaped(transfer.user),
        now.strftime("%d/%b/%Y:%H:%M:%S %z"),
        escaped(transfer.path),
        if transfer.complete { 200 } else { 426 },
        transfer.bytes,
    );
    line.into_bytes()
}

/// As in a URL (RFC 3986 §2.1): nothing that could end a field, a quotation or a line, and nothing that
/// an analyser would take for the beginning of a query.
fn escaped(name: &[u8]) -> String {
    name.iter().fold(String::new(), |mut text, byte| {
        let is_plain = byte.is_ascii_graphic() && !b"\"%\\?#".contains(byte);
        if is_plain {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// Fields end at blanks and lines at line ends, so neither may be in a name.
fn word(byte: &u8) -> u8 {
    match byte {
        byte if byte.is_ascii_whitespace() || byte.is_ascii_control() => b'_',
        byte => *byte,
    }
}
