//! Directories that are made, removed and renamed.

use crate::support::{Cluster, Daemon, Ftp, unique};
use crate::{calls, fill, filled, member, names};

#[test]
fn d17_a_directory_that_was_made_can_be_used_at_once_from_any_session() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut waiting = member(&daemon);
    let mut maker = member(&daemon);
    maker.expect("MKD /docs/new", 257);
    maker.expect("MKD /docs/new", 550);
    for ftp in [&mut waiting, &mut member(&daemon)] {
        ftp.expect("CWD /docs/new", 250);
        assert_eq!(names(ftp, "NLST"), [""; 0]);
        assert_eq!(names(ftp, "NLST /docs"), ["new"]);
        ftp.expect("CWD /docs/new/", 250);
    }
    waiting.expect("CWD /docs/new", 250);
    waiting.store("f", b"1");
    assert_eq!(cluster.class("docs/new/f").as_deref(), Some("docs"));
    maker.expect("RMD /docs/new", 550);
    maker.expect("DELE /docs/new/f", 250);
    maker.expect("RMD /docs/new", 250);
    for ftp in [&mut waiting, &mut maker, &mut member(&daemon)] {
        ftp.expect("CWD /docs/new", 550);
    }
    maker.expect("RMD /docs/new", 550);
}

#[test]
fn sessions_see_each_others_directories_from_the_reply_on() {
    let cluster = Cluster::start();
    let crowd = [("pool.min_spare", "20"), ("pool.max_spare", "40")];
    let daemon = Daemon::on(&cluster, &crowd);
    let mut maker = member(&daemon);
    let mut others: Vec<_> = (0..8).map(|_| member(&daemon)).collect();
    for round in 0..25 {
        for (at, other) in others.iter_mut().enumerate() {
            let name = format!("{round}.{at}");
            maker.expect(&format!("MKD /docs/{name}"), 257);
            if at % 4 == 0 {
                other.expect(&format!("MKD /docs/{name}/in"), 257);
                maker.expect(&format!("RMD /docs/{name}"), 550);
                maker.expect(&format!("RMD /docs/{name}/in"), 250);
                other.expect(&format!("RMD /docs/{name}"), 250);
            } else if at % 2 == 0 {
                other.expect(&format!("CWD /docs/{name}"), 250);
                maker.expect(&format!("RMD /docs/{name}"), 250);
                other.expect(&format!("CWD /docs/{name}"), 550);
            } else {
                assert_eq!(names(other, "NLST /docs"), [name.as_str()]);
                maker.expect(&format!("RMD /docs/{name}"), 250);
                assert_eq!(names(other, "NLST /docs"), [""; 0]);
            }
        }
    }
}

/// As clients remove trees: what is in a directory, then the directory; and they go up from where they are.
#[test]
fn who_empties_a_directory_can_leave_it_and_remove_it() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    for key in [
        "docs/a/b/f",
        "docs/a/g",
        "docs/x/y/z/f",
        "docs/m/f",
        "docs/n/f",
    ] {
        cluster.put(key, "docs", b"1");
    }
    let mut ftp = member(&daemon);
    ftp.expect("CWD /docs/a/b", 250);
    ftp.expect("DELE f", 250);
    assert_eq!(names(&mut ftp, "NLST"), [""; 0]);
    ftp.expect("CDUP", 250);
    ftp.expect("RMD b", 250);
    ftp.expect("RMD b", 550);
    ftp.expect("DELE g", 250);
    ftp.expect("CDUP", 250);
    ftp.expect("RMD a", 250);
    ftp.expect("CWD a", 550);
    // Directories of directories, the lowest first.
    ftp.expect("CWD /docs/x/y/z", 250);
    ftp.expect("DELE /docs/x/y/z/f", 250);
    for dir in ["/docs/x/y/z", "/docs/x/y", "/docs/x"] {
        ftp.expect("CWD ..", 250);
        ftp.expect(&format!("RMD {dir}"), 250);
        ftp.expect(&format!("CWD {dir}"), 550);
    }
    // So it is with one whose last file is moved away; and all of it is this session's own.
    ftp.expect("RNFR /docs/m/f", 350);
    ftp.expect("RNTO /docs/f", 250);
    member(&daemon).expect("CWD /docs/m", 550);
    assert_eq!(names(&mut ftp, "NLST /docs"), ["f", "n"]);
    ftp.expect("MKD /docs/m", 257);
    member(&daemon).expect("CWD /docs/m", 250);
    ftp.expect("RMD /docs/m", 250);
    // The name is free for what else may have it.
    ftp.expect("DELE /docs/n/f", 250);
    ftp.expect("RNFR /docs/f", 350);
    ftp.expect("RNTO /docs/n", 250);
    ftp.expect("CWD /docs/n", 550);
    ftp.expect("SIZE /docs/n", 213);
}

