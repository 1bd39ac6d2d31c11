//! Where an upload waits until it is whole: in memory while it is small, in a file that has no name
//! once it is not. It can be read from any place, as often as it takes.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use md5::{Digest, Md5};
use nix::libc::O_TMPFILE;

use crate::store::Error;

/// How much is taken from the source at once, in bytes.
const BLOCK: usize = 128 * 1024;

/// A whole upload.
pub(super) struct Spool {
    content: Content,
    len: u64,
    md5: Option<[u8; 16]>,
}

enum Content {
    Memory(Vec<u8>),
    File(File),
}

impl Spool {
    /// Takes everything that `source` gives. Up to `memory` bytes stay in memory; more go to a file
    /// in `dir`. `hash`: the MD5 is computed on the way.
    pub(super) fn receive(
        source: &mut dyn Read,
        memory: u64,
        dir: &Path,
        hash: bool,
    ) -> Result<Self, Error> {
        let mut block = vec![0; BLOCK];
        let mut content = Content::Memory(Vec::new());
        let mut len = 0;
        let mut md5 = hash.then(Md5::new);
        loop {
            let read = match source.read(&mut block) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::Source(error)),
            };
            let bytes = block.get(..read).unwrap_or_default();
            len += read as u64;
            if let Some(md5) = &mut md5 {
                md5.update(bytes);
            }
            content = content
                .with(bytes, len > memory, dir)
                .map_err(|error| unspooled(&error))?;
        }
        Ok(Self {
            content,
            len,
            md5: md5.map(|md5| md5.finalize().into()),
        })
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The MD5, if it is known or cheap to find out.
    pub(super) fn md5(&self) -> Option<[u8; 16]> {
        match &self.content {
            Content::Memory(bytes) => self.md5.or_else(|| Some(Md5::digest(bytes).into())),
            Content::File(_) => self.md5,
        }
    }

    /// Reads it from its beginning.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { spool: self, at: 0 }
    }
}

impl Content {
    fn with(self, bytes: &[u8], large: bool, dir: &Path) -> io::Result<Self> {
        match self {
            Self::Memory(mut memory) if !large => {
                memory.extend_from_slice(bytes);
                Ok(Self::Memory(memory))
            }
            Self::Memory(memory) => {
                let mut file = nameless(dir)?;
                file.write_all(&memory)?;
                drop(memory);
                file.write_all(bytes)?;
                Ok(Self::File(file))
            }
            Self::File(mut file) => {
                file.write_all(bytes)?;
                Ok(Self::File(file))
            }
        }
    }
}

/// See [`Spool::reader`].
pub(super) struct Reader<'s> {
    spool: &'s Spool,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match &self.spool.content {
            Content::File(file) => file.read_at(buf, self.at)?,
            Content::Memory(bytes) => {
                let at = usize::try_from(self.at).unwrap_or(usize::MAX);
                bytes.get(at..).unwrap_or_default().read(buf)?
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}

/// A file that is gone when it is closed, whatever becomes of the process.
/// A file in `dir` that vanishes with its last descriptor.
pub(crate) fn nameless(dir: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(O_TMPFILE).open(dir) {
        Ok(file) => Ok(file),
        // Not every file system has such files.
        Err(_) => {
            let random = getrandom::u64().map_err(io::Error::other)?;
            let path = dir.join(format!(".nanoftpd-{random:016x}"));
            let file = options.create_new(true).open(&path)?;
            fs::remove_file(&path)?;
            Ok(file)
        }
    }
}

fn unspooled(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::Full(format!("spool: {error}"))
        }
        _ => Error::Broken(format!("spool: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5_OF_DIGITS: [u8; 16] = [
        0x78, 0x1e, 0x5e, 0x24, 0x5d, 0x69, 0xb5, 0x66, 0x97, 0x9b, 0x86, 0xe2, 0x8d, 0x23, 0xf2,
        0xc7,
    ];

    fn received(bytes: &[u8], memory: u64, hash: bool) -> Spool {
        let mut source = bytes;
        Spool::receive(&mut source, memory, &std::env::temp_dir(), hash).unwrap()
    }

    fn contents(spool: &Spool) -> Vec<u8> {
        let mut bytes = Vec::new();
        spool.reader().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn it_gives_back_what_it_took_however_often() {
        let bytes: Vec<u8> = (0..400_000u32).map(|n| n.to_be_bytes()[3]).collect();
        for memory in [0, 1, 300_000, 400_000, 1 << 30] {
            let spool = received(&bytes, memory, false);
            assert_eq!(spool.len(), 400_000);
            assert_eq!(
                matches!(spool.content, Content::Memory(_)),
                memory >= 400_000
            );
            for _ in 0..2 {
                assert!(contents(&spool) == bytes);
            }
        }
    }

    #[test]
    fn nothing_is_something_too() {
        let spool = received(b"", 0, false);
        assert_eq!(spool.len(), 0);
        assert!(contents(&spool).is_empty());
    }

    #[test]
    fn the_sum_of_a_file_is_known_only_where_it_was_asked_for() {
        assert_eq!(received(b"0123456789", 4, true).md5(), Some(MD5_OF_DIGITS));
        assert_eq!(received(b"0123456789", 4, false).md5(), None);
        assert_eq!(
            received(b"0123456789", 40, false).md5(),
            Some(MD5_OF_DIGITS)
        );
    }

    #[test]
    fn a_source_that_fails_is_told_apart_from_a_disk_that_does() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let temp = std::env::temp_dir();
        let result = Spool::receive(&mut Broken, 10, &temp, false);
        assert!(matches!(result, Err(Error::Source(_))));
        let nowhere = temp.join("nanoftpd-no-such-directory");
        let result = Spool::receive(&mut &b"0123"[..], 1, &nowhere, false);
        assert!(matches!(result, Err(Error::Broken(_))));
    }

    #[test]
    fn it_leaves_no_name_behind() {
        let dir = std::env::temp_dir().join(format!("nanoftpd-spool-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let spool = Spool::receive(&mut &b"0123"[..], 1, &dir, false).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        fs::remove_dir(&dir).unwrap();
        assert_eq!(contents(&spool), b"0123");
    }
}
