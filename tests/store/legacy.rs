//! Files that the PHP daemon stored.

use nanoftpd::config::Overwrite;
use nanoftpd::store::mogile::MogileFs;
use nanoftpd::store::mogile::layout::{Classes, Domains, Flat, Layout};
use nanoftpd::store::{At, Error, Plan, Store};

use crate::support;
use crate::support::Cluster;
use crate::support::stores::{at, classes, get, put, settings, store_at};

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

/// `CWD /docs/` and STOR, since the PHP daemon took the slash into its directory.
#[test]
fn what_was_stored_behind_two_slashes_is_found_and_changed_by_one() {
    let cluster = Cluster::start();
    for name in ["docs//a", "docs//b", "docs//c", "docs//deep/d", "docs/a"] {
        put_raw(&cluster, name, name.as_bytes());
    }
    let mut legacy = settings();
    legacy.legacy_names = true;
    let mut store = classes(&cluster, legacy);
    for (path, key) in [
        ("/docs/a", "docs/a"),
        ("/docs/b", "docs//b"),
        ("/docs/deep/d", "docs//deep/d"),
    ] {
        assert_eq!(get(&mut store, path, 0).unwrap(), key.as_bytes());
        let entry = store.stat(&at(path)).unwrap();
        assert_eq!(entry.size, Some(key.len() as u64));
    }
    store.rename(&at("/docs/b"), &at("/docs/e")).unwrap();
    store.remove(&at("/docs/c")).unwrap();
    let keys = ["docs//a", "docs//deep/d", "docs/a", "docs/e"];
    assert_eq!(cluster.keys(), keys);
    assert_eq!(cluster.content("docs/e").unwrap(), b"docs//b");
    let gone = store.remove(&at("/docs/c"));
    assert!(matches!(gone, Err(Error::NotFound)));
}

/// Or the old file would be there again when the new one is deleted, and who knows the key would never see
/// the new one.
#[test]
fn what_has_an_old_key_is_replaced_under_it() {
    let old_keys = ["docs//a", "docs//b", "/docs/c", "/docs/d"];
    let new_keys = ["docs/own", "docs/own2"];
    for overwrite in [Overwrite::Direct, Overwrite::Swap] {
        let cluster = Cluster::start();
        for key in old_keys {
            put_raw(&cluster, key, b"old");
        }
        let mut legacy = settings();
        legacy.legacy_names = true;
        legacy.overwrite = overwrite;
        let flat: Box<dyn Layout> = Box::new(Flat::new(cluster.domain.clone(), "docs"));
        let mut flat = store_at(vec![cluster.address], flat, legacy.clone());
        let mut tree = classes(&cluster, legacy.clone());
        for (store, new, [stored, renamed]) in [
            (
                &mut tree,
                "/docs/own",
                [("/docs/a", "docs//a"), ("/docs/b", "docs//b")],
            ),
            (
                &mut flat,
                "/docs/own2",
                [("/docs/c", "/docs/c"), ("/docs/d", "/docs/d")],
            ),
        ] {
            put(store, stored.0, b"stored").unwrap();
            let spot = store.spot(&at(stored.0));
            assert_eq!(spot.unwrap().1, stored.1.as_bytes());
            put(store, new, b"renamed").unwrap();
            store.rename(&at(new), &at(renamed.0)).unwrap();
            put(store, new, b"new").unwrap();
            assert_eq!(cluster.content(stored.1).unwrap(), b"stored");
            assert_eq!(cluster.content(renamed.1).unwrap(), b"renamed");
        }
        let keys: Vec<&str> = old_keys.into_iter().chain(new_keys).collect();
        let mut there = cluster.keys();
        there.sort_by_key(|key| keys.iter().position(|one| one == key));
        assert_eq!(there, keys);
        legacy.overwrite = Overwrite::Deny;
        let mut tree = classes(&cluster, legacy);
        let denied = put(&mut tree, "/docs/a", b"denied");
        assert!(matches!(denied, Err(Error::Exists)));
        let denied = tree.rename(&at("/docs/own"), &at("/docs/a"));
        assert!(matches!(denied, Err(Error::Exists)));
    }
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
            // Nor does a resumed upload become a file that is only its end.
            for at_ in [At::End, At::Offset(1)] {
                let plan = Plan {
                    at: at_,
                    size: None,
                };
                let continued = store.may_put(&at(path), &plan);
                assert!(matches!(continued, Err(Error::Called(_))), "{path}");
            }
            let truth = String::from_utf8(truth).unwrap();
            assert_eq!(get(store, &truth, 0).unwrap(), content.as_bytes());
        }
        other => panic!("{path}: {other:?}"),
    }
}
