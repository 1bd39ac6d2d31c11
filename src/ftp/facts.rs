//! Machine listings (RFC 3659 §7): the facts of an entry, and which of them a client wants.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::list::{digits, four, two};
use crate::store::{Abilities, Entry, Kind};

/// A fact.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fact {
    Type,
    Size,
    Modify,
    Perm,
    Unique,
    Mode,
}

/// The facts there are, in the order in which they are sent, and what they are called.
const FACTS: [(Fact, &str); 6] = [
    (Fact::Type, "type"),
    (Fact::Size, "size"),
    (Fact::Modify, "modify"),
    (Fact::Perm, "perm"),
    (Fact::Unique, "unique"),
    (Fact::Mode, "UNIX.mode"),
];

/// Which facts a client wants; all, until it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    wanted: [bool; FACTS.len()],
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            wanted: [true; FACTS.len()],
        }
    }
}

impl Facts {
    /// What OPTS MLST chooses: `type;size;`. Names that are no facts of ours are ignored, as RFC
    /// 3659 §7.9 has it; a list with blanks in it is none.
    pub(super) fn chosen(argument: &str) -> Option<Self> {
        if argument.contains(char::is_whitespace) {
            return None;
        }
        let is_wanted = |(_, fact): (Fact, &str)| {
            argument
                .split(';')
                .any(|name| name.eq_ignore_ascii_case(fact))
        };
        Some(Self {
            wanted: FACTS.map(is_wanted),
        })
    }

    /// The chosen facts, as the reply to OPTS MLST shows them: `type;size;`.
    pub(super) fn chosen_names(self) -> String {
        self.named().filter(|(_, wanted)| *wanted).fold(
            String::new(),
            |mut names, ((_, fact), _)| {
                names.push_str(fact);
                names.push(';');
                names
            },
        )
    }

    /// All facts, the chosen ones with a star, as FEAT shows them.
    pub(super) fn feature(self) -> String {
        self.named()
            .map(|((_, fact), wanted)| format!("{fact}{};", if wanted { "*" } else { "" }))
            .collect()
    }

