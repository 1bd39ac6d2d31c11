//! The line of LIST, as `ls -l` writes it and every client's parser expects it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::store::{Entry, Kind, Whose};

/// Shown for a time that the store does not know: 2010-07-08 13:32:38 UTC, which the daemon before
/// this one showed for every file. A listing has no word for "unknown", and "now" would be a lie
/// that changes.
const UNKNOWN: Timestamp = Timestamp::constant(1_278_595_958, 0);

const MONTHS: [&[u8; 4]; 12] = [
    b"Jan ", b"Feb ", b"Mar ", b"Apr ", b"May ", b"Jun ", b"Jul ", b"Aug ", b"Sep ", b"Oct ",
    b"Nov ", b"Dec ",
];

/// Half a year, in seconds: `ls` shows the time of day for what is younger, the year otherwise.
const RECENT: i64 = 365 * 86_400 / 2;

/// A time this far ahead, in seconds, is still "now" on another machine's clock.
const AHEAD: i64 = 3600;

/// How lines are written during one listing.
pub(super) struct Long {
    zone: TimeZone,
    now: i64,
}

impl Long {
    /// Times are shown in `zone`; `now` is in seconds since the epoch.
    pub(super) fn new(zone: TimeZone, now: i64) -> Self {
        Self { zone, now }
    }

    /// Puts the line of `entry` at the end of `out`.
    pub(super) fn line(&self, entry: &Entry, out: &mut Vec<u8>) {
        out.extend_from_slice(&letters(entry));
        out.extend_from_slice(b"   1 ");
        column(&entry.owner, out);
        column(&entry.group, out);
        digits(entry.size.unwrap_or(0), 12, b' ', out);
        out.push(b' ');
        self.date(entry.modified, out);
        out.push(b' ');
        out.extend_from_slice(&entry.name);
        out.extend_from_slice(b"\r\n");
    }

    /// `Nov 22 12:00` of what is young, `Nov 22  2025` of what is not.
    fn date(&self, modified: Option<i64>, out: &mut Vec<u8>) {
        let known = modified.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let shown = |at: Timestamp| (at, self.zone.to_datetime(at));
        // A year has four digits, or it would be taken for another column.
        let known = known.map(shown).filter(|(_, time)| time.year() >= 0);
        let (at, time) = known.unwrap_or_else(|| shown(UNKNOWN));
        let month = usize::try_from(time.month()).ok();
        let month = month.and_then(|month| MONTHS.get(month.saturating_sub(1)));
        out.extend_from_slice(month.copied().unwrap_or(b"??? "));
        let day = match two(time.day()) {
            [b'0', ones] => [b' ', ones],
            both => both,
        };
        out.extend_from_slice(&day);
        let age = self.now.saturating_sub(at.as_second());
        // Six columns either way.
        if (-AHEAD..RECENT).contains(&age) {
            let ([tens, ones], [ten, one]) = (two(time.hour()), two(time.minute()));
            out.extend_from_slice(&[b' ', tens, ones, b':', ten, one]);
        } else {
            out.extend_from_slice(b"  ");
            out.extend_from_slice(&four(time.year()));
        }
    }
}

/// The kind of an entry and what may be done with it: `drwxr-xr-x`.
fn letters(entry: &Entry) -> [u8; 10] {
    let mut letters = *b"-rwxrwxrwx";
    let [kind, rights @ ..] = &mut letters;
    if entry.kind == Kind::Dir {
        *kind = b'd';
    }
    for (bit, letter) in rights.iter_mut().enumerate() {
        if entry.mode & (0o400 >> bit) == 0 {
            *letter = b'-';
        }
    }
    letters
}

