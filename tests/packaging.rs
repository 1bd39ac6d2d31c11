//! What is shipped around the binary is true to it: configuration file, manual pages, scripts, and
//! what `make install` copies where.
#![cfg(test)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Cluster, Ftp, Scratch, is_here};

const BINARY: &str = env!("CARGO_BIN_EXE_nanoftpd");
const MANUALS: [&str; 3] = ["nanoftpd.8", "nanoftpd.conf.5", "nanoftpd-users.5"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn nanoftpd(arguments: &[&str]) -> String {
    let output = Command::new(BINARY).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Keys with their values, from what -T prints.
fn printed(text: &str) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, value)) = line.split_once('=') {
            keys.insert(format!("{section}.{}", key.trim()), value.trim().to_owned());
        }
    }
    keys
}

/// Keys with their defaults, from the manual page.
fn described(text: &str) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    let (mut section, mut key) = (String::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix(".Sh [") {
            section = name.trim_end_matches("]\\&").to_owned();
        } else if let Some(rest) = line.strip_prefix(".It Cm ") {
            key = rest
                .split_once(" No =")
                .map(|(key, _)| key.to_owned())
                .unwrap_or_default();
        } else if line == "Default: empty." {
            keys.insert(format!("{section}.{key}"), String::new());
        } else if line == "Default:" {
            let value = lines.next().unwrap().replace("\\&", "");
            let value = value.trim_start_matches(".Cm ").trim_start_matches(".Pa ");
            keys.insert(
                format!("{section}.{key}"),
                value.trim_end_matches(" .").to_owned(),
            );
        }
    }
    keys
}

#[test]
fn the_shipped_configuration_is_the_default_one() {
    let shipped = root().join("etc/nanoftpd.conf");
    let shipped = shipped.to_str().unwrap();
    let defaults = nanoftpd(&["-c", "/dev/null", "-T"]);
    assert_eq!(nanoftpd(&["-c", shipped, "-T"]), defaults);
    assert_eq!(printed(&read("etc/nanoftpd.conf")), printed(&defaults));
}

#[test]
fn what_is_printed_reads_as_the_same() {
    let scratch = Scratch::new();
    let changed = scratch.file(
        "a.conf",
        b"[nanoftpd]\nlisten_addr = ::1, 127.0.0.1\nserver_name = a # b ; \"c\"\n[pool]\nmax_clients = 7000\n",
    );
    let first = nanoftpd(&["-c", changed.to_str().unwrap(), "-T"]);
    let again = scratch.file("b.conf", first.as_bytes());
    assert_eq!(nanoftpd(&["-c", again.to_str().unwrap(), "-T"]), first);
    assert_eq!(printed(&first)["nanoftpd.server_name"], "a # b ; \"c\"");
}

#[test]
fn every_key_is_in_the_manual_with_its_default_and_back() {
    let keys = printed(&nanoftpd(&["-c", "/dev/null", "-T"]));
    let manual = described(&read("man/nanoftpd.conf.5"));
    assert!(keys.len() > 40);
    for (key, default) in &keys {
        assert_eq!(
            manual.get(key),
            Some(default),
            "{key} in man/nanoftpd.conf.5"
        );
    }
    for key in manual.keys() {
        assert!(
            keys.contains_key(key),
            "{key} is in the manual and nowhere else"
        );
    }
}

