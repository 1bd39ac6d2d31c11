//! Taking a file in: what is refused before its first byte, what of an old version comes first, and
//! what is said when it is stored.
#![forbid(unsafe_code)]

use std::io::Read;
use std::time::{Duration, Instant};

use super::MogileFs;
use super::destination::{Destination, Precondition};
use super::download::Download;
use super::layout::Spot;
use super::spool::{Bounds, Spool};
use crate::config::{ContentMd5, Overwrite};
use crate::mogilefs::Object;
use crate::path::Path;
use crate::store::{At, Error, Plan, Receipt, Source};
use crate::text::quoted_error;
use crate::vigil;

/// When copies are counted, in milliseconds after one another; the last step is repeated.
const COUNTS: [u64; 4] = [200, 300, 500, 1000];

impl MogileFs {
    /// What [`crate::store::Store::may_put`] says.
    pub(super) fn may_take_in(&mut self, path: &Path, plan: &Plan) -> Result<(), Error> {
        let spot = self.new_spot(path)?;
        let was_seen = self.seen.has(&spot.domain, &spot.class);
        if !was_seen || !self.client.trackers()?.is_there() {
            if !self.has_class(&spot.domain, &spot.class)? {
                return Err(Error::BadName("is not inside a class"));
            }
            self.seen.class(&spot.domain, &spot.class);
        }
        self.check_old_version(path, spot, plan.at)?;
        match plan.size {
            Some(size) => self.may_hold(size),
            None => Ok(()),
        }
    }

    /// What [`crate::store::Store::put`] does.
    pub(super) fn take_in(
        &mut self,
        path: &Path,
        source: &mut dyn Source,
        plan: &Plan,
    ) -> Result<Receipt, Error> {
        let spot = self.new_spot(path)?;
        let (spot, precondition, kept) = self.check_old_version(path, spot, plan.at)?;
        let bounds = Bounds {
            memory: self.settings.spool_mem,
            dir: self.tmpdir.clone(),
            room: self.room.clone(),
            most: match plan.at {
                At::Start => u64::MAX,
                At::Offset(_) | At::End => self.settings.append_max,
            },
        };
        let hash = self.settings.content_md5 == ContentMd5::Always;
        let mut spool = Spool::new(source, bounds, hash);
        if let Precondition::Unchanged(object) = &precondition
            && kept > 0
        {
            let mut old = self.old_content(&spot, object, kept)?;
            spool.prepend(&mut old)?;
        }
        let to = Destination {
            spot: &spot,
            precondition,
            announced: plan.size.map(|size| size.saturating_add(kept)),
        };
        let uploaded = self.upload(&to, &mut spool);
        let length = spool.len();
        // Where there is only so much room, there is again as much of it when the client is told.
        self.spent = self.room.is_none().then(|| spool.into_kept());
        let fid = uploaded?;
        let object = Object {
            fid,
            length,
            class: spot.class.clone(),
            md5: None,
        };
        self.remember(&spot, &object);
        Ok(Receipt {
            bytes: length.saturating_sub(kept),
            fid: Some(fid),
            replicas: self.count_replicas(&spot),
        })
    }

    /// The spot to store at, what must be there until the end, and how much of that is kept.
    fn check_old_version(
        &mut self,
        path: &Path,
        spot: Spot,
        at: At,
    ) -> Result<(Spot, Precondition, u64), Error> {
        let denies = self.settings.overwrite == Overwrite::Deny;
        if at == At::Start && !denies {
            return Ok((self.in_its_place(spot)?, Precondition::None, 0));
        }
        let found = match at {
            At::Start => self.find_or_doubled(path),
            // The old version must be called by its true name, or the new one would be but the rest of it.
            At::Offset(_) | At::End => self.find_to_change(path),
        };
        let (mut spot, object) = match found {
            Ok((_, _)) if denies => return Err(Error::Exists),
            Ok((found, object)) => (found, object),
            Err(Error::NotFound | Error::NotAFile) if matches!(at, At::Offset(1..)) => {
                return Err(Error::BeyondEnd);
            }
            Err(Error::NotFound | Error::NotAFile) => return Ok((spot, Precondition::Absent, 0)),
            Err(error) => return Err(error),
        };
        let kept = match at {
            At::Start => 0,
            At::Offset(offset) if offset > object.length => return Err(Error::BeyondEnd),
            At::Offset(offset) => offset,
            At::End => object.length,
        };
        if kept > self.settings.append_max {
            let why = format!("{kept} bytes are more than append_max");
            return Err(Error::TooLarge(why));
        }
        // What others have put into some class stays in it.
        if !object.class.is_empty() {
            spot.class.clone_from(&object.class);
        }
        Ok((spot, Precondition::Unchanged(object), kept))
    }

    /// The first `kept` bytes of the version that stands there.
    fn old_content(
        &self,
        spot: &Spot,
        object: &Object,
        kept: u64,
    ) -> Result<impl Read + use<>, Error> {
        let (now, paths) = self.client.trackers()?.locate(&spot.domain, &spot.key)?;
        if now.fid != object.fid {
            return Err(Error::Broken("it was replaced meanwhile".to_owned()));
        }
        let client = self.client.clone();
        let download = Download::begin(client, spot.clone(), now, &paths, 0)?;
        let download =
            download.ok_or_else(|| Error::Broken("it was replaced meanwhile".to_owned()))?;
        Ok(download.take(kept))
    }

    /// Whether there is a device that has so much room.
    fn may_hold(&self, size: u64) -> Result<(), Error> {
        let devices = self.client.trackers()?.get_devices()?;
        let may = |free: Option<u64>| free.is_none_or(|free| free >= size);
        if devices.is_empty() || devices.iter().any(|device| may(device.free)) {
            Ok(())
        } else {
            Err(Error::TooLarge(format!("no device has {size} bytes")))
        }
    }

    /// What all devices that take files have room for.
    pub(super) fn free(&self) -> Result<u64, Error> {
        let devices = self.client.trackers()?.get_devices()?;
        let writable = devices.iter().filter(|device| device.is_writable);
        let free: Option<Vec<u64>> = writable.map(|device| device.free).collect();
        let free = free.ok_or(Error::Unsupported)?;
        Ok(free.into_iter().fold(0, u64::saturating_add))
    }

    /// Waits for the copies that are wanted; how many there are, and whether that is enough. Whoever
    /// calls meanwhile is told what is known.
    fn count_replicas(&self, spot: &Spot) -> Option<(u32, bool)> {
        let wanted = self.settings.wait_for_replicas;
        if wanted == 0 {
            return None;
        }
        let deadline = Instant::now().checked_add(self.settings.replica_timeout);
        let last = COUNTS.last().copied().unwrap_or_default();
        let mut steps = COUNTS.into_iter();
        // One is there: the tracker has looked at it.
        let mut count = 1;
        loop {
            let counted = self.client.trackers();
            let counted = counted.and_then(|mut trackers| trackers.copies(&spot.domain, &spot.key));
            match counted {
                Ok(now) => count = now.max(1),
                Err(error) => {
                    log::warn!("replicas-uncounted error={}", quoted_error(&error));
                    return Some((count, count >= wanted));
                }
            }
            let step = Duration::from_millis(steps.next().unwrap_or(last));
            let is_late = deadline.is_none_or(|deadline| Instant::now() + step > deadline);
            if count >= wanted || is_late || vigil::pause(step).is_err() {
                return Some((count, count >= wanted));
            }
        }
    }
}
