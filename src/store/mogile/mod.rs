//! The MogileFS store: a tree of directories made of flat keys. A [`Layout`] says which path is
//! which key; the rest is the same for all of them. Nothing is remembered of a file from one call
//! to the next: what is asked for is asked of a tracker, afresh.
//!
//! Who uses whom, from the top:
//!
//! * a listing: `level`, `listing`, `scan`, `pages`, `order`; `sizes` and `times` for what it says of files;
//! * an upload: `intake`, `upload`, then `placing` (its bytes) and `replace` (its key); `spool` holds the bytes,
//!   `destination` says where they go, `course` what has become of them so far;
//! * a download: `download`, which knows where copies are from `lookup`;
//! * directories: `dirs`, `moves`; paths and keys: `layout`, `names`;
//! * memory: `lore` of all sessions, `made` and `recent` of this one.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use download::Download;
use layout::{Layout, Place, Spot};
pub use lore::{Lore, Shared};
use made::{Emptied, Made, Seen};
use order::Order;
use pages::Quarry;
use recent::Recent;
use spool::Kept;
pub use spool::Room;
pub(crate) use spool::nameless;

use super::{Abilities, Body, Entries, Entry, Error, Plan, Receipt, Source, Store, Wish};
use crate::config;
use crate::mogilefs::{Client, Device, Object};
use crate::path::Path;

mod course;
mod destination;
mod dirs;
mod download;
mod entry;
mod givers;
mod intake;
pub mod layout;
mod level;
mod listing;
mod lookup;
mod lore;
mod made;
mod moves;
mod names;
mod order;
mod pages;
mod placing;
mod recent;
mod replace;
mod scan;
mod sizes;
mod spool;
mod times;
mod trouble;
mod upload;

/// How often a file is looked up that is replaced before its first byte has come.
const OPENINGS: u32 = 3;

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
    seen: Seen,
    emptied: Emptied,
    lore: Shared,
    room: Option<Rc<dyn Room>>,
    /// What the last upload took up and nobody needs any more.
    spent: Option<Kept>,
    recent: Rc<RefCell<Recent>>,
    /// A directory that was renamed in part: from, to. The same again goes on with the rest.
    unfinished: Option<(Path, Path)>,
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
            seen: Seen::default(),
            emptied: Emptied::default(),
            lore: Shared::default(),
            room: None,
            spent: None,
            recent: Rc::default(),
            unfinished: None,
        }
    }

    /// The same, with what other sessions know, too.
    #[must_use]
    pub fn sharing(mut self, lore: Shared) -> Self {
        self.client.listen_to(Rc::new(lore.clone()));
        self.lore = lore;
        self
    }

    /// The same, with no more in `tmpdir` than `room` lets it have.
    #[must_use]
    pub fn within(mut self, room: Option<Rc<dyn Room>>) -> Self {
        self.room = room;
        self
    }

    /// Whether a tracker answers at all.
    ///
    /// # Errors
    /// `Unavailable`, `Interrupted`.
    pub fn check(&self) -> Result<(), Error> {
        self.client.trackers()?.get_domains()?;
        Ok(())
    }

    /// All keys below the directory with `prefix`.
    fn quarry(&self, domain: &[u8], prefix: Vec<u8>) -> Quarry {
        Quarry {
            client: self.client.clone(),
            lore: self.lore.clone(),
            domain: domain.to_vec(),
            base: prefix.len(),
            prefix,
            order: Order::configured(self.settings.collation),
        }
    }

    fn remember(&mut self, spot: &Spot, object: &Object) {
        self.emptied.forget(&spot.domain, &spot.prefix());
        let mut recent = self.recent.borrow_mut();
        recent.stored(&spot.domain, &spot.key, object.clone());
    }

    fn remember_removed(&self, spot: &Spot, fid: u64) {
        let mut recent = self.recent.borrow_mut();
        recent.removed(&spot.domain, &spot.key, fid);
    }

    /// What was at `path` is there no more.
    fn take_away(&mut self, path: &Path) {
        if let Place::Key(dir) = self.layout.place(&path.parent())
            && !dir.key.is_empty()
        {
            self.emptied.dir(&dir.domain, dir.prefix());
        }
    }
}

