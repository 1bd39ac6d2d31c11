//! One FTP session: commands, replies and data connections, from the greeting to the last byte.
//! Knows a [`Store`] and a [`Host`]; never which backend is behind the one, nor which process is
//! behind the other.
#![forbid(unsafe_code)]

mod address;
mod ascii;
mod control;
mod conversation;
mod data;
mod deflate;
mod digest;
mod error;
mod facts;
mod flow;
mod glob;
mod lines;
mod link;
mod list;
mod listing;
mod member;
mod ports;
mod progress;
mod protection;
mod reply;
mod seat;
mod session;
mod source;
mod telnet;
mod transfer;
#[cfg(any(test, fuzzing))]
pub(crate) mod trials;
mod verb;
mod visitor;
mod wire;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use crate::auth::Password;
use crate::config;
pub use crate::logger::Direction;
use crate::path::Path;
use crate::store::{Receipt, Store};
use crate::tls;

/// The process that a session runs in, as the session sees it.
pub trait Host {
    /// Right password: what the member may use. Takes the same time whoever it is.
    ///
    /// # Errors
    /// Why not, see [`Refusal`].
    fn log_in(&mut self, user: &[u8], password: &Password) -> Result<Box<dyn Store>, Refusal>;

    /// The same for who needs no password, having proved in another way who it is; `None`: there is
    /// no such user, or it does need one.
    ///
    /// # Errors
    /// As for [`Host::log_in`].
    fn recognize(&mut self, _user: &[u8]) -> Result<Option<Box<dyn Store>>, Refusal> {
        Ok(None)
    }

    /// Who has logged in is nobody in particular again, and still there.
    fn log_out(&mut self) {}

    /// The client goes: called before it is told that it may, since it may come again at once.
    fn part(&mut self) {}

    /// What the account that has logged in has for uid and gid: numbers as a rule, for the client
    /// to look at.
    fn numbers(&self) -> (&str, &str) {
        ("", "")
    }

    /// Called before a command is waited for ([`Doing::Idle`]) and at each command.
    fn doing(&mut self, what: Doing<'_>);

    /// The text of the 421 that ends the session after a bystander ended a wait.
    fn farewell(&self) -> String;

    /// What goes for the bytes of this session's data connections.
    fn traffic(&self) -> Rc<dyn Traffic> {
        Rc::new(flow::Free)
    }

    /// A connection to a port of the client that is under way, from the port for data beside
    /// `local`, to which the control connection came; `None` where that cannot be had.
    fn call(&self, _local: SocketAddr, _port: u16) -> Option<TcpStream> {
        None
    }

    /// One transfer of a file ended, well or not.
    fn transferred(&mut self, transfer: &Transfer<'_>);
}

/// The bytes of a session's data connections, while they move.
pub trait Traffic {
    /// Bytes a second that may come from the client, as of now; 0: any number.
    fn upload_rate(&self) -> u64;

    /// Bytes a second that may go to the client, as of now; 0: any number.
    fn download_rate(&self) -> u64;

    /// So many bytes went over the present data connection by now. Called for every piece of it.
    fn moved(&self, bytes: u64);
}

/// What a session is doing, for the process title and for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing<'a> {
    /// It waits for a command, and may be ended at once.
    Idle,
    /// It carries out a command; the argument of a secret one is masked, that of a transfer is the
    /// whole path. All are the client's text.
    Command { verb: &'a str, argument: &'a [u8] },
}

/// Why a login failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such user or another password; nobody learns which.
    WrongLogin,
    /// The same, and once too often: the session ends with this text.
    NoMoreLogins(String),
    /// The same, and nobody waits to be told: a bystander ended the wait.
    WrongUnheard,
    /// It is the right password, but there is no place: the session ends with this text.
    NotNow(String),
    /// It may be the right password, but the member's store cannot be had now; the cause is for the
    /// log.
    Unavailable(String),
    /// A bystander ended the wait ([`crate::vigil`]); the session ends.
    Interrupted,
}

/// One transfer of a file that ended.
#[derive(Clone, Debug)]
pub struct Transfer<'a> {
    /// Which way it went.
    pub direction: Direction,
    /// The name that the client gave to USER.
    pub user: &'a [u8],
    /// Where the client is.
    pub peer: IpAddr,
    /// The file, in the served tree.
    pub path: &'a Path,
    /// Bytes of the file that went over the data connection.
    pub bytes: u64,
    /// From the 150 to the end.
    pub took: Duration,
    /// Whether line ends were converted (TYPE A).
    pub ascii: bool,
    /// Whether the client got 226.
    pub complete: bool,
    /// What the store said of a complete upload.
    pub receipt: Option<Receipt>,
    /// Domain and key of an upload, where the store has them.
    pub spot: Option<(Vec<u8>, Vec<u8>)>,
}

/// What a session is told at its birth.
pub struct Settings<'a> {
    /// `[nanoftpd]`
    pub nanoftpd: &'a config::Nanoftpd,
    /// `[passive]`
    pub passive: &'a config::Passive,
    /// `[limits]`
    pub limits: &'a config::Limits,
    /// The zone of LIST times.
    pub zone: jiff::tz::TimeZone,
    /// `[passive] address`, resolved.
    pub announce: Option<IpAddr>,
    /// Names this session in the log.
    pub session: String,
    /// `None`: nobody stands between the client and us.
    pub proxied: Option<Proxied<'a>>,
    /// `None`: no TLS.
    pub security: Option<Security<'a>>,
}

impl<'a> Settings<'a> {
    /// The proxy, if data connections come through it.
    fn gateway(&self) -> Option<&Proxied<'a>> {
        let through = |proxied: &&Proxied<'_>| proxied.rules.data == config::ProxyData::Header;
        self.proxied.as_ref().filter(through)
    }
}

/// What a proxy said that a client came through.
pub struct Proxied<'a> {
    /// Where the client connected to.
    pub destination: SocketAddr,
    /// `[proxy]`
    pub rules: &'a config::Proxy,
}

/// What a session needs to know of TLS.
pub struct Security<'a> {
    /// Certificate and key.
    pub identity: &'a tls::Identity,
    /// `[tls]`
    pub rules: &'a config::Tls,
    /// Whether the connection begins with the handshake (`implicit_port`).
    pub is_implicit: bool,
}

/// What a login gives.
struct Account {
    user: Vec<u8>,
    store: Box<dyn Store>,
}

/// Serves one client until it leaves, is lost, or is sent away. Its connection is prepared
/// (`sys::sockets`), and does not block.
pub fn serve(control: TcpStream, peer: SocketAddr, settings: &Settings<'_>, host: &mut dyn Host) {
    conversation::serve(control, peer, settings, host);
}

#[cfg(test)]
mod tests;
