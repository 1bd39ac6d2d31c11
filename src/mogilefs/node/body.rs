//! Bodies on their way: what a node sends, and what it is sent. Neither ends early without an error.
#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ureq::BodyReader;

/// So many bytes a node must send within `read_timeout`.
const LEAST: usize = 1024;

/// The bytes of a file, from one node. The end comes after as many as were promised, or it is an
/// error.
pub(crate) struct Bytes {
    pub(super) body: BodyReader<'static>,
    pub(super) left: u64,
    pub(super) pace: Pace,
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

    /// What came after another wait; whether that is too slow.
    fn is_too_slow(&mut self, waited: Duration, came: usize) -> bool {
        self.waited = self.waited.saturating_add(waited);
        self.came = self.came.saturating_add(came);
        if self.came >= LEAST {
            *self = Self::new(self.limit);
        }
        self.waited >= self.limit
    }
}

impl Read for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(buf.len(), |left| left.min(buf.len()));
        let asked = Instant::now();
        let read = self.body.read(buf.get_mut(..most).unwrap_or_default())?;
        if self.pace.is_too_slow(asked.elapsed(), read) && self.left > read as u64 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it is too slow"));
        }
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        if self.left == 0 {
            // The end is there already, and only who has read it can use the connection again.
            let _ = self.body.read(&mut [0]);
        }
        Ok(read)
    }
}

/// A body that keeps the promise of its Content-Length, if there is one: what ends early is an error,
/// since ureq would ask an ended reader for ever.
pub(super) struct Exactly<'a> {
    pub(super) inner: &'a mut dyn Read,
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
        let error = match self.inner.read(buf.get_mut(..most).unwrap_or_default()) {
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
mod tests {
    use super::*;

    #[test]
    fn a_node_that_sends_a_byte_now_and_then_is_too_slow() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(20 * second);
        for _ in 0..19 {
            assert!(!pace.is_too_slow(second, 1));
        }
        assert!(pace.is_too_slow(second, 1));
        let mut pace = Pace::new(20 * second);
        for _ in 0..100 {
            assert!(!pace.is_too_slow(second, LEAST / 10));
        }
    }
}
