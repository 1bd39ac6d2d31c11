//! An FTP client under TLS that does what it is told; trusts any certificate.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion};

use super::ftp::Dialogue;
use super::trusting::Trusting;
use super::{Ftp, PATIENCE, Scratch};

/// One end of a connection under TLS.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// The changes to a configuration that give a daemon a certificate.
pub(crate) struct Certificate([(&'static str, String); 3]);

impl Certificate {
    /// These changes, and others behind them.
    pub(crate) fn and<'a>(&'a self, changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = self.0.iter().map(|(key, value)| (*key, value.as_str()));
        own.chain(changes.iter().copied()).collect()
    }
}

/// Makes a certificate of `localhost` in `dir`, with its key; TLS is optional then.
pub(crate) fn certificate(dir: &Scratch) -> Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write = |name, text: String| {
        let path = dir.file(name, text.as_bytes());
        path.to_str().unwrap().to_owned()
    };
    Certificate([
        ("tls.mode", "optional".to_owned()),
        ("tls.certificate", write("cert.pem", made.cert.pem())),
        (
            "tls.key",
            write("key.pem", made.signing_key.serialize_pem()),
        ),
    ])
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
    socket: TcpStream,
    memory: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream> {
    shake_hands_with("localhost", socket, memory)
}

/// The same with the server of that name; of an address the server is told none.
pub(crate) fn shake_hands_with(
    name: &str,
    mut socket: TcpStream,
    memory: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = ClientConnection::new(Arc::clone(memory), name).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(tls, socket))
}

/// A control connection under TLS.
pub(crate) struct Secure {
    dialogue: Dialogue<TlsStream>,
    memory: Arc<ClientConfig>,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secure")
    }
}

impl Deref for Secure {
    type Target = Dialogue<TlsStream>;

    fn deref(&self) -> &Self::Target {
        &self.dialogue
    }
}

impl DerefMut for Secure {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.dialogue
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
            dialogue: Dialogue::new(shake_hands(socket, memory)?),
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

    /// A data connection on which nothing has been said.
    pub(crate) fn epsv(&mut self) -> TcpStream {
        let reply = self.expect("EPSV", 229);
        let port = reply.split('|').nth(3).unwrap().parse().unwrap();
        let own = self.control().sock.peer_addr().unwrap().ip();
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
}
