//! The MogileFS store against a MogileFS: what goes up comes down, names mean what they meant, and
//! what fails on the way is gone round or told, never hidden. No daemon and no FTP here.
#![cfg(test)]

mod support;

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nanoftpd::config::{Extended, Network};
use nanoftpd::store::mogile::MogileFs;
use nanoftpd::store::mogile::layout::{Classes, Domains, Flat, Layout};
use nanoftpd::store::{Body, Entry, Error, Kind, Plan, Source, Store, Wish};
use nanoftpd::vigil;
use support::stores::{SPOOL_MEM, at, classes, get, impatient, put, put_twice, settings, store_at};
use support::{Cluster, noise};

fn list(store: &mut MogileFs, dir: &str) -> Result<Vec<Entry>, Error> {
    store.list(&at(dir), Wish::default())?.collect()
}

fn names(store: &mut MogileFs, dir: &str) -> Vec<String> {
    let name = |entry: Entry| {
        let slash = if entry.kind == Kind::Dir { "/" } else { "" };
        format!("{}{slash}", String::from_utf8(entry.name).unwrap())
    };
    let mut names: Vec<_> = list(store, dir).unwrap().into_iter().map(name).collect();
    names.sort();
    names
}

#[test]
fn files_of_every_size_come_down_as_they_went_up() {
    let cluster = Cluster::start();
    let mut store = classes(&cluster, settings());
    for size in [0, 1, SPOOL_MEM - 1, SPOOL_MEM, SPOOL_MEM + 1, 3_000_000] {
        let content = noise(usize::try_from(size).unwrap(), 7);
        let path = format!("/photos/{size}.bin");
        let fid = put(&mut store, &path, &content).unwrap();
        assert!(cluster.content(&path[1..]).unwrap() == content, "{path}");
        assert_eq!(cluster.class(&path[1..]).unwrap(), "photos");
        let entry = store.stat(&at(&path)).unwrap();
        assert_eq!(
            (entry.kind, entry.size, entry.unique),
            (Kind::File, Some(size), Some(fid))
        );
        for offset in [0, 1, size / 2, size].into_iter().filter(|at| *at <= size) {
            let part = get(&mut store, &path, offset).unwrap();
            assert!(
                part == content[usize::try_from(offset).unwrap()..],
                "{path} from {offset}"
            );
        }
        let beyond = store.open(&at(&path), size + 1);
        assert!(matches!(beyond, Err(Error::BeyondEnd)));
        store.remove(&at(&path)).unwrap();
        assert!(matches!(store.stat(&at(&path)), Err(Error::NotFound)));
    }
}

#[test]
fn a_new_version_replaces_the_old_one_and_is_what_is_read() {
    let cluster = Cluster::start();
    let mut store = classes(&cluster, settings());
    let old = put(&mut store, "/docs/a", b"old").unwrap();
    let new = put(&mut store, "/docs/a", b"newer").unwrap();
    assert_ne!(old, new);
    assert_eq!(get(&mut store, "/docs/a", 0).unwrap(), b"newer");
    let written = store.modified(&at("/docs/a")).unwrap().unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    assert!(now.as_secs().abs_diff(u64::try_from(written).unwrap()) < 60);
}

#[test]
fn every_name_reaches_its_own_file() {
    let cluster = Cluster::start();
    let mut store = classes(&cluster, settings());
    let odd = [
        "a b",
        "a+b",
        "a%20b",
        "50%41",
        "x&y=z",
        "x=1",
        "Tom & Jerry",
        "#;'\"<>",
        "back\\slash",
        "caf\u{e9}",
        "\u{65e5}\u{672c}",
        "a..b",
        " leading",
        "{[(^$.*?|)]}",
        "~",
        "0",
        "-la",
    ];
    for name in odd {
        put(&mut store, &format!("/docs/{name}"), name.as_bytes()).unwrap();
    }
    for name in odd {
        let path = format!("/docs/{name}");
        assert_eq!(get(&mut store, &path, 0).unwrap(), name.as_bytes());
        assert_eq!(cluster.content(&path[1..]).unwrap(), name.as_bytes());
    }
    let mut sorted = odd.map(str::to_owned).to_vec();
    sorted.sort();
    assert_eq!(names(&mut store, "/docs"), sorted);
    for name in odd {
        store.remove(&at(format!("/docs/{name}"))).unwrap();
    }
    assert_eq!(cluster.keys(), [""; 0]);
}

