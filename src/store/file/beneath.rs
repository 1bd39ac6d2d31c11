//! Opening what is beneath a directory, and never anything else. The kernel resolves the whole path
//! itself (openat2); one before 5.6 is led from directory to directory, and follows no link at all.
//! So is one in a container whose filter does not know the call, and refuses it.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

/// Opens `path`, which is relative and has neither `.` nor `..` in it; empty: `root` itself.
///
/// # Errors
/// What the kernel says; `EXDEV`, `ELOOP` or `ENOTDIR` where a link leads out.
pub(super) fn open(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlag,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlag::O_CLOEXEC;
    let path = if path.is_empty() { b"." } else { path };
    let how = OpenHow::new()
        .flags(flags)
        .mode(mode)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    match openat2(root, path, how) {
        // Something in the tree was renamed while the kernel resolved; ask once more.
        Err(Errno::EAGAIN) => openat2(root, path, how),
        Err(Errno::ENOSYS | Errno::EPERM) => walk(root, path, flags, mode),
        answer => answer,
    }
}

fn walk(root: BorrowedFd<'_>, path: &[u8], flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
    let step = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut dir: Option<OwnedFd> = None;
    let mut names = path.split(|&byte| byte == b'/').peekable();
    while let Some(name) = names.next() {
        if name == b".." {
            return Err(Errno::EXDEV);
        }
        let here = dir.as_ref().map_or(root, AsFd::as_fd);
        if names.peek().is_none() {
            return openat(here, name, flags | OFlag::O_NOFOLLOW, mode);
        }
        dir = Some(openat(here, name, step, Mode::empty())?);
    }
    Err(Errno::ENOENT)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use nix::fcntl;

    use super::*;

    #[test]
    fn both_ways_open_the_same_and_neither_leads_out() {
        let dir = std::env::temp_dir().join(format!("nanoftpd-beneath-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("root/a/b")).unwrap();
        fs::write(dir.join("root/a/b/file"), "x").unwrap();
        fs::write(dir.join("outside"), "secret").unwrap();
        symlink("../../outside", dir.join("root/a/out")).unwrap();
        symlink("/", dir.join("root/a/slash")).unwrap();
        let root = fcntl::open(&dir.join("root"), OFlag::O_PATH, Mode::empty()).unwrap();
        let root = root.as_fd();
        let (read, none) = (OFlag::O_RDONLY, Mode::empty());
        for path in ["a", "a/b", "a/b/file", "."] {
            open(root, path.as_bytes(), read, none).unwrap();
            walk(root, path.as_bytes(), read, none).unwrap();
        }
        for path in [
            "a/out",
            "a/slash",
            "a/slash/etc/passwd",
            "a/b/file/x",
            "no/such",
        ] {
            open(root, path.as_bytes(), read, none).unwrap_err();
            walk(root, path.as_bytes(), read, none).unwrap_err();
        }
        for path in ["..", "a/../../outside"] {
            assert_eq!(
                walk(root, path.as_bytes(), read, none).err(),
                Some(Errno::EXDEV)
            );
        }
        let new = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        walk(root, b"a/b/new", new, Mode::from_bits_truncate(0o600)).unwrap();
        assert!(dir.join("root/a/b/new").exists());
        fs::remove_dir_all(&dir).unwrap();
    }
}
