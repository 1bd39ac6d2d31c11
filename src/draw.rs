//! Values drawn from the bytes of a trial, so that a change of a byte is a small change of the
//! values. What is drawn when nothing is left is zero or empty: every input means something.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What has not been drawn yet.
pub struct Draw<'d>(pub &'d [u8]);

impl<'d> Draw<'d> {
    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    /// A number of any size.
    pub fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// At most as many bytes as one byte can count.
    pub fn bytes(&mut self) -> &'d [u8] {
        let count = usize::from(self.byte()).min(self.0.len());
        let (drawn, rest) = self.0.split_at(count);
        self.0 = rest;
        drawn
    }

    /// The same as text.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// An address and a port.
    pub fn address(&mut self) -> SocketAddr {
        let ip = match self.byte() % 2 {
            0 => IpAddr::from(Ipv4Addr::from(self.array::<4>())),
            _ => IpAddr::from(Ipv6Addr::from(self.array::<16>())),
        };
        SocketAddr::new(ip, u16::from_le_bytes(self.array()))
    }

    /// The pieces in which `bytes` come: as long as the bytes that are drawn say, in turn.
    pub fn pieces<'b>(&mut self, mut bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let lengths = [self.byte(), self.byte(), self.byte()];
        let mut pieces = Vec::new();
        for length in lengths.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            // Long ones in longer pieces, or it would take long.
            let length = usize::from(*length) + 1 + bytes.len() / 64;
            let (piece, rest) = bytes.split_at(bytes.len().min(length));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let count = N.min(self.0.len());
        let (drawn, rest) = self.0.split_at(count);
        for (to, from) in array.iter_mut().zip(drawn) {
            *to = *from;
        }
        self.0 = rest;
        array
    }
}
