//! Answers that come late, twice or never, and two that want the same name: what the store does
//! about them, and what is left open afterwards.
#![cfg(test)]

mod support;

use std::io::Read;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nanoftpd::config::{Mogilefs, Overwrite};
use nanoftpd::store::mogile::layout::Classes;
use nanoftpd::store::mogile::{MogileFs, Shared};
use nanoftpd::store::{Body, Error, Store};
use nanoftpd::vigil;
use support::stores::{at, classes, get, impatient, put, settings, store_at};
use support::{Cluster, Node, eventually, noise};

/// Waits as a session waits for its next command, until nothing is left open.
fn nothing_stays_open(node: &Node) {
    let deadline = Instant::now() + support::PATIENCE;
    while !node.temp_rows().is_empty() {
        assert!(Instant::now() < deadline, "left: {:?}", node.temp_rows());
        vigil::pause(Duration::from_millis(20)).unwrap();
    }
}

fn hedged(trackers: Vec<SocketAddr>) -> MogileFs {
    let mut own: Mogilefs = settings();
    own.hedge_timeout = Duration::from_millis(100);
    own.open_timeout = Duration::from_secs(20);
    store_at(trackers, Box::new(Classes::new("d")), own)
}

#[test]
fn a_create_open_that_takes_half_a_minute_is_not_waited_for() {
    let node = Node::of_two_trackers();
    for (fault, trackers) in [
        ("delay", &[0, 1][..]),
        ("late", &[0, 1]),
        ("delay", &[0]),
        ("late", &[1]),
    ] {
        let trackers = trackers.iter().map(|at| node.trackers[*at]).collect();
        let mut store = hedged(trackers);
        node.fault(&format!("{fault} cmd=create_open ms=3000 count=1"));
        let begun = Instant::now();
        put(&mut store, "/docs/a", b"hedged").unwrap();
        assert!(begun.elapsed() < Duration::from_millis(2900), "{fault}");
        assert_eq!(get(&mut store, "/docs/a", 0).unwrap(), b"hedged");
        // The one that was delayed opens its fid only now, and its answer is heard by who waits.
        vigil::pause(Duration::from_millis(3200)).unwrap();
        nothing_stays_open(&node);
        node.fault("clear");
    }
}

#[test]
fn a_create_open_that_nobody_answers_ends_in_time_and_leaves_nothing() {
    let node = Node::of_two_trackers();
    let mut own = impatient();
    own.hedge_timeout = Duration::from_millis(100);
    let layout = Box::new(Classes::new("d"));
    let mut store = store_at(node.trackers.clone(), layout, own);
    node.fault("late cmd=create_open ms=1500 count=2");
    let failed = put(&mut store, "/docs/a", b"x");
    assert!(matches!(failed, Err(Error::Unavailable(_))), "{failed:?}");
    nothing_stays_open(&node);
    put(&mut store, "/docs/a", b"y").unwrap();
}

/// A store of two trackers that are waited for longer than they take over what is asked of them.
fn patient(node: &Node) -> MogileFs {
    let mut own = impatient();
    own.close_timeout = Duration::from_secs(10);
    own.overwrite = Overwrite::Swap;
    store_at(node.trackers.clone(), Box::new(Classes::new("d")), own)
}

/// Whether the file is this, also when whatever takes long has been done.
fn holds(store: &mut MogileFs, name: &str, content: &[u8]) {
    vigil::pause(Duration::from_millis(1000)).unwrap();
    assert_eq!(get(store, name, 0).unwrap(), content);
}

/// Of the old file, which the new one has replaced by then.
#[test]
fn a_tracker_that_deletes_much_later_deletes_nothing_else() {
    let node = Node::of_two_trackers();
    let mut store = patient(&node);
    for trackers in ["count=1", "count=2"] {
        let slowly = || node.fault(&format!("delay cmd=delete ms=800 {trackers}"));
        put(&mut store, "/docs/a", b"old").unwrap();
        slowly();
        put(&mut store, "/docs/a", b"swapped").unwrap();
        holds(&mut store, "/docs/a", b"swapped");
        slowly();
        store.remove(&at("/docs/a")).unwrap();
        put(&mut store, "/docs/a", b"new").unwrap();
        holds(&mut store, "/docs/a", b"new");
        node.fault("clear");
    }
}

