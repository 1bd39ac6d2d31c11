//! What a session has made and MogileFS does not show, or not yet: directories that have no keys,
//! and classes that other trackers have not heard of.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Made {
    /// Domain and prefix, with its slash.
    dirs: BTreeSet<(Vec<u8>, Vec<u8>)>,
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

    pub(super) fn dir(&mut self, domain: &[u8], prefix: Vec<u8>) {
        self.dirs.insert((domain.to_vec(), prefix));
    }

    pub(super) fn has_dir(&self, domain: &[u8], prefix: &[u8]) -> bool {
        self.below(domain, prefix).next().is_some()
    }

    /// Forgets the directory; `false` if it was not made here.
    pub(super) fn forget_dir(&mut self, domain: &[u8], prefix: &[u8]) -> bool {
        self.dirs.remove(&(domain.to_vec(), prefix.to_vec()))
    }

    /// The names of directories that are in the one with `prefix`.
    pub(super) fn names_in(&self, domain: &[u8], prefix: &[u8]) -> Vec<Vec<u8>> {
        let mut names: Vec<Vec<u8>> = self
            .below(domain, prefix)
            .filter_map(|dir| dir.get(prefix.len()..)?.split(|&byte| byte == b'/').next())
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        names.dedup();
        names
    }

    /// The directory with `prefix` and all those in it.
    fn below<'m>(&'m self, domain: &[u8], prefix: &'m [u8]) -> impl Iterator<Item = &'m [u8]> {
        let first = (domain.to_vec(), prefix.to_vec());
        self.dirs
            .range(first.clone()..)
            .take_while(move |(in_domain, dir)| *in_domain == first.0 && dir.starts_with(prefix))
            .map(|(_, dir)| dir.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_directories_are_there_until_they_are_removed() {
        let mut made = Made::default();
        made.dir(b"d", b"photos/a/b/".to_vec());
        made.dir(b"d", b"photos/a/c/".to_vec());
        made.dir(b"d", b"photos/x/".to_vec());
        assert!(made.has_dir(b"d", b"photos/a/"));
        assert!(!made.has_dir(b"e", b"photos/a/"));
        assert!(!made.has_dir(b"d", b"photos/a/bc/"));
        assert_eq!(made.names_in(b"d", b"photos/"), [b"a", b"x"]);
        assert_eq!(made.names_in(b"d", b"photos/a/"), [b"b", b"c"]);
        assert!(made.names_in(b"d", b"photos/x/").is_empty());
        assert!(made.forget_dir(b"d", b"photos/a/b/"));
        assert!(!made.forget_dir(b"d", b"photos/a/"));
        assert!(!made.has_dir(b"d", b"photos/a/b/"));
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
