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
    mut entries: impl Iterator<Item = Result<Entry, store::Error>>,
    form: &Form,
    mut sink: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Poured, Error> {
    let mut poured = Poured::default();
    let mut lines = Vec::with_capacity(BLOCK + 1024);
    let mut sent: Option<Instant> = None;
    let mut count = 0_usize;
    // An entry stays where it is: to move it about would take longer than all that is done with it here.
    let mut next = entries.next();
    while let Some(Ok(entry)) = &next {
        match is_showable(&entry.name) {
            true => form.line(entry, &mut lines),
            false => poured.hidden += 1,
        }
        let is_time = |sent: Instant| count.is_multiple_of(GROUP) && sent.elapsed() >= SOON;
        let is_due = !lines.is_empty() && sent.is_none_or(is_time);
        if is_due || lines.len() >= BLOCK {
            sink(&lines)?;
            lines.clear();
            sent = Some(Instant::now());
        }
        count = count.wrapping_add(1);
        next = entries.next();
    }
    sink(&lines)?;
    match next {
        Some(Err(store::Error::Cut(limit))) => poured.cut = Some(limit),
        Some(Err(error)) => return Err(error.into()),
        Some(Ok(_)) | None => {}
    }
    Ok(poured)
}

/// Whether `pattern` means `name`. One that looks like a pattern means itself, too.
pub(super) fn is_meant(pattern: &[u8], name: &[u8]) -> bool {
    pattern == name || glob::matches(pattern, name)
}

/// Whether a name can stand in a line and be sent back as a path.
pub(super) fn is_showable(name: &[u8]) -> bool {
    // Eight bytes at once, the last of them perhaps for the second time.
    let Some(last) = name.last_chunk() else {
        let is_bad = |byte: &u8| byte.is_ascii_control() || *byte == b'/';
        return !name.is_empty() && !name.iter().any(is_bad);
    };
    let (words, _) = name.as_chunks();
    let bad = |bad: u64, word: &[u8; 8]| bad | bad_bytes(u64::from_ne_bytes(*word));
    words.iter().fold(bad(0, last), bad) == 0
}

/// Not 0 if one of the eight bytes is a control character or a slash.
const fn bad_bytes(word: u64) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const fn below(word: u64, bound: u64) -> u64 {
        word.wrapping_sub(EACH * bound) & !word & (EACH << 7)
    }
    const fn equal(word: u64, byte: u8) -> u64 {
        below(word ^ (EACH * byte as u64), 1)
    }
    below(word, 0x20) | equal(word, 0x7f) | equal(word, b'/')
}

/// The argument of LIST, NLST and STAT without the options of `ls` that many clients put in front, which
/// end with `--` if a name begins so; `None` if they ask for subdirectories as well.
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
        if options == b"--" {
            break;
        }
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
    fn a_bad_byte_is_found_wherever_it_is() {
        for byte in 0..=u8::MAX {
            let is_good = !byte.is_ascii_control() && byte != b'/';
            for length in 1..=25 {
                for at in 0..length {
                    for other in [b'a', 0x20, 0x7e, 0x80, 0xff] {
                        let mut name = vec![other; length];
                        name[at] = byte;
                        assert_eq!(is_showable(&name), is_good, "{name:?}");
                    }
                }
            }
        }
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
    fn the_first_line_goes_at_once_behind_names_that_are_hidden() {
        let mut sent = Vec::new();
        let entries = ["a\n", "b", "c"].map(|name| Ok(entry(name)));
        let form = Form::Names(Vec::new());
        let sink = |lines: &[u8]| {
            sent.push(lines.to_vec());
            Ok(())
        };
        pour(entries.into_iter(), &form, sink).unwrap();
        assert_eq!(sent, [b"b\r\n", b"c\r\n"]);
    }

    #[test]
    fn options_are_no_path() {
        for (argument, expected) in [
            (&b""[..], Some(&b""[..])),
            (b"-la", Some(b"")),
            (b"-a -l dir", Some(b"dir")),
            (b"-al  a b ", Some(b"a b ")),
            (b"a -l", Some(b"a -l")),
            (b"-- -la", Some(b"-la")),
            (b"-a -- -R", Some(b"-R")),
            (b"--", Some(b"")),
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
