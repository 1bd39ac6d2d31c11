//! Where a client is and what it names: absolute paths of the served tree, normalised before
//! anybody else sees them. Bytes, not text: a name goes out as it came in. Knows no backend.
#![forbid(unsafe_code)]

use std::fmt;

/// An absolute path without empty parts, `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// `/` or `/a/b`: always with the leading slash, never with a trailing one.
    bytes: Vec<u8>,
}

impl Path {
    /// The top of the tree.
    #[must_use]
    pub fn root() -> Self {
        Self {
            bytes: b"/".to_vec(),
        }
    }

    /// What `name` means to a client whose current directory is `self`. `..` above the root stays
    /// at the root, as a shell has it; `a/..` is resolved by name, there are no links to follow.
    #[must_use]
    pub fn resolve(&self, name: &[u8]) -> Self {
        let mut bytes = match name.first() {
            Some(b'/') => Vec::with_capacity(name.len()),
            _ if self.is_root() => Vec::new(),
            _ => self.bytes.clone(),
        };
        for part in name.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => bytes.truncate(bytes.iter().rposition(|&byte| byte == b'/').unwrap_or(0)),
                part => {
                    bytes.push(b'/');
                    bytes.extend_from_slice(part);
                }
            }
        }
        if bytes.is_empty() {
            bytes.push(b'/');
        }
        Self { bytes }
    }

    /// One level down; `name` is one part and is taken as it is.
    #[must_use]
    pub fn child(&self, name: &[u8]) -> Self {
        let mut bytes = if self.is_root() {
            Vec::new()
        } else {
            self.bytes.clone()
        };
        bytes.push(b'/');
        bytes.extend_from_slice(name);
        Self { bytes }
    }

    /// The directory that this path is in; the root is in itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        self.resolve(b"..")
    }

    /// Whether this is the top of the tree.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.bytes == b"/"
    }

    /// The last part; empty for the root.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.bytes
            .rsplit(|&byte| byte == b'/')
            .next()
            .unwrap_or_default()
    }

    /// The parts from the top: none for the root.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes
            .split(|&byte| byte == b'/')
            .filter(|part| !part.is_empty())
    }

    /// `/` or `/a/b`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same without the leading slash: empty for the root.
    #[must_use]
    pub fn relative(&self) -> &[u8] {
        self.bytes.get(1..).unwrap_or_default()
    }
}

impl fmt::Display for Path {
    /// For people: bytes that are not UTF-8 are replaced. In a log use [`crate::text::quoted`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_resolve_against_the_current_directory() {
        for (cwd, name, expected) in [
            ("/", "a", "/a"),
            ("/", "", "/"),
            ("/a", "", "/a"),
            ("/a", "b", "/a/b"),
            ("/a", "/b", "/b"),
            ("/a/b", "..", "/a"),
            ("/a", "..", "/"),
            ("/", "../../etc/passwd", "/etc/passwd"),
            ("/a", "./b//c/", "/a/b/c"),
            ("/a", "../../../x", "/x"),
            ("/a", "a..b", "/a/a..b"),
            ("/a", "...", "/a/..."),
            ("/a", "b c%41&=+", "/a/b c%41&=+"),
        ] {
            let cwd = Path::root().resolve(cwd.as_bytes());
            assert_eq!(
                cwd.resolve(name.as_bytes()).to_string(),
                expected,
                "{cwd} {name}"
            );
        }
    }

    #[test]
    fn parts_name_and_parent_agree() {
        let path = Path::root().resolve(b"/photos/2026/a.jpg");
        assert_eq!(
            path.parts().collect::<Vec<_>>(),
            [&b"photos"[..], b"2026", b"a.jpg"]
        );
        assert_eq!(path.name(), b"a.jpg");
        assert_eq!(path.parent().as_bytes(), b"/photos/2026");
        assert_eq!(path.parent().child(b"a.jpg"), path);
        assert_eq!(path.relative(), b"photos/2026/a.jpg");
        assert_eq!(Path::root().parts().count(), 0);
        assert_eq!(Path::root().name(), b"");
        assert_eq!(Path::root().parent(), Path::root());
    }
}
