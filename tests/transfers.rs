//! Files up and down, in every mode and type, whole, in part, and cut short by the client.
#![cfg(test)]

mod support;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, SockRef, Socket, Type};
use support::{Cluster, Daemon, Ftp, Mode, noise, on_each_module};

/// Behind the 150 clients would see a broken connection and no reason: curl says so, lftp tries again for ever.
#[test]
fn what_may_not_be_written_is_refused_before_the_first_byte() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    let dir = daemon.files().join("dir");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("old"), b"old").unwrap();
    for (place, mode) in [(dir.join("old"), 0o444), (dir.clone(), 0o555)] {
        fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
    }
    for command in [
        "STOR dir/new",
        "STOR dir/old",
        "APPE dir/new",
        "APPE dir/old",
    ] {
        let _data = ftp.data();
        ftp.expect(command, 553);
    }
    ftp.expect("REST 1", 350);
    let _data = ftp.data();
    ftp.expect("STOR dir/old", 553);
    assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
}

#[test]
fn every_mode_carries_every_byte() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    for (number, mode) in Mode::ALL.into_iter().enumerate() {
        ftp.mode = mode;
        for size in [0, 1, 4096, 70_000, 5_000_000] {
            let content = noise(size, number as u64);
            let name = format!("photos/{mode:?}-{size}");
            ftp.store(&format!("/{name}"), &content);
            assert!(cluster.content(&name) == Some(content.clone()), "{name}");
            assert_eq!(cluster.size(&name), Some(size as u64));
            assert!(
                ftp.expect(&format!("SIZE /{name}"), 213)
                    .ends_with(&format!(" {size}"))
            );
            assert!(ftp.fetch(&format!("RETR /{name}")) == content, "{name}");
        }
    }
}

#[test]
fn names_arrive_as_they_are() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    let mut names = [
        "Tom & Jerry.txt",
        "a+b",
        "a..b",
        "p%41=%",
        "100%.jpg",
        "naïve ☃.txt",
        "semi;colon,'quote\"",
        "(x)[1]{2}$^.*?|\\",
        "deep/er/still",
    ];
    for name in names {
        ftp.store(&format!("/docs/{name}"), name.as_bytes());
        assert_eq!(
            cluster.content(&format!("docs/{name}")).as_deref(),
            Some(name.as_bytes())
        );
        assert_eq!(ftp.fetch(&format!("RETR /docs/{name}")), name.as_bytes());
    }
    names[names.len() - 1] = "deep";
    names.sort_unstable();
    let mut listed = ftp.lines("NLST /docs");
    listed.sort_unstable();
    assert_eq!(listed.len(), names.len());
    for (line, name) in listed.iter().zip(names) {
        assert!(line.ends_with(name), "{line}");
    }
}

#[test]
fn ascii_is_converted_both_ways() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    let on_the_wire = b"one\r\ntwo\rthree\r\n\r\n".repeat(20_000);
    let stored = b"one\ntwo\rthree\n\n".repeat(20_000);

    ftp.store("/docs/untold", &on_the_wire);
    assert!(
        cluster.content("docs/untold").unwrap() == on_the_wire,
        "nobody said TYPE A"
    );
    ftp.expect("TYPE A", 200);
    ftp.store("/docs/text", &on_the_wire);
    assert!(cluster.content("docs/text").unwrap() == stored);
    assert!(ftp.fetch("RETR /docs/text") == on_the_wire);
    ftp.expect("TYPE I", 200);
    assert!(ftp.fetch("RETR /docs/text") == stored);
}

#[test]
fn a_download_can_be_continued() {
    let cluster = Cluster::start();
    let content = noise(300_000, 1);
    cluster.put("photos/a", "photos", &content);
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    for offset in [1, 299_999, 300_000] {
        ftp.expect(&format!("REST {offset}"), 350);
        assert!(ftp.fetch("RETR /photos/a") == content[offset..], "{offset}");
    }
    assert!(
        ftp.fetch("RETR /photos/a") == content,
        "REST is for one command"
    );
    ftp.expect("REST 300001", 350);
    let _data = ftp.data();
    ftp.expect("RETR /photos/a", 554);
    for wrong in ["x", "-1", "99999999999999999999999"] {
        ftp.expect(&format!("REST {wrong}"), 501);
    }
}

