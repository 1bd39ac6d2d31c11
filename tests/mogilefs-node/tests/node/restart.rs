//! What survives a restart, how a node ends, and keys that are made up.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::{Tracker, get, put};
use crate::process::Process;

const OPTIONS: [&str; 4] = ["--domain", "d:k=2", "--devices", "2"];

fn tracker(process: &Process) -> Tracker {
    Tracker::connect(process.place("tracker"))
}

#[test]
fn what_was_answered_survives_a_kill() {
    let process = Process::start(&OPTIONS);
    let mut client = tracker(&process);
    client.store("a%0Ab", b"hello");
    client.store("gone", b"x");
    client.store("old", b"x");
    assert_eq!(client.ask("delete domain=d&key=gone"), "OK");
    assert_eq!(client.ask("rename domain=d&from_key=old&to_key=new"), "OK");
    client.fields("create_class domain=d&class=late&mindevcount=1");
    client.fields("create_domain domain=e");
    let upload = client.open("open");
    assert_eq!(put(&upload.url, b"hello").unwrap(), 200);

    // Ports change, so a URL of before is no longer right: the close takes the new one.
    let process = process.restart(&OPTIONS);
    let mut client = tracker(&process);
    let paths = client.fields("get_paths domain=d&key=a%0Ab");
    assert_eq!(get(&paths["path1"], "").unwrap().body, b"hello");
    assert_eq!(client.fields("list_keys domain=d")["key_count"], "2");
    assert!(client.ask("file_info domain=d&key=new").starts_with("OK"));
    let class = client.fields("create_open domain=d&class=late");
    let number = |fid: &str| fid.parse::<u64>().unwrap();
    assert!(
        number(&class["fid"]) > number(&upload.fid),
        "no fid is given twice"
    );
    assert!(
        client
            .ask("create_domain domain=e")
            .starts_with("ERR domain_exists")
    );
    assert_eq!(client.list("!temprows").len(), 2);
    let addr = process.place(&format!("device {}", upload.device));
    let (_, path) = upload.url.split_once("/dev").unwrap();
    let close = format!(
        "create_close domain=d&key=open&fid={}&devid={}&path=http://{addr}/dev{path}&size=5",
        upload.fid, upload.device
    );
    assert_eq!(client.ask(&close), "OK");
}

#[test]
fn a_line_that_was_cut_is_dropped() {
    let process = Process::start(&OPTIONS);
    tracker(&process).store("a", b"hello");
    let log = process.dir.join("log");
    let process = {
        let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
        file.write_all(b"file\t99\t1\t0\t5\t1").unwrap();
        process.restart(&OPTIONS)
    };
    let mut client = tracker(&process);
    assert_eq!(client.fields("list_keys domain=d")["key_count"], "1");
    client.store("b", b"hello");
    let process = process.restart(&OPTIONS);
    assert_eq!(
        tracker(&process).fields("list_keys domain=d")["key_count"],
        "2"
    );
}

#[test]
fn copies_that_were_not_made_are_made_after_the_restart() {
    let process = Process::start(&OPTIONS);
    let mut client = tracker(&process);
    client.tell("!hold on");
    client.store("a", b"hello");
    assert_eq!(client.fields("file_info domain=d&key=a")["devcount"], "1");
    let process = process.restart(&OPTIONS);
    tracker(&process).wait_for_copies("a", "2");
}

#[test]
fn it_ends_cleanly_on_term_and_with_its_input() {
    let mut process = Process::start(&OPTIONS);
    let pid = process.pid().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    assert!(process.exit().success());
    let mut process = Process::start(&OPTIONS);
    process.close_stdin();
    assert!(process.exit().success());
    let mut process = Process::start(&OPTIONS);
    assert_eq!(tracker(&process).list("!shutdown"), [""; 0]);
    assert!(process.exit().success());
}

