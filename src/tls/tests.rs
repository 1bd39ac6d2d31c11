//! Both ends on loopback: what resumes, what does not, and what an end without a farewell is.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsFd;
use std::thread;

use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

#[path = "../../tests/support/trusting.rs"]
mod trusting;

use super::*;
use crate::vigil;
use trusting::Trusting;

const LIMIT: Duration = Duration::from_secs(10);

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (process, thread) = (std::process::id(), thread::current().id());
    let dir = std::env::temp_dir().join(format!("nanoftpd-tls-{process}-{thread:?}"));
    std::fs::create_dir_all(&dir).unwrap();
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let settings = config::Tls {
        certificate: Some(certificate),
        key: Some(key),
        ..config::Config::default().tls
    };
    let identity = Identity::load(&settings).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    identity
}

fn client(version: &'static SupportedProtocolVersion) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth()
}

type Client = StreamOwned<ClientConnection, TcpStream>;

/// One connection from `client`: what `accept` makes of it and the client's end.
fn connect<T>(
    client: &Arc<ClientConfig>,
    accept: impl FnOnce(TcpStream) -> io::Result<T>,
) -> (io::Result<T>, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut far = StreamOwned::new(tls, socket);
    let shaking = thread::spawn(move || {
        while far.conn.is_handshaking() && far.conn.complete_io(&mut far.sock).is_ok() {}
        far
    });
    let near = accept(listener.accept().unwrap().0);
    (near, shaking.join().unwrap())
}

fn control(session: &Session, client: &Arc<ClientConfig>) -> (io::Result<Stream>, Client) {
    connect(client, |socket| session.accept(socket, LIMIT))
}

fn data(
    session: &Session,
    client: &Arc<ClientConfig>,
) -> (io::Result<(Stream, Resumption)>, Client) {
    connect(client, |socket| session.accept_data(socket, LIMIT))
}

/// Lets the client take the tickets that came with the handshake.
fn exchange(near: &mut Stream, far: &mut Client) {
    near.write_all(b"220 hello\r\n").unwrap();
    let mut hello = [0; 11];
    far.read_exact(&mut hello).unwrap();
    far.write_all(b"NOOP").unwrap();
    let mut noop = [0; 4];
    near.read_exact(&mut noop).unwrap();
    assert_eq!(&noop, b"NOOP");
}

#[test]
fn a_data_connection_resumes_its_own_control_session_as_often_as_it_likes() {
    let identity = identity();
    for version in [&version::TLS12, &version::TLS13] {
        let session = identity.session().unwrap();
        let client = Arc::new(client(version));
        let (near, mut far) = control(&session, &client);
        let mut near = near.unwrap();
        exchange(&mut near, &mut far);
        for _ in 0..50 {
            // The client shows a ticket once, and gets none from its data connections.
            near.renew_ticket().unwrap();
            exchange(&mut near, &mut far);
            let (data, mut far) = data(&session, &client);
            let (mut data, resumption) = data.unwrap();
            assert_eq!(resumption, Resumption::Same, "{version:?}");
            exchange(&mut data, &mut far);
        }
    }
}

#[test]
fn a_ticket_is_not_renewed_over_what_has_not_left() {
    let session = identity().session().unwrap();
    let client = Arc::new(client(&version::TLS13));
    let (near, mut far) = control(&session, &client);
    let mut near = near.unwrap();
    let text = vec![b'x'; 512 * 1024];
    let mut sent = 0;
    while let Ok(count) = near.write_now(text.get(sent..).unwrap()) {
        sent += count;
        near.renew_ticket().unwrap();
        if sent == text.len() {
            sent = 0;
        }
    }
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        far.read_to_end(&mut bytes).map(|_| bytes)
    });
    near.flush().unwrap();
    near.renew_ticket().unwrap();
    near.close().unwrap();
    let bytes = reading.join().unwrap().unwrap();
    assert!(bytes.iter().all(|&byte| byte == b'x'));
}

