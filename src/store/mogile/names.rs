//! Which names may be made, which may be shown, and which a tracker would take for a pattern. Pure.
#![forbid(unsafe_code)]

use crate::store::Error;

/// The longest key that every tracker's database keeps whole, in bytes.
pub(super) const LONGEST_KEY: usize = 255;

/// The longest name of a class or a domain, likewise.
const LONGEST_CLASS: usize = 50;

/// Whether a file may be stored under `key`. What others have stored can be read all the same.
pub(super) fn check_key(key: &[u8]) -> Result<(), Error> {
    if key.is_empty() {
        Err(Error::BadName("is empty"))
    } else if key.len() > LONGEST_KEY {
        Err(Error::BadName("is longer than 255 bytes"))
    } else if has_control(key) {
        Err(Error::BadName("contains a control character"))
    } else if key.ends_with(b" ") {
        Err(Error::BadName("ends with a space"))
    } else {
        Ok(())
    }
}

/// Whether a class or a domain of this name may be made: trackers check nothing.
pub(super) fn check_class(name: &[u8]) -> Result<(), Error> {
    if name.is_empty() || name == b"0" {
        Err(Error::BadName("is no name for a class"))
    } else if name.len() > LONGEST_CLASS {
        Err(Error::BadName("is longer than 50 bytes"))
    } else if has_control(name) || std::str::from_utf8(name).is_err() {
        Err(Error::BadName("contains what a class name may not"))
    } else if name.starts_with(b" ") || name.ends_with(b" ") || name.contains(&b'/') {
        Err(Error::BadName(
            "begins or ends with a space, or has a slash",
        ))
    } else {
        Ok(())
    }
}

/// What becomes of a name that is none to the tracker's database.
pub(super) fn not_utf8() -> Error {
    Error::BadName("is not UTF-8, which the tracker's database wants")
}

/// Whether a client can be shown this name, and could send it back.
pub(super) fn is_shown(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !has_control(name)
}

/// The part of `prefix` that means itself when a tracker takes it for a pattern, and that ends with
/// a whole character.
pub(super) fn plain_head(prefix: &[u8]) -> &[u8] {
    let end = prefix
        .iter()
        .position(|byte| br"\^$*+?()[]{}|".contains(byte));
    let mut head = prefix
        .get(..end.unwrap_or(prefix.len()))
        .unwrap_or_default();
    while let Err(error) = std::str::from_utf8(head) {
        head = head.get(..error.valid_up_to()).unwrap_or_default();
    }
    head
}

/// What two byte strings begin with alike.
pub(super) fn common_head<'a>(one: &'a [u8], other: &[u8]) -> &'a [u8] {
    let same = one
        .iter()
        .zip(other)
        .take_while(|(one, other)| one == other);
    one.get(..same.count()).unwrap_or_default()
}

fn has_control(name: &[u8]) -> bool {
    name.iter().any(|byte| byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_every_database_keeps_are_made() {
        let longest = [b'k'; 255];
        for key in [
            &b"photos/a.jpg"[..],
            b" leading",
            b"50%41 & = + \\ ; #",
            "\u{e9}".as_bytes(),
            b"caf\xe9",
            b"0",
            &longest,
        ] {
            assert!(check_key(key).is_ok(), "{key:?}");
        }
        let too_long = [b'k'; 256];
        for key in [
            &b""[..],
            b"trailing ",
            b"a\nb",
            b"a\r\nb",
            b"a\x00b",
            b"\x7f",
            &too_long,
        ] {
            assert!(matches!(check_key(key), Err(Error::BadName(_))), "{key:?}");
        }
    }

    #[test]
    fn only_decent_classes_are_made() {
        for name in [
            &b"photos"[..],
            b"my class",
            b"2026-07",
            "\u{e9}t\u{e9}".as_bytes(),
        ] {
            assert!(check_class(name).is_ok(), "{name:?}");
        }
        for name in [
            &b""[..],
            b"0",
            b"a/b",
            b" a",
            b"a ",
            b"a\nb",
            b"caf\xe9",
            &[b'c'; 51],
        ] {
            assert!(check_class(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_prefix_is_cut_before_its_first_pattern_character() {
        for (prefix, head) in [
            (&b"photos/v1.2/"[..], &b"photos/v1.2/"[..]),
            (b"photos/a+b/", b"photos/a"),
            (b"photos/(x)/", b"photos/"),
            (b"a[b", b"a"),
            (b"\\", b""),
            (b"", b""),
            (b"caf\xc3", b"caf"),
            (b"caf\xe9/x", b"caf"),
            ("\u{e9}/".as_bytes(), "\u{e9}/".as_bytes()),
        ] {
            assert_eq!(plain_head(prefix), head);
        }
    }

    #[test]
    fn heads_are_compared_byte_by_byte() {
        assert_eq!(common_head(b"photos/B/", b"photos/b/x"), b"photos/");
        assert_eq!(common_head(b"a", b"a"), b"a");
        assert_eq!(common_head(b"a", b""), b"");
    }
}
