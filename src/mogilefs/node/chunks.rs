//! Chunks of a body whose length is not known beforehand (RFC 9112 §7.1). ureq makes many small ones, and
//! a node takes each by itself: what is sent at once goes as one.
#![forbid(unsafe_code)]

/// How a chunk ends, and the line before it.
pub(super) const END: &[u8] = b"\r\n";

/// The line before a chunk of `length` bytes.
pub(super) fn line(length: usize) -> Vec<u8> {
    format!("{length:x}\r\n").into_bytes()
}

/// The bytes of each chunk, where `output` is nothing but chunks, and the last, which is empty, is not
/// among them.
pub(super) fn all(output: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut found, mut rest) = (Vec::with_capacity(16), output);
    while let Some((bytes, after)) = first(rest) {
        found.push(bytes);
        rest = after;
    }
    (!found.is_empty() && rest.is_empty()).then_some(found)
}

/// How many bytes there are in `chunks`.
pub(super) fn length(chunks: &[&[u8]]) -> usize {
    chunks.iter().map(|bytes| bytes.len()).sum()
}

/// The bytes of the first chunk, and what comes after it. `None`: there is none, or the last, which is
/// empty.
fn first(chunks: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = chunks.iter().position(|byte| !byte.is_ascii_hexdigit())?;
    let (digits, rest) = chunks.split_at_checked(digits)?;
    let length = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    let (piece, rest) = rest.strip_prefix(END)?.split_at_checked(length)?;
    let after = rest.strip_prefix(END)?;
    (length > 0).then_some((piece, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_chunks_are_one_with_the_same_bytes() {
        let chunks = all(b"3\r\nabc\r\nc\r\n\r\n0123456789\r\n1\r\n\n\r\n").unwrap();
        assert_eq!(line(length(&chunks)), b"10\r\n");
        assert_eq!(chunks.concat(), b"abc\r\n0123456789\n");
        assert_eq!(all(b"3\r\nabc\r\n").unwrap(), [b"abc"]);
    }

    #[test]
    fn what_is_no_chunks_or_has_the_last_stays_as_it_is() {
        let kept: [&[u8]; 11] = [
            b"",
            b"0\r\n\r\n",
            b"3\r\nabc\r\n0\r\n\r\n",
            b"3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n",
            b"3\r\nabc\r\n3\r\nabc\r",
            b"3\r\nabc\r\n3\r\nabcd\r\n",
            b"3\r\nabc\r\n+3\r\nabc\r\n",
            b"3\r\nabc\r\n3;x\r\nabc\r\n",
            b"3\r\nabc\r\n\r\nabc\r\n",
            b"3\r\nabc\r\nffffffffffffffff\r\nabc\r\n",
            b"3\r\nabc\r\nffffffffffffffffff\r\nabc\r\n",
        ];
        for output in kept {
            assert!(all(output).is_none(), "{output:?}");
        }
    }
}
