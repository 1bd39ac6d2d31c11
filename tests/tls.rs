//! TLS on the real binary, sandbox and all: what is resumed, what is refused, what ends well.
#![cfg(test)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use socket2::SockRef;

use support::tls::{Secure, certificate, known_by, memory, shake_hands};
use support::{Cluster, Daemon, Ftp, Scratch, eventually, noise, own_address};

/// A daemon with a certificate, and the directory that holds it.
struct Site {
    daemon: Daemon,
    dir: Scratch,
}

impl Site {
    fn new(changes: &[(&str, &str)]) -> Self {
        let dir = Scratch::new();
        let daemon = Daemon::of_files(&certificate(&dir).and(changes));
        Self { daemon, dir }
    }

    fn stored(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.daemon.files().join(name)).ok()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.daemon.files().join(name);
        fs::write(&path, bytes).unwrap();
    }

    fn secure(&self) -> Secure {
        Secure::log_in(self.daemon.address, &memory(&TLS13))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let log = self.daemon.log.all();
        let died = log.iter().find(|line| line.contains("worker-died"));
        assert_eq!(died, None);
    }
}

#[test]
fn every_transfer_of_a_long_session_resumes_it() {
    let site = Site::new(&[]);
    let bytes = noise(50_000, 1);
    for version in [&TLS12, &TLS13] {
        let mut ftp = Secure::log_in(site.daemon.address, &memory(version));
        for number in 0..100 {
            ftp.give(&format!("STOR f{number}"), &bytes, 226);
            assert!(ftp.fetch(&format!("RETR f{number}")) == bytes);
        }
        let names = String::from_utf8(ftp.fetch("NLST")).unwrap();
        assert_eq!(names.lines().count(), 100);
        ftp.expect("QUIT", 221);
    }
    let said = site.daemon.lines();
    for version in ["TLSv1_2", "TLSv1_3"] {
        let wanted = format!("version={version}");
        assert!(said.iter().any(|line| line.contains(&wanted)), "{wanted}");
    }
}

#[test]
fn large_files_go_through_whole_both_ways() {
    let site = Site::new(&[]);
    let bytes = noise(5_000_000, 2);
    let mut ftp = site.secure();
    ftp.give("STOR big", &bytes, 226);
    assert!(site.stored("big").as_deref() == Some(&bytes[..]));
    assert!(ftp.fetch("RETR big") == bytes);
    ftp.expect("TYPE A", 200);
    ftp.give("STOR text", b"a\r\nb\r\n", 226);
    assert_eq!(site.stored("text").as_deref(), Some(&b"a\nb\n"[..]));
    assert_eq!(ftp.fetch("RETR text"), b"a\r\nb\r\n");
}

#[test]
fn data_connections_that_do_not_resume_are_refused() {
    let site = Site::new(&[]);
    site.put("f", b"secret");
    for version in [&TLS12, &TLS13] {
        let mut ftp = Secure::log_in(site.daemon.address, &memory(version));
        let other = memory(version);
        let mut another = Secure::log_in(site.daemon.address, &other);
        // The other session's tickets are in its memory now.
        another.expect("NOOP", 200);
        for stranger in [memory(version), other] {
            // The second time it may have a ticket from the first.
            for _ in 0..2 {
                let socket = ftp.epsv();
                ftp.expect("RETR f", 150);
                let mut bytes = Vec::new();
                if let Ok(mut data) = shake_hands(socket, &stranger) {
                    let _ = data.read_to_end(&mut bytes);
                }
                assert_eq!(bytes, b"");
                ftp.reply_of(522);
            }
        }
        assert_eq!(ftp.fetch("RETR f"), b"secret");
    }
    site.daemon.wait_for("data-not-resumed");
}

#[test]
fn reuse_may_be_asked_for_or_not_at_all() {
    for (mode, is_said) in [("warn", true), ("off", false)] {
        let site = Site::new(&[("tls.session_reuse", mode)]);
        site.put("f", b"x");
        let mut ftp = site.secure();
        let socket = ftp.epsv();
        ftp.expect("RETR f", 150);
        let mut data = shake_hands(socket, &memory(&TLS13)).unwrap();
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"x");
        ftp.reply_of(226);
        let log = site.daemon.lines();
        let warned = log
            .iter()
            .any(|line| line.contains("warn data-not-resumed"));
        assert_eq!(warned, is_said, "{mode}");
    }
}

#[test]
fn what_follows_auth_in_the_same_segment_is_dropped() {
    let site = Site::new(&[]);
    let mut ftp = Ftp::connect(site.daemon.address);
    ftp.send(b"AUTH TLS\r\nUSER test\r\nPASS test\r\n");
    ftp.reply_of(234);
    let socket = ftp.control().try_clone().unwrap();
    let mut ftp = Secure::over(socket, &memory(&TLS13)).unwrap();
    ftp.expect("PWD", 530);
    ftp.expect("PASS test", 503);
    ftp.enter();
}

