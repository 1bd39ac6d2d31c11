//! What a tracker's URL of a file says: which node, which device, which fid. It is never built
//! here, only read.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

/// The place of one copy of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// As the tracker wrote it.
    pub(crate) url: String,
    /// The node.
    pub(crate) address: SocketAddr,
    /// The device on it, where the path names one.
    pub(crate) device: Option<u32>,
    /// The fid that the path names; `None` where somebody else's path scheme is used.
    pub(crate) fid: Option<u64>,
}

impl Location {
    /// Reads `http://IP:port/…`; names are not looked up, and other schemes are not spoken.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let (authority, path) = rest.split_at(rest.find('/')?);
        if path.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return None;
        }
        let first = path.split('/').nth(1);
        let device = first.and_then(|name| name.strip_prefix("dev")?.parse().ok());
        let fid = path
            .rsplit('/')
            .next()
            .and_then(|name| name.strip_suffix(".fid"))
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok());
        Some(Self {
            url: url.to_owned(),
            address: authority.parse().ok()?,
            device,
            fid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_trackers_are_read() {
        for (url, expected) in [
            (
                "http://127.0.0.23:7720/dev3/0/000/000/0000000064.fid",
                Some(("127.0.0.23:7720", Some(64))),
            ),
            (
                "http://[2001:db8::1]:7500/dev12/0/012/345/0012345678.fid",
                Some(("[2001:db8::1]:7500", Some(12_345_678))),
            ),
            (
                "http://10.0.0.1:80/other/scheme",
                Some(("10.0.0.1:80", None)),
            ),
            ("http://10.0.0.1:80/x+1.fid", Some(("10.0.0.1:80", None))),
            ("http://10.0.0.1/dev1/0/000/000/0000000001.fid", None),
            ("http://node1:7500/dev1/0/000/000/0000000001.fid", None),
            ("http://u@10.0.0.1:80/dev1/0000000001.fid", None),
            ("https://10.0.0.1:443/dev1/0000000001.fid", None),
            ("http://10.0.0.1:80", None),
            ("http://10.0.0.1:80/a b", None),
            ("http://10.0.0.1:80/a\r\nx: y", None),
            ("/dev1/0000000001.fid", None),
            ("", None),
        ] {
            let location = Location::parse(url);
            let seen = location
                .as_ref()
                .map(|location| (location.address.to_string(), location.fid));
            let expected = expected.map(|(address, fid)| (address.to_owned(), fid));
            assert_eq!(seen, expected, "{url}");
        }
        for (path, expected) in [
            ("dev12/0/1.fid", Some(12)),
            ("device/1", None),
            ("12/x", None),
        ] {
            let location = Location::parse(&format!("http://10.0.0.1:80/{path}")).unwrap();
            assert_eq!(location.device, expected, "{path}");
        }
    }
}
