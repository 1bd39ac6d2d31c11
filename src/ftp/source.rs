//! An upload as the store reads it: the data connection, line ends converted in TYPE A, and an end
//! that is believed only when the client is still there to be told what became of it, and has sent
//! what it announced.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::ascii::FromWire;
use super::control::Control;
use super::link::Link;
use crate::store;
use crate::vigil::{self, Verdict};

/// How much of the wire is converted at once.
const BLOCK: usize = 64 * 1024;

/// An upload as the store reads it: `Ok(0)` only when the client has ended it in good order and is
/// still there to be told what became of it.
pub(super) struct Source<'l> {
    link: &'l mut Link,
    control: &'l RefCell<Control>,
    lines: Option<Lines>,
    /// How many bytes the client has promised that have not come.
    owed: u64,
    state: State,
}

/// The client has sent less than it announced.
#[derive(Debug)]
pub(super) struct Short;

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fewer bytes than were announced")
    }
}

impl std::error::Error for Short {}

/// TYPE A: what was converted and not yet read.
struct Lines {
    ascii: FromWire,
    block: Vec<u8>,
    text: Vec<u8>,
    at: usize,
}

#[derive(Clone, Copy)]
enum State {
    Open,
    Ended,
    /// Once it has failed it never seems to have ended well.
    Failed(io::ErrorKind),
}

impl<'l> Source<'l> {
    /// Reads from `link`; line ends are converted if `ascii`. It is no end before `least` bytes.
    pub(super) fn new(
        link: &'l mut Link,
        control: &'l RefCell<Control>,
        ascii: bool,
        least: u64,
    ) -> Self {
        let lines = ascii.then(|| Lines {
            ascii: FromWire::default(),
            block: vec![0; BLOCK],
            text: Vec::with_capacity(BLOCK + 1),
            at: 0,
        });
        Self {
            link,
            control,
            lines,
            owed: least,
            state: State::Open,
        }
    }

    fn read_wire(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.state {
            State::Open => {}
            State::Ended => return Ok(0),
            State::Failed(kind) => return Err(kind.into()),
        }
        let read = self.link.read(buffer);
        self.judge(read)
    }

    /// What came of asking the link for more: its end is believed only when it is one.
    fn judge(&mut self, read: io::Result<usize>) -> io::Result<usize> {
        let ended = match read {
            Ok(0) => self.check_end(),
            other => other,
        };
        match &ended {
            Ok(0) => self.state = State::Ended,
            // An interrupted wait is interrupted again, and must be known for what it is.
            Err(error) if vigil::was_interrupted(error) => {}
            Err(error) => self.state = State::Failed(error.kind()),
            Ok(count) => self.owed = self.owed.saturating_sub(*count as u64),
        }
        ended
    }

    /// A client that is killed closes the data connection as one does that has sent everything; but
    /// it closes the control connection as well. An ABOR may have come together with the end.
    fn check_end(&self) -> io::Result<usize> {
        let mut control = self.control.borrow_mut();
        if control.overhear(self.link.progress()) == Verdict::Leave {
            return Err(io::Error::other(vigil::Interrupted));
        }
        if self.owed > 0 {
            return Err(io::Error::other(Short));
        }
        Ok(0)
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let Some(mut lines) = self.lines.take() else {
            return self.read_wire(buffer);
        };
        let result = self.read_lines(&mut lines, buffer);
        self.lines = Some(lines);
        result
    }
}

impl store::Source for Source<'_> {
    fn is_ready(&mut self, limit: Duration) -> io::Result<bool> {
        let has_text = self.lines.as_ref().is_some_and(|lines| {
            let text = lines.text.get(lines.at..);
            text.is_some_and(|text| !text.is_empty())
        });
        if has_text || !matches!(self.state, State::Open) {
            return Ok(true);
        }
        self.link.is_ready(limit)
    }

    fn pour(&mut self, pipe: BorrowedFd<'_>, most: usize) -> Option<io::Result<usize>> {
        if self.lines.is_some() || !matches!(self.state, State::Open) {
            return None;
        }
        let poured = self.link.pour(pipe, most)?;
        Some(self.judge(poured))
    }
}

impl Source<'_> {
    fn read_lines(&mut self, lines: &mut Lines, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let ready = lines.text.get(lines.at..).unwrap_or_default();
            if !ready.is_empty() {
                let count = (&*ready).read(buffer)?;
                lines.at += count;
                return Ok(count);
            }
            lines.text.clear();
            lines.at = 0;
            let was_open = matches!(self.state, State::Open);
            match self.read_wire(&mut lines.block)? {
                0 if was_open => {
                    lines.ascii.end(&mut lines.text);
                    if lines.text.is_empty() {
                        return Ok(0);
                    }
                }
                0 => return Ok(0),
                count => {
                    let block = lines.block.get(..count).unwrap_or_default();
                    lines.ascii.convert(block, &mut lines.text);
                }
            }
        }
    }
}
