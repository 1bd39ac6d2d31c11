//! Password hashes, and what it costs to compare with them. Needs no file, no lock and no clock:
//! a worker in its sandbox can verify.
#![forbid(unsafe_code)]

use std::fmt;
use std::hint::black_box;

use md5::{Digest, Md5};
use sha_crypt::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use sha_crypt::{Params, ShaCrypt};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::Password;
use crate::config::Crypt;
use crate::text::hexadecimal;

/// What a users file says a password is.
#[derive(Clone, PartialEq, Eq)]
pub enum Hash {
    Md5([u8; 16]),
    Sha1([u8; 20]),
    /// A crypt string `$5$…` or `$6$…`, known to be well-formed.
    Crypt(String, Cost),
}

/// How much work a verification is: the rounds of each kind of crypt. The bare hashes cost nothing
/// that anybody could measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub sha256: u32,
    pub sha512: u32,
}

impl Cost {
    /// Of a `$6$` hash that says nothing about rounds.
    pub const USUAL: Self = Self {
        sha256: 0,
        sha512: Params::RECOMMENDED_ROUNDS,
    };

    /// As much as either.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            sha256: self.sha256.max(other.sha256),
            sha512: self.sha512.max(other.sha512),
        }
    }

    /// What is left to be spent when `spent` has been.
    fn without(self, spent: Self) -> Self {
        Self {
            sha256: self.sha256.saturating_sub(spent.sha256),
            sha512: self.sha512.saturating_sub(spent.sha512),
        }
    }

    /// Works for nothing.
    fn spend(self, password: &[u8]) {
        const SALT: &[u8] = b"0123456789abcdef";
        // Fewer rounds than this cannot be asked for.
        let rounds = |rounds: u32| match rounds {
            0 => None,
            _ => Params::new(rounds.max(Params::ROUNDS_MIN)).ok(),
        };
        if let Some(rounds) = rounds(self.sha256) {
            black_box(sha_crypt::sha256_crypt(password, SALT, rounds));
        }
        if let Some(rounds) = rounds(self.sha512) {
            black_box(sha_crypt::sha512_crypt(password, SALT, rounds));
        }
    }
}

impl Hash {
    /// The hash that `text` writes; `crypt` says what one without `$` is. An error says what is
    /// wrong with it.
    pub fn parse(text: &str, crypt: Crypt) -> Result<Self, String> {
        if text.starts_with('$') {
            return Self::crypt(text);
        }
        match crypt {
            Crypt::Md5 => digits(text).map(Self::Md5).ok_or_else(|| {
                "the password is neither 32 hex digits of MD5 nor a crypt string $5$ or $6$"
                    .to_owned()
            }),
            Crypt::Sha1 => digits(text).map(Self::Sha1).ok_or_else(|| {
                "the password is neither 40 hex digits of SHA1 nor a crypt string $5$ or $6$"
                    .to_owned()
            }),
        }
    }

    fn crypt(text: &str) -> Result<Self, String> {
        let mut fields = text.split('$').skip(1);
        let mut next = || fields.next().unwrap_or_default();
        let (is_sha512, length) = match next() {
            "5" => (false, 43),
            "6" => (true, 86),
            other => {
                return Err(format!(
                    "crypt strings ${other}$ are not known, only $5$ and $6$"
                ));
            }
        };
        let mut salt = next();
        let mut rounds = Params::RECOMMENDED_ROUNDS;
        if let Some(number) = salt.strip_prefix("rounds=") {
            rounds = number
                .parse()
                .ok()
                .filter(|rounds| (Params::ROUNDS_MIN..=MOST_ROUNDS).contains(rounds))
                .ok_or_else(|| {
                    format!(
                        "rounds are a number from {} to {MOST_ROUNDS}",
                        Params::ROUNDS_MIN
                    )
                })?;
            salt = next();
        }
        let hash = next();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/');
        let whole = !salt.is_empty() && hash.len() == length && fields.next().is_none();
        if !whole || !salt.chars().chain(hash.chars()).all(legal) {
            return Err("the crypt string is not whole".to_owned());
        }
        let cost = match is_sha512 {
            false => Cost {
                sha256: rounds,
                sha512: 0,
            },
            true => Cost {
                sha256: 0,
                sha512: rounds,
            },
        };
        Ok(Self::Crypt(text.to_owned(), cost))
    }

    /// The crypt string of `password`, by SHA-512 and with a salt of its own.
    ///
    /// # Errors
    /// There is no randomness to be had.
    pub fn sha512(password: &Password) -> Result<String, String> {
        let mut salt = [0; 12];
        getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
        let hash = ShaCrypt::SHA512.hash_password_with_salt(password.as_bytes(), &salt);
        hash.map(|hash| hash.as_str().to_owned())
            .map_err(|error| error.to_string())
    }

    /// The hex digits of MD5: what the PHP daemon reads too.
    #[must_use]
    pub fn md5(password: &Password) -> String {
        Self::Md5(Md5::digest(password.as_bytes()).into()).encode()
    }

    /// What one comparison costs.
    #[must_use]
    pub fn cost(&self) -> Cost {
        match self {
            Self::Md5(_) | Self::Sha1(_) => Cost::default(),
            Self::Crypt(_, cost) => *cost,
        }
    }

    /// In constant time, as far as the hash itself goes.
    fn matches(&self, password: &[u8]) -> bool {
        match self {
            Self::Md5(hash) => Md5::digest(password).as_slice().ct_eq(hash).into(),
            Self::Sha1(hash) => Sha1::digest(password).as_slice().ct_eq(hash).into(),
            Self::Crypt(text, _) => ShaCrypt::SHA512
                .verify_password(password, text.as_str())
                .is_ok(),
        }
    }

    /// The text that `decode` reads.
    pub(super) fn encode(&self) -> String {
        match self {
            Self::Md5(hash) => hexadecimal(hash),
            Self::Sha1(hash) => hexadecimal(hash),
            Self::Crypt(text, _) => text.clone(),
        }
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let kinds = [Crypt::Md5, Crypt::Sha1];
        kinds
            .iter()
            .find_map(|crypt| Self::parse(text, *crypt).ok())
    }
}

/// Rounds above this would keep a worker busy for seconds.
const MOST_ROUNDS: u32 = 5_000_000;

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// Whether `password` has that hash. However it ends, and whether there is a hash or none, the work
/// is `cost`, which is at least that of the hash.
pub(super) fn verify(hash: Option<&Hash>, cost: Cost, password: &[u8]) -> bool {
    let allowed = !password.is_empty() && password.len() <= Password::LONGEST;
    let password = if allowed { password } else { b"-" };
    let none = Hash::Md5([0; 16]);
    let hash = hash.unwrap_or(&none);
    let right = hash.matches(password);
    cost.without(hash.cost()).spend(password);
    allowed & right
}

fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
