//! Finding what a path names: the file under one of its keys, or the directory that other keys make
//! of it.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::layout::{Place, Spot};
use super::made::Deed;
use super::pages::Pages;
use super::{MogileFs, names};
use crate::mogilefs::{self, Fate, Object};
use crate::path::Path;
use crate::store::{Error, Store};
use crate::vigil;

/// How long a tracker's database may take to hear of what we did, and how long to wait before it is
/// asked again.
const DELAY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(250));

impl MogileFs {
    /// Where a file may be read.
    pub(super) fn spot(&self, path: &Path) -> Result<Spot, Error> {
        match self.layout.place(path) {
            Place::Class(spot) => Ok(spot),
            Place::Key(spot) if !spot.key.is_empty() => Ok(spot),
            Place::Key(_) | Place::Domains | Place::Domain(_) => Err(Error::NotAFile),
        }
    }

    /// Where a file may be stored.
    pub(super) fn new_spot(&self, path: &Path) -> Result<Spot, Error> {
        match self.layout.place(path) {
            Place::Key(spot) if !spot.key.is_empty() => {
                names::check_key(&spot.key)?;
                Ok(spot)
            }
            Place::Key(_) => Err(Error::NotAFile),
            Place::Class(_) | Place::Domain(_) | Place::Domains => {
                Err(Error::BadName("is not inside a class"))
            }
        }
    }

    /// `key`, or what keys begin with, in each way in which it may be written.
    pub(super) fn written(&self, key: Vec<u8>) -> Vec<Vec<u8>> {
        let mut all = self.layout.also(&key);
        all.insert(0, key);
        all
    }

    /// The file at `path`, and the key that it has.
    ///
    /// # Errors
    /// `NotFound`, `NotAFile` where there is a directory instead.
    pub(super) fn find(&mut self, path: &Path) -> Result<(Spot, Object), Error> {
        let spot = self.spot(path)?;
        match self.first_of(&spot, self.written(spot.key.clone()))? {
            Some(found) => Ok(found),
            None => Err(match self.enter(path) {
                Ok(()) => Error::NotAFile,
                // That nobody could be asked does not mean that it is not there.
                Err(error) => error,
            }),
        }
    }

    /// Tells a file from what is not there at all.
    pub(super) fn must_be_dir(&mut self, path: &Path) -> Result<(), Error> {
        match self.enter(path) {
            Err(Error::NotFound) if self.find(path).is_ok() => Err(Error::NotADir),
            entered => entered,
        }
    }

    /// As [`Self::find`], but also finds what the PHP daemon stored under a name that it did not
    /// mean.
    pub(super) fn find_to_read(&mut self, path: &Path) -> Result<(Spot, Object), Error> {
        match self.find_or_doubled(path) {
            Err(Error::NotFound) => self.find_garbled(path)?.ok_or(Error::NotFound),
            found => found,
        }
    }

    /// As [`Self::find`], but tells by which name to call a file that was stored under one that
    /// nobody meant: what is changed must be called by its true name.
    pub(super) fn find_to_change(&mut self, path: &Path) -> Result<(Spot, Object), Error> {
        match self.find_or_doubled(path) {
            Err(Error::NotFound) => match self.find_garbled(path)? {
                Some((spot, _)) => Err(Error::Called(
                    match self.layout.path(&spot.domain, &spot.key) {
                        Some(path) => path.as_bytes().to_vec(),
                        None => spot.key,
                    },
                )),
                None => Err(Error::NotFound),
            },
            found => found,
        }
    }

    /// The same, and where its copies are.
    pub(super) fn locate(&mut self, path: &Path) -> Result<(Spot, Object, Vec<String>), Error> {
        let spot = self.spot(path)?;
        match self.locate_key(&spot)? {
            Some((object, paths)) => Ok((spot, object, paths)),
            None => {
                let (spot, _) = self.find_to_read(path)?;
                match self.locate_key(&spot)? {
                    Some((object, paths)) => Ok((spot, object, paths)),
                    None => Err(Error::NotFound),
                }
            }
        }
    }

    /// What is under the key of `spot`, and where. A database that has not heard yet of what we did is
    /// waited for.
    fn locate_key(&self, spot: &Spot) -> Result<Option<(Object, Vec<String>)>, Error> {
        let begun = Instant::now();
        loop {
            let located = self.client.trackers()?.locate(&spot.domain, &spot.key);
            let located = match located {
                Ok(located) => Some(located),
                Err(error) if error.is("unknown_key") => None,
                Err(error) => return Err(error.into()),
            };
            let seen = located.as_ref().map(|(object, _)| object.clone());
            let Some(left) = self.as_we_left_it(&spot.domain, &spot.key, seen)? else {
                return Ok(None);
            };
            if let Some(located) = located.filter(|(object, _)| object.fid == left.fid) {
                return Ok(Some(located));
            }
            if begun.elapsed() >= DELAY.0 {
                let why = "the tracker has not heard of it yet";
                return Err(Error::Unavailable(why.to_owned()));
            }
            vigil::pause(DELAY.1).map_err(mogilefs::Error::from)?;
        }
    }

    /// As [`Self::find`], or what the PHP daemon stored after `CWD /class/`, with both slashes in the key. No
    /// path has them, so that nothing else can be meant.
    pub(super) fn find_or_doubled(&mut self, path: &Path) -> Result<(Spot, Object), Error> {
        let found = self.find(path);
        if !matches!(found, Err(Error::NotFound)) {
            return found;
        }
        let spot = self.spot(path)?;
        let doubled = self.doubled(&spot.key).into_iter().collect();
        self.first_of(&spot, doubled)?.ok_or(Error::NotFound)
    }

