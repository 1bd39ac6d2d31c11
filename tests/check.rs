//! `nanoftpd check`: what it finds, and the exit codes that a watcher of services reads.
#![cfg(test)]

mod support;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use nix::unistd::geteuid;
use support::{Cluster, Scratch, conf, tried, users};

const FINE: u8 = 0;
const WARNING: u8 = 1;
const CRITICAL: u8 = 2;
const UNKNOWN: u8 = 3;

/// Files of one's own, and what `check` says of them.
struct Site {
    scratch: Scratch,
    changes: Vec<(String, String)>,
}

impl Site {
    /// With users of all modules but DomainNS, who would need all domains of a tracker.
    fn new(tracker: &str, domain: &str) -> Self {
        let scratch = Scratch::new();
        let own = format!("{domain}:MogileFs_UserDomain");
        let names = ["test:MogileFs", "ftp:MogileFs_FlatNS", "file:File", &own];
        let file = scratch.file("users", users(&names).as_bytes());
        fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
        let mut site = Self {
            scratch,
            changes: Vec::new(),
        };
        site.set("mogilefs.tracker", tracker);
        site.set("mogilefs.domain", domain);
        site
    }

    fn of(cluster: &Cluster) -> Self {
        Self::new(&cluster.address.to_string(), &cluster.domain)
    }

    fn set(&mut self, key: &str, value: &str) {
        self.changes.push((key.to_owned(), value.to_owned()));
    }

    fn add_user(&self, line: &str) {
        let file = self.scratch.path().join("users");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, format!("{text}{line}\n")).unwrap();
    }

    /// What it says, after the exit code was found to be `code`.
    fn check(&self, options: &[&str], code: u8) -> String {
        let changes: Vec<(&str, &str)> = self
            .changes
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let conf = conf(&self.scratch, &changes);
        let conf = self.scratch.file("nanoftpd.conf", conf.as_bytes());
        // Who watches services may have no ear for the ends of what it starts.
        let output = Command::new("env")
            .args(["--ignore-signal=CHLD", env!("CARGO_BIN_EXE_nanoftpd")])
            .arg("-c")
            .arg(conf)
            .arg("check")
            .args(options)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code.into()), "{text}");
        assert_eq!(output.stderr, b"", "{text}");
        let words = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];
        let start = format!("nanoftpd {} - ", words[usize::from(code)]);
        assert!(text.starts_with(&start), "{text}");
        for line in text.lines().skip(1) {
            let (word, rest) = line.split_once(' ').unwrap();
            let is_known = ["ok", "warning", "critical", "unknown"].contains(&word);
            assert!(is_known && !rest.is_empty(), "{line}");
        }
        text
    }
}

/// Whether a line of `text` begins so.
fn says(text: &str, start: &str) -> bool {
    text.lines().any(|line| line.starts_with(start))
}

fn assert_says(text: &str, start: &str) {
    assert!(says(text, start), "{start}\n{text}");
}

#[test]
fn a_sound_site_is_fine_and_nothing_is_left_behind() {
    let cluster = Cluster::start();
    let site = Site::of(&cluster);
    let text = site.check(&[], FINE);
    for found in [
        format!("ok tracker {}: ", cluster.address),
        format!("ok domain {}: exists, classes ", cluster.domain),
        "ok domains of users: 1 exist".to_owned(),
        "ok defaultclass default: ".to_owned(),
        "ok users ".to_owned(),
        "ok log ".to_owned(),
        "ok xferlog ".to_owned(),
        "ok tmpdir ".to_owned(),
        "ok passive ports 15000-25000 on 127.0.0.1: ".to_owned(),
        "ok file root ".to_owned(),
        "ok tls: off: ".to_owned(),
    ] {
        assert_says(&text, &found);
    }
    assert!(!text.contains("stored"), "{text}");

    let text = site.check(&["--write"], FINE);
    for class in ["default", "docs", "photos"] {
        let found = format!("ok class {class} of {}: stored, read", cluster.domain);
        assert_says(&text, &found);
    }
    assert_eq!(cluster.keys(), [""; 0]);
    let files = fs::read_dir(site.scratch.path().join("files")).unwrap();
    assert_eq!(files.count(), 0);
    assert!(!site.scratch.path().join("nanoftpd.log").exists());
}

#[test]
fn one_tracker_of_two_is_a_warning_and_none_is_critical() {
    let cluster = Cluster::start();
    // Nobody listens on a port that only root may bind.
    let closed = "127.0.0.1:1";
    let mut site = Site::of(&cluster);
    let both = format!("{closed}, no-such-host.invalid, {}", cluster.address);
    site.set("mogilefs.tracker", &both);
    let text = site.check(&["--write"], WARNING);
    assert_says(
        &text,
        &format!("warning tracker {closed}: Connection refused"),
    );
    assert_says(&text, "warning name no-such-host.invalid: ");
    assert_says(&text, &format!("ok class photos of {}: ", cluster.domain));
    site.set("mogilefs.tracker", closed);
    let text = site.check(&["--write"], CRITICAL);
    assert_says(
        &text,
        &format!("critical tracker {closed}: Connection refused"),
    );
    site.set("mogilefs.tracker", "no-such-host.invalid");
    assert_says(
        &site.check(&[], CRITICAL),
        "critical tracker: none could be found",
    );
}

