//! One upload, from the spool to the commit. A node may refuse, stall or die, and a tracker may
//! throw away what a node has: the spool still has it all, and another place is tried. A fid whose
//! bytes may have reached a node is never used for another one, and is given back.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::MogileFs;
use super::course::{Course, Miss, Step};
use super::destination::Destination;
use super::layout::Spot;
use super::made::{CLASS_PAUSE, Deed};
use super::names;
use super::spool::Spool;
use crate::config::{ContentMd5, Upload};
use crate::figures::{self, Event};
use crate::mogilefs::{self, Closing, Location, Opened, Target, Verdict};
use crate::store::Error;
use crate::text::{quoted, quoted_error};
use crate::vigil;

/// How many fids an upload may use up, and how long to wait before each.
const FIDS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_secs(1),
];

/// How long a tracker is sought for an upload whose close was lost: the version that stood there may
/// be lost with it, and nobody else has the bytes. How long to wait before one is asked again.
const HEALING: Duration = Duration::from_secs(30);
const HEALING_PAUSE: Duration = Duration::from_millis(500);

impl MogileFs {
    /// Stores what is or comes into `spool` and returns the fid.
    pub(super) fn upload(
        &mut self,
        to: &Destination<'_>,
        spool: &mut Spool<'_>,
    ) -> Result<u64, Error> {
        let mut course = Course::default();
        let stored = self.try_fids(&mut course, to, spool);
        if let Err(error) = &stored
            && course.may_be_to_blame_for(error)
        {
            course.log_failed(to.spot);
        }
        stored
    }

    fn try_fids(
        &mut self,
        course: &mut Course,
        to: &Destination<'_>,
        spool: &mut Spool<'_>,
    ) -> Result<u64, Error> {
        let mut follows = self.settings.upload == Upload::Tee && !self.wants_length;
        let mut last = None;
        while let Some(wait) = FIDS.get(course.fids) {
            vigil::pause(*wait).map_err(mogilefs::Error::from)?;
            course.step = Step::Receive;
            if follows {
                // Of a small one it is known now that it is small.
                spool.pull()?;
            } else {
                spool.receive()?;
            }
            let opened = self.open(course, to, spool)?;
            let stored = self.try_fid(&opened, to, spool, course);
            course.close_was_lost |= matches!(stored, Err(Miss::Lost(_)));
            match stored {
                Ok(target) => {
                    course.fids += 1;
                    let tracker = self.client.trackers().ok().and_then(|all| all.current());
                    course.log_stored(to.spot, spool, opened.fid, &target, tracker);
                    return Ok(opened.fid);
                }
                Err(Miss::Final(error)) => return Err(error),
                Err(Miss::NeedsWhole(why)) => {
                    log::info!("stor-spooled fid={} why=\"{why}\"", opened.fid);
                    follows = false;
                }
                Err(Miss::Retry(error) | Miss::Lost(error)) => {
                    course.fids += 1;
                    figures::count(Event::UploadAgain);
                    log::warn!(
                        "stor-again fid={} fids={} error={}",
                        opened.fid,
                        course.fids,
                        quoted_error(&error)
                    );
                    last = Some(error);
                }
            }
        }
        Err(match last {
            Some(error @ mogilefs::Error::Http(413)) => Error::TooLarge(error.to_string()),
            Some(error @ mogilefs::Error::Http(507)) => Error::Full(error.to_string()),
            Some(error) => Error::Broken(format!("{} fids used up: {error}", course.fids)),
            None => Error::Broken("no fid was tried".to_owned()),
        })
    }

    /// Opens a fid; if the old version may be lost with the last one, there is some patience.
    fn open(
        &mut self,
        course: &mut Course,
        to: &Destination<'_>,
        spool: &Spool<'_>,
    ) -> Result<Opened, Error> {
        course.step = Step::Open;
        let begun = Instant::now();
        loop {
            match self.open_fid(to.spot, to.length(spool)) {
                Err(Error::Unavailable(why))
                    if course.close_was_lost && begun.elapsed() < HEALING =>
                {
                    log::warn!("heal-waits error={}", quoted(why.as_bytes()));
                    vigil::pause(HEALING_PAUSE).map_err(mogilefs::Error::from)?;
                }
                opened => {
                    course.open = begun.elapsed();
                    return opened;
                }
            }
        }
    }

