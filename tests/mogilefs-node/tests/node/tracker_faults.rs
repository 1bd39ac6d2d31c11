//! What a tracker does when it is told to fail.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{Tracker, put};
use crate::process::{Process, wait};

fn node(options: &[&str]) -> (Process, Tracker) {
    let mut all = vec!["--domain", "d:k=2"];
    all.extend(options);
    let process = Process::start(&all);
    let tracker = Tracker::connect(process.place("tracker"));
    (process, tracker)
}

#[test]
fn a_command_fails_once_and_then_works() {
    let (_process, mut tracker) = node(&[]);
    tracker.tell("!fault err cmd=noop code=db count=1");
    assert_eq!(tracker.ask("noop callid=3"), "ERR db Database+error 3");
    assert_eq!(tracker.ask("noop"), "OK");
    assert_eq!(
        tracker.list("!faults"),
        ["err cmd=noop code=db left=0 hits=1"]
    );
    tracker.tell("!fault clear");
    assert!(tracker.list("!faults").is_empty());
    assert!(tracker.ask("!fault nonsense").starts_with("ERR"));
}

#[test]
fn a_mute_tracker_takes_the_request_and_says_nothing() {
    let (_process, mut tracker) = node(&[]);
    tracker.tell("!fault mute cmd=delete,noop");
    tracker.send("noop");
    assert!(tracker.is_silent());
    assert_eq!(tracker.ask("test"), "OK", "other commands are answered");
}

#[test]
fn a_tracker_closes_before_or_after_the_commit() {
    let (process, mut tracker) = node(&[]);
    for (fault, there) in [("close", false), ("lose-reply", true)] {
        let upload = tracker.open("a");
        assert_eq!(put(&upload.url, b"hello").unwrap(), 200);
        tracker.tell(&format!("!fault {fault} cmd=create_close count=1"));
        tracker.send(&upload.close("a", 5));
        assert_eq!(tracker.receive(), None, "{fault}");
        tracker = Tracker::connect(process.place("tracker"));
        let answer = tracker.ask("file_info domain=d&key=a");
        assert_eq!(answer.starts_with("OK"), there, "{fault}: {answer}");
        let row = format!("{} d a", upload.fid);
        assert_eq!(tracker.list("!temprows").contains(&row), !there);
    }
}

#[test]
fn no_temp_file_is_said_of_what_is_there_and_of_what_is_lost() {
    let (_process, mut tracker) = node(&[]);
    for (fault, debug) in [
        ("no-temp-file after-commit=1 count=1", "fid_fid="),
        ("no-temp-file count=1", "OK checksum=NONE"),
    ] {
        let upload = tracker.open("a");
        assert_eq!(put(&upload.url, b"hello").unwrap(), 200);
        tracker.tell(&format!("!fault {fault}"));
        let answer = tracker.ask(&upload.close("a", 5));
        assert!(answer.starts_with("ERR no_temp_file"), "{answer}");
        let answer = tracker.ask(&format!("file_debug fid={}", upload.fid));
        assert!(answer.contains(debug), "{fault}: {answer}");
        assert!(tracker.list("!temprows").is_empty());
    }
}

#[test]
fn answers_come_late_or_the_deed_does() {
    let (_process, mut tracker) = node(&[]);
    for fault in ["late", "delay"] {
        tracker.tell(&format!("!fault {fault} cmd=noop ms=200 count=1"));
        let begin = Instant::now();
        assert_eq!(tracker.ask("noop"), "OK");
        assert!(begin.elapsed() >= Duration::from_millis(200), "{fault}");
    }
}

#[test]
fn there_are_no_paths_and_no_devices() {
    let (_process, mut tracker) = node(&[]);
    tracker.store("a", b"hello");
    tracker.tell("!fault paths-zero");
    tracker.tell("!fault no-devices");
    assert_eq!(tracker.ask("get_paths domain=d&key=a"), "OK paths=0");
    assert!(
        tracker
            .ask("create_open domain=d&key=b")
            .starts_with("ERR no_devices")
    );
}

#[test]
fn answers_that_are_none() {
    let (process, mut tracker) = node(&[]);
    tracker.tell("!fault double cmd=noop count=1");
    assert_eq!(tracker.ask("noop callid=1"), "OK callid=1");
    assert_eq!(tracker.receive().as_deref(), Some("OK"));
    tracker.tell("!fault wrong-callid count=1");
    assert_eq!(tracker.ask("noop callid=1"), "OK callid=none-of-yours");
    tracker.tell("!fault garbage count=1");
    assert!(!tracker.ask("noop").starts_with(['O', 'E']));
    tracker.tell("!fault flood bytes=5000000 count=1");
    assert_eq!(tracker.ask("noop").len(), 5_000_005);
    tracker.tell("!fault cut-reply at=2 count=1");
    assert_eq!(tracker.ask("noop"), "OK");
    assert_eq!(tracker.receive(), None);
    assert_eq!(Tracker::connect(process.place("tracker")).ask("noop"), "OK");
}

