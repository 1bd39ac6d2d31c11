//! One upload, from the spool to the commit. A node may refuse, stall or die, and a tracker may
//! throw away what a node has: the spool still has it all, and another place is tried. A fid whose
//! bytes may have reached a node is never used for another one, and is given back.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::MogileFs;
use super::layout::Spot;
use super::replace::Standing;
use super::spool::{Patience, Spool, Trouble};
use crate::config::{ContentMd5, Upload};
use crate::mogilefs::{self, Closing, Location, Opened, Target, Unstored, Verdict};
use crate::store::Error;
use crate::text::{quoted, quoted_error};
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

/// How long a tracker is sought for an upload whose close was lost: the version that stood there may
/// be lost with it, and nobody else has the bytes.
const HEALING: Duration = Duration::from_secs(30);

/// Why one fid came to nothing.
enum Miss {
    /// Another fid may do.
    Again(mogilefs::Error),
    /// The same, after a close that nobody can say what it did.
    Lost(mogilefs::Error),
    /// It was nobody's fault, but the upload must be whole before another one is tried.
    Whole(&'static str),
    /// No other would do better.
    For(Error),
}

/// Where the bytes of an upload are to go, and what stands there.
pub(super) struct Aim<'a> {
    pub(super) spot: &'a Spot,
    pub(super) standing: Standing,
    /// How many bytes there will be at least, if that is known.
    pub(super) announced: Option<u64>,
}

/// How long the steps of an upload took.
#[derive(Default)]
struct Took {
    open: Duration,
    put: Duration,
    close: Duration,
}

impl MogileFs {
    /// Stores what is or comes into `spool` and returns the fid.
    pub(super) fn upload(&mut self, aim: &Aim<'_>, spool: &mut Spool<'_>) -> Result<u64, Error> {
        let mut bad: Vec<SocketAddr> = Vec::new();
        let mut follows = self.settings.upload == Upload::Tee && !self.wants_length;
        let mut used = 0;
        let mut last = None;
        let mut was_closed = false;
        while let Some(wait) = FIDS.get(used) {
            vigil::pause(*wait).map_err(mogilefs::Error::from)?;
            if follows {
                // Of a small one it is known now that it is small.
                spool.pull()?;
            } else {
                spool.receive()?;
            }
            let mut took = Took::default();
            let begun = Instant::now();
            let opened = loop {
                match self.open_fid(aim.spot, length(aim, spool)) {
                    Err(Error::Unavailable(why)) if was_closed && begun.elapsed() < HEALING => {
                        log::warn!("heal-waits error={}", quoted(why.as_bytes()));
                        vigil::pause(LAG.1).map_err(mogilefs::Error::from)?;
                    }
                    opened => break opened?,
                }
            };
            took.open = begun.elapsed();
            let stored = self.store_as(&opened, aim, was_closed, spool, &mut bad, &mut took);
            was_closed |= matches!(stored, Err(Miss::Lost(_)));
            match stored {
                Ok(target) => {
                    self.log_stored(aim, spool, opened.fid, &target, used + 1, &took);
                    return Ok(opened.fid);
                }
                Err(Miss::For(error)) => return Err(error),
                Err(Miss::Whole(why)) => {
                    log::info!("stor-spooled fid={} why=\"{why}\"", opened.fid);
                    follows = false;
                }
                Err(Miss::Again(error) | Miss::Lost(error)) => {
                    used += 1;
                    log::warn!(
                        "stor-again fid={} fids={used} error={}",
                        opened.fid,
                        quoted_error(&error)
                    );
                    last = Some(error);
                }
            }
        }
        Err(match last {
            Some(error @ mogilefs::Error::Http(413)) => Error::TooLarge(error.to_string()),
            Some(error @ mogilefs::Error::Http(507)) => Error::Full(error.to_string()),
            Some(error) => Error::Broken(format!("{used} fids used up: {error}")),
            None => Error::Broken("no fid was tried".to_owned()),
        })
    }

    fn log_stored(
        &self,
        aim: &Aim<'_>,
        spool: &Spool<'_>,
        fid: u64,
        target: &Target,
        fids: usize,
        took: &Took,
    ) {
        let node = Location::parse(&target.url).map(|location| location.address.to_string());
        log::info!(
            "upload-stored fid={fid} dev={} node={} bytes={} spool={} recv_ms={} open_ms={} put_ms={} \
             close_ms={} fids={fids} domain={} class={} key={}",
            target.device,
            node.unwrap_or_default(),
            spool.len(),
            spool.place(),
            spool.took().as_millis(),
            took.open.as_millis(),
            took.put.as_millis(),
            took.close.as_millis(),
            quoted(&aim.spot.domain),
            quoted(&aim.spot.class),
            quoted(&aim.spot.key)
        );
    }

