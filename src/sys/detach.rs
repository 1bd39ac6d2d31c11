//! Leaving the terminal. The process that was started stays until the daemon says what became of
//! it, and exits with that, so that a start that fails is seen where it was asked for.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;

use daemonize::{Daemonize, Outcome, Stdio};
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, umask};
use nix::unistd::pipe2;

/// Who we are after [`detach`].
#[derive(Debug)]
pub enum Side {
    /// The process of the terminal: what became of the daemon.
    Terminal(Report),
    /// The daemon.
    Daemon(Ready),
}

/// What became of a daemon's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The exit code; 0: it runs.
    pub code: u8,
    /// For the terminal; may be empty.
    pub text: String,
}

/// The daemon's word to the terminal, to be said once.
#[derive(Debug)]
pub struct Ready(Option<File>);

impl Ready {
    /// Of a daemon that has not been detached: nobody waits for its word.
    #[must_use]
    pub fn unheard() -> Self {
        Self(None)
    }

    /// Says what became of the start. Only the first word counts.
    pub fn tell(&mut self, code: u8, text: &str) {
        if let Some(mut pipe) = self.0.take() {
            let mut word = vec![code];
            word.extend_from_slice(text.as_bytes());
            let _ = pipe.write_all(&word);
        }
    }
}

/// Becomes a daemon: a session of its own without a terminal, the root as working directory,
/// standard input from nowhere, standard output and error to `stray`. The user, the groups and the
/// pid file are not touched here.
///
/// Returns twice, once on each side.
///
/// # Errors
/// On the terminal's side, when there is no daemon at all.
pub fn detach(stray: BorrowedFd<'_>) -> io::Result<Side> {
    let stray = || io::Result::Ok(Stdio::from(File::from(stray.try_clone_to_owned()?)));
    let (reader, writer) = pipe()?;
    // It stays: whoever started us may have set it on purpose.
    let mask = umask(Mode::empty());
    umask(mask);
    let daemon = Daemonize::new().umask(mask.bits());
    let daemon = daemon.stdout(stray()?).stderr(stray()?);
    match daemon.execute() {
        Outcome::Child(Ok(_)) => Ok(Side::Daemon(Ready(Some(writer)))),
        Outcome::Child(Err(error)) => {
            Ready(Some(writer)).tell(1, &format!("cannot become a daemon: {error}"));
            super::process::leave(1);
        }
        Outcome::Parent(Err(error)) => Err(io::Error::other(error)),
        Outcome::Parent(Ok(_)) => {
            // The daemon's end must be the only one left, or its death would not be seen.
            drop(writer);
            Ok(Side::Terminal(hear(reader)?))
        }
    }
}

fn pipe() -> io::Result<(File, File)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((reader.into(), writer.into()))
}

fn hear(mut pipe: File) -> io::Result<Report> {
    let mut word = Vec::new();
    pipe.read_to_end(&mut word)?;
    Ok(match word.split_first() {
        Some((&code, text)) => Report {
            code,
            text: String::from_utf8_lossy(text).into_owned(),
        },
        None => Report {
            code: 1,
            text: "the daemon ended at its start; the log may say why".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_hears_one_word_or_the_silence() {
        let (reader, writer) = pipe().unwrap();
        let mut ready = Ready(Some(writer));
        ready.tell(69, "in use");
        ready.tell(0, "");
        let report = hear(reader).unwrap();
        assert_eq!((report.code, &*report.text), (69, "in use"));

        let (reader, writer) = pipe().unwrap();
        drop(Ready(Some(writer)));
        assert_eq!(hear(reader).unwrap().code, 1);
    }
}
