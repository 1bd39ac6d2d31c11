//! Births of which nobody is told, or something else: the nursery is held (ptrace(2), as root) where it has
//! forked, and goes no further, or says what the trial has it say.
#![cfg(target_arch = "x86_64")]

use nix::libc::{self, SYS_clone, SYS_sendto};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, geteuid};

use super::nursery::{ONE_SPARE, TWO_SPARE, go_on, nursery, two_wait};
use super::support::{Daemon, Ftp, eventually, skip, status};
use super::{is_served, kill_worker};

/// The tags of its answers.
const BORN: u8 = 145;
const UNBORN: u8 = 146;

fn may_hold() -> bool {
    let may = geteuid().is_root();
    if !may {
        skip("it takes root to hold the nursery");
    }
    may
}

/// A daemon whose nursery has just forked, and is held before it can say so: the two of them and whom, who is
/// the only worker there. `None`: only root may.
fn held_at_a_birth() -> Option<(Daemon, Pid, i32)> {
    may_hold().then(|| {
        let daemon = Daemon::of_files(&ONE_SPARE);
        let (nursery, newborn) = held_after_a_death(&daemon);
        (daemon, nursery, newborn)
    })
}

/// The same in a daemon that is there.
fn held_after_a_death(daemon: &Daemon) -> (Pid, i32) {
    let spare = daemon.worker("[worker] idle");
    held_after(daemon, || kill_worker(spare))
}