/// A file that has got the name of one that was put aside for it, or of one that was renamed.
#[test]
fn a_tracker_that_renames_much_later_renames_nothing_else() {
    let node = Node::of_two_trackers();
    let mut store = patient(&node);
    for trackers in ["count=1", "count=2"] {
        let slowly = || node.fault(&format!("delay cmd=rename ms=800 {trackers}"));
        put(&mut store, "/docs/a", b"old").unwrap();
        put(&mut store, "/docs/b", b"new").unwrap();
        slowly();
        store.rename(&at("/docs/b"), &at("/docs/a")).unwrap();
        holds(&mut store, "/docs/a", b"new");
        slowly();
        store.rename(&at("/docs/a"), &at("/docs/b")).unwrap();
        put(&mut store, "/docs/a", b"next").unwrap();
        store.remove(&at("/docs/b")).unwrap();
        holds(&mut store, "/docs/a", b"next");
        node.fault("clear");
    }
}

#[test]
fn a_hedge_that_fails_leaves_the_first_one_to_answer() {
    let node = Node::of_two_trackers();
    let mut store = hedged(node.trackers.clone());
    node.fault("delay cmd=create_open ms=500 count=1");
    node.fault("close cmd=create_open after=1 count=1");
    put(&mut store, "/docs/a", b"x").unwrap();
    nothing_stays_open(&node);
}

#[test]
fn whoever_of_the_trackers_opens_a_fid_is_found() {
    let two = ["--tracker", "127.0.0.1:0", "--tracker", "127.0.0.1:0"];
    let devices = ["--devices", "2", "--domain", "d:docs"];
    let node = Node::start(&[two, devices].concat());
    for second in ["down", "mute cmd=create_open", "close cmd=create_open"] {
        // A session begins with any of them, with the silent one in one of three.
        for _ in 0..9 {
            let mut store = hedged(node.trackers.clone());
            node.fault("mute cmd=create_open tracker=1");
            node.fault(&format!("{second} tracker=2"));
            let begun = Instant::now();
            put(&mut store, "/docs/a", second.as_bytes()).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(10), "{second}");
            node.fault("clear");
        }
    }
    nothing_stays_open(&node);
}

#[test]
fn a_rename_onto_a_name_never_makes_a_tracker_answer_twice() {
    let cluster = Cluster::faulty();
    let mut store = classes(&cluster, settings());
    cluster.node().fault("stray");
    for round in 0..20 {
        put(&mut store, "/docs/a", format!("{round}").as_bytes()).unwrap();
        put(&mut store, "/docs/b", b"old").unwrap();
        store.rename(&at("/docs/a"), &at("/docs/b")).unwrap();
        assert_eq!(
            get(&mut store, "/docs/b", 0).unwrap(),
            format!("{round}").as_bytes()
        );
    }
    let calls = cluster.node().report("!calls");
    assert!(calls.contains(&"rename-strays 0".to_owned()), "{calls:?}");
}

/// As a client does that is not answered in time, connects again and tells the daemon once more.
#[test]
fn a_file_that_two_give_the_same_name_at_once_has_it() {
    for ms in [50, 700] {
        let cluster = Cluster::faulty();
        let node = cluster.node();
        let rename = || classes(&cluster, settings()).rename(&at("/docs/part"), &at("/docs/a"));
        let mut store = classes(&cluster, settings());
        put(&mut store, "/docs/a", b"old").unwrap();
        put(&mut store, "/docs/part", b"new").unwrap();
        node.fault(&format!("delay cmd=delete,rename ms={ms} count=1"));
        let (slow, quick) = std::thread::scope(|scope| {
            let slow = scope.spawn(rename);
            eventually("the slow one has begun to change something", || {
                let calls = node.report("!calls");
                let is_change = |call: &String| call == "delete 1" || call == "rename 1";
                calls.iter().any(is_change).then_some(())
            });
            let quick = rename();
            (slow.join().unwrap(), quick)
        });
        assert!(slow.is_ok() || quick.is_ok(), "{slow:?} {quick:?}");
        assert_eq!(cluster.keys(), ["docs/a"], "{slow:?} {quick:?}");
        assert_eq!(cluster.content("docs/a").unwrap(), b"new");
    }
}

