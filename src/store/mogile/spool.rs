//! Where an upload waits: in memory while it is small, in a file that has no name once it is not.
//! It has one writer, which takes from the client, and readers that begin at its first byte, as
//! often as it takes; a reader may follow the writer while the upload still comes.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use nix::libc::O_TMPFILE;

use crate::store::{Error, Source};
use crate::vigil;

/// How much is taken from the source at once, in bytes.
const BLOCK: usize = 128 * 1024;

/// What a spool may use up.
pub(super) struct Bounds {
    /// Up to so many bytes stay in memory.
    pub(super) memory: u64,
    /// More go to a file in this directory.
    pub(super) dir: PathBuf,
    /// Who says whether there may be more in it; `None`: nobody.
    pub(super) room: Option<Rc<dyn Room>>,
    /// No upload is larger.
    pub(super) most: u64,
}

/// Room for what does not stay in memory, which all processes share.
pub trait Room {
    /// Whether a spool may have so much more.
    ///
    /// # Errors
    /// Nobody can be asked.
    fn take(&self, megabytes: u32) -> Result<bool, Error>;

    /// It needs so much no more.
    fn give(&self, megabytes: u32);
}

/// So much room is asked for at once, in megabytes; less when that is refused.
const LEASE: u32 = 16;

/// An upload, as far as it has come.
pub(super) struct Spool<'s> {
    /// `None`: it has all come.
    source: Option<&'s mut dyn Source>,
    bounds: Bounds,
    content: Content,
    /// In megabytes.
    leased: u32,
    len: u64,
    hash: Option<Md5>,
    block: Vec<u8>,
    trouble: Option<Trouble>,
    begun: Instant,
    took: Duration,
}

enum Content {
    Memory(Vec<u8>),
    File(File),
}

/// Why a reader that follows was not given more.
pub(super) enum Trouble {
    /// The upload has failed.
    Failed(Error),
    /// The client has sent nothing for too long. It may go on.
    Paused,
    /// Whoever reads has been reading for too long.
    Aged,
}

/// How a reader follows.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// How long it waits for more.
    pub(super) pause: Duration,
    /// When it stops.
    pub(super) until: Option<Instant>,
}

impl<'s> Spool<'s> {
    /// Nothing yet of what `source` will give. `hash`: the MD5 is computed on the way.
    pub(super) fn new(source: &'s mut dyn Source, bounds: Bounds, hash: bool) -> Self {
        Self {
            source: Some(source),
            bounds,
            content: Content::Memory(Vec::new()),
            leased: 0,
            len: 0,
            hash: hash.then(Md5::new),
            block: vec![0; BLOCK],
            trouble: None,
            begun: Instant::now(),
            took: Duration::ZERO,
        }
    }