    /// `key` with two slashes behind its first part, where such are looked for.
    fn doubled(&self, key: &[u8]) -> Option<Vec<u8>> {
        let slash = key.iter().position(|byte| *byte == b'/');
        let (first, rest) = key.split_at_checked(slash?)?;
        self.settings
            .legacy_names
            .then(|| [first, b"/", rest].concat())
    }

    /// Other keys of what is called as the file under `key`; nothing else can be meant by them.
    pub(super) fn aliases(&self, key: &[u8]) -> Vec<Vec<u8>> {
        let mut all = self.layout.also(key);
        all.extend(self.doubled(key));
        all
    }

    /// Where a file is to be stored that gets the name of `spot`: if one that is called so has another key,
    /// there, or both would be.
    pub(super) fn in_its_place(&self, spot: Spot) -> Result<Spot, Error> {
        let Some((other, _)) = self.first_of(&spot, self.aliases(&spot.key))? else {
            return Ok(spot);
        };
        let own = self.first_of(&spot, vec![spot.key.clone()])?;
        Ok(if own.is_some() { spot } else { other })
    }

    fn find_garbled(&mut self, path: &Path) -> Result<Option<(Spot, Object)>, Error> {
        if !self.settings.legacy_names {
            return Ok(None);
        }
        let spot = self.spot(path)?;
        let keys = self.written(spot.key.clone()).into_iter();
        let garbled = keys.filter_map(|key| {
            let taken = mogilefs::taken_raw(&key);
            (taken != key && !taken.is_empty()).then_some(taken)
        });
        self.first_of(&spot, garbled.collect())
    }

    /// The first of `keys` that there is, in the domain of `spot`.
    pub(super) fn first_of(
        &self,
        spot: &Spot,
        keys: Vec<Vec<u8>>,
    ) -> Result<Option<(Spot, Object)>, Error> {
        for key in keys {
            let found = self.client.trackers()?.file_info(&spot.domain, &key);
            let seen = match found {
                Ok(object) => Some(object),
                Err(error) if error.is("unknown_key") => None,
                Err(error) => return Err(error.into()),
            };
            if let Some(object) = self.as_we_left_it(&spot.domain, &key, seen)? {
                let spot = Spot {
                    key,
                    ..spot.clone()
                };
                return Ok(Some((spot, object)));
            }
        }
        Ok(None)
    }

    /// What is under `key`, if the tracker's answer `seen` contradicts what we did a moment ago: a
    /// database that lags behind may have been asked, and there is one question that is always
    /// answered by the one that does not.
    fn as_we_left_it(
        &self,
        domain: &[u8],
        key: &[u8],
        seen: Option<Object>,
    ) -> Result<Option<Object>, Error> {
        let recent = self.recent.borrow();
        let newer = recent.newer(domain, key, seen.as_ref());
        let is_removed = |seen: &Object| recent.is_removed(domain, key, seen);
        let doubted = match (newer, &seen) {
            (Some(newer), _) => newer,
            (None, Some(seen)) if is_removed(seen) => seen.clone(),
            _ => return Ok(seen),
        };
        let fate = self.client.trackers()?.file_debug(doubted.fid)?;
        Ok(match fate {
            Fate::Committed { key: now, .. } if now == key => Some(doubted),
            _ => seen.filter(|seen| seen.fid != doubted.fid),
        })
    }

    pub(super) fn has_class(&mut self, domain: &[u8], class: &[u8]) -> Result<bool, Error> {
        let classes = self.classes(domain)?;
        let known = classes.is_some_and(|classes| classes.iter().any(|name| name == class));
        Ok(known || self.made.was(domain, class, Deed::Made))
    }

    /// The classes of a domain, if there is one: without those that this session has just removed, of which
    /// a tracker may not have heard.
    pub(super) fn classes(&mut self, domain: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let domains = self.client.trackers()?.get_domains()?;
        let found = domains.into_iter().find(|one| one.name == domain);
        Ok(found.map(|found| {
            let mut classes = found.classes;
            classes.retain(|class| !self.made.was(domain, class, Deed::Removed));
            classes
        }))
    }

    pub(super) fn has_keys(&self, spot: &Spot) -> Result<bool, Error> {
        for prefix in self.written(spot.prefix()) {
            if Pages::new(self.quarry(&spot.domain, prefix)).any()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this session has emptied the directory at `spot`, and no other has stored a file there since.
    pub(super) fn was_emptied(&self, spot: &Spot) -> Result<bool, Error> {
        let is_known = !spot.key.is_empty() && self.emptied.has(&spot.domain, &spot.prefix());
        Ok(is_known
            && self
                .first_of(spot, self.written(spot.key.clone()))?
                .is_none())
    }

    /// Whether keys, a marker, or nothing but a memory make a directory of `spot`.
    pub(super) fn is_dir(&mut self, spot: &Spot) -> Result<bool, Error> {
        if spot.key.is_empty() {
            return Ok(true);
        }
        // Another session of the same client may have made or removed it a moment ago.
        self.lore.catch_up();
        if self.lore.has_dir(&spot.domain, &spot.prefix()) || self.has_keys(spot)? {
            return Ok(true);
        }
        for prefix in self.written(spot.prefix()) {
            if self.has_marker(&spot.domain, &prefix)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there is a file whose key is `prefix`, slash included: it keeps a directory.
    pub(super) fn has_marker(&self, domain: &[u8], prefix: &[u8]) -> Result<bool, Error> {
        match self.client.trackers()?.file_info(domain, prefix) {
            Ok(_) => Ok(true),
            Err(error) if error.is("unknown_key") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
