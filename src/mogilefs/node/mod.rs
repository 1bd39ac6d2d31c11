//! Storage nodes: moving the bytes of one file to or from one node over HTTP. A transfer has no
//! limit as a whole, only its standstills have. Knows no trackers and no keys.
//!
//! GET and PUT are ureq's: it writes and reads heads, counts bodies, and keeps connections. Ours is
//!
//! * what it runs on: `transport`, a connection that waits in the vigil, with `buffers` to read into and write
//!   from, and `sending`; `early` hears a node that answers before it has the whole body, `chunks` makes one
//!   chunk of many;
//! * what bytes do beside it, since it would copy them. Down: the rest of a body is taken from the socket
//!   itself (`transport::Tap`, poured by `body`). Up: what lies in a file is sent from there (`loan`), while
//!   ureq counts as many bytes that nobody sends.
//!
//! HEAD does without it: `heads` asks many nodes at the same time, and ureq waits for one answer at a time.
//!
//! No thread shares anything. Where ureq's side and ours know the same thing, it is in an `Arc`, with a `Mutex`
//! or an atomic number in it, because ureq takes only connections that are `Send` and `Sync`.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use ureq::http::{HeaderMap, StatusCode, header};
use ureq::{Agent, SendBody};

use super::health::Health;
use super::{Error, Gossip, Solitude};
use crate::config::{self, Network};
use crate::figures::{self, Event, Wait};
use crate::vigil;
use transport::{Bodies, Dialler, Literal, Speaker, Unconnected};

mod body;
mod buffers;
mod chunks;
mod early;
mod heads;
mod loan;
mod location;
mod sending;
mod transport;
#[cfg(any(test, fuzzing))]
pub(super) mod trials;

pub(crate) use body::Bytes;
use body::{Exactly, Pace};
use heads::Heads;
use loan::Lent;
pub(crate) use loan::{Content, Loan};
pub(crate) use location::Location;

/// How long an idle connection to a node is kept; nodes close them after 30 s.
const IDLE: Duration = Duration::from_secs(15);

/// How many bytes a node is given a second for, after it has a body and before it must have
/// answered.
const STORED_A_SECOND: u64 = 10 * 1024 * 1024;

/// The longest that any node is waited for, however large the body was.
const LONGEST_STORE: Duration = Duration::from_secs(20 * 60);

/// The storage nodes. Copies share their connections, and what is known of the nodes.
#[derive(Clone)]
pub(crate) struct Nodes {
    /// Keeps connections.
    getter: Agent,
    /// Does not: a node that has closed an idle connection would be noticed too late.
    putter: Agent,
    /// The same for bodies whose length is not known.
    streamer: Agent,
    /// The getter's connection that answered last.
    speaker: Speaker,
    /// What of a body is not read by putter or streamer.
    lent: Lent,
    read_timeout: Duration,
    store_timeout: Duration,
    allowed: Rc<[Network]>,
    health: Rc<RefCell<HashMap<SocketAddr, Health>>>,
    gossip: Rc<RefCell<Rc<dyn Gossip>>>,
    heads: Rc<RefCell<Heads>>,
}

impl Nodes {
    pub(super) fn new(settings: &config::Mogilefs) -> Self {
        let (speaker, lent) = (Speaker::default(), Lent::default());
        let agent = |idle, bodies, speaker: &Speaker| {
            let dialler = Dialler {
                limit: settings.timeout,
                speaker: speaker.clone(),
                bodies,
                lent: lent.clone(),
            };
            agent(settings, idle, dialler)
        };
        Self {
            getter: agent(4, Bodies::None, &speaker),
            putter: agent(0, Bodies::Measured, &Speaker::default()),
            streamer: agent(0, Bodies::Chunked, &Speaker::default()),
            speaker,
            lent: lent.clone(),
            read_timeout: settings.read_timeout,
            store_timeout: settings.store_timeout,
            allowed: settings.storage.clone().into(),
            health: Rc::default(),
            gossip: Rc::new(RefCell::new(Rc::new(Solitude))),
            heads: Rc::new(RefCell::new(Heads::new(settings))),
        }
    }

    pub(super) fn listen_to(&self, gossip: Rc<dyn Gossip>) {
        self.gossip.replace(gossip);
    }

