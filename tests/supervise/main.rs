//! The processes: that they are there, that the death of one is nobody else's, that the service
//! starts, stops, reloads and fills up as it should. The daemon is the real one, its clients are
//! real sockets.
#![cfg(test)]

mod birth;
mod change;
mod crowd;
mod nursery;
mod start;
mod stop;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::{Cluster, Daemon, Ftp, eventually};

fn kill_worker(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// The worker of the session that has just given a command with this argument.
fn worker_of(daemon: &Daemon, ftp: &mut Ftp, mark: &str) -> i32 {
    ftp.send(format!("RETR {mark}\r\n").as_bytes());
    let (_, text) = ftp.reply();
    assert!(text.starts_with('5') || text.starts_with('4'), "{text}");
    let line = daemon.wait_for(&format!("RETR {mark}"));
    let pid = line.split(['[', ']']).nth(1).unwrap();
    pid.parse().unwrap()
}

/// Takes the farewell of a session that was idle.
fn is_dismissed(ftp: &mut Ftp) {
    ftp.reply_of(421);
    assert!(ftp.is_closed());
}

/// Whether the next client is greeted.
fn is_served(daemon: &Daemon) -> Option<()> {
    let mut ftp = Ftp::silent(daemon.address);
    (ftp.reply().0 == 220).then_some(())
}

fn run(conf: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nanoftpd"))
        .arg("-c")
        .arg(conf)
        .output()
        .unwrap()
}

#[test]
fn a_killed_worker_costs_its_own_session_and_is_replaced() {
    let daemon = Daemon::of_files(&[]);
    let (mut one, mut other) = (daemon.log_in(), daemon.log_in());
    let pid = worker_of(&daemon, &mut one, "mark");
    kill_worker(pid);
    daemon.wait_for(&format!(
        "worker-died pid={pid} signal=SIGKILL state=member"
    ));
    assert!(one.is_closed());
    other.expect("PWD", 257);
    daemon.log_in().expect("PWD", 257);
}

#[test]
fn a_killed_clerk_is_replaced() {
    let daemon = Daemon::of_files(&[]);
    let first = daemon.worker("[clerk]");
    kill_worker(first);
    daemon.wait_for("clerk-died");
    eventually("another clerk", || {
        let clerk = daemon.worker("[clerk]");
        (clerk != first).then_some(())
    });
}

#[test]
fn names_of_trackers_are_found_by_the_clerk() {
    let cluster = Cluster::faulty();
    let tracker = format!("localhost:{}", cluster.address.port());
    let changes = [
        ("mogilefs.tracker", &*tracker),
        ("mogilefs.domain", &*cluster.domain),
    ];
    let daemon = Daemon::start(&changes);
    daemon.wait_for("name-found name=\"localhost\"");
    daemon.log_in().expect("PWD", 257);
}

#[test]
fn titles_tell_who_does_what() {
    let daemon = Daemon::of_files(&[]);
    assert_eq!(daemon.title(), "nanoftpd [master]");
    daemon.worker("nanoftpd [clerk]");
    daemon.worker("nanoftpd [worker] idle");
    let mut ftp = daemon.log_in();
    daemon.worker("nanoftpd [worker] test@127.0.0.1: IDLE");
    let data = ftp.data();
    ftp.expect("STOR a \"b\".jpg", 150);
    daemon.worker("nanoftpd [worker] test@127.0.0.1: STOR /a \\\"b\\\".jpg");
    drop(data);
    ftp.reply_of(226);
    ftp.expect("QUIT", 221);
}

#[test]
fn workers_that_die_young_are_replaced_slowly() {
    let daemon = Daemon::of_files(&[]);
    // A daemon that has never had a worker gives up.
    daemon.wait_for(" started ");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        for (pid, title) in daemon.children() {
            if !title.contains("[clerk]") {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
    let lines = daemon.log.all();
    // Their nursery is hit as they are; whom it has not brought into the world yet dies with it.
    let deaths = [" worker-died ", " nursery-died "];
    let died = lines
        .iter()
        .filter(|line| deaths.iter().any(|death| line.contains(death)));
    let count = died.count();
    // One or two that were there, and one after each pause of 100, 200, 400, 800 ms. Where this test is
    // held up for a second a worker may get old. With the pauses taken out it was 1,400.
    let late = usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert!((3..10 + 2 * late).contains(&count), "{count}");
    daemon.wait_for("births-paused ms=");
    eventually("a worker that lives", || is_served(&daemon));
}

#[test]
fn a_fork_that_fails_is_said_once_and_tried_again() {
    let daemon = Daemon::of_files(&[("pool.max_spare", "1")]);
    daemon.expect_error("fork-failed");
    let mut ftp = daemon.log_in();
    daemon.worker("[worker] idle");
    let limit = |nofile: &str| {
        let pid = daemon.pid().to_string();
        let status = Command::new("prlimit")
            .args(["--pid", &*pid, &*format!("--nofile={nofile}:")])
            .status();
        assert!(status.unwrap().success());
    };
    // The master needs descriptors for the leash of a new worker.
    limit("4");
    let mut next = Ftp::connect(daemon.address);
    daemon.wait_for("fork-failed");
    // Nobody is left to accept, and nobody can be born.
    let mut third = Ftp::silent(daemon.address);
    limit("1024");
    // It was refused, if that took long.
    if third.reply().0 != 220 {
        eventually("another worker", || is_served(&daemon));
    }
    let lines = daemon.log.all();
    let said = lines.iter().filter(|line| line.contains("fork-failed"));
    assert_eq!(said.count(), 1);
    next.log_in("test", "test");
    ftp.expect("PWD", 257);
}
