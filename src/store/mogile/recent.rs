//! What this session has changed lately. A tracker may ask a data base that lags behind: for a
//! while the session's own deeds count for more than what it says.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::mogilefs::Object;

/// How long a deed counts.
const MEMORY: Duration = Duration::from_secs(60);

/// The most deeds; when there are more, those that count no longer are dropped, then all.
const MOST: usize = 10_000;

/// How long what a listing was told is good for the next one, and for how many files.
const MOMENT: Duration = Duration::from_secs(5);
const MOST_NOTICED: usize = 4096;

type Key = (Vec<u8>, Vec<u8>);

/// What became of a key.
enum Deed {
    Stored(Object),
    /// With this fid.
    Removed(u64),
}

#[derive(Default)]
pub(super) struct Recent {
    deeds: HashMap<Key, (Instant, Deed)>,
    noticed: HashMap<Key, (Instant, Object)>,
}

impl Recent {
    pub(super) fn stored(&mut self, domain: &[u8], key: &[u8], object: Object) {
        self.keep(domain, key, Deed::Stored(object));
    }

    pub(super) fn removed(&mut self, domain: &[u8], key: &[u8], fid: u64) {
        self.keep(domain, key, Deed::Removed(fid));
    }

    fn keep(&mut self, domain: &[u8], key: &[u8], deed: Deed) {
        let now = Instant::now();
        if self.deeds.len() >= MOST {
            self.deeds
                .retain(|_, (then, _)| now.duration_since(*then) < MEMORY);
        }
        if self.deeds.len() >= MOST {
            self.deeds.clear();
        }
        let key = (domain.to_vec(), key.to_vec());
        // A listing was told before that, and what has the key now may be an older file.
        self.noticed.remove(&key);
        self.deeds.insert(key, (now, deed));
    }

    /// What we stored under `key` lately, if it is newer than `seen`, which is older news or none.
    pub(super) fn newer(&self, domain: &[u8], key: &[u8], seen: Option<&Object>) -> Option<Object> {
        match self.deed(domain, key)? {
            Deed::Stored(own) if seen.is_none_or(|seen| seen.fid < own.fid) => Some(own.clone()),
            _ => None,
        }
    }

    /// Whether `seen` is what we have removed from `key` lately.
    pub(super) fn is_removed(&self, domain: &[u8], key: &[u8], seen: &Object) -> bool {
        matches!(self.deed(domain, key), Some(Deed::Removed(fid)) if seen.fid <= *fid)
    }

    fn deed(&self, domain: &[u8], key: &[u8]) -> Option<&Deed> {
        let (then, deed) = self.deeds.get(&(domain.to_vec(), key.to_vec()))?;
        (then.elapsed() < MEMORY).then_some(deed)
    }

    /// What a listing has been told, for the next one.
    pub(super) fn notice(&mut self, domain: &[u8], key: &[u8], object: &Object) {
        if self.noticed.len() >= MOST_NOTICED {
            self.noticed.clear();
        }
        let key = (domain.to_vec(), key.to_vec());
        self.noticed.insert(key, (Instant::now(), object.clone()));
    }

    /// What a listing was told a moment ago.
    pub(super) fn noticed(&self, domain: &[u8], key: &[u8]) -> Option<Object> {
        let (then, object) = self.noticed.get(&(domain.to_vec(), key.to_vec()))?;
        (then.elapsed() < MOMENT).then(|| object.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(fid: u64) -> Object {
        Object {
            fid,
            length: 1,
            class: Vec::new(),
            md5: None,
        }
    }

    #[test]
    fn our_own_deeds_count_until_somebody_elses_are_newer() {
        let mut recent = Recent::default();
        recent.stored(b"d", b"stored", object(5));
        recent.removed(b"d", b"removed", 5);
        let newer = |key: &[u8], seen: Option<u64>| {
            let seen = seen.map(object);
            let newer = recent.newer(b"d", key, seen.as_ref());
            newer.map(|object| object.fid)
        };
        for (key, seen, expected) in [
            (&b"stored"[..], Some(4), Some(5)),
            (b"stored", None, Some(5)),
            (b"stored", Some(6), None),
            (b"removed", None, None),
            (b"other", None, None),
        ] {
            assert_eq!(newer(key, seen), expected);
        }
        assert!(recent.is_removed(b"d", b"removed", &object(5)));
        assert!(!recent.is_removed(b"d", b"removed", &object(6)));
        assert!(!recent.is_removed(b"e", b"removed", &object(5)));
        assert!(!recent.is_removed(b"d", b"stored", &object(5)));
    }

    #[test]
    fn what_was_noticed_is_known_for_a_moment() {
        let mut recent = Recent::default();
        recent.notice(b"d", b"k", &object(1));
        assert_eq!(recent.noticed(b"d", b"k"), Some(object(1)));
        assert_eq!(recent.noticed(b"d", b"j"), None);
        for number in 0..MOST_NOTICED {
            recent.notice(b"d", format!("{number}").as_bytes(), &object(1));
        }
        assert_eq!(recent.noticed(b"d", b"k"), None);
    }
}
