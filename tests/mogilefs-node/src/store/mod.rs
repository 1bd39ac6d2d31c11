//! What the tracker's data base holds: domains, classes, files, uploads under way, settings. It
//! knows collations and the log that survives a restart; no protocol, no devices' addresses. Here
//! are the rows; state.rs has the tables.

mod checksum;
mod collation;
mod fill;
mod journal;
mod pattern;
mod scan;
mod state;

pub(crate) use checksum::{Algorithm, Checksum, Digest};
pub(crate) use collation::Collation;
pub(crate) use journal::Event;
pub(crate) use pattern::{Check, check};
pub(crate) use state::State;

/// Numbers, as the data base's columns.
pub(crate) type Fid = u64;
pub(crate) type DomainId = u32;
pub(crate) type ClassId = u32;
pub(crate) type DeviceId = u32;

/// The class that every domain has, made or not.
pub(crate) const DEFAULT_CLASS: ClassId = 0;

/// Which data base is played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flavour {
    /// MariaDB in strict mode: columns have widths and character sets.
    pub(crate) mysql: bool,
    pub(crate) collation: Collation,
}

/// A domain and its classes, the default class only where it was made.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub(crate) id: DomainId,
    pub(crate) name: Vec<u8>,
    pub(crate) classes: Vec<Class>,
}

/// A storage class.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Class {
    pub(crate) id: ClassId,
    pub(crate) name: Vec<u8>,
    pub(crate) mindevcount: u32,
    /// `MD5`, `SHA-1` or `NONE`.
    pub(crate) hashtype: String,
    pub(crate) replpolicy: String,
}

impl Domain {
    /// Every class, the default class too.
    pub(crate) fn all_classes(&self) -> Vec<Class> {
        let mut all = self.classes.clone();
        if !all.iter().any(|class| class.id == DEFAULT_CLASS) {
            all.push(Class {
                id: DEFAULT_CLASS,
                name: b"default".to_vec(),
                mindevcount: 2,
                hashtype: "NONE".to_owned(),
                replpolicy: "MultipleHosts()".to_owned(),
            });
        }
        all
    }

    /// By exact name.
    pub(crate) fn class(&self, name: &[u8]) -> Option<Class> {
        self.all_classes()
            .into_iter()
            .find(|class| class.name == name)
    }

    /// By number.
    pub(crate) fn class_with(&self, id: ClassId) -> Option<Class> {
        self.all_classes().into_iter().find(|class| class.id == id)
    }
}

/// A committed file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct File {
    pub(crate) fid: Fid,
    pub(crate) domain: DomainId,
    pub(crate) class: ClassId,
    pub(crate) length: u64,
    /// Devices that have it, in ascending order.
    pub(crate) copies: Vec<DeviceId>,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) key: Vec<u8>,
}

/// An upload that was opened and not closed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Temp {
    pub(crate) domain: DomainId,
    pub(crate) class: ClassId,
    /// Seconds since 1970.
    pub(crate) opened: u64,
    pub(crate) devices: Vec<DeviceId>,
    pub(crate) key: Vec<u8>,
}
