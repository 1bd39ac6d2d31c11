//! Starts, those that fail above all: what the terminal is told.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::support::{Daemon, Ftp, Scratch, eventually, say, skip, status};
use crate::{is_dismissed, run};

#[test]
fn a_second_start_says_who_runs_already() {
    let daemon = Daemon::of_files(&[]);
    let output = run(daemon.conf());
    assert_eq!(output.status.code(), Some(69));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains(&format!("already running, pid {}", daemon.pid())),
        "{text}"
    );

    // Another lock, the same address.
    let port = daemon.address.port().to_string();
    let pidfile = daemon.dir().join("other.pid");
    let changes = [
        ("nanoftpd.listen_port", &*port),
        ("nanoftpd.pidfile", pidfile.to_str().unwrap()),
    ];
    daemon.write_conf(&changes);
    let output = run(daemon.conf());
    assert_eq!(output.status.code(), Some(69));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{text}"
    );
    daemon.log_in().expect("PWD", 257);
}

/// As in a small container.
#[test]
fn the_usual_time_zone_is_there_where_none_are_installed() {
    if !geteuid().is_root() || !Path::new("/usr/share/zoneinfo").exists() {
        return skip("only root may mount");
    }
    let script =
        "mount --make-rprivate / && mount -t tmpfs -o ro tmpfs /usr/share/zoneinfo && exec \"$@\"";
    let daemon = Daemon::of_files_within(&["unshare", "-m", "sh", "-c", script, "sh"], &[]);
    let mut ftp = daemon.log_in();
    ftp.store("a", b"x");
    let list = ftp.fetch("LIST");
    assert!(list.starts_with(b"-rw-r--r-- "), "{list:?}");
}

/// As in some containers.
#[test]
fn system_calls_are_filtered_also_where_proc_does_not_say_that_they_can_be() {
    if !geteuid().is_root() || !Path::new("/proc/sys/kernel/seccomp").exists() {
        return skip("only root may mount");
    }
    let script =
        "mount --make-rprivate / && mount -t tmpfs -o ro tmpfs /proc/sys/kernel && exec \"$@\"";
    let daemon = Daemon::of_files_within(&["unshare", "-m", "sh", "-c", script, "sh"], &[]);
    // It stays, so that its worker does.
    let mut ftp = daemon.log_in();
    ftp.expect("PWD", 257);
    let log = daemon.log.all();
    let is_missed = |line: &String| line.contains("sandbox-missing part=seccomp");
    assert!(!log.iter().any(is_missed), "{log:?}");
    let worker = daemon.worker("[worker] test@127.0.0.1: IDLE");
    assert_eq!(status(worker, "Seccomp").as_deref(), Some("2"));
}

#[test]
fn a_broken_configuration_is_told_line_by_line() {
    let scratch = Scratch::new();
    let text = "[nanoftpd]\nlisten_port = 99999\nlistenport = 1\n[pool]\nmin_spare = none\n";
    let conf = scratch.file("broken.conf", text.as_bytes());
    let output = run(&conf);
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8_lossy(&output.stderr);
    for line in [2, 3, 5] {
        assert!(text.contains(&format!("broken.conf:{line}: ")), "{text}");
    }
}

