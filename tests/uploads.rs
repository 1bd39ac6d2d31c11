//! Uploads to a MogileFS, by the store alone: what is added to an old file, what stands in the way,
//! and what is stored while it still comes. Of nothing that failed is there a trace.
#![cfg(test)]

mod support;

use std::collections::VecDeque;
use std::io::{self, Read};
use std::time::Duration;

use nanoftpd::config::{Mogilefs, Overwrite, Upload};
use nanoftpd::store::mogile::MogileFs;
use nanoftpd::store::{At, Error, Plan, Receipt, Source, Store};
use support::stores::{at, classes, impatient, put, put_twice, settings};
use support::{Cluster, eventually, noise};

/// A client: what it sends, piece by piece, and where it falls silent.
struct Client(VecDeque<Step>);

enum Step {
    Bytes(Vec<u8>),
    /// Longer than anybody waits.
    Silence,
    Reset,
    /// Something that is to happen now.
    Event(Box<dyn FnOnce()>),
}

impl Client {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(steps.into_iter().collect())
    }

    /// `bytes`, in pieces of so many.
    fn pieces(bytes: &[u8], size: usize) -> impl Iterator<Item = Step> {
        bytes.chunks(size).map(|piece| Step::Bytes(piece.to_vec()))
    }
}

impl Read for Client {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.pop_front() {
                None => return Ok(0),
                Some(Step::Silence) => {}
                Some(Step::Event(happen)) => happen(),
                Some(Step::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
                Some(Step::Bytes(mut bytes)) => {
                    let rest = bytes.split_off(bytes.len().min(buf.len()));
                    buf[..bytes.len()].copy_from_slice(&bytes);
                    if !rest.is_empty() {
                        self.0.push_front(Step::Bytes(rest));
                    }
                    return Ok(bytes.len());
                }
            }
        }
    }
}

impl Source for Client {
    fn is_ready(&mut self, _limit: Duration) -> io::Result<bool> {
        let silent = matches!(self.0.front(), Some(Step::Silence));
        if silent {
            self.0.pop_front();
        }
        Ok(!silent)
    }
}

fn tee() -> Mogilefs {
    let mut settings = impatient();
    settings.upload = Upload::Tee;
    settings
}

fn add(store: &mut MogileFs, path: &str, at_: At, content: &[u8]) -> Result<Receipt, Error> {
    let plan = Plan {
        at: at_,
        size: None,
    };
    store.may_put(&at(path), &plan)?;
    store.put(&at(path), &mut &content[..], &plan)
}

fn no_trace(cluster: &Cluster) {
    eventually("no upload is left open", || {
        cluster.node().temp_rows().is_empty().then_some(())
    });
}

#[test]
fn d11_what_is_appended_is_there_and_so_is_the_old() {
    let cluster = Cluster::start();
    for (size, more) in [(0, 10), (10, 0), (150_000, 7), (150_000, 300_000)] {
        let (old, new) = (noise(size, 1), noise(more, 2));
        for upload in [Upload::Spool, Upload::Tee] {
            let mut own = settings();
            own.upload = upload;
            let mut store = classes(&cluster, own);
            let before = put(&mut store, "/docs/a", &old).unwrap();
            let receipt = add(&mut store, "/docs/a", At::End, &new).unwrap();
            assert_eq!(receipt.bytes, more as u64);
            assert_ne!(receipt.fid, Some(before));
            let expected = [&old[..], &new].concat();
            assert!(cluster.content("docs/a").unwrap() == expected);
            assert_eq!(cluster.keys(), ["docs/a"]);
        }
    }
    let mut store = classes(&cluster, settings());
    add(&mut store, "/docs/new", At::End, b"x").unwrap();
    assert_eq!(cluster.content("docs/new").unwrap(), b"x");
}

