//! A descriptor that takes a line with one write, or not at all.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::{dup3, write};

use super::Which;

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A file, opened by us: a write does not block.
    File,
    /// Standard error: somebody else's too, so it may block.
    Console,
    /// A connected datagram socket.
    Syslog,
}

impl Way {
    pub(super) fn of(which: Which) -> Self {
        match which {
            Which::Log | Which::Xferlog => Self::File,
            Which::Syslog => Self::Syslog,
        }
    }
}

#[derive(Debug)]
pub(super) struct Sink {
    pub(super) descriptor: OwnedFd,
    pub(super) way: Way,
    /// The last line was cut short: the next begins on a line of its own.
    torn: bool,
    /// What is still to be written of a line that [`Self::pour`] could not end.
    rest: Vec<u8>,
    /// Lines that could not be written, and of which nothing has been said.
    pub(super) lost: u64,
    /// The last line could not be written.
    pub(super) is_failing: bool,
    /// Nobody listens at the other end any more.
    pub(super) is_gone: bool,
}

impl Sink {
    pub(super) fn new(descriptor: OwnedFd, way: Way) -> Self {
        Self {
            descriptor,
            way,
            torn: false,
            rest: Vec::new(),
            lost: 0,
            is_failing: false,
            is_gone: false,
        }
    }

    /// Appends to a file, which is made where it is missing.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .append(true)
            .create(true)
            .mode(0o640)
            // A FIFO that nobody reads must not hold the daemon up.
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
            .open(path)
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot open {}: {error}", path.display()),
                )
            })?;
        Ok(Self::new(file.into(), Way::File))
    }

    pub(super) fn syslogd(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self::new(socket.into(), Way::Syslog))
    }

    /// Writes to `descriptor` from now on, under the old number.
    pub(super) fn replace(&mut self, descriptor: &impl AsFd, way: Way) -> io::Result<()> {
        dup3(descriptor, &mut self.descriptor, OFlag::O_CLOEXEC)?;
        self.way = way;
        self.is_failing = false;
        self.torn = false;
        self.rest = Vec::new();
        self.is_gone = false;
        Ok(())
    }

    /// Whether the whole line was taken.
    pub(super) fn put(&mut self, line: &[u8]) -> bool {
        let is_free = self.rest.is_empty() || self.finish();
        let put = match self.way {
            Way::Syslog => self.send(line),
            Way::Console if !self.is_ready() => Err(Errno::EAGAIN),
            Way::File if !is_free => Err(Errno::EAGAIN),
            Way::File | Way::Console => self.write(line),
        };
        self.is_gone = matches!(put, Err(error) if error != Errno::EAGAIN);
        let whole = put == Ok(true);
        self.is_failing = !whole;
        self.lost += u64::from(!whole);
        whole
    }

    /// Puts what `notice` makes of the number of lines that are missing.
    pub(super) fn tell(&mut self, notice: impl FnOnce(u64) -> Vec<u8>) {
        let lost = std::mem::take(&mut self.lost);
        if !self.put(&notice(lost)) {
            self.lost = lost;
        }
    }

    /// Writes `lines`, as many as go in; of the one that is cut short the rest comes first next time,
    /// those after it are dropped. Only for a file that nobody else writes to.
    pub(super) fn pour(&mut self, lines: &[u8]) {
        let left = if self.finish() {
            self.pour_on(lines)
        } else {
            lines
        };
        self.is_failing = !left.is_empty() || !self.rest.is_empty();
        let is_end = |byte: &&u8| **byte == b'\n';
        let dropped = left.iter().filter(is_end).count();
        self.lost += u64::try_from(dropped).unwrap_or(u64::MAX);
    }

    /// What is dropped.
    fn pour_on<'a>(&mut self, lines: &'a [u8]) -> &'a [u8] {
        let mut left = lines;
        while let Ok(written @ 1..) = write(&self.descriptor, left) {
            left = left.get(written..).unwrap_or_default();
        }
        let before = lines.len().checked_sub(left.len() + 1);
        let last = before.and_then(|at| lines.get(at));
        if last.is_none_or(|&byte| byte == b'\n') {
            return left;
        }
        let end = left.iter().position(|&byte| byte == b'\n');
        let (rest, dropped) = left.split_at(end.map_or(left.len(), |at| at + 1));
        self.rest = rest.to_vec();
        dropped
    }

    /// Writes what was left of a line; whether none is left.
    pub(super) fn finish(&mut self) -> bool {
        if std::mem::take(&mut self.torn) {
            self.rest.insert(0, b'\n');
        }
        while !self.rest.is_empty() {
            match write(&self.descriptor, &self.rest) {
                Ok(written @ 1..) => self.rest.drain(..written.min(self.rest.len())),
                _ => return false,
            };
        }
        true
    }

    /// Whether the lines of this one go to somebody who writes them for us.
    pub(super) fn is_relay_of_syslog(&self) -> bool {
        self.way != Way::Syslog
    }

    fn write(&mut self, line: &[u8]) -> Result<bool, Errno> {
        let written = if self.torn {
            write(&self.descriptor, &[b"\n", line].concat())?.saturating_sub(1)
        } else {
            write(&self.descriptor, line)?
        };
        self.torn = written < line.len();
        Ok(!self.torn)
    }

    fn send(&self, line: &[u8]) -> Result<bool, Errno> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        send(self.descriptor.as_raw_fd(), line, flags).map(|_| true)
    }

    /// Whether a write of a line would not block. A pipe that says so has room for as many bytes as
    /// the longest line.
    fn is_ready(&self) -> bool {
        let mut descriptors = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLOUT)];
        poll(&mut descriptors, PollTimeout::ZERO) == Ok(1)
    }
}
