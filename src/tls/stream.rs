//! One TLS connection over a non-blocking socket: blocking reads and writes with a limit on each
//! wait, during which bystanders are noticed.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};
use socket2::SockRef;

use super::records::Records;
use super::renewal;
use crate::vigil::{self, For};

/// How much plain text may wait to be sealed, in bytes: a few full records at a time, so that one
/// write to the socket carries them together.
const RECORDS_AHEAD: usize = 256 * 1024;

/// A TLS connection that has been accepted.
pub struct Stream {
    tls: ServerConnection,
    socket: TcpStream,
    records: Records,
    limit: Duration,
    /// The message that issues a ticket of TLS 1.3, on a control connection.
    ticket: Option<Vec<u8>>,
    /// What reading came upon behind bytes that were there; the kernel says some things only once.
    failed: Option<io::Error>,
}

impl Stream {
    pub(super) fn new(
        rules: Arc<ServerConfig>,
        id: &[u8],
        socket: TcpStream,
        limit: Duration,
    ) -> io::Result<Self> {
        let mut tls = ServerConnection::new(rules).map_err(io::Error::other)?;
        tls.set_resumption_data(id);
        tls.set_buffer_limit(Some(RECORDS_AHEAD));
        SockRef::from(&socket).set_nonblocking(true)?;
        Ok(Self {
            tls,
            socket,
            records: Records::default(),
            limit,
            ticket: None,
            failed: None,
        })
    }

    /// All of it must be done within the limit, however many steps the other side makes of it.
    pub(super) fn shake_hands(&mut self) -> io::Result<()> {
        let deadline = Instant::now().checked_add(self.limit);
        while self.tls.is_handshaking() {
            self.send(deadline)?;
            if self.tls.is_handshaking() && self.receive(deadline)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let is_newest = self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        self.ticket = renewal::take_issued().filter(|_| is_newest);
        self.send(deadline)
    }

    /// Has the client get a ticket with what is sent next, for the data connection that it will make:
    /// it may have used up those of the handshake. TLS 1.2 has no need of it, a ticket is good for
    /// many times there.
    ///
    /// # Errors
    /// The connection is not one that can be written to any more.
    pub fn renew_ticket(&mut self) -> io::Result<()> {
        match &self.ticket {
            // Behind much that waits it might be taken by halves, and must not be.
            Some(ticket) if !self.tls.wants_write() => {
                renewal::send_again(&mut self.tls.writer(), ticket)
            }
            _ => Ok(()),
        }
    }

    /// A ticket that could be opened is one of this session, in either version: the key has sealed
    /// none for others. TLS 1.3 also shows what was sealed; rustls does not for TLS 1.2.
    pub(super) fn resumes(&self, id: &[u8]) -> bool {
        let sealed = self.tls.received_resumption_data();
        let is_same = match self.tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => sealed.is_none_or(|sealed| sealed == id),
            _ => sealed == Some(id),
        };
        is_same && self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The protocol version, for the log: `TLSv1_3`.
    #[must_use]
    pub fn version(&self) -> String {
        self.tls
            .protocol_version()
            .map_or_else(String::new, |version| format!("{version:?}"))
    }

    /// What the client has shown, its own certificate first, where it was asked for one.
    pub(super) fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.tls.peer_certificates()
    }

    /// Sets the longest wait of later reads and writes.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Whether a read would not wait, whatever poll(2) says of the socket: plain text, or the end,
    /// has been received with what was read before.
    pub fn has_read_ahead(&mut self) -> bool {
        if self.failed.is_some() {
            return true;
        }
        let state = self.process();
        state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed())
    }

    /// Takes in what has come, without waiting; whether a read would not wait now: a part of a record is
    /// nothing by itself.
    pub fn take_in(&mut self) -> bool {
        if self.has_read_ahead() {
            return true;
        }
        let taken = match self.take_bytes() {
            Ok(0) => return true,
            taken => taken.and_then(|_| self.process()),
        };
        match taken {
            Ok(_) => self.has_read_ahead(),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => false,
                _ => {
                    self.failed = Some(error);
                    true
                }
            },
        }
    }

    /// Reads what is there now, as much as `buf` holds, without waiting: `WouldBlock` if nothing is.
    ///
    /// # Errors
    /// As [`Read::read`], and `WouldBlock`.
    pub fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut count = 0;
        while let Some(room) = buf.get_mut(count..).filter(|room| !room.is_empty()) {
            match self.read_record(room) {
                Ok(0) => break,
                Ok(read) => count += read,
                Err(error) if count == 0 => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok(count)
    }

    fn read_record(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                answer => return answer,
            }
            let received = self.take_bytes()?;
            self.process()?;
            if received == 0 {
                if self.records.is_within() {
                    return Err(io::Error::new(
                        io::ErrorKind::ConnectionAborted,
                        "it was cut off",
                    ));
                }
                // Without close_notify the reader reports UnexpectedEof: the end is a lie.
                return self.tls.reader().read(buf);
            }
        }
    }

    /// Takes some of `bytes` to be sealed, without waiting; `WouldBlock` when what was taken before
    /// must leave first.
    ///
    /// # Errors
    /// As [`Write::write`], and `WouldBlock`.
    pub fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush_now()?;
        let taken = self.tls.writer().write(bytes)?;
        match self.flush_now() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    /// Hands what was sealed to the kernel, without waiting; `WouldBlock` if some of it is left.
    ///
    /// # Errors
    /// As [`Write::flush`], and `WouldBlock`.
    pub fn flush_now(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that no more will come (close_notify), and sends all that is still here.
    ///
    /// # Errors
    /// As [`Write::flush`].
    pub fn close(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        self.flush()?;
        self.socket.shutdown(Shutdown::Write)
    }

    /// The socket, for its addresses and options.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn process(&mut self) -> io::Result<rustls::IoState> {
        match self.tls.process_new_packets() {
            Ok(state) => Ok(state),
            Err(error) => {
                // The alert that explains it; whether it arrives no longer matters.
                let _ = self.tls.write_tls(&mut self.socket);
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    fn take_bytes(&mut self) -> io::Result<usize> {
        self.tls.read_tls(&mut self.records.of(&mut self.socket))
    }

    fn receive(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        loop {
            match self.take_bytes() {
                Ok(received) => {
                    self.process()?;
                    return Ok(received);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    vigil::wait_until(&[(self.socket.as_fd(), For::Reading)], deadline)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        loop {
            match self.flush_now() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    vigil::wait_until(&[(self.socket.as_fd(), For::Writing)], deadline)?;
                }
                sent => return sent,
            }
        }
    }
}

impl Read for Stream {
    /// `Ok(0)` is the other side's close_notify. An end without it is `UnexpectedEof`, and one within a record
    /// `ConnectionAborted`.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.read_now(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    vigil::wait(self.socket.as_fd(), For::Reading, Some(self.limit))?;
                }
                answer => return answer,
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let taken = self.tls.writer().write(buf)?;
        self.flush()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send(Instant::now().checked_add(self.limit))
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
