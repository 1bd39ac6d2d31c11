//! The users file: `name:password:uid:gid:io_module`, a user a line. It is read again whenever it
//! has changed, so that an edit acts at the next PASS; the master asks once per PASS, so an
//! unchanged file costs one stat.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Cost, Found, Hash, Module, Record};
use crate::config::{AuthText, Crypt, Error};
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
        let (text, about) = self.read()?;
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

    fn read(&self) -> io::Result<(Vec<u8>, Metadata)> {
        // A FIFO in the file's place must not hold the master up.
        let file = File::options()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(&self.settings.file)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "is not a regular file",
            ));
        }
        let mut text = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut text)?;
        if text.len() as u64 > LARGEST {
            let why = format!("is larger than {} MiB", LARGEST >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok((text, about))
    }

    pub(crate) fn parse(&mut self, text: &[u8]) {
        self.cost = Cost::default();
        self.errors.clear();
        self.warnings.clear();
        let separator = self.settings.separator();
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
            let why = format!(
                "has {} fields; name:password:uid:gid:io_module are 5",
                fields.len()
            );
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
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;
    use crate::auth::Password;

    const MD5: &str = "5ebe2294ecd0e0f08eab7690d2a6ee69";
    const SHA256: &str = "$5$rounds=1000$abcdefgh$yhwYR/W6yMWQN0nvy.k5DELe0UlIdCU06qfckdsFAY2";

    /// A users file of its own, gone when the test is.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("nanoftpd-users-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn write(&self, text: impl AsRef<[u8]>) {
            fs::write(&self.0, text).unwrap();
            fs::set_permissions(&self.0, fs::Permissions::from_mode(0o640)).unwrap();
        }

        fn users(&self, sep: &str) -> Users {
            let settings = AuthText {
                file: self.0.clone(),
                sep: sep.to_owned(),
            };
            Users::new(settings, Crypt::Md5)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn parsed(text: &str) -> Users {
        let settings = AuthText {
            file: PathBuf::from("users"),
            sep: ":".to_owned(),
        };
        let mut users = Users::new(settings, Crypt::Md5);
        users.parse(text.as_bytes());
        users
    }

    #[test]
    fn a_line_is_five_fields() {
        for (line, module) in [
            (format!("ann:{MD5}:0:0:MogileFs"), Some(Module::MogileFs)),
            (
                format!("ann:{MD5}:0:0:Mogilefs_FlatNS"),
                Some(Module::FlatNs),
            ),
            (format!("ann:{SHA256}:::File"), Some(Module::File)),
            (format!("ann:{MD5}:www-data:ftp:File  "), Some(Module::File)),
            (format!("ann:{MD5}:0:0:File\r"), Some(Module::File)),
            (
                format!("\n  \n#bob:{MD5}:0:0:File\n\r\nann:{MD5}:0:0:File\n"),
                Some(Module::File),
            ),
            (
                format!("ann:{SHA256}:0:0:File\nann:{MD5}:0:0:MogileFs"),
                Some(Module::MogileFs),
            ),
            (format!("ann:{MD5}:0:0:File\nann:!{MD5}:0:0:File"), None),
            (format!("ann:{MD5}:0:0:File\nann:*:0:0:File"), None),
            (format!("ann:{MD5}:0:0:File\nann:x:0:0:File"), None),
            (format!("ann:{MD5}:0:0:File\nann"), Some(Module::File)),
            (format!("#ann:{MD5}:0:0:File"), None),
            (format!(" ann:{MD5}:0:0:File"), None),
            (format!("ann:{MD5}:0:0:File:"), None),
            (format!("ann:{MD5}:0:0:file"), None),
            ("ann::0:0:File".to_owned(), None),
            (String::new(), None),
        ] {
            let users = parsed(&line);
            let found = users.users.get(&b"ann"[..]).map(|user| user.record.module);
            assert_eq!(found, module, "{line:?}");
        }
    }

    #[test]
    fn a_bad_line_says_where_and_why() {
        let good = format!("ann:{SHA256}:0:0:File\n");
        for (line, why) in [
            ("bob", "has 1 fields; name:password:uid:gid:io_module are 5"),
            (
                "bob:x:0:0:File",
                "the password is neither 32 hex digits of MD5 nor a crypt string $5$ or $6$",
            ),
            (
                "bob::0:0:File",
                "the password is neither 32 hex digits of MD5 nor a crypt string $5$ or $6$",
            ),
            (
                ":5ebe2294ecd0e0f08eab7690d2a6ee69:0:0:File",
                "the name is empty",
            ),
            (
                "bob:5ebe2294ecd0e0f08eab7690d2a6ee69:\u{1}:0:File",
                "the uid is not text",
            ),
            (
                "bob:5ebe2294ecd0e0f08eab7690d2a6ee69:0:0:Mogile",
                "there is no module `Mogile`, only File, MogileFs, MogileFs_FlatNS, MogileFs_DomainNS, \
                 MogileFs_UserDomain",
            ),
        ] {
            let users = parsed(&format!("{good}\n{line}\n{good}"));
            let errors: Vec<String> = users.errors().iter().map(ToString::to_string).collect();
            assert_eq!(errors, [format!("users:3: {why}")]);
            assert_eq!(users.users.len(), 1);
        }
        assert_eq!(
            parsed(&"bad\n".repeat(1000)).errors().len(),
            MOST_COMPLAINTS
        );
    }

    #[test]
    fn weak_and_doubtful_lines_are_warned_of() {
        let users = parsed(&format!(
            "ann:{MD5}:0:0:File\nbob:098f6bcd4621d373cade4e832627b4f6:0:0:File\ncid:{SHA256}:0:0:File\n\
             cid:{SHA256}:0:0:MogileFs\n"
        ));
        let warnings: Vec<String> = users.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "users:1: the password of \"ann\" is an unsalted MD5; `nanoftpd passwd` makes a better one",
                "users:2: the password of \"bob\" is `test`, as the PHP daemon shipped it",
                "users:4: \"cid\" is on line 3 already; this line counts",
            ]
        );
        let errors: Vec<String> = users
            .without_domain()
            .iter()
            .map(ToString::to_string)
            .collect();
        let why = "of module MogileFs needs [mogilefs] domain, which is empty";
        assert_eq!(errors, [format!("users:4: \"cid\" {why}")]);
    }

    #[test]
    fn the_shipped_file_lets_nobody_in() {
        let users = parsed(include_str!("../../etc/users"));
        assert!(users.users.is_empty() && users.errors().is_empty() && users.warnings().is_empty());
    }

    #[test]
    fn the_separator_may_be_any() {
        let scratch = Scratch::new("separator");
        for (sep, between) in [
            (":", ":"),
            ("|", "|"),
            ("\\t", "\t"),
            ("::", "::"),
            (", ", ", "),
        ] {
            scratch.write(["ann", MD5, "0", "0", "File"].join(between));
            let found = scratch.users(sep).look_up(b"ann").unwrap();
            assert!(found.verify(&Password::from(b"secret".to_vec())), "{sep}");
        }
    }

    #[test]
    fn the_cost_is_that_of_the_slowest_of_all() {
        let scratch = Scratch::new("cost");
        scratch.write(format!("ann:{MD5}:0:0:File\nbob:{SHA256}:0:0:File\n"));
        let mut users = scratch.users(":");
        for user in ["ann", "bob", "nobody"] {
            let found = users.look_up(user.as_bytes()).unwrap();
            assert_eq!(
                found.cost,
                Cost {
                    sha256: 1000,
                    sha512: 0
                }
            );
            assert_eq!(found.record.is_some(), user != "nobody");
            assert!(!found.verify(&Password::from(b"wrong".to_vec())));
        }
        assert!(
            users
                .look_up(b"bob")
                .unwrap()
                .verify(&Password::from(b"test".to_vec()))
        );
    }

    #[test]
    fn an_edit_acts_at_the_next_look() {
        let scratch = Scratch::new("edit");
        let mut users = scratch.users(":");
        assert_eq!(
            users.look_up(b"ann").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        // Each of the same length, and within a tick of the clock.
        for module in ["MogileFs", "FileXXXX", "MogileFs"] {
            scratch.write(format!("ann:{MD5}:0:0:{module}\n"));
            let found = users.look_up(b"ann").unwrap();
            assert_eq!(found.record.is_some(), module == "MogileFs");
        }
        fs::remove_file(&scratch.0).unwrap();
        assert!(users.look_up(b"ann").is_err());
    }

    #[test]
    fn an_unchanged_file_is_not_read_again() {
        let scratch = Scratch::new("unchanged");
        scratch.write(format!("ann:{MD5}:0:0:File\n"));
        let mut users = scratch.users(":");
        assert!(users.refresh().unwrap());
        assert!(!users.refresh().unwrap());
        // As if it had not been changed for a while: what is remembered counts.
        users.settled = true;
        users.users.clear();
        assert_eq!(users.look_up(b"ann").unwrap().record, None);
        scratch.write("");
        assert!(users.refresh().unwrap());
    }

    #[test]
    fn what_is_no_users_file_lets_nobody_in() {
        for path in ["/", "/dev/zero"] {
            let settings = AuthText {
                file: PathBuf::from(path),
                sep: ":".to_owned(),
            };
            let error = Users::new(settings, Crypt::Md5)
                .look_up(b"ann")
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
        }
    }

    #[test]
    fn a_file_that_everybody_reads_is_warned_of() {
        let scratch = Scratch::new("mode");
        scratch.write("");
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o644)).unwrap();
        let mut users = scratch.users(":");
        users.refresh().unwrap();
        let warning = users.warnings()[0].to_string();
        assert!(
            warning.ends_with(": has mode 0644: everybody sees the hashes"),
            "{warning}"
        );
    }
}
