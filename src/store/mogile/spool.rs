//! Where an upload waits: in memory while it is small, in a file that has no name once it is not.
//! It has one writer, which takes from the client, and readers that begin at its first byte, as
//! often as it takes; a reader may follow the writer while the upload still comes.
#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};

use crate::mogilefs::{Content, Loan};
use crate::store::inflow::{Inflow, LONG};
use crate::store::{Error, Source};
use crate::vigil;

mod kept;

pub(super) use kept::Kept;
use kept::Place;
pub use kept::Room;
pub(crate) use kept::nameless;

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

/// An upload, as far as it has come.
pub(super) struct Spool<'s> {
    /// `None`: it has all come.
    source: Option<&'s mut dyn Source>,
    bounds: Bounds,
    kept: Kept,
    len: u64,
    hash: Option<Md5>,
    block: Vec<u8>,
    /// By which what comes gets into a file without being read.
    inflow: Inflow,
    trouble: Option<Trouble>,
    begun: Instant,
    took: Duration,
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
            kept: Kept::new(bounds.room.take()),
            bounds,
            len: 0,
            hash: hash.then(Md5::new),
            block: vec![0; FIRST],
            // Of what is not read there is no sum.
            inflow: if hash { Inflow::none() } else { Inflow::new() },
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
        let taken = self
            .pour(&mut block)
            .unwrap_or_else(|| self.take(&mut block));
        if self.len >= FIRST as u64 && block.len() < BLOCK {
            block = vec![0; BLOCK];
        }
        self.block = block;
        taken.map(|count| count > 0)
    }

    /// Moves some of what the source gives into the file; how much, 0 at the end. `None`: it has to be
    /// read, or it is not so much that there is a file.
    fn pour(&mut self, block: &mut [u8]) -> Option<Result<usize, Error>> {
        let Place::File(file) = &self.kept.place else {
            return None;
        };
        let file = Arc::clone(file);
        let source = self.source.as_mut().filter(|_| self.len >= LONG)?;
        let taken = self.inflow.take(*source)?.map_err(Error::Source);
        Some(taken.and_then(|count| {
            if count == 0 {
                self.end();
                return Ok(0);
            }
            self.grow(count)?;
            let stored = self.inflow.store(&file, count, block);
            stored.map_err(|error| unspooled(&error))?;
            self.len = self.len.saturating_add(count as u64);
            Ok(count)
        }))
    }

    /// Reads some of what the source gives, into `block`, too; how much, 0 at the end.
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
        if read == 0 {
            self.end();
        } else {
            self.add(block.get(..read).unwrap_or(block))?;
        }
        Ok(read)
    }

    /// It has all come.
    fn end(&mut self) {
        self.source = None;
        self.took = self.begun.elapsed();
    }

    /// Whether there may be so much more; if so, whether that is too much for the memory.
    fn grow(&mut self, count: usize) -> Result<bool, Error> {
        let len = self.len.saturating_add(count as u64);
        if len > self.bounds.most {
            let why = format!("it gets larger than {} bytes", self.bounds.most);
            return Err(Error::TooLarge(why));
        }
        let is_large = len > self.bounds.memory;
        if is_large {
            self.kept.lease(len)?;
        }
        Ok(is_large)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let is_large = self.grow(bytes.len())?;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        let dir = is_large.then_some(self.bounds.dir.as_path());
        let added = self.kept.add(bytes, dir);
        added.map_err(|error| unspooled(&error))?;
        self.len = self.len.saturating_add(bytes.len() as u64);
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
        match self.kept.place {
            Place::Memory(_) => "ram",
            Place::File(_) => "disk",
        }
    }

    /// The MD5 of the whole, if it is known or cheap to find out.
    pub(super) fn md5(&self) -> Option<[u8; 16]> {
        let hash = self.hash.clone().filter(|_| self.is_whole());
        match &self.kept.place {
            _ if hash.is_some() => hash.map(|hash| hash.finalize().into()),
            Place::Memory(bytes) if self.is_whole() => Some(Md5::digest(bytes).into()),
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

    /// Waits until there is more, or that was all.
    fn wait(&mut self, patience: Patience) -> Result<(), Trouble> {
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
        Ok(())
    }
}

/// See [`Spool::reader`].
pub(super) struct Reader<'r, 's> {
    spool: &'r mut Spool<'s>,
    at: u64,
    patience: Patience,
}

impl Reader<'_, '_> {
    /// Whether it has come to what has not come.
    fn follows(&self) -> bool {
        self.at >= self.spool.len && !self.spool.is_whole()
    }

    /// There is no more to be had, for this reader.
    fn stopped(&mut self, trouble: Trouble) -> io::Error {
        self.spool.trouble = Some(trouble);
        io::Error::other("the upload does not go on")
    }
}

impl Content for Reader<'_, '_> {
    fn lend(&mut self, most: usize) -> Option<io::Result<Loan>> {
        if !matches!(self.spool.kept.place, Place::File(_)) {
            return None;
        }
        if self.follows() {
            let waited = self.spool.wait(self.patience);
            if let Err(trouble) = waited.and_then(|()| self.spool.pull().map_err(Trouble::Failed)) {
                return Some(Err(self.stopped(trouble)));
            }
        }
        let left = self.spool.len.saturating_sub(self.at);
        let count = usize::try_from(left).map_or(most, |left| left.min(most));
        let Place::File(file) = &self.spool.kept.place else {
            return None;
        };
        let loan = (count > 0).then(|| Loan {
            file: Arc::clone(file),
            offset: self.at,
            count,
        })?;
        self.at += count as u64;
        Some(Ok(loan))
    }
}

impl Read for Reader<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.follows() {
            let waited = self.spool.wait(self.patience);
            let taken = waited.and_then(|()| self.spool.take(buf).map_err(Trouble::Failed));
            let read = taken.map_err(|trouble| self.stopped(trouble))?;
            self.at += read as u64;
            return Ok(read);
        }
        let read = match &self.spool.kept.place {
            Place::File(file) => file.read_at(buf, self.at)?,
            Place::Memory(bytes) => {
                let at = usize::try_from(self.at).unwrap_or(usize::MAX);
                bytes.get(at..).unwrap_or_default().read(buf)?
            }
        };
        self.at += read as u64;
        Ok(read)
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
