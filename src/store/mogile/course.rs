//! What one upload has been through: which nodes its next try had better ask last, and what the log
//! says of it in the end.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::Duration;

use super::layout::Spot;
use super::spool::Spool;
use crate::mogilefs::{self, Location, Target};
use crate::store::Error;
use crate::text::{hexadecimal, quoted};

/// Why one fid came to nothing.
pub(super) enum Miss {
    /// Another fid may do.
    Retry(mogilefs::Error),
    /// The same, after a close of which nobody can say what it did.
    Lost(mogilefs::Error),
    /// It was nobody's fault, but the upload must be whole before another fid is tried.
    NeedsWhole(&'static str),
    /// No other would do better.
    Final(Error),
}

/// The course of one upload.
#[derive(Default)]
pub(super) struct Course {
    pub(super) step: Step,
    /// How many fids it has used up.
    pub(super) fids: usize,
    /// How many devices it was given to, or was to be.
    pub(super) dests: usize,
    /// Nodes that failed it.
    pub(super) bad: Vec<SocketAddr>,
    /// A close has failed, and may have taken the version that stood there with it.
    pub(super) close_was_lost: bool,
    /// How long the last fid took to be opened, put and closed.
    pub(super) open: Duration,
    pub(super) put: Duration,
    pub(super) close: Duration,
    /// The sum of the bytes, where it was worked out.
    pub(super) md5: Option<[u8; 16]>,
}

/// How far it is.
#[derive(Clone, Copy, Default)]
pub(super) enum Step {
    #[default]
    Receive,
    Open,
    Put,
    Close,
}

impl Course {
    /// Whether `error` is one of those that the course tells more about.
    pub(super) fn may_be_to_blame_for(&self, error: &Error) -> bool {
        matches!(
            error,
            Error::Unavailable(_) | Error::Broken(_) | Error::Full(_) | Error::TooLarge(_)
        )
    }

    /// Says where what `spool` held is stored.
    pub(super) fn log_stored(
        &self,
        spot: &Spot,
        spool: &Spool<'_>,
        fid: u64,
        target: &Target,
        tracker: Option<SocketAddr>,
    ) {
        let node = Location::parse(&target.url).map(|location| location.address);
        log::info!(
            "upload-stored fid={fid} dev={} node={} bytes={} md5={} spool={} recv_ms={} open_ms={} \
             put_ms={} close_ms={} tracker={} fids={} dests={} domain={} class={} key={}",
            target.device,
            known(node),
            spool.len(),
            known(self.md5.map(|sum| hexadecimal(&sum))),
            spool.place(),
            spool.took().as_millis(),
            self.open.as_millis(),
            self.put.as_millis(),
            self.close.as_millis(),
            known(tracker),
            self.fids,
            self.dests,
            quoted(&spot.domain),
            quoted(&spot.class),
            quoted(&spot.key)
        );
    }

    /// Says how far it came. The cause is for whoever makes a reply of it to tell.
    pub(super) fn log_failed(&self, spot: &Spot) {
        let step = match self.step {
            Step::Receive => "receive",
            Step::Open => "open",
            Step::Put => "put",
            Step::Close => "close",
        };
        let nodes: Vec<String> = self.bad.iter().map(SocketAddr::to_string).collect();
        log::info!(
            "upload-failed step={step} fids={} dests={} nodes={} domain={} class={} key={}",
            self.fids,
            self.dests,
            nodes.join(","),
            quoted(&spot.domain),
            quoted(&spot.class),
            quoted(&spot.key)
        );
    }
}

fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