    fn gossip(&self) -> Rc<dyn Gossip> {
        Rc::clone(&self.gossip.borrow())
    }

    /// Whether the node at `address` failed lately and is to be tried after others.
    pub(crate) fn is_shunned(&self, address: SocketAddr) -> bool {
        let now = Instant::now();
        let health = self.health.borrow();
        let own = health.get(&address);
        own.is_some_and(|health| health.is_shunned(now)) || self.gossip().is_shunned(address)
    }

    /// Whether this copy was found to have other bytes than the file, and is the last to be tried.
    pub(crate) fn is_corrupt(&self, copy: &Location) -> bool {
        let names = copy.fid.zip(copy.device);
        names.is_some_and(|(fid, device)| self.gossip().is_corrupt(fid, device))
    }

    /// This copy has other bytes than the file.
    pub(crate) fn corrupt(&self, fid: u64, device: u32) {
        self.gossip().corrupt(fid, device);
    }

    /// Fetches a file of `length` bytes from byte `offset` on, which lies before its end.
    ///
    /// # Errors
    /// Also when the node's file has another length.
    pub(crate) fn get(&self, from: &Location, offset: u64, length: u64) -> Result<Bytes, Error> {
        self.admit(from.address)?;
        let mut request = self.getter.get(&from.url);
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
        }
        let begun = Instant::now();
        let response = request.call();
        let tap = self.speaker.take();
        let response = self.judged(from.address, response)?;
        figures::took(Wait::NodeGet, begun.elapsed());
        let (head, body) = response.into_parts();
        // None was asked for: the bytes would not be those of the file.
        if let Some(encoding) = head.headers.get(header::CONTENT_ENCODING) {
            let text = format!("{} came with encoding {encoding:?}", from.url);
            return Err(Error::Protocol(text));
        }
        match (head.status, offset) {
            (StatusCode::OK, 0) if content_length(&head.headers) == Some(length) => {}
            (StatusCode::PARTIAL_CONTENT, 1..)
                if content_range(&head.headers) == Some((offset, length)) => {}
            (StatusCode::OK | StatusCode::PARTIAL_CONTENT, _) => {
                return Err(Error::Protocol(format!(
                    "asked {} for bytes {offset}- of {length}, got {} with {:?} bytes, range {:?}",
                    from.url,
                    head.status.as_u16(),
                    content_length(&head.headers),
                    content_range(&head.headers),
                )));
            }
            (status, _) => return Err(Error::Http(status.as_u16())),
        }
        let left = length - offset;
        Ok(Bytes {
            // What comes in chunks is not to be had beside ureq.
            tap: tap.filter(|_| body.content_length() == Some(left)),
            was_tapped: false,
            body: body.into_reader(),
            left,
            pace: Pace::new(self.read_timeout),
        })
    }

    /// When the copies at `places` were written, in seconds since the epoch, in their order; `None`
    /// where a node does not tell. All nodes are asked at the same time.
    ///
    /// # Errors
    /// Only `Interrupted`.
    pub(crate) fn modified(&self, places: &[Location]) -> Result<Vec<Option<i64>>, Error> {
        let may_ask =
            |place: &Location| self.admit(place.address).is_ok() && !self.is_shunned(place.address);
        let (found, failed) = self.heads.borrow_mut().ask(places, may_ask)?;
        let now = Instant::now();
        for node in failed {
            self.health
                .borrow_mut()
                .entry(node)
                .or_default()
                .failed(now);
        }
        Ok(found)
    }

    /// Stores what `body` gives: `size` bytes, or as many as come before its end. `md5` is for nodes
    /// that verify it.
    ///
    /// # Errors
    /// See [`Unstored`].
    pub(crate) fn put(
        &self,
        to: &Location,
        body: &mut dyn Content,
        size: Option<u64>,
        md5: Option<[u8; 16]>,
    ) -> Result<(), Unstored> {
        self.admit(to.address).map_err(Unstored::Untouched)?;
        let mut body = Exactly {
            inner: body,
            lent: &self.lent,
            left: size,
            failure: None,
        };
        let patience = Duration::from_secs(size.unwrap_or(0) / STORED_A_SECOND);
        let patience = self.store_timeout.saturating_add(patience);
        let putter = match size {
            Some(_) => &self.putter,
            None => &self.streamer,
        };
        let mut request = putter.put(&to.url).header(header::CONNECTION, "close");
        if let Some(size) = size {
            request = request.header(header::CONTENT_LENGTH, size);
        }
        if let Some(md5) = md5 {
            request = request.header("content-md5", Base64::encode_string(&md5));
        }
        let begun = Instant::now();
        let response = request
            .config()
            .timeout_per_read(None)
            .timeout_recv_response(Some(patience.min(LONGEST_STORE)))
            .build()
            .send(SendBody::from_reader(&mut body));
        if let Some(failure) = self.lent.end().or(body.failure) {
            return Err(Unstored::Body(failure));
        }
        match self.judged(to.address, response) {
            Ok(response) if response.status().is_success() => {
                figures::took(Wait::NodePut, begun.elapsed());
                Ok(())
            }
            Ok(response) => Err(Unstored::Begun(Error::Http(response.status().as_u16()))),
            Err(error @ Error::NoNode(_)) => Err(Unstored::Untouched(error)),
            Err(error) => Err(Unstored::Begun(error)),
        }
    }

    /// The node at `address` has failed in the middle of something: others come first for a while.
    pub(crate) fn blame(&self, address: SocketAddr) {
        let mut health = self.health.borrow_mut();
        health.entry(address).or_default().failed(Instant::now());
        self.gossip().failed(address);
    }

    /// Only nodes in the configured networks are contacted, whatever a tracker says.
    fn admit(&self, address: SocketAddr) -> Result<(), Error> {
        let ip: IpAddr = address.ip();
        if self.allowed.is_empty() || self.allowed.iter().any(|network| network.contains(ip)) {
            Ok(())
        } else {
            Err(Error::NoNode(format!("{address} is in no storage network")))
        }
    }

    /// Turns ureq's error into ours, and remembers how the node did.
    fn judged<T>(&self, node: SocketAddr, result: Result<T, ureq::Error>) -> Result<T, Error> {
        let error = match result {
            Ok(value) => {
                self.health.borrow_mut().remove(&node);
                return Ok(value);
            }
            Err(ureq::Error::StatusCode(status)) => return Err(Error::Http(status)),
            Err(ureq::Error::Timeout(_)) => io::ErrorKind::TimedOut.into(),
            Err(error) => error.into_io(),
        };
        figures::count(Event::NodeFailed);
        let now = Instant::now();
        let mut health = self.health.borrow_mut();
        if vigil::was_caused_by::<Unconnected>(&error) {
            health.entry(node).or_default().failed(now);
            self.gossip().failed(node);
            return Err(Error::NoNode(format!("{node}: {error}")));
        }
        if error.kind() == io::ErrorKind::TimedOut {
            health.entry(node).or_default().was_late(now);
        }
        Err(error.into())
    }
}

/// Why a body was not stored, or not for certain.
#[derive(Debug)]
pub(crate) enum Unstored {
    /// The node was sent nothing: another place of the same fid will do.
    Untouched(Error),
    /// The node may have a part of it, or all: this fid must be given back.
    Begun(Error),
    /// The body could not be read to its end.
    Body(io::Error),
}

fn agent(settings: &config::Mogilefs, idle: usize, dialler: Dialler) -> Agent {
    let config = Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .accept_encoding("identity")
        .user_agent(concat!("nanoftpd/", env!("CARGO_PKG_VERSION")))
        .max_idle_connections(idle)
        .max_idle_connections_per_host(idle.min(1))
        .max_idle_age(IDLE)
        .timeout_recv_response(Some(settings.read_timeout))
        .timeout_per_read(Some(settings.read_timeout))
        .timeout_per_write(Some(settings.write_timeout))
        .build();
    Agent::with_parts(config, dialler, Literal)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// First byte and length of the whole, of a part that reaches to the end: `bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (part, whole) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.split_once('-')?;
    let whole: u64 = whole.parse().ok()?;
    let last: u64 = last.parse().ok()?;
    (last.checked_add(1) == Some(whole)).then_some((first.parse().ok()?, whole))
}
