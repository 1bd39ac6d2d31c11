//! What the master and the nursery of the workers say to each other.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Message, NEWS_AHEAD, News, whole};
use crate::leash::wire::{Malformed, Reader, Writer};

/// What the master tells the nursery.
#[derive(Debug)]
pub enum ToNursery {
    /// Start a worker with this end of its leash. To be answered, in the order of asking, with
    /// [`FromNursery::Born`] or [`FromNursery::Unborn`].
    Birth { fd: OwnedFd },
    /// What workers to be born are to know.
    News(News),
}

/// What the nursery tells the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromNursery {
    /// The worker is there.
    Born { pid: i32 },
    /// It could not be forked: an error number of the kernel.
    Unborn { errno: i32 },
}

impl Message for ToNursery {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Birth { .. } => Writer::new(129),
            Self::News(news) => news.write(NEWS_AHEAD),
        }
        .end()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Birth { fd } => Some(fd.as_fd()),
            Self::News(_) => None,
        }
    }

    fn decode(packet: &[u8], mut fd: Option<OwnedFd>) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(packet);
        let message = match reader.byte()? {
            129 => Self::Birth {
                fd: fd.take().ok_or(Malformed)?,
            },
            tag @ NEWS_AHEAD.. => match News::read(tag - NEWS_AHEAD, &mut reader)? {
                Some(news) => Self::News(news),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        whole(message, &reader, fd.as_ref())
    }
}

impl Message for FromNursery {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Born { pid } => Writer::new(145).natural(*pid),
            Self::Unborn { errno } => Writer::new(146).natural(*errno),
        }
        .end()
    }

    fn decode(packet: &[u8], fd: Option<OwnedFd>) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(packet);
        let message = match reader.byte()? {
            145 => Self::Born {
                pid: reader.natural()?,
            },
            146 => Self::Unborn {
                errno: reader.natural()?,
            },
            _ => return Ok(None),
        };
        whole(message, &reader, fd.as_ref())
    }
}
