//! How many may come in, from where and as whom, and what guessing of passwords is worth.
#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::{Daemon, Ftp, eventually};

/// Any address of the loopback network may be a client's.
fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 7, last)
}

fn fail(ftp: &mut Ftp, code: u16) {
    ftp.expect("USER test", 331);
    ftp.expect("PASS wrong", code);
}

#[test]
fn so_many_sessions_an_address_and_no_more() {
    let daemon = Daemon::of_files(&[("limits.max_per_ip", "2")]);
    let come = |last| Ftp::connect_from(address(last), daemon.address);
    let (mut one, two) = (come(1), come(1));
    let mut third = Ftp::silent_from(address(1), daemon.address);
    third.reply_of(421);
    assert!(third.is_closed());
    daemon.wait_for("refused peer=127.0.7.1 why=max-per-ip");
    come(2).expect("QUIT", 221);
    one.log_in("test", "test");
    // A worker that is killed has said no good-bye; its client is not counted all the same.
    let pid = daemon.worker("test@127.0.7.1");
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    assert!(one.is_closed());
    daemon.wait_for(&format!("worker-died pid={pid}"));
    let _again = come(1);
    Ftp::silent_from(address(1), daemon.address).reply_of(421);
    drop(two);
    eventually("room for another", || {
        let mut ftp = Ftp::silent_from(address(1), daemon.address);
        (ftp.reply().0 == 220).then_some(())
    });
}

#[test]
fn who_has_said_good_bye_may_come_again_at_once() {
    for sessions in ["1", "5"] {
        let daemon = Daemon::of_files(&[
            ("limits.max_per_ip", "1"),
            ("limits.max_per_user", "1"),
            ("pool.sessions_per_worker", sessions),
        ]);
        let mut left = Vec::new();
        for _ in 0..30 {
            let mut ftp = Ftp::connect(daemon.address);
            ftp.log_in("test", "test");
            ftp.expect("QUIT", 221);
            // The end of the connection, and of its worker, is not waited for.
            left.push(ftp);
        }
    }
}

#[test]
fn who_is_sent_away_while_the_password_is_compared_has_not_logged_in() {
    let daemon = Daemon::of_files(&[("limits.max_per_user", "9")]);
    // `test`, of so many rounds that it takes a moment.
    let hash = "$5$rounds=20000$nanoftpd$8uSfPNFyVuUKl2MIHKe8RnCUa1YJ/L7dE3Pom8Qh8d.";
    fs::write(
        daemon.dir().join("users"),
        format!("test:{hash}:1:1:File\n"),
    )
    .unwrap();
    let mut inside = Ftp::connect(daemon.address);
    inside.log_in("test", "test");
    let mut logins = 1;
    for last in 1..10 {
        let mut ftp = Ftp::connect_from(address(last), daemon.address);
        ftp.expect("USER test", 331);
        let from = daemon.mark();
        ftp.send(b"PASS test\r\n");
        daemon.wait_after(from, "client: PASS");
        daemon.order(&["kick", &address(last).to_string()]);
        // Whoever was faster.
        let mut said = String::new();
        let _ = ftp.control().read_to_string(&mut said);
        logins += usize::from(said.starts_with("230"));
    }
    daemon.has_sessions(1);
    let (_, status, _) = daemon.order(&["status", "--json"]);
    let counted = format!("\"logins\":{logins},");
    assert!(status.contains(&counted), "{counted} {status}");
}

#[test]
fn so_many_sessions_a_user_and_no_more() {
    let daemon = Daemon::of_files(&[("limits.max_per_user", "1")]);
    let mut one = daemon.log_in();
    let mut other = Ftp::connect(daemon.address);
    other.expect("USER test", 331);
    other.expect("PASS test", 421);
    assert!(other.is_closed());
    daemon.wait_for("login-refused peer=127.0.0.1 why=max-per-user user=\"test\"");
    // The same session may log in again, and is nobody's when it has logged out.
    one.log_in("test", "test");
    for way_out in [("REIN", 220), ("USER test", 331)] {
        one.expect(way_out.0, way_out.1);
        let mut other = daemon.log_in();
        one.expect("NOOP", 200);
        other.expect("QUIT", 221);
        assert!(other.is_closed());
        daemon.has_sessions(1);
        one.log_in("test", "test");
    }
    let pid = daemon.worker("test@127.0.0.1");
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    daemon.wait_for(&format!("worker-died pid={pid}"));
    daemon.log_in().expect("PWD", 257);
}

