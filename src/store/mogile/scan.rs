//! One level of the tree of keys. Below a directory nothing is read but its first keys, where the
//! order of the keys allows to jump over the rest. Memory does not grow with what is listed, except
//! by a few bytes for each directory where the keys are not sorted by their bytes.
#![forbid(unsafe_code)]

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use super::names::is_shown;
use super::order::{Order, folded};
use super::pages::{Member, PAGE, Page, Pages, Quarry};
use crate::store::Error;

/// How many keys are asked for at least after a jump.
const AFTER_A_JUMP: usize = 50;

/// A file or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its key; of a directory, what its keys begin with, without the slash.
    key: Member,
    pub(super) is_dir: bool,
}

impl Found {
    pub(super) fn file(key: Vec<u8>, at: usize) -> Self {
        Self {
            key: Member { key, at },
            is_dir: false,
        }
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key.key
    }

    pub(super) fn name(&self) -> &[u8] {
        self.key.rest()
    }
}

/// A directory that the scan is in, which was given out when its first key came.
struct Inside {
    dir: Found,
    /// How often it was tried to jump over the rest of it.
    jumps: usize,
}

pub(super) struct Scan {
    quarry: Quarry,
    pages: Pages,
    /// How many keys are asked for at once: next, and at most.
    size: usize,
    most: usize,
    /// What is shown elsewhere, by what its keys begin with.
    elsewhere: Vec<Vec<u8>>,
    /// The directory that the last key is in, if it is in one.
    inside: Option<Inside>,
    /// Files that may still turn out to be directories, too. By bytes each is the beginning of the next; in
    /// other orders there is at most the one of [`Scan::begin_with`].
    held: Vec<Found>,
    /// Directories that were found, as hashes, where their keys need not stand together.
    seen: HashSet<u64>,
    hasher: RandomState,
    has_shown_files: bool,
    /// How many names cannot be shown.
    pub(super) hidden: usize,
}

impl Scan {
    /// At most `most` keys are asked for at once.
    pub(super) fn new(quarry: Quarry, most: usize, elsewhere: Vec<Vec<u8>>) -> Self {
        let most = most.clamp(1, PAGE);
        Self {
            pages: Pages::new(quarry.clone()),
            quarry,
            size: most,
            most,
            elsewhere,
            inside: None,
            held: Vec::new(),
            seen: HashSet::new(),
            hasher: RandomState::new(),
            has_shown_files: false,
            hidden: 0,
        }
    }

    /// A file that the scan itself passes by because it comes just before all others.
    pub(super) fn begin_with(&mut self, file: Found) {
        self.held.push(file);
    }

    /// Whether the tracker has more keys.
    pub(super) fn has_more_pages(&self) -> bool {
        !self.pages.have_ended()
    }

