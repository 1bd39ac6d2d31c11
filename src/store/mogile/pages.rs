//! The keys below a prefix, page by page, however the tracker's database sorts them. The end is where
//! the tracker has no more, or where keys of another prefix begin, if the order is known to keep
//! those of one together. The order is found out before a second page is asked for.
#![forbid(unsafe_code)]

use super::lore::Shared;
use super::names::{common_head, plain_head};
use super::order::{Order, folded, probe};
use crate::mogilefs::Client;
use crate::store::Error;

/// The most keys that a tracker gives at once.
pub(super) const PAGE: usize = 1000;

/// Whose keys are wanted.
#[derive(Clone)]
pub(super) struct Quarry {
    pub(super) client: Client,
    pub(super) lore: Shared,
    pub(super) domain: Vec<u8>,
    /// What the wanted keys begin with.
    pub(super) prefix: Vec<u8>,
    /// How much of it is the directory's, its slash included.
    pub(super) base: usize,
    /// The order, if it is configured.
    pub(super) order: Option<Order>,
}

/// A key, and where in it the part below the directory begins: where case does not count the
/// directory need not be written as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) key: Vec<u8>,
    pub(super) at: usize,
}

impl Member {
    /// What is below the directory.
    pub(super) fn rest(&self) -> &[u8] {
        self.key.get(self.at..).unwrap_or_default()
    }
}

pub(super) struct Page {
    pub(super) members: Vec<Member>,
    /// Whether nothing but members came, and there are more keys: the last member's directory may go on.
    pub(super) goes_on: bool,
}

pub(super) struct Pages {
    quarry: Quarry,
    /// What the tracker is told that keys begin with: a head of the prefix which, as the pattern
    /// that it is taken for, matches `after`.
    asked: Vec<u8>,
    /// The last key of the page before, in the database's order, or what was sought.
    after: Vec<u8>,
    order: Option<Order>,
    ended: bool,
}

impl Pages {
    pub(super) fn new(quarry: Quarry) -> Self {
        Self {
            asked: plain_head(&quarry.prefix).to_vec(),
            // Nothing but the prefix itself comes before it, and some databases would walk there
            // from the first key of the domain.
            after: quarry.prefix.clone(),
            order: quarry.order,
            ended: false,
            quarry,
        }
    }

    /// The order by which the last page was read.
    pub(super) fn order(&self) -> Order {
        self.order.unwrap_or(Order::Linguistic)
    }

    /// Whether there is no further page.
    pub(super) fn have_ended(&self) -> bool {
        self.ended
    }

    /// Goes on after `key`, which begins with the prefix.
    pub(super) fn seek(&mut self, key: Vec<u8>) {
        self.asked = common_head(&self.asked, &key).to_vec();
        self.after = key;
    }

    /// The next page of up to `size` keys; it may be empty although more follow. `None` after the
    /// last.
    pub(super) fn next(&mut self, size: usize) -> Result<Option<Page>, Error> {
        if self.ended {
            return Ok(None);
        }
        let size = size.clamp(1, PAGE);
        let keys = self.fetch(size)?;
        self.take(keys, size).map(Some)
    }

    fn take(&mut self, keys: Vec<Vec<u8>>, size: usize) -> Result<Page, Error> {
        let is_last = keys.len() < size;
        self.decide(&keys, is_last)?;
        self.guard(&keys)?;
        let last = keys.last().cloned();
        let mut members = Vec::with_capacity(keys.len());
        let mut goes_on = !is_last;
        for key in keys {
            match self.belongs(&key) {
                Some(at) => members.push(Member { key, at }),
                None if self.is_beyond(&key) => {
                    self.ended = true;
                    break;
                }
                None => goes_on = false,
            }
        }
        match last {
            Some(last) if !is_last => {
                if last == self.after {
                    let why = "list_keys: the last key of a page is that of the page before";
                    return Err(Error::Unavailable(why.to_owned()));
                }
                self.seek(last);
            }
            _ => self.ended = true,
        }
        goes_on &= !self.ended;
        Ok(Page { members, goes_on })
    }

    /// Whether there is any key at all, or, of many, found at the price of one.
    pub(super) fn any(mut self) -> Result<bool, Error> {
        let key = self.fetch(1)?;
        if key.iter().any(|key| key.starts_with(&self.quarry.prefix)) {
            return Ok(true);
        }
        let mut page = Some(self.take(key, 1)?);
        while let Some(Page { members, .. }) = page {
            if !members.is_empty() {
                return Ok(true);
            }
            page = self.next(PAGE)?;
        }
        Ok(false)
    }