/// Two figures of what is less than a hundred.
pub(super) fn two(number: i8) -> [u8; 2] {
    let number = number.unsigned_abs();
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

/// Four figures of a year.
pub(super) fn four(year: i16) -> [u8; 4] {
    let year = year.unsigned_abs();
    [1000, 100, 10, 1].map(|unit| b'0' + u8::try_from(year / unit % 10).unwrap_or_default())
}

/// Puts `number` at the end of `out`, `width` wide at least.
pub(super) fn digits(mut number: u64, width: usize, fill: u8, out: &mut Vec<u8>) {
    let mut text = [fill; 20];
    let mut start = text.len();
    loop {
        start = start.saturating_sub(1);
        if let Some(place) = text.get_mut(start) {
            // Less than ten.
            *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
        }
        number /= 10;
        if number == 0 {
            break;
        }
    }
    let start = start.min(text.len().saturating_sub(width));
    out.extend_from_slice(text.get(start..).unwrap_or_default());
}

/// One column must stay one: blanks would move those that follow. Eight wide, and one between.
fn column(whose: &Whose, out: &mut Vec<u8>) {
    let wide = match whose {
        Whose::Number(number) => {
            let start = out.len();
            digits((*number).into(), 1, b' ', out);
            out.len() - start
        }
        Whose::Name(name) if name.is_empty() => put_word("-", out),
        Whose::Name(name) => put_word(name, out),
    };
    let blanks = 9_usize.saturating_sub(wide).max(1);
    out.resize(out.len() + blanks, b' ');
}

/// What may be of any letters; how many they are.
fn put_word(name: &str, out: &mut Vec<u8>) -> usize {
    if name.bytes().all(|byte| byte.is_ascii_graphic()) {
        out.extend_from_slice(name.as_bytes());
        return name.len();
    }
    for c in name.chars() {
        let c = if c.is_whitespace() || c.is_control() {
            '_'
        } else {
            c
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    name.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 12:00:00 UTC.
    const NOW: i64 = 1_795_348_800;

    fn entry(name: &str, kind: Kind, size: Option<u64>, modified: Option<i64>) -> Entry {
        Entry {
            name: name.into(),
            kind,
            size,
            modified,
            mode: if kind == Kind::Dir { 0o755 } else { 0o644 },
            owner: Whose::named("mogilefs"),
            group: Whose::named("class"),
            unique: None,
        }
    }

    #[test]
    fn every_column_keeps_its_place() {
        use Kind::{Dir, File};
        let long = Long::new(TimeZone::UTC, NOW);
        for (entry, expected) in [
            (
                entry("name", File, Some(1234), Some(NOW)),
                "-rw-r--r--   1 mogilefs class            1234 Nov 22 12:00 name\r\n",
            ),
            (
                entry("100% %s %n", File, Some(0), Some(NOW - 86_400 * 20)),
                "-rw-r--r--   1 mogilefs class               0 Nov  2 12:00 100% %s %n\r\n",
            ),
            (
                entry("huge", File, Some(12_345_678_901_234), Some(NOW - RECENT)),
                "-rw-r--r--   1 mogilefs class    12345678901234 May 24  2026 huge\r\n",
            ),
            (
                entry("future", File, Some(1), Some(NOW + 2 * AHEAD)),
                "-rw-r--r--   1 mogilefs class               1 Nov 22  2026 future\r\n",
            ),
            (
                entry("a b", Dir, None, None),
                "drwxr-xr-x   1 mogilefs class               0 Jul  8  2010 a b\r\n",
            ),
            (
                entry("broken clock", File, None, Some(i64::MAX)),
                "-rw-r--r--   1 mogilefs class               0 Jul  8  2010 broken clock\r\n",
            ),
            (
                entry("Rome", File, None, Some(-60_000_000_000)),
                "-rw-r--r--   1 mogilefs class               0 Sep  3  0068 Rome\r\n",
            ),
            (
                entry("before Christ", File, None, Some(-62_200_000_000)),
                "-rw-r--r--   1 mogilefs class               0 Jul  8  2010 before Christ\r\n",
            ),
        ] {
            let mut line = Vec::new();
            long.line(&entry, &mut line);
            assert_eq!(String::from_utf8_lossy(&line), expected);
        }
    }

    #[test]
    fn times_are_shown_in_the_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(-13));
        let mut line = Vec::new();
        Long::new(zone, NOW).line(&entry("x", Kind::File, None, Some(NOW)), &mut line);
        assert!(line.ends_with(b" Nov 21 23:00 x\r\n"));
    }

    #[test]
    fn an_owner_is_one_column() {
        let mut odd = entry("x", Kind::File, None, None);
        odd.owner = Whose::named("two words");
        odd.group = Whose::named("");
        let mut line = Vec::new();
        Long::new(TimeZone::UTC, NOW).line(&odd, &mut line);
        assert!(line.starts_with(b"-rw-r--r--   1 two_words -        "));
    }
}
