//! A log that cannot be written: its disk is full or stands still, syslogd is gone. Lines are lost and
//! counted; sessions are not.

use std::fs;
use std::io::Write;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::support::{
    Daemon, Ftp, PATIENCE, Scratch, Syslogd, eventually, field, private_dev, skip,
};

/// Mounts so small a file system at its first argument that a log soon fills it, and nobody else sees.
const SMALL_DISK: &str = r#"mount -t tmpfs -o size=64k,mode=755 tmpfs "$1" && shift && exec "$@""#;

/// What the daemon sees under `path`.
fn seen<T>(daemon: &Daemon, path: &Path, look: impl FnOnce(&Path) -> T) -> T {
    let path = path.strip_prefix("/").unwrap();
    look(&Path::new(&format!("/proc/{}/root", daemon.pid())).join(path))
}

/// How many lines a log says it has lost, all in all.
fn lost(lines: &[String]) -> usize {
    let notices = lines
        .iter()
        .filter(|line| line.contains(" : warn log-lines-lost "));
    notices
        .map(|line| field(line, "count").unwrap().parse::<usize>().unwrap())
        .sum()
}

#[test]
fn a_full_disk_of_the_log_costs_lines_and_no_session() {
    if !geteuid().is_root() {
        return skip("a file system of one's own needs root");
    }
    let scratch = Scratch::new();
    let disk = scratch.open_dir("disk");
    let (log, xferlog, ballast) = (disk.join("log"), disk.join("xferlog"), disk.join("ballast"));
    let changes = [
        ("logging.file", log.to_str().unwrap()),
        ("logging.xferlog", xferlog.to_str().unwrap()),
        ("logging.level", "info"),
    ];
    let place = disk.to_str().unwrap();
    let within = ["unshare", "-m", "sh", "-c", SMALL_DISK, "sh", place];
    let daemon = Daemon::of_files_within(&within, &changes);
    let lines = |path: &Path| -> Vec<String> {
        let text = seen(&daemon, path, |path| fs::read_to_string(path).unwrap());
        text.lines().map(str::to_owned).collect()
    };
    let mut ftp = daemon.log_in();
    ftp.store("before", b"x");
    eventually("a line of the first transfer", || {
        (lines(&xferlog).len() == 1).then_some(())
    });
    seen(&daemon, &ballast, |path| {
        let mut file = fs::File::create(path).unwrap();
        while file.write_all(&[b'x'; 512]).is_ok() {}
    });
    // In this session and in others, more than fits in what room is left in the last page.
    for number in 0..200 {
        ftp.store(&format!("while-{number}"), b"x");
        if number % 10 == 0 {
            daemon.log_in().expect("QUIT", 221);
        }
    }
    ftp.expect("PWD", 257);
    daemon.has_sessions(1);
    seen(&daemon, &ballast, |path| fs::remove_file(path).unwrap());
    // It is told although nobody logs anything.
    eventually("what is missing is told", || {
        (lost(&lines(&log)) > 0).then_some(())
    });
    ftp.store("after", b"x");
    eventually("the transfer log goes on", || {
        let transfers = lines(&xferlog);
        let is_told = lines(&log).iter().any(|line| line.ends_with(" of=xferlog"));
        (transfers.last()?.contains("/after b ") && is_told).then_some(())
    });

    daemon.wait_for("path=\"/after\"");
    let found = eventually("the last line", || {
        let found = lines(&log);
        let is_last = |line: &String| line.contains("path=\"/after\"");
        found.iter().any(is_last).then_some(found)
    });
    all_is_there_or_counted(&daemon.log.all(), &found, &lines(&xferlog));
}

/// What the console got is what there is, or what is said to be missing, and all of it is whole.
fn all_is_there_or_counted(console: &[String], log: &[String], xferlog: &[String]) {
    let count = |lines: &[String], text: &str| -> usize {
        lines.iter().filter(|line| line.contains(text)).count()
    };
    let of_log: Vec<String> = log
        .iter()
        .filter(|line| !line.contains("of="))
        .cloned()
        .collect();
    let of_xferlog = lost(log) - lost(&of_log);
    assert_eq!(
        count(log, " : info ") + lost(&of_log),
        count(console, " : info "),
        "{log:#?}"
    );
    assert!(
        log.iter().all(|line| line.matches("] : ").count() == 1),
        "{log:#?}"
    );
    assert_eq!(xferlog.len() + of_xferlog, count(console, " stor-ok "));
    let is_whole = |line: &String| line.split_whitespace().count() == 18;
    assert!(xferlog.iter().all(is_whole), "{xferlog:#?}");
}

/// A daemon with a member, whose log stands still as if it waited for a frozen disk: the clerk that
/// writes it, which would wait, is stopped.
fn at_a_standstill() -> (Daemon, Ftp, Pid) {
    let daemon = Daemon::of_files(&[("logging.level", "info")]);
    let ftp = daemon.log_in();
    daemon.written("nanoftpd.log", " login ");
    let clerk = eventually("the clerk of the log", || log_clerk(&daemon));
    let clerk = Pid::from_raw(clerk);
    kill(clerk, Signal::SIGSTOP).unwrap();
    (daemon, ftp, clerk)
}

