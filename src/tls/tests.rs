//! Both ends on loopback: what resumes, what does not, and what an end without a farewell is.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

/// A client that trusts anybody.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = std::env::temp_dir().join(format!("nanoftpd-tls-{:?}", thread::current().id()));
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

/// One connection from `client` to `session`: the server's result and the client's end.
fn connect(
    session: &Session,
    client: &Arc<ClientConfig>,
) -> (io::Result<(Stream, Resumption)>, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut far = StreamOwned::new(tls, socket);
    let shaking = thread::spawn(move || {
        while far.conn.is_handshaking() && far.conn.complete_io(&mut far.sock).is_ok() {}
        far
    });
    let near = session.accept(listener.accept().unwrap().0, LIMIT);
    (near, shaking.join().unwrap())
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
        let (control, mut far) = connect(&session, &client);
        let (mut control, first) = control.unwrap();
        assert_eq!(first, Resumption::None);
        exchange(&mut control, &mut far);
        for _ in 0..20 {
            let (data, mut far) = connect(&session, &client);
            let (mut data, resumption) = data.unwrap();
            assert_eq!(resumption, Resumption::Same, "{version:?}");
            exchange(&mut data, &mut far);
        }
    }
}

#[test]
fn the_ticket_of_another_session_does_not_do() {
    let identity = identity();
    for version in [&version::TLS12, &version::TLS13] {
        let (own, other) = (identity.session().unwrap(), identity.session().unwrap());
        let client = Arc::new(client(version));
        let (control, mut far) = connect(&other, &client);
        exchange(&mut control.unwrap().0, &mut far);
        let (data, _far) = connect(&own, &client);
        assert_eq!(data.unwrap().1, Resumption::None, "{version:?}");
    }
}

#[test]
fn an_end_without_close_notify_is_not_an_end() {
    let session = identity().session().unwrap();
    let client = Arc::new(client(&version::TLS13));
    for says_goodbye in [true, false] {
        let (near, mut far) = connect(&session, &client);
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
fn a_client_that_speaks_only_another_protocol_is_refused() {
    let session = identity().session().unwrap();
    for (offered, is_welcome) in [(&b"ftp"[..], true), (b"http/1.1", false)] {
        let mut client = client(&version::TLS13);
        client.alpn_protocols = vec![offered.to_vec()];
        let (near, _far) = connect(&session, &Arc::new(client));
        assert_eq!(near.is_ok(), is_welcome);
    }
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
    let error = Identity::load(&settings).err().unwrap();
    assert!(error.to_string().contains("/nowhere/cert.pem"), "{error}");
}