#[test]
fn a_tracker_that_hangs_is_not_waited_for_long() {
    let cluster = Cluster::faulty();
    cluster.node().fault("mute cmd=get_domains");
    let mut site = Site::of(&cluster);
    site.set("mogilefs.request_timeout", "200ms");
    let text = site.check(&[], CRITICAL);
    assert_says(&text, &format!("critical tracker {}: ", cluster.address));
}

#[test]
fn what_users_need_and_is_not_there_is_critical() {
    let cluster = Cluster::start();
    let mut site = Site::of(&cluster);
    site.set("mogilefs.defaultclass", "films");
    site.set("passive.address", "no-such-host.invalid");
    site.set(
        "file.root",
        &format!("{}/files/%u", site.scratch.path().display()),
    );
    let own = format!("gone{}", cluster.domain);
    let hash = users(&["x:File"]);
    let hash = hash.split(':').nth(1).unwrap();
    site.add_user(&format!("{own}:{hash}:1:1:MogileFs_UserDomain"));
    let text = site.check(&[], CRITICAL);
    for found in [
        "critical defaultclass films: ".to_owned(),
        "critical name no-such-host.invalid: ".to_owned(),
        format!("critical domain {own}: does not exist"),
    ] {
        assert_says(&text, &found);
    }
    let tree = text
        .lines()
        .find(|line| line.contains("%u of file"))
        .unwrap();
    assert!(tree.starts_with("critical file root "), "{tree}");
    site.set("mogilefs.domain", &own);
    let found = format!("critical domain {own}: does not exist, and users need it");
    assert_says(&site.check(&[], CRITICAL), &found);
}

#[test]
fn weak_and_broken_lines_of_the_users_file_are_warnings() {
    let cluster = Cluster::start();
    let mut site = Site::of(&cluster);
    site.add_user("old:098f6bcd4621d373cade4e832627b4f6:1:1:File");
    site.add_user("nonsense");
    let text = site.check(&[], WARNING);
    let users = site.scratch.path().join("users");
    assert_says(&text, &format!("warning users {}:5: ", users.display()));
    assert_says(&text, &format!("warning users {}:6: ", users.display()));
    assert!(text.contains("the password of \"old\" is `test`"), "{text}");
    site.set("auth.text.file", "/no/such/users");
    assert_says(
        &site.check(&[], CRITICAL),
        "critical users /no/such/users: ",
    );
}

#[test]
fn storage_that_refuses_is_found_by_writing_only() {
    let cluster = Cluster::faulty();
    cluster.node().fault("status method=PUT code=500");
    let site = Site::of(&cluster);
    site.check(&[], FINE);
    let text = site.check(&["--write"], CRITICAL);
    assert_says(
        &text,
        &format!("critical class photos of {}: ", cluster.domain),
    );
    assert_eq!(cluster.keys(), [""; 0]);
}

#[test]
fn directories_are_tried_as_the_sessions_user() {
    if !geteuid().is_root() {
        return support::skip("needs root");
    }
    let cluster = Cluster::start();
    let mut site = Site::of(&cluster);
    let closed = site.scratch.path().join("closed");
    fs::create_dir(&closed).unwrap();
    site.set("nanoftpd.tmpdir", closed.to_str().unwrap());
    let found = format!("critical tmpdir {}: Permission denied", closed.display());
    assert_says(&site.check(&[], CRITICAL), &found);
    let program = closed.join("program");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    site.set("nanoftpd.tmpdir", "/tmp");
    site.set("hooks.uploaded", program.to_str().unwrap());
    let said = site.check(&[], FINE);
    assert_says(&said, &format!("ok hook {}: can be run", program.display()));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o744)).unwrap();
    let found = format!("critical hook {}: Permission denied", program.display());
    assert_says(&site.check(&[], CRITICAL), &found);
    site.set("hooks.uploaded", "");
    // The log is the master's, which is root.
    let log = closed.join("nanoftpd.log");
    site.set("logging.file", log.to_str().unwrap());
    site.check(&[], FINE);
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(
        site.check(&[], WARNING)
            .contains("everybody can write to it")
    );
    site.set("logging.file", "/no/such/dir/log");
    assert_says(
        &site.check(&[], CRITICAL),
        "critical log /no/such/dir/log: ",
    );
}

#[test]
fn ports_that_are_taken_are_found() {
    let cluster = Cluster::start();
    let mut site = Site::of(&cluster);
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    site.set("nanoftpd.low_port", &port);
    site.set("nanoftpd.high_port", &port);
    let found = format!("critical passive ports {port}-{port} on 127.0.0.1: 1 of 1 ");
    assert_says(&site.check(&[], CRITICAL), &found);
}