#[test]
fn a_large_file_needs_little_memory() {
    const BLOCK: usize = 1 << 20;
    let mib: usize = std::env::var("BIG_MIB").map_or(96, |mib| mib.parse().unwrap());
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let block = noise(BLOCK, 3);

    let data = ftp.data();
    ftp.expect("STOR /photos/big", 150);
    let mut stream = data.stream();
    for _ in 0..mib {
        stream.write_all(&block).unwrap();
    }
    drop(stream);
    ftp.reply_of(226);
    assert_eq!(cluster.size("photos/big"), Some((mib * BLOCK) as u64));

    let data = ftp.data();
    ftp.expect("RETR /photos/big", 150);
    let mut stream = data.stream();
    let mut got = vec![0; BLOCK];
    for _ in 0..mib {
        stream.read_exact(&mut got).unwrap();
        assert!(got == block);
    }
    assert_eq!(stream.read(&mut got).unwrap(), 0);
    ftp.reply_of(226);

    let peak = support::status(daemon.worker("test@"), "VmHWM").unwrap();
    let kib: u64 = peak.split(' ').next().unwrap().parse().unwrap();
    support::say(&format!("{mib} MiB up and down: the worker took {peak}"));
    assert!(kib < 16 * 1024, "the worker took {peak}");
    let left = fs::read_dir(daemon.dir().join("tmp")).unwrap().count();
    assert_eq!(left, 0, "files are left in tmpdir");
}

#[test]
fn commands_may_come_in_any_pieces() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = Ftp::connect(daemon.address);
    ftp.send(b"USER test\r\nPASS test\r\nTYPE I\nPWD\r\n");
    for code in [331, 230, 200, 257] {
        ftp.reply_of(code);
    }
    for piece in [&b"NO"[..], b"OP\r", b"\nPW", b"D\n"] {
        ftp.send(piece);
    }
    ftp.reply_of(200);
    ftp.reply_of(257);
    ftp.send(&[&b"A".repeat(5000)[..], b"\r\nNOOP\r\n"].concat());
    ftp.reply_of(500);
    ftp.reply_of(200);
    ftp.send(b"\xff\xf4\xff\xf2PWD\r\nFEAT\r\nNOOP\r\n");
    ftp.reply_of(257);
    assert!(ftp.reply_of(211).lines().count() > 3);
    ftp.reply_of(200);
}

#[test]
fn a_transfer_hears_the_control_connection() {
    let cluster = Cluster::start();
    cluster.put("photos/a", "photos", &noise(30_000_000, 1));
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);

    let data = ftp.data();
    ftp.expect("RETR /photos/a", 150);
    let mut stream = data.stream();
    stream.read_exact(&mut [0; 1000]).unwrap();
    ftp.expect("NOOP", 200);
    assert!([211, 213].contains(&{
        ftp.send(b"STAT\r\n");
        ftp.reply().0
    }));
    ftp.send(b"ABOR\r\n");
    ftp.reply_of(426);
    ftp.reply_of(226);
    drop(stream);

    let data = ftp.data();
    ftp.expect("STOR /photos/b", 150);
    let mut stream = data.stream();
    stream.write_all(&[1; 1000]).unwrap();
    ftp.expect("NOOP", 200);
    ftp.send(b"ABOR\r\n");
    ftp.reply_of(426);
    ftp.reply_of(226);
    drop(stream);
    assert_eq!(
        cluster.keys(),
        ["photos/a"],
        "an aborted upload is not stored"
    );
    ftp.expect("ABOR", 226);

    let data = ftp.data();
    ftp.expect("STOR /photos/c", 150);
    let mut stream = data.stream();
    ftp.send(b"QUIT\r\n");
    stream.write_all(&[2; 1000]).unwrap();
    drop(stream);
    ftp.reply_of(226);
    ftp.reply_of(221);
    assert!(ftp.is_closed());
    assert_eq!(cluster.content("photos/c").unwrap(), [2; 1000]);
}

