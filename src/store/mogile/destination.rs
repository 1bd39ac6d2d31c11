//! Where an upload goes, and what must be there for it to be closed. Asks nobody anything.
#![forbid(unsafe_code)]

use super::layout::Spot;
use super::spool::Spool;
use crate::config::Overwrite;
use crate::mogilefs::Object;
use crate::store::Error;

/// Where the bytes of an upload are to go.
pub(super) struct Destination<'a> {
    pub(super) spot: &'a Spot,
    pub(super) precondition: Precondition,
    /// How many bytes there will be at least, if that is known.
    pub(super) announced: Option<u64>,
}

/// What must stand under the key when the upload is closed.
pub(super) enum Precondition {
    /// Anything, or nothing.
    None,
    /// Nothing, as when it began.
    Absent,
    /// The version that the upload goes on from.
    Unchanged(Object),
}

impl Destination<'_> {
    /// How many bytes a node is to expect of `spool`; `None`: nobody knows yet.
    pub(super) fn length(&self, spool: &Spool<'_>) -> Option<u64> {
        if spool.is_whole() {
            Some(spool.len())
        } else {
            self.announced.filter(|announced| *announced >= spool.len())
        }
    }
}

impl Precondition {
    /// Whether it holds where `now` is under the key.
    ///
    /// `close_was_lost`: a close of this upload has failed, and may have taken the old version with it.
    pub(super) fn check(
        &self,
        now: Option<&Object>,
        close_was_lost: bool,
        overwrite: Overwrite,
    ) -> Result<(), Error> {
        match (self, now) {
            (Self::None, _) | (Self::Absent, None) => Ok(()),
            (Self::Unchanged(base), Some(now)) if base.fid == now.fid => Ok(()),
            (Self::Unchanged(_), None) if close_was_lost => Ok(()),
            (Self::Absent, Some(_)) if overwrite == Overwrite::Deny => Err(Error::Exists),
            (Self::Absent, Some(_)) | (Self::Unchanged(_), _) => {
                Err(Error::Broken("it was replaced meanwhile".to_owned()))
            }
        }
    }
}
