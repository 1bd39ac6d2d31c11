//! One connection to one tracker. A line goes out, a line comes back, and both carry the same
//! `callid`; whatever else happens, the connection is not used again. An answer that came too late
//! for its question would otherwise be taken for the answer to the next one.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use crate::mogilefs::dial::dial;
use crate::mogilefs::wire::{self, Fields, LONGEST_REPLY, Refusal, Request};
use crate::vigil::{self, For};

/// How much is read at once, in bytes.
const BLOCK: usize = 64 * 1024;

/// How many requests may be under way at once.
const WINDOW: usize = 64;

/// What a tracker said to one request.
pub(super) type Answer = Result<Fields, Refusal>;

/// Requests that are under way, and what has come of them.
pub(super) struct Round {
    /// The number of the first question.
    first: u64,
    outbox: Vec<u8>,
    sent: usize,
    slots: Vec<Option<Answer>>,
    missing: usize,
    /// How many bytes have come, of all answers together that somebody waits for.
    received: usize,
}

impl Round {
    /// The answers, once [`Connection::advance`] has said that all are there.
    pub(super) fn answers(self) -> impl Iterator<Item = Answer> {
        self.slots.into_iter().flatten()
    }
}

pub(super) struct Connection {
    stream: TcpStream,
    /// Names this connection within the process; the first half of each `callid`.
    number: u64,
    asked: u64,
    /// Whether this tracker is known to echo `callid`, so that answers can be told apart.
    echoes: bool,
    inbox: Vec<u8>,
    /// How much of `inbox` has been searched for a line end in vain.
    searched: usize,
}

thread_local! {
    static CONNECTIONS: Cell<u64> = const { Cell::new(0) };
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Connection {
    pub(super) fn open(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = dial(address, limit)?;
        // A tracker never closes an idle connection; a router between may forget it.
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60));
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        CONNECTIONS.set(CONNECTIONS.get() + 1);
        Ok(Self {
            stream,
            number: CONNECTIONS.get(),
            asked: 0,
            echoes: false,
            inbox: Vec::new(),
            searched: 0,
        })
    }

    /// Whether a request may be sent: the tracker has not closed it, and nothing lies there that
    /// nobody asked for.
    pub(super) fn is_fit(&mut self) -> bool {
        let mut byte = [0];
        self.inbox.is_empty()
            && matches!(self.stream.read(&mut byte),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends all `requests` and returns the answers in the order of the requests. `limit` is for
    /// each answer.
    ///
    /// # Errors
    /// `TimedOut`; `UnexpectedEof` when the tracker closed; `InvalidData` when what came was no
    /// answer to any of them. After an error the connection must be dropped.
    pub(super) fn exchange(
        &mut self,
        requests: &[Request],
        limit: Duration,
    ) -> io::Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(requests.len());
        let (mut rest, mut received) = (requests, 0);
        while !rest.is_empty() {
            let window = if self.echoes { WINDOW } else { 1 };
            let (now, later) = rest.split_at(window.min(rest.len()));
            let mut round = self.begin(now);
            round.received = received;
            self.complete(&mut round, limit)?;
            received = round.received;
            answers.extend(round.answers());
            rest = later;
        }
        Ok(answers)
    }

    fn complete(&mut self, round: &mut Round, limit: Duration) -> io::Result<()> {
        let mut missing = round.missing;
        let mut deadline = Instant::now() + limit;
        while !self.advance(round)? {
            if round.missing < missing {
                missing = round.missing;
                deadline = Instant::now() + limit;
            }
            let (waits, count) = self.waits(round);
            vigil::wait_until(waits.get(..count).unwrap_or(&waits), Some(deadline))?;
        }
        Ok(())
    }

    /// Puts questions; nothing is sent before [`Self::advance`].
    pub(super) fn begin(&mut self, requests: &[Request]) -> Round {
        let first = self.asked + 1;
        let mut outbox = Vec::new();
        for request in requests {
            self.asked += 1;
            request.write_to(&callid(self.number, self.asked), &mut outbox);
        }
        Round {
            first,
            outbox,
            sent: 0,
            slots: requests.iter().map(|_| None).collect(),
            missing: requests.len(),
            received: 0,
        }
    }

    /// Sends and takes what can be sent and taken now; whether all answers are there.
    ///
    /// # Errors
    /// As [`Self::exchange`], without `TimedOut`.
    pub(super) fn advance(&mut self, round: &mut Round) -> io::Result<bool> {
        while round.missing > 0 {
            round.sent += self.send(round.outbox.get(round.sent..).unwrap_or_default())?;
            let Some(count) = self.receive()? else {
                return Ok(false);
            };
            round.received += count;
            if round.received > LONGEST_REPLY {
                return Err(invalid("an answer that does not end".to_owned()));
            }
            while let Some(line) = self.line() {
                self.sort_in(line, round.first, &mut round.slots)?;
                round.missing = round.missing.saturating_sub(1);
            }
        }
        if self.inbox.is_empty() {
            Ok(true)
        } else {
            Err(invalid("more answers than questions".to_owned()))
        }
    }

    /// What to wait for before it can advance: so many of these.
    pub(super) fn waits(&self, round: &Round) -> ([(BorrowedFd<'_>, For); 2], usize) {
        let fd = self.stream.as_fd();
        let count = if round.sent < round.outbox.len() {
            2
        } else {
            1
        };
        ([(fd, For::Reading), (fd, For::Writing)], count)
    }

    /// Sends what can be sent now.
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match (&self.stream).write(bytes) {
            Err(error) if would_block(&error) => Ok(0),
            sent => sent,
        }
    }

    /// Takes what is there, and says how much that was; `None`: nothing yet.
    fn receive(&mut self) -> io::Result<Option<usize>> {
        let filled = self.inbox.len();
        self.inbox.resize(filled + BLOCK, 0);
        let space = self.inbox.get_mut(filled..).unwrap_or_default();
        let read = (&self.stream).read(space);
        self.inbox.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(Some(count)),
            Err(error) if would_block(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next whole line, without its line end.
    fn line(&mut self) -> Option<Vec<u8>> {
        let unsearched = self.inbox.get(self.searched..).unwrap_or_default();
        let Some(end) = unsearched.iter().position(|&byte| byte == b'\n') else {
            self.searched = self.inbox.len();
            return None;
        };
        let rest = self.inbox.split_off(self.searched + end + 1);
        let mut line = std::mem::replace(&mut self.inbox, rest);
        self.searched = 0;
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
        Some(line)
    }

    /// Puts an answer where it belongs; the first question of this round has the number `first`.
    fn sort_in(
        &mut self,
        line: Vec<u8>,
        first: u64,
        slots: &mut [Option<Answer>],
    ) -> io::Result<()> {
        let reply = wire::parse(line).map_err(|why| invalid(why.to_owned()))?;
        let slot = match &reply.callid {
            Some(id) => {
                self.echoes = true;
                slots.iter_mut().zip(first..).find_map(|(slot, number)| {
                    (*id == callid(self.number, number).into_bytes()).then_some(slot)
                })
            }
            None if slots.len() == 1 => slots.first_mut(),
            None => None,
        };
        match slot {
            Some(slot @ None) => {
                *slot = Some(reply.answer);
                Ok(())
            }
            _ => Err(invalid(format!(
                "an answer to another question: callid {:?}, not {}",
                reply
                    .callid
                    .map(|id| String::from_utf8_lossy(&id).into_owned()),
                callid(self.number, first),
            ))),
        }
    }
}

fn callid(connection: u64, question: u64) -> String {
    format!("{connection}-{question}")
}

fn would_block(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests;
