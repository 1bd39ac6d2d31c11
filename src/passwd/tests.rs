//! Users files before and after.

use std::os::unix::fs::symlink;

use super::*;
use crate::auth::text::Users;
use crate::config::{AuthText, Config};

/// A directory of its own, gone when the test is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("nanoftpd-passwd-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn users(&self) -> PathBuf {
        self.0.join("users")
    }

    /// Runs with `password` as the input.
    fn run(&self, wanted: &Passwd, password: &str) -> Result<Outcome, Error> {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        File::from(writer).write_all(password.as_bytes()).unwrap();
        let mut auth = Config::default().auth;
        auth.text.file = self.users();
        run(wanted, &auth, &reader, &mut Vec::new())
    }

    fn may_enter(&self, user: &str, password: &str) -> bool {
        let settings = AuthText {
            file: self.users(),
            sep: ":".to_owned(),
        };
        let found = Users::new(settings, Crypt::Md5)
            .look_up(user.as_bytes())
            .unwrap();
        found.verify(&Password::from(password.as_bytes().to_vec()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn user(name: &str) -> Passwd {
    Passwd {
        user: name.to_owned(),
        ..Passwd::default()
    }
}

/// What becomes of `text`, with `HASH` as the hash.
fn edited(wanted: &Passwd, separator: &str, text: &str) -> Result<String, String> {
    let mut change = Change::new(wanted, separator.as_bytes()).unwrap();
    change.hash = "HASH".to_owned();
    let (text, _) = change.apply(text.as_bytes())?;
    Ok(String::from_utf8(text).unwrap())
}

#[test]
fn one_line_changes_and_all_else_stays() {
    let all = Passwd {
        module: Some("File".to_owned()),
        uid: Some("1".to_owned()),
        gid: Some("2".to_owned()),
        ..user("ann")
    };
    for (wanted, before, after) in [
        (user("ann"), "", "ann:HASH:65534:65534:MogileFs\n"),
        (all.clone(), "", "ann:HASH:1:2:File\n"),
        (
            user("ann"),
            "\u{feff}ann:x:0:0:File\r\n",
            "\u{feff}ann:HASH:0:0:File\r\n",
        ),
        (
            user("ann"),
            "# x\n\nbob:x:0:0:File",
            "# x\n\nbob:x:0:0:File\nann:HASH:65534:65534:MogileFs\n",
        ),
        (
            user("ann"),
            "ann:x:5:6:File\nbob:x:0:0:File\n",
            "ann:HASH:5:6:File\nbob:x:0:0:File\n",
        ),
        (all, "ann:x:5:6:MogileFs\n#\n", "ann:HASH:1:2:File\n#\n"),
        (
            user("ann"),
            "ann:x:5:6:File\r\nbob:x:0:0:File\r\n",
            "ann:HASH:5:6:File\r\nbob:x:0:0:File\r\n",
        ),
        (user("ann"), "ann:x:5:6:File", "ann:HASH:5:6:File"),
        (
            user("ann"),
            "ann:x:5:6:File\nann:y:7:8:File\n",
            "ann:x:5:6:File\nann:HASH:7:8:File\n",
        ),
        (user("ann"), "ann:!:5:6:File\n", "ann:HASH:5:6:File\n"),
        (
            user("ann"),
            "ann:x\nannie:x:0:0:File\n",
            "ann:x\nannie:x:0:0:File\nann:HASH:65534:65534:MogileFs\n",
        ),
        (
            user("ann"),
            "#ann:x:0:0:File\n",
            "#ann:x:0:0:File\nann:HASH:65534:65534:MogileFs\n",
        ),
    ] {
        assert_eq!(edited(&wanted, ":", before).unwrap(), after, "{before:?}");
    }
    assert_eq!(
        edited(&user("ann"), "\t", "").unwrap(),
        "ann\tHASH\t65534\t65534\tMogileFs\n"
    );
}

#[test]
fn what_the_file_cannot_hold_is_refused() {
    for (name, separator) in [("a:b", ":"), ("ann", "S"), ("a", "a")] {
        let why = edited(&user(name), separator, "").unwrap_err();
        assert_eq!(
            why, "the separator occurs in the name or in the hash",
            "{name}"
        );
    }
    let with = |change: fn(&mut Passwd)| {
        let mut wanted = user("ann");
        change(&mut wanted);
        wanted
    };
    for (wanted, why) in [
        (
            user("#ann"),
            "\"#ann\" is no name: its line would be a comment",
        ),
        (
            user(" ann"),
            "\" ann\" is no name: blanks at an end, or control characters",
        ),
        (
            user("a\nb"),
            "\"a\\nb\" is no name: blanks at an end, or control characters",
        ),
        (with(|w| w.uid = Some("x".to_owned())), "\"x\" is no number"),
        (
            with(|w| w.gid = Some("-1".to_owned())),
            "\"-1\" is no number",
        ),
        (
            with(|w| w.module = Some("Ftp".to_owned())),
            "there is no module \"Ftp\", only File, MogileFs, MogileFs_FlatNS, MogileFs_DomainNS, \
             MogileFs_UserDomain",
        ),
    ] {
        let error = Change::new(&wanted, b":").err();
        assert_eq!(error, Some(Error::Usage(why.to_owned())));
    }
}

#[test]
fn whoever_is_added_may_enter() {
    let scratch = Scratch::new("added");
    let mut md5 = user("bob");
    md5.md5 = true;
    assert_eq!(scratch.run(&user("ann"), "one\n"), Ok(Outcome::Added));
    assert_eq!(scratch.run(&md5, "two\n"), Ok(Outcome::Added));
    assert!(scratch.may_enter("ann", "one") && scratch.may_enter("bob", "two"));
    assert_eq!(scratch.run(&user("ann"), "three\n"), Ok(Outcome::Changed));
    assert!(scratch.may_enter("ann", "three") && !scratch.may_enter("ann", "one"));
    let text = fs::read_to_string(scratch.users()).unwrap();
    assert!(text.starts_with("ann:$6$rounds=5000$"), "{text}");
    assert!(
        text.ends_with("bob:b8a9f715dbb64fd5c56e7783c6820a61:65534:65534:MogileFs\n"),
        "{text}"
    );
    let mode = fs::metadata(scratch.users()).unwrap().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn two_hashes_of_a_password_differ() {
    let password = Password::from(b"x".to_vec());
    assert_ne!(Hash::sha512(&password), Hash::sha512(&password));
}

#[test]
fn mode_and_owner_stay_and_nothing_else_is_left() {
    let scratch = Scratch::new("mode");
    let real = scratch.0.join("real");
    fs::write(&real, "# kept\n").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o604)).unwrap();
    // Only root can give a file away; for others there is nothing to keep.
    let _ = std::os::unix::fs::chown(&real, Some(12), Some(34));
    let before = fs::metadata(&real).unwrap();
    symlink("real", scratch.users()).unwrap();
    assert_eq!(scratch.run(&user("ann"), "one\n"), Ok(Outcome::Added));
    let after = fs::metadata(&real).unwrap();
    let about = |of: &Metadata| (of.mode(), of.uid(), of.gid());
    assert_eq!(about(&before), about(&after));
    assert_ne!(before.ino(), after.ino());
    assert!(
        fs::read_to_string(&real)
            .unwrap()
            .starts_with("# kept\nann:")
    );
    assert_eq!(fs::read_link(scratch.users()).unwrap(), Path::new("real"));
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 2);
}

#[test]
fn a_file_is_made_where_a_link_leads() {
    let scratch = Scratch::new("dangling");
    symlink("real", scratch.users()).unwrap();
    assert_eq!(scratch.run(&user("ann"), "one\n"), Ok(Outcome::Added));
    assert_eq!(fs::read_link(scratch.users()).unwrap(), Path::new("real"));
    let text = fs::read_to_string(scratch.0.join("real")).unwrap();
    assert!(text.starts_with("ann:"), "{text}");
}

#[test]
fn a_failure_changes_nothing() {
    let scratch = Scratch::new("failure");
    fs::write(scratch.users(), "ann:x:0:0:File\n").unwrap();
    assert!(scratch.run(&user("a:b"), "one\n").is_err());
    assert!(scratch.run(&user("ann"), "\n").is_err());
    assert_eq!(
        fs::read_to_string(scratch.users()).unwrap(),
        "ann:x:0:0:File\n"
    );
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);

    let lost = Passwd {
        users: Some(scratch.0.join("no/users")),
        ..user("ann")
    };
    let error = scratch.run(&lost, "one\n").unwrap_err().to_string();
    assert!(
        error.ends_with("no/users: No such file or directory (os error 2)"),
        "{error}"
    );
}

#[test]
fn an_md5_hash_needs_crypt_md5() {
    let mut auth = Config::default().auth;
    auth.crypt = Crypt::Sha1;
    let wanted = Passwd {
        md5: true,
        ..user("ann")
    };
    let (reader, _writer) = nix::unistd::pipe().unwrap();
    let error = run(&wanted, &auth, &reader, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Usage(_)));
}

/// Each run reads what the one before it wrote, however they meet.
#[test]
fn many_at_once_lose_nobody() {
    let scratch = Scratch::new("many");
    std::thread::scope(|scope| {
        for number in 0..20 {
            let path = scratch.users();
            scope.spawn(move || {
                let add = |text: &[u8]| Ok(([text, format!("{number}\n").as_bytes()].concat(), ()));
                replace(&path, add).unwrap();
            });
        }
    });
    let text = fs::read_to_string(scratch.users()).unwrap();
    let mut found: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, (0..20).collect::<Vec<_>>());
}
