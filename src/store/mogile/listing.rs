//! The entries of one directory, made of keys as their pages come in, and given out as soon as
//! they are known: a first one by itself, then more and more at a time.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use super::entry;
use super::pages::{PAGE, Pages, Quarry};
use super::recent::Recent;
use super::scan::{Found, Scan};
use super::sizes::{Known, Sizes};
use super::times::times;
use crate::config::{Extended, ListTimes};
use crate::store::{Entry, Error, Wish};

/// How many times are asked for when the configuration leaves it to us, and the listing does not go
/// beyond a page.
const TIMES: usize = 500;

/// How many files are looked up at once: the first, those after it, and later ones.
const FIRST: usize = 1;
const NEXT: usize = 100;
const LATER: usize = 500;

/// What a listing is made of.
pub(super) struct Plan {
    /// Whose keys, by the first of the prefixes.
    pub(super) quarry: Quarry,
    /// What the keys of the directory begin with. Behind the first, other ways to write the same.
    pub(super) prefixes: Vec<Vec<u8>>,
    /// Names of directories that may have no keys yet.
    pub(super) made: BTreeSet<Vec<u8>>,
    pub(super) wish: Wish,
    pub(super) sizes: Extended,
    pub(super) times: ListTimes,
    /// How many entries are wanted at most; 0: all.
    pub(super) limit: usize,
}

pub(super) struct Listing {
    plan: Plan,
    /// Which of the prefixes is listed now, and its keys.
    at_prefix: usize,
    scan: Option<Scan>,
    ready: VecDeque<Entry>,
    /// Files that are still to be looked up.
    waiting: VecDeque<Found>,
    /// How many are looked up next.
    chunk: usize,
    given: usize,
    sizes: Sizes,
    /// How many more times may be asked for.
    times: usize,
    hidden: usize,
    ended: bool,
}

impl Listing {
    pub(super) fn new(plan: Plan, recent: Rc<RefCell<Recent>>) -> Result<Self, Error> {
        let Quarry { client, domain, .. } = &plan.quarry;
        let mut listing = Self {
            at_prefix: 0,
            scan: None,
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            chunk: FIRST,
            given: 0,
            sizes: Sizes::new(client.clone(), domain.clone(), recent, plan.sizes),
            times: match plan.times {
                ListTimes::Head => usize::MAX,
                ListTimes::Auto => TIMES,
                ListTimes::Off => 0,
            },
            hidden: 0,
            ended: false,
            plan,
        };
        listing.scan = listing.scan_of(0)?;
        Ok(listing)
    }