#[test]
fn a_daemon_detaches_when_it_serves_and_leaves_nothing_behind() {
    let daemon = Daemon::of_files(&[]);
    let scratch = Scratch::new();
    let place = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let changes = [
        ("nanoftpd.daemonize", "yes"),
        ("nanoftpd.pidfile", &*place("run/nanoftpd.pid")),
        ("logging.file", &*place("nanoftpd.log")),
        ("status.socket", &*place("control.sock")),
    ];
    daemon.write_conf(&changes);
    // As some programs leave it to those that they start.
    let output = Command::new("env")
        .args(["--ignore-signal=CHLD", env!("CARGO_BIN_EXE_nanoftpd"), "-c"])
        .arg(daemon.conf())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &*text), (Some(0), ""));

    let pid = fs::read_to_string(place("run/nanoftpd.pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap());
    let umask = |pid: Pid| status(pid.as_raw(), "Umask");
    assert_eq!(umask(pid), umask(Pid::this()));
    // A clerk writes the log, whenever it gets to that.
    let logged = |text: &str| {
        eventually(text, || {
            let log = fs::read_to_string(place("nanoftpd.log")).unwrap();
            let mut lines = log.lines();
            lines.find(|line| line.contains(text)).map(str::to_owned)
        })
    };
    let line = logged("listening ");
    let port: u16 = line.rsplit('=').next().unwrap().parse().unwrap();
    let mut ftp = Ftp::connect((Ipv4Addr::LOCALHOST, port).into());
    ftp.log_in("test", "test");
    kill(pid, Signal::SIGTERM).unwrap();
    is_dismissed(&mut ftp);
    let end = || (!Path::new(&place("run/nanoftpd.pid")).exists()).then_some(());
    eventually("the end of the daemon", end);
    logged(" info stopped");
}

#[test]
fn a_daemon_in_the_background_does_not_log_what_it_logs() {
    let daemon = Daemon::of_files(&[]);
    let scratch = Scratch::new();
    let place = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    daemon.write_conf(&[
        ("nanoftpd.daemonize", "yes"),
        ("nanoftpd.pidfile", &*place("nanoftpd.pid")),
        ("logging.mode", "3"),
        ("logging.file", &*place("nanoftpd.log")),
        ("status.socket", &*place("control.sock")),
    ]);
    // Its standard error would stay open as long as it lives.
    let started = Command::new(env!("CARGO_BIN_EXE_nanoftpd"))
        .arg("-c")
        .arg(daemon.conf())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(started.success());
    let log = || fs::read_to_string(place("nanoftpd.log")).unwrap_or_default();
    let has = |text: &str, count| (log().matches(text).count() == count).then_some(());
    eventually("the start", || has(" started ", 1));
    assert_eq!(daemon.order(&["reload"]).0, Some(0));
    eventually("the reload", || has(" reloaded", 1));
    assert_eq!(daemon.order(&["stop"]).0, Some(0));
    eventually("the end", || has(" info stopped", 1));
    assert!(!log().contains("stray"), "{}", log());
}

#[test]
fn a_start_that_fails_says_why_where_it_was_asked_for() {
    let daemon = Daemon::of_files(&[]);
    let place = daemon.dir().join("other.pid");
    let pidfile = ("nanoftpd.pidfile", place.to_str().unwrap());
    let port = daemon.address.port().to_string();
    let notes = daemon.dir().join("notes").to_str().unwrap().to_owned();
    fs::write(&notes, "of somebody\n").unwrap();
    let long = daemon.dir().join("x".repeat(100));
    let long = long.to_str().unwrap().to_owned();
    let detached = ("nanoftpd.daemonize", "yes");
    for (change, code, why) in [
        (("nanoftpd.tmpdir", "/no/such/dir"), 78, "/no/such/dir"),
        (("logging.file", "/no/such/dir/log"), 78, "/no/such/dir/log"),
        (("nanoftpd.listen_addr", "192.0.2.1"), 78, "192.0.2.1"),
        (("nanoftpd.listen_port", &*port), 69, &*port),
        (("status.socket", "/"), 1, "control socket /"),
        (("status.socket", &*long), 1, "must be shorter"),
        (("nanoftpd.pidfile", &*notes), 78, "is no pid file"),
    ] {
        daemon.write_conf(&[detached, pidfile, change]);
        let output = run(daemon.conf());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(why), "{text}");
        assert!(!place.exists(), "{change:?} leaves a pid file");
    }
    assert_eq!(fs::read(&notes).unwrap(), b"of somebody\n");
}

#[test]
fn a_warning_at_the_start_has_its_place() {
    let daemon = Daemon::of_files(&[("nanoftpd.login_time", "301")]);
    let text = fs::read_to_string(daemon.conf()).unwrap();
    let line = text.lines().position(|line| line == "login_time = 301");
    let place = format!("{}:{}", daemon.conf().display(), line.unwrap() + 1);
    let warning = daemon.wait_for("config-warning ");
    assert!(
        warning.contains(&format!("text=\"{place}: login_time: ")),
        "{warning}"
    );
}

#[test]
fn a_port_that_is_roots_is_not_for_others() {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if !geteuid().is_root() || first.trim() == "0" {
        say("not tried: it takes root, and a port that is root's");
        return;
    }
    let daemon = Daemon::of_files(&[]);
    daemon.write_conf(&[("nanoftpd.listen_port", "21")]);
    let output = Command::new("setpriv")
        .args(["--reuid=54321", "--regid=54321", "--clear-groups"])
        .arg(env!("CARGO_BIN_EXE_nanoftpd"))
        .arg("-c")
        .arg(daemon.conf())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{text}");
    assert!(text.contains("cannot listen on 127.0.0.1:21"), "{text}");
}
