//! The bytes of one file, from whichever of its copies can be read. When a node fails midway
//! another one goes on at the same byte: the bytes of a fid never change, and a path whose fid is
//! another is not used.
#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};

use copies::copies;

use super::givers::Givers;
use super::layout::Spot;
use crate::mogilefs::{self, Bytes, Client, Location, Object};
use crate::store::{Error, Replaced, Source};
use crate::text::{quoted, quoted_error};
use crate::vigil;

mod copies;

/// How much is waited for when a file is opened, in bytes, at most.
const FIRST: usize = 16 * 1024;

/// How often each copy may fail before another byte has come.
const TRIES: usize = 3;

/// After how many bytes the failures before them are forgotten.
const PROGRESS: u64 = 1024 * 1024;

/// How long a file may give no byte, whatever is tried.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node closes a connection that is not read for 30 s. That is no fault of it.
const PAUSE: Duration = Duration::from_secs(25);

/// A file being read.
pub(super) struct Download {
    client: Client,
    spot: Spot,
    object: Object,
    copies: Vec<Location>,
    /// Whether the tracker has asked the nodes for these copies already.
    verified: bool,
    /// It is another file by now, or none.
    replaced: bool,
    /// How many copies in a row were not where they should be.
    missing: usize,
    /// The copy that is read, or the one to be tried next.
    copy: usize,
    bytes: Option<Bytes>,
    /// Bytes that came while the file was opened, still to be given.
    first: Vec<u8>,
    /// The first byte that was wanted, and the next.
    offset: u64,
    position: u64,
    /// Where the failures are counted from.
    since: u64,
    failures: usize,
    last_byte: Instant,
    /// Whether the client has let the current connection wait for longer than nodes do. What had come
    /// before its end is still read from it.
    paused: bool,
    /// Of what has been given, where the whole is given and its sum is known.
    hash: Option<Md5>,
    /// The copies that gave some of it, each once.
    given_by: Givers,
    begun: Instant,
    first_byte: Duration,
    /// How often another connection went on, and how often only because the client had paused.
    resumes: u32,
    stall_resumes: u32,
}

impl Download {
    /// Begins at byte `offset`, which lies before the end of the file, and waits for the first bytes:
    /// as long as none has come, nobody has been promised any. `paths` are what the tracker named.
    /// `None`: it is another file by now, or none.
    pub(super) fn begin(
        client: Client,
        spot: Spot,
        object: Object,
        paths: &[String],
        offset: u64,
    ) -> Result<Option<Self>, Error> {
        let hash = object.md5.filter(|_| offset == 0).map(|_| Md5::new());
        let mut download = Self {
            copies: copies(&client, &object, paths),
            client,
            spot,
            object,
            verified: false,
            replaced: false,
            missing: 0,
            copy: 0,
            bytes: None,
            first: Vec::new(),
            offset,
            position: offset,
            since: offset,
            failures: 0,
            last_byte: Instant::now(),
            paused: false,
            hash,
            given_by: Givers::default(),
            begun: Instant::now(),
            first_byte: Duration::ZERO,
            resumes: 0,
            stall_resumes: 0,
        };
        let mut block = vec![0; FIRST];
        let mut filled = download.fill(&mut block);
        while matches!(filled, Err(mogilefs::Error::Corrupt(_))) && download.begin_anew() {
            filled = download.fill(&mut block);
        }
        match filled {
            Ok(read) => {
                block.truncate(read);
                download.first = block;
                download.first_byte = download.begun.elapsed();
                Ok(Some(download))
            }
            Err(mogilefs::Error::Interrupted) => Err(Error::Interrupted),
            Err(_) if download.replaced => Ok(None),
            Err(error @ mogilefs::Error::Corrupt(_)) => Err(Error::Broken(error.to_string())),
            Err(error) => Err(Error::Unavailable(format!(
                "fid {}: {error}",
                download.object.fid
            ))),
        }
    }

    /// Turns to a copy that has given nothing yet, of a file that was wrong as a whole, of which nobody has
    /// been given any; whether there is one.
    fn begin_anew(&mut self) -> bool {
        self.next_copy();
        (self.bytes, self.hash) = (None, Some(Md5::new()));
        self.given_by = Givers::default();
        self.position = self.offset;
        self.failures < self.copies.len()
    }

    /// The next bytes, from whichever copy; none only at the end of the file.
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize, mogilefs::Error> {
        if buf.is_empty() || self.position >= self.object.length {
            return Ok(0);
        }
        self.begin_step();
        let read = self.read_some(buf)?;
        self.position += read as u64;
        self.verify(buf.get(..read).unwrap_or_default())?;
        self.end_step();
        Ok(read)
    }

