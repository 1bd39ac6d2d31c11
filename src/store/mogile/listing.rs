//! The entries of one directory, made of keys as their pages come in. What is deeper shows as a
//! directory, once.
#![forbid(unsafe_code)]

use std::collections::{HashSet, VecDeque};

use super::entry;
use super::names::is_shown;
use super::pages::{PAGE, Pages};
use crate::config::Extended;
use crate::mogilefs::{self, Client, Object};
use crate::store::{Entry, Error};
use crate::text::quoted_error;

/// How many sizes are looked up for a listing when the configuration leaves it to us.
const SIZES: usize = 2000;

/// What a listing is made of.
pub(super) struct Plan {
    pub(super) client: Client,
    pub(super) domain: Vec<u8>,
    /// What the keys of the directory begin with. Behind the first, other ways to write the same.
    pub(super) prefixes: Vec<Vec<u8>>,
    /// Names of directories that have no keys yet.
    pub(super) made: Vec<Vec<u8>>,
    pub(super) sizes: Extended,
    /// How many entries are wanted at most; 0: all.
    pub(super) limit: usize,
}

pub(super) struct Listing {
    plan: Plan,
    /// Which of the prefixes is listed now, and its keys.
    turn: usize,
    pages: Option<Pages>,
    /// How many keys are asked for at once.
    page: usize,
    ready: VecDeque<Entry>,
    /// The directories that were shown. Where the database sorts as people do, the keys of one
    /// need not stand together.
    shown: HashSet<Vec<u8>>,
    /// How many more sizes may be looked up.
    lookups: usize,
    hidden: usize,
    ended: bool,
}

impl Listing {
    pub(super) fn new(plan: Plan) -> Self {
        let mut listing = Self {
            turn: 0,
            pages: None,
            page: match plan.limit {
                0 => PAGE,
                limit => PAGE.min(limit + 1),
            },
            ready: VecDeque::new(),
            shown: HashSet::new(),
            lookups: match plan.sizes {
                Extended::Yes => usize::MAX,
                Extended::Auto => SIZES,
                Extended::No => 0,
            },
            hidden: 0,
            ended: false,
            plan,
        };
        listing.pages = listing.pages_of(0);
        listing
    }

    fn pages_of(&self, turn: usize) -> Option<Pages> {
        let prefix = self.plan.prefixes.get(turn)?.clone();
        let Plan { client, domain, .. } = &self.plan;
        Some(Pages::new(client.clone(), domain.clone(), prefix))
    }

    /// Gets the next entries ready, if the next page has any; `false` after the last.
    fn advance(&mut self) -> Result<bool, Error> {
        let Some(pages) = &mut self.pages else {
            for name in std::mem::take(&mut self.plan.made) {
                self.show_dir(&name);
            }
            if self.hidden > 0 {
                log::warn!("list-hidden names={}", self.hidden);
            }
            self.ended = true;
            return Ok(!self.ready.is_empty());
        };
        match pages.next(self.page)? {
            Some(keys) => self.show(&keys)?,
            None => {
                self.turn += 1;
                self.pages = self.pages_of(self.turn);
            }
        }
        Ok(true)
    }

    fn show(&mut self, keys: &[Vec<u8>]) -> Result<(), Error> {
        let prefix = self.plan.prefixes.get(self.turn).map_or(0, Vec::len);
        let behind = self.plan.prefixes.get(self.turn + 1..).unwrap_or_default();
        let is_behind = |key: &Vec<u8>| behind.iter().any(|prefix| key.starts_with(prefix));
        let keys: Vec<&Vec<u8>> = keys.iter().filter(|key| !is_behind(key)).collect();
        let mut files: Vec<&[u8]> = Vec::new();
        for key in keys {
            let rest = key.get(prefix..).unwrap_or_default();
            match rest.iter().position(|&byte| byte == b'/') {
                Some(end) => self.show_dir(rest.get(..end).unwrap_or_default()),
                None if is_shown(rest) => files.push(rest),
                None => self.hidden += 1,
            }
        }
        // A name that is a file and a directory shows as the directory.
        files.retain(|name| !self.shown.contains(*name));
        if self.turn > 0 {
            self.keep_new(&mut files)?;
        }
        self.show_files(&files)
    }

    fn show_dir(&mut self, name: &[u8]) {
        if !is_shown(name) {
            self.hidden += 1;
        } else if self.shown.insert(name.to_vec()) {
            self.ready.push_back(entry::dir(name, entry::CLASS));
        }
    }

    /// Drops the names that were shown already because they have keys of their own.
    fn keep_new(&self, names: &mut Vec<&[u8]>) -> Result<(), Error> {
        let first = self.plan.prefixes.first().map_or(&[][..], Vec::as_slice);
        let mut seen = self.lookup(first, names)?.into_iter();
        names.retain(|_| matches!(seen.next(), Some(Err(error)) if error.is("unknown_key")));
        Ok(())
    }

    fn show_files(&mut self, names: &[&[u8]]) -> Result<(), Error> {
        let (asked, unasked) = names.split_at(self.lookups.min(names.len()));
        self.lookups -= asked.len();
        let prefix = self.plan.prefixes.get(self.turn);
        let seen = self.lookup(prefix.map_or(&[][..], Vec::as_slice), asked)?;
        for (name, object) in asked.iter().zip(seen) {
            match object {
                Ok(object) => self.ready.push_back(entry::file(name, Some(&object))),
                // Removed since its page was made.
                Err(error) if error.is("unknown_key") => {}
                Err(error) => {
                    log::warn!("list-size error={}", quoted_error(&error));
                    self.ready.push_back(entry::file(name, None));
                }
            }
        }
        let unasked = unasked.iter().map(|name| entry::file(name, None));
        self.ready.extend(unasked);
        Ok(())
    }

    /// What is stored under each of `names` behind `prefix`.
    fn lookup(
        &self,
        prefix: &[u8],
        names: &[&[u8]],
    ) -> Result<Vec<Result<Object, mogilefs::Error>>, Error> {
        let keys: Vec<Vec<u8>> = names.iter().map(|name| [prefix, name].concat()).collect();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let mut trackers = self.plan.client.trackers()?;
        Ok(trackers.file_infos(&self.plan.domain, &keys)?)
    }
}

impl Iterator for Listing {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
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
