//! What ureq is given instead of its own sockets and its own resolver: sockets that do not block
//! but wait where bystanders are noticed, and a resolver that takes addresses only. Knows HTTP no
//! further than that a body comes behind a head.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, IoSlice, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as Limit;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::buffers::Growing;
use super::chunks;
use super::early::Early;
use super::loan::{Lent, Loan};
use super::sending::Sending;
use crate::mogilefs::dial::dial;
use crate::pipe;
use crate::vigil::{self, For};

/// Takes an authority that is an address and a port; names are nobody's here.
#[derive(Debug)]
pub(super) struct Literal;

impl Resolver for Literal {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let address = uri
            .authority()
            .and_then(|authority| authority.as_str().parse().ok())
            .ok_or(ureq::Error::HostNotFound)?;
        let mut found = self.empty();
        found.push(address);
        Ok(found)
    }
}

/// Marks the error of a connection that was never made: nothing was sent.
#[derive(Debug)]
pub(super) struct Unconnected(io::Error);

impl fmt::Display for Unconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect: {}", self.0)
    }
}

impl std::error::Error for Unconnected {}

/// Makes connections to nodes.
#[derive(Debug)]
pub(super) struct Dialler {
    pub(super) limit: Duration,
    pub(super) speaker: Speaker,
    pub(super) bodies: Bodies,
    pub(super) lent: Lent,
}

/// What follows each head that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bodies {
    None,
    /// As many bytes as the head says.
    Measured,
    Chunked,
}

/// Which connection spoke last: ureq does not tell whose an answer is.
#[derive(Clone, Debug, Default)]
pub(super) struct Speaker(Arc<Mutex<Option<Tap>>>);

impl Speaker {
    /// The one that has given the answer that has just been received.
    pub(super) fn take(&self) -> Option<Tap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is(&self, tap: &Tap) {
        let spoke = Some(tap.clone());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = spoke;
    }
}

/// A connection, beside ureq: what it has not read from it can be had from here instead. Whoever
/// takes some of it there must not let ureq use the connection again.
#[derive(Clone, Debug)]
pub(super) struct Tap {
    stream: Arc<TcpStream>,
    /// How many bytes ureq has received and not given out.
    held: Arc<AtomicUsize>,
}

impl Tap {
    /// Whether ureq holds nothing that comes before what is in the socket.
    pub(super) fn is_clear(&self) -> bool {
        self.held.load(Ordering::Relaxed) == 0
    }

    /// Moves what is there, at most `most` bytes, into `pipe`, after at most `limit`; 0 at the end.
    pub(super) fn pour(
        &self,
        pipe: BorrowedFd<'_>,
        most: usize,
        limit: Duration,
    ) -> io::Result<usize> {
        let mut is_there = false;
        loop {
            match pipe::pour(&*self.stream, pipe, most, is_there) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    vigil::wait(self.stream.as_fd(), For::Reading, Some(limit))?;
                    is_there = true;
                }
                poured => return poured,
            }
        }
    }
}

impl Connector<()> for Dialler {
    type Out = Line;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _chained: Option<()>,
    ) -> Result<Option<Line>, ureq::Error> {
        let Some(address) = details.addrs.first() else {
            return Err(ureq::Error::HostNotFound);
        };
        match dial(*address, self.limit) {
            Ok(stream) => {
                let buffers = Growing::default();
                let tap = Tap {
                    stream: Arc::new(stream),
                    held: buffers.held(),
                };
                Ok(Some(Line {
                    tap,
                    speaker: self.speaker.clone(),
                    step: match self.bodies {
                        Bodies::None => Step::Rest,
                        Bodies::Measured | Bodies::Chunked => Step::Head,
                    },
                    has_chunks: self.bodies == Bodies::Chunked,
                    lent: self.lent.clone(),
                    peer: *address,
                    buffers,
                    early: Early::default(),
                }))
            }
            Err(error) if vigil::was_interrupted(&error) => Err(ureq::Error::Io(error)),
            Err(error) => Err(ureq::Error::Io(io::Error::new(
                error.kind(),
                Unconnected(error),
            ))),
        }
    }
}

