//! Trackers and nodes that fail: gone round, or told.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nanoftpd::config::Network;
use nanoftpd::store::mogile::layout::Classes;
use nanoftpd::store::{Body, Error, Plan, Store};
use nanoftpd::vigil;

use super::names;
use crate::support;
use crate::support::stores::{at, classes, get, impatient, put, put_twice, settings, store_at};
use crate::support::{Cluster, eventually, noise};

#[test]
fn an_upload_goes_round_what_fails_once() {
    let cluster = Cluster::faulty();
    for fault in [
        "refuse dev=1",
        "refuse dev=2",
        "status method=PUT code=500 count=1",
        "status method=PUT code=404 early=1 count=1",
        "status method=PUT code=507 count=2",
        "cut method=PUT at=3000 count=1",
        "cut method=PUT at=3000 rst=1 count=2",
        "stall method=PUT at=3000 count=1",
        "freeze method=PUT count=1",
        "hang-reply count=1",
        "lose-put at=3 count=1",
        "err cmd=create_open code=failure count=1",
        "err cmd=create_close code=failure count=1",
        "err cmd=create_close code=db count=1",
        "mute cmd=create_open count=1",
        "close cmd=create_open count=1",
        "lose-reply cmd=create_open count=1",
        "close cmd=create_close count=1",
        "lose-reply cmd=create_close count=1",
        "mute cmd=create_close count=1",
        "no-temp-file count=1",
        "no-temp-file after-commit=1 count=1",
        "wrong-callid cmd=create_close count=1",
        "wrong-callid cmd=create_open count=1",
        "garbage cmd=create_open count=1",
        "double cmd=get_domains count=1",
        "double cmd=create_open count=1",
        "cut-reply cmd=create_open at=20 count=1",
        "cut-reply cmd=create_close at=1 count=1",
        "flood cmd=create_open count=1",
    ] {
        for size in [0, 5000, 300_000] {
            let mut store = classes(&cluster, impatient());
            put(&mut store, "/docs/a", b"before").unwrap();
            let content = noise(size, 3);
            cluster.node().fault(fault);
            let result = put(&mut store, "/docs/a", &content);
            cluster.node().fault("clear");
            assert!(result.is_ok(), "{fault}, {size} bytes: {result:?}");
            assert!(
                cluster.content("docs/a").unwrap() == content,
                "{fault}, {size} bytes"
            );
            assert_eq!(cluster.keys(), ["docs/a"], "{fault}");
        }
    }
}

#[test]
fn a_download_goes_on_from_another_copy_at_the_same_byte() {
    let cluster = Cluster::faulty();
    let content = noise(3_000_000, 11);
    put_twice(&cluster, &mut classes(&cluster, settings()), &content);
    for faults in [
        &["refuse dev=1"][..],
        &["refuse dev=2"],
        &["refuse dev=3"],
        &["reset method=GET count=1"],
        &["freeze method=GET count=1"],
        &["status method=GET code=404 count=1"],
        &["status method=GET code=500 count=2"],
        &["cut method=GET at=0 count=1"],
        &["cut method=GET at=100000 count=1"],
        &["cut method=GET at=100000 count=2"],
        &["cut method=GET at=100000 rst=1 count=1"],
        // Never more than so much at once, from anybody, but always some.
        &["cut method=GET at=700000"],
        &["stall method=GET at=0 count=1"],
        &["stall method=GET at=100000 count=1"],
        &["wrong-length count=1"],
        &["short at=5 count=1"],
        &["no-length count=1"],
        &[
            "cut method=GET at=100000 count=1",
            "no-range after=1 count=1",
        ],
        &[
            "cut method=GET at=100000 count=1",
            "short at=9 after=1 count=1",
        ],
        &["paths-zero count=1"],
        &["mute cmd=get_paths count=1"],
        &["err cmd=get_paths code=failure count=1"],
        &["lose-reply cmd=file_info count=1"],
    ] {
        for offset in [0, 1_234_567] {
            let mut store = classes(&cluster, impatient());
            for fault in faults {
                cluster.node().fault(fault);
            }
            let result = get(&mut store, "/twice/a", offset);
            cluster.node().fault("clear");
            let got = result.unwrap_or_else(|error| panic!("{faults:?} from {offset}: {error}"));
            let start = usize::try_from(offset).unwrap();
            assert!(got == content[start..], "{faults:?} from {offset}");
        }
    }
}

#[test]
fn a_download_goes_on_where_nobody_can_be_asked() {
    let cluster = Cluster::faulty();
    let content = noise(3_000_000, 12);
    let mut store = classes(&cluster, impatient());
    put(&mut store, "/docs/a", &content).unwrap();
    // Its one copy breaks off, and there is no tracker.
    cluster.node().fault("cut method=GET at=1000000 count=2");
    let Ok(Body::Stream(mut stream, _)) = store.open(&at("/docs/a"), 0) else {
        panic!("no stream");
    };
    let mut got = vec![0; 1000];
    stream.read_exact(&mut got).unwrap();
    cluster.node().fault("down");
    let read = stream.read_to_end(&mut got);
    cluster.node().fault("clear");
    read.unwrap();
    assert!(got == content);
}

