//! The tracker's line protocol as text: requests are written, replies are read. Names and keys are
//! bytes on the wire, not UTF-8. Knows no sockets and no commands.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::config::Zone;

/// The longest line that is taken from a tracker, in bytes: a full page of the longest keys, each
/// byte percent-encoded, is well below it.
pub(super) const LONGEST_REPLY: usize = 4 * 1024 * 1024;

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

/// The fields of an `OK`, in no order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(HashMap<Vec<u8>, Vec<u8>>);

impl Fields {
    /// A field as bytes.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name.as_bytes()).map(Vec::as_slice)
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
        self.0.remove(name.as_bytes())
    }

    /// Whether any field's name begins so.
    pub(super) fn any_below(&self, prefix: &str) -> bool {
        self.0
            .keys()
            .any(|name| name.starts_with(prefix.as_bytes()))
    }
}

/// Reads one line, which comes without its line end.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Reply, &'static str> {
    if let Some(rest) = after_word(line, b"OK") {
        let mut fields = parse_fields(without_length(rest));
        Ok(Reply {
            callid: fields.0.remove(&b"callid"[..]),
            answer: Ok(fields),
        })
    } else if let Some(rest) = after_word(line, b"ERR") {
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

fn parse_fields(text: &[u8]) -> Fields {
    let pairs = text.split(|&byte| byte == b'&').filter_map(|pair| {
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        let name = halves.next().filter(|name| !name.is_empty())?;
        Some((decode(name), decode(halves.next().unwrap_or_default())))
    });
    Fields(pairs.collect())
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
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => match escaped(tail) {
                Some((escaped, tail)) => {
                    rest = tail;
                    escaped
                }
                None => b'%',
            },
            byte => byte,
        });
    }
    bytes
}

fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<2>()?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    Some((u8::from_str_radix(digits, 16).ok()?, rest))
}

#[cfg(test)]
mod tests;