    fn open_fid(&mut self, spot: &Spot, size: Option<u64>) -> Result<Opened, Error> {
        let Spot { domain, class, key } = spot;
        loop {
            let mut trackers = self.client.trackers()?;
            let error = match trackers.create_open(domain, key, class, size) {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            if error.is("unreg_class") && self.made.was(domain, class, Deed::Made) {
                drop(trackers);
                vigil::pause(CLASS_PAUSE).map_err(mogilefs::Error::from)?;
                continue;
            }
            if error.is("no_devices")
                && let Some(size) = size
                && let Ok(opened) = trackers.create_open(domain, key, class, None)
            {
                if let Some(target) = opened.targets.first() {
                    let _ = trackers.abandon(domain, opened.fid, target);
                }
                // A device may have come back just now.
                return trackers
                    .create_open(domain, key, class, Some(size))
                    .map_err(|_| Error::TooLarge(format!("no device can hold {size} bytes")));
            }
            return Err(match error {
                error if error.is("db") && std::str::from_utf8(key).is_err() => names::not_utf8(),
                error if error.is("unreg_domain") => Error::Broken(error.to_string()),
                error => error.into(),
            });
        }
    }

    /// Tries one fid: puts the bytes to one of its targets and commits them there.
    fn try_fid(
        &mut self,
        opened: &Opened,
        to: &Destination<'_>,
        spool: &mut Spool<'_>,
        course: &mut Course,
    ) -> Result<Target, Miss> {
        course.step = Step::Put;
        let begun = Instant::now();
        let put = self.put_somewhere(opened, to.length(spool), spool, course);
        course.put = begun.elapsed();
        let target = match put {
            Ok(target) => target,
            Err((target, miss)) => {
                if let Some(target) = target {
                    self.give_back(to.spot, opened.fid, target);
                }
                return Err(miss);
            }
        };
        course.step = Step::Close;
        let begun = Instant::now();
        let is_closed = match self.close_key(to, opened.fid, course.close_was_lost) {
            Ok(key) => self.close(opened, target, to, &key, spool, course),
            Err(error) => {
                self.give_back(to.spot, opened.fid, target);
                Err(Miss::Final(error))
            }
        };
        course.close = begun.elapsed();
        is_closed.map(|()| target.clone())
    }

    fn close(
        &mut self,
        opened: &Opened,
        target: &Target,
        to: &Destination<'_>,
        key: &[u8],
        spool: &Spool<'_>,
        course: &mut Course,
    ) -> Result<(), Miss> {
        course.md5 = match self.settings.content_md5 {
            ContentMd5::Never => None,
            ContentMd5::Small | ContentMd5::Always => spool.md5(),
        };
        let spot = to.spot;
        let closing = Closing {
            domain: &spot.domain,
            key,
            fid: opened.fid,
            target,
            size: spool.len(),
            md5: course.md5,
        };
        let verdict = match self.client.trackers() {
            Ok(mut trackers) => trackers.commit(&closing),
            Err(error) => Verdict::Refused(error),
        };
        match verdict {
            Verdict::Committed if key == spot.key => Ok(()),
            Verdict::Committed => self.swap_in(spot, key, opened.fid).map_err(Miss::Final),
            Verdict::Lost(error) => {
                let location = Location::parse(&target.url);
                course.bad.extend(location.map(|location| location.address));
                Err(Miss::Lost(error))
            }
            Verdict::Refused(error) => {
                self.give_back(spot, opened.fid, target);
                Err(Miss::Final(match error {
                    error if error.is("plugin_aborted") => Error::Denied,
                    error => Error::Broken(format!("create_close: {error}")),
                }))
            }
            Verdict::Unknown(error) => Err(Miss::Final(Error::Broken(format!(
                "fid {}: nobody knows whether it was stored: {error}",
                opened.fid
            )))),
        }
    }

    /// What was put there is to be deleted. If the tracker does not hear it now, it will do the same
    /// an hour after it has opened the fid.
    fn give_back(&self, spot: &Spot, fid: u64, target: &Target) {
        let given = self
            .client
            .trackers()
            .and_then(|mut trackers| trackers.abandon(&spot.domain, fid, target));
        if let Err(error) = given {
            log::warn!("abort-failed fid={fid} error={}", quoted_error(&error));
        }
    }
}