#[test]
fn what_was_to_be_replaced_has_its_name_again_when_that_fails() {
    let cluster = Cluster::faulty();
    let mut store = classes(&cluster, settings());
    put(&mut store, "/docs/a", b"old").unwrap();
    put(&mut store, "/docs/b", b"new").unwrap();
    cluster
        .node()
        .fault("err code=plugin_aborted cmd=rename after=1 count=1");
    let renamed = store.rename(&at("/docs/b"), &at("/docs/a"));
    assert!(matches!(renamed, Err(Error::Denied)), "{renamed:?}");
    assert_eq!(cluster.keys(), ["docs/a", "docs/b"]);
    assert_eq!(cluster.content("docs/a").unwrap(), b"old");
    store.rename(&at("/docs/b"), &at("/docs/a")).unwrap();
    assert_eq!(cluster.keys(), ["docs/a"]);
    assert_eq!(cluster.content("docs/a").unwrap(), b"new");
}

#[test]
fn what_others_have_removed_is_not_put_back() {
    let cluster = Cluster::faulty();
    let node = cluster.node();
    let mut store = classes(&cluster, settings());
    put(&mut store, "/docs/a", b"old").unwrap();
    put(&mut store, "/docs/b", b"new").unwrap();
    node.fault("delay cmd=rename ms=700 after=1 count=1");
    let begun = Instant::now();
    let renamed = std::thread::scope(|scope| {
        let rename = || classes(&cluster, settings()).rename(&at("/docs/b"), &at("/docs/a"));
        let slow = scope.spawn(rename);
        eventually("the old one is put aside", || {
            let calls = node.report("!calls");
            calls.contains(&"rename 2".to_owned()).then_some(())
        });
        for key in cluster.keys() {
            cluster.call("delete", &[("key", key.as_bytes())]).unwrap();
        }
        cluster.put("docs/a", "docs", b"another");
        slow.join().unwrap()
    });
    assert!(renamed.is_err(), "{renamed:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{renamed:?}");
    assert_eq!(cluster.keys(), ["docs/a"]);
    assert_eq!(cluster.content("docs/a").unwrap(), b"another");
}

#[test]
fn the_second_line_of_anothers_rename_is_no_answer_of_ours() {
    let cluster = Cluster::faulty();
    let mut store = classes(&cluster, impatient());
    put(&mut store, "/docs/a", b"a").unwrap();
    put(&mut store, "/docs/b", b"b").unwrap();
    cluster.node().fault("stray");
    for _ in 0..10 {
        // Somebody less careful.
        let _ = cluster.call("rename", &[("from_key", b"docs/a"), ("to_key", b"docs/b")]);
        assert_eq!(get(&mut store, "/docs/a", 0).unwrap(), b"a");
        put(&mut store, "/docs/c", b"c").unwrap();
    }
    nothing_stays_open(cluster.node());
}

#[test]
fn who_stores_the_same_name_at_once_leaves_one_whole_file() {
    let cluster = Cluster::faulty();
    let contents: Vec<Vec<u8>> = (0..4).map(|seed| noise(150_000, seed)).collect();
    for round in 0..5 {
        std::thread::scope(|scope| {
            for content in &contents {
                let cluster = &cluster;
                scope.spawn(move || {
                    let mut store = classes(cluster, settings());
                    put(&mut store, "/docs/a", content).unwrap();
                });
            }
        });
        let left = cluster.content("docs/a").unwrap();
        assert!(contents.contains(&left), "round {round}");
        assert_eq!(cluster.keys(), ["docs/a"]);
        nothing_stays_open(cluster.node());
    }
}

