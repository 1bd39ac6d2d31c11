//! Moving bytes from one descriptor to another without looking at them: through a pipe, whose pages
//! the kernel hands on, and out of a file. Knows nothing of transfers, and waits for nobody.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::libc::off_t;
use nix::sys::sendfile::sendfile;
use nix::unistd::pipe2;

/// A pipe for one process.
#[derive(Debug)]
pub struct Pipe {
    end: File,
    mouth: OwnedFd,
}

impl Pipe {
    /// One that holds `size` bytes. `None` where there are too many, or none so large: then it goes
    /// without.
    #[must_use]
    pub fn open(size: usize) -> Option<Self> {
        let (end, mouth) = pipe2(OFlag::O_CLOEXEC).ok()?;
        let size = i32::try_from(size).ok()?;
        fcntl(&mouth, FcntlArg::F_SETPIPE_SZ(size)).ok()?;
        Some(Self {
            end: end.into(),
            mouth,
        })
    }

    /// Where it is filled.
    #[must_use]
    pub fn mouth(&self) -> BorrowedFd<'_> {
        self.mouth.as_fd()
    }

    /// Moves at most `most` of the bytes that are in it to `to`; how many.
    ///
    /// # Errors
    /// What splice(2) says; `InvalidInput` where `to` can only be written to.
    pub fn empty(&self, to: impl AsFd, most: usize) -> io::Result<usize> {
        pour(&self.end, to, most)
    }

    /// Moves the next `count` bytes, which are in it, to where `file` stands; whether that can be done
    /// again: not every file system can, and then they were copied, through `block`.
    ///
    /// # Errors
    /// What splice(2) and write(2) say; some may be in the file, and some left in the pipe.
    pub fn empty_into(&self, file: &File, count: usize, block: &mut [u8]) -> io::Result<bool> {
        let mut left = count;
        while left > 0 {
            match self.empty(file, left) {
                Ok(0) => return Err(io::Error::other("a pipe lost what was in it")),
                Ok(moved) => left = left.saturating_sub(moved),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.copy_into(file, left, block)?;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn copy_into(&self, mut file: &File, mut left: usize, block: &mut [u8]) -> io::Result<()> {
        let mut pipe = self;
        while left > 0 {
            let most = left.min(block.len());
            let room = block.get_mut(..most).unwrap_or_default();
            pipe.read_exact(room)?;
            file.write_all(room)?;
            left = left.saturating_sub(most);
        }
        Ok(())
    }
}

impl Read for &Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.end).read(buffer)
    }
}

/// Moves what is there, at most `most` bytes, from `from` to `to`, of which one is an end of a pipe;
/// how many, 0 at the end of `from`.
///
/// # Errors
/// What splice(2) says; `WouldBlock` where nothing is there, or no room.
pub fn pour(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    Ok(splice(from, None, to, None, most, flags)?)
}

/// Sends at most `count` bytes of `file` from `at` on, which goes on with them, to a socket; how many, 0
/// at the end of the file. What the file says is kept apart, inside, from what the connection says.
///
/// # Errors
/// Of the connection; `WouldBlock` where it has no room.
pub fn send(
    socket: impl AsFd,
    file: &File,
    at: &mut off_t,
    count: usize,
) -> io::Result<io::Result<usize>> {
    match sendfile(socket, file, Some(at), count) {
        Err(
            errno @ (Errno::EAGAIN
            | Errno::EINTR
            | Errno::ECONNRESET
            | Errno::EPIPE
            | Errno::ETIMEDOUT),
        ) => Err(errno.into()),
        other => Ok(other.map_err(io::Error::from)),
    }
}
