//! What the kernel still holds of what was written to a socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::libc;

nix::ioctl_read_bad!(siocoutq, libc::TIOCOUTQ, libc::c_int);

/// How many bytes of a TCP socket's output its peer has not acknowledged; a FIN counts as one.
///
/// # Errors
/// What ioctl(2) says.
pub fn unacknowledged(socket: impl AsFd) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) writes one int to the address it is given,
    // which is that of a local int; the descriptor is open while it is borrowed.
    #[expect(unsafe_code, reason = "no safe interface to this ioctl exists")]
    unsafe { siocoutq(socket.as_fd().as_raw_fd(), &raw mut count) }?;
    Ok(usize::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn nothing_is_left_when_the_peer_has_all() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.write_all(b"x").unwrap();
        far.read_exact(&mut [0]).unwrap();
        while unacknowledged(&near).unwrap() > 0 {
            std::thread::yield_now();
        }
    }
}