#[test]
fn what_cannot_be_stored_is_refused_before_its_first_byte() {
    struct Untouchable;
    impl Read for Untouchable {
        fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
            panic!("the client's bytes were asked for");
        }
    }
    impl Source for Untouchable {}
    let cluster = Cluster::start();
    let mut store = classes(&cluster, settings());
    let long = format!("/docs/{}", "k".repeat(251));
    for path in ["/", "/top", "/docs", "/docs/trailing ", "/docs/a\nb", &long] {
        let put = store.put(&at(path), &mut Untouchable, &Plan::default());
        assert!(
            matches!(put, Err(Error::BadName(_) | Error::NotAFile)),
            "{path:?}"
        );
    }
    let unknown = store.may_put(&at("/nosuch/a"), &Plan::default());
    assert!(matches!(unknown, Err(Error::BadName(_))));
    assert!(matches!(
        put(&mut store, "/nosuch/a", b"x"),
        Err(Error::BadName(_))
    ));
    let content = put(&mut store, &long[..long.len() - 2], b"x");
    assert!(content.is_ok(), "255 bytes are allowed");
}

#[test]
fn a_source_that_fails_stores_nothing() {
    struct Torn(usize);
    impl Read for Torn {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let read = self.0.min(buf.len());
            self.0 -= read;
            match read {
                0 => Err(io::ErrorKind::ConnectionReset.into()),
                read => Ok(read),
            }
        }
    }
    impl Source for Torn {}
    let cluster = Cluster::start();
    let mut store = classes(&cluster, settings());
    for size in [0, 1, 300_000] {
        let result = store.put(&at("/docs/torn"), &mut Torn(size), &Plan::default());
        assert!(matches!(result, Err(Error::Source(_))));
    }
    assert_eq!(cluster.keys(), [""; 0]);
}

#[test]
fn a_directory_lists_what_is_directly_in_it() {
    let cluster = Cluster::start();
    for key in [
        "photos/a.jpg",
        "photos/2026/b.jpg",
        "photos/2026/07/c.jpg",
        "photos/2026-08/d.jpg",
        "photos/x (1)/e+f/g",
        "photos/x (1)/h",
        "photosphere/i",
        "docs/j",
        "photos//hidden",
    ] {
        cluster.put(key, "", key.as_bytes());
    }
    let mut store = classes(&cluster, settings());
    for (dir, expected) in [
        ("/", &["default/", "docs/", "photos/"][..]),
        ("/photos", &["2026-08/", "2026/", "a.jpg", "x (1)/"]),
        ("/photos/2026", &["07/", "b.jpg"]),
        ("/photos/2026/07", &["c.jpg"]),
        ("/photos/x (1)", &["e+f/", "h"]),
        ("/photos/x (1)/e+f", &["g"]),
        // Not a class, but there are keys.
        ("/photosphere", &["i"]),
    ] {
        store.enter(&at(dir)).unwrap();
        assert_eq!(names(&mut store, dir), expected, "{dir}");
        let entry = store.stat(&at(dir)).unwrap();
        assert_eq!(entry.kind, Kind::Dir, "{dir}");
    }
    for nothing in ["/nosuch", "/photos/202", "/photos/a.jpg", "/photos/a.jpg/b"] {
        assert!(store.enter(&at(nothing)).is_err(), "{nothing}");
        assert!(list(&mut store, nothing).is_err(), "{nothing}");
    }
    let sizes: Vec<_> = list(&mut store, "/photos")
        .unwrap()
        .into_iter()
        .filter(|entry| entry.kind == Kind::File)
        .map(|entry| entry.size)
        .collect();
    assert_eq!(sizes, [Some(12)]);
    assert!(matches!(
        store.open(&at("/photos/2026"), 0),
        Err(Error::NotAFile)
    ));
    assert!(matches!(
        store.open(&at("/photos/nosuch"), 0),
        Err(Error::NotFound)
    ));
}

