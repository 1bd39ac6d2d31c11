//! Entries of a directory of the kernel, one by one, in its own order: what is neither a plain file nor a
//! directory is not shown, nor what is an upload that is not whole yet.
#![forbid(unsafe_code)]

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, fstatat};

use super::causes::broken;
use super::unfinished::RESERVED;
use super::{kind_bits, size};
use crate::store::{Entry, Error, Kind, Whose, Wish};
use crate::sys::dirents::{self, Dirents};

/// A directory being read, in the kernel's order.
pub(super) struct Listing {
    dirents: Dirents,
    wish: Wish,
}

impl Listing {
    /// Those of `dirents` that are wished for.
    pub(super) fn new(dirents: Dirents, wish: Wish) -> Self {
        Self { dirents, wish }
    }
}

impl Iterator for Listing {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (found, dir) = match self.dirents.read() {
                Ok(found) => found?,
                Err(error) => return Some(Err(broken(&error))),
            };
            let bytes = found.name.to_bytes();
            let is_ours = matches!(bytes, b"." | b"..") || bytes.starts_with(RESERVED);
            if is_ours || !self.wish.wants(bytes) {
                continue;
            }
            if self.wish.names_only {
                match found.kind {
                    dirents::Kind::File => return Some(Ok(bare(bytes, Kind::File, 0o644))),
                    dirents::Kind::Dir => return Some(Ok(bare(bytes, Kind::Dir, 0o755))),
                    dirents::Kind::Other => continue,
                    dirents::Kind::Unknown => {}
                }
            }
            match fstatat(dir, found.name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                // Removed since its name was read: it is not there.
                Err(Errno::ENOENT) => {}
                Err(errno) => return Some(Err(errno.into())),
                Ok(status) => {
                    if let Some(entry) = entry(bytes.to_vec(), &status) {
                        return Some(Ok(entry));
                    }
                }
            }
        }
    }
}

/// What the directory itself tells of an entry, where no more is wished for.
fn bare(name: &[u8], kind: Kind, mode: u32) -> Entry {
    Entry {
        name: name.to_vec(),
        kind,
        size: None,
        modified: None,
        mode,
        owner: Whose::named(""),
        group: Whose::named(""),
        unique: None,
    }
}

/// `None` for what is neither a plain file nor a directory.
pub(super) fn entry(name: Vec<u8>, status: &FileStat) -> Option<Entry> {
    let (kind, size) = match kind_bits(status) {
        SFlag::S_IFREG => (Kind::File, Some(size(status))),
        SFlag::S_IFDIR => (Kind::Dir, None),
        _ => return None,
    };
    Some(Entry {
        name,
        kind,
        size,
        modified: Some(status.st_mtime),
        mode: status.st_mode & 0o7777,
        owner: Whose::Number(status.st_uid),
        group: Whose::Number(status.st_gid),
        unique: Some(status.st_ino),
    })
}
