//! Checksums of files: their names in HASH (draft-bryan-ftpext-hash) and in the verbs that came
//! before it, and their sums, block by block.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use md5::{Digest, Md5};

use crate::text::hexadecimal;

/// A kind of checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Algorithm {
    #[default]
    Sha256,
    Sha512,
    Sha1,
    Md5,
    Crc32,
}

impl Algorithm {
    const ALL: [Self; 5] = [
        Self::Sha256,
        Self::Sha512,
        Self::Sha1,
        Self::Md5,
        Self::Crc32,
    ];

    /// As HASH, FEAT and MogileFS call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
            Self::Sha1 => "SHA-1",
            Self::Md5 => "MD5",
            Self::Crc32 => "CRC32",
        }
    }

    /// The one of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.name().eq_ignore_ascii_case(name))
    }

    /// All of them, this one with a star, as FEAT shows them.
    pub(super) fn feature(self) -> String {
        let shown = Self::ALL.map(|one| match one == self {
            true => format!("{}*", one.name()),
            false => one.name().to_owned(),
        });
        shown.join(";")
    }
}

/// A checksum on its way.
pub(super) enum Sum {
    Sha(Context),
    Md5(Md5),
    Crc32(u32),
}

impl Sum {
    /// Of nothing yet.
    pub(super) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha(Context::new(&SHA256)),
            Algorithm::Sha512 => Self::Sha(Context::new(&SHA512)),
            Algorithm::Sha1 => Self::Sha(Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            Algorithm::Md5 => Self::Md5(Md5::new()),
            Algorithm::Crc32 => Self::Crc32(!0),
        }
    }

    /// `bytes` more.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha(context) => context.update(bytes),
            Self::Md5(md5) => md5.update(bytes),
            Self::Crc32(crc) => {
                for byte in bytes {
                    let index = usize::from(crc.to_le_bytes()[0] ^ byte);
                    *crc = (*crc >> 8) ^ CRC_OF_BYTE.get(index).copied().unwrap_or_default();
                }
            }
        }
    }

    /// In hexadecimal digits.
    pub(super) fn end(self) -> String {
        match self {
            Self::Sha(context) => hexadecimal(context.finish().as_ref()),
            Self::Md5(md5) => hexadecimal(&md5.finalize()),
            Self::Crc32(crc) => hexadecimal(&(!crc).to_be_bytes()),
        }
    }
}

/// CRC-32 of ISO 3309, as in ZIP: the remainder that each byte leaves.
static CRC_OF_BYTE: [u32; 256] = crc_of_bytes();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated by the compiler, which would stop at either"
)]
const fn crc_of_bytes() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut rest = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            rest = (rest >> 1) ^ if rest & 1 == 1 { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_that_everybody_knows() {
        for (algorithm, expected) in [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (
                Algorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
        ] {
            let mut sum = Sum::new(algorithm);
            sum.add(b"1234");
            sum.add(b"");
            sum.add(b"56789");
            assert_eq!(sum.end(), expected, "{algorithm:?}");
        }
        let empty = Sum::new(Algorithm::Sha512).end();
        assert!(empty.starts_with("cf83e1357eefb8bd"), "{empty}");
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(Algorithm::named("sha-256"), Some(Algorithm::Sha256));
        assert_eq!(Algorithm::named("crc32"), Some(Algorithm::Crc32));
        assert_eq!(Algorithm::named("SHA-3"), None);
        assert_eq!(Algorithm::Md5.feature(), "SHA-256;SHA-512;SHA-1;MD5*;CRC32");
    }
}
