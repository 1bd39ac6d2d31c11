//! One upload, from the spool to the commit. A node may refuse, stall or die, and a tracker may
//! throw away what a node has: the spool still has it all, and another place is tried. A fid whose
//! bytes may have reached a node is never used for another one, and is given back.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::Duration;

use super::MogileFs;
use super::layout::Spot;
use super::spool::Spool;
use crate::config::ContentMd5;
use crate::mogilefs::{self, Closing, Location, Opened, Target, Unstored, Verdict};
use crate::store::Error;
use crate::text::quoted_error;
use crate::vigil;

/// How many fids an upload may use up, and how long to wait before each.
const FIDS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_secs(1),
];

/// How long a class that this session has made may be unknown to another tracker, and how long to
/// wait before it is asked again.
pub(super) const LAG: (Duration, Duration) = (Duration::from_secs(8), Duration::from_millis(500));

/// Why one fid came to nothing.
enum Miss {
    /// Another fid may do.
    Again(mogilefs::Error),
    /// No other would do better.
    For(Error),
}

impl MogileFs {
    /// Stores what is in `spool` and returns the fid.
    pub(super) fn upload(&mut self, spot: &Spot, spool: &Spool) -> Result<u64, Error> {
        let mut bad: Vec<SocketAddr> = Vec::new();
        let mut last = None;
        for wait in FIDS {
            vigil::pause(wait).map_err(mogilefs::Error::from)?;
            let opened = self.open_fid(spot, spool.len())?;
            match self.store_as(&opened, spot, spool, &mut bad) {
                Ok(()) => return Ok(opened.fid),
                Err(Miss::For(error)) => return Err(error),
                Err(Miss::Again(error)) => {
                    log::warn!(
                        "stor-again fid={} error={}",
                        opened.fid,
                        quoted_error(&error)
                    );
                    last = Some(error);
                }
            }
        }
        Err(match last {
            Some(error @ mogilefs::Error::Http(413 | 507)) => Error::Full(error.to_string()),
            Some(error) => Error::Broken(format!("{} fids used up: {error}", FIDS.len())),
            None => Error::Broken("no fid was tried".to_owned()),
        })
    }

