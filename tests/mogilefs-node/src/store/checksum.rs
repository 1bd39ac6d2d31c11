//! Checksums as the tracker writes them, `MD5:hex` and `SHA-1:hex`, and their computation.

use std::fmt;

use md5::Md5;
use sha1::Sha1;
use sha1::digest::Digest as _;

/// What a class may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha1,
}

impl Algorithm {
    /// `MD5` or `SHA-1`.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"MD5" => Some(Self::Md5),
            b"SHA-1" => Some(Self::Sha1),
            _ => None,
        }
    }

    /// As the tracker writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
        }
    }

    const fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
        }
    }
}

/// A checksum that somebody sent or that was computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) algorithm: Algorithm,
    /// Lower-case digits.
    pub(crate) hex: String,
}

impl Checksum {
    /// `None` for an unknown algorithm or a wrong number of digits.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let colon = text.iter().position(|byte| *byte == b':')?;
        let (name, rest) = text.split_at_checked(colon)?;
        let algorithm = Algorithm::named(name)?;
        let hex = std::str::from_utf8(rest.get(1..)?)
            .ok()?
            .to_ascii_lowercase();
        let fits = hex.len() == algorithm.digits() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then_some(Self { algorithm, hex })
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

/// A checksum in the making.
pub(crate) enum Digest {
    Md5(Md5),
    Sha1(Sha1),
}

impl Digest {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Md5 => Self::Md5(Md5::new()),
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(digest) => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
        }
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Md5(digest) => digest.finalize().to_vec(),
            Self::Sha1(digest) => digest.finalize().to_vec(),
        }
    }

    pub(crate) fn checksum(self) -> Checksum {
        let algorithm = match self {
            Self::Md5(_) => Algorithm::Md5,
            Self::Sha1(_) => Algorithm::Sha1,
        };
        let hex = self
            .bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Checksum { algorithm, hex }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_has_a_known_name_and_the_right_length() {
        for (text, expected) in [
            ("MD5:5d41402abc4b2a76b9719d911017c592", true),
            ("SHA-1:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d", true),
            ("MD5:xyz", false),
            ("CRC:00000000000000000000000000000000", false),
            ("MD5", false),
        ] {
            assert_eq!(
                Checksum::parse(text.as_bytes()).is_some(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn hello_has_its_known_sums() {
        let mut digest = Digest::new(Algorithm::Md5);
        digest.update(b"hello");
        assert_eq!(
            digest.checksum().to_string(),
            "MD5:5d41402abc4b2a76b9719d911017c592"
        );
        let mut digest = Digest::new(Algorithm::Sha1);
        digest.update(b"hello");
        assert_eq!(
            digest.checksum().hex,
            "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
        );
    }
}
