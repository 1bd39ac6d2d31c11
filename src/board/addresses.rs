//! Where the hosts of the configuration are. Numbers are known at once; names when the clerk has
//! found them, and then for good: an answer that fails later does not make them unknown.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::config::{Mogilefs, Passive};

/// The trackers and the address that PASV announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    trackers: Vec<(String, u16)>,
    passive: Option<String>,
    known: BTreeMap<String, Vec<IpAddr>>,
}

impl Addresses {
    /// Of this configuration.
    #[must_use]
    pub fn new(mogilefs: &Mogilefs, passive: &Passive) -> Self {
        let trackers = mogilefs.tracker.iter();
        Self {
            trackers: trackers
                .map(|host| (host.name.clone(), host.port.unwrap_or(mogilefs.port)))
                .collect(),
            passive: passive.address.clone(),
            known: BTreeMap::new(),
        }
    }

    /// Of a new configuration: names that were in the old one are still known.
    #[must_use]
    pub fn renewed(&self, mogilefs: &Mogilefs, passive: &Passive) -> Self {
        Self {
            known: self.known.clone(),
            ..Self::new(mogilefs, passive)
        }
    }

    /// What a clerk has to find, each once.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let trackers = self.trackers.iter().map(|(name, _)| name);
        let mut names: Vec<String> = trackers
            .chain(&self.passive)
            .filter(|name| name.parse::<IpAddr>().is_err())
            .cloned()
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// A name was found; whether that is news.
    pub fn learn(&mut self, name: &str, mut found: Vec<IpAddr>) -> bool {
        found.sort_unstable();
        found.dedup();
        let is_asked = self.names().iter().any(|asked| asked == name);
        if !is_asked || found.is_empty() || self.known.get(name) == Some(&found) {
            return false;
        }
        self.known.insert(name.to_owned(), found);
        true
    }

    /// What was found so far.
    pub fn known(&self) -> impl Iterator<Item = (&str, &[IpAddr])> {
        self.known
            .iter()
            .map(|(name, found)| (name.as_str(), found.as_slice()))
    }

    /// The trackers that are known by now, in the order of the configuration.
    #[must_use]
    pub fn trackers(&self) -> Vec<SocketAddr> {
        let all = self.trackers.iter();
        all.flat_map(|(name, port)| {
            let found = self.find(name).into_iter();
            found.map(|address| SocketAddr::new(address, *port))
        })
        .collect()
    }

    /// What PASV is to announce, if anything particular: IPv4 where there is a choice, since that
    /// is all that PASV can say.
    #[must_use]
    pub fn announced(&self) -> Option<IpAddr> {
        let found = self.find(self.passive.as_ref()?);
        let four = found.iter().find(|address| address.is_ipv4());
        four.or(found.first()).copied()
    }

    fn find(&self, name: &str) -> Vec<IpAddr> {
        match name.parse() {
            Ok(address) => vec![address],
            Err(_) => self.known.get(name).cloned().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn addresses(text: &str) -> Addresses {
        let config = Config::parse(text, "test").unwrap();
        Addresses::new(&config.mogilefs, &config.passive)
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn numbers_are_known_at_once() {
        let text = "[passive]\naddress = 203.0.113.9\n\
                    [mogilefs]\ntracker = 192.0.2.1, [2001:db8::1]:7002\nport = 7001\n";
        let addresses = addresses(text);
        assert!(addresses.names().is_empty());
        let expected: Vec<SocketAddr> = ["192.0.2.1:7001", "[2001:db8::1]:7002"]
            .map(|text| text.parse().unwrap())
            .into();
        assert_eq!(addresses.trackers(), expected);
        assert_eq!(addresses.announced(), Some(ips(&["203.0.113.9"])[0]));
    }

    #[test]
    fn names_are_known_when_they_are_found() {
        let text = "[passive]\naddress = b.example\n\
                    [mogilefs]\ntracker = b.example, 192.0.2.1, a.example:99\n";
        let mut addresses = addresses(text);
        assert_eq!(addresses.names(), ["a.example", "b.example"]);
        assert_eq!(addresses.trackers().len(), 1);
        assert_eq!(addresses.announced(), None);

        let found = ips(&["2001:db8::2", "192.0.2.2"]);
        assert!(addresses.learn("b.example", found.clone()));
        let turned = found.iter().rev().copied().collect();
        assert!(!addresses.learn("b.example", turned), "no news");
        assert!(!addresses.learn("b.example", Vec::new()));
        assert!(!addresses.learn("c.example", found));
        let shown: Vec<String> = addresses
            .trackers()
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = ["192.0.2.2:7001", "[2001:db8::2]:7001", "192.0.2.1:7001"];
        assert_eq!(shown, expected);
        assert_eq!(addresses.announced(), Some(ips(&["192.0.2.2"])[0]));

        let config = Config::parse("[mogilefs]\ntracker = b.example\n", "test").unwrap();
        let renewed = addresses.renewed(&config.mogilefs, &config.passive);
        assert_eq!(renewed.trackers().len(), 2);
        assert_eq!(renewed.announced(), None);
    }
}
