//! How a data base orders and equates keys. A weight stands for a key in every comparison; two keys
//! of one weight are one key. No rows here.

use std::cmp::Ordering;

/// The orders that stores in the field have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collation {
    /// Byte by byte: SQLite, VARBINARY, PostgreSQL with "C".
    Binary,
    /// Case, accents and trailing spaces do not count: utf8mb4_general_ci.
    Ci,
    /// Letters first, punctuation only where letters are equal: glibc's en_US.UTF-8. Different
    /// bytes are different keys.
    Linguistic,
}

impl Collation {
    /// By its name on the command line.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "binary" => Some(Self::Binary),
            "ci" => Some(Self::Ci),
            "linguistic" => Some(Self::Linguistic),
            _ => None,
        }
    }

    /// What stands for `key` in comparisons.
    pub(crate) fn weigh(self, key: &[u8]) -> Weight {
        match self {
            Self::Binary => Weight::Bytes(key.into()),
            Self::Ci => {
                let mut units = folded(key);
                while units.last() == Some(&SPACE) {
                    units.pop();
                }
                Weight::Padded(units.into())
            }
            Self::Linguistic => Weight::Bytes(letters_first(key).into()),
        }
    }
}

const SPACE: u16 = 0x20;

/// An ordered stand-in for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Weight {
    Bytes(Box<[u8]>),
    /// Compared as if both sides went on with spaces for ever.
    Padded(Box<[u16]>),
}

impl Ord for Weight {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Padded(a), Self::Padded(b)) => {
                let length = a.len().max(b.len());
                let padded = |units: &[u16]| {
                    let spaces = std::iter::repeat(SPACE);
                    units
                        .iter()
                        .copied()
                        .chain(spaces)
                        .take(length)
                        .collect::<Vec<_>>()
                };
                let common = a.iter().zip(b.iter()).find(|(a, b)| a != b);
                common.map_or_else(|| padded(a).cmp(&padded(b)), |(a, b)| a.cmp(b))
            }
            (Self::Bytes(_), Self::Padded(_)) => Ordering::Less,
            (Self::Padded(_), Self::Bytes(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Weight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One unit per character: upper case, without accents; beyond the basic plane all are alike.
/// Bytes that are no UTF-8 become the replacement character.
pub(crate) fn folded(key: &[u8]) -> Vec<u16> {
    String::from_utf8_lossy(key).chars().map(fold).collect()
}

fn fold(c: char) -> u16 {
    let plain = unaccented(c);
    let mut upper = plain.to_uppercase();
    let first = upper.next().unwrap_or(plain);
    let single = if upper.next().is_some() { plain } else { first };
    u16::try_from(u32::from(unaccented(single))).unwrap_or(0xFFFD)
}

/// The base letter of Latin-1 and Latin Extended-A letters.
fn unaccented(c: char) -> char {
    match c {
        'À'..='Å' | 'à'..='å' | 'Ā'..='ą' => 'A',
        'Ç' | 'ç' | 'Ć'..='č' => 'C',
        'Ď' | 'ď' => 'D',
        'È'..='Ë' | 'è'..='ë' | 'Ē'..='ě' => 'E',
        'Ĝ'..='ģ' => 'G',
        'Ĥ' | 'ĥ' => 'H',
        'Ì'..='Ï' | 'ì'..='ï' | 'Ĩ'..='ı' => 'I',
        'Ĵ' | 'ĵ' => 'J',
        'Ķ' | 'ķ' => 'K',
        'Ĺ'..='ľ' => 'L',
        'Ñ' | 'ñ' | 'Ń'..='ň' => 'N',
        'Ò'..='Ö' | 'ò'..='ö' | 'Ō'..='ő' => 'O',
        'Ŕ'..='ř' => 'R',
        'Ś'..='š' | 'ß' => 'S',
        'Ţ'..='ť' => 'T',
        'Ù'..='Ü' | 'ù'..='ü' | 'Ũ'..='ų' => 'U',
        'Ŵ' | 'ŵ' => 'W',
        'Ý' | 'ý' | 'ÿ' | 'Ŷ'..='Ÿ' => 'Y',
        'Ź'..='ž' => 'Z',
        other => other,
    }
}

/// First the letters and digits without case, then their case, then the bytes themselves.
fn letters_first(key: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(key);
    let letters: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
    let mut out = Vec::with_capacity(key.len() * 3);
    for &letter in &letters {
        out.extend(fold(letter).to_be_bytes());
    }
    out.extend([0, 0]);
    out.extend(
        letters
            .iter()
            .map(|letter| if letter.is_uppercase() { 2 } else { 1 }),
    );
    out.push(0);
    out.extend(key);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(collation: Collation, mut keys: Vec<&str>) -> Vec<&str> {
        keys.sort_by_key(|key| collation.weigh(key.as_bytes()));
        keys
    }

    #[test]
    fn ci_orders_as_the_recorded_data_base_did() {
        let expected = vec![
            "10",
            "9",
            "A",
            "a(b",
            "a+b",
            "a.b",
            "a[b",
            "B",
            "b 4",
            "b%5",
            "b-3",
            "b/1",
            "b/10",
            "b/2",
            "bX7",
            "b\\8",
            "b_6",
            "c",
            "dir",
            "dir/sub/x",
            "dir/y",
            "dirz",
            "é1",
            "nl\nx",
            "nul\0x",
            "tab\tx",
            "ÿ",
            "zoo",
            "日本",
        ];
        let mut shuffled = expected.clone();
        shuffled.reverse();
        assert_eq!(sorted(Collation::Ci, shuffled), expected);
    }

    #[test]
    fn ci_has_no_case_no_accents_and_no_trailing_space() {
        for (a, b) in [("foo", "FOO"), ("é", "E"), ("sp", "sp  "), ("ä/B", "A/b")] {
            assert_eq!(
                Collation::Ci.weigh(a.as_bytes()),
                Collation::Ci.weigh(b.as_bytes())
            );
        }
        assert!(Collation::Ci.weigh(b"a\t") < Collation::Ci.weigh(b"a"));
    }

    #[test]
    fn linguistic_order_looks_at_letters_first() {
        let expected = vec!["a/b0", "a-b/1", "a/b/1", "ab/1", "a/b/2"];
        let sorted = sorted(Collation::Linguistic, expected.clone());
        assert_eq!(sorted, expected);
        assert_ne!(
            Collation::Linguistic.weigh(b"ab"),
            Collation::Linguistic.weigh(b"a-b")
        );
    }
}