/// What of a message is sent next: a head and the beginning of its body share a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Head,
    /// The kernel holds the head back, for a fraction of a second at most.
    Body,
    Rest,
}

/// One connection to a node.
pub(super) struct Line {
    tap: Tap,
    speaker: Speaker,
    step: Step,
    has_chunks: bool,
    lent: Lent,
    peer: SocketAddr,
    buffers: Growing,
    early: Early,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({})", self.peer)
    }
}

impl Transport for Line {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let limit = limit(timeout.for_write());
        let output = self.buffers.outgoing(amount);
        let mut sending = Sending::new(&self.tap.stream, &mut self.early, limit);
        if self.step == Step::Head {
            self.step = Step::Body;
            return sending.beginning(output);
        }
        self.step = Step::Rest;
        let loan = self.lent.take();
        match (loan, self.has_chunks) {
            (Some(loan), false) if loan.count == amount => sending.file(&loan, &self.lent),
            (Some(loan), true) => send_lent_chunk(&mut sending, output, &loan, &self.lent),
            (Some(_), false) => Err(other_than_lent()),
            (None, true) => send_chunks(&mut sending, output),
            (None, false) => sending.pieces(&mut [IoSlice::new(output)]),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let limit = limit(timeout.for_read());
        if self.step == Step::Body {
            // No body came: this lets the head go.
            self.tap.stream.set_nodelay(true)?;
            self.step = Step::Rest;
        }
        let early = self.early.take();
        if !early.is_empty() {
            let room = self.buffers.input_append_buf();
            let amount = (&*early).read(room)?;
            self.buffers.input_appended(amount);
            return Ok(true);
        }
        loop {
            match (&*self.tap.stream).read(self.buffers.input_append_buf()) {
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    self.speaker.is(&self.tap);
                    return Ok(amount > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    vigil::wait(self.tap.stream.as_fd(), For::Reading, limit)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        let read = (&*self.tap.stream).read(&mut [0]);
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Sends what was lent as one chunk, in the place of those in `output`.
fn send_lent_chunk(
    sending: &mut Sending<'_>,
    output: &[u8],
    loan: &Loan,
    lent: &Lent,
) -> Result<(), ureq::Error> {
    let chunks = chunks::all(output).ok_or_else(other_than_lent)?;
    if chunks::length(&chunks) != loan.count {
        return Err(other_than_lent());
    }
    sending.beginning(&chunks::line(loan.count))?;
    sending.file(loan, lent)?;
    // The line of the next chunk goes with it, or that of the last.
    sending.beginning(chunks::END)
}

/// Sends the chunks in `output` as one. What is nothing but one of them, or has the last, stays as it is.
fn send_chunks(sending: &mut Sending<'_>, output: &[u8]) -> Result<(), ureq::Error> {
    let Some(chunks) = chunks::all(output).filter(|chunks| chunks.len() > 1) else {
        return sending.pieces(&mut [IoSlice::new(output)]);
    };
    let line = chunks::line(chunks::length(&chunks));
    let mut pieces = vec![IoSlice::new(&line)];
    pieces.extend(chunks.iter().map(|bytes| IoSlice::new(bytes)));
    pieces.push(IoSlice::new(chunks::END));
    sending.pieces(&mut pieces)
}

/// What ureq has in the place of lent bytes means nothing, and must not be sent.
fn other_than_lent() -> ureq::Error {
    io::Error::other("ureq sends other bytes than were lent").into()
}

fn limit(timeout: NextTimeout) -> Option<Duration> {
    match timeout.after {
        Limit::Exact(limit) => Some(limit),
        Limit::NotHappening => None,
    }
}

#[cfg(test)]
mod tests;
