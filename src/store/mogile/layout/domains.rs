//! Module `MogileFs_DomainNS`: the first level are the domains, the second their classes, and a key
//! is the path below its domain.
#![forbid(unsafe_code)]

use super::classes::{below_domain, exactly};
use super::{Layout, Place};
use crate::path::Path;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Domains;

impl Layout for Domains {
    fn place(&self, path: &Path) -> Place {
        let Some(domain) = path.parts().next() else {
            return Place::Domains;
        };
        let relative = path.relative().get(domain.len() + 1..);
        below_domain(domain, relative.unwrap_or_default())
    }

    fn path(&self, domain: &[u8], key: &[u8]) -> Option<Path> {
        exactly(&exactly(&Path::root(), domain)?, key)
    }
}
