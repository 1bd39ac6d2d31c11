//! Numbers, and the arguments of PORT (RFC 959), EPRT and EPSV (RFC 2428), read strictly: digits
//! only, no names, nothing behind them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why an EPRT or EPSV cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// 501.
    Syntax,
    /// 522: a network protocol that there is not.
    Protocol,
}

/// What EPSV asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// A port, whatever the protocol.
    Any,
    /// A port for IPv4 (1) or IPv6 (2).
    V4,
    V6,
    /// From now on nothing but EPSV.
    All,
}

/// `h1,h2,h3,h4,p1,p2`
pub(super) fn port(argument: &[u8]) -> Option<SocketAddr> {
    let mut numbers = [0_u8; 6];
    let mut parts = argument.split(|&byte| byte == b',');
    for number in &mut numbers {
        *number = decimal(parts.next()?.trim_ascii())?;
    }
    if parts.next().is_some() {
        return None;
    }
    let [a, b, c, d, high, low] = numbers;
    Some(SocketAddr::new(
        Ipv4Addr::new(a, b, c, d).into(),
        u16::from_be_bytes([high, low]),
    ))
}

/// `|1|132.235.1.2|6275|`, with any delimiter.
pub(super) fn eprt(argument: &[u8]) -> Result<SocketAddr, Mistake> {
    let argument = argument.trim_ascii();
    let (&delimiter, _) = argument.split_first().ok_or(Mistake::Syntax)?;
    if !(33..=126).contains(&delimiter) || delimiter.is_ascii_alphanumeric() {
        return Err(Mistake::Syntax);
    }
    let parts: Vec<&[u8]> = argument.split(|&byte| byte == delimiter).collect();
    let [b"", protocol, address, port, b""] = parts.as_slice() else {
        return Err(Mistake::Syntax);
    };
    let protocol: u16 = decimal(protocol).ok_or(Mistake::Syntax)?;
    let address = std::str::from_utf8(address).map_err(|_| Mistake::Syntax)?;
    let address: IpAddr = match protocol {
        1 => address.parse::<Ipv4Addr>().map(IpAddr::from),
        2 => address.parse::<Ipv6Addr>().map(IpAddr::from),
        _ => return Err(Mistake::Protocol),
    }
    .map_err(|_| Mistake::Syntax)?;
    let port = decimal(port).ok_or(Mistake::Syntax)?;
    Ok(SocketAddr::new(address, port))
}

/// Nothing, `1`, `2` or `ALL`.
pub(super) fn epsv(argument: &[u8]) -> Result<Wish, Mistake> {
    let argument = argument.trim_ascii();
    if argument.eq_ignore_ascii_case(b"ALL") {
        return Ok(Wish::All);
    }
    match (argument, decimal::<u16>(argument)) {
        (b"", _) => Ok(Wish::Any),
        (_, Some(1)) => Ok(Wish::V4),
        (_, Some(2)) => Ok(Wish::V6),
        (_, Some(_)) => Err(Mistake::Protocol),
        (_, None) => Err(Mistake::Syntax),
    }
}

/// Digits and nothing else.
pub(super) fn decimal<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Octal digits and nothing else.
pub(super) fn octal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_takes_six_numbers() {
        for (argument, expected) in [
            ("127,0,0,1,154,254", Some("127.0.0.1:39678")),
            ("127,0,0,1,0,0", Some("127.0.0.1:0")),
            (" 127, 0,0,1,4,1 ", Some("127.0.0.1:1025")),
            ("127,0,0,1,300,5", None),
            ("127,0,0,1,4", None),
            ("127,0,0,1,4,1,1", None),
            ("127,0,0,1,4,", None),
            ("127,0,0,-1,4,1", None),
            ("127,0,0,+1,4,1", None),
            ("localhost,4,1", None),
            ("", None),
        ] {
            let found = port(argument.as_bytes()).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{argument}");
        }
    }

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        for (digits, decimals, octals) in [
            (&b"644"[..], Some(644), Some(0o644)),
            (b"0644", Some(644), Some(0o644)),
            (b"8", Some(8), None),
            (b"", None, None),
            (b"+1", None, None),
            (b"-1", None, None),
            (b" 1", None, None),
            (b"99999999999", None, None),
            (b"77777777777777", None, None),
        ] {
            assert_eq!(decimal::<u32>(digits), decimals, "{digits:?}");
            assert_eq!(octal(digits), octals, "{digits:?}");
        }
    }

    #[test]
    fn eprt_takes_both_families_and_any_delimiter() {
        for (argument, expected) in [
            ("|1|132.235.1.2|6275|", Ok("132.235.1.2:6275")),
            (
                "|2|1080::8:800:200C:417A|5282|",
                Ok("[1080::8:800:200c:417a]:5282"),
            ),
            ("!1!127.0.0.1!1025!", Ok("127.0.0.1:1025")),
            ("|3|127.0.0.1|1025|", Err(Mistake::Protocol)),
            ("|1|::1|1025|", Err(Mistake::Syntax)),
            ("|2|127.0.0.1|1025|", Err(Mistake::Syntax)),
            ("|1|localhost|1025|", Err(Mistake::Syntax)),
            ("|1|127.0.0.1|65536|", Err(Mistake::Syntax)),
            ("|1|127.0.0.1|1025", Err(Mistake::Syntax)),
            ("|1|127.0.0.1|1025|x", Err(Mistake::Syntax)),
            ("||127.0.0.1|1025|", Err(Mistake::Syntax)),
            ("11127.0.0.1110251", Err(Mistake::Syntax)),
            ("", Err(Mistake::Syntax)),
        ] {
            let found = eprt(argument.as_bytes()).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{argument}");
        }
    }

    #[test]
    fn epsv_takes_a_protocol_or_all() {
        for (argument, expected) in [
            ("", Ok(Wish::Any)),
            ("1", Ok(Wish::V4)),
            ("2", Ok(Wish::V6)),
            ("all", Ok(Wish::All)),
            ("3", Err(Mistake::Protocol)),
            ("x", Err(Mistake::Syntax)),
            ("1 2", Err(Mistake::Syntax)),
        ] {
            assert_eq!(epsv(argument.as_bytes()), expected, "{argument}");
        }
    }
}
