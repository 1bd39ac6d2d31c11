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

/// How much is taken from the source at once, in bytes: of what may be short, and of what is not.
const FIRST: usize = 16 * 1024;
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
    kept: Kept,
    len: u64,
    hash: Option<Md5>,
    block: Vec<u8>,
    trouble: Option<Trouble>,
    begun: Instant,
    took: Duration,
}

/// What an upload takes up. To give it back takes as long as it is large.
pub(super) struct Kept {
    content: Content,
    /// In megabytes.
    leased: u32,
    room: Option<Rc<dyn Room>>,
}

enum Content {
    Memory(Vec<u8>),
    File(File),
}

impl Default for Content {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(room) = self.room.as_ref().filter(|_| self.leased > 0) {
            // There is room again when it is gone.
            drop(std::mem::take(&mut self.content));
            room.give(self.leased);
        }
    }
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
    pub(super) fn new(source: &'s mut dyn Source, mut bounds: Bounds, hash: bool) -> Self {
        Self {
            source: Some(source),
            kept: Kept {
                content: Content::default(),
                leased: 0,
                room: bounds.room.take(),
            },
            bounds,
            len: 0,
            hash: hash.then(Md5::new),
            block: vec![0; FIRST],
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
        let mut block = std::mem::take(&mut self.block);
        let taken = self.take(&mut block);
        if self.len >= FIRST as u64 && block.len() < BLOCK {
            block = vec![0; BLOCK];
        }
        self.block = block;
        taken.map(|count| count > 0)
    }

    /// The same, into `block`, too; how much, 0 at the end.
    fn take(&mut self, block: &mut [u8]) -> Result<usize, Error> {
        let Some(source) = &mut self.source else {
            return Ok(0);
        };
        let read = loop {
            match source.read(block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(Error::Source)?,
            }
        };
        match block.get(..read) {
            None | Some([]) => {
                self.source = None;
                self.took = self.begun.elapsed();
            }
            Some(bytes) => self.add(bytes)?,
        }
        Ok(read)
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
        self.kept
            .content
            .add(bytes, len > self.bounds.memory, &self.bounds)
            .map_err(|error| unspooled(&error))?;
        self.len = len;
        Ok(())
    }

    /// Asks for the room that `len` bytes take.
    fn lease(&mut self, len: u64) -> Result<(), Error> {
        let Kept { leased, room, .. } = &mut self.kept;
        let Some(room) = room else {
            return Ok(());
        };
        while u64::from(*leased) << 20 < len {
            let taken = match room.take(LEASE)? {
                true => LEASE,
                false if room.take(1)? => 1,
                false => {
                    let why = "all uploads together have reached spool_max".to_owned();
                    return Err(Error::TooLarge(why));
                }
            };
            *leased = leased.saturating_add(taken);
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
        match self.kept.content {
            Content::Memory(_) => "ram",
            Content::File(_) => "disk",
        }
    }

    /// The MD5 of the whole, if it is known or cheap to find out.
    pub(super) fn md5(&self) -> Option<[u8; 16]> {
        let hash = self.hash.clone().filter(|_| self.is_whole());
        match &self.kept.content {
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

    /// What it took up, for whoever has the time to give it back.
    pub(super) fn into_kept(self) -> Kept {
        self.kept
    }

    /// Waits for more, which goes into `block`, too; how much, 0 if there is none.
    fn follow(&mut self, block: &mut [u8], patience: Patience) -> Result<usize, Trouble> {
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
        self.take(block).map_err(Trouble::Failed)
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
        if buf.is_empty() {
            return Ok(0);
        }
        if self.at >= self.spool.len && !self.spool.is_whole() {
            return match self.spool.follow(buf, self.patience) {
                Ok(read) => {
                    self.at += read as u64;
                    Ok(read)
                }
                Err(trouble) => {
                    self.spool.trouble = Some(trouble);
                    Err(io::Error::other("the upload does not go on"))
                }
            };
        }
        let read = match &self.spool.kept.content {
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
mod tests;