#[test]
fn every_option_is_in_the_manual_and_back() {
    let help = nanoftpd(&["-h"]);
    let manual = read("man/nanoftpd.8");
    let options = |text: &str, before: &str| -> Vec<char> {
        let mut found: Vec<char> = text
            .match_indices(before)
            .filter_map(|(at, _)| {
                let mut rest = text[at + before.len()..].chars();
                rest.next()
                    .filter(|_| rest.next().is_none_or(|next| !next.is_alphanumeric()))
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    let main_usage: String = help
        .lines()
        .filter(|line| line.contains("nanoftpd [") || line.contains("nanoftpd -"))
        .collect();
    for option in options(&main_usage, "-")
        .into_iter()
        .filter(|c| c.is_alphabetic())
    {
        assert!(
            manual.contains(&format!(".It Fl {option}")),
            "-{option} in man/nanoftpd.8"
        );
    }
    for option in options(&manual, ".It Fl ") {
        assert!(
            help.contains(&format!("-{option}")),
            "-{option} is in the manual only"
        );
    }
    for command in help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("nanoftpd "))
    {
        let word: String = command
            .chars()
            .take_while(char::is_ascii_lowercase)
            .collect();
        assert!(
            word.is_empty() || manual.contains(&format!("Cm {word}")),
            "{word} in the manual"
        );
    }
}

/// Event and level of every `warn!` and `error!` in the text of a source file, tests left out.
fn said(text: &str) -> Vec<(String, String)> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut found = Vec::new();
    for level in ["warn", "error"] {
        for part in text.split(&format!("{level}!(")).skip(1) {
            let Some(line) = part.trim_start().strip_prefix('"') else {
                continue;
            };
            let is_event = |c: char| c.is_ascii_lowercase() || c == '-';
            let event = line.split(|c| !is_event(c)).next().unwrap();
            // A panic is put together elsewhere.
            if !event.is_empty() {
                found.push((event.to_owned(), level.to_owned()));
            }
        }
    }
    found
}

fn sources(dir: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.extend(said(&fs::read_to_string(path).unwrap()));
        }
    }
}

#[test]
fn every_warning_and_error_is_in_the_manual_and_back() {
    let mut expected = BTreeSet::new();
    sources(&root().join("src"), &mut expected);
    // The logger's own, which go past the macros.
    for (event, level) in [("log-lines-lost", "warn"), ("panic", "error")] {
        expected.insert((event.to_owned(), level.to_owned()));
    }
    let manual = read("man/nanoftpd.8");
    let (_, list) = manual.split_once(".Sh DIAGNOSTICS\n").unwrap();
    let list = list.split(".Sh ").next().unwrap();
    let mut described = BTreeSet::new();
    let mut events = Vec::new();
    for item in list.split(".It Cm ").skip(1) {
        let mut lines = item.lines();
        let (event, levels) = (lines.next().unwrap(), lines.next().unwrap());
        for level in levels.trim_matches(['(', ')']).split(", ") {
            described.insert((event.to_owned(), level.to_owned()));
        }
        assert!(lines.next().is_some_and(|text| text.len() > 20), "{event}");
        events.push(event);
    }
    assert_eq!(described, expected);
    assert!(events.is_sorted(), "{events:?}");
}

#[test]
fn manual_pages_are_sound() {
    if !is_here("mandoc") {
        return;
    }
    let pages = MANUALS.map(|page| root().join("man").join(page));
    let output = Command::new("mandoc")
        .arg("-Tlint")
        .args(pages)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let is_ours = |line: &&str| !line.contains("referenced manual not found");
    assert_eq!(said.lines().filter(is_ours).collect::<Vec<_>>(), [""; 0]);
}

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
    let help = Command::new(env!("CARGO_BIN_EXE_nanoftpd"))
        .arg("-h")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
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

/// The init script, made to serve a daemon of the test's own.
struct Service {
    script: PathBuf,
    conf: PathBuf,
    pidfile: PathBuf,
    scratch: Scratch,
}

impl Service {
    fn new(tracker: &str) -> Self {
        let scratch = Scratch::new();
        let tmp = scratch.open_dir("tmp");
        let place = |name: &str| scratch.path().join(name);
        let pidfile = place("run/nanoftpd.pid");
        let conf = format!(
            "[nanoftpd]\npidfile = {}\ntmpdir = {}\nuserid = nobody\ngroupid = nogroup\n\
             listen_addr = 127.0.0.1\nlisten_port = 0\n[auth.text]\nfile = {}\n\
             [mogilefs]\ntracker = {tracker}\n[logging]\nfile = {}\nxferlog =\n[status]\nsocket = {}\n",
            pidfile.display(),
            tmp.display(),
            place("users").display(),
            place("log").display(),
            place("run/control.sock").display(),
        );
        scratch.file("users", b"");
        let conf = scratch.file("nanoftpd.conf", conf.as_bytes());
        let script = read("init/nanoftpd")
            .replace("/usr/local/sbin/nanoftpd", BINARY)
            .replace("/etc/nanoftpd/nanoftpd.conf", conf.to_str().unwrap())
            .replace("/etc/default/nanoftpd", place("default").to_str().unwrap());
        let script = scratch.file("init", script.as_bytes());
        Self {
            script,
            conf,
            pidfile,
            scratch,
        }
    }

