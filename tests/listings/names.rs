//! Odd names of directories on every order that a database may have.

use crate::support::{Cluster, Daemon, noise};
use crate::{calls, fact, fill, filled, member, names, tell_others};

const ODD: [&str; 8] = ["b+c", "(x)", "a.b", "50%", "\u{fc}", "a b", "_x", "x\\y"];

/// How the databases are played, and how each may be configured.
const STORES: [(&[&str], &[&str]); 3] = [
    (&[], &["auto", "binary", "linguistic"]),
    (&["--store", "mysql"], &["auto", "ci", "linguistic"]),
    (&["--collation", "linguistic"], &["auto", "linguistic"]),
];

fn on_each_store(fills: &[String], scenario: impl Fn(&Cluster, &Daemon)) {
    for (store, configured) in STORES {
        for collation in configured {
            crate::support::say(&format!("{store:?} collation = {collation}"));
            let mut arguments: Vec<String> = store.iter().map(ToString::to_string).collect();
            arguments.extend_from_slice(fills);
            let cluster = filled(&arguments);
            let changes = [
                ("mogilefs.collation", *collation),
                ("mogilefs.listlimit", "0"),
                ("mogilefs.extendedlist", "false"),
            ];
            let daemon = Daemon::on(&cluster, &changes);
            scenario(&cluster, &daemon);
        }
    }
}

fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = ODD.iter().map(ToString::to_string).collect();
    names.push("n".repeat(200));
    names
}

#[test]
fn odd_directories_are_listed_over_two_pages_and_worked_in() {
    let odd = odd_names();
    let fills: Vec<String> = odd
        .iter()
        .flat_map(|name| fill(&format!("docs/{name}/f"), 1100))
        .collect();
    let mut expected = odd.clone();
    expected.sort();
    on_each_store(&fills, |cluster, daemon| {
        let mut ftp = member(daemon);
        assert_eq!(names(&mut ftp, "NLST /docs"), expected);
        for name in &odd {
            let dir = format!("/docs/{name}");
            ftp.expect(&format!("CWD {dir}"), 250);
            let listed = names(&mut ftp, "NLST");
            assert_eq!(listed.len(), 1100, "{name}");
            assert!(listed.is_sorted() && listed[1099] == "f1100", "{name}");
            assert_eq!(ftp.fetch("RETR f1050").len(), 7);
            let bytes = noise(10, 1);
            ftp.store("new file", &bytes);
            assert_eq!(ftp.fetch(&format!("RETR {dir}/new file")), bytes);
            assert_eq!(
                cluster.content(&format!("docs/{name}/new file")),
                Some(bytes)
            );
            ftp.expect("RNFR new file", 350);
            ftp.expect("RNTO renamed", 250);
            ftp.expect("DELE renamed", 250);
            ftp.expect(&format!("RMD {dir}"), 550);
        }
    });
}

/// On every store that is played, and on the tracker of the environment.
fn on_each_empty_store(scenario: impl Fn(&Cluster, &Daemon)) {
    on_each_store(&[], &scenario);
    let cluster = Cluster::start();
    scenario(&cluster, &Daemon::on(&cluster, &[]));
}

#[test]
fn a_directory_over_two_pages_is_listed_and_renamed() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[("mogilefs.listlimit", "0")]);
    let mut ftp = member(&daemon);
    ftp.expect("MKD /docs/b+c", 257);
    ftp.expect("CWD /docs/b+c", 250);
    let expected: Vec<String> = (0..1010).map(|number| format!("f {number:04}")).collect();
    for name in &expected {
        ftp.store(name, b"1234567");
    }
    cluster.put("docs/b+d/other", "docs", b"1");
    assert_eq!(names(&mut ftp, "NLST"), expected);
    let lines = ftp.lines("MLSD");
    let is_sized = |line: &&String| fact(line, "size") == Some("7");
    assert_eq!(lines.iter().filter(is_sized).count(), 1010);
    ftp.expect("RNFR /docs/b+c", 350);
    ftp.expect("RNTO /docs/(x) [2]", 250);
    assert_eq!(names(&mut ftp, "NLST /docs/(x) [2]"), expected);
    assert_eq!(names(&mut ftp, "NLST /docs"), ["(x) [2]", "b+d"]);
    assert_eq!(ftp.fetch("RETR /docs/(x) [2]/f 1009"), b"1234567");
    ftp.expect("RMD /docs/(x) [2]", 550);
}

#[test]
fn odd_directories_are_made_renamed_and_removed() {
    on_each_empty_store(|cluster, daemon| {
        let mut ftp = member(daemon);
        for name in odd_names() {
            let dir = format!("/docs/{name}");
            ftp.expect(&format!("MKD {dir}"), 257);
            assert_eq!(names(&mut ftp, "NLST /docs"), [&*name]);
            ftp.store(&format!("{dir}/a"), b"1");
            ftp.store(&format!("{dir}/sub/b"), b"2");
            assert_eq!(names(&mut ftp, &format!("NLST {dir}")), ["a", "sub"]);
            let other = format!("/photos/{name}2");
            ftp.expect(&format!("RNFR {dir}"), 350);
            ftp.expect(&format!("RNTO {other}"), 250);
            let expected = [format!("photos/{name}2/a"), format!("photos/{name}2/sub/b")];
            assert_eq!(cluster.keys(), expected);
            assert_eq!(cluster.class(&expected[0]).as_deref(), Some("photos"));
            assert_eq!(names(&mut ftp, "NLST /docs"), [""; 0]);
            ftp.expect(&format!("CWD {dir}"), 550);
            assert_eq!(ftp.fetch(&format!("RETR {other}/sub/b")), b"2");
            ftp.expect(&format!("DELE {other}/sub/b"), 250);
            ftp.expect(&format!("DELE {other}/a"), 250);
            // It was made, and moved: it stays until it is removed.
            ftp.expect(&format!("RMD {other}"), 250);
            ftp.expect(&format!("CWD {other}"), 550);
        }
    });
}

