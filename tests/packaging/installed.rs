//! Scripts, and what `make install` copies where.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::manuals::printed;
use crate::support::Scratch;
use crate::{BINARY, nanoftpd, read, root};

#[test]
fn scripts_can_be_parsed() {
    for (shell, script) in [
        ("sh", "init/nanoftpd"),
        ("sh", "init/default"),
        ("bash", "tests/run-demo"),
        ("bash", "tests/run-suite"),
        ("bash", "tests/run-clients"),
        ("sh", "tests/install-scenario"),
        ("sh", "tests/migrate-scenario"),
        ("bash", "fuzz/run"),
        ("bash", "fuzz/run-if-possible"),
        ("bash", "fuzz/keep"),
        ("sh", "tests/package-scenario"),
        ("sh", "tests/dist-scenario"),
        ("sh", "tests/systemd-scenario"),
        ("sh", "etc/package/dist"),
        ("sh", "etc/package/deb"),
        ("sh", "etc/package/debian/postinst"),
        ("sh", "etc/package/debian/prerm"),
        ("sh", "etc/package/debian/postrm"),
        ("bash", "etc/bash-completion/nanoftpd"),
        ("sh", "tests/reproducible"),
        ("bash", ".ci/run"),
    ] {
        let status = Command::new(shell)
            .arg("-n")
            .arg(root().join(script))
            .status()
            .unwrap();
        assert!(status.success(), "{script}");
    }
}

