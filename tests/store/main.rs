//! The MogileFS store against a MogileFS: what goes up comes down, names mean what they meant, and
//! what fails on the way is gone round or told, never hidden. No daemon and no FTP here.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod dirs;
mod files;
mod legacy;
mod trouble;

use nanoftpd::store::mogile::MogileFs;
use nanoftpd::store::{Entry, Error, Kind, Store, Wish};
use support::stores::at;

fn list(store: &mut MogileFs, dir: &str) -> Result<Vec<Entry>, Error> {
    store.list(&at(dir), Wish::default())?.collect()
}

fn names(store: &mut MogileFs, dir: &str) -> Vec<String> {
    let name = |entry: Entry| {
        let slash = if entry.kind == Kind::Dir { "/" } else { "" };
        format!("{}{slash}", String::from_utf8(entry.name).unwrap())
    };
    let mut names: Vec<_> = list(store, dir).unwrap().into_iter().map(name).collect();
    names.sort();
    names
}