#[test]
fn an_upload_goes_on_at_any_byte_that_is_there() {
    let cluster = Cluster::start();
    let old = noise(250_000, 3);
    let mut store = classes(&cluster, settings());
    for offset in [0, 1, 100_000, 249_999, 250_000] {
        put(&mut store, "/docs/a", &old).unwrap();
        add(&mut store, "/docs/a", At::Offset(offset as u64), b"end").unwrap();
        let expected = [&old[..offset], b"end"].concat();
        assert!(cluster.content("docs/a").unwrap() == expected, "{offset}");
    }
    put(&mut store, "/docs/dir/f", b"1").unwrap();
    for (path, offset) in [("/docs/a", 250_004), ("/docs/none", 1), ("/docs/dir", 1)] {
        let beyond = add(&mut store, path, At::Offset(offset), b"x");
        assert!(matches!(beyond, Err(Error::BeyondEnd)), "{path}");
    }
    assert_eq!(cluster.keys(), ["docs/a", "docs/dir/f"]);
}

#[test]
fn what_gets_too_large_by_an_append_is_not_stored() {
    let cluster = Cluster::start();
    let mut own = settings();
    own.append_max = 1000;
    let mut store = classes(&cluster, own);
    put(&mut store, "/docs/a", &[7; 900]).unwrap();
    add(&mut store, "/docs/a", At::End, &[8; 100]).unwrap();
    let more = add(&mut store, "/docs/a", At::End, &[9]);
    assert!(matches!(more, Err(Error::TooLarge(_))));
    put(&mut store, "/docs/a", &[7; 1001]).unwrap();
    let refused = store.may_put(
        &at("/docs/a"),
        &Plan {
            at: At::End,
            size: None,
        },
    );
    assert!(matches!(refused, Err(Error::TooLarge(_))));
    assert_eq!(cluster.size("docs/a"), Some(1001));
}

#[test]
fn an_append_to_what_was_replaced_meanwhile_is_not_stored() {
    let cluster = Cluster::start();
    let mut store = classes(&cluster, settings());
    put(&mut store, "/docs/a", b"old").unwrap();
    let mut other = classes(&cluster, settings());
    let replace = move || {
        put(&mut other, "/docs/a", b"another").unwrap();
    };
    let mut client = Client::new([
        Step::Bytes(b"more".to_vec()),
        Step::Event(Box::new(replace)),
        Step::Bytes(b"still more".to_vec()),
    ]);
    let plan = Plan {
        at: At::End,
        size: None,
    };
    let result = store.put(&at("/docs/a"), &mut client, &plan);
    assert!(matches!(result, Err(Error::Broken(_))), "{result:?}");
    assert_eq!(cluster.content("docs/a").unwrap(), b"another");
}

#[test]
fn an_append_survives_a_close_that_takes_the_old_version_with_it() {
    let cluster = Cluster::faulty();
    let mut own = impatient();
    own.request_timeout = support::PATIENCE;
    let mut store = classes(&cluster, own);
    put(&mut store, "/docs/a", b"old").unwrap();
    cluster.node().fault("no-temp-file count=1");
    cluster.node().fault("delay cmd=file_debug ms=1000 count=1");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the close is lost", || {
                let faults = cluster.node().report("!faults");
                let is_struck =
                    |fault: &String| fault.starts_with("no-temp") && !fault.ends_with("hits=0");
                faults.iter().any(is_struck).then_some(())
            });
            cluster.call("delete", &[("key", b"docs/a")]).unwrap();
        });
        add(&mut store, "/docs/a", At::End, b" and new").unwrap();
    });
    assert_eq!(cluster.content("docs/a").unwrap(), b"old and new");
}

#[test]
fn an_old_file_that_cannot_be_read_is_not_appended_to() {
    let cluster = Cluster::faulty();
    let mut store = classes(&cluster, impatient());
    put(&mut store, "/docs/a", b"old").unwrap();
    cluster.node().fault("status method=GET code=404");
    assert!(add(&mut store, "/docs/a", At::End, b"new").is_err());
    cluster.node().fault("clear");
    assert_eq!(cluster.content("docs/a").unwrap(), b"old");
    no_trace(&cluster);
}

