//! What a session that is taken over tells the master, and what it does to what all processes share:
//! neither is worth anything to it, and both cost nobody else.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use nix::libc::{self, c_long};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::guided::Word::{Bytes, Number};
use super::guided::{Fate, cannot_be_tried, guide, settled};
use super::support::{Daemon, Ftp, Scratch, eventually, own_address, status};

/// A client that has said nothing, and its worker.
fn visitor(daemon: &Daemon) -> (Ftp, i32) {
    let ftp = Ftp::connect_from(own_address(), daemon.address);
    let peer = ftp.control().local_addr().unwrap().ip();
    let pid = settled(daemon, &format!("[worker] {peer}: "));
    (ftp, pid)
}

/// The descriptors of a process that are of this kind.
fn descriptors(pid: i32, kind: &str) -> Vec<c_long> {
    let link = |fd: &c_long| fs::read_link(format!("/proc/{pid}/fd/{fd}"));
    let is_one = |fd: &c_long| link(fd).is_ok_and(|link| link.to_string_lossy().starts_with(kind));
    (3..32).filter(is_one).collect()
}

/// Has a worker say this to the master, which hears it when the worker is on its own again.
fn say(daemon: &Daemon, pid: i32, packet: &[u8]) {
    daemon.signal(Signal::SIGSTOP);
    let leash = Number(descriptors(pid, "socket:")[0]);
    let length = c_long::try_from(packet.len()).unwrap();
    let words = [
        leash,
        Bytes(packet),
        Number(length),
        Number(0),
        Number(0),
        Number(0),
    ];
    assert_eq!(guide(pid, libc::SYS_sendto, &words), Fate::Returned(length));
    daemon.signal(Signal::SIGCONT);
}

const READY: &[u8] = &[20, 0, 0, 0, 1];
const LEFT: &[u8] = &[6];
const FAILED: &[u8] = &[10, 0, 0, 0, 1];

/// That this client has come; may it stay?
fn taken(client: Ipv4Addr) -> Vec<u8> {
    [&[2, 4][..], &client.octets(), &[4, 0]].concat()
}

fn admit(client: Ipv4Addr) -> Vec<u8> {
    [&[8, 0, 0, 0, 1, 4][..], &client.octets(), &[4, 0]].concat()
}

#[test]
fn a_worker_that_is_taken_over_passes_for_no_other() {
    if cannot_be_tried() {
        return;
    }
    let daemon = Daemon::of_files(&[("limits.ban_time", "1h"), ("limits.login_attempts", "1")]);
    daemon.expect_error("leash-broken");
    let victim = own_address();
    let mut neighbour = daemon.log_in();
    // For one that waits, in whose place no other is born; for one with another client.
    for lie in [READY.to_vec(), LEFT.to_vec(), taken(victim), admit(victim)] {
        for is_member in [false, true] {
            let (mut ftp, pid) = visitor(&daemon);
            if is_member {
                ftp.log_in("test", "test");
            }
            let from = daemon.mark();
            say(&daemon, pid, &lie);
            let (_, line) = daemon.wait_after(from, "leash-broken ");
            assert!(line.contains(&format!("pid={pid} ")), "{line}");
            eventually("an end", || status(pid, "State").is_none().then_some(()));
        }
    }
    // The one that it has may fail, and is banned.
    let (ftp, pid) = visitor(&daemon);
    let IpAddr::V4(own) = ftp.control().local_addr().unwrap().ip() else {
        panic!("an address of IPv6");
    };
    say(&daemon, pid, FAILED);
    daemon.wait_for(&format!("banned peer={own} "));
    Ftp::connect_from(victim, daemon.address).log_in("test", "test");
    neighbour.expect("NOOP", 200);
    // All others are gone.
    daemon.has_sessions(2);
}

#[test]
fn questions_that_wait_for_no_answer_keep_nobody_else_waiting() {
    if cannot_be_tried() {
        return;
    }
    let scratch = Scratch::new();
    // Each takes long, and so many would take longer than anybody may.
    let program = b"#!/bin/sh\nread -r user\n[ \"$user\" = test ] || exec sleep 30\necho ::File\n";
    let program = scratch.program("login", program);
    let daemon = Daemon::of_files(&[
        ("auth.module", "Exec"),
        ("auth.exec.command", program.to_str().unwrap()),
        ("auth.exec.timeout", "10"),
    ]);
    let (_ftp, pid) = visitor(&daemon);
    for _ in 0..20 {
        say(&daemon, pid, &[7, 0, 0, 0, 1, 0, 1, b'u', 0, 1, b'p']);
    }
    let begun = Instant::now();
    daemon.log_in().expect("NOOP", 200);
    assert!(begun.elapsed() < Duration::from_secs(9));
}

