//! D2 to D12: what was lost, changed or mixed up.

use std::io::Write;
use std::net::Shutdown;

use socket2::SockRef;

use crate::support::{Cluster, Daemon, Ftp, Truth, on_each_module};

fn binary(daemon: &Daemon) -> Ftp {
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    ftp
}

#[test]
fn d2_a_broken_upload_is_not_stored_and_the_old_file_stays() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        ftp.store(&place.path("f"), b"the old one");
        let data = ftp.data();
        ftp.expect(&format!("STOR {}", place.path("f")), 150);
        let mut stream = data.stream();
        stream.write_all(&[7; 100_000]).unwrap();
        // With no time to linger, closing is a reset.
        SockRef::from(&stream)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
        drop(stream);
        ftp.reply_of(426);
        assert_eq!(
            place.holds("f").as_deref(),
            Some(&b"the old one"[..]),
            "{}",
            place.module
        );
        assert_eq!(place.names(), ["f"], "{}", place.module);
        ftp.expect("NOOP", 200);
    });
}

#[test]
fn d2_a_client_that_is_killed_has_stored_nothing() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = binary(&daemon);
    let data = ftp.data();
    ftp.expect("STOR /photos/f", 150);
    let mut stream = data.stream();
    stream.write_all(&[7; 100_000]).unwrap();
    // The kernel closes all sockets of a killed process, in order.
    ftp.control().shutdown(Shutdown::Both).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    daemon.wait_for("stor-failed");
    assert_eq!(cluster.keys(), [""; 0]);
}

#[test]
fn d3_a_command_may_come_letter_by_letter() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = Ftp::connect(daemon.address);
    for letter in b"USER test\r\nPASS test\r\n" {
        ftp.send(&[*letter]);
    }
    ftp.reply_of(331);
    ftp.reply_of(230);
}

#[test]
fn d4_commands_may_come_together_and_be_long() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = Ftp::connect(daemon.address);
    ftp.send(b"USER test\r\nPASS test\r\nPWD\r\n");
    for code in [331, 230, 257] {
        ftp.reply_of(code);
    }
    ftp.expect(&format!("CWD /{}", "n".repeat(2000)), 550);
    ftp.expect(&"X".repeat(5000), 500);
    ftp.expect("NOOP", 200);
}

#[test]
fn d5_another_domain_is_another_domain() {
    let one = Cluster::start();
    let two = Cluster::at(one.address);
    two.put("docs/there", "docs", b"of two");
    let daemon = Daemon::on(&one, &[]);
    let mut ftp = Ftp::connect(daemon.address);
    ftp.log_in("root", "test");
    ftp.expect("TYPE I", 200);
    ftp.expect(&format!("CWD {}", two.domain), 250);
    ftp.expect("CWD photos", 250);
    ftp.store("mine", b"in two");
    assert_eq!(two.class("photos/mine").as_deref(), Some("photos"));
    assert_eq!(one.keys(), [""; 0]);
    assert_eq!(
        ftp.fetch(&format!("RETR /{}/docs/there", two.domain)),
        b"of two"
    );
    ftp.expect(&format!("RNFR /{}/docs/there", two.domain), 350);
    ftp.expect(&format!("RNTO /{}/photos/here", two.domain), 250);
    assert_eq!(two.class("photos/here").as_deref(), Some("photos"));
    ftp.expect(&format!("CWD /{}/docs", one.domain), 250);
    ftp.store("own", b"in one");
    assert_eq!(one.keys(), ["docs/own"]);
}

#[test]
fn d6_nothing_of_an_old_version_is_remembered() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = binary(&daemon);
    for content in [&b"one"[..], b"another one"] {
        ftp.store("/photos/f", content);
        assert_eq!(
            ftp.expect("SIZE /photos/f", 213),
            format!("213 {}", content.len())
        );
        assert_eq!(ftp.fetch("RETR /photos/f"), content);
    }
    ftp.expect("RNFR /photos/f", 350);
    ftp.expect("RNTO /photos/g", 250);
    ftp.expect("SIZE /photos/f", 550);
    ftp.expect("DELE /photos/g", 250);
    ftp.expect("SIZE /photos/g", 550);
}