    fn named(self) -> impl Iterator<Item = ((Fact, &'static str), bool)> {
        FACTS.into_iter().zip(self.wanted)
    }

    /// Whether a fact is wanted that a store may have to ask for: more than what an entry is.
    pub(super) fn want_details(self) -> bool {
        self.named()
            .any(|((fact, _), wanted)| wanted && fact != Fact::Type)
    }

    /// Puts the facts of `entry` and the blank that ends them at the end of `out`; what the store
    /// does not know is left out, never guessed.
    pub(super) fn put(self, entry: &Entry, can: Abilities, out: &mut Vec<u8>) {
        for ((fact, _), wanted) in self.named() {
            if !wanted {
                continue;
            }
            match (fact, entry) {
                (Fact::Type, _) => out.extend_from_slice(match entry.kind {
                    Kind::File => b"type=file;",
                    Kind::Dir => b"type=dir;",
                }),
                (
                    Fact::Size,
                    Entry {
                        kind: Kind::File,
                        size: Some(size),
                        ..
                    },
                ) => {
                    out.extend_from_slice(b"size=");
                    digits(*size, 1, b'0', out);
                    out.push(b';');
                }
                (
                    Fact::Modify,
                    Entry {
                        modified: Some(seconds),
                        ..
                    },
                ) => {
                    if let Some(time) = civil(*seconds) {
                        out.extend_from_slice(b"modify=");
                        put_time(time, out);
                        out.push(b';');
                    }
                }
                (Fact::Perm, _) => {
                    out.extend_from_slice(b"perm=");
                    put_permissions(entry, can, out);
                    out.push(b';');
                }
                (
                    Fact::Unique,
                    Entry {
                        unique: Some(unique),
                        ..
                    },
                ) => {
                    out.extend_from_slice(b"unique=");
                    put_bits(*unique, 4, 1, out);
                    out.push(b';');
                }
                (Fact::Mode, _) => {
                    out.extend_from_slice(b"UNIX.mode=");
                    put_bits((entry.mode & 0o7777).into(), 3, 4, out);
                    out.push(b';');
                }
                _ => {}
            }
        }
        out.push(b' ');
    }
}

/// `number` in figures of so many bits each, `least` of them at least.
fn put_bits(number: u64, bits: usize, least: usize, out: &mut Vec<u8>) {
    const FIGURES: &[u8; 16] = b"0123456789abcdef";
    let mask = (1 << bits) - 1;
    let wide = number.checked_ilog2().map_or(0, |last| last as usize + 1);
    let count = wide.div_ceil(bits).max(least);
    let mut text = [0; 22];
    let text = text.get_mut(..count).unwrap_or_default();
    for (at, figure) in text.iter_mut().rev().enumerate() {
        let value = usize::try_from((number >> (at * bits)) & mask).ok();
        *figure = value
            .and_then(|value| FIGURES.get(value))
            .copied()
            .unwrap_or_default();
    }
    out.extend_from_slice(text);
}

/// What may be tried (RFC 3659 §7.5.5): read off the permission bits, which say what the account
/// may do with this entry, and off what can be done at all.
fn put_permissions(entry: &Entry, can: Abilities, out: &mut Vec<u8>) {
    let may_read = entry.mode & 0o444 != 0;
    let may_write = entry.mode & 0o222 != 0;
    let letters: &[(u8, bool)] = match entry.kind {
        Kind::File => &[
            (b'a', may_write && can.append),
            (b'd', may_write),
            (b'f', may_write && can.rename),
            (b'r', may_read),
            (b'w', may_write),
        ],
        Kind::Dir => &[
            (b'c', may_write),
            (b'd', may_write && can.remove_dirs),
            (b'e', may_read),
            (b'f', may_write && can.rename),
            (b'l', may_read),
            (b'm', may_write && can.make_dirs),
            (b'p', may_write),
        ],
    };
    out.extend(
        letters
            .iter()
            .filter(|(_, holds)| *holds)
            .map(|(letter, _)| letter),
    );
}

/// `YYYYMMDDHHMMSS`, UTC (RFC 3659 §2.3); `None` for a time that cannot be.
pub(super) fn time(seconds: i64) -> Option<String> {
    let mut text = Vec::with_capacity(14);
    put_time(civil(seconds)?, &mut text);
    String::from_utf8(text).ok()
}

fn civil(seconds: i64) -> Option<DateTime> {
    let time = TimeZone::UTC.to_datetime(Timestamp::from_second(seconds).ok()?);
    (time.year() >= 0).then_some(time)
}

fn put_time(time: DateTime, out: &mut Vec<u8>) {
    out.extend_from_slice(&four(time.year()));
    for part in [
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
    ] {
        out.extend_from_slice(&two(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Whose;

    fn file() -> Entry {
        Entry {
            name: b"a b".to_vec(),
            kind: Kind::File,
            size: Some(1234),
            modified: Some(1_795_348_800),
            mode: 0o644,
            owner: Whose::named(""),
            group: Whose::named(""),
            unique: Some(0x4711),
        }
    }

    fn facts(facts: Facts, entry: &Entry) -> String {
        let mut out = Vec::new();
        facts.put(entry, Abilities::default(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn figures_are_those_of_the_number() {
        for number in [0, 1, 8, 0o17, 0o644, 0o7777, 0xff, 1 << 63, u64::MAX] {
            let mut out = Vec::new();
            put_bits(number, 4, 1, &mut out);
            out.push(b' ');
            put_bits(number, 3, 4, &mut out);
            assert_eq!(out, format!("{number:x} {number:04o}").into_bytes());
        }
    }

    #[test]
    fn what_is_known_is_said_and_nothing_else() {
        let all = Facts::default();
        assert_eq!(
            facts(all, &file()),
            "type=file;size=1234;modify=20261122120000;perm=adfrw;unique=4711;UNIX.mode=0644; "
        );
        let vague = Entry {
            size: None,
            modified: None,
            unique: None,
            mode: 0o444,
            ..file()
        };
        assert_eq!(facts(all, &vague), "type=file;perm=r;UNIX.mode=0444; ");
        let dir = Entry {
            kind: Kind::Dir,
            mode: 0o755,
            unique: None,
            modified: None,
            ..file()
        };
        assert_eq!(facts(all, &dir), "type=dir;perm=cdeflmp;UNIX.mode=0755; ");
    }

    #[test]
    fn what_cannot_be_done_is_not_promised() {
        let can = Abilities {
            append: false,
            rename: false,
            make_dirs: false,
            remove_dirs: false,
            ..Abilities::default()
        };
        let dir = Entry {
            kind: Kind::Dir,
            ..file()
        };
        for (entry, able, unable) in [(file(), "adfrw", "drw"), (dir, "cdeflmp", "celp")] {
            for (can, expected) in [(Abilities::default(), able), (can, unable)] {
                let mut letters = Vec::new();
                put_permissions(&entry, can, &mut letters);
                assert_eq!(letters, expected.as_bytes());
            }
        }
    }

    #[test]
    fn a_client_chooses_its_facts() {
        for (argument, names, line) in [
            ("type;size;", "type;size;", "type=file;size=1234; "),
            ("SIZE;nonsense;Type", "type;size;", "type=file;size=1234; "),
            ("unix.mode;", "UNIX.mode;", "UNIX.mode=0644; "),
            ("", "", " "),
        ] {
            let chosen = Facts::chosen(argument).unwrap();
            assert_eq!(chosen.chosen_names(), names);
            assert_eq!(facts(chosen, &file()), line);
        }
        assert_eq!(
            Facts::chosen("type;perm").unwrap().feature(),
            "type*;size;modify;perm*;unique;UNIX.mode;"
        );
        assert_eq!(Facts::chosen("type size"), None);
    }

    #[test]
    fn times_have_fourteen_digits_or_are_left_out() {
        for (seconds, expected) in [
            (0, Some("19700101000000")),
            (1_795_348_800, Some("20261122120000")),
            (i64::MAX, None),
            (-62_200_000_000, None),
        ] {
            assert_eq!(time(seconds).as_deref(), expected, "{seconds}");
        }
    }
}
