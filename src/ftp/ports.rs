//! Passive ports: one of a range, at random, so that nobody guesses the next; never one of the
//! kernel's choice, which a firewall does not know.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted: a stranger's must not keep the client's out.
const BACKLOG: i32 = 16;

/// Listens at `local`'s address on a free port of `low..=high`, which it also gives; without blocking.
///
/// # Errors
/// `AddrInUse` when no port of the range is free; otherwise what the kernel says.
pub(super) fn listen(local: SocketAddr, low: u16, high: u16) -> io::Result<(TcpListener, u16)> {
    let count = u32::from(high.saturating_sub(low)) + 1;
    let random = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    let start = u32::try_from(random % u64::from(count)).unwrap_or_default();
    let step = step(count, random >> 32);
    let mut at = start;
    for _ in 0..count {
        let port = u16::try_from(u32::from(low) + at).unwrap_or(high);
        match listen_on(with_port(local, port)) {
            Ok(listener) => return Ok((listener, port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
        at = (at + step) % count;
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// `address` with another port; an IPv6 scope stays.
pub(super) fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// How far to go from port to port, so that all of `count` are met in an order that another session
/// does not share.
fn step(count: u32, random: u64) -> u32 {
    let from = u32::try_from(random % u64::from(count)).unwrap_or_default();
    (from..count)
        .find(|step| greatest_common_divisor(*step, count) == 1)
        .unwrap_or(1)
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// With `SO_REUSEADDR`, or a port could not be used again for a minute after each transfer; two
/// listeners on one port the kernel still refuses, the second at `listen`.
fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_of_a_range_is_met_once() {
        for count in [1, 2, 3, 10, 97, 10_001] {
            for random in [0, 1, 7, 5_000, u64::MAX] {
                let step = step(count, random);
                assert_eq!(greatest_common_divisor(step, count), 1, "{step} of {count}");
            }
        }
    }

    #[test]
    fn a_range_that_is_taken_is_an_error_at_once() {
        let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let taken = TcpListener::bind(local).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen(local, port, port).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn ports_come_from_the_range() {
        let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (listener, port) = listen(local, 20_000, 29_999).unwrap();
        assert_eq!(listener.local_addr().unwrap().port(), port);
        assert!((20_000..30_000).contains(&port), "{port}");
    }
}
