//! The words of the commands that the running daemon is asked over its control socket.

use std::os::unix::ffi::OsStrExt;

use super::{Word, Words};
use crate::text::quoted;

/// A week.
const MOST_MINUTES: u32 = 7 * 24 * 60;

/// A request with it is one that the daemon reads, and a line that a client reads.
const LONGEST_TEXT: usize = 400;

/// What the running daemon is asked to tell or to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Status,
    StatusJson,
    StatusPrometheus,
    Kick { who: String },
    Shut { minutes: u32, text: String },
    Open,
    Reload,
    Reopen,
    Stop,
    StopNow,
}

impl Order {
    /// Whether the daemon is to end.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Stop | Self::StopNow)
    }
}

/// `None`, here and below: help is asked for.
pub(super) fn status(words: &mut Words) -> Result<Option<Order>, String> {
    let mut order = Order::Status;
    while let Some(word) = words.next()? {
        let form = match word {
            Word::Option(name) => match name.as_str() {
                "--json" => Order::StatusJson,
                "--prometheus" => Order::StatusPrometheus,
                "-h" | "--help" => return Ok(None),
                _ => return Err(format!("status has no option {name}")),
            },
            Word::Plain(word) => {
                let word = quoted(word.as_bytes());
                return Err(format!("status takes nothing, not {word}"));
            }
        };
        if order != Order::Status && order != form {
            return Err("--json and --prometheus exclude each other".to_owned());
        }
        order = form;
    }
    Ok(Some(order))
}

pub(super) fn nothing(command: &str, words: &mut Words) -> Result<Option<()>, String> {
    let plain = plain(command, words)?;
    match plain.as_deref() {
        None => Ok(None),
        Some([]) => Ok(Some(())),
        Some([word, ..]) => Err(format!(
            "{command} takes nothing, not {}",
            quoted(word.as_bytes())
        )),
    }
}

pub(super) fn kick(words: &mut Words) -> Result<Option<Order>, String> {
    let Some(plain) = plain("kick", words)? else {
        return Ok(None);
    };
    match <[String; 1]>::try_from(plain) {
        Ok([who]) if !who.is_empty() => Ok(Some(Order::Kick { who })),
        _ => Err("kick needs the pid, the user or the address of a session".to_owned()),
    }
}

/// A first word that is a number is the time, the others are the text.
pub(super) fn shut(words: &mut Words) -> Result<Option<Order>, String> {
    let Some(plain) = plain("shut", words)? else {
        return Ok(None);
    };
    let mut words = plain.iter().map(String::as_str).peekable();
    let minutes = match words.peek() {
        Some(word) if word.bytes().all(|byte| byte.is_ascii_digit()) => {
            let minutes = word.parse().ok().filter(|minutes| *minutes <= MOST_MINUTES);
            words.next();
            minutes.ok_or_else(|| format!("shut waits for at most {MOST_MINUTES} minutes"))?
        }
        _ => 0,
    };
    let text = words.collect::<Vec<_>>().join(" ");
    if text.len() > LONGEST_TEXT {
        return Err(format!("a text has at most {LONGEST_TEXT} bytes"));
    }
    Ok(Some(Order::Shut { minutes, text }))
}

/// The words of a command that has no options.
fn plain(command: &str, words: &mut Words) -> Result<Option<Vec<String>>, String> {
    let mut plain = Vec::new();
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) if name == "-h" || name == "--help" => return Ok(None),
            Word::Option(name) => return Err(format!("{command} has no option {name}")),
            Word::Plain(word) => {
                let text = word.into_string().ok();
                let text = text.filter(|text| !text.contains(char::is_control));
                plain.push(text.ok_or_else(|| format!("{command} takes plain text"))?);
            }
        }
    }
    Ok(Some(plain))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::super::{CONFIG, Command, parse};
    use super::*;

    fn typed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn shut(minutes: u32, text: &str) -> Order {
        Order::Shut {
            minutes,
            text: text.to_owned(),
        }
    }

    #[test]
    fn each_order_is_recognised() {
        let kick = |who: &str| Order::Kick {
            who: who.to_owned(),
        };
        for (line, order) in [
            ("status", Order::Status),
            ("status --json", Order::StatusJson),
            ("status --prometheus", Order::StatusPrometheus),
            ("kick 4711", kick("4711")),
            ("kick -- -x", kick("-x")),
            ("shut", shut(0, "")),
            ("shut 5", shut(5, "")),
            ("shut new disks", shut(0, "new disks")),
            ("shut 10 new disks", shut(10, "new disks")),
            ("open", Order::Open),
            ("reload", Order::Reload),
            ("reopen", Order::Reopen),
            ("stop", Order::Stop),
            ("stop --now", Order::StopNow),
        ] {
            let config = PathBuf::from(CONFIG);
            assert_eq!(typed(line), Ok(Command::Ask { config, order }), "{line}");
        }
        let config = PathBuf::from("x");
        assert_eq!(typed("-c x top"), Ok(Command::Top { config }));
    }

    #[test]
    fn a_wrong_order_says_why() {
        for (line, why) in [
            ("status now", "status takes nothing, not \"now\""),
            (
                "status --json --prometheus",
                "--json and --prometheus exclude each other",
            ),
            (
                "kick",
                "kick needs the pid, the user or the address of a session",
            ),
            (
                "kick a b",
                "kick needs the pid, the user or the address of a session",
            ),
            ("shut 99999", "shut waits for at most 10080 minutes"),
            ("shut --now", "shut has no option --now"),
            ("open x", "open takes nothing, not \"x\""),
            ("stop now", "stop takes nothing, not \"now\""),
            ("-f stop", "stop goes with no option but -c before it"),
        ] {
            assert_eq!(typed(line), Err(why.to_owned()), "{line}");
        }
    }
}
