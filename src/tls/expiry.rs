//! When a certificate ends (RFC 5280 §4.1.2.5), to be said in time, and when a list of revoked ones has
//! (§5.1.2.5). Whether a certificate of ours is good is for clients to judge.
#![forbid(unsafe_code)]

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use super::der::{SEQUENCE, element, skip};

/// A certificate ends soon that has fewer days left.
const SOON: i64 = 14;

const SECONDS_OF_DAY: i64 = 86_400;

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version of a certificate, which stands first where it is not 1.
const VERSION: u8 = 0xa0;
/// That of a list of revoked ones.
const INTEGER: u8 = 0x02;

/// What comes to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Certificate,
    /// Of revoked certificates. An old one lets nobody in.
    Revocations,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Revocations => "revocation list",
        })
    }
}

/// The end of what is in a file: of the certificate, or of one that it rests on; of the list, or of the
/// first of several that ends.
#[derive(Clone, Debug)]
pub(super) struct Expiry {
    kind: Kind,
    file: PathBuf,
    end: Timestamp,
}

impl Expiry {
    /// Of the first that ends, as far as they can be read.
    pub(super) fn of(file: &Path, chain: &[CertificateDer<'_>]) -> Option<Self> {
        let ends = chain.iter().filter_map(|certificate| end(certificate));
        Some(Self {
            kind: Kind::Certificate,
            file: file.to_owned(),
            end: ends.min()?,
        })
    }

    /// The same of lists.
    pub(super) fn of_lists(
        file: &Path,
        lists: &[CertificateRevocationListDer<'_>],
    ) -> Option<Self> {
        let ends = lists.iter().filter_map(|list| next_update(list));
        Some(Self {
            kind: Kind::Revocations,
            file: file.to_owned(),
            end: ends.min()?,
        })
    }

    /// What is to be said of it, if anything is.
    pub(super) fn fading(&self, now: Timestamp) -> Option<Fading> {
        let left = self.end.as_second().saturating_sub(now.as_second());
        let days = left.div_euclid(SECONDS_OF_DAY);
        let soon = match self.kind {
            Kind::Certificate => SOON,
            // Lists are made every day or every week: of one that is good there is nothing to say.
            Kind::Revocations => 0,
        };
        (days < soon).then(|| Fading {
            kind: self.kind,
            file: self.file.clone(),
            end: self.end,
            days,
        })
    }
}

/// A certificate that ends soon, or has ended; a list that has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fading {
    pub kind: Kind,
    pub file: PathBuf,
    pub end: Timestamp,
    /// Whole days that are left; below 0: it has ended.
    pub days: i64,
}

impl Fading {
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.days < 0
    }
}

impl fmt::Display for Fading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.days {
            ..0 => write!(f, "{file}: expired at {}", self.end),
            0 => write!(f, "{file}: expires within a day"),
            1 => write!(f, "{file}: expires in 1 day"),
            days => write!(f, "{file}: expires in {days} days"),
        }
    }
}

/// When this certificate ends.
fn end(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = skip(rest)?;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        rest = skip(rest)?;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    time(skip(validity)?)
}

/// When there should have been another list than this one.
fn next_update(list: &[u8]) -> Option<Timestamp> {
    let (list, _) = element(list, SEQUENCE)?;
    let (mut rest, _) = element(list, SEQUENCE)?;
    if rest.first() == Some(&INTEGER) {
        rest = skip(rest)?;
    }
    // Algorithm, issuer, this update.
    for _ in 0..3 {
        rest = skip(rest)?;
    }
    time(rest)
}

/// The time that stands first in `der`.
fn time(der: &[u8]) -> Option<Timestamp> {
    let tag = *der.first()?;
    let (text, _) = element(der, tag)?;
    moment(tag, std::str::from_utf8(text).ok()?)
}

/// `YYMMDDHHMMSSZ`, of this century or the end of the last, or `YYYYMMDDHHMMSSZ`.
fn moment(tag: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => digits.split_at_checked(2)?,
        GENERALIZED_TIME => digits.split_at_checked(4)?,
        _ => return None,
    };
    let year: i16 = year.parse().ok()?;
    let year = match tag {
        UTC_TIME if year < 50 => 2000 + year,
        UTC_TIME => 1900 + year,
        _ => year,
    };
    let time = civil(year, rest)?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// `MMDDHHMMSS` in `year`.
