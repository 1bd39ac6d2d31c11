//! The line of LIST, as `ls -l` writes it and every client's parser expects it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::store::{Entry, Kind};

/// Shown for a time that the store does not know: 2010-07-08 13:32:38 UTC, which the daemon before
/// this one showed for every file. A listing has no word for "unknown", and "now" would be a lie
/// that changes.
const UNKNOWN: Timestamp = Timestamp::constant(1_278_595_958, 0);

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
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
        out.push(match entry.kind {
            Kind::Dir => b'd',
            Kind::File => b'-',
        });
        out.extend((0..9).zip(b"rwxrwxrwx").map(|(bit, &letter)| {
            if entry.mode & (0o400 >> bit) == 0 {
                b'-'
            } else {
                letter
            }
        }));
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
        out.extend_from_slice(month.copied().unwrap_or("???").as_bytes());
        out.push(b' ');
        digits(time.day().unsigned_abs().into(), 2, b' ', out);
        out.push(b' ');
        let age = self.now.saturating_sub(at.as_second());
        if (-AHEAD..RECENT).contains(&age) {
            digits(time.hour().unsigned_abs().into(), 2, b'0', out);
            out.push(b':');
            digits(time.minute().unsigned_abs().into(), 2, b'0', out);
        } else {
            // Five columns, as the time of day has.
            out.push(b' ');
            digits(time.year().unsigned_abs().into(), 4, b'0', out);
        }
    }
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
fn column(name: &str, out: &mut Vec<u8>) {
    let name = if name.is_empty() { "-" } else { name };
    let wide = if name.bytes().all(|byte| byte.is_ascii_graphic()) {
        out.extend_from_slice(name.as_bytes());
        name.len()
    } else {
        put_word(name, out)
    };
    out.extend((wide..9).map(|_| b' '));
    if wide >= 9 {
        out.push(b' ');
    }
}

/// What may be of any letters; how many they are.
fn put_word(name: &str, out: &mut Vec<u8>) -> usize {
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
            owner: "mogilefs".into(),
            group: "class".into(),
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
        odd.owner = "two words".into();
        odd.group = String::new();
        let mut line = Vec::new();
        Long::new(TimeZone::UTC, NOW).line(&odd, &mut line);
        assert!(line.starts_with(b"-rw-r--r--   1 two_words -        "));
    }
}
