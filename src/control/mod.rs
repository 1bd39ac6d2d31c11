//! What an operator asks the running daemon over its control socket, and how the answer looks. One
//! line goes in, one answer comes out, the connection ends. Formats and one side's bytes only: what
//! an answer says is the master's affair.
#![forbid(unsafe_code)]

mod conversation;
mod status;

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub use conversation::{Conversation, Progress};
pub use status::{Session, Status};

/// The longest request, in bytes.
const LONGEST_REQUEST: usize = 1024;

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Who is there, and what they do.
    Status(Form),
}

/// How a status looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl fmt::Display for Request {
    /// As it goes over the socket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(Form::Table) => f.write_str("status"),
            Self::Status(Form::Json) => f.write_str("status json"),
        }
    }
}

impl Request {
    /// From a line without its end.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["status"] => Some(Self::Status(Form::Table)),
            ["status", "json"] => Some(Self::Status(Form::Json)),
            _ => None,
        }
    }
}

/// Asks the daemon whose control socket is `socket`.
///
/// # Errors
/// Nobody listens there, or may be asked; no answer in time.
pub fn ask(socket: &Path, request: &Request) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() {
        // It was closed unanswered: to whom it was opened is not the daemon's user.
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_as_it_was_written() {
        for request in [Request::Status(Form::Table), Request::Status(Form::Json)] {
            assert_eq!(Request::parse(&request.to_string()), Some(request));
        }
        for wrong in ["", "stat", "status  json", "status json x", " status"] {
            assert_eq!(Request::parse(wrong), None, "{wrong}");
        }
    }
}