#[test]
fn the_ticket_of_another_session_does_not_do() {
    let identity = identity();
    for version in [&version::TLS12, &version::TLS13] {
        let (own, other) = (identity.session().unwrap(), identity.session().unwrap());
        let client = Arc::new(client(version));
        let (near, mut far) = control(&other, &client);
        exchange(&mut near.unwrap(), &mut far);
        let (near, _far) = data(&own, &client);
        assert_eq!(near.unwrap().1, Resumption::None, "{version:?}");
    }
}

#[test]
fn a_strangers_first_try_does_not_earn_a_ticket_for_the_second() {
    let identity = identity();
    for version in [&version::TLS12, &version::TLS13] {
        let session = identity.session().unwrap();
        let (owner, stranger) = (Arc::new(client(version)), Arc::new(client(version)));
        let (near, mut far) = control(&session, &owner);
        exchange(&mut near.unwrap(), &mut far);
        for _ in 0..3 {
            let (near, mut far) = data(&session, &stranger);
            let (mut near, resumption) = near.unwrap();
            assert_eq!(resumption, Resumption::None, "{version:?}");
            exchange(&mut near, &mut far);
        }
        let (near, _far) = data(&session, &owner);
        assert_eq!(near.unwrap().1, Resumption::Same, "{version:?}");
    }
}

