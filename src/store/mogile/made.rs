//! The classes that a session has made and removed, of which other trackers may not have heard yet, the one
//! that it has seen last, and the directories that it has emptied.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Made {
    classes: Vec<Class>,
    removed: Vec<Class>,
}

/// A class of a domain, and when something became of it.
struct Class {
    domain: Vec<u8>,
    name: Vec<u8>,
    since: Instant,
}

impl Class {
    fn now(domain: &[u8], name: &[u8]) -> Self {
        Self {
            domain: domain.to_vec(),
            name: name.to_vec(),
            since: Instant::now(),
        }
    }

    fn is(&self, domain: &[u8], name: &[u8]) -> bool {
        self.domain == domain && self.name == name
    }
}

impl Made {
    pub(super) fn class(&mut self, domain: &[u8], class: &[u8]) {
        self.classes.push(Class::now(domain, class));
    }

    pub(super) fn class_removed(&mut self, domain: &[u8], class: &[u8]) {
        self.classes.retain(|one| !one.is(domain, class));
        self.removed.push(Class::now(domain, class));
    }

    /// Somebody makes it again.
    pub(super) fn class_wanted(&mut self, domain: &[u8], class: &[u8]) {
        self.removed.retain(|one| !one.is(domain, class));
    }

    /// Whether the class was made here less than `age` ago.
    pub(super) fn is_fresh(&self, domain: &[u8], class: &[u8], age: Duration) -> bool {
        let is_it = |one: &Class| one.is(domain, class) && one.since.elapsed() < age;
        self.classes.iter().any(is_it)
    }

    /// Whether the class was removed here less than `age` ago.
    pub(super) fn is_gone(&self, domain: &[u8], class: &[u8], age: Duration) -> bool {
        let is_it = |one: &Class| one.is(domain, class) && one.since.elapsed() < age;
        self.removed.iter().any(is_it)
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
    fn a_class_is_fresh_or_gone_for_a_while() {
        let mut made = Made::default();
        made.class(b"d", b"c");
        assert!(made.is_fresh(b"d", b"c", Duration::from_secs(60)));
        assert!(!made.is_fresh(b"d", b"c", Duration::ZERO));
        assert!(!made.is_fresh(b"d", b"e", Duration::from_secs(60)));
        made.class_removed(b"d", b"c");
        assert!(!made.is_fresh(b"d", b"c", Duration::from_secs(60)));
        assert!(made.is_gone(b"d", b"c", Duration::from_secs(60)));
        assert!(!made.is_gone(b"d", b"c", Duration::ZERO));
        made.class_wanted(b"d", b"c");
        assert!(!made.is_gone(b"d", b"c", Duration::from_secs(60)));
    }
}
