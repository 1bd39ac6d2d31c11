//! What a node says before it has been sent everything: that it goes on (RFC 9110 §15.2), which is no
//! answer, or its answer, after which it wants no more.
#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::net::TcpStream;

/// As much of a line has a status in it, in bytes.
const STATUS: usize = 12;

/// No head that says that it goes on is longer, in bytes.
const LONGEST: usize = 4096;

/// What has come so far of an answer that is none yet.
#[derive(Default)]
pub(super) struct Early(Vec<u8>);

impl Early {
    /// Takes what is there, when it is known that there is something.
    ///
    /// # Errors
    /// `StatusCode` of an answer; what the connection says, which may have ended.
    pub(super) fn hear(&mut self, mut stream: &TcpStream) -> Result<(), ureq::Error> {
        let mut block = [0; 1024];
        match stream.read(&mut block)? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            read => {
                let said = block.get(..read).unwrap_or_default();
                self.0.extend_from_slice(said);
                self.judge()
            }
        }
    }

    /// Takes what is there of a connection that has ended, and says why it has. What a node says
    /// before it leaves is read before the reset that follows makes it unreadable.
    pub(super) fn hear_the_last(&mut self, stream: &TcpStream) -> ureq::Error {
        loop {
            if let Err(error) = self.hear(stream) {
                return error;
            }
        }
    }

    /// What was heard and is for whoever hears the answer.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    fn judge(&mut self) -> Result<(), ureq::Error> {
        while self.0.len() >= STATUS {
            match (status(&self.0), end(&self.0)) {
                (Some(100 | 102..200), Some(end)) => drop(self.0.drain(..end)),
                (Some(100 | 102..200), None) if self.0.len() < LONGEST => break,
                (Some(status), _) => return Err(ureq::Error::StatusCode(status)),
                (None, _) => return Err(io::Error::from(io::ErrorKind::InvalidData).into()),
            }
        }
        Ok(())
    }
}

/// Where the first head ends.
fn end(heads: &[u8]) -> Option<usize> {
    let at = heads.windows(4).position(|four| four == b"\r\n\r\n")?;
    at.checked_add(4)
}

/// The status of `HTTP/1.x NNN …`.
pub(super) fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(rest).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_the_first_line() {
        for (line, expected) in [
            (&b"HTTP/1.0 404 Not Found\r\n"[..], Some(404)),
            (b"HTTP/1.1 201", Some(201)),
            (b"HTTP/1.1 20", None),
            (b"HTTP/1.0 ab1 \r\n", None),
            (b"junk", None),
            (b"", None),
        ] {
            assert_eq!(status(line), expected);
        }
    }

    /// What was judged at the end, and what is left for who hears the answer.
    fn judged(said: &[u8], step: usize) -> (Result<(), String>, Vec<u8>) {
        let mut early = Early::default();
        for piece in said.chunks(step) {
            early.0.extend_from_slice(piece);
            if let Err(error) = early.judge() {
                return (Err(error.to_string()), early.take());
            }
        }
        (Ok(()), early.take())
    }

    #[test]
    fn that_it_goes_on_is_no_answer_and_everything_else_is_one() {
        let long = [b"HTTP/1.1 100 Continue\r\nX: ", &[b'x'; LONGEST][..]].concat();
        for (said, left) in [
            (&b""[..], &b""[..]),
            (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
            (
                b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
                b"",
            ),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 20", b"HTTP/1.0 20"),
            (b"HTTP/1.1 100 Continue\r\nX", b"HTTP/1.1 100 Continue\r\nX"),
        ] {
            for step in [1, 7, 1000] {
                assert_eq!(judged(said, step), (Ok(()), left.to_vec()));
            }
        }
        for said in [
            &b"HTTP/1.1 200 OK\r\n\r\n"[..],
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            b"220 ftp.example.org",
            &long,
        ] {
            for step in [1, 7, 1000] {
                assert!(judged(said, step).0.is_err());
            }
        }
    }
}
