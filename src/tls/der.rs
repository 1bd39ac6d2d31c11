//! Elements of DER (X.690), as far as certificates are read that webpki leaves alone.
#![forbid(unsafe_code)]

/// What stands at the head of an element that holds others.
pub(super) const SEQUENCE: u8 = 0x30;

/// The inside of an element with this tag, and what follows it.
pub(super) fn element(der: &[u8], expected: u8) -> Option<(&[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&[length], rest) = rest.split_first_chunk()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(length)), rest)
        }
        // A list of certificates that are revoked may be long.
        0x83 => {
            let (&[high, middle, low], rest) = rest.split_first_chunk()?;
            let length = u32::from_be_bytes([0, high, middle, low]);
            (usize::try_from(length).ok()?, rest)
        }
        0x84 => {
            let (&length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_be_bytes(length)).ok()?, rest)
        }
        // Nothing that is read here is that long.
        _ => return None,
    };
    (tag == expected).then(|| rest.split_at_checked(length))?
}

/// What follows the first element, whatever that is.
pub(super) fn skip(der: &[u8]) -> Option<&[u8]> {
    let (_, rest) = element(der, *der.first()?)?;
    Some(rest)
}

/// An element with `inside`.
#[cfg(test)]
pub(super) fn wrapped(tag: u8, inside: &[u8]) -> Vec<u8> {
    let length = u32::try_from(inside.len()).unwrap().to_be_bytes();
    let length: &[u8] = match length {
        [0, 0, 0, short @ 0..=0x7f] => &[short],
        [0, 0, 0, long] => &[0x81, long],
        [0, 0, high, low] => &[0x82, high, low],
        [0, high, middle, low] => &[0x83, high, middle, low],
        [highest, high, middle, low] => &[0x84, highest, high, middle, low],
    };
    [&[tag], length, inside].concat()
}