    /// Puts all that `reader` gives in front of what the source will give.
    pub(super) fn prepend(&mut self, reader: &mut dyn Read) -> Result<(), Error> {
        let mut block = std::mem::take(&mut self.block);
        let result = loop {
            match reader.read(&mut block) {
                Ok(0) => break Ok(()),
                Ok(read) => {
                    if let Err(error) = self.add(block.get(..read).unwrap_or_default()) {
                        break Err(error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if vigil::was_interrupted(&error) => break Err(Error::Interrupted),
                Err(error) => break Err(Error::Broken(format!("the old content: {error}"))),
            }
        };
        self.block = block;
        result
    }

    /// Takes everything that the source gives.
    pub(super) fn receive(&mut self) -> Result<(), Error> {
        while self.pull()? {}
        Ok(())
    }

    /// Takes some of what the source gives; `false`: that was all.
    pub(super) fn pull(&mut self) -> Result<bool, Error> {
        let Some(source) = &mut self.source else {
            return Ok(false);
        };
        let mut block = std::mem::take(&mut self.block);
        let read = loop {
            match source.read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let result = match read {
            Ok(0) => {
                self.source = None;
                self.took = self.begun.elapsed();
                return Ok(false);
            }
            Ok(read) => self.add(block.get(..read).unwrap_or_default()),
            Err(error) => Err(Error::Source(error)),
        };
        self.block = block;
        result.map(|()| true)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let len = self.len.saturating_add(bytes.len() as u64);
        if len > self.bounds.most {
            let why = format!("it gets larger than {} bytes", self.bounds.most);
            return Err(Error::TooLarge(why));
        }
        if len > self.bounds.memory {
            self.lease(len)?;
        }
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        self.content
            .add(bytes, len > self.bounds.memory, &self.bounds)
            .map_err(|error| unspooled(&error))?;
        self.len = len;
        Ok(())
    }

    /// Asks for the room that `len` bytes take.
    fn lease(&mut self, len: u64) -> Result<(), Error> {
        let Some(room) = &self.bounds.room else {
            return Ok(());
        };
        while u64::from(self.leased) << 20 < len {
            let taken = match room.take(LEASE)? {
                true => LEASE,
                false if room.take(1)? => 1,
                false => {
                    let why = "all uploads together have reached spool_max".to_owned();
                    return Err(Error::TooLarge(why));
                }
            };
            self.leased = self.leased.saturating_add(taken);
        }
        Ok(())
    }

    /// How many bytes there are by now.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has all come.
    pub(super) fn is_whole(&self) -> bool {
        self.source.is_none()
    }

    /// How long it took to come.
    pub(super) fn took(&self) -> Duration {
        self.took
    }

    /// `ram` or `disk`.
    pub(super) fn place(&self) -> &'static str {
        match self.content {
            Content::Memory(_) => "ram",
            Content::File(_) => "disk",
        }
    }

    /// The MD5 of the whole, if it is known or cheap to find out.
    pub(super) fn md5(&self) -> Option<[u8; 16]> {
        let hash = self.hash.clone().filter(|_| self.is_whole());
        match &self.content {
            _ if hash.is_some() => hash.map(|hash| hash.finalize().into()),
            Content::Memory(bytes) if self.is_whole() => Some(Md5::digest(bytes).into()),
            _ => None,
        }
    }

    /// Reads it from its beginning to its end, wherever that will be.
    pub(super) fn reader(&mut self, patience: Patience) -> Reader<'_, 's> {
        self.trouble = None;
        Reader {
            spool: self,
            at: 0,
            patience,
        }
    }

    /// Why the last reader was not given more.
    pub(super) fn trouble(&mut self) -> Option<Trouble> {
        self.trouble.take()
    }

    /// Waits for more; `Ok` also if there is none.
    fn follow(&mut self, patience: Patience) -> Result<(), Trouble> {
        if patience.until.is_some_and(|until| Instant::now() >= until) {
            return Err(Trouble::Aged);
        }
        if let Some(source) = &mut self.source {
            match source.is_ready(patience.pause) {
                Ok(true) => {}
                Ok(false) => return Err(Trouble::Paused),
                Err(error) => return Err(Trouble::Failed(Error::Source(error))),
            }
        }
        self.pull().map(|_| ()).map_err(Trouble::Failed)
    }
}

impl Drop for Spool<'_> {
    fn drop(&mut self) {
        if let Some(room) = self.bounds.room.as_ref().filter(|_| self.leased > 0) {
            room.give(self.leased);
        }
    }
}

impl Content {
    fn add(&mut self, bytes: &[u8], large: bool, bounds: &Bounds) -> io::Result<()> {
        match self {
            Self::Memory(memory) if !large => memory.extend_from_slice(bytes),
            Self::Memory(memory) => {
                let mut file = nameless(&bounds.dir)?;
                file.write_all(memory)?;
                file.write_all(bytes)?;
                *self = Self::File(file);
            }
            Self::File(file) => file.write_all(bytes)?,
        }
        Ok(())
    }
}

/// See [`Spool::reader`].
pub(super) struct Reader<'r, 's> {
    spool: &'r mut Spool<'s>,
    at: u64,
    patience: Patience,
}

impl Read for Reader<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.spool.len
            && !self.spool.is_whole()
            && let Err(trouble) = self.spool.follow(self.patience)
        {
            self.spool.trouble = Some(trouble);
            return Err(io::Error::other("the upload does not go on"));
        }
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

/// A file in `dir` that vanishes with its last descriptor, whatever becomes of the process.
pub(crate) fn nameless(dir: &std::path::Path) -> io::Result<File> {
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

    const LONG: Patience = Patience {
        pause: Duration::from_secs(60),
        until: None,
    };

    fn bounds(memory: u64) -> Bounds {
        Bounds {
            memory,
            dir: std::env::temp_dir(),
            room: None,
            most: u64::MAX,
        }
    }

    /// Gives so many bytes at once, then is silent so often, until it ends.
    struct Slow {
        bytes: Vec<u8>,
        step: usize,
        silences: u32,
        broken: bool,
    }

    impl Slow {
        fn new(bytes: &[u8]) -> Self {
            Self {
                bytes: bytes.to_vec(),
                step: 1000,
                silences: 0,
                broken: false,
            }
        }
    }

    impl Read for Slow {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let most = self.step.min(buf.len()).min(self.bytes.len());
            if most == 0 && self.broken {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            buf[..most].copy_from_slice(&self.bytes[..most]);
            self.bytes.drain(..most);
            Ok(most)
        }
    }

    impl Source for Slow {
        fn is_ready(&mut self, _limit: Duration) -> io::Result<bool> {
            let silent = self.silences > 0;
            self.silences = self.silences.saturating_sub(1);
            Ok(!silent)
        }
    }

    fn contents(spool: &mut Spool<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        spool.reader(LONG).read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn sample(len: u32) -> Vec<u8> {
        (0..len).map(|n| n.to_be_bytes()[3]).collect()
    }

    #[test]
    fn it_gives_back_what_it_took_however_often() {
        let bytes = sample(400_000);
        for memory in [0, 1, 300_000, 400_000, 1 << 30] {
            for followed in [false, true] {
                let mut source = Slow::new(&bytes);
                let mut spool = Spool::new(&mut source, bounds(memory), false);
                if !followed {
                    spool.receive().unwrap();
                }
                for _ in 0..2 {
                    assert!(contents(&mut spool) == bytes);
                }
                assert!(spool.is_whole());
                assert_eq!(spool.len(), 400_000);
                assert_eq!(spool.place() == "ram", memory >= 400_000);
            }
        }
    }

    #[test]
    fn nothing_is_something_too() {
        let mut source = &b""[..];
        let mut spool = Spool::new(&mut source, bounds(0), false);
        assert!(contents(&mut spool).is_empty());
        assert_eq!((spool.len(), spool.is_whole()), (0, true));
    }

    #[test]
    fn the_sum_of_a_file_is_known_only_where_it_was_asked_for() {
        for (memory, hash, expected) in [
            (4, true, Some(MD5_OF_DIGITS)),
            (4, false, None),
            (40, false, Some(MD5_OF_DIGITS)),
        ] {
            let mut source = &b"0123456789"[..];
            let mut spool = Spool::new(&mut source, bounds(memory), hash);
            assert_eq!(spool.md5(), None);
            spool.receive().unwrap();
            assert_eq!(spool.md5(), expected);
        }
    }

    #[test]
    fn a_source_that_fails_is_told_apart_from_a_disk_that_does() {
        let mut source = Slow {
            broken: true,
            ..Slow::new(b"0123")
        };
        let mut spool = Spool::new(&mut source, bounds(10), false);
        assert!(matches!(spool.receive(), Err(Error::Source(_))));
        let mut source = &b"0123"[..];
        let mut nowhere = bounds(1);
        nowhere.dir = nowhere.dir.join("nanoftpd-no-such-directory");
        let mut spool = Spool::new(&mut source, nowhere, false);
        assert!(matches!(spool.receive(), Err(Error::Broken(_))));
        let mut source = &b"0123"[..];
        let mut narrow = bounds(1);
        narrow.most = 3;
        let mut spool = Spool::new(&mut source, narrow, false);
        assert!(matches!(spool.receive(), Err(Error::TooLarge(_))));
    }

    #[test]
    fn a_disk_that_is_full_is_no_fault_of_ours() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(matches!(unspooled(&kind.into()), Error::Full(_)));
        }
        let denied = io::ErrorKind::PermissionDenied.into();
        assert!(matches!(unspooled(&denied), Error::Broken(_)));
    }

    #[test]
    fn a_follower_stops_at_a_pause_and_another_one_begins_anew() {
        let bytes = sample(5000);
        let mut source = Slow::new(&bytes);
        source.silences = 1;
        let mut spool = Spool::new(&mut source, bounds(10), false);
        assert!(spool.pull().unwrap());
        let mut got = Vec::new();
        spool.reader(LONG).read_to_end(&mut got).unwrap_err();
        assert!(matches!(spool.trouble(), Some(Trouble::Paused)));
        assert!(got == bytes[..1000]);
        let over = Patience {
            until: Some(Instant::now()),
            ..LONG
        };
        spool.reader(over).read_to_end(&mut got).unwrap_err();
        assert!(matches!(spool.trouble(), Some(Trouble::Aged)));
        assert!(contents(&mut spool) == bytes);
        assert!(spool.trouble().is_none());
    }

    #[test]
    fn a_follower_is_not_told_that_a_broken_upload_has_ended() {
        let mut source = Slow {
            broken: true,
            ..Slow::new(b"0123")
        };
        let mut spool = Spool::new(&mut source, bounds(10), false);
        let mut got = Vec::new();
        spool.reader(LONG).read_to_end(&mut got).unwrap_err();
        assert_eq!(got, b"0123");
        let trouble = spool.trouble();
        assert!(matches!(trouble, Some(Trouble::Failed(Error::Source(_)))));
    }

    #[test]
    fn what_stood_before_comes_first() {
        let mut source = &b"56789"[..];
        let mut spool = Spool::new(&mut source, bounds(7), true);
        spool.prepend(&mut &b"01234"[..]).unwrap();
        assert_eq!(contents(&mut spool), b"0123456789");
        assert_eq!(spool.md5(), Some(MD5_OF_DIGITS));
    }

    #[test]
    fn it_leaves_no_name_behind() {
        let dir = std::env::temp_dir().join(format!("nanoftpd-spool-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let mut source = &b"0123"[..];
        let mut own = bounds(1);
        own.dir.clone_from(&dir);
        let mut spool = Spool::new(&mut source, own, false);
        spool.receive().unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        fs::remove_dir(&dir).unwrap();
        assert_eq!(contents(&mut spool), b"0123");
    }
}