#[test]
fn auth_and_rein_end_a_login() {
    let site = Site::new(&[]);
    let mut ftp = site.daemon.log_in();
    for chosen in ["OPTS MLST type;", "OPTS HASH CRC32", "TYPE A"] {
        ftp.expect(chosen, 200);
    }
    ftp.expect("AUTH TLS", 234);
    let socket = ftp.control().try_clone().unwrap();
    let mut ftp = Secure::over(socket, &memory(&TLS13)).unwrap();
    ftp.expect("PWD", 530);
    ftp.expect("AUTH TLS", 503);
    ftp.enter();
    // What somebody in the middle may have chosen is not what the client has chosen.
    let state = ftp.expect("FEAT", 211) + &ftp.expect("STAT", 211);
    for usual in ["MLST type*;size*;", "HASH SHA-256*;", "TYPE: BINARY"] {
        assert!(state.contains(usual), "{state}");
    }
    ftp.expect("CCC", 534);
    ftp.expect("PROT X", 504);
    ftp.expect("PROT S", 536);
    ftp.expect("REIN", 220);
    ftp.expect("PWD", 530);
    ftp.expect("PROT P", 503);
    ftp.enter();
    site.put("f", b"x");
    assert_eq!(ftp.fetch("RETR f"), b"x");
}

/// How an upload ends that was not ended by close_notify.
enum Cut {
    Fin,
    /// A part of a record is nothing that anybody has sent.
    Within,
    Reset,
}

#[test]
fn a_truncated_upload_is_what_the_configuration_says() {
    for (mode, code, is_logged) in [
        ("ignore", 226, false),
        ("log", 226, true),
        ("require", 426, false),
    ] {
        let site = Site::new(&[("tls.truncation", mode)]);
        for (cut, code) in [(Cut::Fin, code), (Cut::Within, 426), (Cut::Reset, 426)] {
            let mut ftp = site.secure();
            let mut data = ftp.begin("STOR f");
            data.write_all(b"half of it").unwrap();
            data.flush().unwrap();
            match cut {
                Cut::Fin => data.sock.shutdown(Shutdown::Write).unwrap(),
                Cut::Within => {
                    let mut record = Vec::new();
                    data.conn.writer().write_all(b"and the rest").unwrap();
                    data.conn.write_tls(&mut record).unwrap();
                    data.sock.write_all(&record[..record.len() - 1]).unwrap();
                    data.sock.shutdown(Shutdown::Write).unwrap();
                }
                Cut::Reset => {
                    SockRef::from(&data.sock)
                        .set_linger(Some(Duration::ZERO))
                        .unwrap();
                    drop(data);
                }
            }
            ftp.reply_of(code);
            assert_eq!(site.stored("f").is_some(), code == 226, "{mode}");
            if code == 226 {
                ftp.expect("DELE f", 250);
            }
            ftp.give("STOR g", b"whole", 226);
        }
        let log = site.daemon.lines();
        let line = log.iter().find(|line| line.contains("data-truncated"));
        assert_eq!(line.is_some(), is_logged, "{mode}");
        assert!(line.is_none_or(|line| line.contains("peer=127.0.0.1 ")));
    }
}

#[test]
fn a_client_that_reads_nothing_may_upload() {
    let site = Site::new(&[]);
    let bytes = noise(3_000_000, 3);
    let mut ftp = site.secure();
    let mut data = ftp.begin("STOR f");
    data.write_all(&bytes).unwrap();
    data.conn.send_close_notify();
    data.flush().unwrap();
    // Closed over a ticket that nobody read it would be a reset, and the end would be lost.
    drop(data);
    ftp.reply_of(226);
    assert!(site.stored("f").as_deref() == Some(&bytes[..]));
}

/// A part of a record is nothing that a storage node could be sent, which does not wait for long.
#[test]
fn a_client_that_pauses_within_a_record_pauses() {
    let cluster = Cluster::start();
    let dir = Scratch::new();
    let keys = [
        ("mogilefs.upload", "tee"),
        ("mogilefs.pause_timeout", "300ms"),
    ];
    let daemon = Daemon::on(&cluster, &certificate(&dir).and(&keys));
    let bytes = noise(150_000, 4);
    let (first, rest) = bytes.split_at(100_000);
    let mut ftp = Secure::log_in(daemon.address, &memory(&TLS13));
    let mut data = ftp.begin("STOR /photos/f");
    data.write_all(first).unwrap();
    data.flush().unwrap();
    data.conn.writer().write_all(rest).unwrap();
    let mut records = Vec::new();
    while data.conn.wants_write() {
        data.conn.write_tls(&mut records).unwrap();
    }
    let (part, rest) = records.split_at(10_000);
    data.sock.write_all(part).unwrap();
    daemon.wait_for("why=\"the client pauses\"");
    data.sock.write_all(rest).unwrap();
    data.conn.send_close_notify();
    data.flush().unwrap();
    ftp.reply_of(226);
    assert!(cluster.content("photos/f") == Some(bytes));
}