/// An upload to `path` that goes on, of which the client has sent `bytes`.
fn uploading(daemon: &Daemon, path: &str, bytes: &[u8]) -> (Ftp, TcpStream) {
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let data = ftp.data();
    ftp.expect(&format!("STOR {path}"), 150);
    let mut stream = data.stream();
    stream.write_all(bytes).unwrap();
    (ftp, stream)
}

#[test]
fn a_client_that_hangs_up_during_a_transfer_has_it_aborted_or_finished() {
    let content = noise(3_000_000, 9);
    let (first, rest) = content.split_at(1_000_000);
    let cluster = Cluster::start();
    for hangup in ["abort", "finish"] {
        let daemon = Daemon::on(&cluster, &[("passive.hangup", hangup)]);
        let (ftp, mut stream) = uploading(&daemon, "/photos/a", first);
        drop(ftp);
        if hangup == "abort" {
            daemon.wait_for("stor-failed");
            assert_eq!(cluster.keys(), Vec::<String>::new());
            continue;
        }
        // Long after the daemon knows.
        daemon.log_in().expect("PWD", 257);
        stream.write_all(rest).unwrap();
        drop(stream);
        daemon.wait_for("stor-ok");
        assert!(cluster.content("photos/a").unwrap() == content);

        // Whose data connection is broken, too, has ended nothing.
        let (ftp, stream) = uploading(&daemon, "/photos/b", first);
        drop(ftp);
        daemon.log_in().expect("PWD", 257);
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(stream);
        daemon.wait_for("stor-failed");
        assert_eq!(cluster.keys(), ["photos/a"]);
        // As it leaves a download.
        let mut ftp = daemon.log_in();
        ftp.expect("TYPE I", 200);
        let data = ftp.data();
        ftp.expect("RETR /photos/a", 150);
        drop((data.stream(), ftp));
        daemon.wait_for("retr-failed");
    }
}

/// As the kernel does it for a client that is killed: the data connection first, the other one a moment later.
#[test]
fn what_a_killed_client_has_sent_is_not_stored_as_a_whole() {
    let daemon = Daemon::of_files(&[]);
    // Who closes too slowly on a busy machine tries again.
    let is_stored = (0..5).all(|number| {
        let (begun, mut other) = (Instant::now(), daemon.log_in());
        let (ftp, mut stream) = uploading(&daemon, &format!("f{number}"), b"");
        // It is the longer awaited the longer it took: ten milliseconds.
        while begun.elapsed() < Duration::from_millis(500) {
            stream.write_all(&noise(1000, number)).unwrap();
            other.expect("NOOP", 200);
        }
        let mark = daemon.mark();
        drop(stream);
        drop(ftp);
        let (_, line) = daemon.wait_after(mark, "path=\"/f");
        let is_there = daemon.files().join(format!("f{number}")).exists();
        assert_eq!(is_there, line.contains("stor-ok"), "{line}");
        is_there
    });
    assert!(!is_stored);
}

#[test]
fn a_stranger_at_the_data_port_keeps_nobody_out() {
    let cluster = Cluster::start();
    cluster.put("photos/a", "photos", b"for the right one");
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    let reply = ftp.expect("EPSV", 229);
    let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stranger = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    stranger
        .bind(&SocketAddr::from(([127, 0, 0, 9], 0)).into())
        .unwrap();
    stranger.connect(&target.into()).unwrap();

    let mut stream = TcpStream::connect(target).unwrap();
    ftp.expect("RETR /photos/a", 150);
    let mut got = String::new();
    stream.read_to_string(&mut got).unwrap();
    assert_eq!(got, "for the right one");
    ftp.reply_of(226);
    let mut nothing = Vec::new();
    let mut stranger = TcpStream::from(stranger);
    stranger.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let _ = stranger.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
}

