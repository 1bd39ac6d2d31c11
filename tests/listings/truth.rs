//! What listings say is so, or is not said.

use std::io::Read;

use crate::support::{Cluster, Daemon, Ftp, eventually};
use crate::{calls, fact, fill, filled, member, names};

#[test]
fn d14_nlst_gives_names_and_list_takes_an_argument() {
    let cluster = Cluster::start();
    for key in ["docs/a.txt", "docs/b.jpg", "docs/sub/c"] {
        cluster.put(key, "docs", b"12345");
    }
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    let mut sorted = |command: &str| {
        let mut lines = ftp.lines(command);
        lines.sort();
        lines
    };
    assert_eq!(
        sorted("NLST /docs"),
        ["/docs/a.txt", "/docs/b.jpg", "/docs/sub"]
    );
    assert_eq!(sorted("NLST docs/*.txt"), ["docs/a.txt"]);
    assert_eq!(sorted("NLST docs/a.txt"), ["docs/a.txt"]);
    assert_eq!(sorted("LIST /docs/sub").len(), 1);
    assert_eq!(sorted("LIST -la /docs").len(), 3);
    assert_eq!(sorted("LIST /docs/a.txt").len(), 1);
    ftp.expect("CWD docs", 250);
    assert_eq!(names(&mut ftp, "NLST"), ["a.txt", "b.jpg", "sub"]);
    assert_eq!(names(&mut ftp, "NLST ."), ["a.txt", "b.jpg", "sub"]);
    assert_eq!(ftp.lines("LIST -a").len(), 3);
    for (command, code) in [
        ("NLST nothing", 550),
        ("LIST nothing", 550),
        ("LIST -R", 504),
        ("LIST -lR /", 504),
        ("MLSD a.txt", 501),
    ] {
        let _data = ftp.data();
        ftp.expect(command, code);
    }
    let status = ftp.expect("STAT /docs", 212);
    assert_eq!(status.lines().count(), 5, "{status}");
}

#[test]
fn d19_listlimit_is_a_limit_and_a_full_page_is_not_the_end() {
    let cluster = filled(&fill("docs/d/f", 5000));
    for (limit, lines) in [("10", 10), ("1000", 1000), ("1001", 1001), ("5000", 5000)] {
        let daemon = Daemon::on(&cluster, &[("mogilefs.listlimit", limit)]);
        let mut ftp = member(&daemon);
        calls(&cluster);
        let data = ftp.data();
        ftp.expect("NLST /docs/d", 150);
        let mut text = String::new();
        data.stream().read_to_string(&mut text).unwrap();
        let end = ftp.reply_of(226);
        assert_eq!(text.lines().count(), lines, "{limit}");
        assert_eq!(end.contains("cut at"), lines < 5000, "{end}");
        let asked = calls(&cluster);
        assert!(
            asked["list_keys"] <= lines as u64 / 1000 + 4,
            "{limit}: {asked:?}"
        );
    }
}

#[test]
fn d19_a_tracker_that_fails_is_no_empty_directory() {
    let cluster = filled(&fill("docs/d/f", 3000));
    let daemon = Daemon::on(&cluster, &[("mogilefs.listlimit", "0")]);
    let mut ftp = member(&daemon);
    ftp.expect("CWD /docs/d", 250);
    cluster.node().fault("err code=db cmd=list_keys");
    for command in ["LIST", "NLST", "MLSD"] {
        let _data = ftp.data();
        ftp.expect(command, 451);
    }
    cluster.node().fault("clear");
    cluster.node().fault("err code=db cmd=list_keys after=2");
    let data = ftp.data();
    ftp.expect("NLST", 150);
    let mut text = String::new();
    data.stream().read_to_string(&mut text).unwrap();
    ftp.reply_of(451);
    let count = text.lines().count();
    assert!((900..3000).contains(&count), "{count}");
}

#[test]
fn what_cannot_be_shown_is_hidden_counted_once_and_breaks_no_line() {
    let cluster = Cluster::faulty();
    for key in [
        "docs/a\nb",
        "docs/c\r\n226 done",
        "docs//x",
        "docs/./y",
        "docs/good",
        "docs/\t/z",
    ] {
        cluster.put(key, "docs", b"1");
    }
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    for command in ["NLST /docs", "MLSD /docs", "LIST /docs"] {
        let from = daemon.mark();
        assert_eq!(ftp.lines(command).len(), 1, "{command}");
        let (_, line) = daemon.wait_after(from, "list-hidden ");
        assert!(line.ends_with(" names=5"), "{line}");
    }
}

