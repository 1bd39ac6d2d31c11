//! Bodies on their way: what a node sends, and what it is sent. Neither ends early without an error.
#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ureq::BodyReader;

use super::loan::{Content, Lent};
use super::transport::Tap;

/// So many bytes a node must send within `read_timeout`.
const LEAST: usize = 1024;

/// The bytes of a file, from one node. The end comes after as many as were promised, or it is an
/// error.
pub(crate) struct Bytes {
    pub(super) body: BodyReader<'static>,
    /// The connection, where the rest of the body is what comes from it as it is.
    pub(super) tap: Option<Tap>,
    /// ureq has not seen all of it: it must not use the connection again.
    pub(super) was_tapped: bool,
    pub(super) left: u64,
    pub(super) pace: Pace,
}

/// Why it goes on no more, though the connection does.
fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it is too slow")
}

/// How fast a node is that is not dead: a few bytes now and then would keep every wait short and
/// nobody served.
pub(super) struct Pace {
    /// In so much time it must have sent [`LEAST`] bytes.
    limit: Duration,
    /// How long was waited for it, and what came meanwhile.
    waited: Duration,
    came: usize,
}

impl Pace {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            waited: Duration::ZERO,
            came: 0,
        }
    }

    /// What came after another wait.
    fn add(&mut self, waited: Duration, came: usize) {
        self.waited = self.waited.saturating_add(waited);
        self.came = self.came.saturating_add(came);
        if self.came >= LEAST {
            *self = Self::new(self.limit);
        }
    }

    fn is_too_slow(&self) -> bool {
        self.waited >= self.limit
    }
}

impl Bytes {
    /// Whether the next bytes can be had by [`Bytes::pour`].
    pub(crate) fn can_pour(&self) -> bool {
        self.left > 0 && self.tap.as_ref().is_some_and(Tap::is_clear)
    }

    /// Moves what is there, at most `most` bytes, into `pipe`, which must have room for it. It is
    /// never 0.
    ///
    /// # Errors
    /// As of reading.
    pub(crate) fn pour(&mut self, pipe: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        let Some(tap) = self.tap.as_ref().filter(|tap| tap.is_clear()) else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        if self.pace.is_too_slow() {
            return Err(too_slow());
        }
        let most = usize::try_from(self.left).map_or(most, |left| left.min(most));
        let asked = Instant::now();
        self.was_tapped = true;
        let poured = tap.pour(pipe, most, self.pace.limit)?;
        self.came(asked, poured)?;
        Ok(poured)
    }

    /// So many more came, since they were asked for. Whoever was given them has them: that they took
    /// too long is said next time.
    fn came(&mut self, asked: Instant, count: usize) -> io::Result<()> {
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pace.add(asked.elapsed(), count);
        self.left = self.left.saturating_sub(count as u64);
        Ok(())
    }
}

impl Read for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buf.is_empty() {
            return Ok(0);
        }
        if self.pace.is_too_slow() {
            return Err(too_slow());
        }
        let most = usize::try_from(self.left).map_or(buf.len(), |left| left.min(buf.len()));
        let asked = Instant::now();
        let read = self.body.read(buf.get_mut(..most).unwrap_or_default())?;
        self.came(asked, read)?;
        if self.left == 0 && self.tap.is_some() && !self.was_tapped {
            // The end is there already, and only who has read it can use the connection again.
            let _ = self.body.read(&mut [0]);
        }
        Ok(read)
    }
}

/// A body that keeps the promise of its Content-Length, if there is one: what ends early is an error,
/// since ureq would ask an ended reader for ever.
pub(super) struct Exactly<'a> {
    pub(super) inner: &'a mut dyn Content,
    pub(super) lent: &'a Lent,
    pub(super) left: Option<u64>,
    pub(super) failure: Option<io::Error>,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.left.and_then(|left| usize::try_from(left).ok());
        let most = left.map_or(buf.len(), |left| left.min(buf.len()));
        if most == 0 {
            return Ok(0);
        }
        let lent = self.inner.lend(most).map(|loan| {
            let loan = loan?;
            let count = loan.count;
            self.lent.put(loan).map(|()| count)
        });
        let read = lent.unwrap_or_else(|| self.inner.read(buf.get_mut(..most).unwrap_or_default()));
        let error = match read {
            Ok(0) if self.left.is_some() => io::ErrorKind::UnexpectedEof.into(),
            Ok(read) => {
                self.left = self.left.map(|left| left.saturating_sub(read as u64));
                return Ok(read);
            }
            Err(error) => error,
        };
        self.failure = Some(error);
        Err(io::ErrorKind::Other.into())
    }
}

#[cfg(test)]
mod tests;
