//! How far a transfer is.

use std::cell::Cell;
use std::time::Instant;

use super::reply::Reply;

/// For STAT and for the log.
#[derive(Debug)]
pub(super) struct Progress {
    verb: &'static str,
    name: Vec<u8>,
    total: Cell<Option<u64>>,
    moved: Cell<u64>,
    begun: Instant,
}

impl Progress {
    /// Nothing yet of what `verb` transfers under `name`.
    pub(super) fn new(verb: &'static str, name: &[u8]) -> Self {
        Self {
            verb,
            name: name.to_vec(),
            total: Cell::new(None),
            moved: Cell::new(0),
            begun: Instant::now(),
        }
    }

    /// How many bytes there are in all.
    pub(super) fn expect(&self, total: u64) {
        self.total.set(Some(total));
    }

    /// `count` more bytes went over the data connection.
    pub(super) fn add(&self, count: usize) {
        self.moved.set(self.moved.get() + count as u64);
    }

    /// Bytes that went over the data connection.
    pub(super) fn moved(&self) -> u64 {
        self.moved.get()
    }

    /// When it began.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// The answer to STAT while it runs (RFC 959 §4.1.3).
    pub(super) fn report(&self) -> Reply {
        let moved = self.moved.get();
        let of = match self.total.get() {
            Some(total) => format!(": {moved} of {total} bytes"),
            None => format!(": {moved} bytes"),
        };
        let line = [self.verb.as_bytes(), b" ", &self.name, of.as_bytes()].concat();
        Reply::long(211, "A transfer is running.", vec![line], "End of status.")
    }
}