#[test]
fn what_is_there_is_replaced_kept_or_swapped() {
    let cluster = Cluster::start();
    for (overwrite, replaces) in [
        (Overwrite::Direct, true),
        (Overwrite::Swap, true),
        (Overwrite::Deny, false),
    ] {
        let mut own = settings();
        own.overwrite = overwrite;
        let mut store = classes(&cluster, own);
        put(&mut classes(&cluster, settings()), "/docs/a", b"old").unwrap();
        put(&mut store, &format!("/docs/{overwrite:?}"), b"first").unwrap();
        for at_ in [At::Start, At::End, At::Offset(1)] {
            let done = add(&mut store, "/docs/a", at_, b"new");
            assert_eq!(done.is_ok(), replaces, "{overwrite:?} {at_:?}: {done:?}");
            assert!(replaces || matches!(done, Err(Error::Exists)));
        }
        let now = cluster.content("docs/a").unwrap();
        let expected: &[u8] = if replaces { b"nnew" } else { b"old" };
        assert_eq!(now, expected, "{overwrite:?}");

        let renamed = store.rename(&at(format!("/docs/{overwrite:?}")), &at("/docs/a"));
        assert_eq!(renamed.is_ok(), replaces, "{overwrite:?}: {renamed:?}");
        let now = cluster.content("docs/a").unwrap();
        let expected: &[u8] = if replaces { b"first" } else { b"old" };
        assert_eq!(now, expected, "{overwrite:?}");
    }
    assert_eq!(cluster.keys(), ["docs/Deny", "docs/a"]);
}

#[test]
fn a_file_is_swapped_however_long_the_name_of_its_directory_is() {
    let cluster = Cluster::played(&["--store", "mysql"]);
    let mut own = settings();
    own.overwrite = Overwrite::Swap;
    let mut store = classes(&cluster, own);
    for dir in [230, 240, 248] {
        let path = format!("/docs/{}/f", "d".repeat(dir));
        put(&mut store, &path, b"old").unwrap();
        put(&mut store, &path, b"new").unwrap();
        assert_eq!(cluster.content(&path[1..]).unwrap(), b"new");
        store.remove(&at(&path)).unwrap();
    }
    assert_eq!(cluster.keys(), [""; 0]);
}

#[test]
fn who_came_first_keeps_the_name_where_nothing_is_replaced() {
    let cluster = Cluster::start();
    let mut own = settings();
    own.overwrite = Overwrite::Deny;
    let mut store = classes(&cluster, own);
    let mut other = classes(&cluster, settings());
    let mut client = Client::new([Step::Event(Box::new(move || {
        put(&mut other, "/docs/a", b"first").unwrap();
    }))]);
    let result = store.put(&at("/docs/a"), &mut client, &Plan::default());
    assert!(matches!(result, Err(Error::Exists)), "{result:?}");
    assert_eq!(cluster.content("docs/a").unwrap(), b"first");
}

#[test]
fn a_swap_whose_answers_are_lost_ends_well() {
    let cluster = Cluster::faulty();
    for fault in ["lose-reply", "close", "mute", "err code=failure"] {
        for command in ["delete", "rename", "create_close"] {
            let mut own = impatient();
            own.overwrite = Overwrite::Swap;
            let mut store = classes(&cluster, own);
            put(&mut store, "/docs/a", b"old").unwrap();
            cluster
                .node()
                .fault(&format!("{fault} cmd={command} count=1"));
            let result = put(&mut store, "/docs/a", b"new");
            cluster.node().fault("clear");
            assert!(result.is_ok(), "{fault} {command}: {result:?}");
            assert_eq!(cluster.content("docs/a").unwrap(), b"new");
            assert_eq!(cluster.keys(), ["docs/a"], "{fault} {command}");
        }
    }
    no_trace(&cluster);
}