/// As most programs, which leave Nagle's algorithm on: what they send waits until what they sent before
/// is acknowledged. The kernel puts that off for 40 ms, unless it is asked not to.
#[test]
fn a_small_upload_waits_for_no_acknowledgement() {
    let site = Site::new(&[]);
    for version in [&TLS12, &TLS13] {
        let mut ftp = Secure::log_in(site.daemon.address, &memory(version));
        let mut upload = || {
            let mut data = ftp.begin("STOR small");
            data.sock.set_nodelay(false).unwrap();
            let begun = Instant::now();
            data.write_all(b"a few bytes").unwrap();
            data.conn.send_close_notify();
            data.flush().unwrap();
            ftp.reply_of(226);
            begun.elapsed()
        };
        // One is enough, however busy the machine is: with the delay there is none.
        let times: Vec<Duration> = (0..20).map(|_| upload()).collect();
        assert!(
            times.iter().any(|time| *time < Duration::from_millis(30)),
            "{times:?}"
        );
    }
}

#[test]
fn required_is_required() {
    let site = Site::new(&[("tls.mode", "required")]);
    let mut ftp = Ftp::connect(site.daemon.address);
    for command in ["USER test", "PASS test"] {
        let (code, text) = {
            ftp.send(format!("{command}\r\n").as_bytes());
            ftp.reply()
        };
        assert!(matches!(code, 503 | 530), "{command}: {text}");
    }
    let mut ftp = Secure::connect(site.daemon.address, &memory(&TLS13));
    ftp.expect("USER test", 331);
    ftp.expect("PASS test", 230);
    ftp.expect("EPSV", 229);
    ftp.expect("NLST", 521);
    ftp.expect("PROT P", 503);
    ftp.expect("PBSZ 0", 200);
    ftp.expect("PROT C", 534);
    ftp.expect("PROT P", 200);
    ftp.fetch("NLST");
}

#[test]
fn data_in_the_clear_is_the_clients_choice_where_it_may_choose() {
    let site = Site::new(&[]);
    site.put("f", b"x");
    let mut ftp = site.secure();
    ftp.expect("PROT C", 200);
    let mut data = ftp.epsv();
    ftp.expect("RETR f", 150);
    let mut bytes = Vec::new();
    data.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"x");
    ftp.reply_of(226);
}

#[test]
fn a_new_certificate_comes_with_hup_and_a_broken_one_does_not() {
    let site = Site::new(&[]);
    let shown = |ftp: &Secure| {
        let tls = &ftp.control().conn;
        tls.peer_certificates().unwrap()[0].to_vec()
    };
    let mut old = site.secure();
    let first = shown(&old);
    certificate(&site.dir);
    let mark = site.daemon.mark();
    site.daemon.signal(Signal::SIGHUP);
    site.daemon.wait_after(mark, "reloaded");
    let second = eventually("the new certificate", || {
        let found = shown(&Secure::connect(site.daemon.address, &memory(&TLS13)));
        (found != first).then_some(found)
    });
    // Who was there goes on.
    old.give("STOR f", b"x", 226);

    site.dir.file("key.pem", b"no key");
    site.daemon.expect_error("config-error");
    site.daemon.expect_error("reload-failed");
    let mark = site.daemon.mark();
    site.daemon.signal(Signal::SIGHUP);
    site.daemon.wait_after(mark, "reload-failed");
    let third = shown(&Secure::connect(site.daemon.address, &memory(&TLS13)));
    assert!(third == second);
}