fn civil(year: i16, digits: &str) -> Option<DateTime> {
    if digits.len() != 10 {
        return None;
    }
    let mut pairs = [0i8; 5];
    for (pair, at) in pairs.iter_mut().zip([0, 2, 4, 6, 8]) {
        *pair = digits.get(at..at + 2)?.parse().ok()?;
    }
    let [month, day, hour, minute, second] = pairs;
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::super::der::wrapped;
    use super::*;

    /// A certificate that ends with the first day of a year.
    fn until(year: i32) -> Vec<u8> {
        let mut own = CertificateParams::new(["localhost".to_owned()]).unwrap();
        own.not_after = date_time_ymd(year, 1, 2);
        let made = own.self_signed(&KeyPair::generate().unwrap()).unwrap();
        made.der().to_vec()
    }

    #[test]
    fn the_end_is_read_as_it_was_written() {
        // The form changes in 2050.
        for year in [1990, 2027, 2049, 2050, 4096] {
            let expected: Timestamp = format!("{year:04}-01-02T00:00:00Z").parse().unwrap();
            assert_eq!(end(&until(year)), Some(expected), "{year}");
        }
    }

    #[test]
    fn an_old_certificate_has_no_version() {
        let times = [b"250102030405Z", b"260102030405Z"].map(|time| wrapped(UTC_TIME, time));
        let inside = [
            wrapped(0x02, &[1]),
            wrapped(SEQUENCE, b""),
            wrapped(SEQUENCE, b""),
            wrapped(SEQUENCE, &times.concat()),
        ];
        let whole = wrapped(SEQUENCE, &wrapped(SEQUENCE, &inside.concat()));
        let expected = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(end(&whole), Some(expected));
    }

    /// A list with so many serial numbers of three bytes in it.
    fn list(version: &[u8], revoked: usize) -> Vec<u8> {
        let times = [b"250102030405Z", b"260102030405Z"].map(|time| wrapped(UTC_TIME, time));
        let serial = wrapped(0x02, &[1, 2, 3]);
        let inside = [
            version.to_vec(),
            wrapped(SEQUENCE, b""),
            wrapped(SEQUENCE, b""),
            times.concat(),
            wrapped(SEQUENCE, &serial.repeat(revoked)),
        ];
        wrapped(SEQUENCE, &wrapped(SEQUENCE, &inside.concat()))
    }

    #[test]
    fn a_list_ends_with_its_next_update_however_long_it_is() {
        let expected = "2026-01-02T03:04:05Z".parse().unwrap();
        for version in [wrapped(INTEGER, &[1]), Vec::new()] {
            for revoked in [0, 50, 1_000, 100_000, 5_000_000] {
                let whole = list(&version, revoked);
                assert_eq!(next_update(&whole), Some(expected), "{revoked}");
            }
        }
        let whole = list(&[], 0);
        for length in 0..whole.len() {
            assert_eq!(next_update(&whole[..length]), None, "{length}");
        }
        // None that should have been replaced is told of before.
        let lists = [CertificateRevocationListDer::from(whole)];
        let expiry = Expiry::of_lists(Path::new("/a.crl"), &lists).unwrap();
        for (now, is_told) in [
            ("2026-01-02T03:04:05Z", false),
            ("2026-01-02T03:04:06Z", true),
        ] {
            let fading = expiry.fading(now.parse().unwrap());
            assert_eq!(
                fading.map(|fading| fading.is_over()),
                is_told.then_some(true)
            );
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = until(2027);
        for length in 0..whole.len() {
            assert_eq!(end(&whole[..length]), None, "{length}");
        }
        for (tag, text) in [
            (UTC_TIME, "260102030405"),
            (UTC_TIME, "2601020304Z"),
            (UTC_TIME, "261302030405Z"),
            (UTC_TIME, "260102030405+0000"),
            (GENERALIZED_TIME, "260102030405Z"),
            (GENERALIZED_TIME, "2026010203\u{fc}5Z"),
            (0x13, "260102030405Z"),
        ] {
            assert_eq!(moment(tag, text), None, "{tag:x} {text}");
        }
    }

    #[test]
    fn of_a_chain_the_first_end_counts_and_is_told_of_in_the_last_days() {
        let chain = [2040, 2030, 2050].map(|year| CertificateDer::from(until(year)));
        let expiry = Expiry::of(Path::new("/a.pem"), &chain).unwrap();
        for (now, days) in [
            ("2029-12-18T23:59:59Z", None),
            ("2029-12-19T00:00:01Z", Some(13)),
            ("2030-01-01T00:00:00Z", Some(1)),
            ("2030-01-01T00:00:01Z", Some(0)),
            ("2030-01-02T00:00:00Z", Some(0)),
            ("2030-01-02T00:00:01Z", Some(-1)),
            ("2040-01-02T00:00:00Z", Some(-3652)),
        ] {
            let fading = expiry.fading(now.parse().unwrap());
            assert_eq!(fading.map(|fading| fading.days), days, "{now}");
        }
    }
}
