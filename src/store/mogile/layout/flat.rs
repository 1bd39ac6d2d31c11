//! Module `MogileFs_FlatNS`: the keys of one domain as they are, all new files in one class.
#![forbid(unsafe_code)]

use super::classes::exactly;
use super::{Layout, Place, Spot};
use crate::path::Path;

/// See the module.
#[derive(Clone, Debug)]
pub struct Flat {
    domain: Vec<u8>,
    class: Vec<u8>,
}

impl Flat {
    /// The keys of `domain`; new files get `class`.
    #[must_use]
    pub fn new(domain: impl Into<Vec<u8>>, class: impl Into<Vec<u8>>) -> Self {
        Self {
            domain: domain.into(),
            class: class.into(),
        }
    }
}

impl Layout for Flat {
    fn place(&self, path: &Path) -> Place {
        Place::Key(Spot {
            domain: self.domain.clone(),
            class: self.class.clone(),
            key: path.relative().to_vec(),
        })
    }

    fn path(&self, domain: &[u8], key: &[u8]) -> Option<Path> {
        let key = key.strip_prefix(b"/").unwrap_or(key);
        (domain == self.domain).then(|| exactly(&Path::root(), key))?
    }

    /// The PHP daemon kept the leading slash of a name that was sent with one.
    fn also(&self, key: &[u8]) -> Vec<Vec<u8>> {
        vec![[b"/", key].concat()]
    }
}