#[test]
fn a_configuration_with_errors_leaves_everything_unknown() {
    let mut site = Site::new("127.0.0.1:1", "x");
    site.set("nanoftpd.listen_port", "many");
    let text = site.check(&[], UNKNOWN);
    assert!(
        text.contains("nanoftpd.conf:") && text.contains("listen_port"),
        "{text}"
    );
    site.set("nanoftpd.listen_port", "0");
    site.set("nanoftpd.tmpdir", "/no/such/dir");
    assert!(
        site.check(&[], CRITICAL)
            .contains("/no/such/dir is not a directory")
    );
}

/// The number of the line in a file that begins with `start`.
fn line_of(text: &str, start: &str) -> usize {
    let line = text.lines().position(|line| line.starts_with(start));
    line.unwrap() + 1
}

/// -t reads nothing but files; what it warns of is no error.
#[test]
fn a_test_of_the_configuration_warns_of_each_weakness_with_its_place() {
    let scratch = Scratch::new();
    let md5 = "098f6bcd4621d373cade4e832627b4f6";
    let list = format!("ann:{md5}:0:0:File\n");
    let list = scratch.file("users", list.as_bytes());
    fs::set_permissions(&list, fs::Permissions::from_mode(0o644)).unwrap();
    let changes = [
        ("nanoftpd.listen_addr", "0.0.0.0"),
        ("passive.address", "10.1.2.3"),
        ("nanoftpd.high_port", "15009"),
        ("nanoftpd.idle_time", "20"),
    ];
    let (code, said) = tried(&scratch, &changes);
    assert_eq!(code, Some(0), "{said}");
    let file = scratch.path().join("nanoftpd.conf");
    let text = fs::read_to_string(&file).unwrap();
    let (file, list) = (file.display(), list.display());
    for expected in [
        format!(
            "warning: {file}:{}: high_port: low_port to high_port are 10 ports, fewer than max_clients",
            line_of(&text, "high_port = ")
        ),
        format!(
            "warning: {file}:{}: address: PASV announces 10.1.2.3, which is private",
            line_of(&text, "address = ")
        ),
        format!("warning: {file}: [nanoftpd] login_time: login_time is longer than idle_time"),
        format!("warning: {list}: has mode 0644: everybody sees the hashes"),
        format!("warning: {list}:1: the password of \"ann\" is `test`"),
    ] {
        let is_said = said.lines().any(|line| line.starts_with(&expected));
        assert!(is_said, "{expected}\n{said}");
    }
    assert_eq!(said.lines().count(), 5, "{said}");
}

#[test]
fn a_test_of_the_configuration_says_all_that_a_start_would_fail_at() {
    let scratch = Scratch::new();
    let changes = [
        ("nanoftpd.tmpdir", "/no/tmp"),
        ("nanoftpd.pidfile", "/no/run/x.pid"),
        ("auth.text.file", "/no/users"),
        ("hooks.uploaded", "/no/hook"),
        ("logging.file", "/no/log"),
        ("logging.xferlog", "/proc"),
        ("status.socket", "/no/such/socket"),
    ];
    let (code, said) = tried(&scratch, &changes);
    assert_eq!(code, Some(78), "{said}");
    let file = scratch.path().join("nanoftpd.conf");
    let text = fs::read_to_string(&file).unwrap();
    let why = [
        "/no/tmp is not a directory",
        "/no/run is not a directory",
        "/no/users cannot be read: No such file or directory (os error 2)",
        "there is no program /no/hook: No such file or directory (os error 2)",
        "/no is not a directory",
        "/proc is a directory",
        "/no/such is not a directory",
    ];
    let mut expected: Vec<(usize, String)> = changes
        .iter()
        .zip(why)
        .map(|((key, value), why)| {
            let key = key.rsplit('.').next().unwrap();
            let line = line_of(&text, &format!("{key} = {value}"));
            (line, format!("{}:{line}: {key}: {why}", file.display()))
        })
        .collect();
    expected.sort();
    let expected: Vec<&str> = expected.iter().map(|(_, text)| &**text).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_test_of_the_configuration_finds_what_cannot_be_written() {
    if !geteuid().is_root() {
        return support::skip("only root may mount");
    }
    let scratch = Scratch::new();
    let dir = scratch.open_dir("narrow");
    let place = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let places = [
        ("nanoftpd.pidfile", place("run/pid")),
        ("logging.file", place("log")),
        ("logging.xferlog", "/dev/null".to_owned()),
        ("status.socket", place("socket")),
    ];
    let changes: Vec<(&str, &str)> = places.iter().map(|(key, value)| (*key, &**value)).collect();
    let (code, said) = tried(&scratch, &changes);
    assert_eq!(code, Some(0), "{said}");
    let script =
        "mount --make-rprivate / && mount -t tmpfs -o ro tmpfs \"$1\" && shift && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(&dir)
        .arg(env!("CARGO_BIN_EXE_nanoftpd"))
        .arg("-c")
        .arg(scratch.path().join("nanoftpd.conf"))
        .arg("-t")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    let why = format!(
        "{} cannot be written: Read-only file system (os error 30)",
        dir.display()
    );
    for key in ["pidfile", "file", "socket"] {
        assert!(said.contains(&format!(": {key}: {why}\n")), "{key}: {said}");
    }
    assert_eq!(said.matches("cannot be").count(), 3, "{said}");
}