#[test]
fn a_file_and_a_directory_of_one_name_are_one_entry() {
    // Between `x` and `x/` come more names than a page holds.
    let fills = [fill("docs/x-", 1500), fill("docs/x/", 3)].concat();
    on_each_store(&fills, |cluster, daemon| {
        cluster.put("docs/x", "docs", b"file");
        cluster.put("docs/w", "docs", b"file");
        cluster.put("docs/w/1", "docs", b"1");
        let mut ftp = member(daemon);
        let lines = ftp.lines("MLSD /docs");
        let of = |name: &str| {
            lines
                .iter()
                .filter(|line| line.ends_with(&format!(" {name}")))
                .count()
        };
        assert_eq!((of("x"), of("w"), lines.len()), (1, 1, 1502));
        let dirs = lines
            .iter()
            .filter(|line| fact(line, "type") == Some("dir"));
        // Within a page it is a directory on every store.
        assert!((1..=2).contains(&dirs.count()));
        assert_eq!(ftp.fetch("RETR /docs/x"), b"file");
        ftp.expect("CWD /docs/x", 250);
        assert_eq!(names(&mut ftp, "NLST"), ["1", "2", "3"]);
        ftp.expect("DELE /docs/x", 250);
        ftp.expect("CWD /docs/x", 250);
    });
}

#[test]
fn where_case_does_not_count_spellings_are_one_directory() {
    let mut arguments = vec!["--store".to_owned(), "mysql".to_owned()];
    arguments.extend(fill("docs/Mixed/f", 1200));
    arguments.extend(fill("docs/zz/f", 10));
    let cluster = filled(&arguments);
    cluster.put("docs/mixed/a", "docs", b"1");
    let daemon = Daemon::on(&cluster, &[("mogilefs.listlimit", "0")]);
    let mut ftp = member(&daemon);
    let listed = names(&mut ftp, "NLST /docs");
    assert_eq!(listed.len(), 2, "{listed:?}");
    let line = daemon.wait_for("collation-found ");
    assert!(line.ends_with(" order=ci"), "{line}");
    for dir in ["mixed", "Mixed"] {
        assert_eq!(ftp.lines(&format!("NLST /docs/{dir}")).len(), 1201);
    }
}

#[test]
fn where_case_does_not_count_a_file_can_change_it() {
    for overwrite in ["direct", "deny"] {
        let cluster = filled(&["--store".to_owned(), "mysql".to_owned()]);
        let daemon = Daemon::on(&cluster, &[("mogilefs.overwrite", overwrite)]);
        let mut ftp = member(&daemon);
        ftp.store("/docs/name", b"1");
        ftp.expect("RNFR /docs/name", 350);
        ftp.expect("RNTO /docs/Name", 250);
        assert_eq!(cluster.keys(), ["docs/Name"]);
        assert_eq!(ftp.fetch("RETR /docs/Name"), b"1");
    }
}

#[test]
fn a_name_that_the_database_does_not_take_is_refused_for_good() {
    let cluster = filled(&["--store".to_owned(), "mysql".to_owned()]);
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    ftp.store("/docs/a", b"1");
    ftp.store("/docs/d/b", b"1");
    for name in ["a", "d"] {
        ftp.expect(&format!("RNFR /docs/{name}"), 350);
        ftp.send(b"RNTO /docs/caf\xe9\r\n");
        let reply = ftp.reply_of(553);
        assert!(reply.contains("not UTF-8"), "{reply}");
    }
    assert_eq!(cluster.keys(), ["docs/a", "docs/d/b"]);
}

#[test]
fn the_order_is_found_out_once_and_told_to_other_sessions() {
    for (store, order) in [
        (&["--collation", "binary"], "binary"),
        (&["--collation", "linguistic"], "linguistic"),
        (&["--store", "mysql"], "ci"),
    ] {
        let mut arguments: Vec<String> = store.iter().map(ToString::to_string).collect();
        arguments.extend(fill("docs/some/f", 3000));
        let cluster = filled(&arguments);
        let daemon = Daemon::on(&cluster, &[]);
        let mut first = member(&daemon);
        first.lines("NLST /docs/some");
        tell_others(&mut first);
        let line = daemon.wait_for("collation-found ");
        assert!(line.ends_with(&format!(" order={order}")), "{line}");
        let mut other = member(&daemon);
        other.expect("CWD /docs/some", 250);
        calls(&cluster);
        let lines = other.lines("NLST");
        assert_eq!(lines.len(), 1000);
        let asked = calls(&cluster);
        assert!(!asked.contains_key("file_info"), "{order}: {asked:?}");
    }
}
