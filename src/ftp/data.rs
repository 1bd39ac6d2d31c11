//! How a data connection comes about: within a time-out, and only with the client. What is done with it is
//! the link's.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use log::warn;
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::ports;
use super::wire::Wire;
use crate::config::{self, SessionReuse, Truncation};
use crate::proxy;
use crate::sys::sockets;
use crate::tls;
use crate::vigil::{self, For};

/// How the next data connection is to be made.
#[derive(Debug)]
pub(super) enum Route {
    /// The client connects to us (PASV, EPSV).
    Passive(TcpListener),
    /// We connect to the client (PORT, EPRT); its address was checked.
    Active(SocketAddr),
    /// That is under way.
    Called(TcpStream),
    /// The client is there already.
    Met(TcpStream),
}

/// Who the two ends are, and how long each may take.
pub(super) struct Ends<'a> {
    /// The client's address, which is the only one that may connect.
    pub(super) peer: IpAddr,
    /// Our end of the control connection.
    pub(super) local: SocketAddr,
    /// Proxies through which, and only through which, the client may connect.
    pub(super) gateway: Option<&'a config::Proxy>,
    /// For the connection to be there, under TLS if it is to be.
    pub(super) connect: Duration,
    /// For the other end to take or to give some bytes.
    pub(super) stall: Duration,
    /// What TLS must do for it; `None`: it is in the clear.
    pub(super) protection: Option<Protection<'a>>,
    /// How hard it is packed (MODE Z); `None`: it is a plain stream.
    pub(super) level: Option<u8>,
    /// `peer=… session=…`
    pub(super) tag: &'a dyn std::fmt::Display,
}

/// TLS on a data connection.
pub(super) struct Protection<'a> {
    /// The control connection's, which it must resume if `reuse` says so.
    pub(super) session: &'a tls::Session,
    pub(super) reuse: SessionReuse,
    pub(super) truncation: Truncation,
}

/// Why a data connection did not come about under TLS: it did not resume the session.
#[derive(Debug)]
pub(super) struct Foreign;

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the TLS session of the control connection was not resumed")
    }
}

impl std::error::Error for Foreign {}

impl Protection<'_> {
    fn apply(&self, stream: TcpStream, ends: &Ends<'_>, left: Duration) -> io::Result<Wire> {
        let (mut stream, resumption) = self.session.accept_data(stream, left)?;
        match (resumption, self.reuse) {
            (tls::Resumption::Same, _) | (_, SessionReuse::Off) => {}
            (tls::Resumption::None, SessionReuse::Warn) => {
                warn!("data-not-resumed {}", ends.tag);
            }
            (tls::Resumption::None, SessionReuse::Require) => {
                return Err(io::Error::other(Foreign));
            }
        }
        stream.set_limit(ends.stall);
        Ok(Wire::Secure(Box::new(stream)))
    }
}

impl Route {
    /// The same, with the client if it has connected already: nothing is waited for.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn meet(self, ends: &Ends<'_>) -> io::Result<Self> {
        match self {
            Self::Passive(listener) if ends.gateway.is_none() => match sockets::accept(&listener) {
                Ok((stream, from)) if from.ip().to_canonical() == ends.peer => {
                    Ok(Self::Met(stream))
                }
                Ok((_, from)) => {
                    warn_of_stranger(from.ip().to_canonical(), ends);
                    Ok(Self::Passive(listener))
                }
                Err(error) if is_passing(&error) => Ok(Self::Passive(listener)),
                Err(error) => Err(error),
            },
            route => Ok(route),
        }
    }

    /// Whether nothing more has to be waited for.
    pub(super) fn is_met(&self) -> bool {
        matches!(self, Self::Met(_))
    }

    /// Makes the connection; the listener is closed, whatever comes of it.
    ///
    /// # Errors
    /// `TimedOut`, what ended the wait, or what the kernel says.
    pub(super) fn open(self, ends: &Ends<'_>) -> io::Result<Wire> {
        let begun = Instant::now();
        let stream = match self.meet(ends)? {
            Self::Met(stream) => stream,
            Self::Passive(listener) => accept(&listener, ends)?,
            Self::Active(address) => connect(address, ends)?,
            Self::Called(stream) => connected(stream, ends)?,
        };
        match &ends.protection {
            None => Ok(Wire::Plain(stream)),
            Some(protection) => {
                stream.set_nodelay(true)?;
                let left = ends.connect.saturating_sub(begun.elapsed());
                protection.apply(stream, ends, left)
            }
        }
    }
}

/// Accepts until the client itself is there: a stranger who was quicker is dropped and keeps nobody
/// out (RFC 2577 §2).
fn accept(listener: &TcpListener, ends: &Ends<'_>) -> io::Result<TcpStream> {
    let deadline = Instant::now().checked_add(ends.connect);
    let mut is_known = false;
    loop {
        vigil::wait_until(&[(listener.as_fd(), For::Reading)], deadline)?;
        match sockets::accept(listener) {
            Ok((stream, from)) => {
                let from = from.ip().to_canonical();
                if who(&stream, from, ends)? == Some(ends.peer) {
                    return Ok(stream);
                }
                if !std::mem::replace(&mut is_known, true) {
                    warn_of_stranger(from, ends);
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

fn warn_of_stranger(from: IpAddr, ends: &Ends<'_>) {
    warn!("data-stranger {} from={from}", ends.tag);
}

/// Who has connected: `from`, or whoever the proxy says that it is; the client itself does not come
/// another way than through the proxy.
fn who(stream: &TcpStream, from: IpAddr, ends: &Ends<'_>) -> io::Result<Option<IpAddr>> {
    /// For a header, which a proxy sends at once.
    const PATIENCE: Duration = Duration::from_secs(5);
    match ends.gateway {
        None => Ok(Some(from)),
        Some(gateway) if !gateway.is_trusted(from) => Ok(None),
        Some(_) => {
            let deadline = Instant::now().checked_add(PATIENCE.min(ends.connect));
            match proxy::receive(stream, deadline, || {}) {
                Ok(said) => Ok(said.map(|ends| ends.source.ip().to_canonical())),
                Err(error) if vigil::was_interrupted(&error) => Err(error),
                Err(_) => Ok(None),
            }
        }
    }
}

/// Errors of accept(2) that are the connection's, not the listener's.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// Connects from the address that the client knows us by.
fn connect(address: SocketAddr, ends: &Ends<'_>) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.bind(&ports::with_port(ends.local, 0).into())?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
        _ => connected(socket.into(), ends),
    }
}

/// Waits for a connection that is under way.
fn connected(stream: TcpStream, ends: &Ends<'_>) -> io::Result<TcpStream> {
    vigil::wait(stream.as_fd(), For::Writing, Some(ends.connect))?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}
