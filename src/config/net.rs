//! Addresses, hosts and networks, and the forms in which they are written.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv6Addr};

use super::form::{Form, digits};

/// A host as it is written: `name`, `name:port`, `10.0.0.1:7001`, `[::1]:7001`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    pub name: String,
    pub port: Option<u16>,
}

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    pub bits: u8,
}

impl Network {
    /// Whether `peer` is in this network; an IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        let shared = |width: u8, own: u128, other: u128| {
            let shift = u32::from(width.saturating_sub(self.bits));
            own.checked_shr(shift) == other.checked_shr(shift)
        };
        match (self.address.to_canonical(), peer.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(peer)) => {
                shared(32, u128::from(own.to_bits()), u128::from(peer.to_bits()))
            }
            (IpAddr::V6(own), IpAddr::V6(peer)) => shared(128, own.to_bits(), peer.to_bits()),
            _ => false,
        }
    }
}

/// An IP address, IPv6 with or without brackets.
pub(super) struct Address;

impl Form<IpAddr> for Address {
    fn read(&self, text: &str) -> Option<IpAddr> {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        match bare {
            Some(bare) => bare.parse().ok().map(IpAddr::V6),
            None => text.parse().ok(),
        }
    }

    fn show(&self, value: &IpAddr) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        "an IP address such as 0.0.0.0 or ::".to_owned()
    }
}

/// A host with or without a port.
pub(super) struct HostPort;

impl Form<Host> for HostPort {
    fn read(&self, text: &str) -> Option<Host> {
        let with = |name: &str, port: Option<u16>| {
            Some(Host {
                name: name.to_owned(),
                port,
            })
        };
        if text.parse::<Ipv6Addr>().is_ok() {
            return with(text, None);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (name, after) = rest.split_once(']')?;
            name.parse::<Ipv6Addr>().ok()?;
            return match after {
                "" => with(name, None),
                _ => with(name, Some(port(after.strip_prefix(':')?)?)),
            };
        }
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, Some(port(number)?)),
            None => (text, None),
        };
        is_host(name).then(|| with(name, number))?
    }

    fn show(&self, value: &Host) -> String {
        match (value.name.contains(':'), value.port) {
            (true, Some(port)) => format!("[{}]:{port}", value.name),
            (false, Some(port)) => format!("{}:{port}", value.name),
            (_, None) => value.name.clone(),
        }
    }

    fn allowed(&self) -> String {
        "a host such as name, name:7001, 10.0.0.1:7001 or [::1]:7001".to_owned()
    }
}

/// A network; a bare address is a network of one.
pub(super) struct Net;

impl Form<Network> for Net {
    fn read(&self, text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(u8::try_from(digits(bits)?).ok()?)),
            None => (text, None),
        };
        let address: IpAddr = Address.read(address)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(())?;
        // A peer is compared as IPv4 where it can be: so is the network.
        match address.to_canonical() {
            IpAddr::V4(v4) if address.is_ipv6() => Some(Network {
                address: v4.into(),
                bits: bits.checked_sub(96)?,
            }),
            address => Some(Network { address, bits }),
        }
    }

    fn show(&self, value: &Network) -> String {
        format!("{}/{}", value.address, value.bits)
    }

    fn allowed(&self) -> String {
        "a network such as 10.0.0.0/8 or 2001:db8::/32".to_owned()
    }
}

/// Whether `name` may be asked of a name server, or is an IPv4 address.
pub(super) fn is_host(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && name.len() <= 253 && name.chars().all(legal)
}

fn port(text: &str) -> Option<u16> {
    u16::try_from(digits(text)?).ok().filter(|port| *port != 0)
}
