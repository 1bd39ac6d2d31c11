//! When files were written, as listings and MDTM have it.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Cluster, Daemon, eventually, skip};
use crate::{calls, fact, fill, filled, member, tell_others};

/// The `modify` fact of each line, in the order of the lines.
fn modified(lines: &[String]) -> Vec<Option<String>> {
    let of = |line: &String| fact(line, "modify").map(str::to_owned);
    lines.iter().map(of).collect()
}

#[test]
fn one_time_in_every_reply_and_for_every_session() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    for name in ["a", "b", "c"] {
        cluster.put(&format!("docs/{name}"), "docs", b"1");
    }
    let mut ftp = member(&daemon);
    let listed = modified(&ftp.lines("MLSD /docs"));
    assert_eq!(listed.len(), 3);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for (time, name) in listed.iter().zip(["a", "b", "c"]) {
        let time = time.as_deref().unwrap();
        let path = format!("/docs/{name}");
        assert_eq!(
            ftp.expect(&format!("MDTM {path}"), 213),
            format!("213 {time}")
        );
        let reply = ftp.expect(&format!("MLST {path}"), 250);
        assert!(reply.contains(&format!("modify={time};")), "{reply}");
        assert!(time.starts_with("20") && time.len() == 14, "{time} {now}");
    }
    let first = ftp.lines("LIST /docs");
    assert!(!first[0].contains("2010"), "{first:?}");
    tell_others(&mut ftp);
    // Another worker shows the same, and asks no node for it.
    if cluster.node.is_some() {
        cluster.node().fault("status code=500 method=HEAD");
    }
    let mut other = member(&daemon);
    assert_eq!(modified(&other.lines("MLSD /docs")), listed);
    assert_eq!(other.lines("LIST /docs"), first);
}

/// Of the descriptors that a session has some are left for its transfers.
#[test]
fn so_many_nodes_as_there_may_be_are_asked_over_a_few_connections() {
    let fills = fill("docs/f", 480);
    let cluster = filled(&[&["--devices".to_owned(), "100".to_owned()], &fills[..]].concat());
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    let times = modified(&ftp.lines("MLSD /docs"));
    assert_eq!(times.iter().flatten().count(), 480);
    ftp.store("/docs/new", b"new");
}

#[test]
fn up_to_500_times_are_asked_for_and_none_where_there_are_many_more() {
    let fills = [
        fill("docs/few/f", 400),
        fill("docs/some/f", 600),
        fill("docs/many/f", 3000),
    ];
    let cluster = filled(&fills.concat());
    let daemon = Daemon::on(&cluster, &[("mogilefs.listlimit", "0")]);
    let mut ftp = member(&daemon);
    for (dir, known) in [("few", 400), ("some", 500), ("some", 600), ("many", 0)] {
        let times = modified(&ftp.lines(&format!("MLSD /docs/{dir}")));
        assert_eq!(times.iter().flatten().count(), known, "{dir}");
    }
    for (listtimes, known) in [("off", 0), ("head", 3000)] {
        let changes = [
            ("mogilefs.listlimit", "0"),
            ("mogilefs.listtimes", listtimes),
        ];
        let daemon = Daemon::on(&cluster, &changes);
        let mut ftp = member(&daemon);
        calls(&cluster);
        let times = modified(&ftp.lines("MLSD /docs/many"));
        assert_eq!(times.iter().flatten().count(), known, "{listtimes}");
        assert_eq!(calls(&cluster).contains_key("get_paths"), known > 0);
    }
}

/// Kilobytes that nobody else has.
fn own_memory(pid: i32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = pages
        .lines()
        .find(|line| line.starts_with("Private_Dirty:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn who_is_born_later_knows_the_times_and_has_no_copy_of_them() {
    if !nix::unistd::geteuid().is_root() {
        return skip("it takes root to look at the memory of a worker");
    }
    let cluster = filled(&fill("docs/many/f", 5000));
    let changes = [
        ("mogilefs.listlimit", "0"),
        ("mogilefs.listtimes", "head"),
        ("pool.min_spare", "1"),
        ("pool.max_spare", "1"),
    ];
    let daemon = Daemon::on(&cluster, &changes);
    let before = own_memory(daemon.worker("[worker] idle"));
    let mut ftp = member(&daemon);
    let times = modified(&ftp.lines("MLSD /docs/many"));
    tell_others(&mut ftp);
    let spare = daemon.worker("[worker] idle");
    kill(Pid::from_raw(spare), Signal::SIGKILL).unwrap();
    daemon.wait_for(&format!("worker-died pid={spare}"));
    let newborn = daemon.worker("[worker] idle");
    let after = own_memory(newborn);
    calls(&cluster);
    let mut later = member(&daemon);
    assert_eq!(modified(&later.lines("MLSD /docs/many")), times);
    assert_eq!(calls(&cluster).get("get_paths"), None);
    assert!(after < before + 100, "{before} {after}");
}

#[test]
fn a_time_that_is_not_known_is_left_out_or_a_fixed_date() {
    let cluster = filled(&fill("docs/d/f", 3));
    cluster.node().fault("status code=500 method=HEAD");
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    assert_eq!(modified(&ftp.lines("MLSD /docs/d")), [None, None, None]);
    for line in ftp.lines("LIST /docs/d") {
        assert!(line.contains(" Jul  8  2010 "), "{line}");
    }
    ftp.expect("MDTM /docs/d/f1", 550);
    let reply = ftp.expect("MLST /docs/d/f1", 250);
    assert!(!reply.contains("modify="), "{reply}");
    // Directories have no time at all.
    let dir = &ftp.lines("MLSD /docs")[0];
    assert!(
        dir.starts_with("type=dir;") && !dir.contains("modify="),
        "{dir}"
    );
    assert!(ftp.lines("LIST /docs")[0].contains(" Jul  8  2010 "));
    ftp.expect("MFMT 20200101000000 /docs/d/f1", 502);
    assert!(!ftp.expect("FEAT", 211).contains("MFMT"));
}

#[test]
fn a_node_that_is_down_costs_its_own_answers_only() {
    let cluster = filled(&fill("docs/d/f", 30));
    cluster.node().fault("refuse dev=1");
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    let times = modified(&ftp.lines("MLSD /docs/d"));
    assert_eq!(times.iter().flatten().count(), 30);
}

#[test]
fn the_oldest_copy_tells_the_time() {
    let cluster = Cluster::faulty();
    cluster.put("docs/a", "docs", b"1");
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    let time = ftp.expect("MDTM /docs/a", 213);
    // Once there are two copies a new daemon, which remembers nothing, says the same.
    eventually("a second copy", || {
        let paths = cluster.call("get_paths", &[("key", b"docs/a"), ("pathcount", b"4")]);
        (paths.unwrap()["paths"] != b"0").then_some(())
    });
    let daemon = Daemon::on(&cluster, &[]);
    assert_eq!(member(&daemon).expect("MDTM /docs/a", 213), time);
}