#[test]
fn clients_need_a_certificate_where_an_authority_is_named() {
    let dir = Scratch::new();
    let certificate = certificate(&dir);
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let path = dir.file("ca.pem", root.pem().as_bytes());
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["client".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();

    let changes = [("tls.client_ca", path.to_str().unwrap())];
    let daemon = Daemon::of_files(&certificate.and(&changes));
    let site = Site { daemon, dir };
    for version in [&TLS12, &TLS13] {
        // In TLS 1.3 a client learns of it with the first answer.
        let nobody = Secure::try_connect(site.daemon.address, &memory(version));
        let is_refused = match nobody {
            Err(_) => true,
            Ok(mut ftp) => ftp.is_closed() || !ftp.control().conn.is_handshaking(),
        };
        assert!(is_refused);
        site.daemon.wait_for("handshake-failed");
        let known = known_by(version, Some((own.der().clone(), key.clone_key())));
        let mut ftp = Secure::log_in(site.daemon.address, &known);
        ftp.give("STOR f", b"x", 226);
        assert_eq!(ftp.fetch("RETR f"), b"x");
    }
}

#[test]
fn a_transfer_under_tls_can_be_asked_about_and_ended() {
    let site = Site::new(&[]);
    site.put("big", &noise(40_000_000, 4));
    for is_upload in [false, true] {
        let mut ftp = site.secure();
        let mut data = if is_upload {
            let mut data = ftp.begin("STOR new");
            data.write_all(&noise(100_000, 5)).unwrap();
            data
        } else {
            let mut data = ftp.begin("RETR big");
            data.read_exact(&mut [0; 1000]).unwrap();
            data
        };
        ftp.expect("STAT", 211);
        ftp.expect("NOOP", 200);
        ftp.send(b"STAT\r\nNOOP\r\n\xff\xf4\xff\xf2ABOR\r\n");
        for code in [211, 200, 426, 226] {
            ftp.reply_of(code);
        }
        let _ = data.read_to_end(&mut Vec::new());
        ftp.expect("NOOP", 200);
        assert_eq!(site.stored("new"), None);
        ftp.fetch("NLST");
    }
}

#[test]
fn half_a_handshake_keeps_nobody_out() {
    let site = Site::new(&[
        ("nanoftpd.login_time", "4"),
        ("passive.accept_timeout", "3"),
    ]);
    let mut silent = Ftp::connect(site.daemon.address);
    silent.expect("AUTH TLS", 234);
    site.daemon.wait_for("handshake-failed");
    assert!(silent.is_closed());

    let mut ftp = site.secure();
    let mut data: TcpStream = ftp.epsv();
    ftp.expect("NLST", 150);
    data.write_all(&[22, 3, 1]).unwrap();
    ftp.reply_of(425);
    ftp.fetch("NLST");
    // A client that speaks in the clear where TLS is due.
    let mut data: TcpStream = ftp.epsv();
    ftp.expect("STOR f", 150);
    data.write_all(&noise(1000, 6)).unwrap();
    ftp.reply_of(425);
    assert_eq!(site.stored("f"), None);
}

/// The worker itself ends a handshake that was begun late: the master need not send it away.
#[test]
fn a_late_handshake_has_what_is_left_of_the_time_to_log_in() {
    const LIMIT: Duration = Duration::from_secs(4);
    let site = Site::new(&[
        ("nanoftpd.login_time", "4"),
        ("limits.commands_per_second", "20"),
    ]);
    let mut late = Ftp::connect(site.daemon.address);
    let begun = Instant::now();
    while begun.elapsed() < LIMIT / 2 {
        late.expect("NOOP", 200);
    }
    late.expect("AUTH TLS", 234);
    let line = site.daemon.wait_for("handshake-failed");
    assert!(line.contains("cause=timed out"), "{line}");
    assert!(late.is_closed());
}

/// A client that comes late has what is left of the time for its handshake, not all of it again.
#[test]
fn a_data_connection_comes_about_in_one_time_handshake_and_all() {
    const LIMIT: Duration = Duration::from_secs(4);
    let site = Site::new(&[
        ("passive.accept_timeout", "4"),
        ("limits.commands_per_second", "20"),
    ]);
    let mut ftp = site.secure();
    let mut other = site.daemon.log_in();
    let reply = ftp.expect("EPSV", 229);
    let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
    ftp.expect("NLST", 150);
    let begun = Instant::now();
    while begun.elapsed() < LIMIT * 3 / 4 {
        other.expect("NOOP", 200);
    }
    let _silent = TcpStream::connect((site.daemon.address.ip(), port)).unwrap();
    ftp.reply_of(425);
    assert!(begun.elapsed() < LIMIT * 3 / 2, "{:?}", begun.elapsed());
    ftp.fetch("NLST");
}

#[test]
fn implicit_tls_comes_before_the_greeting_whatever_the_mode() {
    let address = own_address().to_string();
    let site = Site::new(&[
        ("tls.mode", "off"),
        ("tls.implicit_port", "20990"),
        ("nanoftpd.listen_addr", &address),
    ]);
    let memory = memory(&TLS13);
    let socket = TcpStream::connect(format!("{address}:20990")).unwrap();
    let mut ftp = Secure::over(socket, &memory).unwrap();
    ftp.reply_of(220);
    ftp.expect("AUTH TLS", 503);
    ftp.expect("USER test", 331);
    ftp.expect("PASS test", 230);
    // Data connections are protected without PROT.
    ftp.give("STOR f", b"x", 226);
    assert_eq!(ftp.fetch("RETR f"), b"x");

    let mut clear = site.daemon.log_in();
    clear.expect("AUTH TLS", 502);
}