#[test]
fn a_swap_never_deletes_what_it_has_put_in_place() {
    let cluster = Cluster::faulty();
    for after in 2..6 {
        let mut own = impatient();
        own.overwrite = Overwrite::Swap;
        let mut store = classes(&cluster, own);
        put(&mut store, "/docs/a", b"old").unwrap();
        // It is renamed, nobody says so, and for a while nobody can be asked.
        let node = cluster.node();
        node.fault("lose-reply cmd=rename count=1");
        let unasked = "err cmd=file_info code=failure count=2";
        node.fault(&format!("{unasked} after={after}"));
        let result = put(&mut store, "/docs/a", b"new");
        node.fault("clear");
        assert!(result.is_ok(), "after {after}: {result:?}");
        assert_eq!(cluster.content("docs/a").unwrap(), b"new");
        assert_eq!(cluster.keys(), ["docs/a"], "after {after}");
    }
    no_trace(&cluster);
}

#[test]
fn an_announced_size_that_no_device_has_room_for_is_refused_at_once() {
    let cluster = Cluster::start();
    let mut store = classes(&cluster, settings());
    let plan = |size| Plan {
        at: At::Start,
        size: Some(size),
    };
    let refused = store.may_put(&at("/docs/a"), &plan(1 << 62));
    assert!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
    store.may_put(&at("/docs/a"), &plan(10_000)).unwrap();
}

#[test]
fn what_was_seen_a_moment_ago_is_no_promise() {
    let cluster = Cluster::faulty();
    let mut store = classes(&cluster, impatient());
    let may = |store: &mut MogileFs| store.may_put(&at("/docs/a"), &Plan::default());
    may(&mut store).unwrap();
    // Nobody answers: that is known before a byte is sent.
    cluster.node().fault("down");
    let refused = may(&mut store);
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    cluster.node().fault("clear");
    may(&mut store).unwrap();
    // The class is gone: what is sent is stored nowhere.
    cluster.call("delete_class", &[("class", b"docs")]).unwrap();
    let refused = put(&mut store, "/docs/a", b"lost");
    assert!(matches!(refused, Err(Error::BadName(_))), "{refused:?}");
    assert!(cluster.keys().is_empty());
    no_trace(&cluster);
}

#[test]
fn copies_are_waited_for_and_counted() {
    let cluster = Cluster::faulty();
    put_twice(&cluster, &mut classes(&cluster, settings()), b"first");
    let mut own = settings();
    own.wait_for_replicas = 2;
    own.replica_timeout = Duration::from_secs(20);
    let mut store = classes(&cluster, own.clone());
    let receipt = add(&mut store, "/twice/b", At::Start, b"x").unwrap();
    assert_eq!(receipt.replicas, Some((2, true)));
    own.replica_timeout = Duration::from_millis(300);
    let mut store = classes(&cluster, own);
    let held = cluster.node().report_line("!hold on");
    assert!(held.starts_with("OK"), "{held}");
    let receipt = add(&mut store, "/twice/c", At::Start, b"x").unwrap();
    assert_eq!(receipt.replicas, Some((1, false)));
}

#[test]
fn an_upload_is_stored_while_it_comes() {
    let cluster = Cluster::faulty();
    let content = noise(2_000_000, 5);
    for size in [0, 1, 100_000, 140_000, 2_000_000] {
        for announced in [None, Some(size as u64), Some(size as u64 / 2)] {
            let mut store = classes(&cluster, tee());
            let mut client = Client::new(Client::pieces(&content[..size], 70_001));
            let plan = Plan {
                at: At::Start,
                size: announced,
            };
            let receipt = store.put(&at("/docs/a"), &mut client, &plan).unwrap();
            assert_eq!(receipt.bytes, size as u64);
            assert!(cluster.content("docs/a").unwrap() == content[..size]);
        }
    }
    no_trace(&cluster);
}

