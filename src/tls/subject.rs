//! The name in a certificate (RFC 5280 §4.1.2.4), which is for people and which webpki leaves alone.
#![forbid(unsafe_code)]

use super::der::{SEQUENCE, element};

const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
/// Texts whose bytes are what they say.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16]; // UTF8String, PrintableString, IA5String

/// id-at-commonName, 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The common name in a subject, which is the inside of a sequence. Of several none is the right one.
pub(super) fn common_name(subject: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    let mut rest = subject;
    while !rest.is_empty() {
        let mut set;
        (set, rest) = element(rest, SET)?;
        while !set.is_empty() {
            let attribute;
            (attribute, set) = element(set, SEQUENCE)?;
            let (kind, value) = element(attribute, OBJECT)?;
            if kind != COMMON_NAME {
                continue;
            }
            let tag = *value.first()?;
            let (text, end) = element(value, tag)?;
            let is_text = TEXTS.contains(&tag) && end.is_empty() && !text.is_empty();
            if !is_text || found.replace(text).is_some() {
                return None;
            }
        }
    }
    found
}

/// `data`: the subject of a certificate.
#[cfg(any(test, fuzzing))]
pub(crate) fn trial(data: &[u8]) {
    if let Some(name) = common_name(data) {
        assert!(!name.is_empty());
        assert!(data.windows(name.len()).any(|part| part == name));
        // The same name once more is one too many.
        let twice = [data, data].concat();
        assert_eq!(common_name(&twice), None);
    }
}

#[cfg(test)]
mod tests {
    use super::super::der::wrapped;
    use super::*;

    /// An attribute in a set of its own.
    fn attribute(kind: &[u8], tag: u8, text: &[u8]) -> Vec<u8> {
        wrapped(SET, &bare(kind, tag, text))
    }

    fn bare(kind: &[u8], tag: u8, text: &[u8]) -> Vec<u8> {
        let inside = [wrapped(OBJECT, kind), wrapped(tag, text)].concat();
        wrapped(SEQUENCE, &inside)
    }

    #[test]
    fn the_common_name_is_the_only_one_there_is() {
        const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
        let long = [b'x'; 140];
        let country = attribute(COUNTRY, 0x13, b"DE");
        let ann = attribute(COMMON_NAME, 0x0c, b"ann");
        let bob = attribute(COMMON_NAME, 0x13, b"bob");
        let both = [bare(COUNTRY, 0x13, b"DE"), bare(COMMON_NAME, 0x16, b"eve")].concat();
        for (subject, expected) in [
            (ann.clone(), Some(&b"ann"[..])),
            (bob.clone(), Some(b"bob")),
            ([&country[..], &ann].concat(), Some(b"ann")),
            ([&ann[..], &country].concat(), Some(b"ann")),
            (wrapped(SET, &both), Some(b"eve")),
            (attribute(COMMON_NAME, 0x0c, b"a\0b"), Some(b"a\0b")),
            (attribute(COMMON_NAME, 0x0c, &long), Some(&long)),
            ([&ann[..], &bob].concat(), None),
            ([&ann[..], &ann].concat(), None),
            (country, None),
            (Vec::new(), None),
            (attribute(COMMON_NAME, 0x0c, b""), None),
            // Of an encoding in which bytes mean something else.
            (attribute(COMMON_NAME, 0x1e, b"\0a\0n"), None),
            (attribute(COMMON_NAME, 0x14, b"ann"), None),
            (ann[..ann.len() - 1].to_vec(), None),
            ([&ann[..], b"\0"].concat(), None),
        ] {
            assert_eq!(common_name(&subject), expected, "{subject:x?}");
        }
    }
}
