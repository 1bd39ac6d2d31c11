//! Sending to a node, from memory or from a file, with an ear for what it says meanwhile. A node that takes
//! nothing for too long is given up.
#![forbid(unsafe_code)]

use std::io::{self, IoSlice, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::libc::{MSG_MORE, MSG_NOSIGNAL};
use socket2::SockRef;

use super::early::Early;
use super::loan::{Lent, Loan};
use crate::pipe;
use crate::vigil::{self, For};

/// One message on its way.
pub(super) struct Sending<'l> {
    /// Not written to by sendmsg(2), which could hand descriptors over: a worker may not make that call.
    stream: &'l TcpStream,
    early: &'l mut Early,
    /// How long the node may take nothing.
    limit: Option<Duration>,
    /// Until when it may.
    deadline: Option<Instant>,
}

impl<'l> Sending<'l> {
    pub(super) fn new(
        stream: &'l TcpStream,
        early: &'l mut Early,
        limit: Option<Duration>,
    ) -> Self {
        Self {
            stream,
            early,
            limit,
            deadline: None,
        }
    }

    /// Sends all of `bytes`, to which there is more: the kernel may hold their end back for what follows,
    /// for a fraction of a second at most.
    ///
    /// # Errors
    /// An early answer, and what the connection says.
    pub(super) fn beginning(&mut self, mut bytes: &[u8]) -> Result<(), ureq::Error> {
        while !bytes.is_empty() {
            match SockRef::from(self.stream).send_with_flags(bytes, MSG_NOSIGNAL | MSG_MORE) {
                Ok(sent) => {
                    bytes = bytes.get(sent..).unwrap_or_default();
                    self.deadline = None;
                }
                Err(error) => self.go_on_after(error)?,
            }
        }
        Ok(())
    }

    /// Sends all of `pieces`.
    ///
    /// # Errors
    /// As [`Sending::beginning`].
    pub(super) fn pieces(&mut self, mut pieces: &mut [IoSlice<'_>]) -> Result<(), ureq::Error> {
        while pieces.iter().any(|piece| !piece.is_empty()) {
            match self.stream.write_vectored(pieces) {
                Ok(sent) => {
                    IoSlice::advance_slices(&mut pieces, sent);
                    self.deadline = None;
                }
                Err(error) => self.go_on_after(error)?,
            }
        }
        Ok(())
    }

    /// Sends what `loan` is of; `lent` is told if the file is to blame.
    ///
    /// # Errors
    /// As [`Sending::beginning`].
    pub(super) fn file(&mut self, loan: &Loan, lent: &Lent) -> Result<(), ureq::Error> {
        let failed = |error| {
            lent.fail(error);
            io::Error::from(io::ErrorKind::Other)
        };
        let mut at = i64::try_from(loan.offset).map_err(io::Error::other)?;
        let mut left = loan.count;
        while left > 0 {
            match pipe::send(self.stream, &loan.file, &mut at, left) {
                Ok(Ok(sent @ 1..)) => {
                    left = left.saturating_sub(sent);
                    self.deadline = None;
                }
                Ok(Ok(0)) => return Err(failed(io::ErrorKind::UnexpectedEof.into()).into()),
                Ok(Err(error)) => return Err(failed(error).into()),
                Err(error) => self.go_on_after(error)?,
            }
        }
        Ok(())
    }

    /// Waits until more can be sent, if that is what `error` says.
    fn go_on_after(&mut self, error: io::Error) -> Result<(), ureq::Error> {
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::WouldBlock => {
                let fd = self.stream.as_fd();
                let waits = [(fd, For::Writing), (fd, For::Reading)];
                if self.deadline.is_none() {
                    self.deadline = self.limit.map(|limit| Instant::now() + limit);
                }
                match vigil::wait_until(&waits, self.deadline)? {
                    1 => self.early.hear(self.stream),
                    _ => Ok(()),
                }
            }
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Err(self.early.hear_the_last(self.stream))
            }
            _ => Err(error.into()),
        }
    }
}
