//! Chunks of a body whose length is not known beforehand (RFC 9112 §7.1). ureq makes many small ones, and
//! a node takes each by itself: what is sent at once goes as one.
#![forbid(unsafe_code)]

/// How a chunk ends, and the line before it.
pub(super) const END: &[u8] = b"\r\n";

/// What `output`, which is nothing but chunks, would be as one chunk: the line before it, and its bytes in
/// pieces. `None` where there is nothing to be joined.
pub(super) fn joined(output: &[u8]) -> Option<(Vec<u8>, Vec<&[u8]>)> {
    let (mut pieces, mut rest) = (Vec::with_capacity(16), output);
    while let Some((piece, after)) = first(rest) {
        pieces.push(piece);
        rest = after;
    }
    if pieces.len() < 2 || !rest.is_empty() {
        return None;
    }
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    Some((format!("{length:x}\r\n").into_bytes(), pieces))
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
        let (line, pieces) = joined(b"3\r\nabc\r\nc\r\n\r\n0123456789\r\n1\r\n\n\r\n").unwrap();
        assert_eq!(line, b"10\r\n");
        assert_eq!(pieces.concat(), b"abc\r\n0123456789\n");
    }

    #[test]
    fn what_is_no_chunks_or_one_or_the_last_stays_as_it_is() {
        let kept: [&[u8]; 12] = [
            b"",
            b"0\r\n\r\n",
            b"3\r\nabc\r\n",
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
            assert!(joined(output).is_none(), "{output:?}");
        }
    }
}
