//! From entries to lines: what is shown, in which form, a buffer at a time. Never holds a listing
//! as a whole.

use std::time::{Duration, Instant};

use super::error::Error;
use super::facts::Facts;
use super::glob;
use super::list::Long;
use crate::store::{self, Abilities, Entries, Entry};

/// Lines are sent when there are so many bytes of them,
const BLOCK: usize = 60 * 1024;

/// the first of those that need not be waited for when there are so many,
const SHORT: usize = 8 * 1024;

/// and there is room for one more, which is hardly ever longer;
const LONGEST: usize = 1024;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Entries whose names would break a line, and are not shown.
    pub(super) hidden: u64,
    /// The store showed so many and there are more.
    pub(super) cut: Option<usize>,
}

/// A listing as lines, a block of them at a time.
pub(super) struct Blocks<'e> {
    entries: Entries<'e>,
    form: Form,
    lines: Vec<u8>,
    /// As many bytes are a block.
    size: usize,
    count: usize,
    /// When the last block was ready.
    since: Instant,
    outcome: Outcome,
    /// What came behind the last line.
    failure: Option<store::Error>,
    is_over: bool,
}

impl<'e> Blocks<'e> {
    /// The lines of `entries`. Where those are at hand the first block is what may be all of it; otherwise
    /// it is the first line, so that it does not wait for the second.
    pub(super) fn new(entries: Entries<'e>, form: Form, is_at_hand: bool) -> Self {
        Self {
            entries,
            form,
            lines: Vec::new(),
            size: if is_at_hand { SHORT } else { 1 },
            count: 0,
            since: Instant::now(),
            outcome: Outcome::default(),
            failure: None,
            is_over: false,
        }
    }

    /// The next lines; none: there are no more.
    ///
    /// # Errors
    /// The store's, behind all lines that came before it, turned into a reply.
    pub(super) fn next(&mut self) -> Result<&[u8], Error> {
        self.lines.clear();
        if !self.is_over {
            // What grew little by little would be left behind in all its sizes.
            self.lines.reserve_exact(self.size + LONGEST);
        }
        while !self.is_over && self.failure.is_none() {
            // An entry stays where it is: to move it about would take longer than all that is done with it.
            let next = self.entries.next();
            match &next {
                Some(Ok(entry)) if is_showable(&entry.name) => {
                    self.form.line(entry, &mut self.lines);
                }
                Some(Ok(_)) => self.outcome.hidden += 1,
                Some(Err(_)) | None => self.end(next.and_then(Result::err)),
            }
            if self.is_due() {
                break;
            }
        }
        if self.lines.is_empty()
            && let Some(failure) = self.failure.take()
        {
            return Err(failure.into());
        }
        (self.size, self.since) = (BLOCK, Instant::now());
        Ok(&self.lines)
    }

    /// What was given out last.
    pub(super) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Whether that was the last.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// What became of it, so far.
    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn end(&mut self, why: Option<store::Error>) {
        match why {
            Some(store::Error::Cut(limit)) => self.outcome.cut = Some(limit),
            failure => self.failure = failure,
        }
        self.is_over = self.failure.is_none();
    }

    fn is_due(&mut self) -> bool {
        self.count = self.count.wrapping_add(1);
        let is_time = || self.count.is_multiple_of(GROUP) && self.since.elapsed() >= SOON;
        self.lines.len() >= self.size || !self.lines.is_empty() && is_time()
    }
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
    use crate::store::{Kind, Whose};

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.into(),
            kind: Kind::File,
            size: Some(1),
            modified: None,
            mode: 0o644,
            owner: Whose::named(""),
            group: Whose::named(""),
            unique: None,
        }
    }

    fn names(entries: Vec<Result<Entry, store::Error>>) -> (Result<Outcome, Error>, String) {
        let form = Form::Names(b"d/".to_vec());
        let mut blocks = Blocks::new(Box::new(entries.into_iter()), form, false);
        let mut out = Vec::new();
        let ended = loop {
            match blocks.next() {
                Ok([]) => break Ok(blocks.outcome()),
                Ok(lines) => out.extend_from_slice(lines),
                Err(error) => break Err(error),
            }
        };
        (ended, String::from_utf8(out).unwrap())
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

    fn blocks(names: &'static [&str], is_at_hand: bool) -> Blocks<'static> {
        let entries = names.iter().map(|name| Ok(entry(name)));
        Blocks::new(Box::new(entries), Form::Names(Vec::new()), is_at_hand)
    }

    #[test]
    fn the_first_line_does_not_wait_for_the_second() {
        let mut blocks = blocks(&["a\n", "b", "c", "d"], false);
        assert_eq!(blocks.next().unwrap(), b"b\r\n");
        assert!(!blocks.is_over());
        assert_eq!(blocks.next().unwrap(), b"c\r\nd\r\n");
        assert!(blocks.is_over());
        assert_eq!(blocks.next().unwrap(), b"");
    }

    #[test]
    fn what_is_at_hand_and_short_is_one_block() {
        let mut short = blocks(&["a", "b\n", "c"], true);
        assert_eq!(short.next().unwrap(), b"a\r\nc\r\n");
        assert!(short.is_over());
        assert_eq!(short.outcome().hidden, 1);
        let mut long = blocks(&["a name of some length"; 10_000], true);
        let first = long.next().unwrap().len();
        assert!((SHORT..BLOCK).contains(&first) && !long.is_over());
        assert!(long.next().unwrap().len() >= BLOCK);
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
