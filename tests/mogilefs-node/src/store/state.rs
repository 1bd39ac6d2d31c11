//! The tables, and what each event does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::collation::{Collation, Weight};
use super::fill::Fill;
use super::journal::{Event, Journal};
use super::pattern::Like;
use super::{ClassId, DeviceId, Domain, DomainId, Fid, File, Flavour, Temp};

/// The whole data base.
pub(crate) struct State {
    pub(crate) flavour: Flavour,
    pub(crate) domains: BTreeMap<DomainId, Domain>,
    pub(crate) temps: BTreeMap<Fid, Temp>,
    pub(crate) settings: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) files: BTreeMap<Fid, File>,
    pub(super) names: BTreeMap<DomainId, BTreeMap<Weight, Fid>>,
    pub(super) fills: Vec<Fill>,
    /// How many devices made-up files are spread over.
    devices: DeviceId,
    next_fid: Fid,
    next_domain: DomainId,
    journal: Option<Journal>,
}

impl State {
    /// Reads what an earlier run left in `path` and goes on writing there.
    pub(crate) fn open(path: &Path, flavour: Flavour, devices: DeviceId) -> io::Result<Self> {
        let mut state = Self::new(flavour, devices);
        let journal = Journal::open(path, |event| state.apply(event))?;
        state.journal = Some(journal);
        Ok(state)
    }

    fn new(flavour: Flavour, devices: DeviceId) -> Self {
        Self {
            flavour,
            domains: BTreeMap::new(),
            temps: BTreeMap::new(),
            settings: BTreeMap::from([(b"schema_version".to_vec(), b"17".to_vec())]),
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            fills: Vec::new(),
            devices,
            next_fid: 1,
            next_domain: 1,
            journal: None,
        }
    }

