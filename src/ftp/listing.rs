//! From entries to lines: what is shown, in which form, a buffer at a time. Never holds a listing
//! as a whole.

use std::time::{Duration, Instant};

use super::error::Error;
use super::facts::Facts;
use super::glob;
use super::list::Long;
use crate::store::{self, Abilities, Entry};

/// Lines are sent when there are so many bytes of them,
const BLOCK: usize = 60 * 1024;

/// or when the first of them has waited so long for a slow store.
const SOON: Duration = Duration::from_millis(500);

/// Entries come in groups, so that it will do to look at the clock for one of so many.
const GROUP: usize = 16;

/// How an entry becomes a line.
pub(super) enum Form {
    /// LIST
    Long(Long),
    /// NLST: names with this in front, so that the client can use them as they are.
    Names(Vec<u8>),
    /// MLSD
    Facts(Facts, Abilities),
}

impl Form {
    fn line(&self, entry: &Entry, out: &mut Vec<u8>) {
        match self {
            Self::Long(long) => long.line(entry, out),
            Self::Names(prefix) => {
                out.extend_from_slice(prefix);
                out.extend_from_slice(&entry.name);
                out.extend_from_slice(b"\r\n");
            }
            Self::Facts(facts, can) => {
                facts.put(entry, *can, out);
                out.extend_from_slice(&entry.name);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// What became of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Poured {
    /// Entries whose names would break a line, and are not shown.
    pub(super) hidden: u64,
    /// The store showed so many and there are more.
    pub(super) cut: Option<usize>,
}

/// Writes `entries` as lines to `sink`, the first of them at once.
///
/// # Errors
/// The store's, turned into a reply, and those of `sink`.
pub(super) fn pour(
    entries: impl Iterator<Item = Result<Entry, store::Error>>,
    form: &Form,
    mut sink: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Poured, Error> {
    let mut poured = Poured::default();
    let mut lines = Vec::with_capacity(BLOCK + 1024);
    let mut sent: Option<Instant> = None;
    for (at, entry) in entries.enumerate() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(store::Error::Cut(limit)) => {
                poured.cut = Some(limit);
                break;
            }
            Err(error) => {
                sink(&lines)?;
                return Err(error.into());
            }
        };
        if !is_showable(&entry.name) {
            poured.hidden += 1;
            continue;
        }
        form.line(&entry, &mut lines);
        let is_due = sent.is_none_or(|sent| at % GROUP == 0 && sent.elapsed() >= SOON);
        if is_due || lines.len() >= BLOCK {
            sink(&lines)?;
            lines.clear();
            sent = Some(Instant::now());
        }
    }
    sink(&lines)?;
    Ok(poured)
}

/// Whether `pattern` means `name`. One that looks like a pattern means itself, too.
pub(super) fn is_meant(pattern: &[u8], name: &[u8]) -> bool {
    pattern == name || glob::matches(pattern, name)
}

/// Whether a name can stand in a line and be sent back as a path.
pub(super) fn is_showable(name: &[u8]) -> bool {
    // All of them are looked at, which is quicker for short names than to stop at the first.
    let is_bad = |byte: &u8| byte.is_ascii_control() | (*byte == b'/');
    !name.is_empty() && !name.iter().fold(false, |bad, byte| bad | is_bad(byte))
}

/// The argument of LIST, NLST and STAT without the options of `ls` that many clients put in front;
/// `None` if they ask for subdirectories as well.
pub(super) fn without_options(argument: &[u8]) -> Option<&[u8]> {
    let mut rest = argument;
    while rest.first() == Some(&b'-') {
        let end = rest
            .iter()
            .position(|&byte| byte == b' ')
            .unwrap_or(rest.len());
        let (options, after) = rest.split_at(end);
        if options.contains(&b'R') {
            return None;
        }
        rest = after.trim_ascii_start();
    }
    Some(rest)
}

/// `dir/*.jpg` as `dir/` and `*.jpg`; `None` unless the last part is a pattern.
pub(super) fn split_pattern(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = name
        .iter()
        .rposition(|&byte| byte == b'/')
        .map_or(0, |slash| slash + 1);
    let (dir, last) = name.split_at(at);
    glob::is_pattern(last).then_some((dir, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Kind;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.into(),
            kind: Kind::File,
            size: Some(1),
            modified: None,
            mode: 0o644,
            owner: String::new(),
            group: String::new(),
            unique: None,
        }
    }

    fn names(entries: Vec<Result<Entry, store::Error>>) -> (Result<Poured, Error>, String) {
        let mut out = Vec::new();
        let form = Form::Names(b"d/".to_vec());
        let poured = pour(entries.into_iter(), &form, |lines| {
            out.extend_from_slice(lines);
            Ok(())
        });
        (poured, String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_would_break_a_line_is_hidden_and_counted() {
        let entries = ["a", "b\r\nc", "", "d/e", "\u{7f}", "f g", "%s"].map(|name| Ok(entry(name)));
        let (poured, lines) = names(entries.into());
        assert_eq!(poured.unwrap().hidden, 4);
        assert_eq!(lines, "d/a\r\nd/f g\r\nd/%s\r\n");
    }

    #[test]
    fn a_cut_is_no_error_and_an_error_keeps_what_came_before() {
        let (poured, lines) = names(vec![Ok(entry("a")), Err(store::Error::Cut(1))]);
        assert_eq!(poured.unwrap().cut, Some(1));
        assert_eq!(lines, "d/a\r\n");
        let broken = store::Error::Broken("x".into());
        let (poured, lines) = names(vec![Ok(entry("a")), Err(broken)]);
        assert!(poured.is_err());
        assert_eq!(lines, "d/a\r\n");
    }

    #[test]
    fn a_pattern_chooses_and_means_itself() {
        for (name, expected) in [("a1", true), ("a[1]", true), ("b", false)] {
            assert_eq!(is_meant(b"a[1]", name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn the_first_line_does_not_wait_for_the_second() {
        let mut sent = 0;
        let entries = ["a", "b", "c"].map(|name| Ok(entry(name)));
        let form = Form::Names(Vec::new());
        let sink = |_: &[u8]| {
            sent += 1;
            Ok(())
        };
        pour(entries.into_iter(), &form, sink).unwrap();
        assert_eq!(sent, 2);
    }

    #[test]
    fn options_are_no_path() {
        for (argument, expected) in [
            (&b""[..], Some(&b""[..])),
            (b"-la", Some(b"")),
            (b"-a -l dir", Some(b"dir")),
            (b"-al  a b ", Some(b"a b ")),
            (b"a -l", Some(b"a -l")),
            (b"./-l", Some(b"./-l")),
            (b"-lR", None),
            (b"-l -R x", None),
        ] {
            assert_eq!(without_options(argument), expected, "{argument:?}");
        }
    }

    #[test]
    fn only_the_last_part_is_a_pattern() {
        for (name, expected) in [
            (&b"*.jpg"[..], Some((&b""[..], &b"*.jpg"[..]))),
            (b"a/b/?", Some((b"a/b/", b"?"))),
            (b"/*", Some((b"/", b"*"))),
            (b"a*/b", None),
            (b"a/b", None),
            (b"", None),
        ] {
            assert_eq!(split_pattern(name), expected, "{name:?}");
        }
    }
}