#[test]
fn a_listing_turns_pages_and_says_where_it_was_cut() {
    let fill = [
        "--devices",
        "1",
        "--domain",
        "big:docs",
        "--fill",
        "big:docs/:2500:7",
    ];
    let node = support::Node::start(&fill);
    let mut wanted = settings();
    wanted.listlimit = 0;
    let layout = || Box::new(Classes::new("big"));
    let mut store = store_at(node.trackers.clone(), layout(), wanted.clone());
    let all = list(&mut store, "/docs").unwrap();
    assert_eq!(all.len(), 2500);
    let sized = all.iter().filter(|entry| entry.size == Some(7)).count();
    assert_eq!(sized, 2500, "neighbours are told of by the hundred");
    node.fault("err code=unknown_command cmd=list_fids");
    let mut store = store_at(node.trackers.clone(), layout(), wanted.clone());
    let all = list(&mut store, "/docs").unwrap();
    let sized = all.iter().filter(|entry| entry.size == Some(7)).count();
    assert_eq!(sized, 2000, "auto asks for so many one by one");

    for (limit, strict) in [(1, false), (1000, false), (1001, true), (2499, false)] {
        wanted.listlimit = limit;
        wanted.listlimit_error = strict;
        wanted.extendedlist = Extended::No;
        let mut store = store_at(node.trackers.clone(), layout(), wanted.clone());
        let mut entries: Vec<_> = store.list(&at("/docs"), Wish::default()).unwrap().collect();
        let last = entries.pop().unwrap();
        match last {
            Err(Error::Cut(cut)) => assert!(cut == limit && !strict),
            Err(Error::Broken(_)) => assert!(strict),
            other => panic!("{other:?}"),
        }
        assert_eq!(entries.len(), limit);
        assert!(entries.iter().all(Result::is_ok));
    }
    wanted.listlimit = 2500;
    wanted.extendedlist = Extended::Yes;
    let mut store = store_at(node.trackers.clone(), layout(), wanted);
    let all = list(&mut store, "/docs").unwrap();
    assert!(all.iter().all(|entry| entry.size == Some(7)));
}

#[test]
fn classes_are_made_used_and_removed() {
    let cluster = Cluster::start();
    let mut store = classes(&cluster, settings());
    store.make_dir(&at("/new")).unwrap();
    store.enter(&at("/new")).unwrap();
    put(&mut store, "/new/a", b"1").unwrap();
    assert_eq!(cluster.class("new/a").unwrap(), "new");
    assert!(matches!(store.make_dir(&at("/new")), Err(Error::Exists)));
    assert!(matches!(
        store.remove_dir(&at("/new")),
        Err(Error::NotEmpty)
    ));
    store.remove(&at("/new/a")).unwrap();
    store.remove_dir(&at("/new")).unwrap();
    assert!(matches!(store.enter(&at("/new")), Err(Error::NotFound)));
    assert!(matches!(
        store.remove_dir(&at("/new")),
        Err(Error::NotFound)
    ));

    // Files of another class below the name of this one.
    cluster.put("docs/a", "photos", b"1");
    assert!(matches!(
        store.remove_dir(&at("/docs")),
        Err(Error::NotEmpty)
    ));
    for bad in ["/0", "/a\nb", "/trailing ", "/default", "/"] {
        assert!(store.make_dir(&at(bad)).is_err(), "{bad:?}");
    }
    let mut forbidden = settings();
    forbidden.canmkdir = false;
    forbidden.canrmdir = false;
    forbidden.canrename = false;
    let mut store = classes(&cluster, forbidden);
    assert!(matches!(store.make_dir(&at("/x")), Err(Error::Denied)));
    assert!(matches!(
        store.remove_dir(&at("/photos")),
        Err(Error::Denied)
    ));
    assert!(matches!(
        store.rename(&at("/docs/a"), &at("/docs/b")),
        Err(Error::Denied)
    ));
}

#[test]
fn a_directory_below_a_class_can_be_made_before_its_first_file() {
    let cluster = Cluster::start();
    let mut store = classes(&cluster, settings());
    assert!(store.enter(&at("/docs/a/b")).is_err());
    store.make_dir(&at("/docs/a")).unwrap();
    store.make_dir(&at("/docs/a/b")).unwrap();
    store.enter(&at("/docs/a/b")).unwrap();
    assert_eq!(names(&mut store, "/docs"), ["a/"]);
    assert!(matches!(
        store.remove_dir(&at("/docs/a")),
        Err(Error::NotEmpty)
    ));
    put(&mut store, "/docs/a/b/c", b"1").unwrap();
    assert!(matches!(
        store.remove_dir(&at("/docs/a/b")),
        Err(Error::NotEmpty)
    ));
    store.remove(&at("/docs/a/b/c")).unwrap();
    store.remove_dir(&at("/docs/a/b")).unwrap();
    store.remove_dir(&at("/docs/a")).unwrap();
    assert!(store.enter(&at("/docs/a")).is_err());
}