#[test]
fn a_rename_onto_a_key_closes_the_connection_of_the_next_in_the_queue() {
    let (process, mut tracker) = node(&["--workers", "1", "--control", "127.0.0.1:0"]);
    tracker.store("a", b"1");
    tracker.store("b", b"2");
    let mut victim = Tracker::connect(process.place("tracker"));
    assert_eq!(
        tracker
            .ask("rename domain=d&from_key=a&to_key=b")
            .split(' ')
            .nth(1),
        Some("key_exists")
    );
    assert_eq!(victim.ask("noop"), "OK", "nobody waited");
    tracker.tell("!fault delay cmd=rename ms=3000");
    tracker.send("rename domain=d&from_key=a&to_key=b");
    // The only worker is asleep: the victim's request waits behind it.
    let mut control = Tracker::connect(process.place("control"));
    wait("it is asked", || {
        let faults = control.list("!faults");
        !faults.iter().any(|fault| fault.ends_with(" hits=0"))
    });
    victim.send("noop");
    assert!(tracker.receive().unwrap().starts_with("ERR key_exists"));
    assert_eq!(victim.receive(), None);
    let calls = tracker.list("!calls");
    assert!(calls.contains(&"rename-strays 2".to_owned()), "{calls:?}");
    assert!(calls.contains(&"rename-victims 1".to_owned()), "{calls:?}");
}

#[test]
fn a_stray_line_can_be_made_to_wait_for_its_victim() {
    let (process, mut tracker) = node(&[]);
    tracker.store("a", b"1");
    tracker.store("b", b"2");
    tracker.tell("!fault stray");
    assert!(
        tracker
            .ask("rename domain=d&from_key=a&to_key=b")
            .starts_with("ERR key_exists")
    );
    let mut victim = Tracker::connect(process.place("tracker"));
    victim.send("noop");
    assert_eq!(victim.receive(), None);
    assert_eq!(tracker.ask("noop"), "OK");
}

#[test]
fn one_of_two_trackers_goes_down_and_comes_back() {
    let (process, mut first) = node(&["--tracker", "127.0.0.1:0", "--tracker", "127.0.0.1:0"]);
    let mut second = Tracker::connect(process.place("tracker 2"));
    first.store("a", b"hello");
    assert!(
        second.ask("file_info domain=d&key=a").starts_with("OK"),
        "one state for both"
    );
    second.tell("!fault down tracker=1 lasting=5000");
    assert_eq!(first.receive(), None);
    let refused = TcpStream::connect(process.place("tracker")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(second.ask("noop"), "OK");
    wait("it is back", || {
        TcpStream::connect(process.place("tracker")).is_ok()
    });
}

#[test]
fn the_control_port_stays_when_all_trackers_are_down() {
    let (process, mut tracker) = node(&["--control", "127.0.0.1:0"]);
    tracker.tell("!fault down");
    assert_eq!(tracker.receive(), None);
    let mut control = Tracker::connect(process.place("control"));
    control.tell("!fault clear");
    assert_eq!(Tracker::connect(process.place("tracker")).ask("noop"), "OK");
}

#[test]
fn a_fault_may_be_set_at_the_start() {
    let (_process, mut tracker) = node(&["--fault", "err cmd=noop count=1"]);
    assert!(tracker.ask("noop").starts_with("ERR failure"));
    assert_eq!(tracker.ask("noop"), "OK");
}

#[test]
fn calls_and_rows_are_counted() {
    let (_process, mut tracker) = node(&[]);
    let upload = tracker.store("a", b"hello");
    tracker.wait_for_copies("a", "2");
    let rows = tracker.list("!rows");
    let begin = format!("d a {} default 5 ", upload.fid);
    assert!(rows.len() == 1 && rows[0].starts_with(&begin), "{rows:?}");
    let open = tracker.open("b+c");
    assert_eq!(tracker.list("!temprows"), [format!("{} d b+c", open.fid)]);
    assert!(tracker.list("!calls").contains(&"create_open 2".to_owned()));
    tracker.tell("!reset-calls");
    assert_eq!(
        tracker.list("!calls"),
        ["rename-strays 0", "rename-victims 0"]
    );
}
