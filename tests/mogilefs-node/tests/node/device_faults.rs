//! What devices do when they are told to fail, and what trackers make of it.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::{Tracker, Upload, get, open, path, put};
use crate::process::{Process, wait};

fn node(options: &[&str]) -> (Process, Tracker) {
    let mut all = vec!["--domain", "d:k=2"];
    all.extend(options);
    let process = Process::start(&all);
    let tracker = Tracker::connect(process.place("tracker"));
    (process, tracker)
}

/// One file of ten bytes on one device.
fn one_file() -> (Process, Tracker, Upload) {
    let (process, mut tracker) = node(&["--devices", "1"]);
    let upload = tracker.store("a", b"0123456789");
    (process, tracker, upload)
}

#[test]
fn a_device_refuses_and_comes_back_on_its_port() {
    let (_process, mut tracker, upload) = one_file();
    let mut guest = open(&upload.url).unwrap();
    tracker.tell("!fault refuse dev=1");
    assert_eq!(
        guest.read(&mut [0]).unwrap_or(0),
        0,
        "those inside are thrown out"
    );
    let refused = get(&upload.url, "").unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let close = tracker.open("b").close("b", 0);
    let answer = tracker.ask(&close);
    assert!(answer.contains("cantreach"), "{answer}");
    tracker.tell("!fault clear");
    assert_eq!(get(&upload.url, "").unwrap().body, b"0123456789");
}

#[test]
fn a_device_resets_what_it_was_asked() {
    let (_process, mut tracker, upload) = one_file();
    tracker.tell("!fault reset count=1");
    assert_eq!(
        get(&upload.url, "").unwrap_err().kind(),
        io::ErrorKind::ConnectionReset
    );
    assert_eq!(get(&upload.url, "").unwrap().status, 200);
}

#[test]
fn a_frozen_device_costs_the_upload() {
    let (_process, mut tracker) = node(&["--devices", "1", "--watchdog", "0.3"]);
    let upload = tracker.open("a");
    assert_eq!(put(&upload.url, b"hello").unwrap(), 200);
    tracker.tell("!fault freeze dev=1");
    let begin = Instant::now();
    assert!(
        tracker
            .ask(&upload.close("a", 5))
            .starts_with("ERR no_temp_file")
    );
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(
        tracker.ask(&format!("file_debug fid={}", upload.fid)),
        "OK checksum=NONE"
    );
    assert!(
        tracker
            .ask("file_info domain=d&key=a")
            .starts_with("ERR unknown_key")
    );
}

#[test]
fn a_verified_path_is_one_that_answers() {
    let (_process, mut tracker) = node(&["--devices", "2", "--watchdog", "1"]);
    let upload = tracker.store("a", b"hello");
    tracker.wait_for_copies("a", "2");
    let device = &upload.device;
    tracker.tell(&format!("!fault freeze dev={device}"));
    for _ in 0..4 {
        let paths = tracker.fields("get_paths domain=d&key=a");
        assert!(
            !paths["path1"].contains(&format!("/dev{device}/")),
            "{paths:?}"
        );
    }
    tracker.tell("!device dev=1 observed=unreachable");
    tracker.tell("!device dev=2 observed=unreachable");
    assert_eq!(
        tracker.fields("get_paths domain=d&key=a")["paths"],
        "1",
        "a backup is named"
    );
    assert!(
        tracker
            .ask("create_open domain=d&key=b")
            .starts_with("ERR no_devices")
    );
}

#[test]
fn downloads_fail_in_every_way() {
    let (_process, mut tracker, upload) = one_file();
    let url = &upload.url;
    for (fault, header, status, body) in [
        (
            "status code=503",
            "",
            503,
            &b"<h1>503 - Service Unavailable</h1>\n"[..],
        ),
        ("cut at=4", "", 200, b"0123"),
        ("short at=3", "", 200, b"012"),
        ("wrong-length by=7", "", 200, b"0123456789"),
        ("wrong-length by=-2", "", 200, b"0123456789"),
        ("no-length", "", 200, b"0123456789"),
        ("no-range", "Range: bytes=3-\r\n", 200, b"0123456789"),
        ("corrupt at=1", "", 200, b"0\xce23456789"),
        ("slow bytes=4 ms=1", "Range: bytes=3-\r\n", 206, b"3456789"),
    ] {
        tracker.tell(&format!("!fault {fault} method=GET count=1"));
        let answer = get(url, header).unwrap();
        assert_eq!(
            (answer.status, &answer.body[..]),
            (status, body),
            "{fault}: {answer:?}"
        );
        let length = match fault.split(' ').next().unwrap() {
            "short" => Some("3"),
            "cut" | "no-range" => Some("10"),
            "wrong-length" => Some(if fault.ends_with("=7") { "17" } else { "8" }),
            "no-length" => None,
            _ => continue,
        };
        let said = answer
            .headers
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        assert_eq!(said, length, "{fault}");
    }
    let hits = tracker.list("!faults");
    assert!(
        hits.iter().all(|line| line.ends_with("left=0 hits=1")),
        "{hits:?}"
    );
}

