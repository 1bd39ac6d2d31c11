//! How classes, domains and files look in a listing: as the PHP daemon showed them.
#![forbid(unsafe_code)]

use crate::mogilefs::Object;
use crate::store::{Entry, Kind, Whose};

const OWNER: Whose = Whose::named("mogilefs");

/// The group column of a class, and of a directory inside one.
pub(super) const CLASS: &str = "class";

/// The group column of a domain.
pub(super) const DOMAIN: &str = "domain";

pub(super) fn dir(name: &[u8], group: &'static str) -> Entry {
    Entry {
        name: name.to_vec(),
        kind: Kind::Dir,
        size: None,
        modified: None,
        mode: 0o755,
        owner: OWNER,
        group: Whose::named(group),
        unique: None,
    }
}

/// `object` is what the tracker knows of it, `modified` what the nodes know, where they were asked.
pub(super) fn file(name: &[u8], object: Option<&Object>, modified: Option<i64>) -> Entry {
    Entry {
        name: name.to_vec(),
        kind: Kind::File,
        size: object.map(|object| object.length),
        modified,
        mode: 0o644,
        owner: OWNER,
        group: Whose::named("file"),
        unique: object.map(|object| object.fid),
    }
}
