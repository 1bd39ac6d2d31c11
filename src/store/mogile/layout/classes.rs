//! Modules `MogileFs` and `MogileFs_UserDomain`: the first level are the classes of one domain, and
//! a key is the whole path, class included.
#![forbid(unsafe_code)]

use super::{Layout, Place, Spot};
use crate::path::Path;

/// See the module.
#[derive(Clone, Debug)]
pub struct Classes {
    domain: Vec<u8>,
}

impl Classes {
    /// The classes of `domain`: the configured one, or the one that is called like the user.
    #[must_use]
    pub fn new(domain: impl Into<Vec<u8>>) -> Self {
        Self {
            domain: domain.into(),
        }
    }
}

impl Layout for Classes {
    fn place(&self, path: &Path) -> Place {
        below_domain(&self.domain, path.relative())
    }

    fn path(&self, domain: &[u8], key: &[u8]) -> Option<Path> {
        (domain == self.domain).then(|| exactly(&Path::root(), key))?
    }
}

/// What `relative` means below the directory of `domain`.
pub(super) fn below_domain(domain: &[u8], relative: &[u8]) -> Place {
    if relative.is_empty() {
        return Place::Domain(domain.to_vec());
    }
    let class = relative.split(|&byte| byte == b'/').next();
    let spot = Spot {
        domain: domain.to_vec(),
        class: class.unwrap_or_default().to_vec(),
        key: relative.to_vec(),
    };
    if spot.class == spot.key {
        Place::Class(spot)
    } else {
        Place::Key(spot)
    }
}

/// The path of `key` below `top`, if that path means this very key and no other.
pub(super) fn exactly(top: &Path, key: &[u8]) -> Option<Path> {
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    key.split(|&byte| byte == b'/')
        .all(plain)
        .then(|| top.resolve(key))
}
