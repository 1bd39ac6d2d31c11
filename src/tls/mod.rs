//! TLS for control and data connections. A data connection must resume the TLS session of the
//! control connection that it belongs to: whoever races for a data port has the address, perhaps,
//! but not the ticket. Knows sockets and certificates, nothing of FTP.
#![forbid(unsafe_code)]

mod clients;
mod der;
mod expiry;
mod faces;
mod files;
mod records;
mod renewal;
mod stream;
pub(crate) mod subject;
mod ticket;

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use crate::config;

pub use clients::Client;
use clients::Clients;
use expiry::Expiry;
pub use expiry::{Fading, Kind};
use faces::Faces;
use files::Wrong;
pub use stream::Stream;
use ticket::{OwnTickets, Shown};

/// What a client that speaks ALPN must offer (RFC 7301; the registered name of FTP). One that
/// offers only others was led here by somebody who hopes to have its bytes taken for commands.
const PROTOCOL: &[u8] = b"ftp";

/// What some clients offer on data connections (`FileZilla` does).
const DATA_PROTOCOL: &[u8] = b"ftp-data";

/// Sessions that are remembered for a client of TLS 1.2 without tickets: the control connection's.
const REMEMBERED: usize = 1;

/// Certificates, keys and rules. Read by the master, with the rights to do so; inherited by workers.
#[derive(Clone, Debug)]
pub struct Identity {
    rules: ServerConfig,
    clients: Option<Arc<Clients>>,
    expiries: Vec<Expiry>,
}

/// What is wrong with a file.
#[derive(Debug)]
pub struct Error {
    /// The key of `[tls]` that names it.
    pub key: &'static str,
    why: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Error {}

impl Identity {
    /// Reads certificates and keys, and the authorities of client certificates if there are any.
    ///
    /// # Errors
    /// All that is wrong: files that cannot be read, or do not hold what they should; a key of another
    /// certificate; one of several certificates that is for no name.
    pub fn load(settings: &config::Tls) -> Result<Self, Vec<Error>> {
        let provider = renewal::provider();
        let both: &[&SupportedProtocolVersion] = match settings.min_version {
            config::TlsVersion::V12 => &[&version::TLS13, &version::TLS12],
            config::TlsVersion::V13 => &[&version::TLS13],
        };
        let mut wrong = Wrong::default();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(both)
            .map_err(|error| error.to_string());
        let builder = wrong.unless("min_version", builder);
        let (clients, revocations) = match Clients::load(settings, provider, &mut wrong) {
            Some((clients, revocations)) => (Some(clients), revocations),
            None => (None, None),
        };
        let faces = Faces::load(settings, &mut wrong);
        let (Some(builder), Some((faces, mut expiries)), []) = (builder, faces, &wrong.0[..])
        else {
            return Err(wrong.0);
        };
        expiries.extend(revocations);
        let builder = match &clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients) as Arc<_>),
        };
        let mut rules = builder.with_cert_resolver(Arc::new(faces));
        rules.alpn_protocols = vec![PROTOCOL.to_vec()];
        // What can be resumed belongs to one control connection: see Session.
        rules.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Self {
            rules,
            clients,
            expiries,
        })
    }

    /// The certificates that end soon, or have ended, and the lists of revoked ones that have.
    #[must_use]
    pub fn fading(&self, now: Timestamp) -> Vec<Fading> {
        let fading = self.expiries.iter().map(|expiry| expiry.fading(now));
        fading.flatten().collect()
    }

    /// A fresh session: one for each control connection.
    ///
    /// # Errors
    /// The kernel gives no random numbers.
    pub fn session(&self) -> io::Result<Session> {
        let mut control = self.rules.clone();
        let tickets: Arc<dyn ProducesTickets> = Arc::new(OwnTickets::new()?);
        control.ticketer = Arc::clone(&tickets);
        control.session_storage = ServerSessionMemoryCache::new(REMEMBERED);
        let mut data = control.clone();
        data.alpn_protocols.push(DATA_PROTOCOL.to_vec());
        data.send_tls13_tickets = 0;
        let shown = Arc::new(Shown {
            tickets,
            sessions: Arc::clone(&control.session_storage),
        });
        data.session_storage = Arc::clone(&shown) as Arc<dyn StoresServerSessions>;
        data.ticketer = shown;
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        Ok(Session {
            control: Arc::new(control),
            data: Arc::new(data),
            clients: self.clients.clone(),
            id,
        })
    }
}

/// A control connection with the data connections that belong to it. Its tickets are sealed with a
/// key of its own, which lives as long as the control connection and is never written down: the
/// ticket of another session cannot even be opened.
#[derive(Clone)]
pub struct Session {
    control: Arc<ServerConfig>,
    data: Arc<ServerConfig>,
    clients: Option<Arc<Clients>>,
    /// What is sealed in each ticket, and compared.
    id: [u8; 16],
}

/// Whether a data connection continues the session of its control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// It presented a ticket of this very session.
    Same,
    /// It began a session of its own.
    None,
}

impl Session {
    /// Performs the handshake on a control connection, as the server, within `limit`, which is
    /// also that of each later read and write.
    ///
    /// # Errors
    /// `TimedOut`, what the socket says, or `InvalidData` with what is wrong with the other side's
    /// TLS; an interrupted wait ([`crate::vigil`]).
    pub fn accept(&self, socket: TcpStream, limit: Duration) -> io::Result<Stream> {
        let mut stream = Stream::new(Arc::clone(&self.control), &self.id, socket, limit)?;
        stream.shake_hands()?;
        Ok(stream)
    }

    /// Who is at the other end of a control connection, as far as its certificate says so.
    #[must_use]
    pub fn client(&self, stream: &Stream) -> Client {
        let clients = self.clients.as_ref();
        clients.map_or(Client::Nobody, |clients| {
            clients.judge(stream.certificates())
        })
    }

    /// The same on a data connection.
    ///
    /// # Errors
    /// As [`Session::accept`].
    pub fn accept_data(
        &self,
        socket: TcpStream,
        limit: Duration,
    ) -> io::Result<(Stream, Resumption)> {
        let mut stream = Stream::new(Arc::clone(&self.data), &self.id, socket, limit)?;
        stream.shake_hands()?;
        let resumption = if stream.resumes(&self.id) {
            Resumption::Same
        } else {
            Resumption::None
        };
        Ok((stream, resumption))
    }
}

#[cfg(test)]
mod tests;
