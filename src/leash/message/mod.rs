//! The messages, by who says them to whom, and what they are made of.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use zeroize::Zeroizing;

use super::wire::{Malformed, Reader, Writer};

mod clerk;
mod nursery;
#[cfg(test)]
mod tests;
mod upload;
mod worker;

pub use clerk::{FromClerk, ToClerk};
pub use nursery::{FromNursery, ToNursery};
pub use upload::{Outcome, Upload};
pub use worker::{FromWorker, ToWorker};

/// The first tags of news: to workers, from them, and to their nursery.
const NEWS_DOWN: u8 = 160;
const NEWS_UP: u8 = 192;
const NEWS_AHEAD: u8 = 224;

/// What can go over a leash.
pub trait Message: Sized {
    /// As a packet.
    fn encode(&self) -> Vec<u8>;

    /// What goes with the packet.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// From a packet and the descriptor that came with it; `None`: of a kind that this program does
    /// not know.
    ///
    /// # Errors
    /// It is no message, or not with this descriptor.
    fn decode(packet: &[u8], fd: Option<OwnedFd>) -> Result<Option<Self>, Malformed>;
}

/// What one end heard.
#[derive(Debug)]
pub enum Heard<M> {
    Message(M),
    /// A message of a kind that this program does not know: another version is at the other end.
    Strange,
    /// There is nothing more for now.
    Nothing,
    /// The other process is gone.
    End,
}

/// Bytes that are wiped when they are dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl Secret {
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// What a session has learned that others can use, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A directory was made that has no keys yet.
    Made { domain: Vec<u8>, prefix: Vec<u8> },
    /// It was removed.
    Unmade { domain: Vec<u8>, prefix: Vec<u8> },
    /// When files were written, in seconds since the epoch, by fid; a hundred at most.
    Times(Vec<(u64, i64)>),
    /// How the trackers' database sorts.
    Order(String),
    /// The tracker or storage node at this address does not answer.
    Failed(SocketAddr),
    /// It does again, as the clerk has found; of a worker's mouth this counts for nothing.
    Recovered(SocketAddr),
    /// The copy of this fid on this device has other bytes than the file.
    Corrupt { fid: u64, device: u32 },
}

impl News {
    /// The tags begin at `first`.
    fn write(&self, first: u8) -> Writer {
        match self {
            Self::Made { domain, prefix } => Writer::new(first).bytes(domain).bytes(prefix),
            Self::Unmade { domain, prefix } => Writer::new(first + 1).bytes(domain).bytes(prefix),
            Self::Times(times) => Writer::new(first + 2).list(times, Writer::time),
            Self::Order(name) => Writer::new(first + 3).bytes(name.as_bytes()),
            Self::Failed(address) => Writer::new(first + 4).socket(*address),
            Self::Recovered(address) => Writer::new(first + 5).socket(*address),
            Self::Corrupt { fid, device } => Writer::new(first + 6).size(*fid).number(*device),
        }
    }

    fn read(number: u8, reader: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        Ok(Some(match number {
            0 => Self::Made {
                domain: reader.bytes()?,
                prefix: reader.bytes()?,
            },
            1 => Self::Unmade {
                domain: reader.bytes()?,
                prefix: reader.bytes()?,
            },
            2 => Self::Times(reader.list(Reader::time)?),
            3 => Self::Order(reader.text()?),
            4 => Self::Failed(reader.socket()?),
            5 => Self::Recovered(reader.socket()?),
            6 => Self::Corrupt {
                fid: reader.size()?,
                device: reader.number()?,
            },
            _ => return Ok(None),
        }))
    }
}

/// What the master says of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It may stay, after this time.
    Stay(Duration),
    /// It is told this and has to go, after this time.
    Go(Duration, String),
}

impl Word {
    /// As it is put into an answer; never empty.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (tag, delay, text) = match self {
            Self::Stay(delay) => (b'+', delay, ""),
            Self::Go(delay, text) => (b'-', delay, text.as_str()),
        };
        let millis = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        Writer::new(tag).number(millis).bytes(text.as_bytes()).end()
    }

    /// From an answer.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(answer: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(answer);
        let tag = reader.byte()?;
        let delay = Duration::from_millis(reader.number()?.into());
        let text = reader.text()?;
        match tag {
            b'+' => Ok(Self::Stay(delay)),
            b'-' => Ok(Self::Go(delay, text)),
            _ => Err(Malformed),
        }
    }
}

/// `message`, if nothing is left over.
fn whole<M>(message: M, reader: &Reader<'_>, fd: Option<&OwnedFd>) -> Result<Option<M>, Malformed> {
    if reader.is_empty() && fd.is_none() {
        Ok(Some(message))
    } else {
        Err(Malformed)
    }
}
