//! Asking many nodes at once when their copies were written: HEAD requests on kept connections, one
//! under way on each, all of them waited for together. A node that does not tell costs its answers,
//! never the others'.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::{IDLE, Location};
use crate::config;
use crate::figures::{self, Wait};
use crate::mogilefs::Error;
use crate::text::quoted_error;
use crate::vigil::{self, For};

/// The most connections, to one node and in all, those that wait for the next question included.
const LINES: (usize, usize) = (4, 16);

/// The longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// Connections, and how long to wait for them.
pub(super) struct Heads {
    idle: Vec<Line>,
    connect: Duration,
    answer: Duration,
}

impl Heads {
    pub(super) fn new(settings: &config::Mogilefs) -> Self {
        Self {
            idle: Vec::new(),
            connect: settings.timeout,
            answer: settings.read_timeout,
        }
    }

    /// The times of the copies at `places`, of those that `may_ask` lets through, and the nodes
    /// that could not be asked.
    pub(super) fn ask(
        &mut self,
        places: &[Location],
        may_ask: impl Fn(&Location) -> bool,
    ) -> Result<(Vec<Option<i64>>, BTreeSet<SocketAddr>), Error> {
        self.idle.retain(Line::is_fit);
        let mut round = Round {
            places,
            found: vec![None; places.len()],
            waiting: BTreeMap::new(),
            failed: BTreeSet::new(),
        };
        for (at, place) in places.iter().enumerate() {
            if may_ask(place) {
                round
                    .waiting
                    .entry(place.address)
                    .or_default()
                    .push_back(at);
            }
        }
        let mut lines: Vec<Line> = Vec::new();
        loop {
            self.occupy(&mut lines, &mut round);
            if lines.is_empty() {
                return Ok((round.found, round.failed));
            }
            wait(&lines)?;
            for mut line in std::mem::take(&mut lines) {
                match line.step() {
                    Ok(None) => lines.push(line),
                    Ok(Some(answer)) => {
                        if let Some(found) = round.found.get_mut(line.asked) {
                            *found = answer.modified;
                        }
                        if answer.is_kept {
                            self.idle.push(line);
                        }
                    }
                    Err(error) => round.lose(&line, &error),
                }
            }
        }
    }

    /// Gives every line that may be there a question.
    fn occupy(&mut self, lines: &mut Vec<Line>, round: &mut Round<'_>) {
        let nodes: Vec<SocketAddr> = round.waiting.keys().copied().collect();
        for node in nodes {
            let mut busy = lines.iter().filter(|line| line.node == node).count();
            while busy < LINES.0 && lines.len() < LINES.1 {
                let Some((at, place)) = round.next(node) else {
                    break;
                };
                let kept = self.idle.iter().position(|line| line.node == node);
                let line = match kept {
                    Some(kept) => Ok(self.idle.remove(kept)),
                    None => {
                        // Each costs a descriptor, and there may be hundreds of nodes.
                        if self.idle.len() + lines.len() >= LINES.1 && !self.idle.is_empty() {
                            self.idle.remove(0);
                        }
                        Line::open(node)
                    }
                };
                match line {
                    Ok(mut line) => {
                        let limit = if line.is_new {
                            self.connect
                        } else {
                            Duration::ZERO
                        };
                        line.question(at, &place.url, limit + self.answer);
                        lines.push(line);
                        busy += 1;
                    }
                    Err(error) => round.give_up(node, &error),
                }
            }
        }
    }
}

fn wait(lines: &[Line]) -> Result<(), Error> {
    let waits: Vec<_> = lines
        .iter()
        .map(|line| {
            let direction = if line.outbox.is_empty() {
                For::Reading
            } else {
                For::Writing
            };
            (line.stream.as_fd(), direction)
        })
        .collect();
    let deadline = lines.iter().map(|line| line.deadline).min();
    match vigil::wait_until(&waits, deadline) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
        waited => Ok(waited.map(|_| ())?),
    }
}

/// What is asked, and what has come of it.
struct Round<'p> {
    places: &'p [Location],
    found: Vec<Option<i64>>,
    /// Places still to be asked for, by node.
    waiting: BTreeMap<SocketAddr, VecDeque<usize>>,
    failed: BTreeSet<SocketAddr>,
}

