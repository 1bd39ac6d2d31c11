//! Sockets on which clients come in, and those that take a port which not everybody may have.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{Shutdown, shutdown};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

/// How many clients may wait to be accepted; the kernel's own limit (`somaxconn`) may be lower.
const BACKLOG: i32 = 4096;

/// After so long without a word the kernel asks whether the client is there, which also keeps
/// address translators from forgetting it during a long transfer.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// Listens on `address`. An IPv6 address takes IPv6 only, so that `0.0.0.0` and `::` can both be
/// listened on. Accepting never blocks.
///
/// # Errors
/// What the kernel says: `AddrInUse`, `PermissionDenied`, `AddrNotAvailable`.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    prepare(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes in who has connected. The connection does not block.
///
/// # Errors
/// `WouldBlock` when nobody is there; `InvalidInput` where nobody listens any more.
pub fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let listening = listener.as_raw_fd();
    // SAFETY: the kernel writes an address of at most `length` bytes, and its length; the descriptor that
    // it returns is new.
    #[expect(unsafe_code, reason = "std would take one call more for each client")]
    let (socket, peer) = unsafe {
        SockAddr::try_init(|address, length| {
            let fd = Errno::result(libc::accept4(listening, address.cast(), length, flags))?;
            Ok(OwnedFd::from_raw_fd(fd))
        })?
    };
    let peer = peer.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok((socket.into(), peer))
}

/// For a client whose words are answered at once: what acknowledges the first of them, too, goes with the
/// answer.
pub fn converse(client: &TcpStream) {
    // It is good to have, no more.
    let _ = SockRef::from(client).set_tcp_quickack(false);
}

/// Begins a connection from `from`, whose port others may have too, to `to`. Whether it comes about
/// is seen when it can be written to.
///
/// # Errors
/// What the kernel says: `PermissionDenied`, `AddrInUse`, and `AddrNotAvailable` while the last
/// connection between the two is still remembered.
pub fn call(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = from_port(from)?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// Whether a connection could come from `from`.
///
/// # Errors
/// Why not.
pub fn may_call(from: SocketAddr) -> io::Result<()> {
    from_port(from).map(drop)
}

fn from_port(from: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(from);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&from.into())?;
    Ok(socket)
}

/// Ends the listening for every process that has this socket, not just for this one.
pub fn stop_listening(listener: &TcpListener) {
    // On Linux this takes a listening socket out of that state, whoever else holds it.
    let _ = shutdown(listener.as_raw_fd(), Shutdown::Read);
}

/// Prepares a control connection, or all that will come in by a listening socket, which pass it on to
/// those that are accepted: replies are not held back, urgent data are read where they stand, and a
/// peer that vanished is noticed in time.
///
/// # Errors
/// What the kernel says; the connection may be gone already.
pub fn prepare(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    socket.set_out_of_band_inline(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(Duration::from_secs(20))
        .with_retries(4);
    socket.set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn one_port_is_listened_on_once_a_family() {
        let first = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = first.local_addr().unwrap().port();
        let error = listen((Ipv4Addr::LOCALHOST, port).into()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        listen((Ipv6Addr::UNSPECIFIED, port).into()).unwrap();
        assert_eq!(
            first.accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn who_comes_in_is_prepared() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.out_of_band_inline().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
    }

    #[test]
    fn listening_ends_for_all_who_have_the_socket() {
        let first = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let copy = first.try_clone().unwrap();
        let address = copy.local_addr().unwrap();
        TcpStream::connect(address).unwrap();
        stop_listening(&first);
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(
            copy.accept().unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