    /// A client that took its time is not a file that gave nothing.
    fn begin_step(&mut self) {
        self.paused |= self.last_byte.elapsed() > PAUSE;
        self.last_byte = Instant::now();
    }

    fn end_step(&mut self) {
        if self.position - self.since >= PROGRESS {
            self.since = self.position;
            self.failures = 0;
            // There may be other copies when the next trouble comes.
            self.verified = false;
        }
        self.last_byte = Instant::now();
    }

    /// Compares the sum of the whole with what the tracker has: the last bytes of what is wrong are
    /// not given.
    fn verify(&mut self, bytes: &[u8]) -> Result<(), mogilefs::Error> {
        let Some(hash) = &mut self.hash else {
            return Ok(());
        };
        hash.update(bytes);
        if self.position < self.object.length {
            return Ok(());
        }
        let sum: [u8; 16] = hash.clone().finalize().into();
        if self.object.md5 == Some(sum) {
            return Ok(());
        }
        log::error!(
            "replica-corrupt fid={} copies={} key={}",
            self.object.fid,
            self.given_by,
            quoted(&self.spot.key)
        );
        // Whoever comes again is given another one.
        if let Some(device) = self.given_by.only_device() {
            self.client.nodes().corrupt(self.object.fid, device);
        }
        Err(mogilefs::Error::Corrupt(
            "the MD5 is not that of the file".to_owned(),
        ))
    }

    /// Reads from the current copy, or from the next one that has more.
    fn read_some(&mut self, buf: &mut [u8]) -> Result<usize, mogilefs::Error> {
        loop {
            let mut bytes = match self.bytes.take() {
                Some(bytes) => bytes,
                None => self.reopen()?,
            };
            match bytes.read(buf) {
                Ok(read) => {
                    self.bytes = Some(bytes);
                    return Ok(read);
                }
                Err(error) => self.broke(&error)?,
            }
        }
    }

    /// The current copy gives no more; an error if that is nobody's fault.
    fn broke(&mut self, error: &io::Error) -> Result<(), mogilefs::Error> {
        if vigil::was_interrupted(error) {
            return Err(mogilefs::Error::Interrupted);
        }
        if std::mem::take(&mut self.paused) {
            self.stall_resumes += 1;
            log::debug!(
                "replica-resumed fid={} error={}",
                self.object.fid,
                quoted_error(error)
            );
            return Ok(());
        }
        if let Some(copy) = self.copies.get(self.copy % self.copies.len().max(1)) {
            log::warn!(
                "replica-broke fid={} url={} offset={} error={}",
                self.object.fid,
                copy.url,
                self.position,
                quoted_error(error)
            );
            self.client.nodes().blame(copy.address);
        }
        self.next_copy();
        Ok(())
    }

    fn told(&self, error: mogilefs::Error) -> io::Error {
        match error {
            mogilefs::Error::Interrupted => io::Error::other(vigil::Interrupted),
            _ if self.replaced => io::Error::other(Replaced),
            error => io::Error::other(format!(
                "fid {} at {}: {error}",
                self.object.fid, self.position
            )),
        }
    }
}

/// What has been given, for the log.
impl Drop for Download {
    fn drop(&mut self) {
        log::info!(
            "download-ended fid={} bytes={} offset={} of={} copies={} resumes={} stall_resumes={} \
             ttfb_ms={}",
            self.object.fid,
            self.position - self.offset,
            self.offset,
            self.object.length,
            self.given_by,
            self.resumes,
            self.stall_resumes,
            self.first_byte.as_millis()
        );
    }
}

impl Read for Download {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.first.is_empty() {
            let read = self.first.as_slice().read(buf)?;
            self.first.drain(..read);
            return Ok(read);
        }
        self.fill(buf).map_err(|error| self.told(error))
    }
}

impl Source for Download {
    fn pour(&mut self, pipe: BorrowedFd<'_>, most: usize) -> Option<io::Result<usize>> {
        if self.hash.is_some() || !self.first.is_empty() {
            return None;
        }
        let mut bytes = self.bytes.take_if(|bytes| bytes.can_pour())?;
        self.begin_step();
        match bytes.pour(pipe, most) {
            Ok(poured) => {
                self.bytes = Some(bytes);
                self.position += poured as u64;
                self.end_step();
                Some(Ok(poured))
            }
            // Whoever reads on is given another copy.
            Err(error) => match self.broke(&error) {
                Ok(()) => None,
                Err(error) => Some(Err(self.told(error))),
            },
        }
    }
}

#[cfg(test)]
mod tests;