fn make(scratch: &Scratch, goal: &str) {
    let release = scratch.path().join("target/release");
    fs::create_dir_all(&release).unwrap();
    fs::copy(BINARY, release.join("nanoftpd")).unwrap();
    let output = Command::new("make")
        .arg("-C")
        .arg(root())
        .arg(goal)
        .arg(format!(
            "TARGET={}",
            scratch.path().join("target").display()
        ))
        .arg(format!("DESTDIR={}", scratch.path().join("root").display()))
        .args(["SYSCONFDIR=/opt/etc", "RUNDIR=/opt/run", "CARGO=false"])
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .unwrap();
    assert!(output.status.success(), "make {goal}: {output:?}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .unwrap_or_else(|_| panic!("{} is missing", path.display()))
        .permissions()
        .mode()
        & 0o7777
}

/// What the program is told of places when it is built with these variables of make.
fn told(variables: &[&str]) -> BTreeMap<String, String> {
    let output = Command::new("make")
        .arg("-C")
        .arg(root())
        .args(["-s", "all", "CARGO=sh -c env --"])
        .args(variables)
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .env_remove("NANOFTPD_SKIPPED")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.starts_with("NANOFTPD_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn the_program_looks_where_it_is_installed() {
    let source = read("src/config/places.rs");
    let mut places = BTreeMap::new();
    for line in source.lines().filter(|line| line.contains("place!(\"")) {
        let words: Vec<&str> = line.split('"').collect();
        places.insert(words[1].to_owned(), words[3].to_owned());
    }
    assert_eq!(places.len(), 6);
    assert_eq!(told(&[]), places);
    for place in places.values_mut() {
        *place = place
            .replace("/etc/", "/opt/etc/")
            .replace("/var/", "/opt/var/")
            .replace("/run/", "/opt/run/");
    }
    let variables = [
        "SYSCONFDIR=/opt/etc",
        "LOCALSTATEDIR=/opt/var",
        "RUNDIR=/opt/run",
    ];
    assert_eq!(told(&variables), places);
}

#[test]
fn install_copies_and_uninstall_leaves_what_is_yours() {
    let scratch = Scratch::new();
    make(&scratch, "install");
    let at = |path: &str| scratch.path().join("root").join(path);
    for (path, expected) in [
        ("usr/local/sbin/nanoftpd", 0o755),
        ("opt/etc/nanoftpd/nanoftpd.conf", 0o644),
        ("opt/etc/nanoftpd/users", 0o640),
        ("etc/init.d/nanoftpd", 0o755),
        ("usr/local/lib/systemd/system/nanoftpd.service", 0o644),
        ("usr/local/lib/systemd/system/nanoftpd.socket", 0o644),
        (
            "usr/local/share/bash-completion/completions/nanoftpd",
            0o644,
        ),
        (
            "usr/local/share/nanoftpd/fail2ban/filter.d/nanoftpd.conf",
            0o644,
        ),
        (
            "usr/local/share/nanoftpd/fail2ban/jail.d/nanoftpd.conf",
            0o644,
        ),
        ("etc/default/nanoftpd", 0o644),
        ("etc/logrotate.d/nanoftpd", 0o644),
        ("var/log/nanoftpd", 0o750),
        ("usr/local/share/man/man8/nanoftpd.8", 0o644),
        ("usr/local/share/man/man5/nanoftpd.conf.5", 0o644),
        ("usr/local/share/man/man5/nanoftpd-users.5", 0o644),
    ] {
        assert_eq!(mode(&at(path)), expected, "{path}");
    }
    let users = fs::read_to_string(at("opt/etc/nanoftpd/users")).unwrap();
    assert!(
        users
            .lines()
            .all(|line| line.starts_with('#') || line.is_empty()),
        "{users}"
    );
    let conf = fs::read_to_string(at("opt/etc/nanoftpd/nanoftpd.conf")).unwrap();
    assert_eq!(printed(&conf)["auth.text.file"], "/opt/etc/nanoftpd/users");
    assert_eq!(
        printed(&conf)["nanoftpd.pidfile"],
        "/opt/run/nanoftpd/nanoftpd.pid"
    );

    fs::write(at("opt/etc/nanoftpd/users"), "mine").unwrap();
    fs::write(at("opt/etc/nanoftpd/nanoftpd.conf"), "mine").unwrap();
    make(&scratch, "install");
    make(&scratch, "uninstall");
    assert_eq!(
        fs::read_to_string(at("opt/etc/nanoftpd/users")).unwrap(),
        "mine"
    );
    assert_eq!(
        fs::read_to_string(at("opt/etc/nanoftpd/nanoftpd.conf")).unwrap(),
        "mine"
    );
    assert!(at("var/log/nanoftpd").exists());
    assert!(!at("usr/local/sbin/nanoftpd").exists());
    assert!(!at("etc/init.d/nanoftpd").exists());
    assert!(!at("usr/local/lib/systemd/system/nanoftpd.service").exists());
}

#[test]
fn the_jail_is_installed_where_fail2ban_looks_and_is_shut() {
    let scratch = Scratch::new();
    let at = |path: &str| scratch.path().join("root/etc/fail2ban").join(path);
    for dir in ["filter.d", "jail.d"] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    let own = at("jail.d/nanoftpd.local");
    fs::write(&own, "[nanoftpd]\nenabled = true\n").unwrap();
    make(&scratch, "install");
    let jail = fs::read_to_string(at("jail.d/nanoftpd.conf")).unwrap();
    assert!(
        jail.lines().any(|line| line == "enabled  = false"),
        "{jail}"
    );
    assert!(at("filter.d/nanoftpd.conf").exists());
    make(&scratch, "uninstall");
    assert!(!at("filter.d/nanoftpd.conf").exists() && !at("jail.d/nanoftpd.conf").exists());
    assert!(own.exists());
}

/// What bash offers after the words of `line`.
fn completed(line: &str) -> Vec<String> {
    let file = root().join("etc/bash-completion/nanoftpd");
    let script = format!(
        "source {}; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
         _nanoftpd nanoftpd \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        file.display()
    );
    let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn every_command_and_option_is_completed() {
    let help = nanoftpd(&["-h"]);
    let usage = help
        .lines()
        .filter_map(|line| line.split_once(" nanoftpd "));
    let first = completed("nanoftpd ''");
    for (_, usage) in usage {
        let usage = usage.split("   ").next().unwrap().replace("[-c FILE] ", "");
        let usage = usage.replace(['[', ']', '|'], " ");
        let words: Vec<&str> = usage.split_whitespace().collect();
        let is_command = |word: &str| word.chars().all(|c| c.is_ascii_lowercase());
        let command = words.iter().find(|word| is_command(word));
        for word in &words {
            let offered = match command {
                Some(command) if word.starts_with('-') && *command != "reload" => {
                    let begun = if word.starts_with("--") { "--" } else { "-" };
                    completed(&format!("nanoftpd {command} {begun}"))
                }
                _ if word.starts_with('-') && word.starts_with("--") => continue,
                _ if word.starts_with('-') || is_command(word) => first.clone(),
                _ => continue,
            };
            assert!(
                offered.contains(&(*word).to_owned()),
                "{word} in {offered:?}"
            );
        }
    }
    assert_eq!(completed("nanoftpd -c x stop ''"), ["--now"]);
    assert_eq!(completed("nanoftpd st"), ["status", "stop"]);
    assert!(completed("nanoftpd -c ./Cargo").contains(&"./Cargo.toml".to_owned()));
}
