//! The tracker's line protocol as text: requests are written, replies are read. Names and keys are
//! bytes on the wire, not UTF-8. Knows no sockets and no commands.
#![forbid(unsafe_code)]

use std::fmt;

use crate::config::Zone;

/// The most that is taken from a tracker, in bytes, of all lines that were asked for together: a full page
/// of the longest keys, each byte percent-encoded, is well below it.
pub(super) const LONGEST_REPLY: usize = 4 * 1024 * 1024;

/// No answer has more fields: those of the classes of ten thousand domains are not as many.
const MOST_FIELDS: usize = 100_000;

/// One request, still without its `callid`.
#[derive(Clone, Debug)]
pub(super) struct Request {
    line: Vec<u8>,
    command: &'static str,
}

impl Request {
    /// `command` is a word of ours, never text from outside.
    pub(super) fn new(command: &'static str) -> Self {
        let mut line = Vec::with_capacity(128);
        line.extend_from_slice(command.as_bytes());
        line.push(b' ');
        Self { line, command }
    }

    /// The same with one more argument; `value` may be any bytes.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.line.extend_from_slice(name.as_bytes());
        self.line.push(b'=');
        encode(value.as_ref(), &mut self.line);
        self.line.push(b'&');
        self
    }

    /// The same in `zone`, which says by what addresses trackers name nodes: for whatever names a
    /// place, or is told of one, since they know it by the address of the same zone only.
    #[must_use]
    pub(super) fn within(self, zone: Option<Zone>) -> Self {
        match zone {
            Some(Zone::Alt) => self.with("zone", "alt"),
            None => self,
        }
    }

    /// The name of the command, for messages.
    pub(super) fn command(&self) -> &'static str {
        self.command
    }

    /// Appends the whole line with its `callid` to `out`.
    pub(super) fn write_to(&self, callid: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.line);
        out.extend_from_slice(b"callid=");
        out.extend_from_slice(callid.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// What a tracker answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The `callid` that it echoed; trackers before 2.61 echo none.
    pub(super) callid: Option<Vec<u8>>,
    /// The fields of an `OK`, or the code and the text of an `ERR`.
    pub(super) answer: Result<Fields, Refusal>,
}

/// An `ERR`: its code, and a text that is for the log only, since it can hold paths of the server
/// and words of another client's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) text: String,
}

/// The fields of an `OK`. They stay where they came, in the line: one by one the short ones would take many
/// times its memory.
#[derive(Default)]
pub(super) struct Fields {
    text: Vec<u8>,
    /// By name; of those with the same one the last counts.
    places: Vec<Place>,
}

/// Where a field is: name and value, from byte to byte.
#[derive(Clone, Copy)]
struct Place {
    name: (u32, u32),
    /// `None`: it was taken out.
    value: Option<(u32, u32)>,
}

impl Fields {
    fn at(&self, (from, to): (u32, u32)) -> &[u8] {
        let at = |number| usize::try_from(number).unwrap_or(usize::MAX);
        self.text.get(at(from)..at(to)).unwrap_or_default()
    }

    /// The last of that name, by its place among all.
    fn find(&self, name: &str) -> Option<usize> {
        let is_not_behind = |place: &Place| self.at(place.name) <= name.as_bytes();
        let at = self.places.partition_point(is_not_behind).checked_sub(1)?;
        let found = self.places.get(at)?;
        (self.at(found.name) == name.as_bytes()).then_some(at)
    }

    /// A field as bytes.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        let place = self.places.get(self.find(name)?)?;
        place.value.map(|value| self.at(value))
    }

    /// A field as text; `None` also where it is not UTF-8.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.bytes(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// A field as a number; `None` also where it is none.
    pub(super) fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.text(name).and_then(|value| value.parse().ok())
    }

    /// A field as bytes, taken out.
    pub(super) fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        let at = self.find(name)?;
        let value = self.places.get_mut(at)?.value.take()?;
        Some(self.at(value).to_vec())
    }

    /// Whether any field's name begins so.
    pub(super) fn any_below(&self, prefix: &str) -> bool {
        let mut left = self.places.iter().filter(|place| place.value.is_some());
        left.any(|place| self.at(place.name).starts_with(prefix.as_bytes()))
    }

    fn pairs(&self) -> Vec<(&[u8], &[u8])> {
        let pair = |place: &Place| Some((self.at(place.name), self.at(place.value?)));
        self.places.iter().filter_map(pair).collect()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.pairs() == other.pairs()
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes);
        let pairs = self.pairs().into_iter();
        let pairs = pairs.map(|(name, value)| (text(name), text(value)));
        f.debug_map().entries(pairs).finish()
    }
}

