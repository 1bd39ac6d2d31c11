//! Who may come in. The master looks a user up, the worker verifies: what goes between them is one
//! record or none, never the users file. Knows no protocol and no process.
#![forbid(unsafe_code)]

pub mod exec;
mod hash;
mod module;
pub mod text;

use std::fmt;

use zeroize::Zeroizing;

pub use hash::{Cost, Hash};
pub use module::{Auth, Authority, Trouble, named};

/// What a client sent as its password: wiped when it is dropped, never shown.
pub struct Password(Zeroizing<Vec<u8>>);

impl From<Vec<u8>> for Password {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl Password {
    /// No password with more bytes is ever right: the work of crypt grows with its length.
    pub const LONGEST: usize = 512;

    /// The bytes as they were sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// Where a user's files are: the `io_module` of the users file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    File,
    MogileFs,
    FlatNs,
    DomainNs,
    UserDomain,
}

/// Every module under its name, and `Mogilefs_FlatNS`, which was written too.
const MODULES: [(&str, Module); 6] = [
    ("File", Module::File),
    ("MogileFs", Module::MogileFs),
    ("MogileFs_FlatNS", Module::FlatNs),
    ("MogileFs_DomainNS", Module::DomainNs),
    ("MogileFs_UserDomain", Module::UserDomain),
    ("Mogilefs_FlatNS", Module::FlatNs),
];

impl Module {
    /// The module of that name; names are case-sensitive.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let found = MODULES.iter().find(|(own, _)| *own == name);
        found.map(|(_, module)| *module)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        let found = MODULES.iter().find(|(_, module)| *module == self);
        found.map_or("", |(name, _)| name)
    }

    /// Every name that a users file may hold, for an error.
    #[must_use]
    pub fn names() -> String {
        let names: Vec<&str> = MODULES.iter().take(5).map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// Whether its users need `[mogilefs] domain`.
    #[must_use]
    pub fn needs_domain(self) -> bool {
        matches!(self, Self::MogileFs | Self::FlatNs)
    }
}

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: Vec<u8>,
    pub hash: Hash,
    pub uid: String,
    pub gid: String,
    pub module: Module,
}

/// Whom a password was right for: what a session may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: Vec<u8>,
    pub uid: String,
    pub gid: String,
    pub module: Module,
}

impl From<Record> for Account {
    fn from(record: Record) -> Self {
        Self {
            name: record.name,
            uid: record.uid,
            gid: record.gid,
            module: record.module,
        }
    }
}

/// The answer to "who is this?": a record or none, and what a verification has to cost so that
/// nobody can tell which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub record: Option<Record>,
    /// Of the slowest hashes there are among all users.
    pub cost: Cost,
}

impl Found {
    /// Nobody, when there is nothing to look into.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            record: None,
            cost: Cost::USUAL,
        }
    }

    /// Whether `password` is this user's. Takes the same time whoever it is; an empty password is
    /// nobody's.
    #[must_use]
    pub fn verify(&self, password: &Password) -> bool {
        let record = self.record.as_ref();
        let right = hash::verify(
            record.map(|record| &record.hash),
            self.cost,
            password.as_bytes(),
        );
        right && record.is_some()
    }

    /// As bytes, for a message between processes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("{}\n{}", self.cost.sha256, self.cost.sha512).into_bytes();
        if let Some(record) = &self.record {
            let texts = [record.hash.encode(), record.uid.clone(), record.gid.clone()];
            let texts = texts.iter().map(String::as_bytes);
            for field in texts.chain([record.module.name().as_bytes(), &record.name]) {
                bytes.push(b'\n');
                bytes.extend_from_slice(field);
            }
        }
        bytes
    }

    /// What `encode` made bytes of; `None` for any other bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        fn text(field: Option<&[u8]>) -> Option<&str> {
            std::str::from_utf8(field?).ok()
        }
        let mut fields = bytes.splitn(7, |byte| *byte == b'\n');
        let mut next = || fields.next();
        let cost = Cost {
            sha256: text(next())?.parse().ok()?,
            sha512: text(next())?.parse().ok()?,
        };
        let record = match next() {
            None => None,
            hash => Some(Record {
                hash: Hash::decode(text(hash)?)?,
                uid: text(next())?.to_owned(),
                gid: text(next())?.to_owned(),
                module: Module::named(text(next())?)?,
                name: next()?.to_vec(),
            }),
        };
        Some(Self { record, cost })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_have_the_names_of_the_users_file() {
        for (name, module) in [
            ("File", Some(Module::File)),
            ("MogileFs", Some(Module::MogileFs)),
            ("MogileFs_FlatNS", Some(Module::FlatNs)),
            ("Mogilefs_FlatNS", Some(Module::FlatNs)),
            ("MogileFs_DomainNS", Some(Module::DomainNs)),
            ("MogileFs_UserDomain", Some(Module::UserDomain)),
            ("mogilefs", None),
            ("file", None),
            ("", None),
        ] {
            assert_eq!(Module::named(name), module, "{name}");
        }
        assert_eq!(Module::FlatNs.name(), "MogileFs_FlatNS");
        assert!(Module::names().ends_with("MogileFs_UserDomain"));
    }

    #[test]
    fn what_was_found_travels_between_processes() {
        let record = Record {
            name: b"an\xff\nn".to_vec(),
            hash: Hash::parse(
                "098f6bcd4621d373cade4e832627b4f6",
                crate::config::Crypt::Md5,
            )
            .unwrap(),
            uid: "1".to_owned(),
            gid: String::new(),
            module: Module::DomainNs,
        };
        let known = Found {
            record: Some(record),
            ..Found::nobody()
        };
        for found in [known, Found::nobody()] {
            assert_eq!(Found::decode(&found.encode()), Some(found));
        }
        for bytes in [
            &b""[..],
            b"1",
            b"1\nx",
            b"1\n1\nx",
            b"1\n1\n$5$x\n\n\nFile\nx",
            b"1\n1\n\xff\n\n\nFile\nx",
        ] {
            assert_eq!(Found::decode(bytes), None);
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(
            format!("{:?}", Password::from(b"secret".to_vec())),
            "********"
        );
    }
}