#[test]
fn what_processes_print_to_is_shut_by_nobody_for_the_others() {
    if cannot_be_tried() {
        return;
    }
    let daemon = Daemon::of_files(&[]);
    daemon.expect_error("stray");
    for _ in 0..3 {
        let (_ftp, pid) = visitor(&daemon);
        let from = daemon.mark();
        let words = [Number(1), Number(libc::SHUT_RDWR.into())];
        assert_eq!(guide(pid, libc::SYS_shutdown, &words), Fate::Returned(0));
        let (line, _) = daemon.wait_after(from, "stray-shut");
        // What others print from now on is heard.
        daemon.wait_after(line, "nursery-ended");
        let (_ftp, pid) = eventually("a worker of another nursery", || {
            let (ftp, pid) = visitor(&daemon);
            let shown = b"heard\n";
            let words = [Number(2), Bytes(shown), Number(6)];
            (guide(pid, libc::SYS_write, &words) == Fate::Returned(6)).then_some((ftp, pid))
        });
        daemon.wait_after(line, &format!("stray pid={pid} text=\"heard\""));
        sleeps(daemon.pid().as_raw());
    }
}

/// Nothing keeps this process awake.
fn sleeps(pid: i32) {
    eventually("a process that sleeps", || {
        let is_asleep = |_| status(pid, "State").is_some_and(|state| state.starts_with('S'));
        (0..100).all(is_asleep).then_some(())
    });
}

#[test]
fn a_log_that_nobody_writes_holds_nobody_up_whatever_a_worker_has_tried() {
    if cannot_be_tried() {
        return;
    }
    let daemon = Daemon::of_files(&[]);
    let (mut ftp, pid) = visitor(&daemon);
    ftp.log_in("test", "test");
    let refused = Fate::Returned((-libc::EPERM).into());
    // The log and the transfer log; the third is the terminal.
    let logs = || descriptors(pid, "pipe:").into_iter().take(2);
    for log in logs() {
        // As little room as can be, and waiting for it: F_SETPIPE_SZ, F_SETFL, FIONBIO.
        for (call, command, argument) in [
            (libc::SYS_fcntl, 1031, Number(4096)),
            (libc::SYS_fcntl, 4, Number(0)),
            (libc::SYS_ioctl, 0x5421, Bytes(&[0; 8])),
        ] {
            let fate = guide(pid, call, &[Number(log), Number(command), argument]);
            assert_eq!(fate, refused, "{command}");
        }
    }
    // The disk of the logs is frozen, as it were, and the log is full.
    let clerks = daemon.children().into_iter();
    let clerks = clerks.filter(|(_, title)| title.contains("[clerk]"));
    let clerks: Vec<Pid> = clerks.map(|(pid, _)| Pid::from_raw(pid)).collect();
    for clerk in &clerks {
        kill(*clerk, Signal::SIGSTOP).unwrap();
    }
    let line = [b'x'; 4096];
    for log in logs() {
        let words = || [Number(log), Bytes(&line), Number(4096)];
        let full = Fate::Returned((-libc::EAGAIN).into());
        while guide(pid, libc::SYS_write, &words()) != full {}
    }
    ftp.expect("NOOP", 200);
    daemon.log_in().expect("QUIT", 221);
    for clerk in &clerks {
        kill(*clerk, Signal::SIGCONT).unwrap();
    }
}

#[test]
fn a_line_without_an_end_takes_no_memory_of_the_one_who_writes_it() {
    if cannot_be_tried() {
        return;
    }
    let daemon = Daemon::of_files(&[]);
    let (mut ftp, pid) = visitor(&daemon);
    ftp.log_in("test", "test");
    let memory = [
        Number(0),
        Number(1 << 20),
        Number(3),
        Number(0x22),
        Number(-1),
        Number(0),
    ];
    let Fate::Returned(zeros) = guide(pid, libc::SYS_mmap, &memory) else {
        panic!("no memory");
    };
    let mut written = 0;
    eventually("a long line", || {
        // The log and the transfer log; the third is the terminal.
        for log in descriptors(pid, "pipe:").into_iter().take(2) {
            let words = [Number(log), Number(zeros), Number(1 << 20)];
            if let Fate::Returned(count @ 1..) = guide(pid, libc::SYS_write, &words) {
                written += count;
            }
        }
        (written > 24 << 20).then_some(())
    });
    for (pid, title) in daemon.children() {
        let peak = status(pid, "VmHWM").unwrap();
        let kilobytes: u64 = peak.split(' ').next().unwrap().parse().unwrap();
        assert!(kilobytes < 16 << 10, "{title}: {peak}");
    }
    ftp.expect("NOOP", 200);
}