impl Store for MogileFs {
    fn list(&mut self, dir: &Path, wish: Wish) -> Result<Entries<'_>, Error> {
        self.level(dir, wish)
    }

    fn searches(&self) -> bool {
        self.settings.searchlist
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            append: self.settings.append_max > 0,
            rename: self.settings.canrename,
            make_dirs: self.settings.canmkdir,
            remove_dirs: self.settings.canrmdir,
            set_times: false,
        }
    }

    fn stat(&mut self, path: &Path) -> Result<Entry, Error> {
        match self.find_to_read(path) {
            Ok((_, object)) => {
                let known = self.lore.time(object.fid);
                Ok(entry::file(path.name(), Some(&object), known))
            }
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
            Place::Key(spot) => self.was_emptied(&spot)? || self.is_dir(&spot)?,
        };
        if there { Ok(()) } else { Err(Error::NotFound) }
    }

    fn modified(&mut self, path: &Path) -> Result<Option<i64>, Error> {
        let (spot, object) = self.find_to_read(path)?;
        let files = [(&*spot.key, object.fid)];
        let found = times::times(&self.client, &self.lore, &spot.domain, &files, &mut 1)?;
        Ok(found.into_iter().flatten().next())
    }

    fn open(&mut self, path: &Path, offset: u64) -> Result<Body, Error> {
        for _ in 0..OPENINGS {
            let (spot, object, paths) = self.locate(path)?;
            let left = object.length.checked_sub(offset).ok_or(Error::BeyondEnd)?;
            if left == 0 {
                return Ok(Body::Stream(Box::new(io::empty()), 0));
            }
            let client = self.client.clone();
            if let Some(download) = Download::begin(client, spot, object, &paths, offset)? {
                return Ok(Body::Stream(Box::new(download), left));
            }
        }
        let why = "it is replaced again and again";
        Err(Error::Unavailable(why.to_owned()))
    }

    fn put(&mut self, path: &Path, source: &mut dyn Source, plan: &Plan) -> Result<Receipt, Error> {
        self.take_in(path, source, plan)
    }

    fn tidy(&mut self) {
        self.spent = None;
    }

    fn may_put(&mut self, path: &Path, plan: &Plan) -> Result<(), Error> {
        self.may_take_in(path, plan)
    }

    fn room(&mut self) -> Result<u64, Error> {
        self.free()
    }

    fn spot(&self, path: &Path) -> Option<(Vec<u8>, Vec<u8>)> {
        match self.layout.place(path) {
            Place::Key(Spot { domain, key, .. }) => {
                let recent = self.recent.borrow();
                let is_ours = |key: &Vec<u8>| recent.newer(&domain, key, None).is_some();
                let other = self.aliases(&key).into_iter().find(is_ours);
                Some((domain, other.unwrap_or(key)))
            }
            _ => None,
        }
    }

    fn remove(&mut self, path: &Path) -> Result<(), Error> {
        let (spot, object) = self.find_to_change(path)?;
        self.client.trackers()?.delete(&spot.domain, &spot.key)?;
        self.remember_removed(&spot, object.fid);
        self.take_away(path);
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        if !self.settings.canrename {
            return Err(Error::Denied);
        }
        let (source, object) = match self.find_to_change(from) {
            Err(Error::NotAFile) => {
                self.rename_dir(from, to)?;
                self.take_away(from);
                return Ok(());
            }
            found => found?,
        };
        let mut target = self.new_spot(to)?;
        if source.domain != target.domain {
            return Err(Error::Unsupported);
        }
        if !self.has_class(&target.domain, &target.class)? {
            return Err(Error::BadName("is not inside a class"));
        }
        if self.is_dir(&target)? {
            return Err(Error::Exists);
        }
        if from != to {
            target = self.in_its_place(target)?;
        }
        self.rename_over(&source, &target, object)?;
        self.take_away(from);
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
            Place::Domain(domain) => self.remove_domain(&domain),
            Place::Class(spot) => self.remove_class(&spot),
            Place::Key(spot) => {
                self.remove_prefix(&spot)?;
                self.take_away(path);
                Ok(())
            }
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
