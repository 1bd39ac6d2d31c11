//! What a listing says of its files beside their names. Files that were uploaded together have
//! neighbouring fids, and a tracker tells of 500 neighbours at once: it is asked for single files
//! only where that does not help.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::recent::Recent;
use crate::config::Extended;
use crate::mogilefs::{Client, Fate, Object};
use crate::store::Error;
use crate::text::quoted_error;

/// How many files are asked for one by one when the configuration leaves it to us.
const ASKED: usize = 2000;

/// So many unknown files are worth the asking for neighbours, and so many of them must be among 500
/// to make it worth to go on.
const WORTH: usize = 25;

/// How many files are looked up to find out where their neighbours are.
const SAMPLES: usize = 8;

/// How often neighbours may be asked for in vain during one listing.
const DUDS: usize = 3;

/// The most files that are remembered because later pages may show them.
const MOST_AHEAD: usize = 8192;

/// What is known of a listed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Object(Object),
    Nothing,
    /// It was removed since its page was made.
    Gone,
}

/// Looks files up for one listing.
pub(super) struct Sizes {
    client: Client,
    domain: Vec<u8>,
    recent: Rc<RefCell<Recent>>,
    /// How many more may be asked for one by one.
    asks: usize,
    duds: usize,
    /// The fid after which neighbours are looked for.
    cursor: Option<u64>,
    /// Files that were among the neighbours, and are not shown yet.
    ahead: HashMap<Vec<u8>, Object>,
}

/// Files whose places in the answer are still empty.
type Unknown<'k> = HashMap<&'k [u8], usize>;

impl Sizes {
    pub(super) fn new(
        client: Client,
        domain: Vec<u8>,
        recent: Rc<RefCell<Recent>>,
        extended: Extended,
    ) -> Self {
        Self {
            client,
            domain,
            recent,
            asks: match extended {
                Extended::Yes => usize::MAX,
                Extended::Auto => ASKED,
                Extended::No => 0,
            },
            duds: 0,
            cursor: None,
            ahead: HashMap::new(),
        }
    }

    /// What is stored under each of `keys`, which share what they begin with up to `base`.
    pub(super) fn look_up(&mut self, keys: &[&[u8]], base: usize) -> Result<Vec<Known>, Error> {
        let mut answers = vec![Known::Nothing; keys.len()];
        let mut is_news = vec![true; keys.len()];
        let mut unknown = Unknown::new();
        let places = answers.iter_mut().zip(&mut is_news);
        for ((at, key), (answer, is_news)) in keys.iter().enumerate().zip(places) {
            if let Some(object) = self.ahead.remove(*key) {
                *answer = Known::Object(object);
            } else if let Some(object) = self.recent.borrow().noticed(&self.domain, key) {
                *answer = Known::Object(object);
                *is_news = false;
            } else {
                unknown.insert(key, at);
            }
        }
        self.ask_for_neighbours(&mut unknown, base, &mut answers)?;
        let mut rest: Vec<(&[u8], usize)> = unknown.into_iter().collect();
        rest.sort_unstable_by_key(|(_, at)| *at);
        rest.truncate(self.asks);
        self.ask_for(&rest, &mut answers)?;
        let mut recent = self.recent.borrow_mut();
        for ((key, answer), is_news) in keys.iter().zip(&mut answers).zip(is_news) {
            let seen = match answer {
                Known::Object(object) => Some(&*object),
                _ => None,
            };
            if let Some(newer) = recent.newer(&self.domain, key, seen)
                && (seen.is_none() || stands(&self.client, key, newer.fid))
            {
                *answer = Known::Object(newer);
            }
            // What was noticed before is not news, however often it is shown.
            if let (Known::Object(object), true) = (answer, is_news) {
                recent.notice(&self.domain, key, object);
            }
        }
        Ok(answers)
    }

