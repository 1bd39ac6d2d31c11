//! What goes wrong between the daemon and MogileFS, or the client, during a transfer: never a 226
//! for what is not stored, nothing listed of what failed, and the session goes on. The faults are
//! the test node's, so these run on a node of their own whatever tracker the others use.
#![cfg(test)]

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use support::{Cluster, Daemon, Ftp, eventually, noise};

/// Patience of the daemon, shrunk: what is asked of it is that it ends, not how late. Who is alive must not
/// be taken for dead because the machine is busy.
const SHORT: [(&str, &str); 8] = [
    ("mogilefs.timeout", "1"),
    ("mogilefs.request_timeout", "1500ms"),
    ("mogilefs.admin_timeout", "1500ms"),
    ("mogilefs.open_timeout", "1500ms"),
    ("mogilefs.close_timeout", "1500ms"),
    ("mogilefs.read_timeout", "1500ms"),
    ("mogilefs.write_timeout", "1500ms"),
    ("mogilefs.store_timeout", "1500ms"),
];

/// Tries each of them. Most of the time is spent waiting, so a few are tried at once.
fn try_all<T: Sync>(all: &[T], try_one: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    try_one(one);
                }
            });
        }
    });
}

/// The session still answers, and once the trouble is over an upload works.
fn goes_on(cluster: &Cluster, ftp: &mut Ftp) {
    assert!(cluster.node().has_struck());
    cluster.node().fault("clear");
    ftp.expect("NOOP", 200);
    assert_eq!(
        cluster.keys(),
        [""; 0],
        "something of a failed upload is listed"
    );
    assert_eq!(ftp.lines("NLST /photos"), [""; 0]);
    ftp.store("/photos/after", b"all is well again");
    assert_eq!(
        cluster.content("photos/after").unwrap(),
        b"all is well again"
    );
}

#[test]
fn a_failed_upload_is_never_confirmed_nor_seen() {
    let large = noise(6_000_000, 5);
    let faults: [(&str, &[&str]); 11] = [
        ("every device refuses", &["refuse"]),
        ("every device stalls at once", &["freeze method=PUT"]),
        ("every device stalls midway", &["stall method=PUT at=3000"]),
        ("every device is cut midway", &["cut method=PUT at=3000"]),
        ("every device resets", &["cut method=PUT at=3000 rst=1"]),
        ("every device answers 500", &["status method=PUT code=500"]),
        ("every device loses the end", &["lose-put at=3000"]),
        ("no device is free", &["no-devices"]),
        (
            "the tracker refuses create_open",
            &["err cmd=create_open code=failure"],
        ),
        (
            "the tracker refuses create_close",
            &["err cmd=create_close code=failure"],
        ),
        (
            "the tracker never answers create_open",
            &["mute cmd=create_open"],
        ),
    ];
    try_all(&faults, |(what, faults)| {
        for content in [&large[..10_000], &large] {
            let cluster = Cluster::faulty();
            let daemon = Daemon::on(&cluster, &SHORT);
            let mut ftp = daemon.log_in();
            for fault in *faults {
                cluster.node().fault(fault);
            }
            let (code, text) = ftp.give("STOR /photos/lost", content);
            assert!((400..600).contains(&code), "{what}: {text}");
            goes_on(&cluster, &mut ftp);
        }
    });
}

#[test]
fn a_tracker_that_vanishes_before_create_close_confirms_nothing() {
    for fault in ["close cmd=create_close", "mute cmd=create_close"] {
        let cluster = Cluster::faulty();
        let daemon = Daemon::on(&cluster, &SHORT);
        let mut ftp = daemon.log_in();
        cluster.node().fault(fault);
        let (code, text) = ftp.give("STOR /photos/lost", b"nobody will know");
        assert!((400..600).contains(&code), "{fault}: {text}");
        goes_on(&cluster, &mut ftp);
    }
}

#[test]
fn a_tracker_that_is_gone_at_the_end_of_an_upload_confirms_nothing() {
    let cluster = Cluster::faulty();
    let daemon = Daemon::on(&cluster, &SHORT);
    let mut ftp = daemon.log_in();
    let data = ftp.data();
    ftp.expect("STOR /photos/lost", 150);
    cluster.node().fault("down");
    let mut stream = data.stream();
    stream.write_all(b"nobody will know").unwrap();
    drop(stream);
    let (code, text) = ftp.reply();
    assert!((400..600).contains(&code), "{text}");
    goes_on(&cluster, &mut ftp);
}

#[test]
fn a_client_that_resets_its_data_connection_stores_nothing() {
    let cluster = Cluster::start();
    cluster.put("photos/old", "photos", b"the old content");
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    for name in ["new", "old"] {
        let data = ftp.data();
        ftp.expect(&format!("STOR /photos/{name}"), 150);
        let mut stream = data.stream();
        stream.write_all(&noise(100_000, 1)).unwrap();
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(stream);
        ftp.reply_of(426);
    }
    assert_eq!(cluster.keys(), ["photos/old"]);
    assert_eq!(cluster.content("photos/old").unwrap(), b"the old content");
    ftp.store("/photos/new", b"x");
}