/// What a session remembers of directories that it has emptied is never in the way of a file.
#[test]
fn a_file_that_takes_the_name_of_an_emptied_directory_is_seen() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let (mut ftp, mut other) = (member(&daemon), member(&daemon));
    for name in ["a", "b"] {
        ftp.store(&format!("/docs/{name}/f"), b"1");
        ftp.expect(&format!("DELE /docs/{name}/f"), 250);
    }
    other.store("/docs/a", b"12345");
    assert_eq!(names(&mut ftp, "NLST /docs/a"), ["a"]);
    ftp.expect("CWD /docs/a", 550);
    ftp.expect("RMD /docs/a", 550);
    assert_eq!(cluster.keys(), ["docs/a"]);
    // Nor is it forgotten because of a command that fails.
    other.store("/docs/b/g", b"1");
    ftp.expect("MKD /docs/b", 550);
    other.expect("DELE /docs/b/g", 250);
    ftp.expect("CWD /docs/b", 250);
    ftp.expect("CWD /", 250);
    ftp.expect("RMD /docs/b", 250);
}

#[test]
fn a_directory_is_made_where_files_can_be_stored() {
    let cluster = Cluster::start();
    for markers in ["no", "yes"] {
        let daemon = Daemon::on(&cluster, &[("mogilefs.dirmarkers", markers)]);
        let mut ftp = member(&daemon);
        let reply = ftp.expect("MKD /nosuch/a", 550);
        assert!(reply.contains("not inside a class"), "{reply}");
        ftp.expect("CWD /nosuch/a", 550);
        ftp.expect("MKD /nosuch", 257);
        ftp.expect("MKD /nosuch/a", 257);
        ftp.expect("RMD /nosuch/a", 250);
        ftp.expect("RMD /nosuch", 250);
    }
}

#[test]
fn what_has_directories_in_it_is_not_removed() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let (mut ftp, mut other) = (member(&daemon), member(&daemon));
    ftp.expect("MKD /fresh", 257);
    ftp.expect("MKD /fresh/a", 257);
    other.expect("RMD /fresh", 550);
    assert!(names(&mut other, "NLST /").contains(&"fresh".to_owned()));
    other.expect("RMD /fresh/a", 250);
    other.expect("RMD /fresh", 250);
    // Who has made it is not told that it is there still.
    ftp.expect("MKD /fresh", 257);
    ftp.expect("RMD /fresh", 250);
    let mut root = Ftp::connect(daemon.address);
    root.log_in("root", "test");
    let domain = unique();
    for dir in ["", "/default/a"] {
        root.expect(&format!("MKD /{domain}{dir}"), 257);
    }
    root.expect(&format!("RMD /{domain}"), 550);
    root.expect(&format!("RMD /{domain}/default/a"), 250);
    root.expect(&format!("RMD /{domain}"), 250);
}

#[test]
fn d17_a_class_that_was_made_can_be_used_at_once() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    let reply = ftp.expect("MKD /fresh", 257);
    assert!(reply.contains("\"/fresh\""), "{reply}");
    ftp.expect("CWD /fresh/", 250);
    assert!(ftp.expect("PWD", 257).contains("\"/fresh\""));
    ftp.store("f", b"1");
    assert_eq!(cluster.class("fresh/f").as_deref(), Some("fresh"));
    ftp.expect("CWD ../docs", 250);
}

#[test]
fn a_flat_namespace_has_directories_below_its_root() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[("mogilefs.defaultclass", "docs")]);
    let log_in = || {
        let mut ftp = Ftp::connect(daemon.address);
        ftp.log_in("ftp", "test");
        ftp.expect("TYPE I", 200);
        ftp
    };
    let mut ftp = log_in();
    ftp.expect("MKD a", 257);
    let mut other = log_in();
    other.expect("CWD /a", 250);
    other.store("b/c.jpg", b"1");
    assert_eq!(names(&mut ftp, "NLST"), ["a"]);
    assert_eq!(names(&mut ftp, "NLST a"), ["b"]);
    ftp.expect("CWD a/b", 250);
    ftp.expect("CWD /nothing", 550);
    assert_eq!(cluster.keys(), ["a/b/c.jpg"]);
}

