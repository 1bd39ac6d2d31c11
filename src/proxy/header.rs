//! The bytes of a header: pure, so that every odd one can be tried.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Ends;

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
const HEAD: usize = 16;

/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;

/// The longest header that is read: what may follow the addresses of version 2 is skipped.
pub(super) const LONGEST: usize = HEAD + 2048;

/// How far a header is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// At least so many bytes are still to come.
    Missing(usize),
    /// It is whole; `None`: it is about nobody.
    Whole(Option<Ends>),
}

/// It is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads what is there of a header. Whoever brings the bytes that are missing, and no more, never
/// reads past its end.
pub(super) fn read(bytes: &[u8]) -> Result<Progress, Malformed> {
    let Some(beginning) = bytes.get(..SIGNATURE.len()) else {
        return Ok(Progress::Missing(SIGNATURE.len() - bytes.len()));
    };
    if beginning == SIGNATURE {
        return binary(bytes);
    }
    match bytes.strip_suffix(b"\r\n") {
        Some(line) => text(line).map(Progress::Whole),
        None if !bytes.starts_with(b"PROXY ") || bytes.len() >= LONGEST_LINE => Err(Malformed),
        None => Ok(Progress::Missing(1)),
    }
}

/// `PROXY TCP4 source destination port port`
fn text(line: &[u8]) -> Result<Option<Ends>, Malformed> {
    let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
    let words: Vec<&str> = line.split(' ').collect();
    let (source, destination, ports) = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => return Ok(None),
        ["PROXY", "TCP4", source, destination, ports @ ..] => (
            source.parse::<Ipv4Addr>().map(IpAddr::from),
            destination.parse::<Ipv4Addr>().map(IpAddr::from),
            ports,
        ),
        ["PROXY", "TCP6", source, destination, ports @ ..] => (
            source.parse::<Ipv6Addr>().map(IpAddr::from),
            destination.parse::<Ipv6Addr>().map(IpAddr::from),
            ports,
        ),
        _ => return Err(Malformed),
    };
    let (Ok(source), Ok(destination), [from, to]) = (source, destination, ports) else {
        return Err(Malformed);
    };
    Ok(Some(Ends {
        source: SocketAddr::new(source, port(from)?),
        destination: SocketAddr::new(destination, port(to)?),
    }))
}

fn port(digits: &str) -> Result<u16, Malformed> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().map_err(|_| Malformed)?;
    is_plain.then_some(port).ok_or(Malformed)
}