#[test]
fn a_client_that_vanishes_stores_nothing() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    let data = ftp.data();
    ftp.expect("STOR /photos/new", 150);
    let mut stream = data.stream();
    stream.write_all(&noise(100_000, 1)).unwrap();
    SockRef::from(ftp.control())
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    let worker = daemon.worker("STOR");
    drop(ftp);
    drop(stream);
    eventually("the worker leaves", || {
        (!daemon.children().contains_key(&worker)).then_some(())
    });
    assert_eq!(cluster.keys(), [""; 0]);
}

#[test]
fn a_client_that_vanishes_while_a_fid_is_opened_leaves_it_to_nobody() {
    let cluster = Cluster::faulty();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    let data = ftp.data();
    ftp.expect("STOR /photos/new", 150);
    cluster.node().fault("late cmd=create_open ms=100 count=1");
    drop(data.stream());
    eventually("the fid", || {
        (!cluster.node().temp_rows().is_empty()).then_some(())
    });
    drop(ftp);
    eventually("it is given back", || {
        cluster.node().temp_rows().is_empty().then_some(())
    });
    assert_eq!(cluster.keys(), [""; 0]);
}

#[test]
fn an_upload_that_is_aborted_at_any_step_stores_nothing_and_keeps_no_room() {
    let content = noise(300_000, 6);
    for upload in ["spool", "tee"] {
        let cluster = Cluster::faulty();
        let keys = [
            ("mogilefs.upload", upload),
            ("mogilefs.spool_mem", "64K"),
            ("mogilefs.spool_max", "100M"),
            ("mogilefs.hedge_timeout", "30"),
        ];
        let daemon = Daemon::on(&cluster, &keys);
        let mut ftp = daemon.log_in();
        ftp.expect("TYPE I", 200);
        for faults in [
            &["mute cmd=create_open"][..],
            &["freeze method=PUT"],
            &["stall method=PUT at=1000"],
            &["stall method=PUT at=299999"],
            &["hang-reply"],
            // When another node has failed already.
            &["cut method=PUT at=9 count=1", "freeze method=PUT after=1"],
            &["hang-reply close=1 count=1", "hang-reply after=1"],
            &[
                "cut method=PUT at=200000 count=1",
                "mute cmd=create_open after=1",
            ],
        ] {
            for fault in faults {
                cluster.node().fault(fault);
            }
            let data = ftp.data();
            ftp.expect("STOR /photos/a", 150);
            let mut stream = data.stream();
            stream.write_all(&content).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            eventually(&format!("{upload}: {faults:?}"), || {
                cluster.node().has_struck().then_some(())
            });
            ftp.send(b"ABOR\r\n");
            ftp.reply_of(426);
            ftp.reply_of(226);
            cluster.node().fault("clear");
            assert_eq!(cluster.keys(), [""; 0], "{upload}: {faults:?}");
            assert_eq!(cluster.node().temp_rows(), [""; 0], "{upload}: {faults:?}");
            eventually("its room is given back", || {
                let (_, figures, _) = daemon.order(&["status", "--prometheus"]);
                let none = "\nnanoftpd_spool_leased_bytes 0\n";
                figures.contains(none).then_some(())
            });
        }
    }
}

#[test]
fn one_bad_device_is_no_trouble() {
    let content = noise(200_000, 9);
    let faults = [
        "refuse dev=1",
        "freeze dev=1",
        "stall dev=1 at=3000",
        "cut dev=1 at=3000",
    ];
    try_all(&faults, |fault| {
        let cluster = Cluster::faulty();
        let daemon = Daemon::on(&cluster, &SHORT);
        let mut ftp = daemon.log_in();
        cluster.node().fault(fault);
        for number in 0..6 {
            ftp.store(&format!("/photos/{number}"), &content);
        }
        cluster.node().fault("clear");
        for number in 0..6 {
            assert!(
                cluster.content(&format!("photos/{number}")).unwrap() == content,
                "{fault}"
            );
        }
    });
}

#[test]
fn a_failed_download_is_never_complete() {
    let faults = [
        "refuse",
        "freeze method=GET",
        "stall method=GET at=3000",
        "cut method=GET at=3000",
    ];
    try_all(&faults, |fault| {
        let cluster = Cluster::faulty();
        cluster.put("photos/a", "photos", &noise(400_000, 1));
        let daemon = Daemon::on(&cluster, &SHORT);
        let mut ftp = daemon.log_in();
        ftp.expect("TYPE I", 200);
        cluster.node().fault(fault);
        let data = ftp.data();
        ftp.send(b"RETR /photos/a\r\n");
        let (first, text) = ftp.reply();
        let mut got = Vec::new();
        if first == 150 {
            let _ = data.stream().read_to_end(&mut got);
            let (code, text) = ftp.reply();
            assert!((400..600).contains(&code), "{fault}: {text}");
        } else {
            assert!((400..600).contains(&first), "{fault}: {text}");
        }
        assert!(got.len() < 400_000, "{fault}");
        assert!(cluster.node().has_struck());
        cluster.node().fault("clear");
        assert_eq!(ftp.fetch("RETR /photos/a").len(), 400_000, "{fault}");
    });
}
