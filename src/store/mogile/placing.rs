//! Putting the bytes of one fid on one of the devices that a tracker has offered for it.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::Instant;

use super::MogileFs;
use super::course::{Course, Miss};
use super::spool::{Patience, Spool, Trouble};
use crate::config::ContentMd5;
use crate::mogilefs::{self, Location, Opened, Target, Unstored};
use crate::store::Error;
use crate::text::quoted_error;

impl MogileFs {
    /// Puts the bytes to the first target that takes them. As long as nothing was sent the next one
    /// will do for the same fid.
    pub(super) fn put_somewhere<'o>(
        &mut self,
        opened: &'o Opened,
        length: Option<u64>,
        spool: &mut Spool<'_>,
        course: &mut Course,
    ) -> Result<&'o Target, (Option<&'o Target>, Miss)> {
        let patience = Patience {
            pause: self.settings.pause_timeout,
            until: Instant::now().checked_add(self.settings.temp_timeout),
        };
        let nowhere = mogilefs::Error::NoNode("no target is one of this fid".to_owned());
        let mut miss = (opened.targets.first(), Miss::Retry(nowhere));
        let mut dead: Vec<SocketAddr> = Vec::new();
        for (target, location) in self.in_order(opened, &course.bad) {
            if dead.contains(&location.address) {
                continue;
            }
            course.dests += 1;
            let md5 = self.md5(target, spool);
            let nodes = self.client.nodes();
            let put = nodes.put(&location, &mut spool.reader(patience), length, md5);
            match put {
                Ok(()) => {
                    return ended(spool)
                        .map(|()| target)
                        .map_err(|miss| (Some(target), miss));
                }
                Err(Unstored::Untouched(error)) => {
                    log::warn!(
                        "node-down url={} error={}",
                        location.url,
                        quoted_error(&error)
                    );
                    dead.push(location.address);
                    course.bad.push(location.address);
                    miss = (Some(target), Miss::Retry(error));
                }
                Err(unstored) => {
                    let miss = self.begun(unstored, &location, length, spool, course);
                    return Err((Some(target), miss));
                }
            }
        }
        Err(miss)
    }

    /// What follows from a PUT that was begun and came to nothing.
    fn begun(
        &mut self,
        unstored: Unstored,
        location: &Location,
        length: Option<u64>,
        spool: &mut Spool<'_>,
        course: &mut Course,
    ) -> Miss {
        let error = match (unstored, spool.trouble()) {
            (_, Some(Trouble::Failed(error))) => return Miss::Final(error),
            (_, Some(Trouble::Paused)) => return Miss::NeedsWhole("the client pauses"),
            (_, Some(Trouble::Aged)) => return Miss::NeedsWhole("the client takes long"),
            (Unstored::Body(error), None) => {
                return Miss::Final(Error::Broken(format!("spool: {error}")));
            }
            (Unstored::Begun(error) | Unstored::Untouched(error), None) => error,
        };
        match error {
            mogilefs::Error::Interrupted => return Miss::Final(Error::Interrupted),
            mogilefs::Error::Http(411 | 501) if length.is_none() => {
                self.wants_length = true;
                return Miss::NeedsWhole("a node wants to know the length");
            }
            _ => {}
        }
        log::warn!(
            "put-failed url={} error={}",
            location.url,
            quoted_error(&error)
        );
        self.client.nodes().blame(location.address);
        course.bad.push(location.address);
        Miss::Retry(error)
    }

    /// Nodes that did nothing wrong first; of each node one device, before the second of any. A
    /// place of another fid is none: there may be a file.
    fn in_order<'o>(&self, opened: &'o Opened, bad: &[SocketAddr]) -> Vec<(&'o Target, Location)> {
        let mut nodes: Vec<SocketAddr> = Vec::new();
        let mut ranked: Vec<_> = opened
            .targets
            .iter()
            .filter_map(|target| Some((target, Location::parse(&target.url)?)))
            .filter(|(_, place)| place.fid.is_none_or(|fid| fid == opened.fid))
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
    fn md5(&mut self, target: &Target, spool: &Spool<'_>) -> Option<[u8; 16]> {
        let wanted = match self.settings.content_md5 {
            ContentMd5::Never => false,
            ContentMd5::Small => spool.len() <= self.settings.spool_mem,
            ContentMd5::Always => true,
        };
        if !wanted || !spool.is_whole() {
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
}

/// What a node was given is the whole upload, and the client has ended it in good order.
fn ended(spool: &mut Spool<'_>) -> Result<(), Miss> {
    match spool.pull() {
        Ok(false) => Ok(()),
        Ok(true) => Err(Miss::NeedsWhole("the client sends more than it announced")),
        Err(error) => Err(Miss::Final(error)),
    }
}
