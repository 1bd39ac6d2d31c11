//! Making and removing directories: domains and classes are MogileFS's own; below them a directory
//! is where keys are. One without keys is remembered by the daemon as long as it lives, or kept by
//! an empty file whose key ends with a slash.
#![forbid(unsafe_code)]

use super::destination::{Destination, Precondition};
use super::layout::Spot;
use super::made::Deed;
use super::spool::{Bounds, Spool};
use super::{MogileFs, names};
use crate::path::Path;
use crate::store::Error;

impl MogileFs {
    pub(super) fn make_domain(&mut self, domain: &[u8]) -> Result<(), Error> {
        names::check_class(domain)?;
        Ok(self.client.trackers()?.create_domain(domain)?)
    }

    pub(super) fn remove_domain(&self, domain: &[u8]) -> Result<(), Error> {
        // The default class is always there, and goes with its domain.
        if self.has_made_dirs(domain, b"") {
            return Err(Error::NotEmpty);
        }
        Ok(self.client.trackers()?.delete_domain(domain)?)
    }

    pub(super) fn make_class(&mut self, spot: &Spot) -> Result<(), Error> {
        let Spot { domain, class, .. } = spot;
        names::check_class(class)?;
        // That it was made here a moment ago does not count: another session may have removed it.
        let known = self.classes(domain)?.unwrap_or_default();
        if known.contains(class) {
            return Err(Error::Exists);
        }
        self.made.forget(domain, class);
        let copies = self.settings.mindevcount;
        self.client
            .trackers()?
            .create_class(domain, class, copies)?;
        self.made.note(domain, class, Deed::Made);
        Ok(())
    }

    pub(super) fn remove_class(&mut self, spot: &Spot) -> Result<(), Error> {
        let Spot { domain, class, .. } = spot;
        // Files of other classes may lie here too: they would vanish from sight.
        if self.has_made_dirs(domain, &spot.prefix()) || self.has_keys(spot)? {
            return Err(Error::NotEmpty);
        }
        self.client.trackers()?.delete_class(domain, class)?;
        self.made.note(domain, class, Deed::Removed);
        self.seen.forget();
        Ok(())
    }

    pub(super) fn make_prefix(&mut self, path: &Path, spot: &Spot) -> Result<(), Error> {
        if spot.key.is_empty() {
            return Err(Error::Exists);
        }
        names::check_key(&spot.key)?;
        self.must_be_free(path, spot)?;
        if !self.has_class(&spot.domain, &spot.class)? {
            return Err(Error::BadName("is not inside a class"));
        }
        match self.settings.dirmarkers {
            true => self.mark(spot)?,
            false => self.lore.make_dir(&spot.domain, &spot.prefix()),
        }
        self.emptied.forget(&spot.domain, &spot.prefix());
        Ok(())
    }

    /// An error if there is a file or a directory; one that this session has emptied is none.
    pub(super) fn must_be_free(&mut self, path: &Path, spot: &Spot) -> Result<(), Error> {
        match self.find(path) {
            Err(Error::NotFound) => Ok(()),
            Err(Error::NotAFile)
                if self.emptied.has(&spot.domain, &spot.prefix()) && !self.is_dir(spot)? =>
            {
                Ok(())
            }
            Ok(_) | Err(Error::NotAFile) => Err(Error::Exists),
            Err(error) => Err(error),
        }
    }

    /// Stores the file that keeps the directory. Some nodes have no answer to the size of an empty
    /// one, so that the tracker does not take it: then it gets one byte.
    fn mark(&mut self, spot: &Spot) -> Result<(), Error> {
        let marker = Spot {
            key: spot.prefix(),
            ..spot.clone()
        };
        names::check_key(&marker.key)?;
        let to = Destination {
            spot: &marker,
            precondition: Precondition::Absent,
            announced: None,
        };
        let mut stored = Ok(0);
        for mut content in [&b""[..], b"/"] {
            let bounds = Bounds {
                memory: u64::MAX,
                dir: self.tmpdir.clone(),
                room: None,
                most: u64::MAX,
            };
            let mut spool = Spool::new(&mut content, bounds, false);
            spool.receive()?;
            stored = self.upload(&to, &mut spool);
            if !matches!(stored, Err(Error::Broken(_))) {
                break;
            }
        }
        stored.map(|_| ())
    }

    pub(super) fn remove_prefix(&mut self, spot: &Spot) -> Result<(), Error> {
        let prefix = spot.prefix();
        if spot.key.is_empty() {
            Err(Error::Denied)
        } else if self.has_made_dirs(&spot.domain, &prefix) || self.has_keys(spot)? {
            Err(Error::NotEmpty)
        } else {
            let was_emptied = self.was_emptied(spot)?;
            self.emptied.forget(&spot.domain, &prefix);
            let mut was_there = self.lore.forget_dir(&spot.domain, &prefix) || was_emptied;
            for prefix in self.written(prefix) {
                if self.has_marker(&spot.domain, &prefix)? {
                    self.client.trackers()?.delete(&spot.domain, &prefix)?;
                    was_there = true;
                }
            }
            was_there.then_some(()).ok_or(Error::NotFound)
        }
    }

    /// Whether a session has made directories in the one with `prefix`.
    fn has_made_dirs(&self, domain: &[u8], prefix: &[u8]) -> bool {
        self.lore.catch_up();
        !self.lore.names_in(domain, prefix).is_empty()
    }
}