/// Reads one line, which comes without its line end.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(line: impl Into<Vec<u8>>) -> Result<Reply, &'static str> {
    let line = line.into();
    if let Some(rest) = after_word(&line, b"OK") {
        let from = line.len() - without_length(rest).len();
        let mut fields = parse_fields(line, from)?;
        Ok(Reply {
            callid: fields.take("callid"),
            answer: Ok(fields),
        })
    } else if let Some(rest) = after_word(&line, b"ERR") {
        let mut words = rest.splitn(3, |&byte| byte == b' ');
        let code = words.next().unwrap_or_default();
        if code.is_empty() {
            return Err("an error without a code");
        }
        let text = decode(words.next().unwrap_or_default());
        Ok(Reply {
            callid: words.next().map(|word| decode(word.trim_ascii())),
            answer: Err(Refusal {
                code: String::from_utf8_lossy(code).into_owned(),
                text: String::from_utf8_lossy(&text).into_owned(),
            }),
        })
    } else {
        Err("neither OK nor ERR")
    }
}

fn after_word<'l>(line: &'l [u8], word: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(word)?;
    match rest.first() {
        None => Some(rest),
        Some(b' ') => Some(rest.trim_ascii_start()),
        Some(_) => None,
    }
}

/// Old trackers wrote the length of the fields before them.
fn without_length(rest: &[u8]) -> &[u8] {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match rest.get(digits..) {
        Some([]) => &[],
        Some(fields @ [b' ', ..]) if digits > 0 => fields.trim_ascii_start(),
        _ => rest,
    }
}

/// The fields behind the first `from` bytes. What is decoded is no longer than it was, and stays there.
fn parse_fields(mut text: Vec<u8>, from: usize) -> Result<Fields, &'static str> {
    let mut places = Vec::new();
    let mut next = from;
    while let Some(rest) = text.get_mut(next..).filter(|rest| !rest.is_empty()) {
        let end = |byte| move |other: &u8| *other == byte;
        let pair = rest.iter().position(end(b'&')).unwrap_or(rest.len());
        let (pair, _) = rest.split_at_mut(pair);
        let at = next;
        next += pair.len() + 1;
        let name = pair.iter().position(end(b'=')).unwrap_or(pair.len());
        let (name, value) = pair.split_at_mut(name);
        if name.is_empty() {
            continue;
        }
        if places.len() >= MOST_FIELDS {
            return Err("too many fields");
        }
        let value_at = at + name.len() + 1;
        let value = value.get_mut(1..).unwrap_or_default();
        places.push(Place {
            name: (number(at), number(at + decode_there(name))),
            value: Some((number(value_at), number(value_at + decode_there(value)))),
        });
    }
    let mut fields = Fields { text, places };
    let mut places = std::mem::take(&mut fields.places);
    places.sort_by(|one, other| fields.at(one.name).cmp(fields.at(other.name)));
    Ok(Fields { places, ..fields })
}

/// Of a place in what is never longer than [`LONGEST_REPLY`].
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Everything but a few harmless bytes is written as `%XX`: a raw `=` would cut the value, `&`
/// would end it, CR LF would begin a command of the client's own.
fn encode(value: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |four_bits: u8| DIGITS.get(usize::from(four_bits)).copied().unwrap_or(b'0');
    for &byte in value {
        if byte.is_ascii_alphanumeric() || b"-_./,:".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// What a tracker takes `value` for when it is sent as it is, as the PHP client did.
pub(crate) fn taken_raw(value: &[u8]) -> Vec<u8> {
    let end = value.iter().position(|byte| b"&=".contains(byte));
    decode(value.get(..end.unwrap_or(value.len())).unwrap_or_default())
}

/// `+` is a space, `%XX` is a byte; a `%` that begins nothing stands for itself.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    let length = decode_there(&mut bytes);
    bytes.truncate(length);
    bytes
}

/// The same where it is; how long it is then.
fn decode_there(text: &mut [u8]) -> usize {
    let (mut read, mut written) = (0, 0);
    while let Some(&byte) = text.get(read) {
        let rest = text.get(read + 1..).unwrap_or_default();
        let (byte, length) = match byte {
            b'+' => (b' ', 1),
            b'%' => escaped(rest).map_or((b'%', 1), |byte| (byte, 3)),
            byte => (byte, 1),
        };
        if let Some(place) = text.get_mut(written) {
            *place = byte;
        }
        (read, written) = (read + length, written + 1);
    }
    written
}

fn escaped(text: &[u8]) -> Option<u8> {
    let digits = text.first_chunk::<2>()?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests;