#[test]
fn a_killed_crowd_leaves_no_count_behind() {
    let changes = [
        ("limits.max_per_ip", "5"),
        ("limits.max_per_user", "5"),
        ("pool.max_spare", "8"),
    ];
    let daemon = Daemon::of_files(&changes);
    for _ in 0..4 {
        let crowd: Vec<Ftp> = (0..5).map(|_| daemon.log_in()).collect();
        Ftp::silent(daemon.address).reply_of(421);
        let sessions: BTreeSet<i32> = eventually("five titles", || {
            let children = daemon.children().into_iter();
            let members = children.filter(|(_, title)| title.contains("test@"));
            let pids: BTreeSet<i32> = members.map(|(pid, _)| pid).collect();
            (pids.len() == 5).then_some(pids)
        });
        for pid in &sessions {
            kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap();
        }
        for pid in sessions {
            daemon.wait_for(&format!("worker-died pid={pid} "));
        }
        drop(crowd);
    }
    daemon.log_in().expect("PWD", 257);
}

/// D30: two hundred guesses took the PHP daemon nine milliseconds, on one connection.
#[test]
fn d30_guessing_passwords_takes_long_and_connections() {
    let delay = Duration::from_millis(200);
    let daemon = Daemon::of_files(&[("limits.login_delay", "200ms")]);
    let begun = Instant::now();
    let mut ftp = Ftp::connect(daemon.address);
    fail(&mut ftp, 530);
    fail(&mut ftp, 530);
    fail(&mut ftp, 421);
    assert!(ftp.is_closed());
    assert!(begun.elapsed() >= delay * 6, "{:?}", begun.elapsed());
    // Another connection does not begin anew.
    let begun = Instant::now();
    let mut ftp = Ftp::connect(daemon.address);
    fail(&mut ftp, 530);
    assert!(begun.elapsed() >= delay * 4, "{:?}", begun.elapsed());
    // Who knows the password is not held up.
    daemon.log_in().expect("PWD", 257);
    let lines = daemon.lines();
    let failed = lines.iter().filter(|line| line.contains("login-failed"));
    assert_eq!(failed.count(), 4);
}

#[test]
fn whoever_guesses_is_banned_everywhere_and_not_for_ever() {
    let changes = [("limits.ban_time", "8"), ("pool.max_spare", "6")];
    let daemon = Daemon::of_files(&changes);
    let come = |last| Ftp::connect_from(address(last), daemon.address);
    let mut bystander = come(9);
    let mut member = come(1);
    member.log_in("test", "test");
    // One guess a session, so that no session ends for its own sake.
    let mut guesses: Vec<Ftp> = (0..4).map(|_| come(1)).collect();
    fail(&mut guesses[0], 530);
    fail(&mut guesses[1], 530);
    fail(&mut guesses[2], 421);
    daemon.wait_for("banned peer=127.0.7.1 seconds=8");
    guesses[3].reply_of(421);
    assert!(guesses[3].is_closed());
    let mut next = Ftp::silent_from(address(1), daemon.address);
    next.reply_of(421);
    assert!(next.is_closed());
    daemon.wait_for("refused peer=127.0.7.1 why=banned");
    // A reload forgives nobody.
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for(" reloaded");
    Ftp::silent_from(address(1), daemon.address).reply_of(421);
    bystander.log_in("test", "test");
    member.expect("PWD", 257);
    eventually("the end of the ban", || {
        let mut ftp = Ftp::silent_from(address(1), daemon.address);
        (ftp.reply().0 == 220).then_some(())
    });
}
