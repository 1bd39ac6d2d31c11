//! The processes: that they are there, that the death of one is nobody else's, that the service
//! stops, reloads and fills up as it should. The daemon is the real one, its clients are real
//! sockets.
#![cfg(test)]

mod support;

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::{Cluster, Daemon, Ftp, PATIENCE, eventually, noise};

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

fn allow_descriptors(wanted: u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).unwrap();
    }
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
    daemon.worker("nanoftpd [worker] test@127.0.0.1: STOR a \\\"b\\\".jpg");
    drop(data);
    ftp.reply_of(226);
    ftp.expect("QUIT", 221);
}

#[test]
fn term_ends_fifty_sessions_and_tells_each() {
    let mut daemon = Daemon::of_files(&[]);
    let mut sessions: Vec<Ftp> = (0..50).map(|_| daemon.log_in()).collect();
    let begin = Instant::now();
    daemon.signal(Signal::SIGTERM);
    sessions.iter_mut().for_each(is_dismissed);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    daemon.wait_for("stopped");
    assert!(!daemon.dir().join("nanoftpd.pid").exists());
}

#[test]
fn a_transfer_may_end_while_nobody_else_comes_in() {
    let mut daemon = Daemon::of_files(&[("nanoftpd.stop_grace", "30")]);
    let content = noise(8 << 20, 1);
    fs::write(daemon.dir().join("files/large"), &content).unwrap();
    let (mut busy, mut idle) = (daemon.log_in(), daemon.log_in());
    let data = busy.data();
    busy.expect("RETR large", 150);
    daemon.signal(Signal::SIGTERM);
    is_dismissed(&mut idle);
    daemon.wait_for("stopping");
    assert!(TcpStream::connect(daemon.address).is_err());
    let mut received = Vec::new();
    data.stream().read_to_end(&mut received).unwrap();
    assert!(received == content);
    busy.reply_of(226);
    is_dismissed(&mut busy);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
}

/// A transfer that nobody reads, in a daemon that has been told to stop.
fn stopped_in_a_transfer(grace: &str) -> (Daemon, Ftp, support::Data) {
    let daemon = Daemon::of_files(&[("nanoftpd.stop_grace", grace)]);
    fs::write(daemon.dir().join("files/large"), noise(16 << 20, 1)).unwrap();
    let mut ftp = daemon.log_in();
    let data = ftp.data();
    ftp.expect("RETR large", 150);
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for("stopping");
    (daemon, ftp, data)
}

#[test]
fn a_transfer_that_takes_too_long_is_cut_and_told() {
    let (mut daemon, mut ftp, _data) = stopped_in_a_transfer("1");
    is_dismissed(&mut ftp);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
}

#[test]
fn a_second_term_does_not_wait() {
    let (mut daemon, mut ftp, _data) = stopped_in_a_transfer("600");
    daemon.signal(Signal::SIGTERM);
    is_dismissed(&mut ftp);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
}

#[test]
fn one_worker_can_be_told_to_end() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    let pid = worker_of(&daemon, &mut ftp, "mark");
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    is_dismissed(&mut ftp);
    daemon.log_in();
}

#[test]
fn a_terminals_interrupt_reaches_all_and_ends_sessions_politely() {
    let mut daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    for pid in daemon.children().into_keys() {
        kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
    }
    daemon.signal(Signal::SIGINT);
    is_dismissed(&mut ftp);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
    assert!(daemon.log.all().iter().all(|line| !line.contains("-died")));
}

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

