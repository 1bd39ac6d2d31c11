//! What was typed: from the words of the command line to a command. Reads no file and prints
//! nothing.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::config::places;
use crate::text::quoted;

mod orders;
#[cfg(test)]
mod tests;
mod words;

pub use orders::Order;
use orders::{kick, nothing, shut, status};
use words::{Word, Words};

/// The configuration that is read when none is named.
pub const CONFIG: &str = places::CONF;

/// What -V prints.
pub const VERSION: &str = concat!("nanoftpd ", env!("CARGO_PKG_VERSION"));

/// What -h prints.
pub const HELP: &str = "\
usage: nanoftpd [-c FILE] [-f]    run; -f: in the foreground, and log to standard error too
       nanoftpd [-c FILE] -t      check the configuration
       nanoftpd [-c FILE] -T      print the whole effective configuration
       nanoftpd -V | -h           print the version, or this
       nanoftpd [-c FILE] passwd [-f USERS] [--module M] [--uid N] [--gid N] [--md5] USER
                                  add a user, or change the password
       nanoftpd import [--logrotate] CONFIG.PHP
                                  print the PHP daemon's settings as a configuration, or the
                                  logrotate file for its log
       nanoftpd [-c FILE] check [--write]
                                  try the configuration for real; --write: store a probe in each
                                  class too; exit 0 fine, 1 warning, 2 critical, 3 unknown
       nanoftpd [-c FILE] status [--json | --prometheus]
                                  who is connected to the running daemon, and doing what
       nanoftpd [-c FILE] top     the same, again and again
       nanoftpd [-c FILE] kick PID|USER|ADDRESS
                                  end sessions
       nanoftpd [-c FILE] shut [MINUTES] [TEXT]
                                  take no new logins, and end all sessions in so many minutes
       nanoftpd [-c FILE] open    take logins again
       nanoftpd [-c FILE] reload | reopen | stop [--now]
                                  read the configuration again; open the log files again; stop
";

/// What is to be done. Paths are as they were typed: relative to where the command was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Run {
        config: PathBuf,
        foreground: bool,
    },
    /// -t
    Check {
        config: PathBuf,
    },
    /// -T
    Print {
        config: PathBuf,
    },
    Version,
    Help,
    Passwd {
        /// `None`: the usual one, where there is one.
        config: Option<PathBuf>,
        change: Passwd,
    },
    Import {
        /// The config.php of the PHP daemon.
        source: PathBuf,
        /// Print a file for logrotate(8) instead of a configuration.
        logrotate: bool,
    },
    /// `check`
    Probe {
        config: PathBuf,
        write: bool,
    },
    /// What the running daemon is asked, and how.
    Ask {
        config: PathBuf,
        order: Order,
    },
    Top {
        config: PathBuf,
    },
}

/// What `nanoftpd passwd` was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passwd {
    pub user: String,
    /// -f; `None`: what the configuration names.
    pub users: Option<PathBuf>,
    pub module: Option<String>,
    pub uid: Option<String>,
    pub gid: Option<String>,
    pub md5: bool,
}

/// The command that `words`, without the program's name, stand for; or what is wrong, in a line.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut words = Words::new(words);
    let mut config = None;
    let (mut foreground, mut check, mut print) = (false, false, false);
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) => match name.as_str() {
                "-c" => config = Some(PathBuf::from(words.value(&name)?)),
                "-f" => foreground = true,
                "-t" => check = true,
                "-T" => print = true,
                "-V" | "--version" => return Ok(Command::Version),
                "-h" | "--help" => return Ok(Command::Help),
                _ => return Err(format!("there is no option {name}")),
            },
            Word::Plain(command) => {
                let is_alone = !(foreground || check || print);
                return verb(&command, is_alone, config, &mut words);
            }
        }
    }
    let config = config.unwrap_or_else(|| PathBuf::from(CONFIG));
    match (check, print) {
        (true, true) => Err("-t and -T exclude each other".to_owned()),
        (true, false) => Ok(Command::Check { config }),
        (false, true) => Ok(Command::Print { config }),
        (false, false) => Ok(Command::Run { config, foreground }),
    }
}

