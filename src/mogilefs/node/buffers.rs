//! What ureq reads into and writes from: little for a short message, more once it has turned out to
//! be long. Tells how much was received that nobody has taken.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ureq::unversioned::transport::Buffers;

/// The first and the last size of each, in bytes. A head and a small file fit into the first.
const LEAST: usize = 8 * 1024;
const MOST: usize = 128 * 1024;

/// Buffers of one connection.
#[derive(Default)]
pub(super) struct Growing {
    input: Vec<u8>,
    /// What of `input` has come and was not taken: from where to where.
    from: usize,
    to: usize,
    /// How long that is, for those who see the connection only.
    held: Arc<AtomicUsize>,
    /// Whether something was taken since the last look: if not, more has to come first.
    has_progressed: bool,
    output: Vec<u8>,
    /// What was sent at once took most of the output.
    is_long: bool,
}

impl Growing {
    /// Always how many bytes were received and not taken.
    pub(super) fn held(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.held)
    }

    /// The first `amount` bytes of the output, which are to be sent.
    pub(super) fn outgoing(&mut self, amount: usize) -> &[u8] {
        self.is_long |= amount > self.output.len() / 2;
        self.output.get(..amount).unwrap_or_default()
    }

    fn count(&self) {
        self.held.store(self.to - self.from, Ordering::Relaxed);
    }

    fn make_room(&mut self) {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        } else if self.to == self.input.len() {
            self.input.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
    }
}

impl Buffers for Growing {
    fn output(&mut self) -> &mut [u8] {
        if self.output.is_empty() {
            self.output.resize(LEAST, 0);
        } else if std::mem::take(&mut self.is_long) && self.output.len() < MOST {
            self.output = vec![0; self.output.len() * 2];
        }
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        self.input.get(self.from..self.to).unwrap_or_default()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        let was_filled = self.to == self.input.len();
        self.make_room();
        if was_filled && self.input.len() < MOST {
            let more = (self.input.len() * 2).max(LEAST);
            self.input.resize(more, 0);
        }
        self.input.get_mut(self.to..).unwrap_or_default()
    }

    fn input_appended(&mut self, amount: usize) {
        self.to = self.to.saturating_add(amount).min(self.input.len());
        self.count();
    }

    fn input_consume(&mut self, amount: usize) {
        self.has_progressed = amount > 0;
        self.from = self.from.saturating_add(amount).min(self.to);
        self.count();
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        let length = self.output().len();
        // Nothing is received while a body is sent.
        self.make_room();
        if self.input.len() < self.to + length {
            self.input.resize(self.to + length, 0);
        }
        let room = self.input.get_mut(self.to..).unwrap_or_default();
        (room, &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        self.has_progressed && self.from < self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(buffers: &mut Growing, bytes: &[u8]) -> usize {
        let room = buffers.input_append_buf();
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        buffers.input_appended(count);
        count
    }

    #[test]
    fn what_is_received_comes_out_in_order_however_much_is_taken_at_once() {
        let bytes: Vec<u8> = (0..=250).cycle().take(1_000_000).collect();
        for step in [1_000, 7_777, 100_000] {
            let mut buffers = Growing::default();
            let held = buffers.held();
            let (mut came, mut out) = (0, Vec::new());
            while out.len() < bytes.len() {
                came += receive(&mut buffers, &bytes[came..]);
                assert_eq!(held.load(Ordering::Relaxed), came - out.len());
                let count = buffers.input().len().min(step);
                out.extend_from_slice(&buffers.input()[..count]);
                buffers.input_consume(count);
            }
            assert!(out == bytes, "{step}");
            assert!(!buffers.can_use_input());
            assert!(buffers.input.len() <= MOST);
        }
    }

    #[test]
    fn a_short_message_takes_little_and_a_long_one_more_and_no_more() {
        let mut buffers = Growing::default();
        receive(&mut buffers, &[1; 300]);
        buffers.output();
        buffers.outgoing(200);
        assert_eq!(
            (buffers.input.len(), buffers.output().len()),
            (LEAST, LEAST)
        );
        for _ in 0..10 {
            let length = buffers.output().len();
            buffers.outgoing(length);
        }
        assert_eq!(buffers.output().len(), MOST);
        assert!(buffers.tmp_and_output().0.len() >= MOST);
    }

    #[test]
    fn what_could_not_be_used_waits_for_more() {
        let mut buffers = Growing::default();
        receive(&mut buffers, b"HTTP/1.1 2");
        buffers.input_consume(0);
        assert!(!buffers.can_use_input());
        receive(&mut buffers, b"00 OK");
        assert_eq!(buffers.input(), b"HTTP/1.1 200 OK");
        buffers.input_consume(5);
        assert!(buffers.can_use_input());
    }
}
