//! The classes that a session has made, of which other trackers may not have heard yet, and the one
//! that it has seen last.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Made {
    classes: Vec<(Vec<u8>, Vec<u8>, Instant)>,
}

impl Made {
    pub(super) fn class(&mut self, domain: &[u8], class: &[u8]) {
        let now = Instant::now();
        self.classes.push((domain.to_vec(), class.to_vec(), now));
    }

    pub(super) fn forget_class(&mut self, domain: &[u8], class: &[u8]) {
        self.classes
            .retain(|(in_domain, name, _)| in_domain != domain || name != class);
    }

    /// Whether the class was made here less than `age` ago.
    pub(super) fn is_fresh(&self, domain: &[u8], class: &[u8], age: Duration) -> bool {
        self.classes.iter().any(|(in_domain, name, made)| {
            in_domain == domain && name == class && made.elapsed() < age
        })
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_class_is_fresh_for_a_while() {
        let mut made = Made::default();
        made.class(b"d", b"c");
        assert!(made.is_fresh(b"d", b"c", Duration::from_secs(60)));
        assert!(!made.is_fresh(b"d", b"c", Duration::ZERO));
        assert!(!made.is_fresh(b"d", b"e", Duration::from_secs(60)));
    }
}
