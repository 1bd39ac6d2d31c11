//! What an operator asks the running daemon over its control socket, and how the answer looks. One
//! line goes in, one answer comes out, the connection ends. Formats and one side's bytes only: what
//! an answer says is the master's affair.
#![forbid(unsafe_code)]

mod conversation;
mod metrics;
mod status;
mod top;

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;

use crate::cli::Order;
pub use conversation::{Conversation, Progress};
pub use status::{Session, Status};
pub use top::watch;

/// The longest request, in bytes.
const LONGEST_REQUEST: usize = 1024;

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Who is there, and what they do.
    Status(Form),
    /// End the sessions of a worker's pid, a user or an address.
    Kick { who: String },
    /// Take no new logins; whoever is in has so much time left. Clients are told the text, or
    /// something of ours if it is empty.
    Shut { time: Duration, text: String },
    /// Take logins again.
    Open,
    /// Read the configuration again, as HUP does.
    Reload,
    /// Open the log files again, as USR1 does.
    Reopen,
    /// Stop, as TERM does; now: as a second TERM does.
    Stop { is_now: bool },
}

impl From<Order> for Request {
    fn from(order: Order) -> Self {
        match order {
            Order::Status => Self::Status(Form::Table),
            Order::StatusJson => Self::Status(Form::Json),
            Order::StatusPrometheus => Self::Status(Form::Prometheus),
            Order::Kick { who } => Self::Kick { who },
            Order::Shut { minutes, text } => Self::Shut {
                time: Duration::from_secs(u64::from(minutes) * 60),
                text,
            },
            Order::Open => Self::Open,
            Order::Reload => Self::Reload,
            Order::Reopen => Self::Reopen,
            Order::Stop => Self::Stop { is_now: false },
            Order::StopNow => Self::Stop { is_now: true },
        }
    }
}

/// How a status looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Table,
    /// For people who look at it again and again.
    Top,
    /// For programs.
    Json,
    /// For a textfile collector.
    Prometheus,
}

impl fmt::Display for Request {
    /// As it goes over the socket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(Form::Table) => f.write_str("status"),
            Self::Status(Form::Top) => f.write_str("status top"),
            Self::Status(Form::Json) => f.write_str("status json"),
            Self::Status(Form::Prometheus) => f.write_str("status prometheus"),
            Self::Kick { who } => write!(f, "kick {who}"),
            Self::Shut { time, text } => write!(f, "shut {} {text}", time.as_secs()),
            Self::Open => f.write_str("open"),
            Self::Reload => f.write_str("reload"),
            Self::Reopen => f.write_str("reopen"),
            Self::Stop { is_now: false } => f.write_str("stop"),
            Self::Stop { is_now: true } => f.write_str("stop now"),
        }
    }
}

impl Request {
    /// From a line without its end.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let plain = |text: &str| (!text.contains(char::is_control)).then(|| text.to_owned());
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (verb, rest) {
            _ if line == verb => match verb {
                "status" => Some(Self::Status(Form::Table)),
                "open" => Some(Self::Open),
                "reload" => Some(Self::Reload),
                "reopen" => Some(Self::Reopen),
                "stop" => Some(Self::Stop { is_now: false }),
                _ => None,
            },
            ("status", "top") => Some(Self::Status(Form::Top)),
            ("status", "json") => Some(Self::Status(Form::Json)),
            ("status", "prometheus") => Some(Self::Status(Form::Prometheus)),
            ("stop", "now") => Some(Self::Stop { is_now: true }),
            ("kick", who) if !who.is_empty() => Some(Self::Kick { who: plain(who)? }),
            ("shut", rest) => {
                let (seconds, text) = rest.split_once(' ')?;
                let time = Duration::from_secs(seconds.parse::<u32>().ok()?.into());
                Some(Self::Shut {
                    time,
                    text: plain(text)?,
                })
            }
            _ => None,
        }
    }
}

/// Asks the daemon whose control socket is `socket`.
///
/// # Errors
/// Nobody listens there, or may be asked; no answer in time.
pub fn ask(socket: &Path, request: &Request) -> io::Result<String> {
    converse(UnixStream::connect(socket)?, request)
}

/// Asks the same, and tells which process answers: the daemon's master.
///
/// # Errors
/// As [`ask`].
pub fn ask_whom(socket: &Path, request: &Request) -> io::Result<(String, Pid)> {
    let stream = UnixStream::connect(socket)?;
    let pid = getsockopt(&stream, PeerCredentials)?.pid();
    Ok((converse(stream, request)?, Pid::from_raw(pid)))
}

fn converse(mut stream: UnixStream, request: &Request) -> io::Result<String> {
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
        for request in [
            Request::Status(Form::Table),
            Request::Status(Form::Top),
            Request::Status(Form::Json),
            Request::Status(Form::Prometheus),
            Request::Kick {
                who: "gr\u{fc}n x".to_owned(),
            },
            Request::Shut {
                time: Duration::from_secs(300),
                text: "new disks, back soon".to_owned(),
            },
            Request::Shut {
                time: Duration::ZERO,
                text: String::new(),
            },
            Request::Open,
            Request::Reload,
            Request::Reopen,
            Request::Stop { is_now: false },
            Request::Stop { is_now: true },
        ] {
            assert_eq!(Request::parse(&request.to_string()), Some(request));
        }
        for wrong in [
            "",
            "stat",
            "status  json",
            "status json x",
            " status",
            "kick",
            "kick ",
            "kick a\rb",
            "shut",
            "shut x y",
            "shut -1 ",
            "open now",
            "stop it",
        ] {
            assert_eq!(Request::parse(wrong), None, "{wrong}");
        }
    }
}
