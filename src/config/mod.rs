//! What the configuration file says, typed: one struct a section, one field a key, under the names
//! that a sysadmin writes. A room is handed its own section, never the whole. Knows no defaults of
//! its own beyond the table in `keys`, and nothing of what the values are used for.
#![forbid(unsafe_code)]

#[macro_use]
mod row;

mod blank;
mod form;
mod keys;
mod mogilefs;
mod near;
mod net;
mod parse;
pub mod places;
mod print;
mod rules;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

pub use mogilefs::{Collation, ContentMd5, Extended, ListTimes, Mogilefs, Overwrite, Upload, Zone};
pub use net::{Host, Network};
pub use row::{Key, Section};
pub use tls::{ClientCertificate, SessionReuse, Tls, TlsMode, TlsVersion, Truncation};

/// The whole effective configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub nanoftpd: Nanoftpd,
    pub pool: Pool,
    pub passive: Passive,
    pub auth: Auth,
    pub mogilefs: Mogilefs,
    pub file: File,
    pub tls: Tls,
    pub limits: Limits,
    pub proxy: Proxy,
    pub hooks: Hooks,
    pub sandbox: Sandbox,
    pub logging: Logging,
    pub status: Status,
}

/// Every section and key there is.
pub fn sections() -> &'static [Section] {
    keys::SECTIONS
}

/// The time zone of that name. UTC is one on every machine, also where none are installed.
///
/// # Errors
/// There is none.
pub fn zone(name: &str) -> Result<TimeZone, jiff::Error> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name)
}

/// Something wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file's name, as it was given.
    pub file: String,
    /// Counted from 1; 0: the file as a whole.
    pub line: usize,
    /// The key that it is about; empty: none.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub why: String,
}

impl Error {
    #[must_use]
    pub fn new(file: &str, line: usize, key: &str, why: String) -> Self {
        Self {
            file: file.to_owned(),
            line,
            key: key.to_owned(),
            why,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line != 0 {
            write!(f, ":{}", self.line)?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.why)
    }
}

/// `[nanoftpd]`
#[derive(Clone, Debug, PartialEq)]
pub struct Nanoftpd {
    pub daemonize: bool,
    pub pidfile: PathBuf,
    pub tmpdir: PathBuf,
    /// Name or number.
    pub userid: String,
    /// Name or number.
    pub groupid: String,
    pub allow_root: bool,
    pub listen_addr: Vec<IpAddr>,
    /// 0: any free port.
    pub listen_port: u16,
    pub low_port: u16,
    pub high_port: u16,
    pub idle_time: Duration,
    pub login_time: Duration,
    pub server_name: String,
    pub stop_grace: Duration,
    /// An IANA name: the zone of LIST times.
    pub timezone: String,
    pub default_type: Type,
    /// How long the address of a name is good.
    pub resolve_interval: Duration,
}

/// `default_type`: what an upload is before the client has said TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Binary,
    Ascii,
}

/// `[pool]`
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub min_spare: usize,
    pub max_spare: usize,
    pub max_clients: usize,
    pub sessions_per_worker: u32,
    pub scheduling: Scheduling,
}

/// `[pool] scheduling`: by which rules of sched(7) workers get their turns at a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduling {
    /// Who runs is not interrupted when a worker wakes.
    Batch,
    /// As whoever started the daemon has it.
    Other,
}

/// `[passive]`
#[derive(Clone, Debug, PartialEq)]
pub struct Passive {
    /// What PASV announces, an address or a name; `None`: the control connection's own.
    pub address: Option<String>,
    /// Per client network the address to announce; the first that matches wins.
    pub nat: Vec<(Network, IpAddr)>,
    pub accept_timeout: Duration,
    pub stall_timeout: Duration,
    pub hangup: Hangup,
    /// Whether PORT and EPRT are allowed.
    pub active: bool,
    pub active_port: ActivePort,
    /// Whether MODE Z is allowed.
    pub deflate: bool,
}

/// `[passive] hangup`: what becomes of a transfer whose client closes its control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// As of ABOR: that a client was killed looks the same (RFC 959 §4.1.1).
    Abort,
    /// It goes on to the end of its data connection.
    Finish,
}

/// `[passive] active_port`: where the connections of PORT and EPRT come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivePort {
    /// Any port that is free.
    Any,
    /// The one before that of the control connection (RFC 959 §3.2), where it can be had.
    Data,
}