/// Holds the nursery where it has forked for what has happened.
fn held_after(daemon: &Daemon, happens: impl FnOnce()) -> (Pid, i32) {
    let nursery = Pid::from_raw(nursery(daemon));
    let known = daemon.children();
    // Before it is asked, however soon that may be.
    ptrace::seize(nursery, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(nursery).unwrap();
    await_stop(nursery);
    happens();
    loop {
        ptrace::syscall(nursery, None).unwrap();
        await_stop(nursery);
        let registers = ptrace::getregs(nursery).unwrap();
        let answer = i64::from_ne_bytes(registers.rax.to_ne_bytes());
        let newborn = i32::try_from(answer).unwrap_or_default();
        // At the call itself there is no answer yet; and it may be only just behind the call before.
        let is_birth = i64::try_from(registers.orig_rax) == Ok(SYS_clone);
        if is_birth && newborn > 0 && !known.contains_key(&newborn) {
            return (nursery, newborn);
        }
    }
}

fn await_stop(nursery: Pid) {
    waitpid(nursery, Some(WaitPidFlag::__WALL)).unwrap();
}

/// Kills who is held, and waits until it is dead: who holds it hears of that before the master does.
fn kill_held(nursery: Pid) {
    kill(nursery, Signal::SIGKILL).unwrap();
    await_stop(nursery);
}

/// Has a nursery that is held say this instead of its answer, and nothing else until somebody wakes it.
fn say_instead(nursery: Pid, packet: &[u8]) {
    let mut word = [0; 8];
    word[..packet.len()].copy_from_slice(packet);
    loop {
        ptrace::syscall(nursery, None).unwrap();
        await_stop(nursery);
        let mut registers = ptrace::getregs(nursery).unwrap();
        if i64::try_from(registers.orig_rax) == Ok(SYS_sendto) {
            let place = registers.rsi as ptrace::AddressType;
            ptrace::write(nursery, place, i64::from_ne_bytes(word)).unwrap();
            registers.rdx = packet.len() as u64;
            ptrace::setregs(nursery, registers).unwrap();
            return ptrace::detach(nursery, Signal::SIGSTOP).unwrap();
        }
    }
}

fn packet(tag: u8, number: i32) -> Vec<u8> {
    [&[tag][..], &number.to_be_bytes()].concat()
}

#[test]
fn who_dies_before_anybody_was_told_of_the_birth_is_mourned_and_replaced() {
    if !may_hold() {
        return;
    }
    let daemon = Daemon::of_files(&TWO_SPARE);
    two_wait(&daemon);
    let mut members = Vec::new();
    let (nursery, newborn) = held_after(&daemon, || members.push(daemon.log_in()));
    kill_worker(newborn);
    // The master buries whom it does not know.
    eventually("a burial", || {
        status(newborn, "State").is_none().then_some(())
    });
    // It keeps that in mind, whoever else it asks for meanwhile.
    members.push(daemon.log_in());
    ptrace::detach(nursery, None).unwrap();
    let line = daemon.wait_for(&format!("worker-died pid={newborn}"));
    assert!(line.contains("signal=SIGKILL"), "{line}");
    two_wait(&daemon);
}

#[test]
fn whom_a_nursery_has_born_with_its_last_breath_is_served_and_counted() {
    let Some((daemon, nursery, newborn)) = held_at_a_birth() else {
        return;
    };
    // It takes this one in, as the only one there is.
    let mut ftp = Ftp::connect(daemon.address);
    assert!(daemon.children()[&newborn].contains("[worker]"));
    kill_held(nursery);
    daemon.wait_for("nursery-died");
    ftp.log_in("test", "test");
    daemon.has_sessions(1);
    // Another program knows it, too.
    daemon.signal(Signal::SIGUSR2);
    let line = daemon.wait_for(" upgraded ");
    assert!(line.ends_with("sessions=1"), "{line}");
    ftp.expect("PWD", 257);
    ftp.expect("QUIT", 221);
    daemon.has_sessions(0);
}

#[test]
fn who_dies_after_a_nursery_that_told_nobody_of_the_birth_is_mourned() {
    let Some((daemon, nursery, newborn)) = held_at_a_birth() else {
        return;
    };
    // It has said who it is, and is not heard yet.
    let _client = Ftp::connect(daemon.address);
    kill_worker(newborn);
    eventually("a burial", || {
        status(newborn, "State").is_none().then_some(())
    });
    kill_held(nursery);
    let line = daemon.wait_for(&format!("worker-died pid={newborn}"));
    assert!(line.contains("signal=SIGKILL"), "{line}");
    eventually("another one", || is_served(&daemon));
}

#[test]
fn a_nursery_that_says_what_cannot_be_is_given_up_and_nobody_notices() {
    if !may_hold() {
        return;
    }
    for number in 0..5 {
        let daemon = Daemon::of_files(&ONE_SPARE);
        let mut member = daemon.log_in();
        let worker = daemon.worker("test@");
        let nonsense = match number {
            // Unknown, cut off, and workers that cannot be or that are somebody else already.
            0 => vec![255],
            1 => vec![BORN, 0],
            2 => packet(BORN, 0),
            3 => packet(BORN, (1 << 22) + 1),
            _ => packet(BORN, worker),
        };
        let (nursery, newborn) = held_after_a_death(&daemon);
        say_instead(nursery, &nonsense);
        daemon.wait_for(&format!("nursery-given-up pid={nursery} "));
        daemon.wait_for(&format!("nursery-died pid={nursery} signal=SIGKILL"));
        let lines = daemon.log.all();
        assert!(!lines.iter().any(|line| line.contains("nursery-hangs")));
        member.expect("PWD", 257);
        let mut newcomer = daemon.log_in();
        // Whom it was about to tell of is there.
        eventually("a title", || {
            daemon.children()[&newborn].contains("test@").then_some(())
        });
        daemon.has_sessions(2);
        newcomer.expect("QUIT", 221);
        member.expect("QUIT", 221);
    }
}

#[test]
fn a_birth_that_fails_is_tried_again_and_nobody_is_counted_for_it() {
    if !may_hold() {
        return;
    }
    let mut changes = ONE_SPARE.to_vec();
    changes.push(("pool.max_clients", "1"));
    let daemon = Daemon::of_files(&changes);
    daemon.expect_error("fork-failed");
    let (nursery, newborn) = held_after_a_death(&daemon);
    say_instead(nursery, &packet(UNBORN, libc::EAGAIN));
    let (number, line) = daemon.wait_after(0, "fork-failed process=worker");
    assert!(line.contains("os error 11"), "{line}");
    // Who was born all the same is nobody's, and may take a client in before it sees that.
    eventually("its end", || {
        status(newborn, "State").is_none().then_some(())
    });
    go_on(nursery.as_raw());
    daemon.log_in();
    let lines = daemon.log.all();
    let is_pause = |at: usize| lines[at].contains("births-paused");
    let died = lines
        .iter()
        .position(|line| line.contains("worker-died"))
        .unwrap();
    // One just before it is said, and one just behind the death of the worker before, if that was young.
    let young = died + 2 < number && is_pause(died + 1);
    assert!(is_pause(number - 1), "{lines:#?}");
    let count = (0..number).filter(|&at| is_pause(at)).count();
    assert_eq!(count, 1 + usize::from(young), "{lines:#?}");
}

#[test]
fn a_nursery_that_hangs_after_an_answer_is_replaced_too() {
    if !may_hold() {
        return;
    }
    let daemon = Daemon::of_files(&TWO_SPARE);
    two_wait(&daemon);
    let mut members = Vec::new();
    let (nursery, newborn) = held_after(&daemon, || {
        members.extend([daemon.log_in(), daemon.log_in()]);
    });
    say_instead(nursery, &packet(BORN, newborn));
    daemon.wait_for(&format!("nursery-hangs pid={nursery} births=1"));
    two_wait(&daemon);
}

#[test]
fn another_program_waits_for_who_is_being_born() {
    let Some((daemon, nursery, _)) = held_at_a_birth() else {
        return;
    };
    let mut ftp = Ftp::connect(daemon.address);
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_for(&format!("nursery-hangs pid={nursery} births=1"));
    kill_held(nursery);
    daemon.wait_for(" upgraded ");
    ftp.log_in("test", "test");
    daemon.has_sessions(1);
}
