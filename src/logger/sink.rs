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

#[derive(Debug)]
pub(super) struct Sink {
    pub(super) descriptor: OwnedFd,
    way: Way,
    /// The last line was cut short: the next begins on a line of its own.
    torn: bool,
    /// Lines in a row that could not be written.
    pub(super) lost: u64,
    /// Nobody listens at the other end any more.
    pub(super) is_gone: bool,
}

impl Sink {
    pub(super) fn new(descriptor: OwnedFd, way: Way) -> Self {
        Self {
            descriptor,
            way,
            torn: false,
            lost: 0,
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
    pub(super) fn replace(&mut self, descriptor: &impl AsFd) -> io::Result<()> {
        dup3(descriptor, &mut self.descriptor, OFlag::O_CLOEXEC)?;
        self.torn = false;
        self.is_gone = false;
        Ok(())
    }

    /// Whether the whole line was taken.
    pub(super) fn put(&mut self, line: &[u8]) -> bool {
        let put = match self.way {
            Way::Syslog => self.send(line),
            Way::Console if !self.is_ready() => Err(Errno::EAGAIN),
            Way::File | Way::Console => self.write(line),
        };
        self.is_gone = matches!(put, Err(error) if error != Errno::EAGAIN);
        let whole = put == Ok(true);
        self.lost = if whole { self.lost } else { self.lost + 1 };
        whole
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
