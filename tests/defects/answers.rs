//! D13 to D20: answers that clients could not read, believe or use.

use std::fs;

use crate::support::{Cluster, Daemon, Ftp, on_each_module};

#[test]
fn d13_every_line_ends_with_cr_and_lf() {
    // The client of these tests refuses any other line; HELP and FEAT have several.
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    for (command, code) in [("HELP", 214), ("FEAT", 211), ("STAT", 211), ("XYZZY", 500)] {
        ftp.expect(command, code);
    }
}

#[test]
fn d14_nlst_is_names_and_list_takes_its_argument() {
    let daemon = Daemon::of_files(&[]);
    let files = daemon.files();
    fs::create_dir(files.join("d")).unwrap();
    for name in ["one.txt", "two.jpg", "d/three"] {
        fs::write(files.join(name), b"x").unwrap();
    }
    let mut ftp = daemon.log_in();
    let mut names = ftp.lines("NLST");
    names.sort();
    assert_eq!(names, ["d", "one.txt", "two.jpg"]);
    assert_eq!(ftp.lines("NLST *.txt"), ["one.txt"]);
    let lines = ftp.lines("LIST d");
    assert!(
        lines.len() == 1 && lines[0].ends_with(" three"),
        "{lines:?}"
    );
    assert_eq!(ftp.lines("LIST -la").len(), 3);
    assert_eq!(ftp.lines("LIST .").len(), 3);
}

#[test]
fn d15_the_last_of_pasv_and_port_counts_and_todays_verbs_are_there() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    let _passive = ftp.data();
    let awaited = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = awaited.local_addr().unwrap().port();
    ftp.expect(
        &format!("PORT 127,0,0,1,{},{}", port / 256, port % 256),
        200,
    );
    ftp.expect("LIST", 150);
    drop(awaited.accept().unwrap());
    ftp.reply();
    let features = ftp.expect("FEAT", 211);
    for feature in ["EPSV", "EPRT", "MLST", "REST STREAM", "SIZE", "UTF8"] {
        assert!(features.contains(feature), "{features}");
    }
    ftp.expect("ABOR", 226);
    ftp.expect("STAT", 211);
}

#[test]
fn d15_nat_announces_per_network() {
    let daemon = Daemon::of_files(&[
        ("passive.nat", "10.0.0.0/8 10.1.2.3, 127.0.0.0/8 192.0.2.9"),
        ("passive.address", "198.51.100.1"),
    ]);
    let reply = daemon.log_in().expect("PASV", 227);
    assert!(reply.contains("(192,0,2,9,"), "{reply}");
}

#[test]
fn d17_a_new_directory_can_be_used_at_once() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let said = ftp.expect("MKD /with \"quotes\"", 257);
    assert!(said.contains("\"/with \"\"quotes\"\"\""), "{said}");
    ftp.expect("MKD /new", 257);
    ftp.expect("CWD /new/", 250);
    assert!(ftp.expect("PWD", 257).contains("\"/new\""));
    ftp.store("f", b"x");
    assert_eq!(cluster.class("new/f").as_deref(), Some("new"));
    ftp.expect("CWD /photos", 250);
    ftp.expect("CWD ../new", 250);
}

#[test]
fn d18_a_time_is_that_of_the_file_or_none() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        let before = jiff::Timestamp::now().as_second();
        ftp.store(&place.path("f"), b"x");
        let said = ftp.expect(&format!("MDTM {}", place.path("f")), 213);
        let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", &said[4..18]).unwrap();
        let time = time
            .to_zoned(jiff::tz::TimeZone::UTC)
            .unwrap()
            .timestamp()
            .as_second();
        assert!((before - 2..before + 60).contains(&time), "{said}");
        ftp.expect(&format!("MDTM {}", place.path("none")), 550);
        ftp.expect("MDTM /etc/passwd", 550);
    });
}

#[test]
fn d20_dots_within_a_name_are_dots() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        for name in ["a..b", "..c", "d..", "..."] {
            let path = place.path(name);
            ftp.store(&path, name.as_bytes());
            assert_eq!(
                ftp.fetch(&format!("RETR {path}")),
                name.as_bytes(),
                "{}",
                place.module
            );
            ftp.expect(&format!("SIZE {path}"), 213);
            ftp.expect(&format!("DELE {path}"), 250);
        }
    });
}

#[test]
fn d31_no_reply_shows_a_path_of_the_server() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = Ftp::connect(daemon.address);
    ftp.log_in("test", "test");
    let root = daemon.files().to_string_lossy().into_owned();
    for command in [
        "SIZE /none",
        "DELE /none",
        "CWD /none",
        "RMD /none",
        "RNFR /none",
        "MDTM /none",
    ] {
        ftp.send(format!("{command}\r\n").as_bytes());
        let (_, said) = ftp.reply();
        assert!(!said.contains(&root) && !said.contains("/tmp"), "{said}");
    }
}
