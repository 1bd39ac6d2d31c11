//! Layouts: what a path of the served tree means in MogileFS. A layout is a few pure functions, so
//! that a site with another convention for its keys can add its own.
#![forbid(unsafe_code)]

use crate::path::Path;

mod classes;
mod domains;
mod flat;

pub use classes::Classes;
pub use domains::Domains;
pub use flat::Flat;

/// A convention for domains, classes and keys.
pub trait Layout {
    /// What `path` means.
    fn place(&self, path: &Path) -> Place;

    /// The path of the file that is stored under `key`, if it has one: the way back from
    /// [`Layout::place`].
    fn path(&self, domain: &[u8], key: &[u8]) -> Option<Path>;

    /// Other ways to write `key`, or what keys begin with: where a file is looked for when there is
    /// none under its own key, and what a directory shows besides.
    fn also(&self, _key: &[u8]) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The directory of all domains.
    Domains,
    /// A domain as a directory of its classes.
    Domain(Vec<u8>),
    /// A class as a directory of the files whose keys begin with the spot's key and a slash. A
    /// file can be read here, but not stored.
    Class(Spot),
    /// A file; or a directory, if keys begin with the spot's key and a slash; or, where the key is
    /// empty, the directory of all keys.
    Key(Spot),
}

/// A place for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The domain of the key.
    pub domain: Vec<u8>,
    /// The class of a file that is stored here.
    pub class: Vec<u8>,
    /// The key.
    pub key: Vec<u8>,
}

impl Spot {
    /// What the keys begin with that are in the directory at this spot.
    #[must_use]
    pub fn prefix(&self) -> Vec<u8> {
        let mut prefix = self.key.clone();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(domain: &str, class: &str, key: &str) -> Spot {
        Spot {
            domain: domain.into(),
            class: class.into(),
            key: key.into(),
        }
    }

    fn check(layout: &dyn Layout, table: &[(&str, Place)]) {
        for (path, place) in table {
            let path = Path::root().resolve(path.as_bytes());
            assert_eq!(layout.place(&path), *place, "{path}");
            if let Place::Key(spot) = place
                && !spot.key.is_empty()
            {
                assert_eq!(layout.path(&spot.domain, &spot.key), Some(path));
            }
        }
    }

    #[test]
    fn classes_are_the_first_level() {
        let layout = Classes::new("d");
        check(
            &layout,
            &[
                ("/", Place::Domain(b"d".to_vec())),
                ("/photos", Place::Class(spot("d", "photos", "photos"))),
                ("/photos/a", Place::Key(spot("d", "photos", "photos/a"))),
                ("/photos/a/b", Place::Key(spot("d", "photos", "photos/a/b"))),
                ("/a b/c&d", Place::Key(spot("d", "a b", "a b/c&d"))),
            ],
        );
        assert_eq!(layout.path(b"other", b"photos/a"), None);
        assert_eq!(layout.path(b"d", b"photos//a"), None);
        assert_eq!(layout.path(b"d", b"/photos/a"), None);
        assert_eq!(layout.path(b"d", b"photos/.."), None);
    }

    #[test]
    fn a_flat_namespace_has_one_class() {
        let layout = Flat::new("d", "stuff");
        check(
            &layout,
            &[
                ("/", Place::Key(spot("d", "stuff", ""))),
                ("/a", Place::Key(spot("d", "stuff", "a"))),
                ("/photos/a", Place::Key(spot("d", "stuff", "photos/a"))),
            ],
        );
        assert_eq!(layout.also(b"photos/a"), [b"/photos/a"]);
        assert_eq!(layout.also(b""), [b"/"]);
        assert_eq!(
            layout.path(b"d", b"/photos/a"),
            Some(Path::root().resolve(b"/photos/a"))
        );
    }

    #[test]
    fn domains_are_the_first_level_and_classes_the_second() {
        let layout = Domains;
        check(
            &layout,
            &[
                ("/", Place::Domains),
                ("/d", Place::Domain(b"d".to_vec())),
                ("/d/photos", Place::Class(spot("d", "photos", "photos"))),
                ("/d/photos/a", Place::Key(spot("d", "photos", "photos/a"))),
                ("/e/c/a/b", Place::Key(spot("e", "c", "c/a/b"))),
            ],
        );
        assert_eq!(layout.path(b"", b"a"), None);
    }
}
