//! What the master and a clerk say to each other.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Message, Outcome, Secret, Upload, whole};
use crate::leash::wire::{Malformed, Reader, Writer};

/// What the master tells its clerk.
#[derive(Debug)]
pub enum ToClerk {
    /// Log there from now on; which log it is for is the logger's number.
    Log { which: u8, fd: OwnedFd },
    /// Run the site's program for it.
    Uploaded(Box<Upload>),
    /// Is this the right password? To be answered with [`FromClerk::Verdict`].
    Login {
        worker: i32,
        number: u32,
        peer: IpAddr,
        user: Vec<u8>,
        password: Secret,
    },
    /// This tracker or storage node does not answer: try it again and again until it does. To be
    /// answered with [`FromClerk::Alive`].
    Suspect {
        address: SocketAddr,
        is_tracker: bool,
    },
}

/// What the clerk tells the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromClerk {
    /// Its rights are final.
    Ready,
    /// A run of the site's program has ended, or will not be.
    Hook(Outcome),
    /// Where a host is; no addresses: it cannot be found now, and why.
    Host {
        name: String,
        addresses: Vec<IpAddr>,
        why: String,
    },
    /// The answer to [`ToClerk::Login`], as `auth` writes it; empty: there is none to be had.
    Verdict {
        worker: i32,
        number: u32,
        verdict: Vec<u8>,
    },
    /// It answers again.
    Alive { address: SocketAddr },
    /// There is no syslogd where it was.
    NoSyslogd,
}

impl Message for ToClerk {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Log { which, .. } => Writer::new(65).byte(*which),
            Self::Uploaded(upload) => upload.write(Writer::new(68)),
            Self::Login {
                worker,
                number,
                peer,
                user,
                password,
            } => Writer::new(66)
                .natural(*worker)
                .number(*number)
                .address(*peer)
                .bytes(user)
                .bytes(password.as_bytes()),
            Self::Suspect {
                address,
                is_tracker,
            } => Writer::new(67).socket(*address).byte(u8::from(*is_tracker)),
        }
        .end()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Log { fd, .. } => Some(fd.as_fd()),
            Self::Uploaded(_) | Self::Login { .. } | Self::Suspect { .. } => None,
        }
    }

    fn decode(packet: &[u8], mut fd: Option<OwnedFd>) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(packet);
        let message = match reader.byte()? {
            68 => Self::Uploaded(Box::new(Upload::read(&mut reader)?)),
            65 => Self::Log {
                which: reader.byte()?,
                fd: fd.take().ok_or(Malformed)?,
            },
            66 => Self::Login {
                worker: reader.natural()?,
                number: reader.number()?,
                peer: reader.address()?,
                user: reader.bytes()?,
                password: reader.bytes()?.into(),
            },
            67 => Self::Suspect {
                address: reader.socket()?,
                is_tracker: reader.byte()? != 0,
            },
            _ => return Ok(None),
        };
        whole(message, &reader, fd.as_ref())
    }
}

impl Message for FromClerk {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready => Writer::new(97),
            Self::Hook(outcome) => Writer::new(101).byte(outcome.number()),
            Self::Host {
                name,
                addresses,
                why,
            } => Writer::new(98)
                .bytes(name.as_bytes())
                .list(addresses, Writer::address)
                .bytes(why.as_bytes()),
            Self::Verdict {
                worker,
                number,
                verdict,
            } => Writer::new(99)
                .natural(*worker)
                .number(*number)
                .bytes(verdict),
            Self::Alive { address } => Writer::new(100).socket(*address),
            Self::NoSyslogd => Writer::new(110),
        }
        .end()
    }

    fn decode(packet: &[u8], fd: Option<OwnedFd>) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(packet);
        let message = match reader.byte()? {
            97 => Self::Ready,
            101 => Self::Hook(Outcome::numbered(reader.byte()?)?),
            98 => Self::Host {
                name: reader.text()?,
                addresses: reader.list(Reader::address)?,
                why: reader.text()?,
            },
            99 => Self::Verdict {
                worker: reader.natural()?,
                number: reader.number()?,
                verdict: reader.bytes()?,
            },
            110 => Self::NoSyslogd,
            100 => Self::Alive {
                address: reader.socket()?,
            },
            _ => return Ok(None),
        };
        whole(message, &reader, fd.as_ref())
    }
}
