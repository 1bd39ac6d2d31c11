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
use pages::Pages;
use spool::Spool;

use super::{At, Body, Entries, Entry, Error, Plan, Receipt, Store};
use crate::config::{self, ContentMd5};
use crate::mogilefs::{self, Client, Device, Location, Object};
use crate::path::Path;

mod download;
mod entry;
pub mod layout;
mod listing;
mod made;
mod names;
mod pages;
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

    /// Where a file may be read.
    fn spot(&self, path: &Path) -> Result<Spot, Error> {
        match self.layout.place(path) {
            Place::Class(spot) => Ok(spot),
            Place::Key(spot) if !spot.key.is_empty() => Ok(spot),
            Place::Key(_) | Place::Domains | Place::Domain(_) => Err(Error::NotAFile),
        }
    }

    /// Where a file may be stored.
    fn new_spot(&self, path: &Path) -> Result<Spot, Error> {
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

    /// The first of the keys that a file at `path` can have, and what is there.
    fn find(&mut self, path: &Path) -> Result<(Spot, Object), Error> {
        let mut spot = self.spot(path)?;
        let mut others = self.layout.also(&spot).into_iter();
        loop {
            let found = self.client.trackers()?.file_info(&spot.domain, &spot.key);
            match (found, others.next()) {
                (Ok(object), _) => return Ok((spot, object)),
                (Err(error), Some(other)) if error.is("unknown_key") => spot.key = other,
                (Err(error), _) => return Err(self.missing(path, error)),
            }
        }
    }

    /// A file that is not there may be a directory that is.
    fn missing(&mut self, path: &Path, error: mogilefs::Error) -> Error {
        match Error::from(error) {
            Error::NotFound if self.enter(path).is_ok() => Error::NotAFile,
            error => error,
        }
    }

    fn has_class(&mut self, domain: &[u8], class: &[u8]) -> Result<bool, Error> {
        let classes = self.classes(domain)?;
        let known = classes.is_some_and(|classes| classes.iter().any(|name| name == class));
        Ok(known || self.made.is_fresh(domain, class, upload::LAG.0))
    }

    /// The classes of a domain, if there is one.
    fn classes(&mut self, domain: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let domains = self.client.trackers()?.get_domains()?;
        let found = domains.into_iter().find(|one| one.name == domain);
        Ok(found.map(|domain| domain.classes))
    }

    fn has_keys(&self, spot: &Spot) -> Result<bool, Error> {
        Pages::new(self.client.clone(), spot.domain.clone(), spot.prefix()).any()
    }

    /// Whether keys, or nothing but this session, make a directory of `spot`.
    fn is_dir(&mut self, spot: &Spot) -> Result<bool, Error> {
        Ok(spot.key.is_empty()
            || self.made.has_dir(&spot.domain, &spot.prefix())
            || self.has_keys(spot)?)
    }

    fn list_spot(&self, spot: &Spot) -> Listing {
        let prefix = spot.prefix();
        Listing::new(listing::Plan {
            client: self.client.clone(),
            domain: spot.domain.clone(),
            made: self.made.names_in(&spot.domain, &prefix),
            prefix,
            sizes: self.settings.extendedlist,
            limit: self.settings.listlimit,
        })
    }

    fn limited<'e>(&self, entries: impl Iterator<Item = Result<Entry, Error>> + 'e) -> Entries<'e> {
        let settings = &self.settings;
        Box::new(Limited::new(
            entries,
            settings.listlimit,
            settings.listlimit_error,
        ))
    }

    fn names<'e>(&self, names: Vec<Vec<u8>>, group: &'static str) -> Entries<'e> {
        let shown = names.into_iter().filter(|name| names::is_shown(name));
        self.limited(shown.map(move |name| Ok(entry::dir(&name, group))))
    }
}

