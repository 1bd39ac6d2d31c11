//! Directories, classes and domains, and the ways to the same file.

use nanoftpd::config::Extended;
use nanoftpd::store::mogile::layout::{Classes, Domains, Flat};
use nanoftpd::store::{Error, Kind, Store, Wish};

use super::{list, names};
use crate::support;
use crate::support::stores::{at, classes, get, put, settings, store_at};
use crate::support::{Cluster, eventually};

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
    // A real tracker answers when one of its workers knows; the others are told.
    eventually("the domain is gone", || {
        tree.enter(&at(&other)).is_err().then_some(())
    });
}
