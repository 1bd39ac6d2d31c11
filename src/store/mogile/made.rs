//! The classes that a session has made and removed, of which other trackers may not have heard yet, the one
//! that it has seen last, and the directories that it has emptied.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a class that this session has made may be unknown to another tracker, or one that it has removed
/// be known, and how long to wait before it is asked again.
const CLASS_LAG: Duration = Duration::from_secs(8);
pub(super) const CLASS_PAUSE: Duration = Duration::from_millis(500);

/// What the session has done last to each class, and when.
#[derive(Default)]
pub(super) struct Made(BTreeMap<(Vec<u8>, Vec<u8>), (Deed, Instant)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Made,
    Removed,
}

impl Made {
    pub(super) fn note(&mut self, domain: &[u8], class: &[u8], deed: Deed) {
        let class = (domain.to_vec(), class.to_vec());
        self.0.insert(class, (deed, Instant::now()));
    }

    /// What was done to it counts no more.
    pub(super) fn forget(&mut self, domain: &[u8], class: &[u8]) {
        self.0.remove(&(domain.to_vec(), class.to_vec()));
    }

    /// Whether that was done to the class here so lately that a tracker may not have heard of it.
    pub(super) fn was(&self, domain: &[u8], class: &[u8], deed: Deed) -> bool {
        self.was_within(domain, class, deed, CLASS_LAG)
    }

    /// Whether that was done to the class here less than `age` ago.
    fn was_within(&self, domain: &[u8], class: &[u8], deed: Deed, age: Duration) -> bool {
        let last = self.0.get(&(domain.to_vec(), class.to_vec()));
        last.is_some_and(|(last, when)| *last == deed && when.elapsed() < age)
    }
}

/// How long a class that was there is taken to be there. Trackers look themselves no more often; if it
/// is gone, opening an upload fails.
const MOMENT: Duration = Duration::from_secs(2);

/// The class that was looked up last: for many files, one after the other.
#[derive(Default)]
pub(super) struct Seen(Option<(Vec<u8>, Vec<u8>, Instant)>);

impl Seen {
    pub(super) fn class(&mut self, domain: &[u8], class: &[u8]) {
        self.0 = Some((domain.to_vec(), class.to_vec(), Instant::now()));
    }

    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// Whether it was there a moment ago.
    pub(super) fn has(&self, domain: &[u8], class: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|(in_domain, name, seen)| {
            in_domain == domain && name == class && seen.elapsed() < MOMENT
        })
    }
}

/// The most directories; when there are more, all are forgotten.
const MOST_EMPTIED: usize = 1000;

/// Directories out of which this session has taken something, perhaps the last file. Without keys they would
/// be gone, but whoever removes a tree comes back to each of them: they can be entered, left and removed.
/// Domain and prefix, with its slash.
#[derive(Default)]
pub(super) struct Emptied(BTreeSet<(Vec<u8>, Vec<u8>)>);

impl Emptied {
    pub(super) fn dir(&mut self, domain: &[u8], prefix: Vec<u8>) {
        if self.0.len() >= MOST_EMPTIED {
            self.0.clear();
        }
        self.0.insert((domain.to_vec(), prefix));
    }

    /// Whether it is this one, or one in it.
    pub(super) fn has(&self, domain: &[u8], prefix: &[u8]) -> bool {
        self.below(domain, prefix).is_some()
    }

    /// It is gone, or is something else now; whether it was known.
    pub(super) fn forget(&mut self, domain: &[u8], prefix: &[u8]) -> bool {
        let was_known = self.has(domain, prefix);
        while let Some(dir) = self.below(domain, prefix).cloned() {
            self.0.remove(&dir);
        }
        was_known
    }

    /// The directory with `prefix`, or the first of those in it.
    fn below(&self, domain: &[u8], prefix: &[u8]) -> Option<&(Vec<u8>, Vec<u8>)> {
        let first = (domain.to_vec(), prefix.to_vec());
        let next = self.0.range(first..).next();
        next.filter(|(in_domain, dir)| in_domain == domain && dir.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptied_directory_is_known_until_it_is_removed() {
        let mut emptied = Emptied::default();
        for prefix in [&b"c/a/b/"[..], b"c/a/d/", b"c/ab/"] {
            emptied.dir(b"d", prefix.to_vec());
        }
        assert!(emptied.has(b"d", b"c/a/b/") && emptied.has(b"d", b"c/a/"));
        assert!(!emptied.has(b"e", b"c/a/") && !emptied.has(b"d", b"c/a/b/c/"));
        assert!(emptied.forget(b"d", b"c/a/"));
        assert!(!emptied.has(b"d", b"c/a/b/") && !emptied.has(b"d", b"c/a/d/"));
        assert!(!emptied.forget(b"d", b"c/a/") && emptied.has(b"d", b"c/ab/"));
        for number in 0..MOST_EMPTIED {
            emptied.dir(b"d", format!("c/{number}/").into_bytes());
        }
        assert!(!emptied.has(b"d", b"c/ab/") && emptied.has(b"d", b"c/999/"));
    }

    #[test]
    fn a_class_was_seen_where_it_was_and_not_for_long() {
        let mut seen = Seen::default();
        assert!(!seen.has(b"d", b"c"));
        seen.class(b"d", b"c");
        assert!(seen.has(b"d", b"c") && !seen.has(b"d", b"e") && !seen.has(b"e", b"c"));
        let (domain, class, now) = seen.0.take().unwrap();
        seen.0 = Some((domain, class, now.checked_sub(MOMENT).unwrap()));
        assert!(!seen.has(b"d", b"c"));
    }

    #[test]
    fn a_class_is_made_or_removed_for_a_while() {
        const LONG: Duration = Duration::from_secs(60);
        let mut made = Made::default();
        made.note(b"d", b"c", Deed::Made);
        assert!(made.was_within(b"d", b"c", Deed::Made, LONG));
        assert!(!made.was_within(b"d", b"c", Deed::Made, Duration::ZERO));
        assert!(!made.was_within(b"d", b"e", Deed::Made, LONG));
        made.note(b"d", b"c", Deed::Removed);
        assert!(!made.was_within(b"d", b"c", Deed::Made, LONG));
        assert!(made.was_within(b"d", b"c", Deed::Removed, LONG));
        assert!(!made.was_within(b"d", b"c", Deed::Removed, Duration::ZERO));
        made.forget(b"d", b"c");
        assert!(!made.was_within(b"d", b"c", Deed::Removed, LONG));
    }
}
