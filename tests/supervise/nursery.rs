//! The nursery that workers come from: that nobody notices when it dies, hangs or is another one, and
//! that who is born later knows what was told before.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::{Cluster, Daemon, Ftp, PATIENCE, eventually, skip, status};
use super::{is_served, kill_worker};

/// One worker waits, and no more.
const ONE_SPARE: [(&str, &str); 2] = [("pool.min_spare", "1"), ("pool.max_spare", "1")];

fn nursery(daemon: &Daemon) -> i32 {
    daemon.worker("[nursery]")
}

fn stop(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    eventually("a stop", || {
        status(pid, "State")?.starts_with('T').then_some(())
    });
}

/// Has it read another configuration.
fn reload_as_another(daemon: &Daemon) {
    let mut changes = ONE_SPARE.to_vec();
    changes.push(("nanoftpd.server_name", "other"));
    daemon.write_conf(&changes);
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("reloaded");
}

/// Waits until clients are greeted as by that: a worker of before that is to end may take one more on its way.
fn is_another(daemon: &Daemon) {
    eventually("a greeting of the new configuration", || {
        let (_, greeting) = Ftp::silent(daemon.address).reply();
        greeting.contains("other").then_some(())
    });
}

#[test]
fn workers_are_the_masters_children_and_shut_in_before_they_are_there() {
    let daemon = Daemon::of_files(&ONE_SPARE);
    let nursery = nursery(&daemon);
    let worker = daemon.worker("[worker] idle");
    let parent = daemon.pid().to_string();
    assert_eq!(status(worker, "PPid").as_ref(), Some(&parent));
    assert_eq!(status(nursery, "PPid").as_ref(), Some(&parent));
    for field in ["Uid", "Groups", "CapBnd", "NoNewPrivs", "Seccomp"] {
        assert_eq!(status(worker, field), status(nursery, field), "{field}");
    }
    if nanoftpd::sys::sandbox::missing().is_empty() {
        let filters = |pid| status(pid, "Seccomp_filters").map(|count| count.parse::<u32>());
        if let (Some(Ok(own)), Some(Ok(nurserys))) = (filters(worker), filters(nursery)) {
            assert_eq!(own, nurserys + 1);
        }
    }
}

#[test]
fn nobody_notices_that_the_nursery_is_killed() {
    let daemon = Daemon::of_files(&ONE_SPARE);
    let mut before = daemon.log_in();
    let first = nursery(&daemon);
    kill_worker(first);
    let died = format!("nursery-died pid={first} signal=SIGKILL");
    let (number, _) = daemon.wait_after(0, &died);
    // Where each dies, no more are begun than where each worker does.
    daemon.wait_after(number, "births-paused ms=100");
    let clients: Vec<Ftp> = (0..4).map(|_| daemon.log_in()).collect();
    before.expect("PWD", 257);
    assert_ne!(nursery(&daemon), first);
    drop(clients);
}

#[test]
fn a_nursery_that_hangs_is_replaced_and_whom_it_owes_is_born_elsewhere() {
    let daemon = Daemon::of_files(&ONE_SPARE);
    daemon.worker("[worker] idle");
    let first = nursery(&daemon);
    stop(first);
    let mut before = daemon.log_in();
    // Nobody waits for this one but the queue of the kernel.
    let mut next = Ftp::silent(daemon.address);
    daemon.wait_for(&format!("nursery-hangs pid={first} births=1"));
    daemon.wait_for(&format!("nursery-died pid={first} signal=SIGKILL births=1"));
    assert_eq!(next.reply().0, 220);
    before.expect("PWD", 257);
}

#[test]
fn all_whom_a_nursery_owes_when_it_is_killed_are_born_elsewhere() {
    let daemon = Daemon::of_files(&[("pool.min_spare", "2"), ("pool.max_spare", "2")]);
    let both_wait = || {
        eventually("two that wait", || {
            let children = daemon.children();
            let idle = children.values().filter(|title| title.contains("] idle"));
            (idle.count() == 2).then_some(())
        });
    };
    both_wait();
    let first = nursery(&daemon);
    stop(first);
    let _taken = [daemon.log_in(), daemon.log_in()];
    kill_worker(first);
    daemon.wait_for(&format!("nursery-died pid={first} signal=SIGKILL births=2"));
    both_wait();
}

#[test]
fn a_nursery_that_hangs_holds_no_other_configuration_up() {
    let daemon = Daemon::of_files(&ONE_SPARE);
    daemon.worker("[worker] idle");
    let first = nursery(&daemon);
    stop(first);
    reload_as_another(&daemon);
    is_another(&daemon);
    daemon.wait_for(&format!("nursery-hangs pid={first} births=0"));
    daemon.wait_for(&format!("nursery-died pid={first} signal=SIGKILL births=0"));
}