#[test]
fn machine_listings_say_what_may_be_done() {
    let cluster = Cluster::start();
    cluster.put("docs/f", "docs", b"12345");
    cluster.put("docs/d/x", "docs", b"1");
    let daemon = Daemon::on(&cluster, &[("mogilefs.canrename", "no")]);
    let mut ftp = member(&daemon);
    let lines = ftp.lines("MLSD /docs");
    assert_eq!(lines.len(), 2, "neither cdir nor pdir: {lines:?}");
    let line = |name: &str| {
        lines
            .iter()
            .find(|line| line.ends_with(&format!(" {name}")))
            .unwrap()
    };
    let file = line("f");
    assert_eq!(fact(file, "type"), Some("file"));
    assert_eq!(fact(file, "size"), Some("5"));
    assert_eq!(fact(file, "UNIX.mode"), Some("0644"));
    assert!(fact(file, "unique").is_some() && fact(file, "modify").is_some());
    let allowed = fact(file, "perm").unwrap();
    assert!(
        allowed.contains('r') && allowed.contains('w') && !allowed.contains('f'),
        "{allowed}"
    );
    let dir = line("d");
    assert_eq!(fact(dir, "type"), Some("dir"));
    assert_eq!(fact(dir, "perm"), Some("cdelmp"));
    assert_eq!(fact(dir, "size"), None);
    ftp.expect("OPTS MLST type;size;", 200);
    assert_eq!(ftp.lines("MLSD /docs/d"), ["type=file;size=1; x"]);
    assert!(
        ftp.expect("MLST /docs/d", 250)
            .contains("\n type=dir; /docs/d")
    );
}

#[test]
fn a_session_sees_its_own_deeds_whatever_a_lagging_database_says() {
    let cluster = Cluster::faulty();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    ftp.store("/docs/f", b"12345");
    cluster.node().fault("err code=unknown_key cmd=file_info");
    assert_eq!(ftp.expect("SIZE /docs/f", 213), "213 5");
    let line = &ftp.lines("LIST /docs")[0];
    assert_eq!(line.split_whitespace().nth(4), Some("5"), "{line}");
    // What somebody else has removed since then is not there, all the same.
    cluster.call("delete", &[("key", b"docs/f")]).unwrap();
    ftp.expect("SIZE /docs/f", 550);
}

#[test]
fn a_rename_does_not_need_a_database_that_has_heard_of_it() {
    let cluster = Cluster::faulty();
    let daemon = Daemon::on(&cluster, &[]);
    let (mut ftp, mut other) = (member(&daemon), member(&daemon));
    let rename = |ftp: &mut Ftp, from: &str, to: &str, code| {
        ftp.expect(&format!("RNFR {from}"), 350);
        ftp.expect(&format!("RNTO {to}"), code)
    };
    other.store("/docs/theirs/f", b"1");
    ftp.store("/docs/f", b"12345");
    ftp.store("/docs/d/f", b"12345");
    cluster.node().fault("err code=unknown_key cmd=file_info");
    for (from, to) in [("f", "g"), ("d", "e"), ("e", "d")] {
        rename(
            &mut ftp,
            &format!("/docs/{from}"),
            &format!("/docs/{to}"),
            250,
        );
    }
    assert_eq!(cluster.keys(), ["docs/d/f", "docs/g", "docs/theirs/f"]);
    // Of what others have stored nothing is known; so much is said.
    let reply = rename(&mut ftp, "/docs/theirs", "/docs/t", 451);
    assert!(reply.contains("0 of 1 files"), "{reply}");
    cluster.node().fault("clear");
    rename(&mut ftp, "/docs/theirs", "/docs/t", 250);
    assert_eq!(cluster.keys(), ["docs/d/f", "docs/g", "docs/t/f"]);
}

#[test]
fn a_session_sees_the_older_file_that_it_has_put_in_the_place_of_a_listed_one() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    ftp.store("/docs/older", b"1234567");
    ftp.store("/docs/f", b"1");
    let sizes = |ftp: &mut Ftp| -> Vec<String> {
        let lines = ftp.lines("MLSD /docs").into_iter();
        lines
            .map(|line| fact(&line, "size").unwrap().to_owned())
            .collect()
    };
    assert_eq!(sizes(&mut ftp), ["1", "7"]);
    ftp.expect("RNFR /docs/older", 350);
    ftp.expect("RNTO /docs/f", 250);
    assert_eq!(sizes(&mut ftp), ["7"]);
}

#[test]
fn who_lists_again_and_again_sees_what_others_have_replaced() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let (mut ftp, mut other) = (member(&daemon), member(&daemon));
    other.store("/docs/older", b"1234567");
    ftp.store("/docs/own", b"1");
    other.store("/docs/f", b"1");
    let sizes = |ftp: &mut Ftp| -> Vec<Option<String>> {
        let lines = ftp.lines("MLSD /docs");
        lines
            .iter()
            .map(|line| fact(line, "size").map(str::to_owned))
            .collect()
    };
    assert_eq!(sizes(&mut ftp).len(), 3);
    other.store("/docs/f", b"123");
    other.expect("RNFR /docs/older", 350);
    other.expect("RNTO /docs/own", 250);
    eventually("the sizes of what is there now", || {
        (sizes(&mut ftp) == [Some("3".to_owned()), Some("7".to_owned())]).then_some(())
    });
}
