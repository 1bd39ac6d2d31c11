//! A connection with its client, in the clear or under TLS. Each call does what can be done now;
//! who waits, and for how long, is the caller's affair.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use nix::libc;
use socket2::SockRef;

use crate::tls;

/// One end of a connection; its socket does not block.
pub(super) enum Wire {
    Plain(TcpStream),
    Secure(Box<tls::Stream>),
}

impl Wire {
    /// Reads what is there; `WouldBlock` when nothing is. The end of a TLS stream without its
    /// close_notify is `UnexpectedEof`.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Secure(stream) => stream.read_now(buffer),
        }
    }

    /// Takes some of `bytes`; `WouldBlock` when it can take none.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Secure(stream) => stream.write_now(bytes),
        }
    }

    /// As [`Wire::write`], of bytes that in the clear wait for what [`Wire::end`] says, to go together with
    /// it.
    pub(super) fn write_before_end(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_MORE | libc::MSG_NOSIGNAL;
        match self {
            Self::Plain(stream) => SockRef::from(&*stream).send_with_flags(bytes, flags),
            Self::Secure(stream) => stream.write_now(bytes),
        }
    }

    /// Hands what was taken over to the kernel; `WouldBlock` when some of it has to wait.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Secure(stream) => stream.flush_now(),
        }
    }

    /// Puts a new ticket before what is sent next, where TLS wants one for each data connection.
    pub(super) fn renew_ticket(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Secure(stream) => stream.renew_ticket(),
        }
    }

    /// Whether something can be read that poll(2) does not know of.
    pub(super) fn has_read_ahead(&mut self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Secure(stream) => stream.has_read_ahead(),
        }
    }

    /// Takes in what poll(2) says is there; whether that is something to be read, if only the end.
    pub(super) fn take_in(&mut self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Secure(stream) => stream.take_in(),
        }
    }

    /// Says that nothing more will come.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown(Shutdown::Write),
            Self::Secure(stream) => stream.close(),
        }
    }

    pub(super) fn is_secure(&self) -> bool {
        matches!(self, Self::Secure(_))
    }

    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(stream) => stream.socket(),
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}