    fn scan_of(&self, at_prefix: usize) -> Result<Option<Scan>, Error> {
        let Some(dir) = self.plan.prefixes.get(at_prefix) else {
            return Ok(None);
        };
        let elsewhere = self.plan.prefixes.get(at_prefix + 1..).unwrap_or_default();
        let beginning = &self.plan.wish.beginning;
        let quarry = Quarry {
            prefix: [&dir[..], beginning].concat(),
            base: dir.len(),
            ..self.plan.quarry.clone()
        };
        let most = match self.plan.limit {
            0 => PAGE,
            _ if self.plan.wish.meant.is_some() => PAGE,
            limit => PAGE.min(limit.saturating_add(1)),
        };
        let mut scan = Scan::new(quarry.clone(), most, elsewhere.to_vec());
        if !beginning.is_empty() {
            // The key that is nothing but the beginning comes before those that begin so.
            let mut trackers = quarry.client.trackers()?;
            match trackers.file_info(&quarry.domain, &quarry.prefix) {
                Ok(_) => scan.begin_with(Found::file(quarry.prefix, dir.len())),
                Err(error) if error.is("unknown_key") => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(scan))
    }

    /// Gets more entries ready, if there are any; `false` after the last.
    fn advance(&mut self) -> Result<bool, Error> {
        if !self.waiting.is_empty() {
            self.describe()?;
            return Ok(true);
        }
        let Some(scan) = &mut self.scan else {
            return Ok(self.finish());
        };
        match scan.next()? {
            Some(found) => {
                if self.plan.times == ListTimes::Auto
                    && scan.has_more_pages()
                    && found.len() > TIMES
                {
                    self.times = 0;
                }
                self.take(found)?;
            }
            None => {
                self.hidden += scan.hidden;
                self.at_prefix += 1;
                self.scan = self.scan_of(self.at_prefix)?;
            }
        }
        Ok(true)
    }

    /// What was made and has no keys comes last.
    fn finish(&mut self) -> bool {
        for name in std::mem::take(&mut self.plan.made) {
            if self.plan.wish.wants(&name) {
                self.ready.push_back(entry::dir(&name, entry::CLASS));
            }
        }
        if self.hidden > 0 {
            log::warn!("list-hidden names={}", self.hidden);
        }
        self.ended = true;
        !self.ready.is_empty()
    }

    fn take(&mut self, mut found: Vec<Found>) -> Result<(), Error> {
        found.retain(|one| self.plan.wish.wants(one.name()));
        if self.at_prefix > 0 {
            found = self.new_ones(found)?;
        }
        for one in found {
            self.plan.made.remove(one.name());
            if one.is_dir {
                self.ready.push_back(entry::dir(one.name(), entry::CLASS));
            } else if self.has_details() {
                self.waiting.push_back(one);
            } else {
                self.ready.push_back(entry::file(one.name(), None, None));
            }
        }
        Ok(())
    }

    fn has_details(&self) -> bool {
        !self.plan.wish.names_only && self.plan.sizes != Extended::No
    }

    /// Drops what was shown already because it has keys of its own.
    fn new_ones(&self, found: Vec<Found>) -> Result<Vec<Found>, Error> {
        let Some(first) = self.plan.prefixes.first() else {
            return Ok(found);
        };
        let mut new = Vec::with_capacity(found.len());
        for one in found {
            let key = [&first[..], one.name()].concat();
            let dir = Quarry {
                prefix: [&key[..], b"/"].concat(),
                base: key.len() + 1,
                ..self.plan.quarry.clone()
            };
            let mut trackers = self.plan.quarry.client.trackers()?;
            let file = trackers.file_info(&self.plan.quarry.domain, &key);
            drop(trackers);
            match file {
                Err(error) if error.is("unknown_key") => {}
                Err(error) => return Err(error.into()),
                Ok(_) => continue,
            }
            if !Pages::new(dir).any()? {
                new.push(one);
            }
        }
        Ok(new)
    }

    /// Looks the next files up.
    fn describe(&mut self) -> Result<(), Error> {
        let wanted = match self.plan.limit {
            0 => usize::MAX,
            limit => limit.saturating_add(1).saturating_sub(self.given).max(1),
        };
        let count = self.chunk.min(wanted).min(self.waiting.len());
        self.chunk = if self.chunk == FIRST { NEXT } else { LATER };
        let files: Vec<Found> = self.waiting.drain(..count).collect();
        let keys: Vec<&[u8]> = files.iter().map(Found::key).collect();
        let base = self.plan.prefixes.get(self.at_prefix).map_or(0, Vec::len);
        let known = self.sizes.look_up(&keys, base)?;
        let fids = |known: &Known| match known {
            Known::Object(object) => Some(object.fid),
            Known::Nothing | Known::Gone => None,
        };
        let timed: Vec<(&[u8], u64)> = keys
            .iter()
            .zip(&known)
            .filter_map(|(key, known)| Some((*key, fids(known)?)))
            .collect();
        let mut written = self.times_of(&timed)?.into_iter();
        for (file, known) in files.iter().zip(&known) {
            let entry = match known {
                Known::Object(object) => {
                    let written = written.next().flatten();
                    entry::file(file.name(), Some(object), written)
                }
                Known::Nothing => entry::file(file.name(), None, None),
                Known::Gone => continue,
            };
            self.ready.push_back(entry);
        }
        Ok(())
    }

    fn times_of(&mut self, files: &[(&[u8], u64)]) -> Result<Vec<Option<i64>>, Error> {
        let Quarry {
            client,
            lore,
            domain,
            ..
        } = &self.plan.quarry;
        if self.plan.times == ListTimes::Off {
            return Ok(vec![None; files.len()]);
        }
        times(client, lore, domain, files, &mut self.times)
    }
}

impl Iterator for Listing {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                self.given += 1;
                return Some(Ok(entry));
            }
            if self.ended {
                return None;
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// A listing that ends after `limit` entries, and says so.
pub(super) struct Limited<I> {
    entries: I,
    limit: usize,
    given: usize,
    /// Whether a cut is an error.
    strict: bool,
    ended: bool,
}

impl<I> Limited<I> {
    pub(super) fn new(entries: I, limit: usize, strict: bool) -> Self {
        Self {
            entries,
            limit,
            given: 0,
            strict,
            ended: false,
        }
    }
}

impl<I: Iterator<Item = Result<Entry, Error>>> Iterator for Limited<I> {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.entries.next() {
            Some(Ok(_)) if self.limit > 0 && self.given == self.limit => {
                self.ended = true;
                Some(Err(if self.strict {
                    Error::Broken(format!("the listing has more than {} entries", self.limit))
                } else {
                    Error::Cut(self.limit)
                }))
            }
            next => {
                self.given += 1;
                self.ended = !matches!(next, Some(Ok(_)));
                next
            }
        }
    }
}
