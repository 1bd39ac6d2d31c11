//! The MogileFS store: a tree of directories made of flat keys. A [`Layout`] says which path is
//! which key; the rest is the same for all of them. Nothing is remembered of a file from one call
//! to the next: what is asked for is asked of a tracker, afresh.
#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;

use download::Download;
use layout::{Layout, Place, Spot};
use listing::{Limited, Listing};
use made::Made;
pub(crate) use spool::nameless;

use super::{Abilities, Body, Entries, Entry, Error, Plan, Receipt, Source, Store, Wish};
use crate::config::{self, Extended};
use crate::mogilefs::{self, Client, Device, Location};
use crate::path::Path;
use crate::text::quoted_error;

mod dirs;
mod download;
mod entry;
mod intake;
pub mod layout;
mod listing;
mod lookup;
mod made;
mod names;
mod pages;
mod replace;
mod spool;
mod trouble;
mod upload;

/// Files in one MogileFS, as one account sees them.
#[expect(
    clippy::module_name_repetitions,
    reason = "the name of the module in the users file"
)]
pub struct MogileFs {
    client: Client,
    layout: Box<dyn Layout>,
    settings: config::Mogilefs,
    tmpdir: PathBuf,
    /// The devices, once an upload had to know them.
    devices: Option<Vec<Device>>,
    /// A node of this session has refused an upload because it did not know its length.
    wants_length: bool,
    made: Made,
}

impl MogileFs {
    /// Uploads that are larger than `settings.spool_mem` wait in `tmpdir`.
    #[must_use]
    pub fn new(
        client: Client,
        layout: Box<dyn Layout>,
        settings: config::Mogilefs,
        tmpdir: PathBuf,
    ) -> Self {
        Self {
            client,
            layout,
            settings,
            tmpdir,
            devices: None,
            wants_length: false,
            made: Made::default(),
        }
    }

    /// Whether a tracker answers at all.
    ///
    /// # Errors
    /// `Unavailable`, `Interrupted`.
    pub fn check(&self) -> Result<(), Error> {
        self.client.trackers()?.get_domains()?;
        Ok(())
    }

    fn list_spot(&self, spot: &Spot, names_only: bool) -> Listing {
        let prefix = spot.prefix();
        let made = self.made.names_in(&spot.domain, &prefix);
        Listing::new(listing::Plan {
            client: self.client.clone(),
            domain: spot.domain.clone(),
            prefixes: self.written(prefix),
            made,
            sizes: match self.settings.extendedlist {
                _ if names_only => Extended::No,
                sizes => sizes,
            },
            limit: self.settings.listlimit,
        })
    }

    fn limited<'e>(
        &self,
        entries: impl Iterator<Item = Result<Entry, Error>> + 'e,
        wish: Wish,
    ) -> Entries<'e> {
        let settings = &self.settings;
        let is_wanted = move |entry: &Result<Entry, Error>| {
            entry.as_ref().map_or(true, |entry| wish.wants(&entry.name))
        };
        Box::new(Limited::new(
            entries.filter(is_wanted),
            settings.listlimit,
            settings.listlimit_error,
        ))
    }

    fn names<'e>(&self, names: Vec<Vec<u8>>, group: &'static str, wish: Wish) -> Entries<'e> {
        let shown = names.into_iter().filter(|name| names::is_shown(name));
        self.limited(shown.map(move |name| Ok(entry::dir(&name, group))), wish)
    }
}