    /// Asks for `files` one by one, all at the same time, and returns their fids.
    fn ask_for(
        &mut self,
        files: &[(&[u8], usize)],
        answers: &mut [Known],
    ) -> Result<Vec<u64>, Error> {
        self.asks = self.asks.saturating_sub(files.len());
        let keys: Vec<&[u8]> = files.iter().map(|(key, _)| *key).collect();
        let seen = self.client.trackers()?.file_infos(&self.domain, &keys)?;
        let mut fids = Vec::with_capacity(seen.len());
        for ((_, at), object) in files.iter().zip(seen) {
            let Some(answer) = answers.get_mut(*at) else {
                continue;
            };
            *answer = match object {
                Ok(object) => {
                    fids.push(object.fid);
                    Known::Object(object)
                }
                Err(error) if error.is("unknown_key") => Known::Gone,
                Err(error) => {
                    log::warn!("list-size error={}", quoted_error(&error));
                    Known::Nothing
                }
            };
        }
        // Where the next neighbours are, in the best guess.
        self.cursor = self.cursor.or(fids.iter().max().copied());
        Ok(fids)
    }

    fn ask_for_neighbours(
        &mut self,
        unknown: &mut Unknown<'_>,
        base: usize,
        answers: &mut [Known],
    ) -> Result<(), Error> {
        let mut samples: Option<Vec<u64>> = None;
        while unknown.len() >= WORTH && self.duds < DUDS {
            let Some(start) = self.cursor else {
                let next = match &mut samples {
                    Some(left) => left.pop(),
                    None if self.asks < SAMPLES => None,
                    None => {
                        let left = samples.insert(self.sample(unknown, answers)?);
                        left.pop()
                    }
                };
                // What stands before the first of the samples is not worth a look.
                match next {
                    Some(next) => self.cursor = Some(next),
                    None => return Ok(()),
                }
                continue;
            };
            let (last, useful) = self.neighbours(start, unknown, base, answers)?;
            if useful >= WORTH {
                self.duds = 0;
                self.cursor = Some(last);
            } else {
                self.duds += 1;
                self.cursor = None;
                if let Some(left) = &mut samples {
                    left.retain(|fid| *fid > last);
                }
            }
        }
        Ok(())
    }

    /// Looks some of the unknown files up; their fids, the lowest last.
    fn sample(
        &mut self,
        unknown: &mut Unknown<'_>,
        answers: &mut [Known],
    ) -> Result<Vec<u64>, Error> {
        let mut all: Vec<(&[u8], usize)> = unknown.iter().map(|(key, at)| (*key, *at)).collect();
        all.sort_unstable_by_key(|(_, at)| *at);
        let step = all.len().div_ceil(SAMPLES).max(1);
        let some: Vec<_> = all.into_iter().step_by(step).collect();
        let mut fids = self.ask_for(&some, answers)?;
        for (key, _) in &some {
            unknown.remove(key);
        }
        self.cursor = None;
        fids.sort_unstable_by(|one, other| other.cmp(one));
        Ok(fids)
    }

    /// Asks for the files after the fid `start`; the last fid, and how many of them were useful.
    fn neighbours(
        &mut self,
        start: u64,
        unknown: &mut Unknown<'_>,
        base: usize,
        answers: &mut [Known],
    ) -> Result<(u64, usize), Error> {
        let first = unknown.keys().min().copied().unwrap_or_default().to_vec();
        let dir = first.get(..base).unwrap_or_default();
        let rows = match self.client.trackers()?.list_fids(start) {
            Ok(rows) => rows,
            Err(error @ crate::mogilefs::Error::Refused { .. }) => {
                log::debug!("list-fids error={}", quoted_error(&error));
                self.duds = DUDS;
                return Ok((start, 0));
            }
            Err(error) => return Err(error.into()),
        };
        let (mut last, mut useful) = (start, 0);
        for row in rows {
            last = last.max(row.object.fid);
            if row.domain != self.domain || !row.key.starts_with(dir) {
                continue;
            }
            if let Some(at) = unknown.remove(row.key.as_slice()) {
                if let Some(answer) = answers.get_mut(at) {
                    *answer = Known::Object(row.object);
                    useful += 1;
                }
            } else if row.key > first && self.ahead.len() < MOST_AHEAD {
                self.ahead.insert(row.key, row.object);
                useful += 1;
            }
        }
        Ok((last, useful))
    }
}

/// Whether `fid` is what `key` names, and not a file of that name that is older: another session may have put
/// one in its place.
fn stands(client: &Client, key: &[u8], fid: u64) -> bool {
    match client.trackers().and_then(|mut all| all.file_debug(fid)) {
        Ok(Fate::Committed { key: now, .. }) => now == key,
        Ok(_) => false,
        Err(_) => true,
    }
}
