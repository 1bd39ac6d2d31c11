//! Headers of the PROXY protocol: whoever connects first may send anything at all.

use std::net::IpAddr;

use super::Ends;
use super::header::{self, LONGEST, Progress};
use crate::draw::Draw;

/// `data`: how it is meant, and a connection's first bytes.
pub(crate) fn proxy(data: &[u8]) {
    let mut draw = Draw(data);
    if draw.byte() % 4 == 0 {
        let ends = Ends {
            source: draw.address(),
            destination: draw.address(),
        };
        return survives(&ends);
    }
    let said = draw.0;
    let mut at = 0;
    // As the one who receives it: just what is missing, and no more.
    while let Some(bytes) = said.get(..at) {
        match header::read(bytes) {
            Ok(Progress::Missing(count)) => {
                assert!(count > 0 && at + count <= LONGEST, "{at} {count}");
                at += count;
            }
            Ok(Progress::Whole(None)) | Err(header::Malformed) => return,
            Ok(Progress::Whole(Some(ends))) => return survives(&ends),
        }
    }
}

/// Both versions can say it, and say the same, if both addresses are of one family.
fn survives(ends: &Ends) {
    let (source, destination) = (ends.source, ends.destination);
    if source.is_ipv4() != destination.is_ipv4() {
        return;
    }
    let family = if source.is_ipv4() { 4 } else { 6 };
    let line = format!(
        "PROXY TCP{family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    );
    let mut addresses = Vec::new();
    for address in [source.ip(), destination.ip()] {
        match address {
            IpAddr::V4(address) => addresses.extend(address.octets()),
            IpAddr::V6(address) => addresses.extend(address.octets()),
        }
    }
    addresses.extend(source.port().to_be_bytes());
    addresses.extend(destination.port().to_be_bytes());
    let mut packet = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    packet.push(if family == 4 { 0x11 } else { 0x21 });
    packet.extend(u16::try_from(addresses.len()).unwrap_or(0).to_be_bytes());
    packet.extend(&addresses);
    for header in [line.as_bytes(), &packet] {
        assert_eq!(header::read(header), Ok(Progress::Whole(Some(*ends))));
        // No part of a header is one: what follows would be taken for the client's words.
        for length in 0..header.len() {
            let part = header.get(..length).unwrap_or_default();
            assert!(matches!(header::read(part), Ok(Progress::Missing(1..))));
        }
    }
}
