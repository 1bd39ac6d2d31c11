//! Bytes on their way between a store and whoever takes or gives them. Knows neither what they are nor
//! where they go.
#![forbid(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// The bytes of a file, from the offset that was asked for to its end.
pub enum Body {
    /// A file of the kernel, which can be sent with sendfile(2): the file, the offset at which to
    /// begin, and the number of bytes to send.
    File(File, u64, u64),
    /// Bytes that come from elsewhere: the reader and the number of bytes that it will give. The
    /// reader's `Ok(0)` before that number is an error of the store.
    Stream(Box<dyn Source>, u64),
}

impl Body {
    /// How many bytes there are to send.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::File(_, _, len) | Self::Stream(_, len) => *len,
        }
    }

    /// No more than the first so many bytes of it.
    #[must_use]
    pub fn first(self, most: u64) -> Self {
        match self {
            Self::File(file, offset, len) => Self::File(file, offset, len.min(most)),
            Self::Stream(reader, len) if len > most => {
                Self::Stream(Box::new(reader.take(most)), most)
            }
            whole => whole,
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bytes on their way: those of an upload from a client, those of a file from a store.
pub trait Source: Read {
    /// Waits until something can be read, be it the end or an error, at most `limit` long; whether
    /// that is so.
    ///
    /// # Errors
    /// The wait was ended by a bystander.
    fn is_ready(&mut self, _limit: Duration) -> io::Result<bool> {
        Ok(true)
    }

    /// Moves what is there, at most `most` bytes, into `pipe`, which must have room for it, without
    /// bringing it into this process: the kernel does the rest. Otherwise as [`Read::read`].
    /// `None`: what comes next has to be read.
    fn pour(&mut self, _pipe: BorrowedFd<'_>, _most: usize) -> Option<io::Result<usize>> {
        None
    }
}

impl Source for &[u8] {}
impl Source for File {}
impl Source for io::Empty {}
impl Source for io::Cursor<Vec<u8>> {}

impl Source for Box<dyn Source> {
    fn is_ready(&mut self, limit: Duration) -> io::Result<bool> {
        (**self).is_ready(limit)
    }

    fn pour(&mut self, pipe: BorrowedFd<'_>, most: usize) -> Option<io::Result<usize>> {
        (**self).pour(pipe, most)
    }
}

impl<S: Source> Source for io::Take<S> {
    fn is_ready(&mut self, limit: Duration) -> io::Result<bool> {
        if self.limit() == 0 {
            return Ok(true);
        }
        self.get_mut().is_ready(limit)
    }

    fn pour(&mut self, pipe: BorrowedFd<'_>, most: usize) -> Option<io::Result<usize>> {
        let left = self.limit();
        let most = usize::try_from(left).map_or(most, |left| left.min(most));
        if most == 0 {
            return Some(Ok(0));
        }
        let poured = self.get_mut().pour(pipe, most)?;
        let count = poured.as_ref().map_or(0, |count| *count as u64);
        self.set_limit(left.saturating_sub(count));
        Some(poured)
    }
}

/// Why reading a file ended early: it is another file by now. Found inside an `io::Error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced;

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was replaced meanwhile")
    }
}

impl std::error::Error for Replaced {}
