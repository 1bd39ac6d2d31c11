//! Paths: what a client names stays below the root, and means the same however it is said.

use crate::draw::Draw;
use crate::path::Path;

/// `data`: a current directory, and a name.
pub(super) fn path(data: &[u8]) {
    let mut draw = Draw(data);
    let cwd = Path::root().resolve(draw.bytes());
    let name = draw.0;
    let path = cwd.resolve(name);
    holds(&cwd);
    holds(&path);
    assert_eq!(path.parts().collect::<Vec<_>>(), reference(&cwd, name));
    if let Some(slash) = name.iter().rposition(|&byte| byte == b'/') {
        let (above, below) = name.split_at(slash + 1);
        // At once or in two steps, as long as the second begins where the first ended.
        assert_eq!(cwd.resolve(above).resolve(below), path);
    }
}

/// What is true of every path.
fn holds(path: &Path) {
    let bytes = path.as_bytes();
    assert_eq!(bytes.first(), Some(&b'/'));
    assert!(path.is_root() || bytes.last() != Some(&b'/'));
    for part in path.parts() {
        assert!(!part.contains(&b'/') && part != b"." && part != b"..");
    }
    assert_eq!(Path::root().resolve(bytes), *path);
    assert_eq!(Path::root().resolve(path.relative()), *path);
    assert_eq!(path.resolve(b""), *path);
    if path.is_root() {
        assert!(path.name().is_empty() && path.parts().next().is_none());
        assert_eq!(path.parent(), *path);
    } else {
        assert_eq!(path.parent().child(path.name()), *path);
        assert_eq!(path.parts().count(), path.parent().parts().count() + 1);
    }
}

/// The parts that a stack of names comes to.
fn reference<'p>(cwd: &'p Path, name: &'p [u8]) -> Vec<&'p [u8]> {
    let mut parts: Vec<&[u8]> = Vec::new();
    if !name.starts_with(b"/") {
        parts.extend(cwd.parts());
    }
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}