    fn open_fid(&mut self, spot: &Spot, size: Option<u64>) -> Result<Opened, Error> {
        let Spot { domain, class, key } = spot;
        loop {
            let mut trackers = self.client.trackers()?;
            let error = match trackers.create_open(domain, key, class, size) {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            if error.is("unreg_class") && self.made.is_fresh(domain, class, LAG.0) {
                drop(trackers);
                vigil::pause(LAG.1).map_err(mogilefs::Error::from)?;
                continue;
            }
            if error.is("no_devices")
                && let Some(size) = size
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
        aim: &Aim<'_>,
        was_closed: bool,
        spool: &mut Spool<'_>,
        bad: &mut Vec<SocketAddr>,
        took: &mut Took,
    ) -> Result<Target, Miss> {
        let begun = Instant::now();
        let put = self.put_somewhere(opened, length(aim, spool), spool, bad);
        took.put = begun.elapsed();
        let target = match put {
            Ok(target) => target,
            Err((target, miss)) => {
                if let Some(target) = target {
                    self.give_back(aim.spot, opened.fid, target);
                }
                return Err(miss);
            }
        };
        let begun = Instant::now();
        let is_closed = match self.close_key(aim, opened.fid, was_closed) {
            Ok(key) => self.close(opened, target, aim, &key, spool, bad),
            Err(error) => {
                self.give_back(aim.spot, opened.fid, target);
                Err(Miss::For(error))
            }
        };
        took.close = begun.elapsed();
        is_closed.map(|()| target.clone())
    }

    fn close(
        &mut self,
        opened: &Opened,
        target: &Target,
        aim: &Aim<'_>,
        key: &[u8],
        spool: &Spool<'_>,
        bad: &mut Vec<SocketAddr>,
    ) -> Result<(), Miss> {
        let spot = aim.spot;
        let closing = Closing {
            domain: &spot.domain,
            key,
            fid: opened.fid,
            target,
            size: spool.len(),
            md5: match self.settings.content_md5 {
                ContentMd5::Never => None,
                ContentMd5::Small | ContentMd5::Always => spool.md5(),
            },
        };
        let verdict = match self.client.trackers() {
            Ok(mut trackers) => trackers.commit(&closing),
            Err(error) => Verdict::Refused(error),
        };
        match verdict {
            Verdict::Committed if key == spot.key => Ok(()),
            Verdict::Committed => self.swap_in(spot, key, opened.fid).map_err(Miss::For),
            Verdict::Lost(error) => {
                bad.extend(Location::parse(&target.url).map(|location| location.address));
                Err(Miss::Lost(error))
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
        length: Option<u64>,
        spool: &mut Spool<'_>,
        bad: &mut Vec<SocketAddr>,
    ) -> Result<&'o Target, (Option<&'o Target>, Miss)> {
        let patience = Patience {
            pause: self.settings.pause_timeout,
            until: Instant::now().checked_add(self.settings.temp_timeout),
        };
        let nowhere = mogilefs::Error::NoNode("no target has an address".to_owned());
        let mut miss = (opened.targets.first(), Miss::Again(nowhere));
        let mut dead: Vec<SocketAddr> = Vec::new();
        for (target, location) in self.in_order(&opened.targets, bad) {
            if dead.contains(&location.address) {
                continue;
            }
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
                    bad.push(location.address);
                    miss = (Some(target), Miss::Again(error));
                }
                Err(unstored) => {
                    let miss = self.begun(unstored, &location, length, spool, bad);
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
        bad: &mut Vec<SocketAddr>,
    ) -> Miss {
        let error = match (unstored, spool.trouble()) {
            (_, Some(Trouble::Failed(error))) => return Miss::For(error),
            (_, Some(Trouble::Paused)) => return Miss::Whole("the client pauses"),
            (_, Some(Trouble::Aged)) => return Miss::Whole("the client takes long"),
            (Unstored::Body(error), None) => {
                return Miss::For(Error::Broken(format!("spool: {error}")));
            }
            (Unstored::Begun(error) | Unstored::Untouched(error), None) => error,
        };
        match error {
            mogilefs::Error::Interrupted => return Miss::For(Error::Interrupted),
            mogilefs::Error::Http(411 | 501) if length.is_none() => {
                self.wants_length = true;
                return Miss::Whole("a node wants to know the length");
            }
            _ => {}
        }
        log::warn!(
            "put-failed url={} error={}",
            location.url,
            quoted_error(&error)
        );
        self.client.nodes().blame(location.address);
        bad.push(location.address);
        Miss::Again(error)
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

/// How many bytes a node is to expect; `None`: nobody knows yet.
fn length(aim: &Aim<'_>, spool: &Spool<'_>) -> Option<u64> {
    if spool.is_whole() {
        Some(spool.len())
    } else {
        aim.announced.filter(|announced| *announced >= spool.len())
    }
}

/// What a node was given is the whole upload, and the client has ended it in good order.
fn ended(spool: &mut Spool<'_>) -> Result<(), Miss> {
    match spool.pull() {
        Ok(false) => Ok(()),
        Ok(true) => Err(Miss::Whole("the client sends more than it announced")),
        Err(error) => Err(Miss::For(error)),
    }
}