    /// Writes a change down and makes it.
    pub(crate) fn record(&mut self, event: Event) {
        if let Some(journal) = &mut self.journal {
            // A full disk ends persistence, not the test that is running.
            let _ = journal.write(&event);
        }
        self.apply(event);
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Domain(id, name) => {
                self.next_domain = self.next_domain.max(id + 1);
                self.domains.insert(
                    id,
                    Domain {
                        id,
                        name,
                        classes: Vec::new(),
                    },
                );
            }
            Event::NoDomain(id) => {
                self.domains.remove(&id);
            }
            Event::Class(domain, class) => {
                if let Some(domain) = self.domains.get_mut(&domain) {
                    domain.classes.retain(|known| known.id != class.id);
                    domain.classes.push(class);
                }
            }
            Event::NoClass(domain, id) => {
                if let Some(domain) = self.domains.get_mut(&domain) {
                    domain.classes.retain(|known| known.id != id);
                }
            }
            Event::Temp(fid, temp) => {
                self.next_fid = self.next_fid.max(fid + 1);
                self.temps.insert(fid, temp);
            }
            Event::NoTemp(fid) => {
                self.temps.remove(&fid);
            }
            Event::File(file) => self.put(file),
            Event::NoFile(fid) => self.drop_file(fid),
            Event::Setting(key, value) => {
                self.settings.insert(key, value);
            }
            Event::Fill {
                domain,
                class,
                prefix,
                count,
                size,
                base,
            } => {
                self.fill(domain, class, prefix, count, size, base);
            }
        }
    }

    fn put(&mut self, file: File) {
        self.next_fid = self.next_fid.max(file.fid + 1);
        self.unname(file.fid);
        let weight = self.flavour.collation.weigh(&file.key);
        for fill in self
            .fills
            .iter_mut()
            .filter(|fill| fill.domain == file.domain)
        {
            if let Some(n) = fill.number(self.flavour.collation, &file.key) {
                fill.taken.insert(n);
            }
        }
        self.names
            .entry(file.domain)
            .or_default()
            .insert(weight, file.fid);
        self.files.insert(file.fid, file);
    }

    fn drop_file(&mut self, fid: Fid) {
        self.unname(fid);
        self.files.remove(&fid);
        if let Some(fill) = self.fills.iter_mut().find(|fill| fill.body(fid).is_some()) {
            fill.gone.insert(fid);
        }
    }

    fn unname(&mut self, fid: Fid) {
        if let Some(file) = self.files.get(&fid) {
            let weight = self.flavour.collation.weigh(&file.key);
            if let Some(names) = self.names.get_mut(&file.domain) {
                names.remove(&weight);
            }
        }
        for fill in &mut self.fills {
            if let Some(n) = fill.number_of(fid) {
                fill.taken.insert(n);
            }
        }
    }

    fn fill(
        &mut self,
        domain: DomainId,
        class: ClassId,
        prefix: Vec<u8>,
        count: u64,
        size: u64,
        base: Fid,
    ) {
        self.next_fid = self.next_fid.max(base + count + 1);
        let mut fill = Fill {
            domain,
            class,
            prefix,
            count,
            size,
            base,
            width: count.to_string().len(),
            taken: BTreeSet::new(),
            gone: BTreeSet::new(),
            devices: self.devices,
        };
        let collation = self.flavour.collation;
        let first = collation.weigh(&fill.prefix);
        let names = self.names.get(&domain);
        let near = names
            .map(|names| names.range(first..))
            .into_iter()
            .flatten();
        let keys = near
            .filter_map(|(_, fid)| self.files.get(fid))
            .map(|file| &file.key);
        let taken: Vec<u64> = keys.filter_map(|key| fill.number(collation, key)).collect();
        fill.taken.extend(taken);
        self.fills.push(fill);
    }

    /// By exact name: the tracker looks names up in a cache of its own.
    pub(crate) fn domain(&self, name: &[u8]) -> Option<&Domain> {
        self.domains.values().find(|domain| domain.name == name)
    }

    /// The next free numbers.
    pub(crate) const fn next_fid(&self) -> Fid {
        self.next_fid
    }

    pub(crate) const fn next_domain(&self) -> DomainId {
        self.next_domain
    }

    /// The file that has this key.
    pub(crate) fn lookup(&self, domain: DomainId, key: &[u8]) -> Option<File> {
        if self.flavour.mysql && std::str::from_utf8(key).is_err() {
            return None;
        }
        let weight = self.flavour.collation.weigh(key);
        let fid = self.names.get(&domain).and_then(|names| names.get(&weight));
        if let Some(file) = fid.and_then(|fid| self.files.get(fid)) {
            return Some(file.clone());
        }
        let mut fills = self.fills.iter().filter(|fill| fill.domain == domain);
        fills.find_map(|fill| Some(fill.file(fill.number(self.flavour.collation, key)?)))
    }

    /// The file with this number.
    pub(crate) fn file(&self, fid: Fid) -> Option<File> {
        self.files.get(&fid).cloned().or_else(|| {
            self.fills
                .iter()
                .find_map(|fill| Some(fill.file(fill.number_of(fid)?)))
        })
    }

    /// At most `count` files with numbers above `from`, by number.
    pub(crate) fn files_above(&self, from: Fid, count: usize) -> Vec<File> {
        let mut found: Vec<File> = self
            .files
            .range(from.saturating_add(1)..)
            .take(count)
            .map(|(_, f)| f.clone())
            .collect();
        for fill in &self.fills {
            let first = from.saturating_add(1).saturating_sub(fill.base).max(1);
            let numbers = (first..=fill.count).filter(|n| !fill.taken.contains(n));
            found.extend(numbers.take(count).map(|n| fill.file(n)));
        }
        found.sort_by_key(|file| file.fid);
        found.truncate(count);
        found
    }

    /// Every real file and no made-up one, by number.
    pub(crate) fn real_files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    /// Does the domain have a file, in any class or in this one?
    pub(crate) fn has_files(&self, domain: DomainId, class: Option<ClassId>) -> bool {
        let fits = |d: DomainId, c: ClassId| d == domain && class.is_none_or(|class| class == c);
        self.files
            .values()
            .any(|file| fits(file.domain, file.class))
            || self.fills.iter().any(|fill| {
                let left = fill.taken.len() < usize::try_from(fill.count).unwrap_or(usize::MAX);
                fits(fill.domain, fill.class) && left
            })
    }

    /// The size of a made-up body; `None` for real files and for none.
    pub(crate) fn made_up(&self, fid: Fid) -> Option<u64> {
        self.fills.iter().find_map(|fill| fill.body(fid))
    }

    /// Was this run of keys made before, in this run or an earlier one?
    pub(crate) fn has_fill(&self, domain: DomainId, prefix: &[u8]) -> bool {
        self.fills
            .iter()
            .any(|fill| fill.domain == domain && fill.prefix == prefix)
    }

    /// How a prefix is compared at present.
    pub(crate) fn like(&self) -> Like {
        let setting = self.settings.get(&b"case_sensitive_list_keys"[..]);
        let sensitive = setting.is_some_and(|value| crate::codec::is_true(value));
        match self.flavour.collation {
            _ if sensitive => Like::Exact,
            Collation::Linguistic => Like::Exact,
            Collation::Ci => Like::Folded,
            Collation::Binary if self.flavour.mysql => Like::Exact,
            Collation::Binary => Like::Sqlite,
        }
    }
}
