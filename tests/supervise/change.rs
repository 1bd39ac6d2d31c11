//! Changes while the service runs: another configuration, other files; and what should not be said.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::{Daemon, Ftp, eventually, say};

#[test]
fn hup_takes_a_good_file_and_leaves_a_broken_one() {
    let daemon = Daemon::of_files(&[("nanoftpd.server_name", "first")]);
    let mut old = daemon.log_in();
    daemon.expect_error("config-error");
    daemon.expect_error("reload-failed");
    fs::write(daemon.conf(), "[nanoftpd]\nlisten_port = x\nnonsense\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("reload-failed errors=2");
    let mut ftp = Ftp::silent(daemon.address);
    assert!(ftp.reply_of(220).contains("first"));

    let mark = daemon.mark();
    daemon.write_conf(&[("nanoftpd.server_name", "second")]);
    daemon.signal(Signal::SIGHUP);
    daemon.wait_after(mark, "reloaded");
    let greeting = || {
        let mut ftp = Ftp::silent(daemon.address);
        ftp.reply_of(220).contains("second").then_some(())
    };
    eventually("the new greeting", greeting);
    old.expect("PWD", 257);
}

/// By which rules of sched(7) a process gets its turns: field 41 of proc_pid_stat(5).
fn policy(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(41 - 3).map(str::to_owned)
}

#[test]
fn workers_and_the_log_wait_for_their_turns_and_nobody_else() {
    const OTHER: &str = "0";
    const BATCH: &str = "3";
    const IDLE: &str = "5";
    // Whoever was there before a reload may live a moment longer.
    let have = |daemon: &Daemon, wanted: &str| {
        eventually("a nursery and workers that are scheduled so", || {
            let children = daemon.children();
            let of = |title: &str| -> Vec<Option<String>> {
                let such = children.iter().filter(|(_, own)| own.contains(title));
                such.map(|(pid, _)| policy(*pid)).collect()
            };
            let (nurseries, workers) = (of("[nursery]"), of("[worker] idle"));
            let is_there = !nurseries.is_empty() && !workers.is_empty();
            let mut all = nurseries.into_iter().chain(workers);
            (is_there && all.all(|own| own.as_deref() == Some(wanted))).then_some(())
        });
    };
    let daemon = Daemon::of_files(&[]);
    let session = daemon.log_in();
    have(&daemon, BATCH);
    assert_eq!(policy(daemon.pid().as_raw()).as_deref(), Some(OTHER));
    assert_eq!(policy(daemon.worker("[clerk]")).as_deref(), Some(BATCH));

    let reload = |scheduling| {
        let mark = daemon.mark();
        daemon.write_conf(&[("pool.scheduling", scheduling)]);
        daemon.signal(Signal::SIGHUP);
        daemon.wait_after(mark, "reloaded");
    };
    reload("other");
    have(&daemon, OTHER);
    // As the operator has it, if that is not what all processes have.
    let pid = daemon.pid().to_string();
    let chosen = Command::new("chrt").args(["-i", "-p", "0", &pid]).status();
    assert!(chosen.unwrap().success());
    reload("batch");
    have(&daemon, IDLE);
    drop(session);
}

#[test]
fn the_pid_file_goes_where_a_reload_has_it() {
    let daemon = Daemon::of_files(&[]);
    let other = Daemon::of_files(&[]);
    let number = |place: &Path| fs::read_to_string(place).ok();
    let own = Some(format!("{}\n", daemon.pid()));
    let (old, new) = (
        daemon.dir().join("nanoftpd.pid"),
        daemon.dir().join("new.pid"),
    );
    assert_eq!(number(&old), own);

    daemon.expect_error("config-error");
    daemon.expect_error("reload-failed");
    let taken = other.dir().join("nanoftpd.pid");
    daemon.write_conf(&[("nanoftpd.pidfile", taken.to_str().unwrap())]);
    daemon.signal(Signal::SIGHUP);
    let line = daemon.wait_for("config-error ");
    let pid = other.pid();
    assert!(
        line.contains(&format!("pidfile: already running, pid {pid}")),
        "{line}"
    );
    daemon.wait_for("reload-failed errors=1 kept=old");
    assert_eq!(number(&old), own);
    assert_eq!(number(&taken), Some(format!("{pid}\n")));

    daemon.write_conf(&[("nanoftpd.pidfile", new.to_str().unwrap())]);
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("reloaded");
    assert_eq!((number(&new), number(&old)), (own, None));
    drop(daemon.log_in());
}

#[test]
fn what_somebody_has_removed_is_there_again_after_a_reload() {
    let daemon = Daemon::of_files(&[]);
    let [pidfile, socket] = ["nanoftpd.pid", "control.sock"].map(|name| daemon.dir().join(name));
    for place in [&pidfile, &socket] {
        fs::remove_file(place).unwrap();
    }
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("reloaded");
    let number = fs::read_to_string(&pidfile).unwrap();
    assert_eq!(number, format!("{}\n", daemon.pid()));
    assert_eq!(daemon.order(&["status"]).0, Some(0));
    drop(daemon);
}

#[test]
fn a_place_that_is_reached_by_another_way_is_the_same() {
    let daemon = Daemon::of_files(&[]);
    let alias = daemon.dir().join("alias");
    std::os::unix::fs::symlink(daemon.dir(), &alias).unwrap();
    let at = |name: &str| alias.join(name).to_str().unwrap().to_owned();
    let (pidfile, socket) = (at("nanoftpd.pid"), at("control.sock"));
    daemon.write_conf(&[("nanoftpd.pidfile", &pidfile), ("status.socket", &socket)]);
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("reloaded");
    assert_eq!(daemon.order(&["status"]).0, Some(0));
    assert!(fs::exists(&pidfile).unwrap());
}

#[test]
fn a_log_that_is_wanted_no_more_is_let_go_of_whoever_still_writes() {
    let daemon = Daemon::of_files(&[]);
    fs::write(daemon.files().join("file"), "content").unwrap();
    let [log, xferlog] = ["nanoftpd.log", "xferlog"].map(|name| daemon.dir().join(name));
    let mut old = daemon.log_in();
    let mut fetch = || {
        let data = old.data();
        old.expect("RETR file", 150);
        std::io::copy(&mut data.stream(), &mut std::io::sink()).unwrap();
        old.reply_of(226);
    };
    let reload = |changes: &[(&str, &str)]| {
        daemon.write_conf(changes);
        let mark = daemon.mark();
        daemon.signal(Signal::SIGHUP);
        daemon.wait_after(mark, " reloaded");
    };
    let is_open = |place: &std::path::PathBuf| {
        let own = daemon.pid().as_raw();
        daemon.children().into_keys().chain([own]).any(|pid| {
            let open = fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten();
            let mut names = open
                .flatten()
                .filter_map(|fd| fs::read_link(fd.path()).ok());
            names.any(|name| name == *place)
        })
    };
    let rotated = daemon.dir().join("nanoftpd.log.1");
    fs::rename(&log, &rotated).unwrap();
    daemon.signal(Signal::SIGUSR1);
    eventually("nobody has the rotated log open", || {
        (is_open(&log) && !is_open(&rotated)).then_some(())
    });
    fetch();
    reload(&[("logging.mode", "0"), ("logging.xferlog", "")]);
    eventually("nobody has the logs open", || {
        (!is_open(&log) && !is_open(&xferlog)).then_some(())
    });
    // What was logged before is not lost for that.
    for (place, line) in [(&log, "retr-ok"), (&xferlog, "/file")] {
        let text = fs::read_to_string(place).unwrap();
        assert_eq!(text.matches(line).count(), 1, "{text}");
    }
    fetch();
    reload(&[]);
    fetch();
    daemon.written("xferlog", "/file");
    eventually("the logs", || {
        (is_open(&log) && is_open(&xferlog)).then_some(())
    });
}

#[test]
fn usr1_reopens_the_log_for_everybody() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    let log = |name: &str| daemon.dir().join(name);
    fs::rename(log("nanoftpd.log"), log("old.log")).unwrap();
    fs::rename(log("xferlog"), log("old.xferlog")).unwrap();
    daemon.signal(Signal::SIGUSR1);
    daemon.wait_for("logs-reopened");
    ftp.store("a", b"abc");
    let text = daemon.written("nanoftpd.log", "STOR a");
    assert!(text.contains("logs-reopened"), "{text}");
    daemon.written("xferlog", "/a b _ i r test");
}

