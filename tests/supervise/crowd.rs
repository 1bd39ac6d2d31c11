//! Many clients: how many there may be, who makes room for whom, how workers follow.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::support::{Daemon, Ftp, PATIENCE, eventually};
use crate::{is_dismissed, is_served, worker_of};

fn allow_descriptors(wanted: u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).unwrap();
    }
}

#[test]
fn a_full_house_refuses_the_next_client() {
    let daemon = Daemon::of_files(&[("pool.max_clients", "2"), ("pool.max_spare", "2")]);
    let (mut one, mut other) = (daemon.log_in(), daemon.log_in());
    let mut third = Ftp::silent(daemon.address);
    third.reply_of(421);
    assert!(third.is_closed());
    one.expect("QUIT", 221);
    other.expect("PWD", 257);
    eventually("a free place", || is_served(&daemon));
}

/// Whether it says goodbye or not: its worker takes a moment to end.
#[test]
fn who_leaves_a_full_house_may_come_again_at_once() {
    let daemon = Daemon::of_files(&[("pool.max_clients", "1"), ("pool.max_spare", "1")]);
    for says_goodbye in [true, false].repeat(10) {
        let mut ftp = daemon.log_in();
        if says_goodbye {
            ftp.expect("QUIT", 221);
        }
    }
}

/// More are asked for at the start than there is room for on the way to where they are born; the harness counts
/// what the log calls an error.
#[test]
fn hundreds_that_wait_are_born_without_a_complaint() {
    allow_descriptors(1024);
    let number = "400";
    let daemon = Daemon::of_files(&[
        ("pool.max_clients", number),
        ("pool.max_spare", number),
        ("pool.min_spare", number),
    ]);
    eventually("all of them", || {
        let children = daemon.children();
        let idle = children.values().filter(|title| title.contains("] idle"));
        (idle.count() == 400).then_some(())
    });
    daemon.log_in().expect("PWD", 257);
}

#[test]
fn in_a_full_house_the_oldest_visitor_makes_room() {
    let daemon = Daemon::of_files(&[("pool.max_clients", "3")]);
    let mut member = daemon.log_in();
    let mut first = Ftp::connect(daemon.address);
    // Of whom it hears at the same moment none is older.
    daemon.has_sessions(2);
    let mut second = Ftp::connect(daemon.address);
    daemon.has_sessions(3);
    let mut third = Ftp::connect(daemon.address);
    is_dismissed(&mut first);
    third.log_in("test", "test");
    second.log_in("test", "test");
    member.expect("PWD", 257);
}

/// Processor time that the daemon and its children that have ended have used.
fn processor_time(daemon: &Daemon) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let times = fields.skip(11).take(4);
    let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn a_thousand_silent_connections_do_not_keep_a_member_out() {
    allow_descriptors(4096);
    let daemon = Daemon::of_files(&[("logging.level", "info")]);
    let crowd: Vec<TcpStream> = (0..1000)
        .map(|_| TcpStream::connect_timeout(&daemon.address, PATIENCE).unwrap())
        .collect();
    let (begin, used) = (Instant::now(), processor_time(&daemon));
    let mut ftp = Ftp::connect_from(Ipv4Addr::new(127, 0, 0, 2), daemon.address);
    ftp.log_in("test", "test");
    // Where other tests want the processors too, what it would have taken on one of its own.
    let took = begin.elapsed().min(processor_time(&daemon) - used);
    assert!(took < Duration::from_secs(2), "{took:?}");
    ftp.expect("PWD", 257);
    drop(crowd);
}

#[test]
fn three_hundred_sessions_at_once() {
    allow_descriptors(2048);
    let changes = [("pool.max_clients", "400"), ("logging.level", "info")];
    let daemon = Daemon::of_files(&changes);
    let mut sessions: Vec<Ftp> = (0..300).map(|_| Ftp::silent(daemon.address)).collect();
    for ftp in &mut sessions {
        ftp.reply_of(220);
        ftp.log_in("test", "test");
    }
    for ftp in &mut sessions {
        ftp.expect("PWD", 257);
    }
    let members = daemon.children();
    let members = members.values().filter(|title| title.contains("test@"));
    assert_eq!(members.count(), 300);
}

#[test]
fn a_worker_may_serve_one_client_after_the_other() {
    let changes = [("pool.sessions_per_worker", "2"), ("pool.max_spare", "1")];
    let daemon = Daemon::of_files(&changes);
    let mut pids = Vec::new();
    for number in 0..4 {
        let mut ftp = daemon.log_in();
        pids.push(worker_of(&daemon, &mut ftp, &format!("mark{number}")));
        ftp.expect("QUIT", 221);
        assert!(ftp.is_closed());
        // The place is free again, or another worker's.
        daemon.worker("[worker] idle");
    }
    pids.sort_unstable();
    pids.dedup();
    assert!((2..4).contains(&pids.len()), "{pids:?}");
}

#[test]
fn idle_workers_that_are_too_many_are_let_go() {
    let changes = [("pool.sessions_per_worker", "100"), ("pool.max_spare", "2")];
    let daemon = Daemon::of_files(&changes);
    let sessions: Vec<Ftp> = (0..8).map(|_| daemon.log_in()).collect();
    drop(sessions);
    eventually("two idle workers", || {
        let children = daemon.children();
        let workers = children.values().filter(|title| title.contains("[worker]"));
        let idle = children.values().filter(|title| title.contains("idle"));
        (workers.count() == 2 && idle.count() == 2).then_some(())
    });
    daemon.log_in().expect("PWD", 257);
}
