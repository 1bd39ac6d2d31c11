//! Whether a client that is slow still moves. Knows no sockets.
#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

/// How what the client's kernel has yet to acknowledge becomes less.
pub(super) struct Ebb {
    /// The least there was; `None`: it has not been looked at.
    left: Option<usize>,
    since: Instant,
}

impl Ebb {
    pub(super) fn begin() -> Self {
        Self {
            left: None,
            since: Instant::now(),
        }
    }

    /// Looks at the bytes that are `left` now.
    ///
    /// # Errors
    /// `TimedOut`: nothing of them has gone for `stall`.
    pub(super) fn goes_on(&mut self, left: usize, stall: Duration) -> io::Result<()> {
        match self.left {
            // What went before that nobody knows: it is no sign of going on.
            None => self.left = Some(left),
            Some(least) if left < least => (self.left, self.since) = (Some(left), Instant::now()),
            Some(_) if self.since.elapsed() >= stall => return Err(io::ErrorKind::TimedOut.into()),
            Some(_) => {}
        }
        Ok(())
    }
}