/// The clerk that has the log open.
pub(crate) fn log_clerk(daemon: &Daemon) -> Option<i32> {
    let log = daemon.dir().join("nanoftpd.log");
    let has_it = |pid: &i32| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        fds.into_iter()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|file| file == log))
    };
    let clerks = daemon.children().into_iter();
    clerks
        .filter(|(_, title)| title.contains("[clerk]"))
        .map(|(pid, _)| pid)
        .find(has_it)
}

/// Those who write the log die so fast that another one is only born after a while.
#[test]
fn a_line_that_nobody_has_written_yet_outlives_usr2() {
    let daemon = Daemon::of_files(&[("logging.level", "info")]);
    let mut ftp = daemon.log_in();
    for deaths in 1..=5 {
        let clerk = eventually("the clerk of the log", || log_clerk(&daemon));
        kill(Pid::from_raw(clerk), Signal::SIGKILL).unwrap();
        eventually("its burial", || {
            let died = daemon.log.all();
            let died = died.iter().filter(|line| line.contains("clerk-died"));
            (died.count() == deaths).then_some(())
        });
    }
    ftp.store("unwritten", b"x");
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_for(" upgraded ");
    ftp.store("after", b"x");
    daemon.written("nanoftpd.log", "path=\"/after\"");
    daemon.written("nanoftpd.log", "path=\"/unwritten\"");
}

#[test]
fn a_log_that_stands_still_holds_nobody_up() {
    if !geteuid().is_root() {
        return skip("to look into a clerk needs root");
    }
    let (mut daemon, mut ftp, clerk) = at_a_standstill();
    let long = "x".repeat(200);
    // More than a pipe takes.
    for number in 0..600 {
        ftp.expect(&format!("MKD {number}{long}"), 257);
        ftp.expect(&format!("RNFR {number}{long}"), 350);
        ftp.expect(&format!("RNTO {long}{number}"), 250);
        ftp.expect(&format!("RMD {long}{number}"), 250);
    }
    daemon.log_in().expect("QUIT", 221);
    let (code, _, said) = daemon.order(&["reopen"]);
    assert_eq!(code, Some(0), "{said}");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for(" reloaded");
    daemon.log_in().expect("QUIT", 221);
    ftp.expect("QUIT", 221);
    kill(clerk, Signal::SIGCONT).unwrap();
    daemon.log_in().expect("QUIT", 221);
    assert_eq!(daemon.stop(PATIENCE), Some(0));
    let text = fs::read_to_string(daemon.dir().join("nanoftpd.log")).unwrap();
    let found: Vec<String> = text.lines().map(str::to_owned).collect();
    let infos = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.contains(" : info "))
            .count()
    };
    let wanted = infos(&daemon.log.all());
    assert!(found.last().unwrap().ends_with(" : info stopped"));
    assert_eq!(infos(&found) + lost(&found), wanted);
}

#[test]
fn a_clerk_of_the_log_that_is_killed_loses_next_to_nothing() {
    if !geteuid().is_root() {
        return skip("to look into a clerk needs root");
    }
    let (mut daemon, mut ftp, clerk) = at_a_standstill();
    for number in 0..20 {
        ftp.expect(&format!("MKD {number}"), 257);
    }
    kill(clerk, Signal::SIGKILL).unwrap();
    daemon.wait_for(&format!("clerk-died pid={clerk}"));
    ftp.expect("MKD last", 257);
    // Lines were in the pipe, which outlives it.
    let text = daemon.written("nanoftpd.log", "path=\"/last\"");
    assert_eq!(text.matches(" mkd-ok ").count(), 21, "{text}");
    assert_eq!(daemon.stop(PATIENCE), Some(0));
}

#[test]
fn a_stop_that_all_processes_hear_loses_no_line() {
    let mut daemon = Daemon::of_files(&[("nanoftpd.stop_grace", "20"), ("logging.level", "info")]);
    let mut ftp = daemon.log_in();
    let data = ftp.data();
    ftp.expect("STOR a", 150);
    let mut stream = data.stream();
    stream.write_all(b"begun").unwrap();
    // As a service manager does that ends a whole group.
    daemon.signal(Signal::SIGTERM);
    for pid in daemon.children().into_keys() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    daemon.wait_for(" stopping ");
    stream.write_all(b" and ended").unwrap();
    drop(stream);
    ftp.reply_of(226);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
    let text = fs::read_to_string(daemon.dir().join("nanoftpd.log")).unwrap();
    assert!(text.contains(" stor-ok "), "{text}");
    assert!(text.ends_with(" : info stopped\n"), "{text}");
}

#[test]
fn a_syslogd_that_was_restarted_is_found_by_all() {
    if !geteuid().is_root() {
        return skip("a /dev of one's own needs root");
    }
    let scratch = Scratch::new();
    let first = Syslogd::start(&scratch);
    let changes = [("logging.mode", "4"), ("logging.level", "info")];
    let daemon = Daemon::of_files_within(&private_dev(&scratch), &changes);
    let mut ftp = daemon.log_in();
    first.wait_for("info login ");
    drop(first);
    fs::remove_file(scratch.path().join("log")).unwrap();
    // Nobody but a session has anything to say, and it is not the one who can connect anew.
    ftp.expect("MKD lost", 257);
    Ftp::connect(daemon.address).expect("QUIT", 221);
    let second = Syslogd::start(&scratch);
    let notice = second.wait_for("warn log-lines-lost count=");
    assert!(notice.ends_with("count=1"), "{notice}");
    ftp.expect("MKD found", 257);
    assert!(second.wait_for("mkd-ok ").contains("path=\"/found\""));
}
