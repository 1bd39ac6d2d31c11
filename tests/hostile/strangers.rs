//! Who is not the client, or does not speak FTP: bounces, stolen data connections, other protocols,
//! commands ahead of TLS, Telnet.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use crate::support::{Daemon, Ftp, PATIENCE, own_address};
use crate::{answer, is_in_step, is_unharmed};

/// Whether somebody has connected by now; nobody who would come later is waited for.
fn has_caller(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    listener.accept().is_ok()
}

#[test]
fn nobody_is_connected_to_but_the_client() {
    let daemon = Daemon::of_files(&[]);
    let victim = TcpListener::bind((own_address(), 0)).unwrap();
    let address = victim.local_addr().unwrap();
    let (host, port) = (address.ip().to_string(), address.port());
    let commas = host.replace('.', ",");
    let (high, low) = (port / 256, port % 256);
    let mut ftp = daemon.log_in();
    for (command, code) in [
        (format!("PORT {commas},{high},{low}"), 504),
        (format!("EPRT |1|{host}|{port}|"), 504),
        (format!("EPRT |2|::ffff:{host}|{port}|"), 522),
        (format!("EPRT |1|::ffff:{host}|{port}|"), 501),
        (format!("EPRT |1|localhost|{port}|"), 501),
        (format!("EPRT |1|0177.0.0.1|{port}|"), 501),
        (format!("EPRT |1|2130706433|{port}|"), 501),
        (format!("PORT 0,0,0,0,{high},{low}"), 504),
        (format!("PORT 255,255,255,255,{high},{low}"), 504),
        ("PORT 127,0,0,1,0,0".to_owned(), 504),
        ("PORT 127,0,0,1,0,25".to_owned(), 504),
        ("PORT 127,0,0,1,3,255".to_owned(), 504),
        ("EPRT |1|127.0.0.1|0|".to_owned(), 501),
        ("EPRT |1|127.0.0.1|1023|".to_owned(), 504),
        ("EPRT |1|127.0.0.1|65537|".to_owned(), 501),
        ("PORT 127,0,0,1,256,1".to_owned(), 501),
        ("PORT 127,0,0,1,1".to_owned(), 501),
        ("PORT 127,0,0,1,-1,1".to_owned(), 501),
        ("PORT 0x7f,0,0,1,100,1".to_owned(), 501),
    ] {
        let (found, said) = answer(&mut ftp, command.as_bytes());
        assert!(
            found == code || [501, 504, 522].contains(&found),
            "{command}: {said}"
        );
        // There is no way left from an earlier command either.
        ftp.expect("LIST", 425);
    }
    assert!(!has_caller(&victim));
    is_unharmed(&daemon);
}

#[test]
fn who_connects_first_to_a_passive_port_gets_nothing_unless_it_is_the_client() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    for _ in 0..5 {
        let reply = ftp.expect("EPSV", 229);
        let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
        let thieves: Vec<TcpStream> = (0..3)
            .map(|_| Ftp::dial(own_address(), (Ipv4Addr::LOCALHOST, port).into()).unwrap())
            .collect();
        ftp.expect("LIST", 150);
        let mut own = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        own.read_to_end(&mut Vec::new()).unwrap();
        ftp.reply_of(226);
        for mut thief in thieves {
            let mut stolen = Vec::new();
            let _ = thief.read_to_end(&mut stolen);
            assert!(stolen.is_empty());
        }
    }
    is_unharmed(&daemon);
}

#[test]
fn passive_ports_cannot_be_foretold() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    let ports: Vec<i32> = (0..40)
        .map(|_| {
            let reply = ftp.expect("EPSV", 229);
            reply.split('|').nth(3).unwrap().parse().unwrap()
        })
        .collect();
    let near = ports
        .windows(2)
        .filter(|two| (two[0] - two[1]).abs() < 16)
        .count();
    assert!(near < 4, "{ports:?}");
}

#[test]
fn browsers_and_other_protocols_are_sent_away_at_their_first_line() {
    let daemon = Daemon::of_files(&[]);
    for line in [
        "GET / HTTP/1.1",
        "POST /upload HTTP/1.1",
        "PUT / HTTP/1.0",
        "HEAD / HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT x:25 HTTP/1.1",
        "Host: ftp.example.org",
        "Cookie: a=b",
    ] {
        let mut ftp = Ftp::connect(daemon.address);
        let rest = "\r\nUSER test\r\nPASS test\r\nMKD hit\r\n";
        ftp.send(format!("{line}{rest}").as_bytes());
        let mut said = String::new();
        let _ = ftp.control().read_to_string(&mut said);
        assert!(!said.contains("230"), "{line}: {said}");
        assert!(!daemon.files().join("hit").exists(), "{line}");
    }
    // Mail is not known by its lines, and gets no further than any other nonsense.
    let mut ftp = Ftp::connect(daemon.address);
    ftp.expect("EHLO mail.example.org", 500);
    ftp.expect("MAIL FROM:<a@b>", 500);
    is_unharmed(&daemon);
}

#[test]
fn telnet_is_taken_out_and_never_runs_wild() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    for line in [
        &b"\xff\xf4\xff\xf2NOOP"[..],
        b"NO\xff\xf6OP",
        b"\xff\xfb\x01\xff\xfd\x03NOOP",
        b"\xff\xfa\x18\x00xterm\xff\xf0NOOP",
        b"NOOP\xff\xfa",
        b"\xff\xfe\xff NOOP",
    ] {
        let (code, said) = answer(&mut ftp, line);
        assert!([200, 500].contains(&code), "{line:?}: {said}");
        is_in_step(&mut ftp);
    }
    // A byte 255 that is doubled is one of the name; and so are a thousand of them.
    let (code, said) = answer(&mut ftp, b"MKD a\xff\xffb");
    assert_eq!(code, 257, "{said}");
    let (code, said) = answer(&mut ftp, &[b"SIZE ", &[0xff; 4000][..]].concat());
    assert!(code >= 500, "{said}");
    // Synch: urgent data, with the mark in the middle of a command.
    ftp.send(b"NO");
    SockRef::from(ftp.control())
        .send_out_of_band(b"\xff\xf4\xff\xf2")
        .unwrap();
    ftp.send(b"OP\r\n");
    ftp.reply();
    is_in_step(&mut ftp);
    is_unharmed(&daemon);
}

#[test]
fn a_connection_that_is_reset_before_or_after_anything_harms_nobody() {
    let daemon = Daemon::of_files(&[]);
    for bytes in [
        &b""[..],
        b"\n",
        b"\r",
        b"\0\0\0\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\r\n",
        b"USER test\r\nPASS test\r\nPASV\r\nLIST\r\n",
        b"USER test\r\nPASS test\r\nSTOR x\r\n",
    ] {
        for linger in [None, Some(Duration::ZERO)] {
            let mut stream = TcpStream::connect_timeout(&daemon.address, PATIENCE).unwrap();
            let _ = stream.write_all(bytes);
            SockRef::from(&stream).set_linger(linger).unwrap();
        }
    }
    is_unharmed(&daemon);
}
