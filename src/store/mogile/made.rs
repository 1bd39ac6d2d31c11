//! The classes that a session has made, of which other trackers may not have heard yet.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_fresh_for_a_while() {
        let mut made = Made::default();
        made.class(b"d", b"c");
        assert!(made.is_fresh(b"d", b"c", Duration::from_secs(60)));
        assert!(!made.is_fresh(b"d", b"c", Duration::ZERO));
        assert!(!made.is_fresh(b"d", b"e", Duration::from_secs(60)));
    }
}