    fn open_fid(&mut self, spot: &Spot, size: u64) -> Result<Opened, Error> {
        let Spot { domain, class, key } = spot;
        loop {
            let mut trackers = self.client.trackers()?;
            let error = match trackers.create_open(domain, key, class, Some(size)) {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            if error.is("unreg_class") && self.made.is_fresh(domain, class, LAG.0) {
                drop(trackers);
                vigil::pause(LAG.1).map_err(mogilefs::Error::from)?;
                continue;
            }
            if error.is("no_devices")
                && let Ok(opened) = trackers.create_open(domain, key, class, None)
            {
                if let Some(target) = opened.targets.first() {
                    let _ = trackers.abandon(domain, opened.fid, target);
                }
                let why = format!("no device can hold {size} bytes");
                return Err(Error::TooLarge(why));
            }
            return Err(match error {
                error if error.is("db") && std::str::from_utf8(key).is_err() => {
                    Error::BadName("is not UTF-8, which the tracker's database wants")
                }
                error if error.is("unreg_domain") => Error::Broken(error.to_string()),
                error => error.into(),
            });
        }
    }

    /// Tries one fid: puts the bytes to one of its targets and commits them there.
    fn store_as(
        &mut self,
        opened: &Opened,
        spot: &Spot,
        spool: &Spool,
        bad: &mut Vec<SocketAddr>,
    ) -> Result<(), Miss> {
        let target = match self.put_somewhere(opened, spool, bad) {
            Ok(target) => target,
            Err((target, miss)) => {
                if let Some(target) = target {
                    self.give_back(spot, opened.fid, target);
                }
                return Err(miss);
            }
        };
        let closing = Closing {
            domain: &spot.domain,
            key: &spot.key,
            fid: opened.fid,
            target,
            size: spool.len(),
        };
        let verdict = match self.client.trackers() {
            Ok(mut trackers) => trackers.commit(&closing),
            Err(error) => Verdict::Refused(error),
        };
        match verdict {
            Verdict::Committed => {
                log::debug!("stored fid={} dev={}", opened.fid, target.device);
                Ok(())
            }
            Verdict::Lost(error) => {
                bad.extend(Location::parse(&target.url).map(|location| location.address));
                Err(Miss::Again(error))
            }
            Verdict::Refused(error) => {
                self.give_back(spot, opened.fid, target);
                Err(Miss::For(match error {
                    error if error.is("plugin_aborted") => Error::Denied,
                    error => Error::Broken(format!("create_close: {error}")),
                }))
            }
            Verdict::Unknown(error) => Err(Miss::For(Error::Broken(format!(
                "fid {}: nobody knows whether it was stored: {error}",
                opened.fid
            )))),
        }
    }

    /// Puts the bytes to the first target that takes them. As long as nothing was sent the next one
    /// will do for the same fid.
    fn put_somewhere<'o>(
        &mut self,
        opened: &'o Opened,
        spool: &Spool,
        bad: &mut Vec<SocketAddr>,
    ) -> Result<&'o Target, (Option<&'o Target>, Miss)> {
        let nowhere = mogilefs::Error::NoNode("no target has an address".to_owned());
        let mut miss = (opened.targets.first(), Miss::Again(nowhere));
        let mut dead: Vec<SocketAddr> = Vec::new();
        for (target, location) in self.in_order(&opened.targets, bad) {
            if dead.contains(&location.address) {
                continue;
            }
            let md5 = self.md5(target, spool);
            let nodes = self.client.nodes();
            let unstored = match nodes.put(&location, &mut spool.reader(), spool.len(), md5) {
                Ok(()) => return Ok(target),
                Err(unstored) => unstored,
            };
            match unstored {
                Unstored::Untouched(error) => {
                    log::warn!(
                        "node-down url={} error={}",
                        location.url,
                        quoted_error(&error)
                    );
                    dead.push(location.address);
                    bad.push(location.address);
                    miss = (Some(target), Miss::Again(error));
                }
                Unstored::Begun(mogilefs::Error::Interrupted) => {
                    return Err((Some(target), Miss::For(Error::Interrupted)));
                }
                Unstored::Begun(error) => {
                    log::warn!(
                        "put-failed url={} error={}",
                        location.url,
                        quoted_error(&error)
                    );
                    bad.push(location.address);
                    return Err((Some(target), Miss::Again(error)));
                }
                Unstored::Body(error) => {
                    let why = format!("spool: {error}");
                    return Err((Some(target), Miss::For(Error::Broken(why))));
                }
            }
        }
        Err(miss)
    }

    /// Nodes that did nothing wrong first; of each node one device, before the second of any.
    fn in_order<'o>(
        &self,
        targets: &'o [Target],
        bad: &[SocketAddr],
    ) -> Vec<(&'o Target, Location)> {
        let mut nodes: Vec<SocketAddr> = Vec::new();
        let mut ranked: Vec<_> = targets
            .iter()
            .filter_map(|target| Some((target, Location::parse(&target.url)?)))
            .map(|(target, location)| {
                let node = location.address;
                let seen = nodes.contains(&node);
                nodes.push(node);
                let shunned = bad.contains(&node) || self.client.nodes().is_shunned(node);
                ((shunned, seen), (target, location))
            })
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, place)| place).collect()
    }

    /// The sum that the node at `target` is to verify, if it does and is to.
    fn md5(&mut self, target: &Target, spool: &Spool) -> Option<[u8; 16]> {
        let wanted = match self.settings.content_md5 {
            ContentMd5::Never => false,
            ContentMd5::Small => spool.len() <= self.settings.spool_mem,
            ContentMd5::Always => true,
        };
        if !wanted {
            return None;
        }
        let devices = match &self.devices {
            Some(devices) => devices,
            None => {
                let devices = self.client.trackers().ok()?.get_devices();
                self.devices.insert(devices.unwrap_or_default())
            }
        };
        devices
            .iter()
            .any(|device| device.id == target.device && device.verifies)
            .then(|| spool.md5())?
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