impl Store for MogileFs {
    fn list(&mut self, dir: &Path, wish: Wish) -> Result<Entries<'_>, Error> {
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
                let mut listing = self.list_spot(&spot, wish.names_only);
                // What has no entries may be an empty directory, a file, or nothing.
                let first = listing.next();
                if first.is_none() {
                    self.enter(dir)?;
                }
                Ok(self.limited(first.into_iter().chain(listing), wish))
            }
        }
    }

    fn searches(&self) -> bool {
        self.settings.searchlist
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            append: false,
            rename: self.settings.canrename,
            make_dirs: self.settings.canmkdir,
            remove_dirs: self.settings.canrmdir,
        }
    }

    fn stat(&mut self, path: &Path) -> Result<Entry, Error> {
        match self.find_to_read(path) {
            Ok((_, object)) => Ok(entry::file(path.name(), Some(&object))),
            Err(Error::NotAFile) => {
                self.enter(path)?;
                let group = match self.layout.place(path) {
                    Place::Domain(_) => entry::DOMAIN,
                    _ => entry::CLASS,
                };
                Ok(entry::dir(path.name(), group))
            }
            Err(error) => Err(error),
        }
    }

    fn enter(&mut self, path: &Path) -> Result<(), Error> {
        let there = match self.layout.place(path) {
            Place::Domains => true,
            Place::Domain(domain) => self.classes(&domain)?.is_some(),
            Place::Class(spot) => {
                self.has_class(&spot.domain, &spot.class)? || self.is_dir(&spot)?
            }
            Place::Key(spot) => self.is_dir(&spot)?,
        };
        if there { Ok(()) } else { Err(Error::NotFound) }
    }

    fn modified(&mut self, path: &Path) -> Result<Option<i64>, Error> {
        let (spot, object) = self.find_to_read(path)?;
        let paths = self
            .client
            .trackers()?
            .get_paths(&spot.domain, &spot.key, false)?;
        let nodes = self.client.nodes();
        let mut oldest: Option<i64> = None;
        for location in paths.iter().filter_map(|path| Location::parse(path)) {
            if location.fid != Some(object.fid) {
                continue;
            }
            match nodes.modified(&location) {
                Ok(time) => oldest = oldest.into_iter().chain(time).min(),
                Err(mogilefs::Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => {
                    log::warn!(
                        "replica-bad fid={} url={} error={}",
                        object.fid,
                        location.url,
                        quoted_error(&error)
                    );
                }
            }
        }
        Ok(oldest)
    }

    fn open(&mut self, path: &Path, offset: u64) -> Result<Body, Error> {
        let spot = self.spot(path)?;
        let located = self.client.trackers()?.locate(&spot.domain, &spot.key);
        let (spot, object, paths) = match located {
            Ok((object, paths)) => (spot, object, paths),
            Err(error) if error.is("unknown_key") => {
                let (spot, _) = self.find_to_read(path)?;
                let (object, paths) = self.client.trackers()?.locate(&spot.domain, &spot.key)?;
                (spot, object, paths)
            }
            Err(error) => return Err(error.into()),
        };
        let left = object.length.checked_sub(offset).ok_or(Error::BeyondEnd)?;
        if left == 0 {
            return Ok(Body::Stream(Box::new(io::empty()), 0));
        }
        let client = self.client.clone();
        let download = Download::begin(client, spot, object, &paths, offset)?;
        Ok(Body::Stream(Box::new(download), left))
    }

    fn put(&mut self, path: &Path, source: &mut dyn Source, plan: &Plan) -> Result<Receipt, Error> {
        self.take_in(path, source, plan)
    }

    fn may_put(&mut self, path: &Path, plan: &Plan) -> Result<(), Error> {
        self.may_take_in(path, plan)
    }

    fn remove(&mut self, path: &Path) -> Result<(), Error> {
        let (spot, _) = self.find_to_change(path)?;
        Ok(self.client.trackers()?.delete(&spot.domain, &spot.key)?)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        if !self.settings.canrename {
            return Err(Error::Denied);
        }
        let (source, _) = match self.find_to_change(from) {
            Err(Error::NotAFile) => return Err(Error::Unsupported),
            found => found?,
        };
        let target = self.new_spot(to)?;
        if source.domain != target.domain {
            return Err(Error::Unsupported);
        }
        if !self.has_class(&target.domain, &target.class)? {
            return Err(Error::BadName("is not inside a class"));
        }
        if self.is_dir(&target)? {
            return Err(Error::Exists);
        }
        self.make_way(&source, &target)?;
        let mut trackers = self.client.trackers()?;
        let object = trackers.rename(&source.domain, &source.key, &target.key)?;
        if object.class != target.class
            && let Err(error) = trackers.updateclass(&target.domain, &target.key, &target.class)
        {
            log::warn!(
                "class-kept fid={} error={}",
                object.fid,
                quoted_error(&error)
            );
        }
        Ok(())
    }

    fn make_dir(&mut self, path: &Path) -> Result<(), Error> {
        if !self.settings.canmkdir {
            return Err(Error::Denied);
        }
        match self.layout.place(path) {
            Place::Domains => Err(Error::Exists),
            Place::Domain(_) if path.is_root() => Err(Error::Exists),
            Place::Domain(domain) => self.make_domain(&domain),
            Place::Class(spot) => self.make_class(&spot),
            Place::Key(spot) => self.make_prefix(path, &spot),
        }
    }

    fn remove_dir(&mut self, path: &Path) -> Result<(), Error> {
        if !self.settings.canrmdir {
            return Err(Error::Denied);
        }
        match self.layout.place(path) {
            Place::Domains => Err(Error::Denied),
            Place::Domain(_) if path.is_root() => Err(Error::Denied),
            Place::Domain(domain) => Ok(self.client.trackers()?.delete_domain(&domain)?),
            Place::Class(spot) => self.remove_class(&spot),
            Place::Key(spot) => self.remove_prefix(&spot),
        }
    }

    /// Known where the class has a hashtype; `MISSING` until the replicator has worked it out.
    fn checksum(&mut self, path: &Path, algorithm: &str) -> Result<Option<String>, Error> {
        let (spot, _) = self.find_to_read(path)?;
        let known = self.client.trackers()?.checksum(&spot.domain, &spot.key)?;
        let known = known.as_deref().and_then(|text| text.split_once(':'));
        Ok(known
            .filter(|(name, digits)| {
                *name == algorithm && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
            .map(|(_, digits)| digits.to_ascii_lowercase()))
    }
}