#[test]
fn a_marker_keeps_a_directory_beyond_the_daemon() {
    let cluster = Cluster::start();
    let changes = [("mogilefs.dirmarkers", "yes")];
    let daemon = Daemon::on(&cluster, &changes);
    let mut ftp = member(&daemon);
    ftp.expect("MKD /docs/kept", 257);
    ftp.expect("MKD /docs/kept", 550);
    assert_eq!(cluster.keys(), ["docs/kept/"]);
    assert_eq!(cluster.size("docs/kept/"), Some(0));
    drop(daemon);
    let daemon = Daemon::on(&cluster, &changes);
    let mut ftp = member(&daemon);
    assert_eq!(names(&mut ftp, "NLST /docs"), ["kept"]);
    ftp.expect("CWD /docs/kept", 250);
    assert_eq!(names(&mut ftp, "NLST"), [""; 0]);
    ftp.store("f", b"1");
    assert_eq!(names(&mut ftp, "NLST"), ["f"]);
    ftp.expect("RNFR /docs/kept", 350);
    ftp.expect("RNTO /docs/moved", 250);
    assert_eq!(cluster.keys(), ["docs/moved/", "docs/moved/f"]);
    ftp.expect("RMD /docs/moved", 550);
    ftp.expect("DELE /docs/moved/f", 250);
    ftp.expect("RMD /docs/moved", 250);
    assert_eq!(cluster.keys(), [""; 0]);
    ftp.expect("CWD /docs/moved", 550);
}

#[test]
fn a_directory_is_looked_through_before_it_is_renamed() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    let long = "l".repeat(200);
    for key in [
        "docs/a/1",
        "docs/a/sub/2",
        &format!("docs/a/{long}"),
        "docs/b/1",
        "docs/f",
    ] {
        cluster.put(key, "docs", b"1");
    }
    let before = cluster.keys();
    for (to, code) in [
        ("/docs/b", 553),
        ("/docs/f", 553),
        ("/docs/a/inside", 553),
        ("/nosuch/a", 553),
        (&*format!("/docs/{}", "x".repeat(60)), 553),
    ] {
        ftp.expect("RNFR /docs/a", 350);
        ftp.expect(&format!("RNTO {to}"), code);
        assert_eq!(cluster.keys(), before, "{to}");
    }
    ftp.expect("RNFR /docs/nothing", 550);
    // So it is with what has no files yet.
    let empty = format!("/docs/e/{}", "m".repeat(200));
    ftp.expect("MKD /docs/e", 257);
    ftp.expect(&format!("MKD {empty}"), 257);
    ftp.expect("RNFR /docs/e", 350);
    ftp.expect(&format!("RNTO /docs/{}", "x".repeat(60)), 553);
    ftp.expect(&format!("CWD {empty}"), 250);
    ftp.expect("RNFR /docs/a", 350);
    ftp.expect("RNTO /photos/x/a", 250);
    let expected = [
        "docs/b/1".to_owned(),
        "docs/f".to_owned(),
        "photos/x/a/1".to_owned(),
        format!("photos/x/a/{long}"),
        "photos/x/a/sub/2".to_owned(),
    ];
    assert_eq!(cluster.keys(), expected);
    for key in &expected[2..] {
        assert_eq!(cluster.class(key).as_deref(), Some("photos"));
    }
}

#[test]
fn a_directory_that_is_too_large_is_not_renamed() {
    let cluster = filled(&fill("docs/a/f", 10_001));
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    calls(&cluster);
    ftp.expect("RNFR /docs/a", 350);
    let reply = ftp.expect("RNTO /docs/b", 550);
    assert!(reply.contains("10000"), "{reply}");
    assert!(!calls(&cluster).contains_key("rename"));
}

#[test]
fn a_renaming_that_stops_says_how_far_it_came_and_can_be_repeated() {
    let cluster = filled(&fill("docs/a/f", 7));
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    cluster
        .node()
        .fault("err code=plugin_aborted cmd=rename after=3");
    ftp.expect("RNFR /docs/a", 350);
    let reply = ftp.expect("RNTO /docs/b", 451);
    assert!(reply.contains("3 of 7"), "{reply}");
    assert_eq!(names(&mut ftp, "NLST /docs/b").len(), 3);
    assert_eq!(names(&mut ftp, "NLST /docs/a").len(), 4);
    cluster.node().fault("clear");
    ftp.expect("RNFR /docs/a", 350);
    ftp.expect("RNTO /docs/b", 250);
    assert_eq!(names(&mut ftp, "NLST /docs/b").len(), 7);
    ftp.expect("CWD /docs/a", 550);
}
