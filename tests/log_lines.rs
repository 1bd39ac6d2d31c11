//! What the log says of transfers and of trouble behind them: which fields each line has, and that the
//! lines of one transfer, and what the client was told, share a reference.
#![cfg(test)]

mod support;

use support::{Cluster, Daemon, Ftp, PATIENCE, field, noise};

const SHORT: [(&str, &str); 8] = [
    ("mogilefs.timeout", "5"),
    ("mogilefs.request_timeout", "5"),
    ("mogilefs.open_timeout", "5"),
    ("mogilefs.close_timeout", "2"),
    ("mogilefs.read_timeout", "5"),
    ("mogilefs.write_timeout", "5"),
    ("mogilefs.store_timeout", "5"),
    ("mogilefs.spool_mem", "64K"),
];

/// The keys of a line, in their order, up to the last.
fn keys(line: &str) -> Vec<&str> {
    let event = line.split_once("] : ").unwrap().1;
    let mut keys = Vec::new();
    let mut is_text = false;
    for word in event.split(' ').skip(2) {
        if !is_text {
            keys.extend(word.split_once('=').map(|(key, _)| key));
        }
        is_text ^= word.matches('"').count() % 2 == 1;
    }
    keys
}

/// The first line of this event from number `from` on; its keys must be these.
fn line(daemon: &Daemon, from: usize, event: &str, expected: &str) -> String {
    let start = format!("{event} ");
    let is_meant = |line: &str| line.contains(&format!(" {start}"));
    let found = daemon.log.wait(from, PATIENCE, is_meant);
    let (_, line) = found.unwrap_or_else(|| panic!("no {event}"));
    let expected: Vec<&str> = expected.split(' ').collect();
    assert_eq!(keys(&line), expected, "{line}");
    line
}

/// What a client was told to ask about.
fn reference(reply: &str) -> &str {
    let (_, rest) = reply.split_once("(ref ").unwrap();
    &rest[..6]
}

fn begin(cluster: &Cluster) -> (Daemon, Ftp) {
    let daemon = Daemon::on(cluster, &SHORT);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    (daemon, ftp)
}

const STOR_OK: &str = "peer session ref bytes ms fid replicas user path";
const STOR_FAILED: &str = "peer session ref why bytes ms user path";
const UPLOAD_STORED: &str = "ref fid dev node bytes md5 spool recv_ms open_ms put_ms close_ms tracker \
                             fids dests domain class key";
const UPLOAD_FAILED: &str = "ref step fids dests nodes domain class key";
const DOWNLOAD_ENDED: &str = "ref fid bytes offset of copies resumes stall_resumes ttfb_ms";

#[test]
fn an_upload_is_told_by_the_session_and_the_store_under_one_reference() {
    let cluster = Cluster::faulty();
    let (daemon, mut ftp) = begin(&cluster);
    for (size, spool, md5) in [
        (3, "ram", "900150983cd24fb0d6963f7d28e17f72"),
        (100_000, "disk", "-"),
    ] {
        let mark = daemon.mark();
        let content = if size == 3 {
            b"abc".to_vec()
        } else {
            noise(size, 1)
        };
        ftp.store("/photos/a", &content);
        let stored = line(&daemon, mark, "upload-stored", UPLOAD_STORED);
        let told = line(&daemon, mark, "stor-ok", STOR_OK);
        for key in ["ref", "fid", "bytes"] {
            assert_eq!(field(&stored, key), field(&told, key), "{key}");
        }
        let expected = [
            ("bytes", size.to_string()),
            ("spool", spool.to_owned()),
            ("md5", md5.to_owned()),
            ("tracker", cluster.address.to_string()),
            ("fids", "1".to_owned()),
            ("dests", "1".to_owned()),
            ("class", "\"photos\"".to_owned()),
            ("key", "\"photos/a\"".to_owned()),
        ];
        for (key, value) in expected {
            assert_eq!(field(&stored, key), Some(&*value), "{stored}");
        }
        let device: usize = field(&stored, "dev").unwrap().parse().unwrap();
        let node = cluster.node().devices[device - 1].to_string();
        assert_eq!(field(&stored, "node"), Some(&*node));
    }
}

#[test]
fn an_upload_that_fails_says_where_and_the_client_the_reference() {
    let cluster = Cluster::faulty();
    let (daemon, mut ftp) = begin(&cluster);
    for (fault, step, fids, cause) in [
        ("status method=PUT code=500", "put", "3", "500"),
        (
            "err cmd=create_open code=bogus_args",
            "open",
            "0",
            "bogus_args",
        ),
        (
            "err cmd=create_close code=size_mismatch text=secret",
            "close",
            "3",
            "size_mismatch: secret",
        ),
    ] {
        let mark = daemon.mark();
        cluster.node().fault(fault);
        let (code, reply) = ftp.give("STOR /photos/lost", b"lost");
        cluster.node().fault("clear");
        assert_eq!(code, 451, "{fault}: {reply}");
        assert!(
            !reply.contains("secret") && !reply.contains("127.0.0"),
            "{reply}"
        );
        let failed = line(&daemon, mark, "upload-failed", UPLOAD_FAILED);
        let told = line(&daemon, mark, "stor-failed", STOR_FAILED);
        let why = line(&daemon, mark, "failed", "peer session ref code cause");
        for line in [&failed, &told, &why] {
            assert_eq!(field(line, "ref"), Some(reference(&reply)), "{line}");
        }
        assert_eq!(field(&failed, "step"), Some(step), "{failed}");
        assert_eq!(field(&failed, "fids"), Some(fids), "{failed}");
        assert!(why.contains(cause), "{why}");
        if step != "open" {
            let nodes = field(&failed, "nodes").unwrap();
            assert_eq!(nodes.split(',').count(), 3, "{failed}");
            let again = line(&daemon, mark, "stor-again", "ref fid fids error");
            assert_eq!(field(&again, "ref"), Some(reference(&reply)));
        }
    }
}

