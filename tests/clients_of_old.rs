//! What old and odd clients do, and every address that a client may come from or be sent to.
#![cfg(test)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use support::{Cluster, Daemon, Ftp, PATIENCE, eventually, field, noise};

#[test]
fn a_camera_that_never_says_type_gets_its_picture_through_unchanged() {
    let daemon = Daemon::of_files(&[]);
    let mut picture = noise(200_000, 21);
    picture.extend_from_slice(b"\r\n\n\r\xff\xd8\n");
    let mut ftp = daemon.log_in();
    ftp.expect("OPTS UTF-8 ON", 200);
    ftp.store("P1.JPG", &picture);
    assert!(fs::read(daemon.files().join("P1.JPG")).unwrap() == picture);
    assert!(ftp.fetch("RETR P1.JPG") == picture);
}

#[test]
fn lines_may_end_with_lf_alone_and_names_may_be_latin_1() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    for (line, code) in [
        (&b"SYST\n"[..], 215),
        (b"MKD caf\xe9 \"au lait\"\n", 257),
        (b"CWD caf\xe9 \"au lait\"\n", 250),
    ] {
        ftp.send(line);
        ftp.reply_of(code);
    }
    let mut data = data(&mut ftp);
    ftp.send(b"STOR \xfcber.txt\n");
    ftp.reply_of(150);
    data.write_all(b"x").unwrap();
    drop(data);
    ftp.reply_of(226);
    assert_eq!(ftp.fetch("NLST"), b"\xfcber.txt\r\n");
    let raw = b"caf\xe9 \"au lait\"/\xfcber.txt";
    let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&raw[..]);
    assert_eq!(fs::read(daemon.files().join(path)).unwrap(), b"x");
    ftp.send(b"PWD\n");
    let said = ftp.reply_of(257);
    assert!(said.contains("\"\"au lait\"\"\""), "{said}");
}

/// In windows-1251 the byte 255 is a common letter, and what follows it in a word looks like Telnet.
#[test]
fn a_name_with_the_byte_255_is_never_another_name() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    for (name, left) in [
        (&b"\xff\xf5\xf2\xe0"[..], &b"\xf2\xe0"[..]),
        (b"\xff\xf0", b"x"),
        (b"a\xff\xfb", b"a"),
        (b"b\xff\xfa\xe5zd", b"b"),
        (b"\xec\xff", b"\xec"),
    ] {
        for name in [left, name] {
            let mut data = data(&mut ftp);
            ftp.send(&[b"STOR ", name, b"\r\n"].concat());
            ftp.reply_of(150);
            data.write_all(name).unwrap();
            drop(data);
            ftp.reply_of(226);
        }
        let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
        let path = daemon.files().join(path);
        assert_eq!(fs::read(&path).unwrap(), name);
        // As RFC 854 has it: doubled.
        let doubled = name.split_inclusive(|byte| *byte == 0xff);
        let doubled = doubled.map(|part| [part, &b"\xff"[..usize::from(part.ends_with(b"\xff"))]]);
        let doubled: Vec<u8> = doubled.flatten().flatten().copied().collect();
        ftp.send(&[b"SIZE ", &doubled[..], b"\r\n"].concat());
        assert_eq!(ftp.reply_of(213), format!("213 {}", name.len()));
        ftp.send(&[b"DELE ", name, b"\r\n"].concat());
        ftp.reply_of(250);
        assert!(!path.exists());
    }
}

#[test]
fn options_of_ls_and_a_home_are_understood() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.expect("MKD d", 257);
    ftp.store("d/f", b"x");
    assert!(ftp.lines("LIST -al d")[0].ends_with(" f"));
    assert!(ftp.lines("LIST -al")[0].ends_with(" d"));
    ftp.expect("CWD d", 250);
    ftp.expect("CWD ~", 250);
    assert!(ftp.expect("PWD", 257).contains("\"/\""));
    ftp.expect("CWD ~/d", 250);
    assert!(ftp.expect("PWD", 257).contains("\"/d\""));
    // Whose name it is comes first.
    ftp.expect("MKD ~", 257);
    ftp.expect("CWD ~", 250);
    assert!(ftp.expect("PWD", 257).contains("\"/d/~\""));
    ftp.expect("P@SW", 227);
}