#[test]
fn a_nursery_that_hangs_holds_no_stop_up_and_does_not_outlive_its_master() {
    let mut changes = ONE_SPARE.to_vec();
    changes.push(("nanoftpd.stop_grace", "600"));
    let mut daemon = Daemon::of_files(&changes);
    daemon.worker("[worker] idle");
    let first = nursery(&daemon);
    stop(first);
    // It owes one, and there is no other nursery that could be asked.
    let _taken = daemon.log_in();
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for("stopping");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
    assert_eq!(status(first, "State"), None);
    let lines = daemon.log.all();
    assert!(!lines.iter().any(|line| line.contains("nursery-hangs")));
}

/// A daemon whose nursery has just forked, and is held before it can say so: the two of them and whom, who is
/// the only worker there. `None`: only root may.
#[cfg(target_arch = "x86_64")]
fn held_at_a_birth() -> Option<(Daemon, Pid, i32)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let daemon = Daemon::of_files(&ONE_SPARE);
    let (nursery, newborn) = held_in(&daemon);
    Some((daemon, nursery, newborn))
}

/// The same in a daemon that is there.
#[cfg(target_arch = "x86_64")]
fn held_in(daemon: &Daemon) -> (Pid, i32) {
    use nix::libc::SYS_clone;
    use nix::sys::ptrace::{getregs, interrupt, seize, syscall};
    use nix::sys::wait::{WaitPidFlag, waitpid};
    let spare = daemon.worker("[worker] idle");
    let nursery = Pid::from_raw(nursery(daemon));
    let wait = || waitpid(nursery, Some(WaitPidFlag::__WALL)).unwrap();
    // Held before it is asked, however soon that may be.
    seize(nursery, nix::sys::ptrace::Options::empty()).unwrap();
    interrupt(nursery).unwrap();
    wait();
    kill_worker(spare);
    loop {
        syscall(nursery, None).unwrap();
        wait();
        let registers = getregs(nursery).unwrap();
        let answer = i64::from_ne_bytes(registers.rax.to_ne_bytes());
        // At the call itself there is no answer yet, and it may not have heard that of the one before.
        let is_birth = i64::try_from(registers.orig_rax) == Ok(SYS_clone);
        if is_birth && answer > 0 && answer != i64::from(spare) {
            return (nursery, i32::try_from(answer).unwrap());
        }
    }
}

/// Kills who is held, and waits until it is dead: who holds it hears of that before the master does.
#[cfg(target_arch = "x86_64")]
fn kill_held(nursery: Pid) {
    kill(nursery, Signal::SIGKILL).unwrap();
    let all = nix::sys::wait::WaitPidFlag::__WALL;
    nix::sys::wait::waitpid(nursery, Some(all)).unwrap();
}