#[test]
fn an_upload_in_doubt_says_what_came_of_it() {
    let cluster = Cluster::faulty();
    let (daemon, mut ftp) = begin(&cluster);
    for (fault, verdict) in [
        ("lose-reply cmd=create_close count=1", "committed"),
        ("no-temp-file count=1", "lost"),
        ("close cmd=create_close count=1", "open"),
    ] {
        let mark = daemon.mark();
        cluster.node().fault(fault);
        ftp.store("/photos/a", b"in doubt");
        cluster.node().fault("clear");
        let doubt = line(&daemon, mark, "close-doubt", "ref fid dev error");
        let found = line(&daemon, mark, "close-found", "ref fid verdict waited_ms");
        let told = line(&daemon, mark, "stor-ok", STOR_OK);
        assert_eq!(field(&found, "verdict"), Some(verdict), "{found}");
        for line in [&doubt, &found] {
            assert_eq!(field(line, "ref"), field(&told, "ref"), "{line}");
        }
    }
}

#[test]
fn a_download_says_which_copies_gave_it_and_which_were_bad() {
    let cluster = Cluster::faulty();
    let twice = [("class", &b"twice"[..]), ("mindevcount", b"2")];
    cluster.call("create_class", &twice).unwrap();
    let (daemon, mut ftp) = begin(&cluster);
    let content = noise(400_000, 2);
    ftp.store("/twice/a", &content);
    support::eventually("the file is copied", || {
        let paths = cluster.call("get_paths", &[("key", b"twice/a")]).unwrap();
        (paths["paths"] == b"2").then_some(())
    });
    let retr_ok = STOR_OK.replace(" fid replicas", "");
    for (fault, event, expected, copies, resumes) in [
        (
            "status method=GET code=404 count=1",
            "replica-bad",
            "ref fid url offset error",
            1,
            "0",
        ),
        (
            "cut method=GET at=200000 count=1",
            "replica-broke",
            "ref fid url offset error",
            2,
            "1",
        ),
    ] {
        let mark = daemon.mark();
        cluster.node().fault(fault);
        ftp.expect("REST 1000", 350);
        let got = ftp.fetch("RETR /twice/a");
        assert!(got == content[1000..]);
        cluster.node().fault("clear");
        let bad = line(&daemon, mark, event, expected);
        assert!(
            field(&bad, "url").unwrap().starts_with("http://127.0.0."),
            "{bad}"
        );
        let ended = line(&daemon, mark, "download-ended", DOWNLOAD_ENDED);
        let told = line(&daemon, mark, "retr-ok", &retr_ok);
        for line in [&bad, &ended] {
            assert_eq!(field(line, "ref"), field(&told, "ref"), "{line}");
        }
        for (key, value) in [
            ("bytes", "399000"),
            ("offset", "1000"),
            ("of", "400000"),
            ("resumes", resumes),
            ("stall_resumes", "0"),
        ] {
            assert_eq!(field(&ended, key), Some(value), "{ended}");
        }
        let used = field(&ended, "copies").unwrap();
        assert_eq!(used.split(',').count(), copies, "{ended}");
        assert!(used.split(',').all(|copy| copy.contains(":dev")), "{ended}");
    }
}

#[test]
fn a_tracker_that_is_slow_or_confused_is_named() {
    let cluster = Cluster::faulty();
    cluster.put("photos/a", "photos", b"x");
    let (daemon, mut ftp) = begin(&cluster);
    cluster.node().fault("delay cmd=file_info ms=2100 count=1");
    ftp.expect("SIZE /photos/a", 213);
    let slow = line(&daemon, 0, "tracker-slow", "ref addr command ms hedged");
    assert_eq!(field(&slow, "command"), Some("file_info"));
    cluster.node().fault("wrong-callid cmd=file_info count=1");
    ftp.expect("SIZE /photos/a", 213);
    let confused = line(&daemon, 0, "tracker-desync", "ref addr command error");
    assert!(confused.contains("callid"), "{confused}");
    cluster.node().fault("close cmd=file_info count=1");
    ftp.expect("SIZE /photos/a", 213);
    line(&daemon, 0, "tracker-failed", "ref addr command error");
    cluster.node().fault("refuse dev=1");
    for _ in 0..20 {
        ftp.store("/photos/b", b"x");
    }
    let down = line(&daemon, 0, "node-down", "ref url error");
    assert_eq!(field(&down, "ref").map(str::len), Some(6));
}
