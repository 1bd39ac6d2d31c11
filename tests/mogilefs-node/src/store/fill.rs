//! Keys that are made up: a prefix and a number. A million of them take no memory and no files;
//! their bodies are made when a device is asked for them.

use std::collections::BTreeSet;

use super::collation::{Collation, Weight};
use super::{ClassId, DeviceId, DomainId, Fid, File};

/// One run of made-up keys, numbered from 1.
pub(crate) struct Fill {
    pub(crate) domain: DomainId,
    pub(crate) class: ClassId,
    pub(crate) prefix: Vec<u8>,
    pub(crate) count: u64,
    pub(crate) size: u64,
    /// The fid of number 0, which is no key.
    pub(crate) base: Fid,
    /// Digits of the highest number; the others are padded with zeros.
    pub(crate) width: usize,
    /// Numbers whose fid no longer has this key: deleted, replaced, renamed, or changed.
    pub(crate) taken: BTreeSet<u64>,
    /// Fids that were deleted or replaced: their bodies are gone too.
    pub(crate) gone: BTreeSet<Fid>,
    /// How many devices there are to spread the copies over.
    pub(crate) devices: DeviceId,
}

impl Fill {
    /// The key of number `n`.
    pub(crate) fn key(&self, n: u64) -> Vec<u8> {
        let mut key = self.prefix.clone();
        key.extend(format!("{n:0width$}", width = self.width).bytes());
        key
    }

    /// The number that `key` has under this collation, where it is still ours.
    pub(crate) fn number(&self, collation: Collation, key: &[u8]) -> Option<u64> {
        let key = if collation == Collation::Ci {
            trimmed(key)
        } else {
            key
        };
        let cut = key.len().checked_sub(self.width)?;
        let (head, digits) = key.split_at_checked(cut)?;
        let same = head == self.prefix || collation == Collation::Ci && self.is_prefix(head);
        if !same || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let n = std::str::from_utf8(digits).ok()?.parse().ok()?;
        self.holds(n).then_some(n)
    }

    fn is_prefix(&self, head: &[u8]) -> bool {
        super::collation::folded(head) == super::collation::folded(&self.prefix)
    }

    fn holds(&self, n: u64) -> bool {
        (1..=self.count).contains(&n) && !self.taken.contains(&n)
    }

    /// The number of a fid, where it is still ours.
    pub(crate) fn number_of(&self, fid: Fid) -> Option<u64> {
        fid.checked_sub(self.base).filter(|n| self.holds(*n))
    }

    /// The size of the body that this fid has on each of its devices.
    pub(crate) fn body(&self, fid: Fid) -> Option<u64> {
        let n = fid.checked_sub(self.base)?;
        ((1..=self.count).contains(&n) && !self.gone.contains(&fid)).then_some(self.size)
    }

    /// The row of number `n`.
    pub(crate) fn file(&self, n: u64) -> File {
        let fid = self.base.saturating_add(n);
        let devices = u64::from(self.devices.max(1));
        let place = |n: u64| DeviceId::try_from(n % devices).unwrap_or(0) + 1;
        let mut copies = vec![place(fid), place(fid.saturating_add(1))];
        copies.sort_unstable();
        copies.dedup();
        File {
            fid,
            domain: self.domain,
            class: self.class,
            length: self.size,
            copies,
            checksum: None,
            key: self.key(n),
        }
    }

    /// The numbers from the first whose key lies within `reached`, in order.
    pub(crate) fn from<'a>(
        &'a self,
        collation: Collation,
        reached: &dyn Fn(&Weight) -> bool,
    ) -> impl Iterator<Item = u64> + use<'a> {
        let (mut low, mut high) = (1, self.count + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if reached(&collation.weigh(&self.key(middle))) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        (low..=self.count).filter(|n| !self.taken.contains(n))
    }
}

fn trimmed(key: &[u8]) -> &[u8] {
    let end = key
        .iter()
        .rposition(|byte| *byte != b' ')
        .map_or(0, |at| at + 1);
    key.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(count: u64) -> Fill {
        Fill {
            domain: 1,
            class: 0,
            prefix: b"big/".to_vec(),
            count,
            size: 3,
            base: 100,
            width: count.to_string().len(),
            taken: BTreeSet::from([7]),
            gone: BTreeSet::new(),
            devices: 3,
        }
    }

    #[test]
    fn keys_and_numbers_are_each_other() {
        let fill = fill(1_000_000);
        assert_eq!(fill.key(42), b"big/0000042");
        assert_eq!(fill.number(Collation::Binary, b"big/0000042"), Some(42));
        for none in [
            "big/0000007",
            "big/42",
            "big/1000001",
            "BIG/0000042",
            "big/00000x2",
            "x",
        ] {
            assert_eq!(
                fill.number(Collation::Binary, none.as_bytes()),
                None,
                "{none}"
            );
        }
        assert_eq!(fill.number(Collation::Ci, b"BIG/0000042  "), Some(42));
    }

    #[test]
    fn a_page_begins_beyond_any_after() {
        let fill = fill(1000);
        for (after, first) in [("", 1), ("big/0006", 8), ("big/0500x", 501), ("big/", 1)] {
            let weight = Collation::Binary.weigh(after.as_bytes());
            let found = fill.from(Collation::Binary, &|key| *key > weight).next();
            assert_eq!(found, Some(first), "{after}");
        }
        assert_eq!(fill.from(Collation::Binary, &|_| false).next(), None);
    }
}