#[test]
fn a_file_moves_with_its_class_and_onto_nothing() {
    let cluster = Cluster::start();
    let mut store = classes(&cluster, settings());
    let fid = put(&mut store, "/docs/a", b"1").unwrap();
    store.rename(&at("/docs/a"), &at("/photos/x/b")).unwrap();
    assert_eq!(cluster.keys(), ["photos/x/b"]);
    assert_eq!(cluster.class("photos/x/b").unwrap(), "photos");
    let entry = store.stat(&at("/photos/x/b")).unwrap();
    assert_eq!(entry.unique, Some(fid));
    put(&mut store, "/docs/c", b"2").unwrap();
    for (from, to) in [
        ("/docs/c", "/photos/x"),
        ("/docs/c", "/docs"),
        ("/docs/c", "/nosuch/c"),
        ("/docs/nosuch", "/docs/d"),
        ("/docs", "/docs/d"),
    ] {
        assert!(store.rename(&at(from), &at(to)).is_err(), "{from} {to}");
    }
    store.rename(&at("/docs/c"), &at("/docs/c")).unwrap();
    assert_eq!(cluster.keys(), ["docs/c", "photos/x/b"]);
}

#[test]
fn a_flat_namespace_and_a_tree_of_domains_reach_the_same_files() {
    let cluster = Cluster::start();
    cluster.put("/docs/slash", "", b"slash");
    let flat = Box::new(Flat::new(cluster.domain.clone(), "docs"));
    let mut flat = store_at(vec![cluster.address], flat, settings());
    let mut tree = store_at(vec![cluster.address], Box::new(Domains), settings());
    put(&mut flat, "/docs/a", b"flat").unwrap();
    put(&mut flat, "/top", b"top").unwrap();
    assert_eq!(cluster.class("top").unwrap(), "docs");
    cluster.put("/top", "", b"another top");
    cluster.put("/only", "", b"only here");
    cluster.put("/dir/a", "", b"1");
    assert_eq!(names(&mut flat, "/"), ["dir/", "docs/", "only", "top"]);
    assert_eq!(names(&mut flat, "/docs"), ["a", "slash"]);
    assert_eq!(names(&mut flat, "/dir"), ["a"]);
    flat.enter(&at("/dir")).unwrap();
    assert_eq!(get(&mut flat, "/docs/slash", 0).unwrap(), b"slash");
    assert_eq!(get(&mut flat, "/only", 0).unwrap(), b"only here");
    assert_eq!(get(&mut flat, "/top", 0).unwrap(), b"top");
    flat.remove(&at("/top")).unwrap();
    assert_eq!(get(&mut flat, "/top", 0).unwrap(), b"another top");

    let base = format!("/{}", cluster.domain);
    assert_eq!(
        get(&mut tree, &format!("{base}/docs/a"), 0).unwrap(),
        b"flat"
    );
    assert_eq!(names(&mut tree, &base), ["default/", "docs/", "photos/"]);
    assert!(names(&mut tree, "/").contains(&format!("{}/", cluster.domain)));
    put(&mut tree, &format!("{base}/photos/b"), b"tree").unwrap();
    assert_eq!(get(&mut flat, "/photos/b", 0).unwrap(), b"tree");
    assert!(put(&mut tree, &format!("{base}/c"), b"x").is_err());

    let other = format!("/{}", support::unique());
    tree.make_dir(&at(&other)).unwrap();
    assert!(matches!(tree.make_dir(&at(&other)), Err(Error::Exists)));
    assert_eq!(names(&mut tree, &other), ["default/"]);
    let across = tree.rename(
        &at(format!("{base}/photos/b")),
        &at(format!("{other}/default/b")),
    );
    assert!(matches!(across, Err(Error::Unsupported)));
    put(&mut tree, &format!("{other}/default/b"), b"x").unwrap();
    assert!(matches!(tree.remove_dir(&at(&other)), Err(Error::NotEmpty)));
    tree.remove(&at(format!("{other}/default/b"))).unwrap();
    tree.remove_dir(&at(&other)).unwrap();
    assert!(tree.enter(&at(&other)).is_err());
}

/// Stores as the PHP client did: nothing is encoded.
fn put_raw(cluster: &Cluster, key: &str, content: &[u8]) {
    let ask = |line: String| {
        let line = support::Tracker::connect(cluster.address).raw(&line);
        assert!(line.starts_with("OK"), "{line}");
        line
    };
    let domain = &cluster.domain;
    let opened = ask(format!(
        "CREATE_OPEN domain={domain}&key={key}&class=docs&multi_dest=0"
    ));
    let field = |name: &str| {
        let mut all = opened[3..]
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        all.find(|pair| pair.0 == name).unwrap().1.to_owned()
    };
    let (fid, devid, path) = (field("fid"), field("devid"), field("path"));
    assert!(support::http_put(&path, content));
    ask(format!(
        "CREATE_CLOSE domain={domain}&fid={fid}&devid={devid}&path={path}&key={key}"
    ));
}