#[test]
fn deleted_and_replaced_files_leave_the_devices() {
    let process = Process::start(&OPTIONS);
    let mut client = tracker(&process);
    client.store("a", b"1");
    client.wait_for_copies("a", "2");
    client.store("a", b"2");
    client.wait_for_copies("a", "2");
    client.store("b", b"3");
    client.wait_for_copies("b", "2");
    assert_eq!(client.ask("delete domain=d&key=b"), "OK");
    let end = Instant::now() + Duration::from_secs(20);
    while files(&process) != 2 {
        assert!(Instant::now() < end, "{} files are left", files(&process));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn files(process: &Process) -> usize {
    let found = Command::new("find")
        .arg(&process.dir)
        .args(["-name", "*.fid"])
        .output()
        .unwrap();
    String::from_utf8(found.stdout).unwrap().lines().count()
}

const FILL: [&str; 6] = [
    "--domain",
    "d:k=2",
    "--devices",
    "2",
    "--fill",
    "d:big/:1000000:7",
];

#[test]
fn a_million_keys_take_no_time_and_no_memory() {
    let begin = Instant::now();
    let process = Process::start(&FILL);
    let mut client = tracker(&process);
    assert!(begin.elapsed() < Duration::from_secs(10));
    let page = client.fields("list_keys domain=d&prefix=big/&after=big/0998999");
    assert_eq!(
        (&page["key_1"][..], &page["key_1000"][..]),
        ("big/0999000", "big/0999999")
    );
    let begin = Instant::now();
    for n in 0..50 {
        let after = n * 20_000;
        let page = client.fields(&format!(
            "list_keys domain=d&prefix=big/&after=big/{after:07}"
        ));
        assert_eq!(page["key_count"], "1000");
    }
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    assert!(
        client
            .ask("list_keys domain=d&prefix=bigger")
            .starts_with("ERR none_match")
    );
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 64 * 1024, "{peak} kB");
}

#[test]
fn made_up_keys_are_keys_like_others() {
    let process = Process::start(&FILL);
    let mut client = tracker(&process);
    let paths = client.fields("get_paths domain=d&key=big/0000042");
    assert_eq!(paths["paths"], "2");
    assert_eq!(
        client.fields("file_info domain=d&key=big/0000042")["length"],
        "7"
    );
    assert_eq!(get(&paths["path1"], "").unwrap().body.len(), 7);
    assert_eq!(client.ask("delete domain=d&key=big/0000042"), "OK");
    assert_eq!(get(&paths["path1"], "").unwrap().status, 404);
    assert_eq!(
        client.ask("rename domain=d&from_key=big/0000043&to_key=x"),
        "OK"
    );
    client.store("big/0000044", b"mine");
    let page = client.fields("list_keys domain=d&prefix=big/&after=big/0000041&limit=2");
    assert_eq!(
        (&page["key_1"][..], &page["key_2"][..]),
        ("big/0000044", "big/0000045")
    );

    let process = process.restart(&FILL);
    let mut client = tracker(&process);
    let page = client.fields("list_keys domain=d&after=big/0000041&limit=1");
    assert_eq!(page["key_1"], "big/0000044");
    assert_eq!(client.fields("file_info domain=d&key=x")["length"], "7");
}

#[test]
fn listing_goes_by_the_collation() {
    for (collation, expected) in [
        ("binary", "a-b/1 a/b/1 a/b/2 ab/1"),
        ("linguistic", "a-b/1 a/b/1 ab/1 a/b/2"),
        ("ci", "a-b/1 a/b/1 a/b/2 ab/1"),
    ] {
        let process = Process::start(&[&OPTIONS[..], &["--collation", collation]].concat());
        let mut client = tracker(&process);
        for key in ["ab/1", "a/b/2", "a-b/1", "a/b/1"] {
            client.store(key, b"x");
        }
        let page = client.fields("list_keys domain=d");
        let keys: Vec<&str> = (1..=4)
            .map(|n| page[&format!("key_{n}")].as_str())
            .collect();
        assert_eq!(keys.join(" "), expected, "{collation}");
        let found = client.ask("file_info domain=d&key=AB/1").starts_with("OK");
        assert_eq!(found, collation == "ci", "{collation}");
    }
}