/// The opening of a short download goes with its last reply, but not where the client has to read first:
/// many read nothing before the opening has come.
#[test]
fn a_client_that_can_hold_little_learns_that_a_short_download_begins() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    for size in [0, 1, 16_000, 16_384, 16_385] {
        let content = noise(size, 7);
        ftp.store("/short", &content);
        assert!(narrowly(&mut ftp, "RETR /short") == content, "{size}");
    }
    // Nor where it connects only when it knows.
    let reply = ftp.expect("EPSV", 229);
    let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
    ftp.expect("RETR /short", 150);
    let mut late = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut got = Vec::new();
    late.read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), 16_385);
    ftp.reply_of(226);
}

/// So it is with a list, and one that is long begins before it is whole.
#[test]
fn a_client_that_can_hold_little_learns_that_a_short_list_begins() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.expect("MKD /dir", 257);
    let mut expected = Vec::new();
    for count in [0, 1, 40, 400] {
        for number in expected.len()..count {
            let name = format!("{number:050}");
            ftp.store(&format!("/dir/{name}"), b"");
            expected.push(name);
        }
        for command in ["NLST /dir", "MLSD /dir", "LIST /dir"] {
            let text = String::from_utf8(narrowly(&mut ftp, command)).unwrap();
            let lines = text.split_terminator("\r\n");
            let names = lines.map(|line| line.rsplit([' ', '/']).next().unwrap().to_owned());
            let mut names: Vec<String> = names.collect();
            names.sort_unstable();
            assert_eq!(names, expected, "{command}");
        }
    }
}

/// What comes over a data connection to one who can hold little of it, and is told first that it begins.
fn narrowly(ftp: &mut Ftp, command: &str) -> Vec<u8> {
    let reply = ftp.expect("EPSV", 229);
    let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
    let narrow = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    narrow.set_recv_buffer_size(1024).unwrap();
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    narrow.connect(&target.into()).unwrap();
    narrow.set_read_timeout(Some(support::PATIENCE)).unwrap();
    ftp.expect(command, 150);
    let mut got = Vec::new();
    TcpStream::from(narrow).read_to_end(&mut got).unwrap();
    ftp.reply_of(226);
    got
}

#[test]
fn active_connections_lead_to_the_client_only() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    for command in [
        "PORT 127,0,0,9,10,10",
        "PORT 127,0,0,1,0,25",
        "EPRT |1|127.0.0.9|5000|",
    ] {
        ftp.send(format!("{command}\r\n").as_bytes());
        let (code, text) = ftp.reply();
        assert!((500..=504).contains(&code), "{command}: {text}");
    }
    ftp.expect("STOR /photos/nowhere", 425);
    ftp.expect("PWD", 257);
}

#[test]
fn classes_are_the_first_level_of_directories() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    for path in ["/at-the-root", "/nosuchclass/file"] {
        let data = ftp.data();
        ftp.expect(&format!("STOR {path}"), 553);
        drop(data);
    }
    ftp.expect("MKD /fresh", 257);
    cluster.classes_become(&["docs", "fresh", "photos"]);
    ftp.expect("CWD /fresh", 250);
    ftp.store("a", b"x");
    assert_eq!(cluster.class("fresh/a").as_deref(), Some("fresh"));
    ftp.expect("RMD /fresh", 550);
    ftp.expect("RNFR a", 350);
    ftp.expect("RNTO b", 250);
    assert_eq!(cluster.keys(), ["fresh/b"]);
    ftp.expect("DELE b", 250);
    ftp.expect("CDUP", 250);
    ftp.expect("RMD fresh", 250);
    cluster.classes_become(&["docs", "photos"]);
    assert_eq!(cluster.keys(), [""; 0]);
}

