//! `nanoftpd import`: the PHP daemon's config.php goes in, a configuration comes out that the daemon
//! reads without a complaint.
#![cfg(test)]

mod support;

use std::process::{Command, Output};

use support::Scratch;

const ORIGINAL: &str = r#"<?php
// the configuration of a daemon that is to be replaced
$CFG = new stdClass();
$CFG->rootdir = dirname(__FILE__);
$CFG->tmpdir = "$CFG->rootdir/tmp";
$CFG->logdir = "$CFG->rootdir/log";
$CFG->daemonize = true;
$CFG->pidfile = "$CFG->logdir/nanoftpd.pid";
$CFG->userid = 0;
$CFG->listen_port = 2121;
$CFG->auth = new stdClass();
$CFG->auth->crypt = "crc32";
$CFG->mogilefs = new stdClass();
$CFG->mogilefs->tracker = 'tracker1';
$CFG->logging = new stdClass();
$CFG->logging->mode = 2;
if ($CFG->daemonize) $CFG->logging->mode = 1;
$CFG->logging->file = "$CFG->logdir/nanoftpd.log";
?>
"#;

fn nanoftpd(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanoftpd"));
    command.args(arguments).output().unwrap()
}

/// Code, standard output, standard error.
fn told(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = nanoftpd(arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn what_it_prints_is_a_configuration_with_the_same_settings() {
    let scratch = Scratch::new();
    let source = scratch.file("config.php", ORIGINAL.as_bytes());
    let (code, ini, said) = told(&["import", source.to_str().unwrap()]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    for (line, what) in [(9, "userid"), (12, "crypt")] {
        let comment = format!("# {}:{line}: {what} not carried over", source.display());
        assert!(ini.contains(&comment), "{comment}\n{ini}");
    }

    let conf = scratch.file("nanoftpd.conf", ini.as_bytes());
    let (code, whole, said) = told(&["-c", conf.to_str().unwrap(), "-T"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let root = scratch.path().display();
    for line in [
        format!("pidfile = {root}/log/nanoftpd.pid"),
        format!("file = {root}/log/nanoftpd.log"),
        format!("tmpdir = {root}/tmp"),
        "listen_port = 2121".to_owned(),
        "tracker = tracker1".to_owned(),
        "mode = 1".to_owned(),
        "legacy_names = yes".to_owned(),
    ] {
        assert!(whole.lines().any(|have| have == line), "{line}\n{whole}");
    }

    let (code, rotate, _) = told(&["import", "--logrotate", source.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    assert!(rotate.starts_with(&format!(
        "{root}/log/nanoftpd.log /var/log/nanoftpd/xferlog {{"
    )));
    assert!(rotate.contains("kill -USR1"), "{rotate}");
}

#[test]
fn names_in_an_old_encoding_are_carried_over() {
    let scratch = Scratch::new();
    let source = scratch.file(
        "c.php",
        b"<?php $CFG->server_name = 'M\xfcnchen'; // gr\xfc\xdf",
    );
    let (code, ini, _) = told(&["import", source.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    assert!(ini.contains("server_name = M\u{fc}nchen\n"), "{ini}");
}

#[test]
fn what_cannot_be_read_is_said_with_its_place() {
    let scratch = Scratch::new();
    let source = scratch.file("c.php", b"<?php\n$CFG->a = 'x;\n");
    let (code, printed, said) = told(&["import", source.to_str().unwrap()]);
    assert_eq!((code, printed.as_str()), (Some(78), ""));
    assert!(
        said.starts_with(&format!("{}:2: ", source.display())),
        "{said}"
    );
    let (code, _, said) = told(&["import", "/no/such/config.php"]);
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("nanoftpd: /no/such/config.php: "),
        "{said}"
    );
    assert_eq!(nanoftpd(&["import"]).status.code(), Some(64));
}
