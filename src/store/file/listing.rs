//! Entries of a directory of the kernel, one by one, in its own order: what is neither a plain file nor a
//! directory is not shown, nor what is an upload that is not whole yet.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;

use nix::dir::{OwningIter, Type};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, fstatat};

use super::unfinished::RESERVED;
use super::{kind_bits, size};
use crate::store::{Entry, Error, Kind, Wish};

/// A directory being read, in the kernel's order.
pub(super) struct Listing {
    dir: OwnedFd,
    names: OwningIter,
    wish: Wish,
    ids: Ids,
}

/// Whose the last entry was, as text: the next is often the same one's.
#[derive(Default)]
pub(super) struct Ids {
    owner: (u32, String),
    group: (u32, String),
}

impl Ids {
    fn text((id, text): &mut (u32, String), wanted: u32) -> String {
        if *id != wanted || text.is_empty() {
            (*id, *text) = (wanted, wanted.to_string());
        }
        text.clone()
    }
}

impl Listing {
    /// Those whose `names` are read from `dir`.
    pub(super) fn new(dir: OwnedFd, names: OwningIter, wish: Wish) -> Self {
        Self {
            dir,
            names,
            wish,
            ids: Ids::default(),
        }
    }
}

impl Iterator for Listing {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let found = match self.names.next()? {
                Ok(found) => found,
                Err(errno) => return Some(Err(errno.into())),
            };
            let name = found.file_name();
            let bytes = name.to_bytes();
            let is_ours = matches!(bytes, b"." | b"..") || bytes.starts_with(RESERVED);
            if is_ours || !self.wish.wants(bytes) {
                continue;
            }
            if let (true, Some(kind)) = (self.wish.names_only, found.file_type()) {
                match kind {
                    Type::File => return Some(Ok(bare(bytes, Kind::File, 0o644))),
                    Type::Directory => return Some(Ok(bare(bytes, Kind::Dir, 0o755))),
                    _ => continue,
                }
            }
            match fstatat(&self.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                // Removed since its name was read: it is not there.
                Err(Errno::ENOENT) => {}
                Err(errno) => return Some(Err(errno.into())),
                Ok(status) => {
                    if let Some(entry) = entry(bytes.to_vec(), &status, &mut self.ids) {
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
        owner: String::new(),
        group: String::new(),
        unique: None,
    }
}

/// `None` for what is neither a plain file nor a directory.
pub(super) fn entry(name: Vec<u8>, status: &FileStat, ids: &mut Ids) -> Option<Entry> {
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
        owner: Ids::text(&mut ids.owner, status.st_uid),
        group: Ids::text(&mut ids.group, status.st_gid),
        unique: Some(status.st_ino),
    })
}