#[test]
fn a_listing_has_more_than_one_page_of_keys() {
    let cluster = Cluster::start();
    for number in 0..1001 {
        cluster.put(&format!("docs/{number:04}"), "docs", b"");
    }
    let daemon = Daemon::on(&cluster, &[("mogilefs.listlimit", "0")]);
    let mut ftp = daemon.log_in();
    ftp.expect("CWD /docs", 250);
    let names = ftp.lines("NLST");
    assert_eq!(names.len(), 1001);
    assert_eq!(names[1000], "1000");
    assert_eq!(ftp.lines("LIST").len(), 1001);
    assert_eq!(
        ftp.lines("MLSD")
            .iter()
            .filter(|line| line.contains("type=file"))
            .count(),
        1001
    );
}

/// Where the file system knows files without names, which all do that are used for this test.
#[test]
fn an_upload_has_no_name_until_it_is_whole_and_a_killed_worker_leaves_nothing() {
    let daemon = Daemon::of_files(&[]);
    let names = || -> Vec<_> {
        let entries = fs::read_dir(daemon.files()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    for size in [5, 3_000_000] {
        let (old, new) = (noise(100, size as u64), noise(size, 2));
        let _ = fs::remove_file(daemon.files().join("file"));
        for (content, before) in [(&old, 0), (&new, 1)] {
            let data = ftp.data();
            ftp.expect("STOR file", 150);
            let mut wire = data.stream();
            wire.write_all(content).unwrap();
            ftp.expect("NOOP", 200);
            assert_eq!(names().len(), before, "{size}");
            if before == 1 {
                assert!(fs::read(daemon.files().join("file")).unwrap() == old);
            }
            drop(wire);
            ftp.reply_of(226);
            assert!(fs::read(daemon.files().join("file")).unwrap() == *content);
        }
        let data = ftp.data();
        ftp.expect("STOR other", 150);
        let mut wire = data.stream();
        wire.write_all(&new).unwrap();
        ftp.expect("NOOP", 200);
        let worker = daemon.worker("test@");
        kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
        daemon.wait_for("worker-died");
        assert_eq!(names(), ["file"]);
        ftp = daemon.log_in();
        ftp.expect("TYPE I", 200);
    }
}

/// Where nobody may read, the directory cannot be had on the disk; and it may be called otherwise by the end.
#[test]
fn an_upload_is_on_the_disk_in_the_directory_where_it_began() {
    for fsync in ["no", "yes"] {
        let daemon = Daemon::of_files(&[("file.fsync", fsync)]);
        let mut ftp = daemon.log_in();
        ftp.expect("TYPE I", 200);
        let incoming = daemon.files().join("incoming");
        fs::create_dir(&incoming).unwrap();
        fs::set_permissions(&incoming, Permissions::from_mode(0o333)).unwrap();
        for content in [b"one", b"two"] {
            ftp.store("incoming/file", content);
            assert_eq!(fs::read(incoming.join("file")).unwrap(), content);
        }
        ftp.expect("MKD before", 257);
        let data = ftp.data();
        ftp.expect("STOR before/file", 150);
        let mut other = daemon.log_in();
        other.expect("RNFR before", 350);
        other.expect("RNTO after", 250);
        data.stream().write_all(b"three").unwrap();
        ftp.reply_of(226);
        let stored = fs::read(daemon.files().join("after/file")).unwrap();
        assert_eq!(stored, b"three");
    }
}

/// Urgent data is nothing to a file, but the kernel moves bytes no further than to the mark of it.
#[test]
fn an_upload_goes_on_behind_what_is_urgent() {
    on_each_module(|place, daemon| {
        let content = noise(6_000_000, 9);
        let (first, rest) = content.split_at(3_000_000);
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        let data = ftp.data();
        ftp.expect(&format!("STOR {}", place.path("urgent")), 150);
        let mut stream = data.stream();
        stream.write_all(first).unwrap();
        SockRef::from(&stream).send_out_of_band(b"!").unwrap();
        stream.write_all(rest).unwrap();
        drop(stream);
        ftp.reply_of(226);
        let held = place.holds("urgent").unwrap();
        assert_eq!(held.len(), content.len());
        assert!(held == content);
    });
}
