//! Ends: of the service, of one session, of the master.

use std::fs;
use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Daemon, Data, Ftp, PATIENCE, eventually, noise, own_address};
use crate::{is_dismissed, run, worker_of};

#[test]
fn term_ends_fifty_sessions_and_tells_each() {
    let mut daemon = Daemon::of_files(&[("nanoftpd.stop_grace", "25")]);
    let mut sessions: Vec<Ftp> = (0..50).map(|_| daemon.log_in()).collect();
    let begin = Instant::now();
    daemon.signal(Signal::SIGTERM);
    sessions.iter_mut().for_each(is_dismissed);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    daemon.wait_for("stopped");
    assert!(!daemon.dir().join("nanoftpd.pid").exists());
}

/// A daemon that is patient, somebody who downloads `content` from it and has not begun to read, and
/// somebody who does nothing.
fn busy_and_idle(content: &[u8]) -> (Daemon, (Ftp, Data), Ftp) {
    // Where nobody takes the port when it is left.
    let own = own_address().to_string();
    let daemon = Daemon::of_files(&[
        ("nanoftpd.stop_grace", "30"),
        ("nanoftpd.listen_addr", &own),
    ]);
    fs::write(daemon.dir().join("files/large"), content).unwrap();
    let (mut busy, idle) = (daemon.log_in(), daemon.log_in());
    let data = busy.data();
    busy.expect("RETR large", 150);
    (daemon, (busy, data), idle)
}

#[test]
fn a_transfer_may_end_while_nobody_else_comes_in() {
    let content = noise(8 << 20, 1);
    let (mut daemon, (mut busy, data), mut idle) = busy_and_idle(&content);
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
fn stopped_in_a_transfer(grace: &str) -> (Daemon, Ftp, Data) {
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
fn without_its_master_the_service_ends_and_makes_room_for_the_next() {
    let content = noise(8 << 20, 1);
    let (mut daemon, (mut busy, data), mut idle) = busy_and_idle(&content);
    daemon.signal(Signal::SIGKILL);
    is_dismissed(&mut idle);
    let refused = || TcpStream::connect(daemon.address).err();
    eventually("the end of the listening", refused);

    // The same address and the same pid file, while the transfer goes on.
    let (own, port) = (daemon.address.ip(), daemon.address.port());
    let (own, port) = (own.to_string(), port.to_string());
    daemon.write_conf(&[
        ("nanoftpd.listen_addr", &*own),
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
