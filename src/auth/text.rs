//! The users file: `name:password:uid:gid:io_module`, a user a line. It is read again whenever it
//! has changed, so that an edit acts at the next PASS; the master asks once per PASS, so an
//! unchanged file costs one stat.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Cost, Found, Hash, Module, Record};
use crate::config::{AuthText, Crypt, Error};
use crate::regular;
use crate::text::quoted;

/// A larger file is no users file: the master would choke on it.
const LARGEST: u64 = 32 << 20;

/// As many lines of complaint as somebody reads.
const MOST_COMPLAINTS: usize = 50;

/// The users file and what it held when it was last read.
#[derive(Debug)]
pub struct Users {
    settings: AuthText,
    crypt: Crypt,
    /// Of the file whose users these are.
    stamp: Option<Stamp>,
    /// Whether an equal stamp means an equal file.
    settled: bool,
    users: HashMap<Vec<u8>, User>,
    cost: Cost,
    errors: Vec<Error>,
    warnings: Vec<Error>,
}

#[derive(Debug)]
struct User {
    line: usize,
    record: Record,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Users {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(settings: AuthText, crypt: Crypt) -> Self {
        Self {
            settings,
            crypt,
            stamp: None,
            settled: false,
            users: HashMap::new(),
            cost: Cost::default(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Who `user` is, by the file as it is now.
    ///
    /// # Errors
    /// The file cannot be read; nobody may come in then.
    pub fn look_up(&mut self, user: &[u8]) -> io::Result<Found> {
        self.refresh()?;
        Ok(Found {
            record: self.users.get(user).map(|user| user.record.clone()),
            cost: self.cost,
        })
    }

    /// Reads the file if it is another than the last time; says whether it was. Bad lines are
    /// logged then.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn refresh(&mut self) -> io::Result<bool> {
        let about = fs::metadata(&self.settings.file)?;
        if self.settled && self.stamp == Some(Stamp::of(&about)) {
            return Ok(false);
        }
        // A users file that cannot be read holds nobody, not whom it held before.
        let before = self.stamp.take();
        self.users.clear();
        let (text, about) = regular::read(&self.settings.file, LARGEST)?;
        self.parse(&text);
        if about.mode() & 0o007 != 0 {
            let why = format!(
                "has mode {:04o}: everybody sees the hashes",
                about.mode() & 0o7777
            );
            self.odd(0, why);
        }
        // Two edits within a tick of the file system's clock leave the same times: what was
        // changed a moment ago is read again the next time.
        self.settled = is_settled(&about);
        self.stamp = Some(Stamp::of(&about));
        let is_another = self.stamp != before;
        for error in self.errors.iter().filter(|_| is_another) {
            log::warn!(
                "users-line-ignored line={} why={}",
                error.line,
                quoted(error.why.as_bytes())
            );
        }
        Ok(is_another)
    }

    /// Everybody who may come in, in no order.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.users.values().map(|user| &user.record)
    }

    /// The lines that let nobody in though they look as if they should, by line.
    #[must_use]
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    /// What is allowed but unwise.
    #[must_use]
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }

    /// An error for each user whose module needs `[mogilefs] domain`: for when there is none.
    #[must_use]
    pub fn without_domain(&self) -> Vec<Error> {
        let needy = self
            .users
            .values()
            .filter(|user| user.record.module.needs_domain());
        let mut errors: Vec<Error> = needy
            .map(|user| {
                let why = format!(
                    "{} of module {} needs [mogilefs] domain, which is empty",
                    quoted(&user.record.name),
                    user.record.module.name()
                );
                self.complaint(user.line, why)
            })
            .collect();
        errors.sort_by_key(|error| error.line);
        errors.truncate(MOST_COMPLAINTS);
        errors
    }

    pub(crate) fn parse(&mut self, text: &[u8]) {
        self.cost = Cost::default();
        self.errors.clear();
        self.warnings.clear();
        let separator = self.settings.separator();
        let (_, text) = split_mark(text);
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.starts_with(b"#") && !line.trim_ascii().is_empty() {
                self.line(&split(line, &separator), number);
            }
        }
        let costs = self.users.values().map(|user| user.record.hash.cost());
        self.cost = costs.fold(Cost::default(), Cost::max);
    }

