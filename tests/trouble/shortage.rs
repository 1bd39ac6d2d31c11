//! A machine that has nothing left: no process, no descriptor.

use std::process::Command;

use nix::unistd::geteuid;

use crate::kill_hard;
use crate::support::{Cluster, Daemon, Ftp, Scratch, eventually, noise, skip};

/// A user whom nobody else is: limits count all that a user has on the machine.
fn nobody_else() -> String {
    (100_000 + std::process::id()).to_string()
}

/// A daemon that is that user from its start on, so that limits bind its master. `program` goes before.
fn of_nobody_else(program: &[&str], changes: &[(&str, &str)]) -> (Daemon, Scratch) {
    let scratch = Scratch::new();
    let open = scratch.open_dir("open");
    let place = |name: &str| open.join(name).to_str().unwrap().to_owned();
    let user = nobody_else();
    let places = [
        ("nanoftpd.pidfile", place("nanoftpd.pid")),
        ("logging.file", place("nanoftpd.log")),
        ("logging.xferlog", place("xferlog")),
        ("status.socket", place("control.sock")),
    ];
    let mut all: Vec<(&str, &str)> = places.iter().map(|(key, value)| (*key, &**value)).collect();
    all.extend_from_slice(changes);
    let change = [
        "setpriv",
        "--reuid",
        &user,
        "--regid",
        &user,
        "--clear-groups",
    ];
    (Daemon::within(&[program, &change].concat(), &all), scratch)
}

/// Sets a limit of those who fork, as their own user.
fn limit(daemon: &Daemon, limit: &str) {
    let user = nobody_else();
    for pid in [daemon.pid().as_raw(), daemon.worker("[nursery]")] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
        command.args(["prlimit", "--pid", &pid.to_string(), limit]);
        assert!(command.status().unwrap().success());
    }
}

#[test]
fn a_full_process_table_costs_nobody_who_is_in_and_ends() {
    if !geteuid().is_root() {
        return skip("needs root");
    }
    let changes = [
        ("pool.min_spare", "2"),
        ("pool.max_spare", "4"),
        ("pool.max_clients", "20"),
    ];
    let (daemon, _scratch) = of_nobody_else(&[], &changes);
    daemon.expect_error("fork-failed");
    let mut ftp = Ftp::connect(daemon.address);
    daemon.worker("[worker] idle");
    limit(&daemon, "--nproc=1:");
    // The clerk cannot be replaced, nor can the workers that these take.
    kill_hard(daemon.worker("[clerk]"));
    let mut others = Vec::new();
    let refused = eventually("somebody is sent away", || {
        let mut ftp = Ftp::silent(daemon.address);
        match ftp.reply() {
            (220, _) => others.push(ftp),
            (_, text) => return Some(text),
        }
        None
    });
    assert!(refused.starts_with("421 "), "{refused}");
    assert!(!others.is_empty());
    // Slower and slower, and it is said once.
    daemon.wait_for("births-paused ms=1600");
    for ftp in others.iter_mut().chain([&mut ftp]) {
        ftp.expect("NOOP", 200);
    }
    daemon.has_sessions(others.len() + 1);
    let lines = daemon.log.all();
    let said: Vec<&String> = lines
        .iter()
        .filter(|line| line.contains("fork-failed"))
        .collect();
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("process="), "{said:?}");

    limit(&daemon, "--nproc=1000:");
    eventually("the pool is as it should be", || {
        let children = daemon.children();
        let idle = children
            .values()
            .filter(|title| title.ends_with("[worker] idle"))
            .count();
        let clerks = children
            .values()
            .filter(|title| title.contains("[clerk]"))
            .count();
        ((2..=4).contains(&idle) && clerks == 2).then_some(())
    });
    Ftp::connect(daemon.address).expect("QUIT", 221);
    ftp.expect("QUIT", 221);
}

#[test]
fn too_few_descriptors_are_told_at_the_start() {
    if !geteuid().is_root() {
        return skip("needs root");
    }
    let changes = [("pool.max_clients", "500")];
    let (daemon, _scratch) = of_nobody_else(&["prlimit", "--nofile=200:200"], &changes);
    daemon.wait_for("warn few-descriptors wanted=564 allowed=200");
    Ftp::connect(daemon.address).expect("QUIT", 221);
}

/// The kernel kills, by default, who writes beyond that.
#[test]
fn a_file_beyond_the_limit_is_refused_and_costs_no_session() {
    let cluster = Cluster::start();
    let tracker = cluster.address.to_string();
    let limit = ["prlimit", "--fsize=1000000"];
    let changes = [
        ("mogilefs.tracker", &*tracker),
        ("mogilefs.domain", &cluster.domain),
        ("mogilefs.spool_mem", "64K"),
    ];
    for (daemon, path, code) in [
        (Daemon::of_files_within(&limit, &[]), "large", 552),
        (Daemon::within(&limit, &changes), "/photos/large", 452),
    ] {
        let mut ftp = daemon.log_in();
        ftp.expect("TYPE I", 200);
        let (given, reply) = ftp.give(&format!("STOR {path}"), &noise(2_000_000, 1));
        assert_eq!(given, code, "{reply}");
        ftp.expect(&format!("SIZE {path}"), 550);
        ftp.expect("QUIT", 221);
    }
}