/// Has a nursery that is held say this instead of its answer.
#[cfg(target_arch = "x86_64")]
fn say_instead(nursery: Pid, packet: &[u8]) {
    use nix::libc::SYS_sendto;
    use nix::sys::ptrace::{AddressType, detach, getregs, setregs, syscall, write};
    use nix::sys::wait::{WaitPidFlag, waitpid};
    let mut word = [0; 8];
    word[..packet.len()].copy_from_slice(packet);
    loop {
        syscall(nursery, None).unwrap();
        waitpid(nursery, Some(WaitPidFlag::__WALL)).unwrap();
        let mut registers = getregs(nursery).unwrap();
        if i64::try_from(registers.orig_rax) == Ok(SYS_sendto) {
            let place = registers.rsi as AddressType;
            write(nursery, place, i64::from_ne_bytes(word)).unwrap();
            registers.rdx = packet.len() as u64;
            setregs(nursery, registers).unwrap();
            return detach(nursery, None).unwrap();
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn who_dies_before_anybody_was_told_of_the_birth_is_mourned_and_replaced() {
    let Some((daemon, nursery, newborn)) = held_at_a_birth() else {
        return skip("it takes root to hold the nursery");
    };
    kill_worker(newborn);
    // The master buries whom it does not know.
    eventually("a burial", || {
        status(newborn, "State").is_none().then_some(())
    });
    nix::sys::ptrace::detach(nursery, None).unwrap();
    let line = daemon.wait_for(&format!("worker-died pid={newborn}"));
    assert!(line.contains("signal=SIGKILL"), "{line}");
    eventually("another one", || is_served(&daemon));
}

#[test]
#[cfg(target_arch = "x86_64")]
fn whom_a_nursery_has_born_with_its_last_breath_is_served_and_counted() {
    let Some((daemon, nursery, newborn)) = held_at_a_birth() else {
        return skip("it takes root to hold the nursery");
    };
    // It takes this one in, as the only one there is.
    let mut ftp = Ftp::silent(daemon.address);
    assert_eq!(ftp.reply().0, 220);
    assert!(daemon.children()[&newborn].contains("[worker]"));
    kill_held(nursery);
    daemon.wait_for("nursery-died");
    ftp.log_in("test", "test");
    let (_, table, _) = daemon.order(&["status"]);
    assert!(table.contains("\n1 of "), "{table}");
    // Another program knows it, too.
    daemon.signal(Signal::SIGUSR2);
    let line = daemon.wait_for(" upgraded ");
    assert!(line.ends_with("sessions=1"), "{line}");
    ftp.expect("PWD", 257);
    ftp.expect("QUIT", 221);
    eventually("its end", || {
        let (_, table, _) = daemon.order(&["status"]);
        table.contains("\n0 of ").then_some(())
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn who_dies_after_a_nursery_that_told_nobody_of_the_birth_is_mourned() {
    let Some((daemon, nursery, newborn)) = held_at_a_birth() else {
        return skip("it takes root to hold the nursery");
    };
    // It has said who it is, and is not heard yet.
    let mut ftp = Ftp::silent(daemon.address);
    assert_eq!(ftp.reply().0, 220);
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
#[cfg(target_arch = "x86_64")]
fn a_nursery_that_says_what_cannot_be_is_given_up_and_nobody_notices() {
    if !nix::unistd::geteuid().is_root() {
        return skip("it takes root to hold the nursery");
    }
    let born = |pid: i32| [&[145][..], &pid.to_be_bytes()].concat();
    for number in 0..5 {
        let daemon = Daemon::of_files(&ONE_SPARE);
        let mut member = daemon.log_in();
        let worker = daemon.worker("test@");
        let nonsense = match number {
            // Unknown, cut off, and workers that cannot be or that are somebody else already.
            0 => vec![255],
            1 => vec![145, 0],
            2 => born(0),
            3 => born((1 << 22) + 1),
            _ => born(worker),
        };
        let (nursery, newborn) = held_in(&daemon);
        say_instead(nursery, &nonsense);
        daemon.wait_for(&format!("nursery-given-up pid={nursery} "));
        daemon.wait_for(&format!("nursery-died pid={nursery} "));
        member.expect("PWD", 257);
        let mut newcomer = daemon.log_in();
        // Whom it was about to tell of is there.
        eventually("a title", || {
            daemon.children()[&newborn].contains("test@").then_some(())
        });
        let (_, table, _) = daemon.order(&["status"]);
        assert!(table.contains("\n2 of "), "{table}");
        newcomer.expect("QUIT", 221);
        member.expect("QUIT", 221);
    }
}

#[test]
fn another_configuration_has_another_nursery() {
    let daemon = Daemon::of_files(&ONE_SPARE);
    let mut before = daemon.log_in();
    let first = nursery(&daemon);
    reload_as_another(&daemon);
    eventually("the end of the first", || {
        (!daemon.children().contains_key(&first)).then_some(())
    });
    is_another(&daemon);
    before.expect("PWD", 257);
    let lines = daemon.lines();
    let has_died = |line: &String| line.contains("nursery-died");
    assert!(!lines.iter().any(has_died), "{lines:#?}");
}

#[test]
fn who_is_born_later_knows_what_others_have_told() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &ONE_SPARE);
    let mut teller = daemon.log_in();
    let first = nursery(&daemon);
    // Nobody but those who were told knows of a directory without files in a class.
    teller.expect("MKD c", 257);
    teller.expect("MKD c/empty", 257);
    let spare = daemon.worker("[worker] idle");
    kill_worker(spare);
    daemon.wait_for(&format!("worker-died pid={spare}"));
    let mut later = daemon.log_in();
    later.expect("CWD c/empty", 250);
    assert_eq!(nursery(&daemon), first);
}

#[test]
fn who_is_born_later_knows_where_the_trackers_are() {
    let cluster = Cluster::faulty();
    let tracker = format!("localhost:{}", cluster.address.port());
    let mut changes = ONE_SPARE.to_vec();
    changes.push(("mogilefs.tracker", &tracker));
    changes.push(("mogilefs.domain", &cluster.domain));
    let daemon = Daemon::start(&changes);
    daemon.wait_for("name-found name=\"localhost\"");
    // The first has heard of it, or was born after it; the others were born after it.
    let mut sessions: Vec<Ftp> = (0..4).map(|_| daemon.log_in()).collect();
    for ftp in &mut sessions {
        ftp.expect("SIZE docs/nothing", 550);
    }
}