    fn line(&mut self, fields: &[&[u8]], number: usize) {
        let [name, password, uid, gid, module] = fields else {
            let count = match fields.len() {
                1 => "1 field".to_owned(),
                several => format!("{several} fields"),
            };
            let why = format!("has {count}; name:password:uid:gid:io_module are 5");
            return self.wrong(number, why);
        };
        // The later of two lines counts, also when it lets nobody in.
        if let Some(earlier) = self.users.remove(*name) {
            let why = format!(
                "{} is on line {} already; this line counts",
                quoted(name),
                earlier.line
            );
            self.odd(number, why);
        }
        if password.starts_with(b"!") || password.starts_with(b"*") {
            return;
        }
        match record(
            name,
            password,
            uid,
            gid,
            module.trim_ascii_end(),
            self.crypt,
        ) {
            Ok(record) => {
                if let Some(why) = weakness(&record) {
                    self.odd(number, why);
                }
                self.users.insert(
                    name.to_vec(),
                    User {
                        line: number,
                        record,
                    },
                );
            }
            Err(why) => self.wrong(number, why),
        }
    }

    fn wrong(&mut self, line: usize, why: String) {
        if self.errors.len() < MOST_COMPLAINTS {
            self.errors.push(self.complaint(line, why));
        }
    }

    fn odd(&mut self, line: usize, why: String) {
        if self.warnings.len() < MOST_COMPLAINTS {
            self.warnings.push(self.complaint(line, why));
        }
    }

    fn complaint(&self, line: usize, why: String) -> Error {
        Error::new(&self.settings.file.display().to_string(), line, "", why)
    }
}

fn record(
    name: &[u8],
    password: &[u8],
    uid: &[u8],
    gid: &[u8],
    module: &[u8],
    crypt: Crypt,
) -> Result<Record, String> {
    let text = |field: &[u8], what: &str| match std::str::from_utf8(field) {
        Ok(text) if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(format!("the {what} is not text")),
    };
    if name.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if name.contains(&0) {
        return Err("the name is not text".to_owned());
    }
    let module = text(module, "module")?;
    Ok(Record {
        name: name.to_vec(),
        hash: Hash::parse(&text(password, "password")?, crypt)?,
        uid: text(uid, "uid")?,
        gid: text(gid, "gid")?,
        module: Module::named(&module)
            .ok_or_else(|| format!("there is no module `{module}`, only {}", Module::names()))?,
    })
}

fn weakness(record: &Record) -> Option<String> {
    let kind = match record.hash {
        Hash::Md5(_) => "MD5",
        Hash::Sha1(_) => "SHA1",
        Hash::Crypt(..) => return None,
    };
    // MD5 and SHA1 of `test`.
    let shipped = [
        "098f6bcd4621d373cade4e832627b4f6",
        "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3",
    ];
    let name = quoted(&record.name);
    if shipped.contains(&record.hash.encode().as_str()) {
        return Some(format!(
            "the password of {name} is `test`, as the PHP daemon shipped it"
        ));
    }
    Some(format!(
        "the password of {name} is an unsalted {kind}; `nanoftpd passwd` makes a better one"
    ))
}

/// The byte order mark that some editors put in front, and the text behind it.
pub(crate) fn split_mark(text: &[u8]) -> (&[u8], &[u8]) {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let length = if text.starts_with(MARK) {
        MARK.len()
    } else {
        0
    };
    text.split_at(length)
}

/// The parts of `line` between the separators.
pub(crate) fn split<'a>(line: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut fields = Vec::new();
    let mut rest = line;
    if separator.is_empty() {
        return vec![line];
    }
    while let Some(at) = rest
        .windows(separator.len())
        .position(|window| window == separator)
    {
        let (field, behind) = rest.split_at(at);
        fields.push(field);
        rest = behind.get(separator.len()..).unwrap_or_default();
    }
    fields.push(rest);
    fields
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }
}

fn is_settled(about: &Metadata) -> bool {
    let changed = Duration::from_secs(u64::try_from(about.ctime()).unwrap_or(0));
    let age = SystemTime::now().duration_since(UNIX_EPOCH + changed);
    age.is_ok_and(|age| age > Duration::from_secs(2))
}

#[cfg(test)]
mod tests;