/// `[auth]`, `[auth.text]`, `[auth.exec]`
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    pub module: AuthModule,
    pub crypt: Crypt,
    pub text: AuthText,
    pub exec: AuthExec,
}

/// `[auth] module`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthModule {
    Text,
    Exec,
}

/// `[auth] crypt`: what a hash without `$` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crypt {
    Md5,
    Sha1,
}

/// `[auth.text]`
#[derive(Clone, Debug, PartialEq)]
pub struct AuthText {
    pub file: PathBuf,
    pub sep: String,
}

impl AuthText {
    /// What stands between the fields of a line.
    #[must_use]
    pub fn separator(&self) -> Vec<u8> {
        match self.sep.as_str() {
            "\\t" => b"\t".to_vec(),
            other => other.as_bytes().to_vec(),
        }
    }
}

/// `[auth.exec]`
#[derive(Clone, Debug, PartialEq)]
pub struct AuthExec {
    pub command: Option<PathBuf>,
    pub timeout: Duration,
}

/// `[file]`
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// `%u` is the user's name.
    pub root: String,
    pub create_mask: u32,
    pub fsync: bool,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Sessions of one address; 0: any number.
    pub max_per_ip: usize,
    /// Sessions of one user; 0: any number.
    pub max_per_user: usize,
    /// Failed logins that end a session; 0: any number.
    pub login_attempts: usize,
    /// Before the answer to a failed login; longer with each of the same address.
    pub login_delay: Duration,
    /// How long an address is refused after `login_attempts` failed logins; zero: it never is.
    pub ban_time: Duration,
    /// Bytes a second that a session may send; 0: any number. And so on.
    pub upload_rate: u64,
    pub download_rate: u64,
    /// The same of all sessions of a user together.
    pub upload_rate_per_user: u64,
    pub download_rate_per_user: u64,
    /// Of a session; 0: any number.
    pub commands_per_second: u32,
    pub allo: Allo,
}

/// `[limits] allo`: what the size means that a client announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allo {
    /// An upload that is smaller is not stored.
    Bind,
    /// Nothing.
    Hint,
}

/// `[proxy]`
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// Networks whose control connections begin with a PROXY header.
    pub trusted: Vec<Network>,
    pub data: ProxyData,
}

impl Proxy {
    /// Whether what comes from `peer` begins with a header that is believed.
    #[must_use]
    pub fn is_trusted(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(peer))
    }
}

/// `[proxy] data`: how the data connections of a client behind a proxy come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyData {
    /// From the client itself.
    Direct,
    /// Through the proxy, with a header too.
    Header,
}

/// `[hooks]`
#[derive(Clone, Debug, PartialEq)]
pub struct Hooks {
    /// Run after each upload; `None`: nothing is.
    pub uploaded: Option<PathBuf>,
    /// How many runs may stand in line.
    pub queue: usize,
    /// How long each may take.
    pub timeout: Duration,
}

/// `[sandbox]`
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    pub mode: SandboxMode,
}

/// `[sandbox] mode`: what happens where the kernel lacks a part of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxMode {
    /// It is logged.
    On,
    /// The daemon does not start.
    Strict,
}

/// `[logging]`
#[derive(Clone, Debug, PartialEq)]
pub struct Logging {
    pub mode: LogMode,
    pub file: PathBuf,
    pub level: log::LevelFilter,
    pub syslog_facility: String,
    /// `None`: no transfer log.
    pub xferlog: Option<PathBuf>,
    pub transfer_format: TransferFormat,
}

/// `[logging] transfer_format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferFormat {
    /// As wu-ftpd wrote it.
    Xferlog,
    /// As web servers wrote it.
    Clf,
    /// An object a line.
    Json,
}

/// `[logging] mode`, by the original's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogMode {
    Off = 0,
    File = 1,
    Console = 2,
    Both = 3,
    Syslog = 4,
}

/// `[status]`
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub socket: PathBuf,
}

impl Config {
    /// The addresses to listen on, in the clear and under TLS.
    pub fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        let implicit = self.tls.implicit_port;
        let ports = [
            Some(self.nanoftpd.listen_port),
            (implicit != 0).then_some(implicit),
        ];
        let addresses = self.nanoftpd.listen_addr.iter();
        addresses.flat_map(move |address| {
            ports
                .into_iter()
                .flatten()
                .map(|port| SocketAddr::new(*address, port))
        })
    }
}