/// The command that is a word. `is_alone`: no option but -c stands before it.
fn verb(
    name: &OsStr,
    is_alone: bool,
    config: Option<PathBuf>,
    words: &mut Words,
) -> Result<Command, String> {
    let usual = config.clone().unwrap_or_else(|| PathBuf::from(CONFIG));
    let command = match name.as_bytes() {
        b"passwd" => passwd(words)?.map(|change| Command::Passwd { config, change }),
        b"import" if config.is_some() => {
            return Err("import reads no configuration of ours: -c is of no use".to_owned());
        }
        b"import" => import(words)?,
        b"check" => flag("check", "--write", words)?.map(|write| Command::Probe {
            config: usual,
            write,
        }),
        b"status" => status(words)?.map(|order| ask(usual, order)),
        b"top" => nothing("top", words)?.map(|()| Command::Top { config: usual }),
        b"kick" => kick(words)?.map(|order| ask(usual, order)),
        b"shut" => shut(words)?.map(|order| ask(usual, order)),
        b"open" => nothing("open", words)?.map(|()| ask(usual, Order::Open)),
        b"reload" => nothing("reload", words)?.map(|()| ask(usual, Order::Reload)),
        b"reopen" => nothing("reopen", words)?.map(|()| ask(usual, Order::Reopen)),
        b"stop" => flag("stop", "--now", words)?.map(|is_now| match is_now {
            true => ask(usual, Order::StopNow),
            false => ask(usual, Order::Stop),
        }),
        other => return Err(format!("there is no command {}", quoted(other))),
    };
    if is_alone {
        Ok(command.unwrap_or(Command::Help))
    } else {
        let name = name.to_string_lossy();
        Err(format!("{name} goes with no option but -c before it"))
    }
}

fn ask(config: PathBuf, order: Order) -> Command {
    Command::Ask { config, order }
}

/// Whether the one option of `command` was given; `None`: help is asked for.
fn flag(command: &str, option: &str, words: &mut Words) -> Result<Option<bool>, String> {
    let mut is_given = false;
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) if name == option => is_given = true,
            Word::Option(name) if name == "-h" || name == "--help" => return Ok(None),
            Word::Option(name) => return Err(format!("{command} has no option {name}")),
            Word::Plain(word) => {
                let word = quoted(word.as_bytes());
                return Err(format!("{command} takes nothing, not {word}"));
            }
        }
    }
    Ok(Some(is_given))
}

/// `None`: help is asked for.
fn import(words: &mut Words) -> Result<Option<Command>, String> {
    let (mut source, mut logrotate) = (None, false);
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) => match name.as_str() {
                "--logrotate" => logrotate = true,
                "-h" | "--help" => return Ok(None),
                _ => return Err(format!("import has no option {name}")),
            },
            Word::Plain(path) if source.is_none() => source = Some(PathBuf::from(path)),
            Word::Plain(word) => {
                let word = quoted(word.as_bytes());
                return Err(format!("import takes one file, {word} is another"));
            }
        }
    }
    let source = source.ok_or("import needs the PHP daemon's config.php")?;
    Ok(Some(Command::Import { source, logrotate }))
}

/// `None`: help is asked for.
fn passwd(words: &mut Words) -> Result<Option<Passwd>, String> {
    let mut change = Passwd::default();
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) => match name.as_str() {
                "-f" => change.users = Some(PathBuf::from(words.value(&name)?)),
                "--module" => change.module = Some(words.text(&name)?),
                "--uid" => change.uid = Some(words.text(&name)?),
                "--gid" => change.gid = Some(words.text(&name)?),
                "--md5" => change.md5 = true,
                "-h" | "--help" => return Ok(None),
                _ => return Err(format!("passwd has no option {name}")),
            },
            Word::Plain(user) if change.user.is_empty() => {
                let user = user.into_string();
                change.user = user.map_err(|_| "the user's name is not UTF-8".to_owned())?;
            }
            Word::Plain(word) => {
                return Err(format!(
                    "passwd takes one user, {} is another",
                    quoted(word.as_bytes())
                ));
            }
        }
    }
    if change.user.is_empty() {
        return Err("passwd needs the name of a user".to_owned());
    }
    Ok(Some(change))
}