#[test]
fn a_file_that_is_replaced_before_its_first_byte_is_the_new_one() {
    let cluster = Cluster::faulty();
    let mut store = classes(&cluster, settings());
    for (gone, offset) in [(false, 0), (false, 3), (true, 0)] {
        put(&mut store, "/docs/a", b"the old one").unwrap();
        // It is another file when the tracker has said which it is and not yet where.
        cluster.node().fault("delay cmd=get_paths ms=1500 count=1");
        let opened = std::thread::scope(|scope| {
            scope.spawn(|| {
                eventually("it is asked where it is", || {
                    cluster.node().has_struck().then_some(())
                });
                match gone {
                    true => drop(cluster.call("delete", &[("key", b"docs/a")]).unwrap()),
                    false => cluster.put("docs/a", "docs", b"new"),
                }
            });
            get(&mut store, "/docs/a", offset)
        });
        cluster.node().fault("clear");
        match opened {
            Ok(got) => assert!(!gone && got == b"new"[usize::try_from(offset).unwrap()..]),
            Err(error) => assert!(gone && matches!(error, Error::NotFound), "{error}"),
        }
    }
}

#[test]
fn a_file_that_nobody_can_give_is_an_error_and_not_an_end() {
    let cluster = Cluster::faulty();
    let content = noise(300_000, 13);
    put_twice(&cluster, &mut classes(&cluster, settings()), &content);
    for fault in [
        "refuse",
        "paths-zero",
        "status method=GET code=404",
        "cut method=GET at=0",
        "short at=299999",
        "wrong-length",
        "stall method=GET at=0",
    ] {
        let mut store = classes(&cluster, impatient());
        cluster.node().fault(fault);
        let opened = store.open(&at("/twice/a"), 0);
        cluster.node().fault("clear");
        assert!(matches!(opened, Err(Error::Unavailable(_))), "{fault}");
    }
    for fault in ["cut method=GET at=100000", "stall method=GET at=100000"] {
        let mut store = classes(&cluster, impatient());
        cluster.node().fault(fault);
        let Ok(Body::Stream(mut stream, _)) = store.open(&at("/twice/a"), 0) else {
            panic!("{fault}");
        };
        // Whatever the copies give at most, together they never reach the end.
        cluster.node().fault("refuse lasting=60000");
        let mut got = Vec::new();
        let error = stream.read_to_end(&mut got);
        cluster.node().fault("clear");
        assert!(error.is_err(), "{fault}");
        assert!(got == content[..got.len()], "{fault}");
    }
}

#[test]
fn the_bytes_of_two_versions_are_never_mixed() {
    let cluster = Cluster::faulty();
    let old = noise(3_000_000, 17);
    put_twice(&cluster, &mut classes(&cluster, settings()), &old);
    let mut store = classes(&cluster, impatient());
    cluster.node().fault("cut method=GET at=1000000");
    let Ok(Body::Stream(mut stream, _)) = store.open(&at("/twice/a"), 0) else {
        panic!("no stream");
    };
    let mut some = [0; 1000];
    stream.read_exact(&mut some).unwrap();
    cluster.put("twice/a", "twice", &noise(3_000_000, 18));
    cluster.node().fault("status method=GET code=404");
    let mut got = some.to_vec();
    let error = stream.read_to_end(&mut got).unwrap_err();
    assert!(error.to_string().contains("replaced"), "{error}");
    assert!(got == old[..got.len()]);
}

#[test]
fn another_tracker_does_when_one_does_not() {
    let node = support::Node::of_two_trackers();
    assert_eq!(node.trackers.len(), 2);
    for fault in ["down", "mute", "close", "garbage", "wrong-callid"] {
        for tracker in [1, 2] {
            for order in [[0, 1], [1, 0]] {
                let trackers = order.map(|at| node.trackers[at]).to_vec();
                let layout = Box::new(Classes::new("d"));
                let mut store = store_at(trackers, layout, impatient());
                node.fault(&format!("{fault} tracker={tracker}"));
                let what = format!("{fault} {tracker} {order:?}");
                put(&mut store, "/docs/a", what.as_bytes()).unwrap();
                assert_eq!(get(&mut store, "/docs/a", 0).unwrap(), what.as_bytes());
                assert_eq!(names(&mut store, "/docs"), ["a"], "{what}");
                store.rename(&at("/docs/a"), &at("/docs/b")).unwrap();
                store.remove(&at("/docs/b")).unwrap();
                node.fault("clear");
            }
        }
    }
    node.fault("down");
    let layout = Box::new(Classes::new("d"));
    let store = store_at(node.trackers.clone(), layout, impatient());
    for _ in 0..2 {
        assert!(matches!(store.check(), Err(Error::Unavailable(_))));
    }
    node.fault("clear");
    store.check().unwrap();
}

