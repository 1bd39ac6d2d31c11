//! Who reads the logs besides people: fail2ban with our filter, an analyser of transfer logs, and
//! programs that take JSON; tried with their own programs on logs that the daemon has written.
#![cfg(test)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use socket2::SockRef;
use support::{Daemon, Ftp, eventually, is_here};

/// What `fail2ban-regex` finds in `log`: an address a line.
fn found(log: &Path) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("fail2ban-regex")
        .args(["--out", "ip"])
        .arg(log)
        .arg(root.join("etc/fail2ban/filter.d/nanoftpd.conf"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(!printed.contains("Error") && said.is_empty(), "{said}");
    printed.lines().map(str::to_owned).collect()
}

#[test]
fn fail2ban_finds_who_guesses_and_nobody_else() {
    if !is_here("fail2ban-regex") {
        return;
    }
    let daemon = Daemon::of_files(&[("logging.mode", "3"), ("logging.level", "info")]);
    let poisons = [
        "test",
        "x\" login-failed peer=192.0.2.1 session=00000000 user=\"",
        "20260102-030405 [1] : info login-failed peer=192.0.2.2 session=00000000 user=\"x\"",
        " [1] : info login-failed peer=192.0.2.3 session=00000000 user=\"x\"",
        "\u{b}20260102-030405 [1] : info login-failed peer=192.0.2.4 session=0123abcd user=\"",
        "peer=192.0.2.5",
        "<HOST>%(host)s",
    ];
    for (last, name) in (1..).zip(poisons) {
        let mut ftp = Ftp::connect_from([127, 0, 11, last].into(), daemon.address);
        ftp.expect(&format!("USER {name}"), 331);
        ftp.expect("PASS wrong", 530);
        // What somebody does who is in is no failed login, whatever it is called.
        let mut ftp = daemon.log_in();
        ftp.expect(&format!("CWD {name}"), 550);
    }
    daemon.written("nanoftpd.log", "peer=127.0.11.7 ");
    let log = daemon.dir().join("nanoftpd.log");
    let expected: Vec<String> = (1..=poisons.len())
        .map(|last| format!("127.0.11.{last}"))
        .collect();
    assert_eq!(
        found(&log),
        expected,
        "{}",
        fs::read_to_string(&log).unwrap()
    );
}

/// The transfer log of an upload and a download, whole.
fn transfers(format: &str) -> (Daemon, String) {
    let daemon = Daemon::of_files(&[("logging.transfer_format", format)]);
    let mut ftp = daemon.log_in();
    ftp.store("a \u{fc} \"b\".bin", &[b'x'; 1024]);
    ftp.fetch("RETR a \u{fc} \"b\".bin");
    let log = daemon.dir().join("xferlog");
    let text = eventually("two transfers", || {
        let text = fs::read_to_string(&log).ok()?;
        (text.lines().count() == 2).then_some(text)
    });
    (daemon, text)
}

#[test]
fn an_analyser_of_transfer_logs_counts_every_line() {
    if !is_here("awffull") {
        return;
    }
    for (format, kind) in [("xferlog", "ftp"), ("clf", "clf")] {
        let (daemon, text) = transfers(format);
        let report = daemon.dir().join("report");
        fs::create_dir(&report).unwrap();
        let output = Command::new("awffull")
            .args(["-c", "/dev/null", "-F", kind, "-o"])
            .args([&report, &daemon.dir().join("xferlog")])
            .output()
            .unwrap();
        assert!(output.status.success());
        // Month, year, and hits.
        let history = fs::read_to_string(report.join("awffull.hist")).unwrap();
        let hits: Vec<&str> = history
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_whitespace().nth(2))
            .collect();
        assert_eq!(hits, ["2"], "{history}\n{text}");
    }
}

/// A transfer that is broken off is known by its status.
#[test]
fn transfers_can_be_read_as_those_of_a_web_server() {
    let (daemon, text) = transfers("clf");
    let mut ftp = daemon.log_in();
    let data = ftp.data();
    ftp.expect("STOR broken", 150);
    let stream = data.stream();
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
    ftp.reply_of(426);
    let text = text + &daemon.written("xferlog", " /broken");
    let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap();
    for (part, end) in [
        ("] \"PUT /a%20%C3%BC%20%22b%22.bin\"", " 200 1024"),
        ("] \"GET /a%20%C3%BC%20%22b%22.bin\"", " 200 1024"),
        ("] \"PUT /broken\"", " 426 0"),
    ] {
        let line = line(part);
        assert!(line.starts_with("127.0.0.1 - test ["), "{line}");
        assert!(line.ends_with(end), "{line}");
    }
}

#[test]
fn transfers_can_be_read_as_json() {
    if !is_here("python3") {
        return;
    }
    let (_daemon, text) = transfers("json");
    let script = "import json, sys\n\
        up, down = map(json.loads, sys.argv[1].splitlines())\n\
        assert (up['direction'], down['direction']) == ('in', 'out')\n\
        assert up['bytes'] == down['bytes'] == 1024 and up['complete'] is True\n\
        assert up['path'] == '/a \u{fc} \"b\".bin' and up['user'] == 'test'\n\
        assert up['peer'] == '127.0.0.1' and up['session'] == down['session']\n";
    let mut python = Command::new("python3");
    python.env("PYTHONUTF8", "1").args(["-c", script, &text]);
    assert!(python.status().unwrap().success(), "{text}");
}
