//! Making and removing directories: domains and classes are MogileFS's own; below them a directory
//! is where keys are, and one without keys exists in the session only that has made it.
#![forbid(unsafe_code)]

use super::layout::Spot;
use super::{MogileFs, names};
use crate::path::Path;
use crate::store::Error;

impl MogileFs {
    pub(super) fn make_domain(&mut self, domain: &[u8]) -> Result<(), Error> {
        names::check_class(domain)?;
        Ok(self.client.trackers()?.create_domain(domain)?)
    }

    pub(super) fn make_class(&mut self, spot: &Spot) -> Result<(), Error> {
        let Spot { domain, class, .. } = spot;
        names::check_class(class)?;
        if self.has_class(domain, class)? {
            return Err(Error::Exists);
        }
        let copies = self.settings.mindevcount;
        self.client
            .trackers()?
            .create_class(domain, class, copies)?;
        self.made.class(domain, class);
        Ok(())
    }

    pub(super) fn remove_class(&mut self, spot: &Spot) -> Result<(), Error> {
        // Files of other classes may lie here too: they would vanish from sight.
        if self.has_keys(spot)? {
            return Err(Error::NotEmpty);
        }
        let Spot { domain, class, .. } = spot;
        self.client.trackers()?.delete_class(domain, class)?;
        self.made.forget_class(domain, class);
        Ok(())
    }

    pub(super) fn make_prefix(&mut self, path: &Path, spot: &Spot) -> Result<(), Error> {
        if spot.key.is_empty() {
            return Err(Error::Exists);
        }
        names::check_key(&spot.key)?;
        match self.find(path) {
            Ok(_) | Err(Error::NotAFile) => Err(Error::Exists),
            Err(Error::NotFound) => {
                self.made.dir(&spot.domain, spot.prefix());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove_prefix(&mut self, spot: &Spot) -> Result<(), Error> {
        let prefix = spot.prefix();
        if spot.key.is_empty() {
            Err(Error::Denied)
        } else if !self.made.names_in(&spot.domain, &prefix).is_empty() || self.has_keys(spot)? {
            Err(Error::NotEmpty)
        } else if self.made.forget_dir(&spot.domain, &prefix) {
            Ok(())
        } else {
            Err(Error::NotFound)
        }
    }
}
