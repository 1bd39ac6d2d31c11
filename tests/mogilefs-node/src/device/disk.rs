//! Where a URL's path lies on disk, and which fid it names.

use std::path::{Path, PathBuf};

/// The path of a fid on a device, as the tracker builds it.
pub(crate) fn path_of(device: u32, fid: u64) -> String {
    let digits = format!("{fid:010}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!(
        "/dev{device}/{}/{}/{}/{digits}.fid",
        part(0, 1),
        part(1, 4),
        part(4, 7)
    )
}

/// The fid that a path ends in.
pub(crate) fn fid_of(path: &str) -> Option<u64> {
    let name = path.rsplit('/').next()?;
    name.strip_suffix(".fid")?.parse().ok()
}

/// Why a path is not taken for a PUT or DELETE.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// Characters outside letters, digits, `_`, `.` and `-`, or `..`.
    Name,
    /// Right below the root.
    Shallow,
}

/// A place that may be written to.
pub(super) fn place(root: &Path, path: &str) -> Result<PathBuf, Bad> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    let relative = path.strip_prefix('/').ok_or(Bad::Name)?;
    if !path.chars().all(plain) || path.contains("..") || path.ends_with('/') {
        return Err(Bad::Name);
    }
    if !relative.contains('/') {
        return Err(Bad::Shallow);
    }
    Ok(root.join(relative.trim_start_matches('/')))
}

/// A place that may be read.
pub(super) fn readable(root: &Path, path: &str) -> Option<PathBuf> {
    let relative = path.strip_prefix('/')?;
    (!path.contains("..")).then(|| root.join(relative.trim_start_matches('/')))
}

/// The device's own directory, which must be there before a PUT of known length.
pub(super) fn base(root: &Path, path: &str) -> PathBuf {
    root.join(
        path.split('/')
            .find(|part| !part.is_empty())
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fid_has_its_path_and_a_path_its_fid() {
        for (fid, path) in [
            (7, "/dev2/0/000/000/0000000007.fid"),
            (1051, "/dev2/0/000/001/0000001051.fid"),
            (7_123_456_789, "/dev2/7/123/456/7123456789.fid"),
        ] {
            assert_eq!(path_of(2, fid), path);
            assert_eq!(fid_of(path), Some(fid));
        }
        assert_eq!(fid_of("/dev2/usage"), None);
    }

    #[test]
    fn only_plain_names_below_a_device_are_written_to() {
        let root = Path::new("/r");
        assert_eq!(
            place(root, "/dev1/x.fid"),
            Ok(PathBuf::from("/r/dev1/x.fid"))
        );
        assert_eq!(place(root, "/x.fid"), Err(Bad::Shallow));
        for name in ["/dev1/a%20b", "/dev1/../x", "dev1/x", "/dev1/", "/dev1/a b"] {
            assert_eq!(place(root, name), Err(Bad::Name), "{name}");
        }
    }
}
