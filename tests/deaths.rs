//! What a client sees of deaths behind the daemon: nothing, or the truth. Nodes and trackers are
//! killed and frozen in the middle of transfers.
#![cfg(test)]

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::devices::{Device, trackers_of};
use support::{Cluster, Daemon, Ftp, Node, eventually, field, noise, status};

/// Patience of the daemon, shrunk, but not so much that who is alive seems dead on a busy machine.
const SHORT: [(&str, &str); 10] = [
    ("mogilefs.timeout", "1"),
    ("mogilefs.request_timeout", "1500ms"),
    ("mogilefs.admin_timeout", "1500ms"),
    ("mogilefs.open_timeout", "2"),
    ("mogilefs.hedge_timeout", "500ms"),
    ("mogilefs.close_timeout", "2"),
    ("mogilefs.read_timeout", "1500ms"),
    ("mogilefs.write_timeout", "1500ms"),
    ("mogilefs.store_timeout", "1500ms"),
    ("mogilefs.spool_mem", "1M"),
];

/// Devices that can be killed, their trackers, and a domain in it.
struct Site {
    /// Goes first: it takes leave of the tracker.
    cluster: Cluster,
    node: Node,
    devices: Vec<Device>,
}

impl Site {
    fn new() -> Self {
        let devices: Vec<Device> = (1..=3).map(Device::start).collect();
        let node = trackers_of(&devices, &[]);
        let cluster = Cluster::at(node.trackers[0]);
        let twice = [("class", &b"twice"[..]), ("mindevcount", b"2")];
        cluster.call("create_class", &twice).unwrap();
        Self {
            devices,
            node,
            cluster,
        }
    }

    fn daemon(&self, keys: &[(&str, &str)]) -> Daemon {
        let trackers: Vec<String> = self.node.trackers.iter().map(ToString::to_string).collect();
        let trackers = trackers.join(", ");
        let mut all = vec![("mogilefs.tracker", trackers.as_str())];
        all.extend(SHORT);
        all.extend(keys);
        Daemon::on(&self.cluster, &all)
    }

    /// Stores a file and waits until there are two copies.
    fn store_twice(&self, ftp: &mut Ftp, key: &str, content: &[u8]) {
        ftp.store(&format!("/{key}"), content);
        eventually("the file is copied", || {
            let paths = self.cluster.call("get_paths", &[("key", key.as_bytes())]);
            (paths.ok()?["paths"] == b"2").then_some(())
        });
    }
}

/// The worker has never had more than 16 MiB and what `spool_mem` allows, everything counted that was
/// ever in memory: also the pages of the program, which it shares with all others.
fn took_little_memory(daemon: &Daemon) {
    let peak = status(daemon.worker("test@"), "VmHWM").unwrap();
    let kib: u64 = peak.split(' ').next().unwrap().parse().unwrap();
    assert!(kib <= (16 + 1) * 1024, "the worker took {peak}");
}

