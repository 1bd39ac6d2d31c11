//! What an upload takes up while it waits: memory, or a file and the room that was asked for it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use nix::libc::O_TMPFILE;

use crate::store::Error;

/// Room for what does not stay in memory, which all processes share.
pub trait Room {
    /// Whether a spool may have so much more.
    ///
    /// # Errors
    /// Nobody can be asked.
    fn take(&self, megabytes: u32) -> Result<bool, Error>;

    /// It needs so much no more.
    fn give(&self, megabytes: u32);

    /// How much there is for all of them together, in megabytes.
    fn whole(&self) -> u64;
}

/// So much room is asked for at once, in megabytes; less when that is refused.
pub(super) const LEASE: u32 = 16;

/// What has come of an upload. To give it back takes as long as it is large.
pub(in crate::store::mogile) struct Kept {
    pub(super) place: Place,
    /// In megabytes.
    leased: u32,
    room: Option<Rc<dyn Room>>,
}

pub(super) enum Place {
    Memory(Vec<u8>),
    /// Shared with whoever is just sending some of it.
    File(Arc<File>),
}

impl Kept {
    /// Nothing yet. A file has as much as `room` gives it, or as it likes.
    pub(super) fn new(room: Option<Rc<dyn Room>>) -> Self {
        Self {
            place: Place::Memory(Vec::new()),
            leased: 0,
            room,
        }
    }

    /// Asks for the room that `len` bytes take.
    ///
    /// # Errors
    /// `TooLarge`: all the room there is would not do; `Full`: what is left of it does not; and those of
    /// the room.
    pub(super) fn lease(&mut self, len: u64) -> Result<(), Error> {
        let Some(room) = &self.room else {
            return Ok(());
        };
        while u64::from(self.leased) << 20 < len {
            let had = self.leased;
            for more in [LEASE, 1] {
                // Who does not hear the answer may have been given it, and gives it back.
                self.leased = had.saturating_add(more);
                if room.take(more)? {
                    break;
                }
                self.leased = had;
            }
            if self.leased == had {
                return Err(match u64::from(had) < room.whole() {
                    true => Error::Full("all uploads together have reached spool_max".to_owned()),
                    false => Error::TooLarge("it gets larger than spool_max".to_owned()),
                });
            }
        }
        Ok(())
    }

    /// Puts `bytes` behind what is there, all of it in a file in `dir`, if there is one.
    ///
    /// # Errors
    /// What the file says.
    pub(super) fn add(&mut self, bytes: &[u8], dir: Option<&Path>) -> io::Result<()> {
        match (&mut self.place, dir) {
            (Place::File(file), _) => (&**file).write_all(bytes)?,
            (Place::Memory(memory), None) => memory.extend_from_slice(bytes),
            (Place::Memory(memory), Some(dir)) => {
                let mut file = nameless(dir)?;
                file.write_all(memory)?;
                file.write_all(bytes)?;
                self.place = Place::File(Arc::new(file));
            }
        }
        Ok(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(room) = self.room.as_ref().filter(|_| self.leased > 0) {
            // There is room again when it is gone.
            self.place = Place::Memory(Vec::new());
            room.give(self.leased);
        }
    }
}

/// A file in `dir` that vanishes with its last descriptor, whatever becomes of the process.
///
/// # Errors
/// What the kernel says.
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
