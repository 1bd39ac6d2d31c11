//! Walking the keys of a domain in the store's order from any point, and the part of that walk that
//! a prefix asks for: where it begins, what it may jump over, where it ends.

use std::iter::Peekable;
use std::ops::Bound;

use super::collation::{Collation, Weight, folded};
use super::pattern::Like;
use super::{DomainId, State};

/// What to do after one key.
pub(super) enum Step {
    Next,
    /// Go on at the first key that is not below this weight.
    Seek(Weight),
    Stop,
}

type Keys<'a> = Peekable<Box<dyn Iterator<Item = (Weight, Vec<u8>)> + 'a>>;

impl State {
    /// The keys after `after` that begin with `prefix`, in the store's order, at most `limit`.
    pub(crate) fn list(
        &self,
        domain: DomainId,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
        like: Like,
    ) -> Vec<Vec<u8>> {
        let scan = Scan {
            collation: self.flavour.collation,
            like,
            prefix,
        };
        let after = self.flavour.collation.weigh(after);
        let mut page = Vec::new();
        let start = scan.start().filter(|start| *start > after);
        let start = start.map_or(Bound::Excluded(after), Bound::Included);
        self.walk(domain, start, |key| {
            if page.len() >= limit {
                return Step::Stop;
            }
            if !like.begins(key, prefix) {
                return scan.miss(key);
            }
            page.push(key.to_vec());
            Step::Next
        });
        page
    }

    fn walk(&self, domain: DomainId, start: Bound<Weight>, mut visit: impl FnMut(&[u8]) -> Step) {
        let mut start = start;
        loop {
            let mut keys = self.keys_from(domain, &start);
            let seek = loop {
                let Some(key) = first(&mut keys) else { return };
                match visit(&key) {
                    Step::Next => {}
                    Step::Seek(weight) => break weight,
                    Step::Stop => return,
                }
            };
            start = Bound::Included(seek);
        }
    }

    fn keys_from<'a>(&'a self, domain: DomainId, start: &Bound<Weight>) -> Vec<Keys<'a>> {
        let collation = self.flavour.collation;
        let mut all: Vec<Keys<'a>> = Vec::new();
        if let Some(names) = self.names.get(&domain) {
            let rows = names.range((start.clone(), Bound::Unbounded));
            let keys = rows.filter_map(|(weight, fid)| {
                Some((weight.clone(), self.files.get(fid)?.key.clone()))
            });
            all.push((Box::new(keys) as Box<dyn Iterator<Item = _>>).peekable());
        }
        for fill in self.fills.iter().filter(|fill| fill.domain == domain) {
            let reached = |weight: &Weight| match start {
                Bound::Included(start) => weight >= start,
                Bound::Excluded(start) => weight > start,
                Bound::Unbounded => true,
            };
            let keys = fill.from(collation, &reached).map(move |n| {
                let key = fill.key(n);
                (collation.weigh(&key), key)
            });
            all.push((Box::new(keys) as Box<dyn Iterator<Item = _>>).peekable());
        }
        all
    }
}

/// Takes the lowest of several sorted runs.
fn first(keys: &mut [Keys<'_>]) -> Option<Vec<u8>> {
    let heads = keys.iter_mut().enumerate();
    let heads = heads.filter_map(|(n, run)| run.peek().map(|(weight, _)| (weight.clone(), n)));
    let (_, lowest) = heads.min()?;
    keys.get_mut(lowest)?.next().map(|(_, key)| key)
}

/// The stretch of an order in which keys with a prefix can be.
struct Scan<'a> {
    collation: Collation,
    like: Like,
    prefix: &'a [u8],
}

impl Scan<'_> {
    /// No matching key lies below this weight.
    fn start(&self) -> Option<Weight> {
        match self.collation {
            _ if self.prefix.is_empty() => None,
            Collation::Binary => self.next_variant(b"").map(|key| self.collation.weigh(&key)),
            Collation::Ci => {
                // What follows the prefix may sort below the spaces that pad it.
                let low = folded(self.prefix).into_iter().chain([0; 8]);
                Some(Weight::Padded(low.collect()))
            }
            Collation::Linguistic => Some(Weight::Bytes(self.letters().into())),
        }
    }

    /// Where to go on after a key that does not begin with the prefix.
    fn miss(&self, key: &[u8]) -> Step {
        match self.collation {
            Collation::Binary if self.like == Like::Sqlite && !is_text(self.prefix) => Step::Next,
            Collation::Binary => self
                .next_variant(key)
                .map_or(Step::Stop, |key| Step::Seek(self.collation.weigh(&key))),
            Collation::Ci if folded(key) < folded(self.prefix) => Step::Next,
            Collation::Ci => Step::Stop,
            Collation::Linguistic => match self.collation.weigh(key) {
                Weight::Bytes(weight) if !weight.starts_with(&self.letters()) => Step::Stop,
                _ => Step::Next,
            },
        }
    }

    fn letters(&self) -> Vec<u8> {
        let text = String::from_utf8_lossy(self.prefix);
        let letters: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
        folded(letters.as_bytes())
            .into_iter()
            .flat_map(u16::to_be_bytes)
            .collect()
    }

    /// The lowest string from `key` on that begins with the prefix in one of its spellings.
    fn next_variant(&self, key: &[u8]) -> Option<Vec<u8>> {
        if self.like == Like::Sqlite && !is_text(self.prefix) {
            return None;
        }
        let lowest = |from: usize| {
            let rest = self.prefix.get(from..).unwrap_or_default();
            rest.iter()
                .filter_map(|byte| self.spellings(*byte).into_iter().flatten().min())
        };
        let mut answer = None;
        for (n, &byte) in self.prefix.iter().enumerate() {
            let same = key.get(..n).unwrap_or_default();
            let Some(&have) = key.get(n) else {
                return Some(same.iter().copied().chain(lowest(n)).collect());
            };
            let spellings = || self.spellings(byte).into_iter().flatten();
            if let Some(higher) = spellings().filter(|spelling| *spelling > have).min() {
                let tail = std::iter::once(higher).chain(lowest(n + 1));
                answer = Some(same.iter().copied().chain(tail).collect());
            }
            if !spellings().any(|spelling| spelling == have) {
                return answer;
            }
        }
        Some(key.to_vec())
    }

    fn spellings(&self, byte: u8) -> [Option<u8>; 2] {
        if self.like == Like::Sqlite && byte.is_ascii_alphabetic() {
            [
                Some(byte.to_ascii_uppercase()),
                Some(byte.to_ascii_lowercase()),
            ]
        } else {
            [Some(byte), None]
        }
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_spelling_of_a_prefix_is_found() {
        let scan = Scan {
            collation: Collation::Binary,
            like: Like::Sqlite,
            prefix: b"ab/",
        };
        for (key, expected) in [
            ("", Some("AB/")),
            ("A", Some("AB/")),
            ("AB/x", Some("AB/x")),
            ("AC", Some("Ab/")),
            ("Ab0", Some("aB/")),
            ("B", Some("aB/")),
            ("ab/", Some("ab/")),
            ("ab0", None),
            ("b", None),
        ] {
            let next = scan.next_variant(key.as_bytes());
            assert_eq!(next.as_deref(), expected.map(str::as_bytes), "{key}");
        }
    }
}