    fn call(&self, action: &str, code: i32) -> String {
        let mut command = Command::new("sh");
        let Output {
            status,
            stdout,
            stderr,
        } = command.arg(&self.script).arg(action).output().unwrap();
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        let log = fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default();
        assert_eq!(status.code(), Some(code), "{action}: {said}\n{log}");
        said
    }

    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(&self.pidfile).ok()?;
        Some(Pid::from_raw(text.trim().parse().unwrap()))
    }

    /// The port of the last start.
    fn port(&self) -> u16 {
        let log = fs::read_to_string(self.scratch.path().join("log")).unwrap();
        let line = log
            .lines()
            .rfind(|line| line.contains(" listening "))
            .unwrap();
        support::field(line, "port").unwrap().parse().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, Signal::SIGTERM);
        }
    }
}

#[test]
fn the_init_script_keeps_its_word() {
    let service = Service::new("127.0.0.1:9");
    let good = fs::read_to_string(&service.conf).unwrap();
    let greet = || drop(Ftp::connect(([127, 0, 0, 1], service.port()).into()));
    service.call("status", 3);
    service.call("stop", 0);
    service.call("reload", 7);
    service.call("nonsense", 2);
    service.call("start", 0);
    greet();
    let first = service.pid().unwrap();
    service.call("start", 0);
    assert_eq!(service.pid(), Some(first));
    service.call("status", 0);
    service.call("check-config", 0);
    service.call("reload", 0);

    fs::write(
        &service.conf,
        good.replace("listen_port = 0", "listen_port = x"),
    )
    .unwrap();
    let said = service.call("check-config", 6);
    assert!(said.contains("nanoftpd.conf:7:"), "{said}");
    service.call("reload", 6);
    service.call("restart", 6);
    assert_eq!(
        service.pid(),
        Some(first),
        "a wrong file must not stop the service"
    );
    service.call("status", 0);
    greet();
    fs::write(&service.conf, &good).unwrap();

    service.call("restart", 0);
    let second = service.pid().unwrap();
    assert_ne!(second, first);
    greet();
    kill(second, Signal::SIGKILL).unwrap();
    support::eventually("the master is gone", || {
        kill(second, None).is_err().then_some(())
    });
    service.call("status", 1);
    service.call("start", 0);
    greet();
    service.call("stop", 0);
    service.call("status", 3);
    assert_eq!(service.pid(), None, "the pid file is left");
}

#[test]
fn logs_are_rotated_without_a_restart() {
    let cluster = Cluster::start();
    let service = Service::new(&cluster.address.to_string());
    service.call("start", 0);
    let mut ftp = Ftp::connect(([127, 0, 0, 1], service.port()).into());
    let place = |name: &str| service.scratch.path().join(name);
    fs::rename(place("log"), place("log.1")).unwrap();
    let script = read("logrotate/nanoftpd").replace(
        "/run/nanoftpd/nanoftpd.pid",
        service.pidfile.to_str().unwrap(),
    );
    let script = script
        .split_once("postrotate\n")
        .unwrap()
        .1
        .split_once("endscript")
        .unwrap()
        .0;
    assert!(
        Command::new("sh")
            .arg("-c")
            .arg(script)
            .status()
            .unwrap()
            .success()
    );
    support::eventually("a new log", || place("log").exists().then_some(()));
    ftp.expect("NOOP", 200);
}
