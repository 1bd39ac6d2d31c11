//! How the tracker's database orders and equates keys. Byte by byte, directories can be jumped over;
//! where it sorts as people do, only plain paging is right. What is not configured is found out by
//! asking for what comes after a made-up key, which says nothing false whatever else is stored.
#![forbid(unsafe_code)]

use super::names::LONGEST_KEY;
use crate::config::Collation;
use crate::mogilefs::Client;
use crate::store::Error;

/// The orders that make a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Byte by byte.
    Binary,
    /// Case does not count, and keys of one prefix stand together up to case.
    Ci,
    /// Anything else: keys of one prefix need not stand together.
    Linguistic,
}

impl Order {
    /// What is configured, if anything is.
    pub(super) fn configured(collation: Collation) -> Option<Self> {
        match collation {
            Collation::Auto => None,
            Collation::Binary => Some(Self::Binary),
            Collation::Ci => Some(Self::Ci),
            Collation::Linguistic => Some(Self::Linguistic),
        }
    }

    /// Its name, as it is configured.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Ci => "ci",
            Self::Linguistic => "linguistic",
        }
    }

    /// By its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::Binary, Self::Ci, Self::Linguistic];
        all.into_iter().find(|order| order.name() == name)
    }

    /// What comes after all keys that begin with what it is appended to, in the best guess and the
    /// next best.
    pub(super) fn ends(self) -> &'static [&'static str] {
        match self {
            Self::Binary => &[HIGHEST],
            // Too low for names that begin with anything behind `z`, never too high.
            Self::Ci => &[
                "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
                "\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
                HIGHEST,
            ],
            Self::Linguistic => &[],
        }
    }
}

/// By bytes, no text comes after this.
const HIGHEST: &str = "\u{10ffff}\u{10ffff}\u{10ffff}";

/// Finds the order out with the help of `key`, which is stored; `None`: this key does not tell.
pub(super) fn probe(client: &Client, domain: &[u8], key: &[u8]) -> Result<Option<Order>, Error> {
    let Some(question) = Question::about(key) else {
        return Ok(None);
    };
    let mut trackers = client.trackers()?;
    let next = trackers.list_keys(domain, b"", &question.after, 1)?;
    let answer = question.judge(next.first().map(Vec::as_slice));
    if answer == Answer::Binary {
        return Ok(Some(Order::Binary));
    }
    let flipped: Vec<u8> = key.iter().map(|byte| flip(*byte)).collect();
    let mut seen = trackers.file_infos(domain, &[key, &flipped])?.into_iter();
    let (Some(Ok(own)), Some(other)) = (seen.next(), seen.next()) else {
        return Ok(None);
    };
    Ok(Some(match other {
        Ok(other) if other.fid == own.fid => Order::Ci,
        _ if answer == Answer::NotLinguistic => Order::Binary,
        _ => Order::Linguistic,
    }))
}

fn flip(byte: u8) -> u8 {
    if byte.is_ascii_lowercase() {
        byte.to_ascii_uppercase()
    } else {
        byte.to_ascii_lowercase()
    }
}

/// A question for the next key after one that is made up: the key that is known with its last small
/// letter, and all that follows, replaced by as many `Z` as a key can hold. By bytes that is before
/// the known key, with only keys of the same head between them; in every other order it is after
/// it, and after all that have a small letter there.
struct Question<'k> {
    key: &'k [u8],
    head: &'k [u8],
    letter: u8,
    after: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Binary,
    /// Binary, or one without case.
    NotLinguistic,
    NotBinary,
}

impl<'k> Question<'k> {
    fn about(key: &'k [u8]) -> Option<Self> {
        let at = key.iter().rposition(u8::is_ascii_lowercase)?;
        let head = key.get(..at)?;
        let mut after = head.to_vec();
        after.resize(LONGEST_KEY.max(at + 1), b'Z');
        Some(Self {
            key,
            head,
            letter: *key.get(at)?,
            after,
        })
    }

    fn judge(&self, next: Option<&[u8]>) -> Answer {
        let Some(rest) = next
            .filter(|next| *next <= self.key)
            .and_then(|next| next.strip_prefix(self.head))
        else {
            return Answer::NotBinary;
        };
        match rest.first() {
            Some(first) if !rest.is_ascii() || *first > self.letter => Answer::NotBinary,
            Some(b'a'..=b'z') => Answer::Binary,
            Some(b'['..=b'`') => Answer::NotLinguistic,
            _ => Answer::NotBinary,
        }
    }
}

/// `text` as an order without case has it.
pub(super) fn folded(text: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(text) {
        Ok(text) => text.to_lowercase().into_bytes(),
        Err(_) => text.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_no_other_order_can_give_proves_anything() {
        let question = Question::about(b"photos/IMG_b7").unwrap();
        assert_eq!(question.head, b"photos/IMG_");
        assert_eq!(question.after.len(), LONGEST_KEY);
        for (next, expected) in [
            (Some("photos/IMG_b7"), Answer::Binary),
            (Some("photos/IMG_a"), Answer::Binary),
            (Some("photos/IMG__x"), Answer::NotLinguistic),
            (Some("photos/IMG_c"), Answer::NotBinary),
            (Some("photos/IMG_B"), Answer::NotBinary),
            (Some("photos/IMG_a\u{e9}"), Answer::NotBinary),
            (Some("photos/x"), Answer::NotBinary),
            (None, Answer::NotBinary),
        ] {
            assert_eq!(
                question.judge(next.map(str::as_bytes)),
                expected,
                "{next:?}"
            );
        }
        assert!(Question::about(b"2026/07/0001").is_none());
    }

    #[test]
    fn orders_have_names() {
        for order in [Order::Binary, Order::Ci, Order::Linguistic] {
            assert_eq!(Order::named(order.name()), Some(order));
        }
        assert_eq!(Order::named("auto"), None);
    }

    #[test]
    fn case_is_folded_beyond_ascii_too() {
        assert_eq!(folded("\u{dc}/A b".as_bytes()), "\u{fc}/a b".as_bytes());
        assert_eq!(folded(b"\xffA"), b"\xffa");
    }
}
