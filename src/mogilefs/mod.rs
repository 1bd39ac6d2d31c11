//! Trackers and storage nodes: the client's side of MogileFS. A [`Client`] asks trackers where
//! files are and moves their bytes to and from nodes. Knows nothing of directories, accounts or
//! FTP, resolves no names and starts no threads: every wait is one of [`crate::vigil`].
#![forbid(unsafe_code)]

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use node::Nodes;
use tracker::Trackers;

use crate::config;

pub(crate) use commit::{Closing, Verdict};
pub(crate) use node::{Bytes, Content, Loan, Location, Unstored};
pub use probe::Peer;
pub(crate) use wire::taken_raw;

mod commit;
mod dial;
mod health;
mod node;
mod probe;
mod tracker;
mod wire;

#[cfg(any(test, fuzzing))]
pub(crate) use node::trials::{heads, node};
#[cfg(any(test, fuzzing))]
pub(crate) use tracker::trials::tracker;

/// What processes tell each other of trackers and storage nodes.
pub trait Gossip {
    /// Whether somebody found that it does not answer, and nobody yet that it does again.
    fn is_shunned(&self, address: SocketAddr) -> bool;

    /// It does not answer.
    fn failed(&self, address: SocketAddr);

    /// Whether somebody found that the copy of `fid` on this device has other bytes than the file.
    fn is_corrupt(&self, fid: u64, device: u32) -> bool;

    /// It has.
    fn corrupt(&self, fid: u64, device: u32);
}

/// Nobody to talk to.
struct Solitude;

impl Gossip for Solitude {
    fn is_shunned(&self, _address: SocketAddr) -> bool {
        false
    }

    fn failed(&self, _address: SocketAddr) {}

    fn is_corrupt(&self, _fid: u64, _device: u32) -> bool {
        false
    }

    fn corrupt(&self, _fid: u64, _device: u32) {}
}

/// One MogileFS, as one process sees it. Copies share their connections.
#[derive(Clone)]
pub struct Client(Rc<Inner>);

struct Inner {
    trackers: RefCell<Trackers>,
    nodes: Nodes,
    /// Addresses that came while a tracker was being asked.
    news: RefCell<Option<Vec<SocketAddr>>>,
}

impl Client {
    /// `trackers` are the addresses of the trackers in `settings`: whoever resolves names, it is
    /// somebody else.
    #[must_use]
    pub fn new(settings: &config::Mogilefs, trackers: Vec<SocketAddr>) -> Self {
        Self(Rc::new(Inner {
            trackers: RefCell::new(Trackers::new(settings, trackers)),
            nodes: Nodes::new(settings),
            news: RefCell::new(None),
        }))
    }

    /// From now on what others found out counts too, and they are told.
    pub fn listen_to(&self, gossip: Rc<dyn Gossip>) {
        if let Ok(mut trackers) = self.0.trackers.try_borrow_mut() {
            trackers.listen_to(Rc::clone(&gossip));
        }
        self.0.nodes.listen_to(gossip);
    }

    /// From the next request on these are the trackers; may be called at any time, by a bystander
    /// of a request too.
    pub fn set_trackers(&self, trackers: Vec<SocketAddr>) {
        self.0.news.replace(Some(trackers));
    }

    /// The storage nodes.
    pub(crate) fn nodes(&self) -> &Nodes {
        &self.0.nodes
    }

    /// The trackers, to be asked.
    ///
    /// # Errors
    /// Somebody is asking already, and called a bystander that asks too.
    pub(crate) fn trackers(&self) -> Result<RefMut<'_, Trackers>, Error> {
        let mut trackers = self
            .0
            .trackers
            .try_borrow_mut()
            .map_err(|_| Error::NoTracker("they are being asked already".to_owned()))?;
        if let Some(news) = self.0.news.take() {
            trackers.replace(news);
        }
        Ok(trackers)
    }
}

/// What a tracker knows of a key. The bytes of a fid never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) fid: u64,
    pub(crate) length: u64,
    pub(crate) class: Vec<u8>,
    /// Of its bytes, where its class keeps such sums.
    pub(crate) md5: Option<[u8; 16]>,
}

/// A file of any domain, as `list_fids` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) domain: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) object: Object,
}

/// An upload that a tracker has opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) fid: u64,
    /// Never empty; the bytes go to one of them.
    pub(crate) targets: Vec<Target>,
}

/// A place for the bytes of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) device: u32,
    /// As the tracker wrote it: it wants to read the very same when the upload is closed.
    pub(crate) url: String,
}

/// What has become of a fid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is a file.
    Committed { key: Vec<u8>, length: Option<u64> },
    /// It waits to be closed.
    Open,
    /// It is to be deleted.
    Discarded,
    /// The tracker knows nothing of it; it may be in between.
    Unknown,
}

/// A domain and its classes, `default` included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    pub(crate) name: Vec<u8>,
    pub(crate) classes: Vec<Vec<u8>>,
}

/// A device of a storage node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) id: u32,
    /// Whether its node refuses a body that does not match its Content-MD5.
    pub(crate) verifies: bool,
    /// How many bytes it has room for, where that is known.
    pub(crate) free: Option<u64>,
    /// Whether new files are put there.
    pub(crate) is_writable: bool,
}

/// Why a tracker or a node did not do it. The texts are for the log.
#[derive(Debug)]
pub enum Error {
    /// The tracker answered, and said no.
    Refused {
        /// Its code, such as `unknown_key`.
        code: String,
        /// Its text, which can hold anything, other clients' words included.
        text: String,
    },
    /// No tracker could be connected: nothing was asked.
    NoTracker(String),
    /// The storage node could not be connected, or may not be: nothing was sent.
    NoNode(String),
    /// It answered what makes no sense.
    Protocol(String),
    /// The bytes are not those that were stored.
    Corrupt(String),
    /// The storage node answered with another status than was hoped for.
    Http(u16),
    /// The connection failed or timed out; what was asked may have been done.
    Io(io::Error),
    /// A bystander ended the wait ([`crate::vigil`]); what was asked may have been done.
    Interrupted,
}

impl Error {
    /// Whether a tracker refused with this code.
    #[must_use]
    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if crate::vigil::was_interrupted(&error) {
            Self::Interrupted
        } else {
            Self::Io(error)
        }
    }
}

impl From<wire::Refusal> for Error {
    fn from(refusal: wire::Refusal) -> Self {
        Self::Refused {
            code: refusal.code,
            text: refusal.text,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, text } if text.is_empty() || text == code => f.write_str(code),
            Self::Refused { code, text } => write!(f, "{code}: {text}"),
            Self::NoTracker(cause) => write!(f, "no tracker: {cause}"),
            Self::NoNode(cause) => write!(f, "no storage node: {cause}"),
            Self::Protocol(cause) => write!(f, "protocol: {cause}"),
            Self::Corrupt(cause) => write!(f, "corrupt: {cause}"),
            Self::Http(status) => write!(f, "storage node answered {status}"),
            Self::Io(error) => error.fmt(f),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}
