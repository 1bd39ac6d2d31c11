//! TYPE A (RFC 959 §3.1.1.1): lines end with CRLF on the wire and with LF in the store. Pure, and
//! right wherever a block ends.

/// From the store to the wire: an LF becomes CRLF. One that already follows a CR stays, so that a
/// file that was stored with CRLF is not given a second CR.
#[derive(Debug, Default)]
pub(super) struct ToWire {
    after_cr: bool,
}

impl ToWire {
    /// Puts the next block of the file at the end of `wire`.
    pub(super) fn convert(&mut self, block: &[u8], wire: &mut Vec<u8>) {
        for line in block.split_inclusive(|&byte| byte == b'\n') {
            match line.split_last() {
                Some((b'\n', text)) => {
                    wire.extend_from_slice(text);
                    let has_cr = match text.last() {
                        Some(last) => *last == b'\r',
                        None => self.after_cr,
                    };
                    wire.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
                }
                _ => wire.extend_from_slice(line),
            }
            self.after_cr = line.last() == Some(&b'\r');
        }
    }
}

/// From the wire to the store: CRLF becomes LF; a CR or an LF that stands alone stays.
#[derive(Debug, Default)]
pub(super) struct FromWire {
    held_cr: bool,
}

impl FromWire {
    /// Puts the next block from the wire at the end of `text`; a CR at its end is held back until
    /// it is known what follows.
    pub(super) fn convert(&mut self, block: &[u8], text: &mut Vec<u8>) {
        if block.is_empty() {
            return;
        }
        if self.held_cr && block.first() != Some(&b'\n') {
            text.push(b'\r');
        }
        self.held_cr = false;
        let mut rest = block;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\r') {
            let (before, from_cr) = rest.split_at(at);
            text.extend_from_slice(before);
            rest = match from_cr {
                [b'\r'] => {
                    self.held_cr = true;
                    &[]
                }
                [b'\r', b'\n', ..] => from_cr.get(1..).unwrap_or_default(),
                _ => {
                    text.push(b'\r');
                    from_cr.get(1..).unwrap_or_default()
                }
            };
        }
        text.extend_from_slice(rest);
    }

    /// Puts what was held back at the end of `text`: the wire has ended.
    pub(super) fn end(&mut self, text: &mut Vec<u8>) {
        if std::mem::take(&mut self.held_cr) {
            text.push(b'\r');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way to cut `input` into three blocks.
    fn cuts(input: &[u8]) -> impl Iterator<Item = [&[u8]; 3]> {
        (0..=input.len())
            .flat_map(move |b| (0..=b).map(move |a| [&input[..a], &input[a..b], &input[b..]]))
    }

    #[test]
    fn lines_end_with_crlf_on_the_wire() {
        for (file, expected) in [
            (&b""[..], &b""[..]),
            (b"a", b"a"),
            (b"a\n", b"a\r\n"),
            (b"\n\n", b"\r\n\r\n"),
            (b"a\r\nb\n", b"a\r\nb\r\n"),
            (b"a\rb\r", b"a\rb\r"),
            (b"\r\r\n", b"\r\r\n"),
        ] {
            for blocks in cuts(file) {
                let (mut ascii, mut wire) = (ToWire::default(), Vec::new());
                for block in blocks {
                    ascii.convert(block, &mut wire);
                }
                assert_eq!(wire, expected, "{blocks:?}");
            }
        }
    }

    #[test]
    fn lines_end_with_lf_in_the_store() {
        for (wire, expected) in [
            (&b""[..], &b""[..]),
            (b"a\r\n", b"a\n"),
            (b"a\nb\r\n", b"a\nb\n"),
            (b"\r\n\r\n", b"\n\n"),
            (b"a\rb", b"a\rb"),
            (b"a\r", b"a\r"),
            (b"\r\r\n", b"\r\n"),
            (b"\r\r\r", b"\r\r\r"),
        ] {
            for blocks in cuts(wire) {
                let (mut ascii, mut text) = (FromWire::default(), Vec::new());
                for block in blocks {
                    ascii.convert(block, &mut text);
                }
                ascii.end(&mut text);
                assert_eq!(text, expected, "{blocks:?}");
            }
        }
    }
}