#[test]
fn a_close_that_collides_is_found_out_and_made_again() {
    let cluster = Cluster::faulty();
    for code in ["failure", "db", "dup"] {
        let mut store = classes(&cluster, impatient());
        cluster
            .node()
            .fault(&format!("err cmd=create_close code={code} count=2"));
        let stored = put(&mut store, "/docs/a", code.as_bytes());
        cluster.node().fault("clear");
        stored.unwrap();
        assert_eq!(cluster.content("docs/a").unwrap(), code.as_bytes());
        nothing_stays_open(cluster.node());
    }
}

#[test]
fn a_short_file_with_one_bad_copy_comes_from_the_good_one() {
    let cluster = Cluster::faulty();
    cluster.make_summed("summed", b"2");
    let mut store = classes(&cluster, settings());
    let content = noise(5000, 3);
    put(&mut store, "/summed/a", &content).unwrap();
    eventually("it has two copies", || {
        let paths = cluster.call("get_paths", &[("key", b"summed/a")]);
        (paths.ok()?["paths"] == b"2").then_some(())
    });
    cluster.node().fault("corrupt at=4000 method=GET count=1");
    assert!(get(&mut store, "/summed/a", 0).unwrap() == content);
    assert!(cluster.node().has_struck());
}

/// Of a long file nobody can take back what was given.
#[test]
fn a_copy_that_was_found_to_be_bad_is_read_by_nobody_again() {
    let cluster = Cluster::faulty();
    cluster.make_summed("summed", b"2");
    let lore = Shared::default();
    let session = || classes(&cluster, settings()).sharing(lore.clone());
    let content = noise(90_000, 3);
    put(&mut session(), "/summed/a", &content).unwrap();
    let paths = eventually("it has two copies", || {
        let paths = cluster.call("get_paths", &[("key", b"summed/a")]).ok()?;
        (paths["paths"] == b"2").then_some(paths)
    });
    let path = String::from_utf8(paths["path1"].clone()).unwrap();
    let device = path
        .split("/dev")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    cluster
        .node()
        .fault(&format!("corrupt at=4000 method=GET dev={device}"));
    let is_read = || {
        let mut bytes = Vec::new();
        let Ok(Body::Stream(mut stream, _)) = session().open(&at("/summed/a"), 0) else {
            panic!("it cannot be opened, or is a file of the kernel");
        };
        stream.read_to_end(&mut bytes).is_ok()
    };
    // The tracker names them in any order.
    eventually("the bad one is read", || (!is_read()).then_some(()));
    assert!((0..20).all(|_| is_read()));
}

#[test]
fn bytes_that_are_not_those_of_the_file_are_never_a_whole_file() {
    let cluster = Cluster::faulty();
    cluster.make_summed("summed", b"1");
    let mut store = classes(&cluster, settings());
    for size in [5000, 90_000] {
        let content = noise(size, 3);
        put(&mut store, "/summed/a", &content).unwrap();
        let info = cluster.call("file_info", &[("key", b"summed/a")]).unwrap();
        assert!(info["checksum"].starts_with(b"MD5:"), "{info:?}");
        assert!(get(&mut store, "/summed/a", 0).unwrap() == content);
        cluster.node().fault("corrupt at=4000 method=GET");
        match store.open(&at("/summed/a"), 0) {
            Err(error) => assert!(matches!(error, Error::Broken(_)), "{error}"),
            Ok(Body::Stream(mut stream, _)) => {
                let mut got = Vec::new();
                stream.read_to_end(&mut got).unwrap_err();
                assert!(got.len() < size);
            }
            Ok(Body::File(..)) => panic!("a file of the kernel"),
        }
        cluster.node().fault("clear");
    }
}