fn data(ftp: &mut Ftp) -> TcpStream {
    let reply = ftp.expect("EPSV", 229);
    let port = reply.split('|').nth(3).unwrap().parse().unwrap();
    let own = ftp.control().peer_addr().unwrap().ip();
    let data = TcpStream::connect_timeout(&SocketAddr::new(own, port), PATIENCE).unwrap();
    data.set_read_timeout(Some(PATIENCE)).unwrap();
    data
}

#[test]
fn epsv_all_lasts_through_an_abort_and_ends_with_the_login() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.store("f", &noise(20_000_000, 22));
    ftp.expect("EPSV ALL", 200);
    let data = data(&mut ftp);
    ftp.expect("RETR f", 150);
    ftp.send(b"ABOR\r\n");
    ftp.reply_of(426);
    ftp.reply_of(226);
    drop(data);
    for command in ["PASV", "PORT 127,0,0,1,200,1", "EPRT |1|127.0.0.1|51201|"] {
        ftp.expect(command, 501);
    }
    ftp.expect("EPSV", 229);
    ftp.expect("REIN", 220);
    ftp.log_in("test", "test");
    ftp.expect("PASV", 227);
}

#[test]
fn both_families_are_listened_on() {
    if TcpListener::bind("[::1]:0").is_err() {
        support::skip("no IPv6 here");
        return;
    }
    let daemon = Daemon::of_files(&[("nanoftpd.listen_addr", "127.0.0.1, ::1")]);
    let line = daemon.wait_for("listening addr=::1");
    let port = field(&line, "port").unwrap().parse().unwrap();
    let six = SocketAddr::new("::1".parse::<IpAddr>().unwrap(), port);
    for (address, ours, other, host) in [
        (daemon.address, "1", "2", "127.0.0.1"),
        (six, "2", "1", "::1"),
    ] {
        let mut ftp = Ftp::connect(address);
        ftp.log_in("test", "test");
        ftp.expect(&format!("EPSV {other}"), 522);
        ftp.expect(&format!("EPSV {ours}"), 229);
        let mut passive = data(&mut ftp);
        ftp.expect("STOR f", 150);
        passive.write_all(host.as_bytes()).unwrap();
        drop(passive);
        ftp.reply_of(226);
        let listener = TcpListener::bind((host, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        ftp.expect(&format!("EPRT |{ours}|{host}|{port}|"), 200);
        ftp.expect("RETR f", 150);
        assert_eq!(brought_to(&listener), host);
        ftp.reply_of(226);
        let wanted = if ours == "1" { 227 } else { 425 };
        ftp.expect("PASV", wanted);
    }
}

/// All that the next connection has for us.
fn brought_to(listener: &TcpListener) -> String {
    let mut text = String::new();
    let (mut data, _) = listener.accept().unwrap();
    data.read_to_string(&mut text).unwrap();
    text
}

/// Runs the rest of its arguments with the first as its list of hosts.
const PRIVATE_HOSTS: &str = "mount --make-rprivate / && mount --bind \"$1\" /etc/hosts && \
    shift && exec \"$@\"";

#[test]
fn a_name_that_moves_is_announced_where_it_is_without_a_signal() {
    if !nix::unistd::geteuid().is_root() {
        return support::skip("only root may mount");
    }
    let scratch = support::Scratch::new();
    let hosts = scratch.file("hosts", b"192.0.2.1 gateway.invalid\n");
    let daemon = Daemon::of_files_within(
        &[
            "unshare",
            "-m",
            "sh",
            "-c",
            PRIVATE_HOSTS,
            "sh",
            hosts.to_str().unwrap(),
        ],
        &[
            ("passive.address", "gateway.invalid"),
            ("nanoftpd.resolve_interval", "50ms"),
        ],
    );
    for (address, announced) in [
        ("192.0.2.1", "(192,0,2,1,"),
        ("192.0.2.77", "(192,0,2,77,"),
        ("198.51.100.7", "(198,51,100,7,"),
    ] {
        fs::write(&hosts, format!("{address} gateway.invalid\n")).unwrap();
        eventually("the new address is announced", || {
            let mut ftp = daemon.log_in();
            ftp.expect("PASV", 227).contains(announced).then_some(())
        });
    }
    // What was known stays known.
    fs::write(&hosts, "").unwrap();
    daemon.wait_for("name-not-found name=\"gateway.invalid\"");
    let said = daemon.log_in().expect("PASV", 227);
    assert!(said.contains("(198,51,100,7,"), "{said}");
}

#[test]
fn d15_the_last_route_counts_and_used_up_ports_are_refused_at_once() {
    // Where no other test's connection takes the port meanwhile.
    let own = support::own_address();
    let held = TcpListener::bind((own, 0)).unwrap();
    let number = held.local_addr().unwrap().port().to_string();
    let own = own.to_string();
    let daemon = Daemon::of_files(&[
        ("nanoftpd.listen_addr", &own),
        ("nanoftpd.low_port", &number),
        ("nanoftpd.high_port", &number),
    ]);
    let mut ftp = daemon.log_in();
    ftp.expect("PASV", 425);
    ftp.expect("EPSV", 425);
    drop(held);
    // The child of another test may have it for a moment longer.
    eventually("the port is free", || {
        ftp.send(b"PASV\r\n");
        (ftp.reply().0 == 227).then_some(())
    });
    // Freed by the transfer, by the next PASV, by PORT, by ABOR, by REIN, and by the client's end.
    ftp.store("f", b"text");
    ftp.expect("PASV", 227);
    ftp.expect("PASV", 227);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    ftp.expect(
        &format!("PORT 127,0,0,1,{},{}", port / 256, port % 256),
        200,
    );
    ftp.expect("RETR f", 150);
    assert_eq!(brought_to(&listener), "text");
    ftp.reply_of(226);
    for command in ["ABOR", "REIN"] {
        ftp.expect("PASV", 227);
        ftp.expect(command, if command == "ABOR" { 226 } else { 220 });
    }
    ftp.log_in("test", "test");
    ftp.expect("EPSV", 229);
    drop(ftp);
    eventually("the port is free again", || {
        let mut ftp = daemon.log_in();
        ftp.send(b"PASV\r\n");
        (ftp.reply().0 == 227).then_some(())
    });
    let features = daemon.log_in().expect("FEAT", 211);
    for feature in [
        "EPRT",
        "EPSV",
        "MDTM",
        "MLST",
        "REST STREAM",
        "SIZE",
        "TVFS",
        "UTF8",
    ] {
        assert!(features.contains(feature), "{features}");
    }
    assert!(!features.contains("AUTH"), "{features}");
}

#[test]
fn the_port_of_a_refused_transfer_is_free_while_its_client_says_nothing_more() {
    let own = support::own_address();
    let free = TcpListener::bind((own, 0)).unwrap();
    let number = free.local_addr().unwrap().port().to_string();
    drop(free);
    let own = own.to_string();
    let daemon = Daemon::of_files(&[
        ("nanoftpd.listen_addr", &own),
        ("nanoftpd.low_port", &number),
        ("nanoftpd.high_port", &number),
    ]);
    let mut clients = [daemon.log_in(), daemon.log_in()];
    for ftp in &mut clients {
        // The child of another test may have it for a moment longer.
        eventually("the port is free", || {
            ftp.send(b"PASV\r\n");
            (ftp.reply().0 == 227).then_some(())
        });
        ftp.expect("RETR missing", 550);
    }
}

#[test]
fn a_checksum_comes_from_the_tracker_where_the_class_keeps_one() {
    let cluster = Cluster::faulty();
    cluster.make_summed("sums", b"1");
    cluster.classes_become(&["docs", "photos", "sums"]);
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    let sum = "250 25F9E794323B453885F5181F1B624D0B";
    for class in ["sums", "photos"] {
        ftp.store(&format!("/{class}/f"), b"123456789");
        assert_eq!(ftp.expect(&format!("XMD5 /{class}/f"), 250), sum);
        let said = ftp.expect(&format!("HASH /{class}/f"), 213);
        assert!(said.contains("SHA-256 0-9 15e2b0d3"), "{said}");
    }
    // Nobody has to read the file for it.
    cluster.node().fault("corrupt at=4 method=GET");
    assert_eq!(ftp.expect("XMD5 /sums/f", 250), sum);
    assert_ne!(ftp.expect("XMD5 /photos/f", 250), sum);
}
