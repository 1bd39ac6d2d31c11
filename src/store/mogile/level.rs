//! What a directory is made of: domains, the classes of one, or keys; no more of it than a listing may have.
#![forbid(unsafe_code)]

use std::rc::Rc;

use super::layout::{Place, Spot};
use super::listing::{self, Limited, Listing};
use super::{MogileFs, entry, names};
use crate::path::Path;
use crate::store::{Entries, Entry, Error, Wish};

impl MogileFs {
    /// What of `dir` is wished for, as it is found.
    pub(super) fn level(&mut self, dir: &Path, wish: Wish) -> Result<Entries<'_>, Error> {
        match self.layout.place(dir) {
            Place::Domains => {
                let domains = self.client.trackers()?.get_domains()?;
                let names = domains.into_iter().map(|domain| domain.name).collect();
                Ok(self.names(names, entry::DOMAIN, wish))
            }
            Place::Domain(domain) => {
                let classes = self.classes(&domain)?.ok_or(Error::NotFound)?;
                Ok(self.names(classes, entry::CLASS, wish))
            }
            Place::Class(spot) | Place::Key(spot) => {
                let is_whole = wish.beginning.is_empty() && wish.meant.is_none();
                let mut listing = self.list_spot(&spot, wish)?;
                // What has no entries may be an empty directory, a file, or nothing.
                let first = listing.next();
                if first.is_none() && is_whole {
                    self.must_be_dir(dir)?;
                }
                Ok(self.limited(first.into_iter().chain(listing)))
            }
        }
    }

    fn list_spot(&self, spot: &Spot, wish: Wish) -> Result<Listing, Error> {
        let prefix = spot.prefix();
        self.lore.catch_up();
        let plan = listing::Plan {
            quarry: self.quarry(&spot.domain, prefix.clone()),
            made: self.lore.names_in(&spot.domain, &prefix),
            prefixes: self.written(prefix),
            wish,
            sizes: self.settings.extendedlist,
            times: self.settings.listtimes,
            limit: self.settings.listlimit,
        };
        Listing::new(plan, Rc::clone(&self.recent))
    }

    fn limited<'e>(&self, entries: impl Iterator<Item = Result<Entry, Error>> + 'e) -> Entries<'e> {
        let settings = &self.settings;
        Box::new(Limited::new(
            entries,
            settings.listlimit,
            settings.listlimit_error,
        ))
    }

    fn names<'e>(&self, names: Vec<Vec<u8>>, group: &'static str, wish: Wish) -> Entries<'e> {
        let is_wanted = move |name: &Vec<u8>| names::is_shown(name) && wish.wants(name);
        let wanted = names.into_iter().filter(is_wanted);
        self.limited(wanted.map(move |name| Ok(entry::dir(&name, group))))
    }
}