#[test]
fn a_login_without_users_is_not_a_wrong_password() {
    let daemon = Daemon::of_files(&[]);
    daemon.expect_error("users-unreadable");
    daemon.expect_error("login-unavailable");
    fs::remove_file(daemon.dir().join("users")).unwrap();
    let mut ftp = Ftp::connect(daemon.address);
    ftp.expect("USER test", 331);
    ftp.expect("PASS test", 421);
    daemon.wait_for("users-unreadable");
}

/// Writes to the standard error of the process `argv[1]`, as if that had done it.
const STRAY: &str = "
import ctypes, os, sys
call = ctypes.CDLL(None).syscall
pid = call(434, int(sys.argv[1]), 0)
os.write(call(438, pid, 2, 0), b'first \\x1b[31m\\nsecond')
";

#[test]
fn stray_output_reaches_the_log() {
    let python = Command::new("python3").arg("--version").output();
    if !nix::unistd::geteuid().is_root() || python.is_err() {
        say("not tried: it takes root and python3");
        return;
    }
    let daemon = Daemon::of_files(&[]);
    daemon.expect_error("stray pid=");
    for title in ["[clerk]", "[worker] idle"] {
        let (mark, pid) = (daemon.mark(), daemon.worker(title).to_string());
        let status = Command::new("python3").args(["-c", STRAY, &*pid]).status();
        assert!(status.unwrap().success());
        let (_, line) = daemon.wait_after(mark, "text=\"first");
        assert!(line.contains("error stray pid="), "{line}");
        assert!(line.ends_with("text=\"first \\u{1b}[31m\""), "{line}");
        daemon.wait_after(mark, "text=\"second\"");
    }
}

#[test]
fn a_worker_that_is_to_end_may_have_a_last_client_whatever_the_others_may_have() {
    for (signal, word) in [
        (Signal::SIGHUP, " reloaded"),
        (Signal::SIGUSR2, " upgraded"),
    ] {
        let [one, spare] = [("pool.max_clients", "1"), ("pool.max_spare", "1")];
        let daemon = Daemon::of_files(&[one, spare, ("pool.sessions_per_worker", "3")]);
        let mut first = daemon.log_in();
        daemon.write_conf(&[one, spare, ("pool.sessions_per_worker", "1")]);
        daemon.signal(signal);
        daemon.wait_for(word);
        first.expect("NOOP", 200);
        // It comes while nobody else could let it in, or send it away.
        daemon.signal(Signal::SIGSTOP);
        let mut last = Ftp::silent(daemon.address);
        first.expect("QUIT", 221);
        last.reply_of(220);
        daemon.signal(Signal::SIGCONT);
        last.log_in("test", "test");
        daemon.has_sessions(1);
        last.expect("QUIT", 221);
        daemon.has_sessions(0);
        daemon.log_in().expect("QUIT", 221);
    }
}
