//! ABOR, and the end of the connection, at every point of a session.

use std::io::{Read, Write};
use std::time::Duration;

use socket2::SockRef;

use crate::support::{Cluster, Daemon, Data, Ftp, Mode, noise};
use crate::{is_in_step, is_unharmed};

/// What a client does before it breaks off, and how many replies that gets.
type Point = (&'static str, &'static [&'static str]);

/// `>` before a command that has a data connection ready, which is then open and silent.
const POINTS: &[Point] = &[
    ("a greeting", &[]),
    ("a name", &["USER test"]),
    ("a login", &["USER test", "PASS test"]),
    (
        "a rename",
        &["USER test", "PASS test", "RNFR /photos/large"],
    ),
    ("an offset", &["USER test", "PASS test", "REST 5"]),
    ("an announced size", &["USER test", "PASS test", "ALLO 5"]),
    ("a port", &["USER test", "PASS test", "EPSV"]),
    (
        "an upload",
        &["USER test", "PASS test", ">STOR /photos/new"],
    ),
    (
        "an upload that goes on",
        &["USER test", "PASS test", ">APPE /photos/large"],
    ),
    (
        "a download",
        &["USER test", "PASS test", ">RETR /photos/large"],
    ),
    ("a listing", &["USER test", "PASS test", ">LIST /photos"]),
    (
        "machine listing",
        &["USER test", "PASS test", ">MLSD /photos"],
    ),
    (
        "a checksum",
        &["USER test", "PASS test", "XSHA512 /photos/large"],
    ),
];

/// Does it, and gives the data connection.
fn reach(ftp: &mut Ftp, commands: &[&str]) -> Option<Data> {
    let mut data = None;
    for command in commands {
        if let Some(command) = command.strip_prefix('>') {
            ftp.mode = Mode::Pasv;
            data = Some(ftp.data());
            ftp.expect(command, 150);
        } else {
            ftp.send(format!("{command}\r\n").as_bytes());
            ftp.reply();
        }
    }
    data
}

fn site() -> (Cluster, Daemon) {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    daemon.log_in().store("/photos/large", &noise(2 << 20, 5));
    (cluster, daemon)
}

#[test]
fn abor_is_answered_once_at_every_point() {
    let (cluster, daemon) = site();
    for (point, commands) in POINTS {
        for abor in [
            &b"ABOR\r\n"[..],
            b"\xff\xf4\xff\xf2ABOR\r\n",
            b"abor\r\nABOR\r\n",
        ] {
            let mut ftp = Ftp::connect(daemon.address);
            let data = reach(&mut ftp, commands);
            ftp.send(abor);
            let aborts = if abor.starts_with(b"abor") { 2 } else { 1 };
            let cut = usize::from(data.is_some());
            let (code, said) = ftp.reply();
            match (data.is_some(), commands.len()) {
                // A short listing may have been whole before it was heard.
                (true, _) => assert!([426, 226].contains(&code), "{point}: {said}"),
                (false, 0 | 1) => assert_eq!(code, 530, "{point}: {said}"),
                (false, _) => assert!([225, 226].contains(&code), "{point}: {said}"),
            }
            for _ in 1..aborts + cut {
                ftp.reply();
            }
            if commands.len() > 1 {
                is_in_step(&mut ftp);
            } else {
                ftp.expect("NOOP", 200);
            }
            drop(data);
        }
    }
    assert_eq!(cluster.keys(), ["photos/large"]);
    is_unharmed(&daemon);
}

#[test]
fn urgent_data_at_every_point_is_no_more_than_its_bytes() {
    let (_cluster, daemon) = site();
    for (point, commands) in POINTS {
        let mut ftp = Ftp::connect(daemon.address);
        let data = reach(&mut ftp, commands);
        for _ in 0..3 {
            SockRef::from(ftp.control())
                .send_out_of_band(b"\xf2")
                .unwrap();
        }
        drop(data);
        ftp.send(b"\r\nQUIT\r\n");
        let mut said = String::new();
        let _ = ftp.control().read_to_string(&mut said);
        assert!(said.contains("221 "), "{point}: {said}");
    }
    is_unharmed(&daemon);
}

#[test]
fn who_vanishes_at_any_point_leaves_nothing_behind() {
    let (cluster, daemon) = site();
    for (_, commands) in POINTS {
        for linger in [None, Some(Duration::ZERO)] {
            for data_first in [true, false] {
                let mut ftp = Ftp::connect(daemon.address);
                let data = reach(&mut ftp, commands).map(Data::stream);
                if let Some(mut data) = data {
                    let _ = data.write(b"half of something");
                    SockRef::from(&data).set_linger(linger).unwrap();
                    if !data_first {
                        // Its end would be the end of an upload: only a client that is there ends one.
                        std::mem::forget(data.try_clone().unwrap());
                    }
                    SockRef::from(ftp.control())
                        .set_linger(Some(Duration::ZERO))
                        .unwrap();
                    drop(ftp);
                    drop(data);
                    continue;
                }
                SockRef::from(ftp.control()).set_linger(linger).unwrap();
            }
        }
    }
    is_unharmed(&daemon);
    assert_eq!(cluster.keys(), ["photos/large"]);
}
