//! Which copy of a file is read, and which one next: they are tried in turn, and when each has failed
//! once the tracker is asked where they are by now.
#![forbid(unsafe_code)]

use super::{Download, PATIENCE, TRIES};
use crate::figures::{self, Event};
use crate::mogilefs::{self, Bytes, Client, Location, Object};
use crate::text::{quoted, quoted_error};

impl Download {
    /// Turns to the copies one after the other, from the current one on, until one gives bytes.
    pub(super) fn reopen(&mut self) -> Result<Bytes, mogilefs::Error> {
        let mut trouble = mogilefs::Error::NoNode("no copy is known".to_owned());
        loop {
            // When each copy has failed once, the tracker may know better.
            let tries = if self.verified { TRIES } else { 1 };
            let most = tries * self.copies.len();
            while self.failures < most && self.last_byte.elapsed() < PATIENCE {
                let Some(location) = self.copies.get(self.copy % self.copies.len()) else {
                    break;
                };
                let nodes = self.client.nodes();
                match nodes.get(location, self.position, self.object.length) {
                    Ok(bytes) => {
                        self.paused = false;
                        if self.given_by.add(location) {
                            self.resumes += 1;
                            figures::count(Event::Resumed);
                        }
                        return Ok(bytes);
                    }
                    Err(mogilefs::Error::Interrupted) => return Err(mogilefs::Error::Interrupted),
                    Err(error) => {
                        log::warn!(
                            "replica-bad fid={} url={} offset={} error={}",
                            self.object.fid,
                            location.url,
                            self.position,
                            quoted_error(&error)
                        );
                        let is_missing = matches!(error, mogilefs::Error::Http(404));
                        self.missing = if is_missing { self.missing + 1 } else { 0 };
                        trouble = error;
                        self.next_copy();
                    }
                }
            }
            if self.verified {
                self.complain_if_missing();
                return Err(trouble);
            }
            match self.ask_again() {
                Ok(()) => {}
                Err(error) if self.replaced => return Err(error),
                Err(mogilefs::Error::Interrupted) => return Err(mogilefs::Error::Interrupted),
                // Nobody knows better: the copies that are known have to do.
                Err(error) => {
                    trouble = error;
                    self.verified = true;
                }
            }
        }
    }

    /// The nodes are well, and none has it: nobody but an operator can do anything about that.
    fn complain_if_missing(&self) {
        if !self.copies.is_empty() && self.missing >= TRIES * self.copies.len() {
            log::error!(
                "replica-missing fid={} copies={} key={}",
                self.object.fid,
                self.copies.len(),
                quoted(&self.spot.key)
            );
        }
    }

    pub(super) fn next_copy(&mut self) {
        figures::count(Event::CopyAgain);
        self.failures += 1;
        self.copy += 1;
    }

    /// Has the tracker ask the nodes which copies are there, and whether it is still the same file.
    fn ask_again(&mut self) -> Result<(), mogilefs::Error> {
        let mut trackers = self.client.trackers()?;
        let now = match trackers.file_info(&self.spot.domain, &self.spot.key) {
            Ok(now) => now,
            Err(error) => {
                self.replaced = error.is("unknown_key");
                return Err(error);
            }
        };
        if now.fid != self.object.fid {
            self.replaced = true;
            return Err(mogilefs::Error::Protocol(format!(
                "replaced by fid {} meanwhile",
                now.fid
            )));
        }
        let paths = trackers.get_paths(&self.spot.domain, &self.spot.key, true)?;
        drop(trackers);
        self.copies = copies(&self.client, &self.object, &paths);
        self.verified = true;
        self.copy = 0;
        self.failures = 0;
        Ok(())
    }
}

/// The copies among `paths` that are of this file. Those on nodes that failed lately come late, and those
/// that are known to be corrupt last. A path that names no fid cannot be trusted to go on where another
/// stopped, so at most one is kept.
pub(super) fn copies(client: &Client, object: &Object, paths: &[String]) -> Vec<Location> {
    let all = || paths.iter().filter_map(|path| Location::parse(path));
    let mut copies: Vec<Location> = all()
        .filter(|location| location.fid == Some(object.fid))
        .collect();
    if copies.is_empty() {
        copies.extend(all().find(|location| location.fid.is_none()));
    }
    let nodes = client.nodes();
    copies.sort_by_key(|copy| (nodes.is_corrupt(copy), nodes.is_shunned(copy.address)));
    copies
}
