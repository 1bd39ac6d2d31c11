//! Text that came from outside, made safe to show: in a log line, in a process title. Names are
//! bytes; nothing here decides whether a name is allowed.
#![forbid(unsafe_code)]

use std::fmt::{self, Write as _};

/// `bytes` in double quotes, with quotes, backslashes, control characters and all that is not
/// valid UTF-8 escaped, so that a log line stays one line and its fields cannot be forged.
#[must_use]
pub fn quoted(bytes: &[u8]) -> Quoted<'_> {
    Quoted(bytes)
}

/// The same for what can be shown, such as an error whose text came from a server.
#[must_use]
pub fn quoted_error(what: &dyn fmt::Display) -> String {
    quoted(what.to_string().as_bytes()).to_string()
}

/// In lower-case hexadecimal digits, two a byte.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |number: u8| char::from_digit(number.into(), 16).unwrap_or_default();
    let digits = bytes
        .iter()
        .map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.flatten().collect()
}

/// See [`quoted`].
#[derive(Clone, Copy)]
pub struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", bare(self.0))
    }
}

/// As [`quoted`], without the quotes around it.
#[must_use]
pub fn bare(bytes: &[u8]) -> Bare<'_> {
    Bare(bytes)
}

/// See [`bare`].
#[derive(Clone, Copy)]
pub struct Bare<'a>(&'a [u8]);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let text = chunk.valid();
            let mut shown = 0;
            for (at, c) in text.char_indices().filter(|(_, c)| is_unsafe(*c)) {
                f.write_str(text.get(shown..at).unwrap_or_default())?;
                escape(c, f)?;
                shown = at + c.len_utf8();
            }
            f.write_str(text.get(shown..).unwrap_or_default())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

fn is_unsafe(c: char) -> bool {
    // Bidirectional overrides and line separators would let a name reorder or break the line that a
    // person reads.
    matches!(c, '"' | '\\' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') || c.is_control()
}

fn escape(c: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match c {
        '"' | '\\' => write!(f, "\\{c}"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        c => write!(f, "\\u{{{:x}}}", u32::from(c)),
    }
}

/// `bytes` as a JSON string (RFC 8259 §7); what is not UTF-8 is replaced.
#[must_use]
pub fn json(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            c if c.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_cannot_break_the_line_either() {
        let error = std::io::Error::other("no \"such\" file\nfid=1");
        assert_eq!(quoted_error(&error), r#""no \"such\" file\nfid=1""#);
    }

    #[test]
    fn nothing_from_outside_can_break_or_forge_a_line() {
        for (input, expected) in [
            (&b"photos/a b.jpg"[..], r#""photos/a b.jpg""#),
            (b"x\" user=\"root", r#""x\" user=\"root""#),
            (b"a\r\nb\tc\\", r#""a\r\nb\tc\\""#),
            (b"\x1b[31m\x00", r#""\u{1b}[31m\u{0}""#),
            ("gr\u{fc}n \u{202e}x".as_bytes(), "\"gr\u{fc}n \\u{202e}x\""),
            (b"caf\xe9", r#""caf\xe9""#),
        ] {
            assert_eq!(quoted(input).to_string(), expected);
            assert_eq!(format!("\"{}\"", bare(input)), expected);
        }
    }
}
