//! A program of somebody else, run for one answer.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, chdir, execve, getpid, pipe2, setsid};

use super::process::{self, Streams};

/// A program that runs, or has ended and not been asked for its answer.
#[derive(Debug)]
pub struct Program {
    pid: Pid,
    output: File,
    answer: Vec<u8>,
    /// `None`: what it prints is not kept.
    limit: Option<usize>,
}

impl Program {
    /// Runs the program at `path` without arguments, in the root directory, with nothing but
    /// `environment` (`NAME=value` each) and `input`, which is there at once and then ends. What it
    /// prints is kept up to a byte more than `limit`, or not at all; what it says of errors goes where
    /// ours go. It ends with the caller, at the latest.
    ///
    /// # Errors
    /// `InvalidInput`: more input than a pipe is sure to hold. What the kernel says of pipes and
    /// processes; that there is no such program is only seen in the exit code, 127.
    pub fn start(
        path: &Path,
        environment: &[impl AsRef<[u8]>],
        input: &[u8],
        limit: Option<usize>,
    ) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let environment: Vec<CString> = environment
            .iter()
            .map(|pair| CString::new(pair.as_ref()))
            .collect::<Result<_, _>>()?;
        let questions = filled(input)?;
        let (output, answers) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let errors = io::stderr();
        let nowhere = File::options().write(true).open("/dev/null")?;
        let streams = Streams {
            input: questions.as_fd(),
            output: limit.map_or(nowhere.as_fd(), |_| answers.as_fd()),
            errors: errors.as_fd(),
        };
        let parent = getpid();
        let pid = process::spawn(streams, &[], move || -> Infallible {
            let failed = become_program(&path, &environment, parent);
            let path = path.to_string_lossy();
            let _ = writeln!(io::stderr(), "{path} cannot be run: {failed}");
            process::leave(127)
        })?;
        Ok(Self {
            pid,
            output: output.into(),
            answer: Vec::new(),
            limit,
        })
    }

    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Takes what it has printed by now; whether there may be more. Never blocks.
    pub fn hear(&mut self) -> bool {
        let mut block = [0; 1024];
        while self.limit.is_some_and(|limit| self.answer.len() <= limit) {
            match self.output.read(&mut block) {
                Ok(0) => return false,
                Ok(read) => self
                    .answer
                    .extend_from_slice(block.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        false
    }

    /// What it has printed: a byte more than the limit if it was too much.
    #[must_use]
    pub fn answer(&self) -> &[u8] {
        let limit = self.limit.unwrap_or_default();
        let most = limit.saturating_add(1).min(self.answer.len());
        self.answer.get(..most).unwrap_or_default()
    }

    /// Kills it, with the programs that it has started.
    pub fn kill(&self) {
        // Before it has a session of its own there is no such group, and nothing started by it.
        if killpg(self.pid, Signal::SIGKILL) == Err(Errno::ESRCH) {
            process::kill(self.pid);
        }
    }
}

impl AsFd for Program {
    /// Can be read when it has printed something, or ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}

/// A pipe that holds `input` and then ends.
fn filled(input: &[u8]) -> io::Result<OwnedFd> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut writer = File::from(writer);
    match writer.write(input) {
        Ok(written) if written == input.len() => Ok(reader),
        Ok(_) => Err(io::ErrorKind::InvalidInput.into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::ErrorKind::InvalidInput.into())
        }
        Err(error) => Err(error),
    }
}

/// Returns only if that could not be done.
fn become_program(path: &CString, environment: &[CString], parent: Pid) -> io::Error {
    let become_it = || -> io::Result<Infallible> {
        setsid()?;
        process::die_with_parent(parent)?;
        process::hear_all_signals()?;
        chdir("/")?;
        Ok(execve(path, &[path], environment)?)
    };
    match become_it() {
        Ok(never) => match never {},
        Err(error) => error,
    }
}