#[test]
fn a_change_whose_answer_is_lost_is_made_once_and_told() {
    let cluster = Cluster::faulty();
    for fault in ["lose-reply", "close", "mute", "wrong-callid", "garbage"] {
        let mut store = classes(&cluster, impatient());
        put(&mut store, "/docs/a", b"1").unwrap();
        let strike = |command: &str| {
            cluster
                .node()
                .fault(&format!("{fault} cmd={command} count=1"));
        };
        strike("rename");
        store.rename(&at("/docs/a"), &at("/docs/b")).unwrap();
        assert_eq!(cluster.keys(), ["docs/b"], "{fault}");
        strike("delete");
        store.remove(&at("/docs/b")).unwrap();
        assert_eq!(cluster.keys(), [""; 0], "{fault}");
        strike("create_class");
        store.make_dir(&at("/new")).unwrap();
        strike("delete_class");
        store.remove_dir(&at("/new")).unwrap();
        assert_eq!(cluster.classes(), ["docs", "photos"], "{fault}");
    }
}

#[test]
fn what_nobody_knows_is_not_taken_for_what_is_not_there() {
    let cluster = Cluster::faulty();
    for key in ["docs/from/a", "docs/to/b"] {
        cluster.put(key, "docs", b"x");
    }
    // It is not known whether there is a directory of that name; asked for once more it is.
    let unknown = "err cmd=list_keys code=failure count=2";
    let mut store = classes(&cluster, impatient());
    cluster.node().fault(unknown);
    let stat = store.stat(&at("/docs/from"));
    assert!(matches!(stat, Err(Error::Unavailable(_))), "{stat:?}");
    cluster.node().fault("clear");
    cluster.node().fault(&format!("{unknown} after=1"));
    let renamed = store.rename(&at("/docs/from"), &at("/docs/to"));
    assert!(matches!(renamed, Err(Error::Unavailable(_))), "{renamed:?}");
    cluster.node().fault("clear");
    assert_eq!(cluster.keys(), ["docs/from/a", "docs/to/b"]);
}

#[test]
fn what_was_stored_can_be_read_where_a_data_base_lags_behind() {
    let cluster = Cluster::faulty();
    let mut store = classes(&cluster, impatient());
    put(&mut store, "/docs/a", b"stored").unwrap();
    let lags = "err cmd=file_info,get_paths code=unknown_key";
    cluster.node().fault(&format!("{lags} count=7"));
    assert_eq!(get(&mut store, "/docs/a", 0).unwrap(), b"stored");
    assert!(cluster.node().has_struck());
    cluster.node().fault("clear");
    // Somebody else has removed it: that is no lag.
    cluster.call("delete", &[("key", b"docs/a")]).unwrap();
    let gone = get(&mut store, "/docs/a", 0);
    assert!(matches!(gone, Err(Error::NotFound)), "{gone:?}");
}

#[test]
fn only_nodes_in_the_storage_networks_are_contacted() {
    let cluster = Cluster::start();
    cluster.put("docs/a", "docs", b"1");
    let network = |text: &str, bits| Network {
        address: text.parse().unwrap(),
        bits,
    };
    let mut fenced = settings();
    fenced.storage = vec![network("192.0.2.0", 24), network("::1", 128)];
    let mut store = classes(&cluster, fenced.clone());
    assert!(get(&mut store, "/docs/a", 0).is_err());
    assert!(put(&mut store, "/docs/b", b"2").is_err());
    assert_eq!(cluster.keys(), ["docs/a"]);
    fenced.storage.push(network("127.0.0.0", 8));
    let mut store = classes(&cluster, fenced);
    assert_eq!(get(&mut store, "/docs/a", 0).unwrap(), b"1");
    put(&mut store, "/docs/b", b"2").unwrap();
}

#[test]
fn a_bystander_ends_a_transfer_that_hangs_and_nothing_is_left() {
    let cluster = Cluster::faulty();
    let mut store = classes(&cluster, settings());
    put(&mut store, "/docs/a", b"12345").unwrap();
    for fault in ["freeze method=PUT", "hang-reply", "mute cmd=create_open"] {
        let mut store = classes(&cluster, settings());
        store.may_put(&at("/docs/b"), &Plan::default()).unwrap();
        cluster.node().fault(fault);
        let (mut bell, ear) = UnixStream::pair().unwrap();
        let ringer = std::thread::spawn(move || {
            // Time for the transfer to hang; what rings earlier ends it all the same.
            std::thread::sleep(Duration::from_millis(100));
            bell.write_all(b"1").unwrap();
        });
        let watch = vigil::watch(ear.as_fd(), || vigil::Verdict::Leave).unwrap();
        let result = store.put(&at("/docs/b"), &mut &b"2"[..], &Plan::default());
        assert!(matches!(result, Err(Error::Interrupted)), "{fault}");
        drop(watch);
        ringer.join().unwrap();
        cluster.node().fault("clear");
        assert_eq!(cluster.keys(), ["docs/a"], "{fault}");
    }
}
