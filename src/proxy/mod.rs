//! The PROXY protocol, versions 1 and 2: what a trusted proxy says of the client in front of it,
//! before the client's first byte. Reads the header and not a byte more. Knows nothing of FTP.
#![forbid(unsafe_code)]

mod header;
#[cfg(any(test, fuzzing))]
pub(crate) mod trials;

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Instant;

use header::Progress;

use crate::vigil::{self, For};

/// Between whom the proxy mediates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// Where it connected to: the proxy, as the client sees it.
    pub destination: SocketAddr,
}

/// Takes the header off `stream`, which does not block; `None`: the proxy speaks for itself. Where it has to
/// be waited for, `waiting` is called.
///
/// # Errors
/// `TimedOut` at `deadline`, `InvalidData` where there is no such header, `UnexpectedEof`, what the
/// connection says; an interrupted wait ([`crate::vigil`]).
pub fn receive(
    mut stream: &TcpStream,
    deadline: Option<Instant>,
    waiting: impl FnOnce(),
) -> io::Result<Option<Ends>> {
    let mut waiting = Some(waiting);
    let mut header = Vec::with_capacity(header::LONGEST);
    loop {
        let missing = match header::read(&header) {
            Ok(Progress::Whole(ends)) => return Ok(ends),
            Ok(Progress::Missing(count)) => count,
            Err(header::Malformed) => {
                let why = "no PROXY header";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        };
        let at = header.len();
        header.resize(at + missing, 0);
        let taken = stream.read(header.get_mut(at..).unwrap_or_default());
        header.truncate(at + taken.as_ref().copied().unwrap_or(0));
        match taken {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Some(waiting) = waiting.take() {
                    waiting();
                }
                vigil::wait_until(&[(stream.as_fd(), For::Reading)], deadline)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let near = listener.accept().unwrap().0;
        near.set_nonblocking(true).unwrap();
        (near, far)
    }

    fn soon() -> Option<Instant> {
        Instant::now().checked_add(Duration::from_millis(50))
    }

    #[test]
    fn what_follows_the_header_is_left_for_the_next_reader() {
        let (mut near, mut far) = pair();
        far.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 21\r\nUSER x\r\n")
            .unwrap();
        let ends = receive(&near, soon(), || {}).unwrap().unwrap();
        assert_eq!(ends.source.to_string(), "192.0.2.1:1");
        let mut rest = [0; 64];
        let count = near.read(&mut rest).unwrap();
        assert_eq!(&rest[..count], b"USER x\r\n");
    }

    #[test]
    fn a_proxy_that_says_nothing_or_something_else_is_not_waited_for() {
        for (said, is_closed, expected) in [
            (&b""[..], false, io::ErrorKind::TimedOut),
            (b"PROXY TCP4", false, io::ErrorKind::TimedOut),
            (b"PROXY TCP4", true, io::ErrorKind::UnexpectedEof),
            (
                b"USER test\r\nPASS x\r\n",
                false,
                io::ErrorKind::InvalidData,
            ),
        ] {
            let (near, mut far) = pair();
            far.write_all(said).unwrap();
            let far = (!is_closed).then_some(far);
            let error = receive(&near, soon(), || {}).unwrap_err();
            assert_eq!(error.kind(), expected, "{said:?}");
            drop(far);
        }
    }
}
