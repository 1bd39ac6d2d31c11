//! Listings: whatever names, owners and times a store has, each line is one entry, and a client
//! reads out of it what was put in.

use jiff::tz::TimeZone;

use crate::draw::Draw;
use crate::ftp::facts::Facts;
use crate::ftp::list::Long;
use crate::ftp::listing::{Blocks, Form, Outcome, is_showable, split_pattern, without_options};
use crate::store::{Abilities, Entry, Kind, Whose};

/// Noon of a day, in seconds since the epoch.
const NOW: i64 = 1_795_348_800;

/// `data`: what a client asks for, and entries.
pub(crate) fn listing(data: &[u8]) {
    let mut draw = Draw(data);
    let (argument, chosen) = (draw.bytes(), draw.text());
    asks(argument);
    let mut entries = Vec::new();
    while !draw.0.is_empty() {
        entries.push(entry(&mut draw));
    }
    let facts = Facts::chosen(&chosen).unwrap_or_default();
    assert_eq!(Facts::chosen(&facts.chosen_names()), Some(facts));
    let long = Form::Long(Long::new(TimeZone::UTC, NOW));
    for (line, entry) in lines(&entries, long, false).iter().zip(shown(&entries)) {
        is_long(line, entry);
    }
    let names = Form::Names(b"dir/".to_vec());
    for (line, entry) in lines(&entries, names, true).iter().zip(shown(&entries)) {
        assert_eq!(line.strip_prefix(b"dir/"), Some(entry.name.as_slice()));
    }
    for facts in [facts, Facts::default()] {
        let form = Form::Facts(facts, Abilities::default());
        for (line, entry) in lines(&entries, form, true).iter().zip(shown(&entries)) {
            has_facts(line, entry, facts == Facts::default());
        }
    }
}

fn entry(draw: &mut Draw<'_>) -> Entry {
    let bits = draw.byte();
    Entry {
        name: draw.bytes().to_vec(),
        kind: if bits & 1 == 0 { Kind::File } else { Kind::Dir },
        size: (bits & 2 != 0).then(|| draw.number()),
        modified: match bits >> 2 & 3 {
            0 => None,
            1 => Some(NOW.wrapping_sub((draw.number() >> 38).cast_signed())),
            2 => Some((draw.number() >> 26).cast_signed()),
            _ => Some(draw.number().cast_signed()),
        },
        mode: u32::from(draw.byte()) * 2,
        owner: whose(draw),
        group: whose(draw),
        unique: (bits & 16 != 0).then(|| draw.number()),
    }
}

fn whose(draw: &mut Draw<'_>) -> Whose {
    match draw.byte() & 1 {
        0 => Whose::Name(draw.text().into()),
        _ => Whose::Number(u32::from_ne_bytes([
            draw.byte(),
            draw.byte(),
            draw.byte(),
            draw.byte(),
        ])),
    }
}

/// The argument of LIST without its options, and its pattern, are parts of it.
fn asks(argument: &[u8]) {
    let Some(path) = without_options(argument) else {
        return assert!(argument.contains(&b'R'));
    };
    assert!(argument.ends_with(path));
    let options = argument.strip_suffix(path).unwrap_or_default();
    let mut words = options.trim_ascii_end().split(|&byte| byte == b' ');
    let has_ended = words.next_back().map(<[u8]>::trim_ascii) == Some(b"--");
    assert!(has_ended || path.first() != Some(&b'-'));
    if let Some((dir, pattern)) = split_pattern(path) {
        assert_eq!([dir, pattern].concat(), path);
        assert!(!pattern.contains(&b'/') && (dir.is_empty() || dir.ends_with(b"/")));
    }
}

fn shown(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| is_showable(&entry.name))
}

/// The lines of a listing, one for each entry that can be shown.
fn lines(entries: &[Entry], form: Form, is_at_hand: bool) -> Vec<Vec<u8>> {
    let mut wire = Vec::new();
    let all = entries.iter().cloned().map(Ok);
    let mut blocks = Blocks::new(Box::new(all), form, is_at_hand);
    while let Ok(lines @ [_, ..]) = blocks.next() {
        wire.extend_from_slice(lines);
    }
    let hidden = (entries.len() - shown(entries).count()) as u64;
    assert!(blocks.is_over() && blocks.outcome() == Outcome { hidden, cut: None });
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in wire.split_inclusive(|&byte| byte == b'\n') {
        let text = line.strip_suffix(b"\r\n");
        assert!(text.is_some_and(|text| !text.iter().any(u8::is_ascii_control)));
        lines.extend(text.map(<[u8]>::to_vec));
    }
    assert_eq!(lines.len(), shown(entries).count());
    lines
}

/// As clients read the lines of `ls -l`: eight columns, a blank, and the name.
fn is_long(line: &[u8], entry: &Entry) {
    let head = line.strip_suffix(entry.name.as_slice());
    let head = String::from_utf8_lossy(head.unwrap_or_default()).into_owned();
    let shown = String::from_utf8_lossy(line).into_owned();
    let columns: Vec<&str> = head.split_ascii_whitespace().collect();
    let [mode, _, _, _, size, month, day, year] = columns.as_slice() else {
        unreachable!("{} columns: {shown}", columns.len());
    };
    assert!(head.ends_with(' ') && !head.ends_with("  "), "{shown}");
    assert!(mode.len() == 10 && mode.starts_with(['-', 'd']), "{shown}");
    assert_eq!(size.parse().ok(), Some(entry.size.unwrap_or(0)));
    let months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    assert!(month.len() == 3 && months.contains(month), "{shown}");
    assert!(
        day.parse().is_ok_and(|day: u8| (1..=31).contains(&day)),
        "{shown}"
    );
    let is_time = year.split_once(':').is_some_and(|(hour, minute)| {
        let below =
            |text: &str, most: u8| text.len() == 2 && text.parse().is_ok_and(|n: u8| n < most);
        below(hour, 24) && below(minute, 60)
    });
    let is_year = year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit());
    assert!(is_time || is_year, "{shown}");
}

/// As clients read RFC 3659 §7: facts, each with a semicolon, a blank, and the name.
fn has_facts(line: &[u8], entry: &Entry, are_all: bool) {
    let shown = String::from_utf8_lossy(line).into_owned();
    let end = line
        .iter()
        .position(|&byte| byte == b' ')
        .unwrap_or(line.len());
    let (facts, name) = line.split_at(end);
    assert_eq!(name.get(1..), Some(entry.name.as_slice()), "{shown}");
    let facts = String::from_utf8_lossy(facts).into_owned();
    assert!(facts.is_empty() || facts.ends_with(';'), "{shown}");
    let mut named = 0;
    for fact in facts.split_terminator(';') {
        let (name, value) = fact.split_once('=').unwrap_or_default();
        let is_right = match name {
            "type" => {
                value
                    == if entry.kind == Kind::File {
                        "file"
                    } else {
                        "dir"
                    }
            }
            "size" => value.parse().ok() == entry.size && entry.kind == Kind::File,
            "modify" => value.len() == 14 && value.bytes().all(|byte| byte.is_ascii_digit()),
            "perm" => value.bytes().all(|letter| b"acdeflmprw".contains(&letter)),
            "unique" => u64::from_str_radix(value, 16).ok() == entry.unique,
            "UNIX.mode" => value.len() == 4 && u32::from_str_radix(value, 8).is_ok(),
            _ => false,
        };
        assert!(is_right, "{shown}");
        named += 1;
    }
    assert!(!are_all || named >= 3, "{shown}");
}
