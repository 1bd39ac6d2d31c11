//! Where the records of a connection end, which rustls does not tell: what ends within one was cut off, and
//! never ended by whoever sent it.
#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::net::TcpStream;

/// What comes before each record, in bytes; the last two are how long the record is.
const HEADER: usize = 5;

/// How far the record has come that comes.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Of its header.
    headed: usize,
    length: u16,
    /// What is missing behind that.
    left: usize,
}

impl Records {
    /// Whether some of it has come, and not all.
    pub(super) fn is_within(&self) -> bool {
        self.headed > 0 || self.left > 0
    }

    /// The bytes of `socket`, and nothing that it has to say of them.
    pub(super) fn of<'a>(&'a mut self, socket: &'a mut TcpStream) -> impl Read + 'a {
        Followed {
            records: self,
            socket,
        }
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                self.left -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            self.length = self.length << 8 | u16::from(*first);
            self.headed += 1;
            if self.headed == HEADER {
                (self.headed, self.left) = (0, usize::from(self.length));
            }
            bytes = rest;
        }
    }
}

struct Followed<'a> {
    records: &'a mut Records,
    socket: &'a mut TcpStream,
}

impl Read for Followed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(buffer)?;
        self.records.follow(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_known_wherever_it_is() {
        let record = |length: u16| {
            let header = [&[23, 3, 3][..], &length.to_be_bytes()].concat();
            [header, vec![255; usize::from(length)]].concat()
        };
        let lengths = [1, 0, 300, 16_400];
        let bytes = lengths.map(record).concat();
        let ends: Vec<usize> = lengths
            .iter()
            .scan(0, |end, length| {
                *end += HEADER + usize::from(*length);
                Some(*end)
            })
            .collect();
        for step in [1, 3, 1000, bytes.len()] {
            let mut records = Records::default();
            let mut came = 0;
            for piece in bytes.chunks(step) {
                records.follow(piece);
                came += piece.len();
                assert_eq!(records.is_within(), !ends.contains(&came), "{step} {came}");
            }
        }
    }
}
