//! A long upload on its way into a file of the kernel: moved through a pipe, without being touched. Knows no
//! names and no trees.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;

use super::Source;
use crate::pipe::Pipe;

/// After so many bytes it is worth the four system calls of a pipe.
pub(super) const LONG: u64 = 1024 * 1024;

/// What the pipe holds; a smaller one would cost more than it saves.
const PIPE: usize = 1024 * 1024;

/// How what comes next of one upload gets into its file.
pub(super) struct Inflow(Way);

enum Way {
    Unknown,
    Pipe(Pipe),
    /// It has to be read.
    None,
}

impl Inflow {
    pub(super) fn new() -> Self {
        Self(Way::Unknown)
    }

    /// For what is to be looked at: it moves nothing.
    pub(super) fn none() -> Self {
        Self(Way::None)
    }

    /// Takes some of what `source` gives; how much, 0 at the end. It is in no file before
    /// [`Inflow::store`] has put it there. `None`: what comes next has to be read.
    pub(super) fn take(&mut self, source: &mut dyn Source) -> Option<io::Result<usize>> {
        if matches!(self.0, Way::Unknown) {
            self.0 = Pipe::open(PIPE).map_or(Way::None, Way::Pipe);
        }
        match &self.0 {
            Way::Pipe(pipe) => source.pour(pipe.mouth(), PIPE),
            Way::Unknown | Way::None => None,
        }
    }

    /// Puts the `count` bytes that were taken to where `file` stands, through `block` only where that cannot
    /// be helped.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn store(&mut self, file: &File, count: usize, block: &mut [u8]) -> io::Result<()> {
        let Way::Pipe(pipe) = &self.0 else {
            return Err(io::Error::other("nothing was taken"));
        };
        if !pipe.empty_into(file, count, block)? {
            self.0 = Way::None;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod trials {
    use std::io::{Read, Write};
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::net::UnixStream;
    use std::thread::{self, JoinHandle};

    use super::*;
    use crate::pipe::pour;
    use crate::vigil::{self, For};

    /// A socket from which bytes come, and how often it was poured.
    pub(in crate::store) struct Socket {
        stream: UnixStream,
        pub(in crate::store) poured: usize,
    }

    impl Socket {
        /// One from which `bytes` come. Whoever sends them ends when nobody takes any more.
        pub(in crate::store) fn of(bytes: &[u8]) -> (Self, JoinHandle<()>) {
            let (mut near, stream) = UnixStream::pair().unwrap();
            let bytes = bytes.to_vec();
            let sender = thread::spawn(move || drop(near.write_all(&bytes)));
            (Self { stream, poured: 0 }, sender)
        }
    }

    impl Read for Socket {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.stream.read(buffer)
        }
    }

    impl Source for Socket {
        fn pour(&mut self, pipe: BorrowedFd<'_>, most: usize) -> Option<io::Result<usize>> {
            self.poured += 1;
            let waited = vigil::wait(self.stream.as_fd(), For::Reading, None);
            Some(waited.and_then(|()| pour(&self.stream, pipe, most, true)))
        }
    }
}