impl<'p> Round<'p> {
    fn next(&mut self, node: SocketAddr) -> Option<(usize, &'p Location)> {
        let queue = self.waiting.get_mut(&node)?;
        let at = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&node);
        }
        let at = at?;
        Some((at, self.places.get(at)?))
    }

    /// A line broke. One that was kept may have been closed in the meantime: its question is asked
    /// again on a fresh one.
    fn lose(&mut self, line: &Line, error: &io::Error) {
        let is_stale = !line.is_new && error.kind() != io::ErrorKind::TimedOut;
        if is_stale {
            let queue = self.waiting.entry(line.node).or_default();
            queue.push_front(line.asked);
        } else {
            self.give_up(line.node, error);
        }
    }

    fn give_up(&mut self, node: SocketAddr, error: &io::Error) {
        self.waiting.remove(&node);
        if self.failed.insert(node) {
            log::warn!("head-failed addr={node} error={}", quoted_error(error));
        }
    }
}

/// What a node said of a copy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) modified: Option<i64>,
    /// Whether the connection can be used again.
    pub(super) is_kept: bool,
}

/// One connection to a node.
struct Line {
    stream: TcpStream,
    node: SocketAddr,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    /// Whether nothing was ever answered on it.
    is_new: bool,
    asked: usize,
    since: Instant,
    deadline: Instant,
}

impl Line {
    /// Begins to connect.
    fn open(node: SocketAddr) -> io::Result<Self> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(node), kind, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&node.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => {
                return Err(error);
            }
            _ => {}
        }
        let now = Instant::now();
        Ok(Self {
            stream: socket.into(),
            node,
            outbox: Vec::new(),
            inbox: Vec::new(),
            is_new: true,
            asked: 0,
            since: now,
            deadline: now,
        })
    }

    /// Whether it can be used again.
    fn is_fit(&self) -> bool {
        let read = (&self.stream).read(&mut [0]);
        self.since.elapsed() < IDLE
            && matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    fn question(&mut self, at: usize, url: &str, limit: Duration) {
        let path = url
            .strip_prefix("http://")
            .and_then(|rest| rest.find('/').and_then(|slash| rest.get(slash..)))
            .unwrap_or("/");
        self.outbox = format!(
            "HEAD {path} HTTP/1.1\r\nHost: {}\r\nConnection: keep-alive\r\n\r\n",
            self.node
        )
        .into_bytes();
        self.inbox.clear();
        self.asked = at;
        self.since = Instant::now();
        self.deadline = self.since + limit;
    }

    /// Goes on as far as that goes now.
    fn step(&mut self) -> io::Result<Option<Answer>> {
        while !self.outbox.is_empty() {
            match (&self.stream).write(&self.outbox) {
                Ok(sent) => {
                    self.outbox.drain(..sent);
                }
                Err(error) => return self.pending(error),
            }
        }
        loop {
            let mut block = [0; 2048];
            match (&self.stream).read(&mut block) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.inbox
                        .extend_from_slice(block.get(..read).unwrap_or_default());
                    if let Some(answer) = answer(&self.inbox) {
                        figures::took(Wait::NodeHead, self.since.elapsed());
                        self.is_new = false;
                        return Ok(Some(answer));
                    }
                    if self.inbox.len() > LONGEST_HEAD {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                }
                Err(error) => return self.pending(error),
            }
        }
    }

    fn pending(&self, error: io::Error) -> io::Result<Option<Answer>> {
        match error.kind() {
            io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NotConnected
                if Instant::now() < self.deadline =>
            {
                Ok(None)
            }
            io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected => {
                Err(io::ErrorKind::TimedOut.into())
            }
            _ => Err(error),
        }
    }
}

/// What the head in `bytes` says, if it is whole.
pub(super) fn answer(bytes: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let read = match response.parse(bytes) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(read)) => read,
        Err(_) => {
            return Some(Answer {
                modified: None,
                is_kept: false,
            });
        }
    };
    let value = |name: &str| {
        let mut all = response.headers.iter();
        let found = all.find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(str::trim)
    };
    let is_kept = match value("connection") {
        Some(words) if words.eq_ignore_ascii_case("keep-alive") => true,
        Some(_) => false,
        None => response.version == Some(1),
    };
    let modified = value("last-modified")
        .filter(|_| response.code == Some(200))
        .and_then(|text| jiff::fmt::rfc2822::parse(text).ok())
        .map(|time| time.timestamp().as_second());
    Some(Answer {
        modified,
        // What follows the head of an answer to HEAD was not asked for, or is the answer itself.
        is_kept: is_kept && read == bytes.len() && response.code >= Some(200),
    })
}

#[cfg(test)]
mod tests;