/// Names that the PHP client garbled, or did not; of each a key of its own comes.
fn odd_names() -> impl Iterator<Item = &'static str> {
    "plain|a b|a+c|a++d|+e|e+|p%41|%42q|q%|%zz|100%|50%25|x%2B|g%20h|Tom & Jerry|Fish&Chips|x=1|y==2|\
     z=&3|k&l=m|semi;colon|hash#tag|quote'|double\"|back\\slash|(round)|[square]|{curly}|a*b|what?|\
     dollar$|caret^|tilde~|at@home|comma,dot.|under_score|colon:|excl!|less<more>|back`tick|-dash|\
     a..b|caf\u{e9}|\u{65e5}|%C3%A9|sub/a+b|sub/c%44|sub/d&e|sub+f/g|sub=h/i|sub%6A/k|l/m%2Fn|o%3Dp|\
     q=r=s|u&|%|+|v%4|w+x+y|two  blanks|%7E%7E"
        .split('|')
}

#[test]
fn what_the_php_daemon_stored_is_found_by_the_name_that_was_meant() {
    let cluster = Cluster::start();
    for name in odd_names() {
        put_raw(&cluster, &format!("docs/{name}"), name.as_bytes());
    }
    let keys = cluster.keys();
    assert_eq!(keys.len(), odd_names().count());
    let mut legacy = settings();
    legacy.legacy_names = true;
    let tree: Box<dyn Layout> = Box::new(Domains);
    let flat: Box<dyn Layout> = Box::new(Flat::new(cluster.domain.clone(), "docs"));
    let class: Box<dyn Layout> = Box::new(Classes::new(cluster.domain.clone()));
    let below = format!("/{}", cluster.domain);
    for (top, layout) in [("", class), ("", flat), (&below, tree)] {
        let mut store = store_at(vec![cluster.address], layout, legacy.clone());
        for name in odd_names() {
            let is_key = keys.contains(&format!("docs/{name}"));
            is_found(&mut store, &format!("{top}/docs/{name}"), name, is_key);
        }
        put(&mut store, &format!("{top}/docs/a+c"), b"new").unwrap();
        assert_eq!(cluster.content("docs/a c").unwrap(), b"a+c");
        store.remove(&at(format!("{top}/docs/a+c"))).unwrap();
    }
    assert_eq!(cluster.keys(), keys);
    let mut store = classes(&cluster, settings());
    let unasked = get(&mut store, "/docs/a+c", 0);
    assert!(matches!(unasked, Err(Error::NotFound)));
}

/// `path` gives its name as content, and is changed only if it is a true name.
fn is_found(store: &mut MogileFs, path: &str, content: &str, is_key: bool) {
    assert_eq!(get(store, path, 0).unwrap(), content.as_bytes(), "{path}");
    let entry = store.stat(&at(path)).unwrap();
    assert_eq!(entry.size, Some(content.len() as u64));
    store.modified(&at(path)).unwrap().unwrap();
    let other = at(path).parent().child(b"renamed");
    match store.rename(&at(path), &other) {
        Ok(()) if is_key => store.rename(&other, &at(path)).unwrap(),
        Err(Error::Called(_)) if !is_key => {
            let Err(Error::Called(truth)) = store.remove(&at(path)) else {
                panic!("{path} was removed");
            };
            let truth = String::from_utf8(truth).unwrap();
            assert_eq!(get(store, &truth, 0).unwrap(), content.as_bytes());
        }
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn a_domain_that_is_not_there_stores_nothing_and_shows_nothing() {
    let cluster = Cluster::start();
    let layout = Box::new(Classes::new(support::unique()));
    let mut store = store_at(vec![cluster.address], layout, settings());
    assert!(list(&mut store, "/").is_err());
    assert!(put(&mut store, "/docs/a", b"1").is_err());
    let unasked = store.put(&at("/docs/a"), &mut &b"1"[..], &Plan::default());
    assert!(unasked.is_err());
    assert!(get(&mut store, "/docs/a", 0).is_err());
}

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
    let second = [
        "--tracker",
        "127.0.0.1:0",
        "--devices",
        "2",
        "--domain",
        "d:docs",
    ];
    let node = support::Node::start(&second);
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
