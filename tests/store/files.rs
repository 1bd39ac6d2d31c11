//! Files: their bytes, their names, and what is refused.

use std::io::{self, Read};

use nanoftpd::store::mogile::layout::Classes;
use nanoftpd::store::{Error, Kind, Plan, Source, Store};

use super::{list, names};
use crate::support;
use crate::support::stores::{SPOOL_MEM, at, classes, get, put, settings, store_at};
use crate::support::{Cluster, noise};

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