fn binary(bytes: &[u8]) -> Result<Progress, Malformed> {
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else {
        return Ok(Progress::Missing(HEAD - bytes.len()));
    };
    let [.., command, family, high, low] = head else {
        return Err(Malformed);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if HEAD + length > LONGEST {
        return Err(Malformed);
    }
    if rest.len() < length {
        return Ok(Progress::Missing(length - rest.len()));
    }
    let ends = match (command, family) {
        // LOCAL: a proxy that looks whether we are alive.
        (0x20, _) => None,
        (0x21, 0x11) => Some(ends::<4, Ipv4Addr>(rest)?),
        (0x21, 0x21) => Some(ends::<16, Ipv6Addr>(rest)?),
        // UNSPEC, UDP and the like.
        (0x21, _) => None,
        _ => return Err(Malformed),
    };
    Ok(Progress::Whole(ends))
}

/// Two addresses of `N` bytes, and two ports.
fn ends<const N: usize, A: From<[u8; N]> + Into<IpAddr>>(bytes: &[u8]) -> Result<Ends, Malformed> {
    let (source, rest) = bytes.split_first_chunk::<N>().ok_or(Malformed)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(Malformed)?;
    let (from, rest) = rest.split_first_chunk::<2>().ok_or(Malformed)?;
    let (to, _) = rest.split_first_chunk::<2>().ok_or(Malformed)?;
    let socket = |address: &[u8; N], port: &[u8; 2]| {
        SocketAddr::new(A::from(*address).into(), u16::from_be_bytes(*port))
    };
    Ok(Ends {
        source: socket(source, from),
        destination: socket(destination, to),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as whoever brings just what is missing does.
    fn whole(bytes: &[u8]) -> Result<(Option<String>, usize), Option<Malformed>> {
        let mut at = 0;
        loop {
            match read(&bytes[..at]) {
                Ok(Progress::Missing(count)) => at += count,
                Ok(Progress::Whole(ends)) => {
                    let shown = ends.map(|ends| format!("{} {}", ends.source, ends.destination));
                    return Ok((shown, at));
                }
                Err(malformed) => return Err(Some(malformed)),
            }
            if at > bytes.len() {
                return Err(None);
            }
        }
    }

    #[test]
    fn lines_of_version_1() {
        for (line, expected) in [
            (
                "PROXY TCP4 192.0.2.1 198.51.100.1 50000 21\r\n",
                Ok(Some("192.0.2.1:50000 198.51.100.1:21")),
            ),
            (
                "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n",
                Ok(Some("[2001:db8::1]:1 [2001:db8::2]:65535")),
            ),
            ("PROXY UNKNOWN\r\n", Ok(None)),
            ("PROXY UNKNOWN ffff:: whatever 1\r\n", Ok(None)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 50000\r\n", Err(true)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n", Err(true)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n", Err(true)),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n", Err(true)),
            ("PROXY TCP4 host.example 198.51.100.1 1 2\r\n", Err(true)),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", Err(true)),
            ("PROXY  TCP4 192.0.2.1 192.0.2.1 1 2\r\n", Err(true)),
            ("PROXY UDP4 192.0.2.1 192.0.2.1 1 2\r\n", Err(true)),
            ("proxy TCP4 192.0.2.1 192.0.2.1 1 2\r\n", Err(true)),
            ("USER test\r\nPASS test\r\n", Err(true)),
            ("PROXY TCP4 192.0.2.1", Err(false)),
            ("", Err(false)),
        ] {
            let found = whole(line.as_bytes());
            match expected {
                Ok(shown) => {
                    let expected = (shown.map(str::to_owned), line.len());
                    assert_eq!(found, Ok(expected), "{line}");
                }
                Err(is_malformed) => {
                    assert_eq!(found.unwrap_err().is_some(), is_malformed, "{line}");
                }
            }
        }
        let endless = format!("PROXY TCP4 {}", "1".repeat(200));
        assert_eq!(whole(endless.as_bytes()), Err(Some(Malformed)));
    }

    fn packet(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
        let head = [command, family];
        [&SIGNATURE[..], &head, &length.to_be_bytes(), rest].concat()
    }

    #[test]
    fn packets_of_version_2() {
        let four = [192, 0, 2, 1, 198, 51, 100, 1, 0xc3, 0x50, 0, 21];
        let mut six = [0; 36];
        (six[15], six[31], six[33], six[35]) = (1, 2, 3, 4);
        let extra = [&four[..], &[4, 0, 1, 0]].concat();
        let shown = Some("192.0.2.1:50000 198.51.100.1:21");
        for (bytes, expected) in [
            (packet(0x21, 0x11, 12, &four), Ok(shown)),
            (packet(0x21, 0x11, 16, &extra), Ok(shown)),
            (packet(0x21, 0x21, 36, &six), Ok(Some("[::1]:3 [::2]:4"))),
            (packet(0x20, 0x00, 0, b""), Ok(None)),
            (packet(0x20, 0x11, 12, &four), Ok(None)),
            (packet(0x21, 0x31, 4, b"unix"), Ok(None)),
            (packet(0x21, 0x00, 0, b""), Ok(None)),
            (packet(0x21, 0x11, 8, &four[..8]), Err(true)),
            (packet(0x22, 0x11, 12, &four), Err(true)),
            (packet(0x11, 0x11, 12, &four), Err(true)),
            (packet(0x21, 0x11, 0xffff, &four), Err(true)),
            (packet(0x21, 0x11, 12, &four[..11]), Err(false)),
            (packet(0x21, 0x11, 12, b"")[..14].to_vec(), Err(false)),
        ] {
            let found = whole(&bytes);
            match expected {
                Ok(shown) => {
                    let expected = (shown.map(str::to_owned), bytes.len());
                    assert_eq!(found, Ok(expected), "{bytes:?}");
                }
                Err(is_malformed) => {
                    assert_eq!(found.unwrap_err().is_some(), is_malformed, "{bytes:?}");
                }
            }
        }
    }
}
