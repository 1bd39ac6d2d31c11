//! Whether somebody who did not answer does again. For the process that may wait for the dead, so
//! that no session has to. Knows nothing of who is told.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::dial::dial;
use super::tracker;
use crate::config;
use crate::vigil::{self, For};

/// Who is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Tracker(SocketAddr),
    Node(SocketAddr),
}

impl Peer {
    #[must_use]
    pub fn address(self) -> SocketAddr {
        let (Self::Tracker(address) | Self::Node(address)) = self;
        address
    }

    /// Asks it something that costs it nothing.
    ///
    /// # Errors
    /// It does not answer, or not as its kind does.
    pub fn probe(self, settings: &config::Mogilefs) -> io::Result<()> {
        let (connect, limit) = (settings.timeout, settings.request_timeout);
        match self {
            Self::Tracker(address) => tracker::noop(address, connect, limit),
            Self::Node(address) => head(address, connect, limit),
        }
    }
}

/// Whatever status it is, a node that gives one is alive.
fn head(address: SocketAddr, connect: Duration, limit: Duration) -> io::Result<()> {
    const BEGINNING: &[u8] = b"HTTP/";
    let deadline = Instant::now().checked_add(connect.saturating_add(limit));
    let mut stream = dial(address, connect)?;
    stream.write_all(format!("HEAD / HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = [0; BEGINNING.len()];
    let mut got = 0;
    while got < answer.len() {
        vigil::wait_until(&[(stream.as_fd(), For::Reading)], deadline)?;
        match stream.read(answer.get_mut(got..).unwrap_or_default()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => got += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    if answer == BEGINNING {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Somebody who says `answer` to whatever comes first, and hangs up.
    fn who_says(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 500]);
            for byte in answer {
                stream.write_all(&[*byte]).unwrap();
            }
        });
        address
    }

    fn tried(peer: Peer) -> Result<(), io::ErrorKind> {
        let mut settings = config::Config::default().mogilefs;
        settings.request_timeout = Duration::from_secs(10);
        peer.probe(&settings).map_err(|error| error.kind())
    }

    #[test]
    fn who_answers_as_its_kind_does_is_alive() {
        let page = b"HTTP/1.0 404 Not Found\r\n\r\n";
        assert_eq!(tried(Peer::Node(who_says(page))), Ok(()));
        assert_eq!(tried(Peer::Tracker(who_says(b"OK \r\n"))), Ok(()));
        assert_eq!(
            tried(Peer::Tracker(who_says(b"ERR unknown_command x\r\n"))),
            Ok(())
        );
    }

    #[test]
    fn who_says_nothing_or_something_else_is_not() {
        for answer in [&b""[..], b"HT", b"220 ftp.example FTP server ready\r\n"] {
            tried(Peer::Node(who_says(answer))).unwrap_err();
            tried(Peer::Tracker(who_says(answer))).unwrap_err();
        }
        let nobody = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        for peer in [Peer::Node(nobody), Peer::Tracker(nobody)] {
            assert_eq!(tried(peer), Err(io::ErrorKind::ConnectionRefused));
        }
    }
}
