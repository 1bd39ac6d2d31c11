//! Moving bytes from one descriptor to another without looking at them: through a pipe, whose pages
//! the kernel hands on, and out of a file. Knows nothing of transfers, and waits for nobody.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::libc::off_t;
use nix::sys::sendfile::sendfile;
use nix::unistd::{pipe2, read, write};

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
        splice_on(&self.end, to, most)
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

/// So many bytes of a socket are read where they cannot be moved.
const LIFTED: usize = 512;

/// Moves what is there, at most `most` bytes, from the socket `from` into the pipe `to`, which must have
/// room for it; how many, 0 at the end of `from`. `is_there`: something was seen to be, if only the end.
///
/// # Errors
/// What splice(2) says; `WouldBlock` where nothing is there.
pub fn pour(from: impl AsFd, to: impl AsFd, most: usize, is_there: bool) -> io::Result<usize> {
    match splice_on(&from, &to, most) {
        // Before a mark of urgent data splice(2) says just the same, and would for ever.
        Ok(0) => lift(from, to, most),
        Err(error) if is_there && error.kind() == io::ErrorKind::WouldBlock => lift(from, to, most),
        moved => moved,
    }
}

fn lift(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    let mut block = [0; LIFTED];
    let count = read(from, block.get_mut(..most.min(LIFTED)).unwrap_or_default())?;
    let bytes = block.get(..count).unwrap_or_default();
    if !bytes.is_empty() && write(to, bytes)? < count {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(count)
}

fn splice_on(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    Ok(splice(from, None, to, None, most, flags)?)
}

/// So many bytes of a file are read at once where they cannot be sent from it.
const COPIED: usize = 64 * 1024;

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
    match sendfile(&socket, file, Some(at), count) {
        // Not every file system can.
        Err(Errno::EINVAL) => copy(socket, file, at, count),
        Err(errno) if OF_CONNECTIONS.contains(&errno) => Err(errno.into()),
        other => Ok(other.map_err(io::Error::from)),
    }
}

/// As [`send`], by way of a block.
fn copy(
    socket: impl AsFd,
    file: &File,
    at: &mut off_t,
    count: usize,
) -> io::Result<io::Result<usize>> {
    let mut block = vec![0; count.min(COPIED)];
    let read = match file.read_at(&mut block, u64::try_from(*at).unwrap_or(u64::MAX)) {
        Ok(read) => read,
        Err(error) => return Ok(Err(error)),
    };
    let sent = write(socket, block.get(..read).unwrap_or_default())?;
    *at = at.saturating_add(off_t::try_from(sent).unwrap_or(off_t::MAX));
    Ok(Ok(sent))
}

/// What no file says: that it has to wait, and why a connection has ended.
const OF_CONNECTIONS: [Errno; 15] = [
    Errno::EAGAIN,
    Errno::EINTR,
    Errno::EPIPE,
    Errno::ECONNRESET,
    Errno::ECONNABORTED,
    Errno::ECONNREFUSED,
    Errno::ETIMEDOUT,
    Errno::ENOTCONN,
    Errno::ENETDOWN,
    Errno::ENETUNREACH,
    Errno::ENETRESET,
    Errno::EHOSTDOWN,
    Errno::EHOSTUNREACH,
    Errno::ENOBUFS,
    Errno::EPROTO,
];

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::vigil::{self, For};

    #[test]
    fn why_a_connection_has_ended_is_no_fault_of_the_file() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = nobody.local_addr().unwrap();
        drop(nobody);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address.into());
        vigil::wait(socket.as_fd(), For::Writing, None).unwrap();
        let file = File::open("/proc/self/exe").unwrap();
        let error = send(&socket, &file, &mut 0, 1000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