#[test]
fn a_node_that_is_killed_in_the_middle_of_a_download_is_not_noticed() {
    let mut site = Site::new();
    let daemon = site.daemon(&[("mogilefs.read_timeout", "5")]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let content = noise(200 << 20, 1);
    site.store_twice(&mut ftp, "twice/big", &content);
    for victim in 0..3 {
        let data = ftp.data();
        ftp.expect("RETR /twice/big", 150);
        let mut stream = data.stream();
        let mut got = vec![0; 20 << 20];
        stream.read_exact(&mut got).unwrap();
        site.devices[victim].kill();
        stream.read_to_end(&mut got).unwrap();
        ftp.reply_of(226);
        assert!(got == content, "{victim}");
        took_little_memory(&daemon);
        site.devices[victim].revive();
    }
}

#[test]
fn a_node_that_is_killed_in_the_middle_of_an_upload_is_not_noticed() {
    for upload in ["spool", "tee"] {
        let mut site = Site::new();
        let daemon = site.daemon(&[("mogilefs.upload", upload)]);
        let mut ftp = daemon.log_in();
        ftp.expect("TYPE I", 200);
        let content = noise(30 << 20, 2);
        for victim in 0..3 {
            let data = ftp.data();
            ftp.expect("STOR /photos/big", 150);
            let mut stream = data.stream();
            let (first, rest) = content.split_at(10 << 20);
            stream.write_all(first).unwrap();
            site.devices[victim].kill();
            stream.write_all(rest).unwrap();
            drop(stream);
            ftp.reply_of(226);
            site.devices[victim].revive();
            let stored = site.cluster.content("photos/big").unwrap();
            assert!(stored == content, "{upload} {victim}");
        }
        assert_eq!(site.node.temp_rows(), [""; 0], "{upload}");
        took_little_memory(&daemon);
    }
}

#[test]
fn a_node_that_is_frozen_in_the_middle_of_an_upload_is_not_noticed() {
    for upload in ["spool", "tee"] {
        let site = Site::new();
        // A node that is alive must not be taken for one that is not because the machine is busy.
        let daemon = site.daemon(&[
            ("mogilefs.upload", upload),
            ("mogilefs.write_timeout", "2"),
            ("mogilefs.store_timeout", "2"),
        ]);
        let mut ftp = daemon.log_in();
        ftp.expect("TYPE I", 200);
        let content = noise(20 << 20, 3);
        for victim in &site.devices {
            let data = ftp.data();
            ftp.expect("STOR /photos/big", 150);
            let mut stream = data.stream();
            let (first, rest) = content.split_at(5 << 20);
            stream.write_all(first).unwrap();
            victim.signal(Signal::SIGSTOP);
            stream.write_all(rest).unwrap();
            drop(stream);
            ftp.reply_of(226);
            victim.signal(Signal::SIGCONT);
            let stored = site.cluster.content("photos/big").unwrap();
            assert!(stored == content, "{upload}");
        }
        took_little_memory(&daemon);
    }
}

#[test]
fn d24_a_session_outlives_its_tracker_and_its_nodes() {
    let mut site = Site::new();
    let daemon = site.daemon(&[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    site.store_twice(&mut ftp, "twice/a", b"one");
    for tracker in [1, 2] {
        for fault in ["down", "mute", "close"] {
            site.node.fault(&format!("{fault} tracker={tracker}"));
            assert_eq!(ftp.fetch("RETR /twice/a"), b"one", "{fault} {tracker}");
            assert_eq!(ftp.lines("NLST /twice"), ["/twice/a"]);
            ftp.store("/photos/b", b"two");
            site.node.fault("clear");
        }
    }
    for victim in 0..3 {
        site.devices[victim].kill();
        assert_eq!(ftp.fetch("RETR /twice/a"), b"one");
        site.devices[victim].revive();
    }
    // With none left it is said, and afterwards the same session goes on.
    site.node.fault("down");
    let data = ftp.data();
    ftp.expect("RETR /twice/a", 450);
    drop(data);
    let data = ftp.data();
    ftp.expect("STOR /photos/c", 451);
    drop(data);
    ftp.expect("SIZE /twice/a", 451);
    site.node.fault("clear");
    assert_eq!(ftp.fetch("RETR /twice/a"), b"one");
    assert_eq!(ftp.lines("NLST /photos"), ["/photos/b"]);
}

#[test]
fn the_only_tracker_that_is_frozen_is_waited_for_only_so_long() {
    let cluster = Cluster::faulty();
    cluster.put("photos/a", "photos", b"here");
    let daemon = Daemon::on(&cluster, &SHORT);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    cluster.node().fault("mute");
    let begun = Instant::now();
    ftp.expect("SIZE /photos/a", 451);
    // Twice request_timeout, as the manual says, and a margin for a machine that is busy.
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    cluster.node().fault("clear");
    ftp.expect("SIZE /photos/a", 213);
    ftp.store("/photos/b", b"again");
}

#[test]
fn what_one_session_learns_of_a_tracker_is_known_to_the_next() {
    let site = Site::new();
    let daemon = site.daemon(&[
        ("pool.min_spare", "3"),
        ("pool.max_spare", "5"),
        ("mogilefs.probe_interval", "100ms"),
    ]);
    site.node.fault("down tracker=1");
    eventually("somebody finds out", || {
        daemon.log_in();
        let found = |line: &String| line.contains("tracker-down");
        daemon.log.all().iter().any(found).then_some(())
    });
    // The clerk is told after all workers.
    daemon.wait_for("probe-failed");
    let known = daemon.lines().len();
    for _ in 0..8 {
        daemon.log_in();
    }
    let since = daemon.lines().split_off(known);
    site.node.fault("clear");
    assert!(
        !since.iter().any(|line| line.contains("tracker-down")),
        "{since:#?}"
    );
}

#[test]
fn d1_whatever_is_not_stored_is_not_confirmed() {
    let site = Site::new();
    site.cluster
        .call("create_class", &[("class", b"gone"), ("mindevcount", b"1")])
        .unwrap();
    let daemon = site.daemon(&[]);
    daemon.expect_error("close-refused");
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    for (command, code) in [
        ("STOR /top", 553),
        ("STOR /nosuch/a", 553),
        ("STOR /photos", 553),
        ("APPE /photos", 553),
    ] {
        let data = ftp.data();
        ftp.expect(command, code);
        drop(data);
    }
    // Class default, which trackers refuse to be named.
    ftp.store("/default/a", b"x");
    assert_eq!(site.cluster.content("default/a").unwrap(), b"x");
    for (fault, code) in [
        ("no-devices", 452),
        ("err cmd=create_open code=unreg_class", 553),
        ("err cmd=create_open code=bogus_args", 451),
        ("err cmd=create_close code=bogus_args", 451),
        ("err cmd=create_close code=plugin_aborted", 553),
        ("err cmd=create_close code=size_mismatch", 451),
    ] {
        site.node.fault(fault);
        let (found, text) = ftp.give("STOR /photos/lost", b"lost");
        site.node.fault("clear");
        assert_eq!(found, code, "{fault}: {text}");
        assert_eq!(ftp.lines("NLST /photos"), [""; 0], "{fault}");
    }
    let line = daemon.wait_for("stor-failed");
    assert!(
        field(&line, "ref").is_some() || line.contains("why=4"),
        "{line}"
    );
}

#[test]
fn what_a_node_says_about_room_is_passed_on() {
    let cluster = Cluster::faulty();
    let daemon = Daemon::on(&cluster, &SHORT);
    let mut ftp = daemon.log_in();
    for (status, code) in [(413, 552), (507, 452), (500, 451), (403, 451)] {
        cluster
            .node()
            .fault(&format!("status method=PUT code={status}"));
        let (found, text) = ftp.give("STOR /photos/lost", b"lost");
        cluster.node().fault("clear");
        assert_eq!(found, code, "{status}: {text}");
        assert!(text.contains("(ref "), "{text}");
    }
    assert_eq!(cluster.keys(), [""; 0]);
    assert_eq!(cluster.node().temp_rows(), [""; 0]);
}

#[test]
fn uploads_go_on_where_they_broke_off_and_grow_at_their_end() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    ftp.store("/photos/a", b"0123456789");
    ftp.expect("REST 4", 350);
    ftp.store("/photos/a", b"abc");
    assert_eq!(cluster.content("photos/a").unwrap(), b"0123abc");
    let (code, text) = ftp.give("APPE /photos/a", b"def");
    assert_eq!(code, 226, "{text}");
    assert!(text.starts_with("226 Stored 3 bytes, fid "), "{text}");
    assert_eq!(cluster.content("photos/a").unwrap(), b"0123abcdef");
    for command in ["RETR", "STOR"] {
        ftp.expect("REST 11", 350);
        let data = ftp.data();
        ftp.expect(&format!("{command} /photos/a"), 554);
        drop(data);
    }
    assert_eq!(cluster.content("photos/a").unwrap(), b"0123abcdef");
    ftp.expect("ALLO 4611686018427387904", 200);
    let data = ftp.data();
    ftp.expect("STOR /photos/huge", 552);
    drop(data);
    ftp.expect("ALLO 5", 200);
    let (code, _) = ftp.give("STOR /photos/short", b"1234");
    assert_eq!(code, 451);
    assert_eq!(cluster.keys(), ["photos/a"]);
}

#[test]
fn all_spools_together_have_a_limit_and_leave_nothing() {
    let cluster = Cluster::start();
    let keys = [("mogilefs.spool_mem", "64K"), ("mogilefs.spool_max", "3M")];
    let daemon = Daemon::on(&cluster, &keys);
    let (mut one, mut other) = (daemon.log_in(), daemon.log_in());
    for ftp in [&mut one, &mut other] {
        ftp.expect("TYPE I", 200);
    }
    let data = one.data();
    one.expect("STOR /photos/one", 150);
    let mut held = data.stream();
    held.write_all(&noise(2_500_000, 1)).unwrap();
    let leased = || -> f64 {
        let (_, figures, _) = daemon.order(&["status", "--prometheus"]);
        let mut words = figures.lines().filter_map(|line| line.split_once(' '));
        let leased = words.find(|(name, _)| *name == "nanoftpd_spool_leased_bytes");
        leased.map_or(0.0, |(_, bytes)| bytes.parse().unwrap())
    };
    // The master hears of it from each session in its turn.
    let all_is_given_back = || eventually("room", || (leased() == 0.0).then_some(()));
    // It holds its room as long as it lasts; a small one needs none.
    eventually("there is no room left", || {
        (leased() >= 2_500_000.0).then_some(())
    });
    // Later it will do.
    let (code, text) = other.give("STOR /photos/other", &noise(1_500_000, 2));
    assert_eq!(code, 452, "{text}");
    other.store("/photos/small", &noise(60_000, 3));
    drop(held);
    one.reply_of(226);
    all_is_given_back();
    other.store("/photos/other", &noise(2_500_000, 2));
    let (code, text) = other.give("STOR /photos/large", &noise(4_000_000, 4));
    assert_eq!(code, 552, "{text}");
    all_is_given_back();
    // Nor is anything held by a worker that is killed.
    let data = one.data();
    one.expect("STOR /photos/killed", 150);
    let mut held = data.stream();
    held.write_all(&noise(2_500_000, 1)).unwrap();
    let worker = daemon.worker("STOR /photos/killed");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    daemon.wait_for("worker-died");
    other.store("/photos/other", &noise(2_500_000, 5));
    let left = std::fs::read_dir(daemon.dir().join("tmp")).unwrap().count();
    assert_eq!(left, 0, "something stays in tmpdir");
}

#[test]
fn a_spool_is_gone_before_the_next_command_is_answered() {
    let cluster = Cluster::start();
    for upload in ["spool", "tee"] {
        let keys = [("mogilefs.upload", upload), ("mogilefs.spool_mem", "64K")];
        let daemon = Daemon::on(&cluster, &keys);
        let mut ftp = daemon.log_in();
        ftp.expect("TYPE I", 200);
        let fds = format!("/proc/{}/fd", daemon.worker("test@"));
        let spools = || {
            let open = std::fs::read_dir(&fds).unwrap().flatten();
            let names = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
            let files = names.filter(|name| name.starts_with(daemon.dir()));
            files
                .filter(|name| name.to_string_lossy().ends_with(" (deleted)"))
                .count()
        };
        let data = ftp.data();
        ftp.expect("STOR /photos/one", 150);
        let mut data = data.stream();
        data.write_all(&noise(500_000, 1)).unwrap();
        eventually("a spool", || (spools() == 1).then_some(()));
        drop(data);
        ftp.reply_of(226);
        ftp.expect("NOOP", 200);
        assert_eq!(spools(), 0, "{upload}");
    }
}