#[test]
fn d7_names_reach_the_tracker_as_they_are() {
    let names = [
        "Tom & Jerry.txt",
        "Tom & Anna.txt",
        "a+b",
        "a b",
        "p%41",
        "pA",
        "x&y=z.txt",
        "#",
    ];
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = binary(&daemon);
    for name in names {
        ftp.store(&format!("/photos/{name}"), name.as_bytes());
    }
    assert_eq!(cluster.keys().len(), names.len());
    for name in names {
        assert_eq!(
            cluster.content(&format!("photos/{name}")).unwrap(),
            name.as_bytes()
        );
        assert_eq!(ftp.fetch(&format!("RETR /photos/{name}")), name.as_bytes());
    }
    ftp.expect("DELE /photos/Tom & Anna.txt", 250);
    assert!(cluster.content("photos/Tom & Jerry.txt").is_some());
}

#[test]
fn d8_files_that_are_empty_or_a_zero_are_files() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        let mut long = vec![b'x'; 1024];
        long.push(b'0');
        for content in [&b""[..], b"0", &long] {
            ftp.store(&place.path("f"), content);
            assert_eq!(
                place.holds("f").as_deref(),
                Some(content),
                "{}",
                place.module
            );
            assert_eq!(ftp.fetch(&format!("RETR {}", place.path("f"))), content);
        }
    });
}

#[test]
fn d9_text_keeps_its_lines_both_ways() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE A", 200);
        ftp.store(&place.path("f"), b"one\r\ntwo\r\n\r\nend");
        assert_eq!(
            place.holds("f").as_deref(),
            Some(&b"one\ntwo\n\nend"[..]),
            "{}",
            place.module
        );
        assert_eq!(
            ftp.fetch(&format!("RETR {}", place.path("f"))),
            b"one\r\ntwo\r\n\r\nend"
        );
        ftp.expect("TYPE I", 200);
        assert_eq!(
            ftp.fetch(&format!("RETR {}", place.path("f"))),
            b"one\ntwo\n\nend"
        );
    });
}

#[test]
fn d9_an_upload_without_a_type_arrives_unchanged() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let jpeg = b"\xff\xd8\r\n\xff\n\r\r\n\xff\xff\xd9";
    daemon.log_in().store("/photos/camera.jpg", jpeg);
    assert_eq!(
        cluster.content("photos/camera.jpg").as_deref(),
        Some(&jpeg[..])
    );
}

#[test]
fn d10_a_line_of_a_list_has_nine_columns_whatever_is_in_it() {
    let daemon = Daemon::of_files(&[]);
    let files = daemon.files();
    for name in ["100%.jpg", "%s%n", "two  blanks", "x"] {
        std::fs::write(files.join(name), b"1").unwrap();
    }
    // Sparse: ten digits, and no room on the disk.
    std::fs::File::create(files.join("huge"))
        .unwrap()
        .set_len(12_345_678_901)
        .unwrap();
    let lines = daemon.log_in().lines("LIST");
    assert_eq!(lines.len(), 5, "{lines:?}");
    for line in &lines {
        let columns: Vec<&str> = line.split_whitespace().collect();
        assert!(
            columns.len() >= 9 && columns[4].parse::<u64>().is_ok(),
            "{line}"
        );
    }
    for (end, size) in [
        (" 100%.jpg", "1"),
        (" %s%n", "1"),
        (" two  blanks", "1"),
        (" huge", "12345678901"),
    ] {
        let line = lines.iter().find(|line| line.ends_with(end)).unwrap();
        assert_eq!(line.split_whitespace().nth(4), Some(size), "{line}");
    }
}

#[test]
fn d12_a_failed_rnfr_forgets_the_earlier_one() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        ftp.store(&place.path("a"), b"A");
        ftp.expect(&format!("RNFR {}", place.path("a")), 350);
        ftp.expect(&format!("RNFR {}", place.path("none")), 550);
        ftp.expect(&format!("RNTO {}", place.path("b")), 503);
        assert_eq!(place.names(), ["a"], "{}", place.module);
    });
}

#[test]
fn d33_a_rename_takes_the_class_along_and_a_class_with_files_stays() {
    on_each_module(|place, daemon| {
        let Truth::Cluster(cluster) = &place.store else {
            return;
        };
        if place.module == "MogileFs_FlatNS" {
            return;
        }
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        let docs = place.dir.replace("photos", "docs");
        ftp.store(&place.path("f"), b"x");
        ftp.expect(&format!("RNFR {}", place.path("f")), 350);
        ftp.expect(&format!("RNTO {docs}/f"), 250);
        assert_eq!(
            cluster.class("docs/f").as_deref(),
            Some("docs"),
            "{}",
            place.module
        );
        // A file of another class lies under this one's name: the directory is not empty.
        cluster.put("photos/stray", "docs", b"x");
        ftp.expect(&format!("RMD {}", place.dir), 550);
        assert!(cluster.classes().contains(&"photos".to_owned()));
    });
}
