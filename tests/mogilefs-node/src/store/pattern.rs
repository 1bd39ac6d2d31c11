//! Which keys a prefix names: the data base's LIKE in its several tempers, and the tracker's check
//! of `after`, which takes the prefix for a Perl regular expression.

use regex::bytes::Regex;

use super::collation::folded;

/// How a store compares in `LIKE 'prefix%'`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Like {
    /// Bytes as they are.
    Exact,
    /// SQLite: without case for ASCII, characters read leniently.
    Sqlite,
    /// MariaDB with a collation that ignores case and accents.
    Folded,
}

impl Like {
    /// Does the key begin with the prefix?
    pub(crate) fn begins(self, key: &[u8], prefix: &[u8]) -> bool {
        match self {
            Self::Exact => key.starts_with(prefix),
            Self::Sqlite => {
                let mut key = lenient(key).into_iter();
                lenient(prefix)
                    .into_iter()
                    .all(|wanted| key.next().is_some_and(|c| same_but_ascii_case(c, wanted)))
            }
            Self::Folded => {
                std::str::from_utf8(prefix).is_ok() && folded(key).starts_with(&folded(prefix))
            }
        }
    }
}

fn same_but_ascii_case(a: u32, b: u32) -> bool {
    let lower = |c: u32| {
        if (0x41..=0x5A).contains(&c) {
            c + 32
        } else {
            c
        }
    };
    lower(a) == lower(b)
}

/// Characters as SQLite reads them: a lead byte takes whatever continuation bytes follow, and what
/// comes out impossible is the replacement character.
fn lenient(bytes: &[u8]) -> Vec<u32> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied().peekable();
    while let Some(lead) = rest.next() {
        let mut c = match lead {
            0xC0..=0xDF => u32::from(lead & 0x1F),
            0xE0..=0xEF => u32::from(lead & 0x0F),
            0xF0..=0xF7 => u32::from(lead & 0x07),
            0xF8..=0xFB => u32::from(lead & 0x03),
            0xFC..=0xFD => u32::from(lead & 0x01),
            0xFE..=0xFF => 0,
            _ => {
                out.push(u32::from(lead));
                continue;
            }
        };
        while let Some(next) = rest.next_if(|next| next & 0xC0 == 0x80) {
            c = (c << 6) + u32::from(next & 0x3F);
        }
        let impossible = c < 0x80 || (0xD800..0xE000).contains(&c) || c & 0xFFFF_FFFE == 0xFFFE;
        out.push(if impossible { 0xFFFD } else { c });
    }
    out
}

/// What the tracker makes of `prefix` together with `after`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Fits,
    Mismatch,
    /// The prefix is no regular expression: the command dies.
    Broken,
}

/// `after =~ /^prefix/`, with the prefix as it came.
pub(crate) fn check(prefix: &[u8], after: &[u8]) -> Check {
    match translated(prefix).and_then(|pattern| Regex::new(&pattern).ok()) {
        None => Check::Broken,
        Some(pattern) if pattern.is_match(after) => Check::Fits,
        Some(_) => Check::Mismatch,
    }
}

/// Perl's pattern in the crate's words: bytes beyond ASCII, a `{` that is no quantifier and needless
/// backslashes are written out; what Perl refuses and the crate would take is refused here.
fn translated(prefix: &[u8]) -> Option<String> {
    let mut out = String::from("(?-u)^");
    let mut rest = prefix;
    let mut quantified = false;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let repeats = matches!(byte, b'*') || (byte == b'{' && is_quantifier(tail));
        if repeats && quantified {
            return None;
        }
        quantified = repeats || (matches!(byte, b'+' | b'?') && !quantified);
        match byte {
            b'{' if !repeats => out.push_str("\\{"),
            b'\\' => {
                let (&next, after) = tail.split_first()?;
                rest = after;
                escape(&mut out, next)?;
            }
            0x80.. | 0 => out.push_str(&format!("\\x{byte:02X}")),
            _ => out.push(char::from(byte)),
        }
    }
    Some(out)
}

fn escape(out: &mut String, next: u8) -> Option<()> {
    match next {
        b'd' | b'D' | b's' | b'S' | b'w' | b'W' | b'b' | b'B' | b'n' | b'r' | b't' | b'f' => {
            out.push('\\');
            out.push(char::from(next));
        }
        b'1'..=b'9' => return None,
        0x80.. | 0 | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
            out.push_str(&format!("\\x{next:02X}"));
        }
        _ => {
            out.push('\\');
            out.push(char::from(next));
        }
    }
    Some(())
}

/// `{3}`, `{3,}` and `{3,5}` repeat; any other brace is itself.
fn is_quantifier(tail: &[u8]) -> bool {
    let Some(end) = tail.iter().position(|byte| *byte == b'}') else {
        return false;
    };
    let inside = tail.get(..end).unwrap_or_default();
    let mut parts = inside.split(|byte| *byte == b',');
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let low = parts.next().unwrap_or_default();
    !low.is_empty() && digits(low) && parts.next().is_none_or(digits) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_is_matched_against_an_unescaped_prefix() {
        for (prefix, after, expected) in [
            ("b", "b/1", Check::Fits),
            ("b", "a", Check::Mismatch),
            ("B", "b-3", Check::Mismatch),
            ("a+", "a+b", Check::Fits),
            ("a+b", "a+b", Check::Mismatch),
            ("a(", "a(b", Check::Broken),
            ("a[", "a[b", Check::Broken),
            ("a.", "aXb", Check::Fits),
            ("a{b", "a{b", Check::Fits),
            ("a{2}", "aa", Check::Fits),
            ("a**", "a", Check::Broken),
            ("b\\", "b\\8", Check::Broken),
            ("a|b", "xb", Check::Fits),
            ("é", "é1", Check::Fits),
        ] {
            assert_eq!(
                check(prefix.as_bytes(), after.as_bytes()),
                expected,
                "{prefix} {after}"
            );
        }
    }

    #[test]
    fn like_has_the_temper_of_its_store() {
        for (like, key, prefix, expected) in [
            (Like::Sqlite, &b"b/1"[..], &b"B"[..], true),
            (Like::Sqlite, b"\xc3\xa91", b"\xc3\x89", false),
            (Like::Sqlite, b"\xe9latin1", b"\xc3", true),
            (Like::Sqlite, b"\xc3\xa91", b"\xc3", false),
            (Like::Folded, b"\xc3\xa91", b"E", true),
            (Like::Folded, b"x", b"\xc3", false),
            (Like::Exact, b"b/1", b"B", false),
        ] {
            assert_eq!(
                like.begins(key, prefix),
                expected,
                "{like:?} {key:?} {prefix:?}"
            );
        }
    }
}