#[test]
fn an_upload_that_is_followed_goes_round_what_fails() {
    let cluster = Cluster::faulty();
    let content = noise(1_500_000, 5);
    for fault in [
        "refuse dev=1",
        "refuse dev=2",
        "status method=PUT code=500 count=1",
        "status method=PUT code=411 early=1 count=1",
        "status method=PUT code=501 count=1",
        "status method=PUT code=507 count=2",
        "cut method=PUT at=3000 count=1",
        "cut method=PUT at=700000 count=1",
        "cut method=PUT at=3000 rst=1 count=2",
        "stall method=PUT at=3000 count=1",
        "freeze method=PUT count=1",
        "hang-reply count=1",
        "lose-put at=3 count=1",
        "lose-reply cmd=create_close count=1",
        "no-temp-file count=1",
        "no-temp-file after-commit=1 count=1",
        "err cmd=create_close code=failure count=1",
    ] {
        for announced in [None, Some(content.len() as u64)] {
            let mut store = classes(&cluster, tee());
            put(&mut store, "/docs/a", b"before").unwrap();
            let mut client = Client::new(Client::pieces(&content, 70_001));
            let plan = Plan {
                at: At::Start,
                size: announced,
            };
            cluster.node().fault(fault);
            let result = store.put(&at("/docs/a"), &mut client, &plan);
            cluster.node().fault("clear");
            assert!(result.is_ok(), "{fault}: {result:?}");
            assert!(cluster.content("docs/a").unwrap() == content, "{fault}");
            assert_eq!(cluster.keys(), ["docs/a"], "{fault}");
        }
    }
    no_trace(&cluster);
}

#[test]
fn a_client_that_pauses_is_stored_when_it_goes_on() {
    let cluster = Cluster::faulty();
    let content = noise(900_000, 6);
    let mut steps: Vec<Step> = Client::pieces(&content[..400_000], 100_000).collect();
    steps.push(Step::Silence);
    steps.extend(Client::pieces(&content[400_000..], 100_000));
    let mut store = classes(&cluster, tee());
    let before = put(&mut store, "/docs/before", b"x").unwrap();
    let receipt = store
        .put(&at("/docs/a"), &mut Client::new(steps), &Plan::default())
        .unwrap();
    assert_eq!(receipt.fid, Some(before + 2), "the first fid was given up");
    assert!(cluster.content("docs/a").unwrap() == content);
    no_trace(&cluster);
}

#[test]
fn an_upload_that_gets_old_is_not_left_to_its_temp_row() {
    let cluster = Cluster::faulty();
    let content = noise(900_000, 6);
    let mut own = tee();
    own.temp_timeout = Duration::ZERO;
    let mut store = classes(&cluster, own);
    let before = put(&mut store, "/docs/before", b"x").unwrap();
    let mut client = Client::new(Client::pieces(&content, 100_000));
    let receipt = store
        .put(&at("/docs/a"), &mut client, &Plan::default())
        .unwrap();
    assert_eq!(receipt.fid, Some(before + 2), "the first fid was given up");
    assert!(cluster.content("docs/a").unwrap() == content);
    no_trace(&cluster);
}

#[test]
fn a_client_that_breaks_off_while_it_is_followed_stores_nothing() {
    let cluster = Cluster::faulty();
    let content = noise(900_000, 6);
    for sent in [1, 100_000, 900_000] {
        let mut steps: Vec<Step> = Client::pieces(&content[..sent], 100_000).collect();
        steps.push(Step::Reset);
        let mut store = classes(&cluster, tee());
        let result = store.put(&at("/docs/a"), &mut Client::new(steps), &Plan::default());
        assert!(matches!(result, Err(Error::Source(_))), "{result:?}");
    }
    assert_eq!(cluster.keys(), [""; 0]);
    no_trace(&cluster);
}
