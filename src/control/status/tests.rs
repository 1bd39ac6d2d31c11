//! What an operator is shown of a service.

use super::*;

fn status() -> Status {
    let session = |pid, user: Option<&[u8]>, verb: &str, argument: &[u8]| Session {
        pid,
        peer: ([192, 0, 2, 1], 4000).into(),
        user: user.map(<[u8]>::to_vec),
        module: if user.is_some() {
            "MogileFs".to_owned()
        } else {
            String::new()
        },
        verb: verb.to_owned(),
        argument: argument.to_vec(),
        since: Duration::from_secs(61),
        bytes: 5 << 20,
        rate: 2000,
        uploaded: 7,
        downloaded: 8,
    };
    Status {
        version: "1.2.3",
        pid: 7,
        uptime: Duration::from_secs(3 * 86_400 + 3600),
        workers: 5,
        idle: 3,
        max_clients: 256,
        trackers: vec![([127, 0, 0, 1], 7001).into()],
        is_shut: false,
        banned: 0,
        fading: vec![Fading {
            kind: crate::tls::Kind::Certificate,
            file: "/a.pem".into(),
            end: "2026-01-02T03:04:05Z".parse().unwrap(),
            days: 13,
        }],
        spool_leased: 0,
        figures: Figures::default(),
        tally: Tally::default(),
        sessions: vec![
            session(10, None, "", b""),
            session(11, Some(b"a\"\x1b[2J"), "STOR", b"/x\ny"),
        ],
    }
}

#[test]
fn people_get_a_line_a_session_whatever_its_client_is_called() {
    let table = status().table();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 8, "{table}");
    assert_eq!(lines[0], "nanoftpd 1.2.3 (pid 7), up 3d01h");
    assert_eq!(lines[1], "2 of 256 sessions, 5 workers, 3 idle");
    assert_eq!(lines[3], "certificate /a.pem: expires in 13 days");
    assert!(
        lines[6].contains("1m01s") && lines[6].ends_with("idle"),
        "{table}"
    );
    assert!(lines[7].ends_with(r"STOR /x\ny"), "{table}");
    assert!(!table.contains('\x1b'));
}

#[test]
fn the_top_shows_the_fastest_first_and_the_sums() {
    let mut status = status();
    status.sessions[0].rate = 0;
    let top = status.top();
    let lines: Vec<&str> = top.lines().collect();
    assert_eq!(lines[4], "1.9K/s up, 0/s down");
    assert!(lines[7].contains("  5.0M  1.9K/s STOR"), "{top}");
    assert!(lines[8].ends_with("     -       - idle"), "{top}");
    status.sessions.clear();
    assert_eq!(status.top().lines().count(), 5);
}

#[test]
fn sizes_are_short() {
    for (bytes, expected) in [
        (0, "0"),
        (999, "999"),
        (1024, "1.0K"),
        (10_240, "10K"),
        (1_023_999, "999K"),
        (1 << 20, "1.0M"),
        (1 << 40, "1.0T"),
    ] {
        assert_eq!(size(bytes), expected);
    }
    assert!(size(u64::MAX).len() <= 6);
}

#[test]
fn programs_get_one_object() {
    let json = status().json();
    assert!(json.starts_with(r#"{"version":"1.2.3","pid":7,"uptime":262800,"workers":5,"#));
    assert!(json.contains(r#""trackers":["127.0.0.1:7001"]"#), "{json}");
    assert!(json.contains(r#"{"pid":10,"peer":"192.0.2.1:4000","user":null,"module":"","#));
    let escaped = r#""user":"a\"\u001b[2J","module":"MogileFs","verb":"STOR","argument":"/x\u000ay","path":"/x\u000ay","bytes":5242880,"rate":2000,"#;
    assert!(json.contains(escaped), "{json}");
}

#[test]
fn times_are_short() {
    for (seconds, expected) in [
        (0, "0s"),
        (59, "59s"),
        (60, "1m00s"),
        (3600, "1h00m"),
        (90_000, "1d01h"),
    ] {
        assert_eq!(time(Duration::from_secs(seconds)), expected);
    }
}
