//! Command lines out of the bytes of a control connection: bounded memory whatever arrives, and
//! nothing of a line stays behind once it is taken, since it may have held a password.

use zeroize::{Zeroize, Zeroizing};

use super::telnet::Telnet;

/// The longest command line, in bytes, without its end.
pub(super) const LONGEST: usize = 4096;

/// How many bytes may be taken in at once.
pub(super) const BLOCK: usize = 4096;

/// What is kept of lines that wait for their turn.
const ROOM: usize = 2 * LONGEST + 2 * BLOCK;

/// One line of the client.
#[derive(Debug)]
pub(super) enum Line {
    /// Without its end.
    Text(Zeroizing<Vec<u8>>),
    /// It was longer than it may be, and is forgotten.
    TooLong,
}

/// Lines that are here, and the beginning of the next.
pub(super) struct Lines {
    telnet: Telnet,
    /// Never grows past [`ROOM`]: a copy would stay where it was. What is taken out is wiped at once.
    text: Vec<u8>,
    /// Within a line that is too long.
    is_skipping: bool,
}

impl Lines {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            telnet: Telnet::default(),
            text: Vec::with_capacity(ROOM),
            is_skipping: false,
        }
    }

    /// Whether another block can be taken in. If not, there is a line to be taken out.
    pub(super) fn have_room(&self) -> bool {
        // A Telnet command that turns out to be text adds a byte.
        self.text.len() + BLOCK < ROOM
    }

    /// Takes at most [`BLOCK`] bytes of the connection in, and wipes them where they were.
    pub(super) fn add(&mut self, block: &mut [u8]) {
        for byte in block.iter_mut() {
            self.telnet.take(*byte, &mut self.text);
        }
        block.zeroize();
        debug_assert!(self.text.len() <= ROOM, "a copy would stay behind");
        self.skip_too_long();
    }

    /// Whether nothing is here, not even the beginning of a line.
    pub(super) fn are_empty(&self) -> bool {
        self.text.is_empty() && !self.is_skipping
    }

    /// Whether a whole line is here.
    pub(super) fn have_line(&self) -> bool {
        self.text.contains(&b'\n')
    }

    /// Takes the first line out, if a whole one is here.
    pub(super) fn take(&mut self) -> Option<Line> {
        let end = self.text.iter().position(|&byte| byte == b'\n')?;
        let mut line = Zeroizing::new(self.text.get(..end).unwrap_or_default().to_vec());
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let kept = self.text.len().saturating_sub(end + 1);
        self.text.copy_within(end + 1.., 0);
        if let Some(tail) = self.text.get_mut(kept..) {
            tail.zeroize();
        }
        self.text.truncate(kept);
        let is_too_long = std::mem::take(&mut self.is_skipping) || line.len() > LONGEST;
        self.skip_too_long();
        Some(if is_too_long {
            Line::TooLong
        } else {
            Line::Text(line)
        })
    }

    fn skip_too_long(&mut self) {
        // One more than the longest: the CR of its end.
        if !self.have_line() && (self.is_skipping || self.text.len() > LONGEST + 1) {
            self.is_skipping = true;
            self.text.as_mut_slice().zeroize();
            self.text.clear();
        }
    }

    /// The whole lines that are here, without blanks around them; nothing of one that is too long.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.text.split_inclusive(|&byte| byte == b'\n');
        let whole = lines.filter(|line| line.ends_with(b"\n"));
        whole.enumerate().map(|(number, line)| {
            let is_end_of_another = number == 0 && self.is_skipping;
            if is_end_of_another {
                b""
            } else {
                line.trim_ascii()
            }
        })
    }
}

impl Drop for Lines {
    /// Room that nothing was put into is not touched: it would be pages of a session's own.
    fn drop(&mut self) {
        self.text.as_mut_slice().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pieces: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new();
        let mut taken = Vec::new();
        for piece in pieces {
            assert!(lines.have_room());
            lines.add(&mut piece.to_vec());
            while let Some(line) = lines.take() {
                taken.push(match line {
                    Line::Text(text) => Some(text.to_vec()),
                    Line::TooLong => None,
                });
            }
        }
        taken
    }

    #[test]
    fn lines_end_with_lf_and_lose_one_cr() {
        for (pieces, expected) in [
            (&[&b"NOOP\r\n"[..]][..], &[&b"NOOP"[..]][..]),
            (&[b"NOOP\n"], &[b"NOOP"]),
            (&[b"NO", b"OP", b"\r", b"\nPWD\nQ"], &[b"NOOP", b"PWD"]),
            (&[b"\n\r\n"], &[b"", b""]),
            (&[b"a\r\r\n"], &[b"a\r"]),
            (&[b"never ended"], &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|line| Some(line.to_vec())).collect();
            assert_eq!(taken(pieces), expected, "{pieces:?}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_one_line_and_the_next_is_whole() {
        let longest = vec![b'x'; LONGEST];
        let pieces: [&[u8]; 3] = [&longest, b"\r\n", b"NOOP\n"];
        assert_eq!(
            taken(&pieces),
            [Some(longest.clone()), Some(b"NOOP".to_vec())]
        );
        let pieces: [&[u8]; 5] = [&longest, b"xx", &longest, b"\r\nNOOP", b"\n"];
        assert_eq!(taken(&pieces), [None, Some(b"NOOP".to_vec())]);
    }

    #[test]
    fn lines_that_wait_can_be_looked_at_where_they_are() {
        let mut lines = Lines::new();
        lines.add(&mut vec![b'x'; BLOCK]);
        lines.add(&mut b"xxx".to_vec());
        lines.add(&mut b" ABOR\r\nSIZE f\r\n abor \nABOR".to_vec());
        let waiting: Vec<&[u8]> = lines.waiting().collect();
        assert_eq!(waiting, [&b""[..], b"SIZE f", b"abor"]);
        assert!(matches!(lines.take(), Some(Line::TooLong)));
        assert_eq!(lines.waiting().next(), Some(&b"SIZE f"[..]));
    }

    #[test]
    fn there_is_a_line_or_room_for_more() {
        let mut lines = Lines::new();
        lines.add(&mut b"NOOP\n".to_vec());
        while lines.have_room() {
            lines.add(&mut vec![b'x'; BLOCK]);
        }
        assert!(matches!(lines.take(), Some(Line::Text(_))));
        assert!(lines.have_room());
        lines.add(&mut b"\nNOOP\n".to_vec());
        assert!(matches!(lines.take(), Some(Line::TooLong)));
        assert!(matches!(lines.take(), Some(Line::Text(_))));
    }

    #[test]
    fn memory_is_bounded_and_never_moves() {
        let mut lines = Lines::new();
        let place = lines.text.as_ptr();
        let mut blocks = 0;
        while lines.have_room() {
            lines.add(&mut b"\xff\x01\n".repeat(BLOCK / 3));
            blocks += 1;
        }
        assert!(blocks < 5);
        assert!(lines.text.len() <= ROOM);
        for _ in 0..10 {
            lines.take().unwrap();
        }
        assert_eq!(lines.text.as_ptr(), place);
    }
}
