//! The filter for fail2ban, tried with its own program on a log that the daemon has written.
#![cfg(test)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Daemon, Ftp, is_here};

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
    daemon.wait_for("peer=127.0.11.7 ");
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
