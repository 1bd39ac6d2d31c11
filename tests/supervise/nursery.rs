//! The nursery that workers come from: that nobody notices when it dies, hangs or is another one, and
//! that who is born later knows what was told before.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::kill_worker;
use super::support::{Cluster, Daemon, Ftp, PATIENCE, eventually, status};

/// One worker waits, and no more.
pub(crate) const ONE_SPARE: [(&str, &str); 2] = [("pool.min_spare", "1"), ("pool.max_spare", "1")];

/// Two do.
pub(crate) const TWO_SPARE: [(&str, &str); 2] = [("pool.min_spare", "2"), ("pool.max_spare", "2")];

pub(crate) fn nursery(daemon: &Daemon) -> i32 {
    daemon.worker("[nursery]")
}

/// Waits until there are as many.
pub(crate) fn two_wait(daemon: &Daemon) {
    eventually("two that wait", || {
        let children = daemon.children();
        let idle = children.values().filter(|title| title.contains("] idle"));
        (idle.count() == 2).then_some(())
    });
}

fn stop(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    eventually("a stop", || {
        status(pid, "State")?.starts_with('T').then_some(())
    });
}

pub(crate) fn go_on(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
}

/// A daemon with a worker that waits, and whose nursery has been stopped.
fn hanging(changes: &[(&str, &str)]) -> (Daemon, i32) {
    let daemon = Daemon::of_files(changes);
    daemon.worker("[worker] idle");
    let nursery = nursery(&daemon);
    stop(nursery);
    (daemon, nursery)
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

/// Waits for the end of a nursery that nobody has made an end of.
fn is_let_go_of(daemon: &Daemon, nursery: i32) {
    eventually("the end of the first", || {
        (!daemon.children().contains_key(&nursery)).then_some(())
    });
    let lines = daemon.lines();
    let has_died = |line: &String| line.contains("nursery-died");
    assert!(!lines.iter().any(has_died), "{lines:#?}");
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
    // A nursery that has nothing to do all the time is not taken for one that hangs.
    let quiet = Daemon::of_files(&ONE_SPARE);
    quiet.worker("[worker] idle");
    let (daemon, first) = hanging(&ONE_SPARE);
    let mut before = daemon.log_in();
    // Nobody waits for this one but the queue of the kernel.
    let mut next = Ftp::silent(daemon.address);
    daemon.wait_for(&format!("nursery-hangs pid={first} births=1"));
    daemon.wait_for(&format!("nursery-died pid={first} signal=SIGKILL births=1"));
    assert_eq!(next.reply().0, 220);
    before.expect("PWD", 257);
    let lines = quiet.lines();
    assert!(!lines.iter().any(|line| line.contains(" nursery-")));
}

#[test]
fn all_whom_a_nursery_owes_when_it_is_killed_are_born_elsewhere() {
    let daemon = Daemon::of_files(&TWO_SPARE);
    two_wait(&daemon);
    let first = nursery(&daemon);
    stop(first);
    let _taken = [daemon.log_in(), daemon.log_in()];
    kill_worker(first);
    daemon.wait_for(&format!("nursery-died pid={first} signal=SIGKILL births=2"));
    two_wait(&daemon);
}

#[test]
fn a_nursery_that_hangs_holds_no_other_configuration_up() {
    let (daemon, first) = hanging(&ONE_SPARE);
    reload_as_another(&daemon);
    is_another(&daemon);
    daemon.wait_for(&format!("nursery-hangs pid={first} births=0"));
    daemon.wait_for(&format!("nursery-died pid={first} signal=SIGKILL births=0"));
}

#[test]
fn a_nursery_of_before_answers_for_whom_it_owes_before_it_is_let_go_of() {
    let (daemon, first) = hanging(&ONE_SPARE);
    let mut before = daemon.log_in();
    reload_as_another(&daemon);
    go_on(first);
    is_let_go_of(&daemon, first);
    is_another(&daemon);
    before.expect("PWD", 257);
}

#[test]
fn a_nursery_that_hangs_holds_no_stop_up_and_does_not_outlive_its_master() {
    let mut changes = ONE_SPARE.to_vec();
    changes.push(("nanoftpd.stop_grace", "600"));
    for owes in [false, true] {
        let (mut daemon, first) = hanging(&changes);
        let _taken = owes.then(|| daemon.log_in());
        daemon.signal(Signal::SIGTERM);
        if owes {
            // Nobody else could answer for whom it owes; it is not waited for a second time.
            daemon.wait_for("stopping");
            daemon.signal(Signal::SIGTERM);
        }
        assert_eq!(daemon.wait(PATIENCE), Some(0));
        assert_eq!(status(first, "State"), None);
        let lines = daemon.log.all();
        let waited = lines.iter().any(|line| line.contains("nursery-hangs"));
        assert_eq!(waited, !owes, "{lines:?}");
    }
}

#[test]
fn what_a_nursery_did_not_listen_to_is_known_to_who_is_born_from_the_next() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &ONE_SPARE);
    let mut teller = daemon.log_in();
    daemon.worker("[worker] idle");
    let first = nursery(&daemon);
    stop(first);
    teller.expect("MKD c", 257);
    // More than a leash holds.
    let is_full = |name: &u32| {
        teller.expect(&format!("MKD c/{name}"), 257);
        daemon
            .log
            .all()
            .iter()
            .any(|line| line.contains("nursery-hangs"))
    };
    let last = (0..10_000).find(is_full).unwrap();
    daemon.wait_for(&format!("nursery-hangs pid={first} births=0"));
    kill_worker(daemon.worker("[worker] idle"));
    let mut later = daemon.log_in();
    for name in 0..=last {
        later.expect(&format!("CWD /c/{name}"), 250);
    }
}

#[test]
fn another_configuration_has_another_nursery() {
    let daemon = Daemon::of_files(&ONE_SPARE);
    let mut before = daemon.log_in();
    let first = nursery(&daemon);
    reload_as_another(&daemon);
    is_let_go_of(&daemon, first);
    is_another(&daemon);
    before.expect("PWD", 257);
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
