//! `[tls]`: encryption, and what it demands of clients.
#![forbid(unsafe_code)]

use std::path::PathBuf;

/// `[tls]`
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    pub mode: TlsMode,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Others, each with its key, for the names that are in them.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// 0: no implicit TLS.
    pub implicit_port: u16,
    pub min_version: TlsVersion,
    pub session_reuse: SessionReuse,
    pub truncation: Truncation,
    /// Authorities of client certificates; `None`: clients are asked for none.
    pub client_ca: Option<PathBuf>,
    /// What they have revoked.
    pub client_crl: Option<PathBuf>,
    pub client_certificate: ClientCertificate,
    /// Whether a certificate with the name of an account is as good as its password.
    pub client_login: bool,
}

/// `[tls] client_certificate`: whether a client must have one that `client_ca` has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    Optional,
    Required,
}

/// `[tls] mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Off,
    /// The client chooses.
    Optional,
    /// Control and data connections.
    Required,
}

/// `[tls] min_version`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    V12,
    V13,
}

/// `[tls] session_reuse`: what happens to a data connection that does not resume the session of its
/// control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionReuse {
    Off,
    Warn,
    Require,
}

/// `[tls] truncation`: what an upload is that ends without close_notify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncation {
    Ignore,
    Log,
    Require,
}