    fn fetch(&self, size: usize) -> Result<Vec<Vec<u8>>, Error> {
        let mut trackers = self.quarry.client.trackers()?;
        Ok(trackers.list_keys(&self.quarry.domain, &self.asked, &self.after, size)?)
    }

    /// Sees to it that the order is known if it makes a difference.
    fn decide(&mut self, keys: &[Vec<u8>], is_last: bool) -> Result<(), Error> {
        if self.order.is_some() {
            return Ok(());
        }
        if let Some(order) = self.quarry.lore.order() {
            self.order = Some(order);
            return Ok(());
        }
        let wanted = folded(&self.quarry.prefix);
        let is_odd = |key: &Vec<u8>| {
            !key.starts_with(&self.quarry.prefix) && folded(key).starts_with(&wanted)
        };
        if is_last && !keys.iter().any(is_odd) {
            return Ok(());
        }
        let some = [keys.last(), keys.first(), keys.get(keys.len() / 2)];
        for key in some.into_iter().flatten() {
            if let Some(order) = probe(&self.quarry.client, &self.quarry.domain, key)? {
                log::info!("collation-found order={}", order.name());
                self.quarry.lore.keep_order(order);
                self.order = Some(order);
                return Ok(());
            }
        }
        // Not known for this listing; another may have keys that tell.
        self.order = Some(Order::Linguistic);
        Ok(())
    }

    /// What was taken for the order of bytes must look like it.
    fn guard(&self, keys: &[Vec<u8>]) -> Result<(), Error> {
        let is_sorted = keys.is_sorted() && keys.first().is_none_or(|first| *first > self.after);
        if self.order != Some(Order::Binary) || is_sorted {
            return Ok(());
        }
        if self.quarry.order.is_none() {
            self.quarry.lore.keep_order(Order::Linguistic);
        }
        let why = "the keys do not come in the order of their bytes: collation is not binary";
        Err(Error::Broken(why.to_owned()))
    }

    /// Where the part of `key` below the directory begins, if it is below it.
    fn belongs(&self, key: &[u8]) -> Option<usize> {
        let Quarry { prefix, base, .. } = &self.quarry;
        if key.starts_with(prefix) {
            return Some(*base);
        }
        if self.order != Some(Order::Ci) {
            return None;
        }
        let at = below(prefix.get(..*base).unwrap_or_default(), key)?;
        let is_asked = self.asked.len() == prefix.len();
        (is_asked || folded(key).starts_with(&folded(prefix))).then_some(at)
    }

    /// Whether no wanted key comes after `key`, which is none.
    fn is_beyond(&self, key: &[u8]) -> bool {
        match self.order {
            Some(Order::Binary) => true,
            Some(Order::Ci) => is_surely_other(key, &self.quarry.prefix),
            _ => false,
        }
    }
}

/// Where the part of `key` begins that is as many levels down as `dir` has slashes.
fn below(dir: &[u8], key: &[u8]) -> Option<usize> {
    let is_slash = |byte: &&u8| **byte == b'/';
    let Some(levels) = dir.iter().filter(is_slash).count().checked_sub(1) else {
        return Some(0);
    };
    let mut slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.nth(levels).map(|(at, _)| at + 1)
}

/// Whether `key` differs from `prefix` in more than case and accents can explain.
fn is_surely_other(key: &[u8], prefix: &[u8]) -> bool {
    let (key, prefix) = (folded(key), folded(prefix));
    let mut pairs = key.iter().zip(&prefix);
    pairs
        .find(|(one, other)| one != other)
        .is_some_and(|(one, other)| one.is_ascii() && other.is_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_where_spellings_differ() {
        for (dir, key, expected) in [
            (&b"a/b/"[..], &b"A/B/c"[..], Some(4)),
            (b"a/b/", "\u{e4}/B/c".as_bytes(), Some(5)),
            (b"", b"x/y", Some(0)),
            (b"a/b/", b"a/b", None),
        ] {
            assert_eq!(below(dir, key), expected);
        }
    }

    #[test]
    fn only_plain_letters_tell_for_sure() {
        for (key, expected) in [
            (&b"photos/c/1"[..], true),
            (b"photos/B/1", false),
            ("photos/\u{df}/1".as_bytes(), false),
            (b"photos", false),
        ] {
            assert_eq!(is_surely_other(key, b"photos/b/"), expected);
        }
    }
}