#[test]
fn a_broken_configuration_is_told_line_by_line() {
    let scratch = support::Scratch::new();
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
    let scratch = support::Scratch::new();
    let place = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let changes = [
        ("nanoftpd.daemonize", "yes"),
        ("nanoftpd.pidfile", &*place("run/nanoftpd.pid")),
        ("logging.file", &*place("nanoftpd.log")),
        ("status.socket", &*place("control.sock")),
    ];
    daemon.write_conf(&changes);
    let output = run(daemon.conf());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &*text), (Some(0), ""));

    let pid = fs::read_to_string(place("run/nanoftpd.pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap());
    let log = fs::read_to_string(place("nanoftpd.log")).unwrap();
    let line = log
        .lines()
        .find(|line| line.contains("listening "))
        .unwrap();
    let port: u16 = line.rsplit('=').next().unwrap().parse().unwrap();
    let mut ftp = Ftp::connect((Ipv4Addr::LOCALHOST, port).into());
    ftp.log_in("test", "test");
    kill(pid, Signal::SIGTERM).unwrap();
    is_dismissed(&mut ftp);
    let end = || (!Path::new(&place("run/nanoftpd.pid")).exists()).then_some(());
    eventually("the end of the daemon", end);
    let log = fs::read_to_string(place("nanoftpd.log")).unwrap();
    assert!(log.contains(" info stopped"), "{log}");
}

#[test]
fn a_start_that_fails_says_why_where_it_was_asked_for() {
    let daemon = Daemon::of_files(&[]);
    let pidfile = daemon.dir().join("other.pid");
    let pidfile = ("nanoftpd.pidfile", pidfile.to_str().unwrap());
    let detached = ("nanoftpd.daemonize", "yes");
    for (change, code, why) in [
        (("nanoftpd.tmpdir", "/no/such/dir"), 78, "/no/such/dir"),
        (("logging.file", "/no/such/dir/log"), 78, "/no/such/dir/log"),
        (("nanoftpd.listen_addr", "192.0.2.1"), 78, "192.0.2.1"),
    ] {
        daemon.write_conf(&[detached, pidfile, change]);
        let output = run(daemon.conf());
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(why), "{text}");
    }
}

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
    let text = fs::read_to_string(log("nanoftpd.log")).unwrap();
    assert!(text.contains("logs-reopened"), "{text}");
    assert!(text.contains("STOR a"), "{text}");
    let transfers = fs::read_to_string(log("xferlog")).unwrap();
    assert!(transfers.contains("/a b _ i r test"), "{transfers}");
}

#[test]
fn a_full_house_refuses_the_next_client_at_once() {
    let daemon = Daemon::of_files(&[("pool.max_clients", "2"), ("pool.max_spare", "2")]);
    let (mut one, mut other) = (daemon.log_in(), daemon.log_in());
    let mut third = Ftp::silent(daemon.address);
    third.reply_of(421);
    assert!(third.is_closed());
    one.expect("QUIT", 221);
    other.expect("PWD", 257);
    eventually("a free place", || is_served(&daemon));
}

#[test]
fn in_a_full_house_the_oldest_visitor_makes_room() {
    let daemon = Daemon::of_files(&[("pool.max_clients", "3")]);
    let mut member = daemon.log_in();
    let mut first = Ftp::connect(daemon.address);
    let mut second = Ftp::connect(daemon.address);
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
fn workers_that_die_young_are_replaced_slowly() {
    let daemon = Daemon::of_files(&[]);
    daemon.worker("[worker] idle");
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        for (pid, title) in daemon.children() {
            if !title.contains("[clerk]") {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
    let lines = daemon.log.all();
    let died = lines.iter().filter(|line| line.contains("worker-died"));
    let count = died.count();
    assert!((3..60).contains(&count), "{count}");
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

#[test]
fn without_its_master_the_service_ends_and_makes_room_for_the_next() {
    let mut daemon = Daemon::of_files(&[("nanoftpd.stop_grace", "30")]);
    let content = noise(8 << 20, 1);
    fs::write(daemon.dir().join("files/large"), &content).unwrap();
    let (mut busy, mut idle) = (daemon.log_in(), daemon.log_in());
    let data = busy.data();
    busy.expect("RETR large", 150);
    daemon.signal(Signal::SIGKILL);
    is_dismissed(&mut idle);
    let refused = || TcpStream::connect(daemon.address).err();
    eventually("the end of the listening", refused);

    // The same address and the same pid file, while the transfer goes on.
    let port = daemon.address.port().to_string();
    daemon.write_conf(&[
        ("nanoftpd.listen_port", &*port),
        ("nanoftpd.daemonize", "yes"),
    ]);
    let output = run(daemon.conf());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let mut ftp = daemon.log_in();

    let mut received = Vec::new();
    data.stream().read_to_end(&mut received).unwrap();
    assert!(received == content);
    busy.reply_of(226);
    is_dismissed(&mut busy);
    assert_eq!(daemon.wait(PATIENCE), None);
    let pid = fs::read_to_string(daemon.dir().join("nanoftpd.pid")).unwrap();
    kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGTERM).unwrap();
    is_dismissed(&mut ftp);
    ftp.control().shutdown(Shutdown::Both).unwrap();
}
