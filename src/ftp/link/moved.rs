//! Bytes that the kernel moves over a data connection by itself: from a file, from a pipe, into one.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

use nix::libc::off_t;

use super::{HEARD_EVERY, Link, UNSENT};
use crate::ftp::Direction;
use crate::ftp::error::Error;
use crate::pipe::{self, Pipe};
use crate::vigil::For;

/// What the kernel holds that it has not sent, of what comes through a pipe, which brings as much at once:
/// with less, each of a few small pieces would have to be waited for.
const UNSENT_PIPED: u32 = 1024 * 1024;

impl Link {
    /// Sends a part of `file` from `offset` on without touching it; how much of it, 0 at its end.
    ///
    /// # Errors
    /// `Refused` (426) where the connection failed, `Failed` where the file did.
    pub(in crate::ftp) fn send_file(
        &mut self,
        file: &File,
        offset: u64,
        len: u64,
    ) -> Result<usize, Error> {
        let count = usize::try_from(len).map_or(HEARD_EVERY, |len| len.min(HEARD_EVERY));
        if count == HEARD_EVERY {
            self.keep_lean(UNSENT);
        }
        let granted = self.flow.grant(Direction::Down, count);
        let count = granted.map_err(|error| Error::data(&error))?;
        let mut at = off_t::try_from(offset)
            .map_err(|_| Error::failed(451, "Storage error", "offset out of range"))?;
        let sent = self.attempt(For::Writing, |wire| {
            pipe::send(wire.socket(), file, &mut at, count)
        });
        let sent = sent.map_err(|error| Error::data(&error))?;
        let sent = sent.map_err(|error| Error::body(&error))?;
        self.passed(sent);
        Ok(sent)
    }

    /// Sends `bytes`, which are all that there is, so that they go together with the end; how many of them
    /// went now.
    ///
    /// # Errors
    /// `Refused` (426): the connection failed.
    pub(in crate::ftp) fn send_last(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        /// What is less, the end in the same packet, a kernel does not acknowledge before it is read; by
        /// itself, at once.
        const SEGMENT: usize = 1024;
        let granted = self.flow.grant(Direction::Down, bytes.len());
        let most = granted.map_err(|error| Error::data(&error))?;
        let bytes = bytes.get(..most).unwrap_or_default();
        let sent = self.attempt(For::Writing, |wire| match bytes.len() {
            ..SEGMENT => wire.write(bytes),
            _ => wire.write_before_end(bytes),
        });
        let sent = sent.map_err(|error| Error::data(&error))?;
        self.passed(sent);
        Ok(sent)
    }

    /// Moves what is there, at most `most` bytes, into `pipe`, which must have room, without
    /// touching it; 0 at the end. `None`: the kernel cannot open what is sealed or packed.
    pub(in crate::ftp) fn pour(
        &mut self,
        pipe: BorrowedFd<'_>,
        most: usize,
    ) -> Option<io::Result<usize>> {
        if !self.is_plain() {
            return None;
        }
        let most = match self.flow.grant(Direction::Up, most) {
            Ok(most) => most,
            Err(error) => return Some(Err(error)),
        };
        let mut has_waited = false;
        let poured = self.attempt(For::Reading, |wire| {
            let is_there = std::mem::replace(&mut has_waited, true);
            pipe::pour(wire.socket(), pipe, most, is_there)
        });
        Some(poured.inspect(|count| self.passed(*count)))
    }

    /// Sends the `count` bytes that are in `pipe` without touching them.
    ///
    /// # Errors
    /// What the connection says; what is left in the pipe is lost.
    pub(in crate::ftp) fn drain(&mut self, pipe: &Pipe, count: usize) -> io::Result<()> {
        self.keep_lean(UNSENT_PIPED);
        let mut left = count;
        while left > 0 {
            let most = self.flow.grant(Direction::Down, left)?;
            let sent = self.attempt(For::Writing, |wire| pipe.empty(wire.socket(), most))?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.passed(sent);
            left = left.saturating_sub(sent);
        }
        Ok(())
    }
}
