//! An FTP client under TLS that does what it is told; trusts any certificate.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};

use super::{Ftp, PATIENCE};

/// One end of a connection under TLS.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

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
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A client's memory of sessions, and the version that it speaks.
pub(crate) fn memory(version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    known_by(version, None)
}

/// The same with a certificate of the client's own.
pub(crate) fn known_by(
    version: &'static SupportedProtocolVersion,
    own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting));
    Arc::new(match own {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => config
            .with_client_auth_cert(vec![certificate], key)
            .unwrap(),
    })
}

/// Performs the handshake on `socket`, as a client.
pub(crate) fn shake_hands(
    mut socket: TcpStream,
    memory: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::clone(memory), name).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(tls, socket))
}

/// A control connection under TLS.
pub(crate) struct Secure {
    control: BufReader<TlsStream>,
    memory: Arc<ClientConfig>,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secure")
    }
}

impl Secure {
    /// Connects and says AUTH TLS.
    pub(crate) fn connect(address: SocketAddr, memory: &Arc<ClientConfig>) -> Self {
        Self::try_connect(address, memory).unwrap()
    }

    pub(crate) fn try_connect(
        address: SocketAddr,
        memory: &Arc<ClientConfig>,
    ) -> std::io::Result<Self> {
        let mut ftp = Ftp::connect(address);
        ftp.expect("AUTH TLS", 234);
        Self::over(ftp.control().try_clone().unwrap(), memory)
    }

    /// Takes a connection that is at its handshake.
    pub(crate) fn over(socket: TcpStream, memory: &Arc<ClientConfig>) -> std::io::Result<Self> {
        Ok(Self {
            control: BufReader::new(shake_hands(socket, memory)?),
            memory: Arc::clone(memory),
        })
    }

    /// Connects, logs in as `test`, and asks for protected data connections.
    pub(crate) fn log_in(address: SocketAddr, memory: &Arc<ClientConfig>) -> Self {
        let mut ftp = Self::connect(address, memory);
        ftp.enter();
        ftp
    }

    pub(crate) fn enter(&mut self) {
        self.expect("USER test", 331);
        self.expect("PASS test", 230);
        self.expect("PBSZ 0", 200);
        self.expect("PROT P", 200);
    }

    pub(crate) fn stream(&self) -> &TlsStream {
        self.control.get_ref()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let stream = self.control.get_mut();
        stream.write_all(bytes).unwrap();
        stream.flush().unwrap();
    }

    pub(crate) fn reply(&mut self) -> (u16, String) {
        let mut text = self.line();
        let code = text[..3].parse().unwrap();
        if text.as_bytes()[3] == b'-' {
            loop {
                let line = self.line();
                text.push('\n');
                text.push_str(&line);
                if line.starts_with(&format!("{code} ")) {
                    break;
                }
            }
        }
        (code, text)
    }

    pub(crate) fn reply_of(&mut self, code: u16) -> String {
        let (found, text) = self.reply();
        assert_eq!(found, code, "{text}");
        text
    }

    pub(crate) fn expect(&mut self, command: &str, code: u16) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        let (found, text) = self.reply();
        assert_eq!(found, code, "{command}: {text}");
        text
    }

    /// A data connection on which nothing has been said.
    pub(crate) fn epsv(&mut self) -> TcpStream {
        let reply = self.expect("EPSV", 229);
        let port = reply.split('|').nth(3).unwrap().parse().unwrap();
        let own = self.stream().sock.peer_addr().unwrap().ip();
        TcpStream::connect_timeout(&SocketAddr::new(own, port), PATIENCE).unwrap()
    }

    /// Begins a transfer: the data connection behind its handshake and the 150.
    pub(crate) fn begin(&mut self, command: &str) -> TlsStream {
        let socket = self.epsv();
        self.expect(command, 150);
        shake_hands(socket, &self.memory).unwrap()
    }

    /// What a command sends, with its replies.
    pub(crate) fn fetch(&mut self, command: &str) -> Vec<u8> {
        let mut data = self.begin(command);
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).unwrap();
        self.reply_of(226);
        bytes
    }

    /// Gives a command `bytes` in good order; the last reply must have `code`.
    pub(crate) fn give(&mut self, command: &str, bytes: &[u8], code: u16) -> String {
        let mut data = self.begin(command);
        data.write_all(bytes).unwrap();
        data.conn.send_close_notify();
        data.flush().unwrap();
        let text = self.reply_of(code);
        // A new ticket comes with the end.
        let _ = data.read_to_end(&mut Vec::new());
        text
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.control.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "not a line of a reply: {line:?}");
        line.trim_end().to_owned()
    }

    /// Whether the server has closed the control connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.control.fill_buf().is_ok_and(<[u8]>::is_empty)
    }
}
