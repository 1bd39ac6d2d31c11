//! A MogileFS domain of one's own: on a test node, or on the tracker that `MOGILEFS_TRACKER` names.
//! What it tells comes from the tracker and the devices, never from the daemon.

use std::net::{SocketAddr, ToSocketAddrs};

use super::{Node, Tracker, eventually, http_get, http_put, unique};

/// A domain with the classes `photos` and `docs`.
pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    pub(crate) domain: String,
    /// Where it is the test node.
    pub(crate) node: Option<Node>,
}

impl Cluster {
    /// On the tracker of the environment, else on a node of its own.
    pub(crate) fn start() -> Self {
        match std::env::var("MOGILEFS_TRACKER") {
            Ok(host) if !host.is_empty() => {
                let address = host.to_socket_addrs().unwrap().next().unwrap();
                Self::prepare(address, None)
            }
            _ => Self::faulty(),
        }
    }

    /// On a node of its own whatever the environment says: for tests that make it fail.
    pub(crate) fn faulty() -> Self {
        let node = Node::start(&["--devices", "3"]);
        Self::prepare(node.trackers[0], Some(node))
    }

    /// The same, with a node that is started with `arguments`.
    pub(crate) fn played(arguments: &[&str]) -> Self {
        let node = Node::start(&[&["--devices", "3"], arguments].concat());
        Self::prepare(node.trackers[0], Some(node))
    }

    /// On this tracker, which somebody else keeps.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self::prepare(address, None)
    }

    fn prepare(address: SocketAddr, node: Option<Node>) -> Self {
        let mut cluster = Self {
            address,
            domain: unique(),
            node,
        };
        // Two domains that are made at the same moment get the same number, and one of them fails.
        while let Err(code) = cluster.call("create_domain", &[]) {
            assert_eq!(code, "domain_exists");
            cluster.domain = unique();
        }
        for class in ["photos", "docs"] {
            cluster
                .call(
                    "create_class",
                    &[("class", class.as_bytes()), ("mindevcount", b"1")],
                )
                .unwrap();
        }
        // The processes of a real tracker learn of a class one after the other.
        let times = if cluster.node.is_none() { 20 } else { 0 };
        for _ in 0..times {
            cluster.classes_become(&["docs", "photos"]);
        }
        cluster
    }

    /// The node; only where [`Self::faulty`] made this.
    pub(crate) fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    /// A command in this domain.
    pub(crate) fn call(
        &self,
        command: &str,
        arguments: &[(&str, &[u8])],
    ) -> Result<super::tracker::Fields, String> {
        let mut all = vec![("domain", self.domain.as_bytes())];
        all.extend_from_slice(arguments);
        Tracker::connect(self.address).call(command, &all)
    }

    /// All keys of the domain, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let after = keys.last().cloned().unwrap_or_default();
            let page = match self.call("list_keys", &[("after", after.as_bytes())]) {
                Ok(fields) => fields,
                Err(code) if code == "none_match" => return keys,
                Err(code) => panic!("list_keys: {code}"),
            };
            let count: usize = number(&page["key_count"]);
            for index in 1..=count {
                let key = page[&format!("key_{index}")].clone();
                keys.push(String::from_utf8(key).unwrap());
            }
            if count == 0 {
                return keys;
            }
        }
    }

    /// Makes a class of whose files, in so many copies, the trackers keep the MD5.
    pub(crate) fn make_summed(&self, class: &str, copies: &[u8]) {
        let fields = [
            ("class", class.as_bytes()),
            ("mindevcount", copies),
            ("hashtype", b"MD5"),
        ];
        self.call("create_class", &fields).unwrap();
    }

    /// Waits until the classes are these: a tracker that has deleted one may tell of it for another
    /// round of its monitor.
    pub(crate) fn classes_become(&self, expected: &[&str]) {
        eventually(&format!("the classes are {expected:?}"), || {
            (self.classes() == expected).then_some(())
        });
    }

    /// The classes of the domain, without `default`; none of a domain that is not known yet.
    pub(crate) fn classes(&self) -> Vec<String> {
        let fields = Tracker::connect(self.address)
            .call("get_domains", &[])
            .unwrap();
        let is_own = |(_, name): &(&String, &Vec<u8>)| **name == self.domain.as_bytes();
        let Some((field, _)) = fields.iter().find(is_own) else {
            return Vec::new();
        };
        let mut classes = Vec::new();
        for (name, value) in &fields {
            let is_class = name.starts_with(&format!("{field}class")) && name.ends_with("name");
            if is_class && value != b"default" {
                classes.push(String::from_utf8(value.clone()).unwrap());
            }
        }
        classes.sort();
        classes
    }

    /// What is stored under `key`, read from a device.
    pub(crate) fn content(&self, key: &str) -> Option<Vec<u8>> {
        let paths = self.call("get_paths", &[("key", key.as_bytes())]).ok()?;
        let count: usize = number(&paths["paths"]);
        (1..=count)
            .find_map(|index| http_get(str::from_utf8(&paths[&format!("path{index}")]).unwrap()))
    }

    /// The size that the tracker has for `key`.
    pub(crate) fn size(&self, key: &str) -> Option<u64> {
        let fields = self.call("file_info", &[("key", key.as_bytes())]).ok()?;
        Some(number(&fields["length"]))
    }

    /// The class of `key`.
    pub(crate) fn class(&self, key: &str) -> Option<String> {
        let fields = self.call("file_info", &[("key", key.as_bytes())]).ok()?;
        Some(String::from_utf8(fields["class"].clone()).unwrap())
    }

    /// Stores a file without the daemon; an empty `class` is the default one.
    pub(crate) fn put(&self, key: &str, class: &str, content: &[u8]) {
        let key = ("key", key.as_bytes());
        let mut open = vec![key];
        if !class.is_empty() {
            open.push(("class", class.as_bytes()));
        }
        let dest = self.call("create_open", &open).unwrap();
        let path = str::from_utf8(&dest["path"]).unwrap();
        assert!(http_put(path, content), "PUT {path}");
        let size = content.len().to_string();
        let close = [
            key,
            ("fid", &*dest["fid"]),
            ("devid", &*dest["devid"]),
            ("path", &*dest["path"]),
            ("size", size.as_bytes()),
        ];
        self.call("create_close", &close).unwrap();
    }
}

impl Drop for Cluster {
    /// A tracker that is not ours gets its domain back, as far as that goes.
    fn drop(&mut self) {
        if self.node.is_some() || std::thread::panicking() {
            return;
        }
        for key in self.keys() {
            let _ = self.call("delete", &[("key", key.as_bytes())]);
        }
        for class in self.classes() {
            let _ = self.call("delete_class", &[("class", class.as_bytes())]);
        }
        let _ = self.call("delete_domain", &[]);
    }
}

fn number<T: std::str::FromStr>(field: &[u8]) -> T {
    str::from_utf8(field)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap()
}
