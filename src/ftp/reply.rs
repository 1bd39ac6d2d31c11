//! Replies as they go over the control connection (RFC 959 §4.2): a code, and text that cannot
//! break its line whatever name of a client is in it.

use std::io::Write as _;

/// One reply, of one line or of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    code: u16,
    /// Never empty; the first and the last carry the code.
    texts: Vec<Vec<u8>>,
}

impl Reply {
    /// A reply of one line.
    pub(super) fn new(code: u16, text: impl Into<Vec<u8>>) -> Self {
        Self {
            code,
            texts: vec![text.into()],
        }
    }

    /// A reply of several lines; those of the body are indented by one space.
    pub(super) fn long(
        code: u16,
        first: impl Into<Vec<u8>>,
        body: Vec<Vec<u8>>,
        last: impl Into<Vec<u8>>,
    ) -> Self {
        let mut texts = vec![first.into()];
        texts.extend(body);
        texts.push(last.into());
        Self { code, texts }
    }

    /// The three digits.
    pub(super) fn code(&self) -> u16 {
        self.code
    }

    /// Whether another one follows to the same command.
    pub(super) fn is_preliminary(&self) -> bool {
        (100..200).contains(&self.code)
    }

    /// The lines without their ends.
    pub(super) fn lines(&self) -> impl Iterator<Item = Vec<u8>> {
        (0..self.texts.len()).map(|index| {
            let mut line = Vec::new();
            self.write(index, &mut line);
            line
        })
    }

    /// The bytes to send, all at once.
    pub(super) fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(128);
        for index in 0..self.texts.len() {
            self.write(index, &mut wire);
            wire.extend_from_slice(b"\r\n");
        }
        wire
    }

    /// Writes one line; what would end or disturb it shows as a question mark.
    fn write(&self, index: usize, to: &mut Vec<u8>) {
        let code = self.code;
        // To a vector that cannot fail.
        let _ = match index {
            index if index + 1 == self.texts.len() => write!(to, "{code} "),
            0 => write!(to, "{code}-"),
            _ => write!(to, " "),
        };
        let text = self.texts.get(index).into_iter().flatten();
        to.extend(text.map(|byte| if byte.is_ascii_control() { b'?' } else { *byte }));
    }
}

/// `name` in double quotes, quotes within doubled (RFC 959, appendix II).
pub(super) fn quoted(name: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(name.len() + 2);
    quoted.push(b'"');
    for &byte in name {
        if byte == b'"' {
            quoted.push(b'"');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_whole_lines_whatever_is_in_them() {
        for (reply, expected) in [
            (Reply::new(200, "fine"), &b"200 fine\r\n"[..]),
            (Reply::new(331, b"a\r\nb\0\x1b".to_vec()), b"331 a??b??\r\n"),
            (Reply::new(250, b"caf\xe9".to_vec()), b"250 caf\xe9\r\n"),
            (
                Reply::long(211, "a", vec![b"b".to_vec(), b"250 c".to_vec()], "d"),
                b"211-a\r\n b\r\n 250 c\r\n211 d\r\n",
            ),
        ] {
            assert_eq!(reply.wire(), expected);
        }
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(quoted(br#"/a "b""#), br#""/a ""b""""#);
    }
}