    /// What the next page has; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Vec<Found>>, Error> {
        let Some(page) = self.pages.next(self.size)? else {
            let rest = std::mem::take(&mut self.held);
            return Ok((!rest.is_empty()).then_some(rest));
        };
        let goes_on = page.goes_on;
        let found = if self.pages.order() == Order::Binary {
            self.in_order(page)
        } else {
            self.in_any_order(page)?
        };
        self.size = self.most;
        if goes_on {
            self.jump(found.len());
        }
        Ok(Some(found))
    }

    /// Jumps over the rest of the directory that the page ends in, if it ends in one. How many keys are asked
    /// for then follows from how much was `found` on this one.
    fn jump(&mut self, found: usize) {
        let Some(Inside { dir, jumps }) = &mut self.inside else {
            return;
        };
        if let Some(end) = self.pages.order().ends().get(*jumps) {
            *jumps += 1;
            self.pages.seek([dir.key(), b"/", end.as_bytes()].concat());
            let few = found.saturating_mul(8);
            self.size = few.max(AFTER_A_JUMP).min(self.most);
        }
    }

    /// The directory in which `member` is.
    fn dir_of(member: &Member) -> Option<Found> {
        let end = member.rest().iter().position(|&byte| byte == b'/')?;
        let key = member.key.get(..member.at + end)?.to_vec();
        Some(Found {
            key: Member { key, at: member.at },
            is_dir: true,
        })
    }

    fn is_elsewhere(&self, key: &[u8]) -> bool {
        self.elsewhere.iter().any(|prefix| key.starts_with(prefix))
    }

    /// By bytes, a directory comes after the file of its name, with only names between them that
    /// begin so, too: a file is held until its directory would have come.
    fn in_order(&mut self, page: Page) -> Vec<Found> {
        let mut found = Vec::new();
        for member in page.members {
            let Some(dir) = Self::dir_of(&member) else {
                self.release(member.rest(), &mut found);
                let file = self.file(member);
                self.held.extend(file);
                continue;
            };
            if self.inside.as_ref().is_some_and(|last| last.dir == dir) {
                continue;
            }
            self.release(member.rest(), &mut found);
            self.enter(dir, &member.key, &mut found);
        }
        found
    }

    /// Lets go of the held files whose directories can no longer come when `rest` has come.
    fn release(&mut self, rest: &[u8], found: &mut Vec<Found>) {
        while let Some(last) = self.held.pop() {
            match rest.strip_prefix(last.name()).map(<[u8]>::first) {
                // It is a directory, too, and shows as that.
                Some(Some(b'/')) => {}
                Some(Some(next)) if *next < b'/' => {
                    self.held.push(last);
                    return;
                }
                _ => found.push(last),
            }
        }
    }

    /// The entry that a key without a directory is, if any may see it.
    fn file(&mut self, member: Member) -> Option<Found> {
        self.inside = None;
        let is_shown = is_shown(member.rest());
        self.hidden += usize::from(!is_shown);
        is_shown.then_some(Found {
            key: member,
            is_dir: false,
        })
    }

    fn enter(&mut self, dir: Found, key: &[u8], found: &mut Vec<Found>) {
        if is_shown(dir.name()) {
            found.push(dir.clone());
        } else if !self.is_elsewhere(key) {
            self.hidden += 1;
        }
        self.inside = Some(Inside { dir, jumps: 0 });
    }

    /// In other orders a directory still comes after the file of its name, but anything may stand
    /// between them. Where a file was shown before, the directory is not shown again.
    fn in_any_order(&mut self, page: Page) -> Result<Vec<Found>, Error> {
        let mut dirs = VecDeque::new();
        let mut files = std::mem::take(&mut self.held);
        for member in page.members {
            let Some(dir) = Self::dir_of(&member) else {
                files.extend(self.file(member));
                continue;
            };
            if self.inside.as_ref().is_some_and(|last| last.dir == dir) {
                continue;
            }
            let name = self.hash(dir.name());
            let mut new = Vec::new();
            if self.seen.insert(name) {
                self.enter(dir, &member.key, &mut new);
            } else if !self.is_inside(&dir) {
                self.inside = Some(Inside { dir, jumps: 0 });
            }
            dirs.extend(new);
        }
        let own: HashSet<u64> = files.iter().map(|file| self.hash(file.name())).collect();
        files.retain(|file| !self.seen.contains(&self.hash(file.name())));
        if self.has_shown_files {
            self.drop_shown(&mut dirs, &own)?;
        }
        self.has_shown_files |= !files.is_empty();
        Ok(dirs.into_iter().chain(files).collect())
    }

    /// Whether this is, in another spelling, the directory of the key before.
    fn is_inside(&self, dir: &Found) -> bool {
        let last = self.inside.as_ref();
        last.is_some_and(|last| self.hash(last.dir.name()) == self.hash(dir.name()))
    }

    /// Drops the directories of whose name there is a file that is not on this page.
    fn drop_shown(&self, dirs: &mut VecDeque<Found>, own: &HashSet<u64>) -> Result<(), Error> {
        let (own, mut doubtful): (VecDeque<Found>, VecDeque<Found>) = std::mem::take(dirs)
            .into_iter()
            .partition(|dir| own.contains(&self.hash(dir.name())));
        *dirs = own;
        let keys: Vec<&[u8]> = doubtful.iter().map(Found::key).collect();
        let mut trackers = self.quarry.client.trackers()?;
        let mut files = trackers.file_infos(&self.quarry.domain, &keys)?.into_iter();
        doubtful.retain(|_| matches!(files.next(), Some(Err(_))));
        dirs.extend(doubtful);
        Ok(())
    }

    fn hash(&self, name: &[u8]) -> u64 {
        match self.pages.order() {
            Order::Ci => self.hasher.hash_one(folded(name)),
            Order::Binary | Order::Linguistic => self.hasher.hash_one(name),
        }
    }
}
