//! What is in a directory, as the kernel gives it: a buffer of entries at a time, whose names stay where
//! they are. What the C library and readdir(3) do beside that, for each entry and for each directory, is more
//! than all that a listing does with a name.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

/// What is asked for at once, in bytes: about a thousand entries.
const BUFFER: usize = 32 * 1024;

/// Where the parts of a `linux_dirent64` are.
const LENGTH: usize = 16;
const KIND: usize = 18;
const NAME: usize = 19;

/// A directory being read, in the kernel's order.
#[derive(Debug)]
pub struct Dirents {
    dir: OwnedFd,
    buffer: Vec<u8>,
    /// Where the next entry begins.
    at: usize,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain file.
    File,
    /// A directory.
    Dir,
    /// A link, a socket, a device …
    Other,
    /// The file system does not say.
    Unknown,
}

/// An entry: its name, and what it is.
#[derive(Clone, Copy, Debug)]
pub struct Dirent<'a> {
    /// Within the directory.
    pub name: &'a CStr,
    /// As the directory says.
    pub kind: Kind,
}

impl Dirents {
    /// The entries of `dir`, which was opened to be read and is at its beginning.
    #[must_use]
    pub fn new(dir: OwnedFd) -> Self {
        Self {
            dir,
            buffer: Vec::with_capacity(BUFFER),
            at: 0,
        }
    }

    /// The next entry, and the directory that it is in; `None` at the end.
    ///
    /// # Errors
    /// What getdents64(2) says.
    pub fn read(&mut self) -> io::Result<Option<(Dirent<'_>, BorrowedFd<'_>)>> {
        if self.at >= self.buffer.len() {
            self.fill()?;
            if self.buffer.is_empty() {
                return Ok(None);
            }
        }
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let (length, dirent) = parsed(rest).ok_or(io::ErrorKind::InvalidData)?;
        self.at += length;
        Ok(Some((dirent, self.dir.as_fd())))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.at = 0;
        self.buffer.clear();
        let room = self.buffer.spare_capacity_mut();
        // SAFETY: the kernel writes into the room that the vector has and nobody has a reference to, and says
        // how much of it; the descriptor is open as long as it is owned.
        #[expect(unsafe_code, reason = "no safe interface to this call exists")]
        let read = unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                self.dir.as_raw_fd(),
                room.as_mut_ptr(),
                room.len(),
            )
        };
        let read = match Errno::result(read) {
            // The directory was removed meanwhile: there is nothing left in it.
            Err(Errno::ENOENT) => 0,
            read => usize::try_from(read?).unwrap_or_default(),
        };
        // SAFETY: so much has been written, and there was room for it.
        #[expect(unsafe_code, reason = "bytes that the kernel has written")]
        unsafe {
            self.buffer.set_len(read);
        }
        Ok(())
    }
}

/// The first entry of `bytes`, and how long it is there.
fn parsed(bytes: &[u8]) -> Option<(usize, Dirent<'_>)> {
    let &[low, high] = bytes.get(LENGTH..)?.first_chunk()?;
    let length = usize::from(u16::from_ne_bytes([low, high]));
    let name = CStr::from_bytes_until_nul(bytes.get(NAME..length)?).ok()?;
    let kind = match *bytes.get(KIND)? {
        libc::DT_REG => Kind::File,
        libc::DT_DIR => Kind::Dir,
        libc::DT_UNKNOWN => Kind::Unknown,
        _ => Kind::Other,
    };
    Some((length, Dirent { name, kind }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::{env, process};

    use super::*;

    #[test]
    fn all_that_there_is_is_found_with_its_kind() {
        let path = env::temp_dir().join(format!("nanoftpd-dirents-{}", process::id()));
        fs::create_dir(&path).unwrap();
        // More than one buffer of them.
        let mut expected: BTreeMap<Vec<u8>, Kind> = (0..2000)
            .map(|number| (format!("file {number}").into_bytes(), Kind::File))
            .collect();
        for name in expected.keys() {
            File::create(path.join(str::from_utf8(name).unwrap())).unwrap();
        }
        fs::create_dir(path.join("sub")).unwrap();
        symlink("nowhere", path.join("link")).unwrap();
        let longest = "x".repeat(255);
        File::create(path.join(&longest)).unwrap();
        for (name, kind) in [
            (".", Kind::Dir),
            ("..", Kind::Dir),
            ("sub", Kind::Dir),
            ("link", Kind::Other),
            (&longest, Kind::File),
        ] {
            expected.insert(name.into(), kind);
        }
        let mut dirents = Dirents::new(File::open(&path).unwrap().into());
        let mut found = BTreeMap::new();
        while let Some((dirent, _)) = dirents.read().unwrap() {
            // A file system may leave it to stat(2).
            let name = dirent.name.to_bytes().to_vec();
            let kind = match dirent.kind {
                Kind::Unknown => expected[&name],
                kind => kind,
            };
            assert_eq!(found.insert(name, kind), None);
        }
        assert_eq!(found, expected);
        assert!(dirents.read().unwrap().is_none());
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_directory_that_is_removed_is_empty() {
        let path = env::temp_dir().join(format!("nanoftpd-removed-{}", process::id()));
        fs::create_dir(&path).unwrap();
        let mut dirents = Dirents::new(File::open(&path).unwrap().into());
        fs::remove_dir(&path).unwrap();
        assert!(dirents.read().unwrap().is_none());
    }

    #[test]
    fn what_is_no_directory_has_no_entries() {
        let mut dirents = Dirents::new(File::open("/dev/null").unwrap().into());
        let error = dirents.read().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn what_is_cut_off_is_no_entry() {
        let mut whole = vec![0; LENGTH];
        whole.extend(24_u16.to_ne_bytes());
        whole.extend(b"\x08name\0");
        let (length, dirent) = parsed(&whole).unwrap();
        assert_eq!((length, dirent.kind), (24, Kind::File));
        for end in 0..whole.len() {
            assert!(parsed(&whole[..end]).is_none(), "{end}");
        }
    }
}