impl Store for MogileFs {
    fn list(&mut self, dir: &Path) -> Result<Entries<'_>, Error> {
        match self.layout.place(dir) {
            Place::Domains => {
                let domains = self.client.trackers()?.get_domains()?;
                let names = domains.into_iter().map(|domain| domain.name).collect();
                Ok(self.names(names, entry::DOMAIN))
            }
            Place::Domain(domain) => {
                let classes = self.classes(&domain)?.ok_or(Error::NotFound)?;
                Ok(self.names(classes, entry::CLASS))
            }
            Place::Class(spot) | Place::Key(spot) => {
                let mut listing = self.list_spot(&spot);
                // What has no entries may be an empty directory, a file, or nothing.
                let first = listing.next();
                if first.is_none() {
                    self.enter(dir)?;
                }
                Ok(self.limited(first.into_iter().chain(listing)))
            }
        }
    }

    fn stat(&mut self, path: &Path) -> Result<Entry, Error> {
        match self.find(path) {
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
        let (spot, object) = self.find(path)?;
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
                        "replica-bad fid={} url={} error=\"{error}\"",
                        object.fid,
                        location.url
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
                let (spot, _) = self.find(path)?;
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

    fn put(
        &mut self,
        path: &Path,
        source: &mut dyn io::Read,
        plan: &Plan,
    ) -> Result<Receipt, Error> {
        if plan.at != At::Start {
            return Err(Error::Unsupported);
        }
        let spot = self.new_spot(path)?;
        let hash = self.settings.content_md5 == ContentMd5::Always;
        let spool = Spool::receive(source, self.settings.spool_mem, &self.tmpdir, hash)?;
        let fid = self.upload(&spot, &spool)?;
        Ok(Receipt {
            bytes: spool.len(),
            fid: Some(fid),
            replicas: None,
        })
    }

    fn may_put(&mut self, path: &Path, plan: &Plan) -> Result<(), Error> {
        if plan.at != At::Start {
            return Err(Error::Unsupported);
        }
        let spot = self.new_spot(path)?;
        if self.has_class(&spot.domain, &spot.class)? {
            Ok(())
        } else {
            Err(Error::BadName("is not inside a class"))
        }
    }

    fn remove(&mut self, path: &Path) -> Result<(), Error> {
        let (spot, _) = self.find(path)?;
        Ok(self.client.trackers()?.delete(&spot.domain, &spot.key)?)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        if !self.settings.canrename {
            return Err(Error::Denied);
        }
        let (source, _) = match self.find(from) {
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
        let mut trackers = self.client.trackers()?;
        let object = trackers.rename(&source.domain, &source.key, &target.key)?;
        if object.class != target.class
            && let Err(error) = trackers.updateclass(&target.domain, &target.key, &target.class)
        {
            log::warn!("class-kept fid={} error=\"{error}\"", object.fid);
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
            Place::Domain(domain) => {
                names::check_class(&domain)?;
                Ok(self.client.trackers()?.create_domain(&domain)?)
            }
            Place::Class(Spot { domain, class, .. }) => {
                names::check_class(&class)?;
                if self.has_class(&domain, &class)? {
                    return Err(Error::Exists);
                }
                let copies = self.settings.mindevcount;
                self.client
                    .trackers()?
                    .create_class(&domain, &class, copies)?;
                self.made.class(&domain, &class);
                Ok(())
            }
            Place::Key(spot) => {
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
            Place::Class(spot) => {
                // Files of other classes may lie here too: they would vanish from sight.
                if self.has_keys(&spot)? {
                    return Err(Error::NotEmpty);
                }
                let Spot { domain, class, .. } = spot;
                self.made.forget_class(&domain, &class);
                Ok(self.client.trackers()?.delete_class(&domain, &class)?)
            }
            Place::Key(spot) => {
                let prefix = spot.prefix();
                if spot.key.is_empty() {
                    Err(Error::Denied)
                } else if self.has_keys(&spot)?
                    || !self.made.names_in(&spot.domain, &prefix).is_empty()
                {
                    Err(Error::NotEmpty)
                } else if self.made.forget_dir(&spot.domain, &prefix) {
                    Ok(())
                } else {
                    Err(Error::NotFound)
                }
            }
        }
    }
}

/// What is stored under each of `keys`.
fn lookup(
    client: &Client,
    domain: &[u8],
    keys: &[Vec<u8>],
) -> Result<Vec<Result<Object, mogilefs::Error>>, Error> {
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    Ok(client.trackers()?.file_infos(domain, &keys)?)
}