#[test]
fn a_download_is_reset_in_the_middle() {
    let (_process, mut tracker, upload) = one_file();
    tracker.tell("!fault cut at=4 rst=1 count=1");
    match get(&upload.url, "") {
        Ok(answer) => assert_eq!(answer.error, Some(io::ErrorKind::ConnectionReset)),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn a_device_stalls_before_and_in_the_body() {
    let (_process, mut tracker, upload) = one_file();
    for (fault, expected) in [("stall", &b""[..]), ("stall at=4", b"0123")] {
        tracker.tell(&format!("!fault {fault} method=GET count=1"));
        let mut stream = open(&upload.url).unwrap();
        write!(
            stream,
            "GET {} HTTP/1.0\r\nHost: x\r\n\r\n",
            path(&upload.url)
        )
        .unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let mut bytes = Vec::new();
        let error = stream.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{fault}");
        assert!(
            bytes.ends_with(expected) && bytes.is_empty() == expected.is_empty(),
            "{fault}"
        );
        tracker.tell("!fault clear");
    }
}

#[test]
fn uploads_fail_in_every_way() {
    let (_process, mut tracker) = node(&["--devices", "1"]);
    let body = vec![b'x'; 100_000];
    for (fault, result, close) in [
        ("status code=507", Some(507), "size_verify_error"),
        ("status code=413 early=1", Some(413), "size_verify_error"),
        ("cut at=1000", None, "size_mismatch"),
        ("cut at=1000 rst=1", None, "size_mismatch"),
        ("lose-put at=7", Some(200), "size_mismatch"),
        ("slow bytes=50000 ms=1", Some(200), "OK"),
    ] {
        let upload = tracker.open("a");
        tracker.tell(&format!("!fault {fault} method=PUT count=1"));
        let status = put(&upload.url, &body);
        // After an early answer the connection is reset, and the answer may be lost with it.
        let lost = fault.contains("early") && status.is_err();
        assert!(
            lost || status.as_ref().ok().copied() == result,
            "{fault}: {status:?}"
        );
        let answer = tracker.ask(&upload.close("a", body.len()));
        assert!(answer.contains(close), "{fault}: {answer}");
    }
}

#[test]
fn an_upload_is_stored_and_never_answered_or_never_read() {
    let (_process, mut tracker) = node(&["--devices", "1"]);
    for (fault, close) in [
        ("hang-reply", "OK"),
        ("stall", "size_verify_error"),
        ("stall at=2", "size_mismatch"),
    ] {
        let upload = tracker.open("a");
        tracker.tell(&format!("!fault {fault} method=PUT count=1"));
        let mut stream = open(&upload.url).unwrap();
        let path = path(&upload.url);
        write!(
            stream,
            "PUT {path} HTTP/1.0\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
        )
        .unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(1500)))
            .unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{fault}");
        let answer = tracker.ask(&upload.close("a", 5));
        assert!(answer.contains(close), "{fault}: {answer}");
        tracker.tell("!fault clear");
    }
}

#[test]
fn faults_are_for_one_device_and_one_fid() {
    let (_process, mut tracker) = node(&["--devices", "2"]);
    let (a, b) = (tracker.store("a", b"1"), tracker.store("b", b"2"));
    tracker.wait_for_copies("a", "2");
    tracker.wait_for_copies("b", "2");
    tracker.tell(&format!(
        "!fault status code=404 fid={} dev={}",
        a.fid, a.device
    ));
    let paths = tracker.fields("get_paths domain=d&key=a");
    let struck = |url: &str| get(url, "").unwrap().status == 404;
    let both = [&paths["path1"], &paths["path2"]];
    assert_eq!(both.iter().filter(|url| struck(url)).count(), 1);
    assert!(!struck(&b.url));
}

#[test]
fn a_device_of_another_process_is_killed_and_frozen() {
    let mut device = Process::device(7);
    let storage = format!("7={}", device.place("device 7"));
    let (_process, mut tracker) =
        node(&["--devices", "1", "--storage", &storage, "--watchdog", "1"]);
    let upload = tracker.store("a", b"hello");
    tracker.wait_for_copies("a", "2");
    let paths = tracker.fields("get_paths domain=d&key=a&noverify=1");
    for url in [&paths["path1"], &paths["path2"]] {
        assert_eq!(get(url, "").unwrap().body, b"hello", "{url}");
    }
    signal(device.pid(), "STOP");
    let paths = tracker.fields("get_paths domain=d&key=a");
    assert!(paths["path1"].contains("/dev1/"), "{paths:?}");
    signal(device.pid(), "CONT");
    device.kill();
    let addr = device.place("device 7");
    assert!(TcpStream::connect(addr).is_err());
    let paths = tracker.fields("get_paths domain=d&key=a");
    assert!(paths["path1"].contains("/dev1/"), "{paths:?}");
    drop(upload);
}

#[test]
fn a_monitor_takes_dead_devices_out() {
    let (_process, mut tracker) = node(&["--devices", "2", "--monitor", "20"]);
    tracker.tell("!fault refuse dev=2");
    let seen = |tracker: &mut Tracker| {
        let devices = tracker.fields("get_devices devid=2");
        devices["dev1_observed_state"].clone()
    };
    wait("it is missed", || seen(&mut tracker) == "unreachable");
    assert_eq!(
        tracker.fields("create_open domain=d&multi_dest=1")["dev_count"],
        "1"
    );
    tracker.tell("!fault clear");
    wait("it is back", || seen(&mut tracker) == "writeable");
}

fn signal(pid: u32, name: &str) {
    let mut kill = std::process::Command::new("kill");
    kill.args([format!("-{name}"), pid.to_string()]);
    assert!(kill.status().unwrap().success());
}
