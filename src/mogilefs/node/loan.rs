//! Bytes of a body that stay where they lie, in a file: ureq is told how many they are and counts them, and
//! the connection has the kernel send them from there.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a node is to be sent.
pub(crate) trait Content: Read {
    /// Where the next bytes lie, at most `most` and at least one, instead of reading them; they are not
    /// to be changed before the node has answered. Otherwise as [`Read::read`]. `None`: what comes next
    /// has to be read.
    fn lend(&mut self, _most: usize) -> Option<io::Result<Loan>> {
        None
    }
}

impl Content for &[u8] {}

/// So many bytes of a file, from an offset on.
#[derive(Debug)]
pub(crate) struct Loan {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) count: usize,
}

/// The loan that an agent sends next. Whoever reads a body and whoever sends it see the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Lent(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    loan: Option<Loan>,
    /// What the file said when it was to be sent.
    failure: Option<io::Error>,
}

impl Lent {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next that is sent.
    ///
    /// # Errors
    /// The one before has not been sent: what was put in its place would be.
    pub(super) fn put(&self, loan: Loan) -> io::Result<()> {
        match self.state().loan.replace(loan) {
            None => Ok(()),
            Some(_) => Err(io::Error::other("bytes were lent that nobody has sent")),
        }
    }

    pub(super) fn take(&self) -> Option<Loan> {
        self.state().loan.take()
    }

    /// The file could not be read.
    pub(super) fn fail(&self, error: io::Error) {
        self.state().failure = Some(error);
    }

    /// Lends nothing any more; what the file said, if it could not be read.
    pub(super) fn end(&self) -> Option<io::Error> {
        let state = std::mem::take(&mut *self.state());
        state.failure
    }
}