#[test]
fn an_end_without_close_notify_is_not_an_end() {
    let session = identity().session().unwrap();
    let client = Arc::new(client(&version::TLS13));
    for says_goodbye in [true, false] {
        let (near, mut far) = data(&session, &client);
        let mut near = near.unwrap().0;
        far.write_all(b"all of it").unwrap();
        if says_goodbye {
            far.conn.send_close_notify();
            far.flush().unwrap();
        }
        far.sock.shutdown(Shutdown::Write).unwrap();
        let mut bytes = Vec::new();
        let end = near.read_to_end(&mut bytes);
        assert_eq!(bytes, b"all of it");
        match end {
            Ok(_) => assert!(says_goodbye),
            Err(error) => {
                assert!(!says_goodbye, "{error}");
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
        }
    }
}

#[test]
fn a_reset_behind_bytes_is_told_after_them() {
    let session = identity().session().unwrap();
    let client = Arc::new(client(&version::TLS13));
    let (near, mut far) = data(&session, &client);
    let mut near = near.unwrap().0;
    far.write_all(b"some of it").unwrap();
    vigil::wait(near.as_fd(), vigil::For::Reading, Some(LIMIT)).unwrap();
    let socket = socket2::SockRef::from(&far.sock);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(far);
    let mut bytes = [0; 64];
    assert_eq!(near.read(&mut bytes).unwrap(), 10);
    assert!(near.has_read_ahead());
    let error = near.read(&mut bytes).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_speaks_only_another_protocol_is_refused() {
    let session = identity().session().unwrap();
    for (offered, as_control, as_data) in [
        (&b"ftp"[..], true, true),
        (b"ftp-data", false, true),
        (b"http/1.1", false, false),
    ] {
        let mut client = client(&version::TLS13);
        client.alpn_protocols = vec![offered.to_vec()];
        let client = Arc::new(client);
        assert_eq!(control(&session, &client).0.is_ok(), as_control);
        assert_eq!(data(&session, &client).0.is_ok(), as_data);
    }
}

#[test]
fn a_slow_handshake_ends_with_its_limit() {
    let session = identity().session().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut slow = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (near, far) = (
        listener.accept().unwrap().0,
        thread::spawn(move || {
            // The head of a record of 16,000 bytes, and a byte of it now and then.
            slow.write_all(&[22, 3, 1, 0x3e, 0x80]).unwrap();
            while slow.write_all(&[1]).is_ok() {
                thread::park_timeout(Duration::from_millis(5));
            }
        }),
    );
    let begun = std::time::Instant::now();
    let near = session.accept_data(near, Duration::from_millis(100));
    assert_eq!(near.err().unwrap().kind(), io::ErrorKind::TimedOut);
    assert!(begun.elapsed() < Duration::from_secs(5));
    far.join().unwrap();
}

#[test]
fn a_silent_client_does_not_hold_the_handshake() {
    let session = identity().session().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let near = session.accept(listener.accept().unwrap().0, Duration::from_millis(20));
    assert_eq!(near.err().unwrap().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn what_is_missing_is_named() {
    let settings = config::Config::default().tls;
    assert!(Identity::load(&settings).is_err());
    let settings = config::Tls {
        certificate: Some("/nowhere/cert.pem".into()),
        key: Some("/nowhere/key.pem".into()),
        ..settings
    };
    let settings = config::Tls {
        certificates: vec![("/nowhere/c".into(), "/nowhere/k".into())],
        client_ca: Some("/nowhere/ca.pem".into()),
        client_crl: Some("/nowhere/crl.pem".into()),
        ..settings
    };
    let errors = Identity::load(&settings).err().unwrap();
    let mut said: Vec<_> = errors
        .iter()
        .map(|error| (error.key, error.to_string()))
        .map(|(key, why)| (key, why.split(':').next().unwrap_or_default().to_owned()))
        .collect();
    said.sort_unstable();
    let expected = [
        ("certificate", "/nowhere/cert.pem"),
        ("certificates", "/nowhere/c"),
        ("certificates", "/nowhere/k"),
        ("client_ca", "/nowhere/ca.pem"),
        ("client_crl", "/nowhere/crl.pem"),
        ("key", "/nowhere/key.pem"),
    ];
    assert_eq!(said, expected.map(|(key, file)| (key, file.to_owned())));
}

/// The library's errors show the line that they stumble over.
#[test]
fn what_is_wrong_with_a_file_does_not_show_what_is_in_it() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let process = std::process::id();
    let dir = std::env::temp_dir().join(format!("nanoftpd-pem-{process}"));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("key.pem");
    let why = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let why = files::private_key(&path).unwrap_err();
        why.strip_prefix(path.to_str().unwrap()).unwrap().to_owned()
    };
    let one_line = key.replace('\n', "");
    assert_eq!(why(&one_line), ": a part of it has no END line");
    let cut_short = key.replacen("KEY-----", "KEY", 1);
    assert_eq!(why(&cut_short), ": a BEGIN line is malformed");
    let (cut, _) = key.split_once("-----END").unwrap();
    assert_eq!(why(cut), ": a part of it has no END line");
    let odd = key.replacen('\n', "\n*", 1);
    assert_eq!(why(&odd), ": a part of it is not base64");
    for (name, inside) in [
        ("ENCRYPTED PRIVATE KEY", "AAAA"),
        (
            "RSA PRIVATE KEY",
            "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA",
        ),
    ] {
        for end in ["\n", "\r\n"] {
            let pem = format!("-----BEGIN {name}-----\n{inside}\n-----END {name}-----\n");
            assert_eq!(why(&pem.replace('\n', end)), ": its key is encrypted");
        }
    }
    // PKCS #8 (RFC 5958) of a kind that the library does not know: Ed448 (RFC 8410 §3).
    let secret = [&[0x04, 0x39][..], &[7; 0x39]].concat();
    let kind = der::wrapped(der::SEQUENCE, &[0x06, 3, 0x2b, 0x65, 0x71]);
    let inside = [&[0x02, 1, 0], &kind[..], &der::wrapped(0x04, &secret)].concat();
    let unknown = PrivatePkcs8KeyDer::from(der::wrapped(der::SEQUENCE, &inside));
    let chain = vec![made.cert.der().clone()];
    let error = CertifiedKey::from_der(chain, unknown.into(), &renewal::provider()).unwrap_err();
    let why = faces::unusable(&path, &error);
    assert!(why.contains(": no key that can be used: RSA of "), "{why}");
    std::fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let why = files::private_key(&path).unwrap_err();
    assert!(why.ends_with(": is not a regular file"), "{why}");
    std::fs::remove_dir_all(dir).unwrap();
}
