//! Users files of all kinds, and what is made of them.

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
            format!("\u{feff}ann:{MD5}:0:0:File\r\n"),
            Some(Module::File),
        ),
        (format!("\u{feff}\u{feff}ann:{MD5}:0:0:File"), None),
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
        ("bob", "has 1 field; name:password:uid:gid:io_module are 5"),
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
    let users = parsed(include_str!("../../../etc/users"));
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
