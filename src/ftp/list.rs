//! The line of LIST, as `ls -l` writes it and every client's parser expects it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::store::{Entry, Kind};

/// Shown for a time that the store does not know: 2010-07-08 13:32:38 UTC, which the daemon before
/// this one showed for every file. A listing has no word for "unknown", and "now" would be a lie
/// that changes.
const UNKNOWN: i64 = 1_278_595_958;

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
        let head = format!(
            "{kind}{permissions} {links:>3} {owner:<8} {group:<8} {size:>12} {date} ",
            kind = match entry.kind {
                Kind::Dir => 'd',
                Kind::File => '-',
            },
            permissions = permissions(entry.mode),
            links = 1,
            owner = column(&entry.owner),
            group = column(&entry.group),
            size = entry.size.unwrap_or(0),
            date = self.date(entry.modified),
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&entry.name);
        out.extend_from_slice(b"\r\n");
    }

    fn date(&self, modified: Option<i64>) -> String {
        let seconds = modified.unwrap_or(UNKNOWN);
        let Ok(time) = Timestamp::from_second(seconds) else {
            return self.date(None);
        };
        let age = self.now.saturating_sub(seconds);
        let format = if (-AHEAD..RECENT).contains(&age) {
            "%b %e %H:%M"
        } else {
            "%b %e  %Y"
        };
        time.to_zoned(self.zone.clone())
            .strftime(format)
            .to_string()
    }
}

/// `rw-r--r--`
fn permissions(mode: u32) -> String {
    "rwxrwxrwx"
        .chars()
        .enumerate()
        .map(|(bit, letter)| {
            if mode & (0o400 >> bit) == 0 {
                '-'
            } else {
                letter
            }
        })
        .collect()
}

/// One column must stay one: blanks would move those that follow.
fn column(name: &str) -> String {
    if name.is_empty() {
        return "-".to_owned();
    }
    name.chars()
        .map(|c| {
            if c.is_whitespace() || c.is_control() {
                '_'
            } else {
                c
            }
        })
        .collect()
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
