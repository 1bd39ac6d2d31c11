//! The tracker's line codec: percent encoding, arguments of a request, lines of an answer. It knows
//! Perl's idea of true and of numbers, because the real tracker decides by them; no commands.

use crate::dice::Dice;

/// Appends `bytes` in the tracker's encoding: a few bytes as they are, space as `+`, `%XX` else.
pub(crate) fn encode(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |n: u8| HEX.get(usize::from(n)).copied().unwrap_or(b'0');
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte),
            b'_' | b',' | b'-' | b'.' | b'/' | b'\\' | b':' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend([b'%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
}

/// The encoded form as a string of its own.
pub(crate) fn encoded(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    encode(&mut out, bytes);
    String::from_utf8(out).unwrap_or_default()
}

/// Undoes the encoding; a `%` without two hex digits stays as it is.
pub(crate) fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (nibble(*high), nibble(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(byte),
            },
            _ => out.push(byte),
        }
    }
    out
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|n| u8::try_from(n).ok())
}

/// One request: a command in lower case and its arguments.
pub(crate) struct Request {
    pub(crate) command: String,
    pub(crate) args: Args,
}

impl Request {
    /// `None` where the line does not begin like a command.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let end = line
            .iter()
            .position(|byte| !word(byte))
            .unwrap_or(line.len());
        let (command, rest) = line.split_at_checked(end)?;
        if command.is_empty() {
            return None;
        }
        let command = String::from_utf8_lossy(command).to_ascii_lowercase();
        Some(Self {
            command,
            args: Args::parse(rest.trim_ascii_start()),
        })
    }
}

/// Decoded arguments; a repeated one is joined with NUL, as the real tracker does.
#[derive(Default)]
pub(crate) struct Args(Vec<(Vec<u8>, Vec<u8>)>);

impl Args {
    fn parse(text: &[u8]) -> Self {
        let mut args = Self::default();
        for pair in text
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
        {
            let mut parts = pair.split(|byte| *byte == b'=');
            let name = decode(parts.next().unwrap_or_default());
            let value = decode(parts.next().unwrap_or_default());
            match args.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => {
                    known.push(0);
                    known.extend(value);
                }
                None => args.0.push((name, value)),
            }
        }
        args
    }

    /// The value, also an empty one; `None` where the argument was not sent.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(known, _)| known == name.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    /// The value where it is there and not empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&[u8]> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The value where Perl would call it true.
    pub(crate) fn truth(&self, name: &str) -> Option<&[u8]> {
        self.get(name).filter(|value| is_true(value))
    }

    /// The value as Perl's `+0` sees it; 0 where it is missing.
    pub(crate) fn number(&self, name: &str) -> f64 {
        number(self.get(name).unwrap_or_default())
    }

    /// The value as a whole number that is not negative; 0 otherwise.
    pub(crate) fn whole(&self, name: &str) -> u64 {
        whole(self.number(name))
    }
}

/// False are the empty string and `0`.
pub(crate) fn is_true(value: &[u8]) -> bool {
    !value.is_empty() && value != b"0"
}

/// The number at the beginning of a string, 0 where there is none.
pub(crate) fn number(value: &[u8]) -> f64 {
    let text = String::from_utf8_lossy(value);
    let text = text.trim_start();
    let ends = (1..=text.len()).rev().filter_map(|end| text.get(..end));
    let plain = |text: &&str| !text.contains(['i', 'I', 'n', 'N']);
    ends.filter(plain)
        .find_map(|head| head.parse().ok())
        .unwrap_or(0.0)
}

/// Cuts a number down to a whole one that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from float saturates, which is what is wanted"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}

/// Fields of an OK, in any order: the real server's changes from process to process.
pub(crate) type Fields = Vec<(String, Vec<u8>)>;

/// What a command comes to.
pub(crate) type Answer = Result<Fields, Refusal>;

/// An ERR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) text: Vec<u8>,
}

impl Refusal {
    /// With a text of its own.
    pub(crate) fn new(code: &str, text: impl AsRef<[u8]>) -> Self {
        Self {
            code: code.to_owned(),
            text: text.as_ref().to_vec(),
        }
    }
}

/// A refusal with the text that belongs to its code.
pub(crate) fn refuse(code: &str) -> Refusal {
    Refusal::new(code, text_of(code))
}

/// One field.
pub(crate) fn field(name: &str, value: impl AsRef<[u8]>) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_ref().to_vec())
}

/// One field with a number.
pub(crate) fn count(name: &str, value: impl ToString + Copy) -> (String, Vec<u8>) {
    (name.to_owned(), value.to_string().into_bytes())
}

/// The line of an answer with its CRLF. `callid` is a field of an OK and the fourth word of an ERR.
pub(crate) fn line(answer: &Answer, callid: Option<&[u8]>, dice: &mut Dice) -> Vec<u8> {
    let mut out = Vec::new();
    match answer {
        Ok(fields) => {
            let mut fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_slice()))
                .collect();
            fields.extend(callid.map(|id| ("callid", id)));
            dice.shuffle(&mut fields);
            out.extend(b"OK ");
            for (n, (name, value)) in fields.into_iter().enumerate() {
                if n > 0 {
                    out.push(b'&');
                }
                out.extend(name.as_bytes());
                out.push(b'=');
                encode(&mut out, value);
            }
        }
        Err(Refusal { code, text }) => {
            out.extend(b"ERR ");
            out.extend(code.as_bytes());
            out.push(b' ');
            encode(&mut out, text);
            if let Some(id) = callid {
                out.push(b' ');
                encode(&mut out, id);
            }
        }
    }
    out.extend(b"\r\n");
    out
}

/// What the real tracker says beside a code; many codes are their own text.
fn text_of(code: &str) -> &str {
    match code {
        "after_mismatch" => "Pattern does not match the after-value?",
        "bad_params" => "Invalid parameters to command; please see documentation",
        "class_exists" => "That class already exists in that domain",
        "class_has_files" => "Class still has files, unable to delete",
        "class_not_found" => "Class not found",
        "db" => "Database error",
        "domain_exists" => "That domain already exists",
        "domain_has_files" => "Domain still has files, unable to delete",
        "domain_not_found" => "Domain not found",
        "failure" => "Operation failed",
        "invalid_mindevcount" => "The mindevcount must be at least 1",
        "key_exists" => "Target key name already exists; can't overwrite.",
        "no_class" => "No class provided",
        "no_devices" => "No devices found to store file",
        "no_domain" => "No domain provided",
        "no_rebal_state" => "No available rebalance status",
        "no_temp_file" => "No tempfile or file already closed",
        "nodel_default_class" => "Cannot delete the default class",
        "none_match" => "No keys match that pattern and after-value (if any).",
        "unknown_command" => "Unknown server command",
        "unreg_domain" => "Domain name invalid/not found",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_encoding() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(encoded(&all).as_bytes()), all);
        assert_eq!(encoded(b"a b%\n\xff(\\:"), "a+b%25%0A%FF%28\\:");
        assert_eq!(decode(b"%zz%4"), b"%zz%4");
    }

    #[test]
    fn a_request_is_a_word_and_pairs() {
        let request = Request::parse(b"File_Info\tdomain=d=x&key=a&key=b&&x").unwrap();
        assert_eq!(request.command, "file_info");
        assert_eq!(request.args.get("domain"), Some(&b"d"[..]));
        assert_eq!(request.args.get("key"), Some(&b"a\0b"[..]));
        assert_eq!(request.args.get("x"), Some(&b""[..]));
        assert!(Request::parse(b"-noop").is_none());
    }

    #[test]
    fn numbers_are_read_as_perl_reads_them() {
        for (text, expected) in [
            ("5", 5.0),
            (" 5x", 5.0),
            ("abc", 0.0),
            ("-1", -1.0),
            ("1e2", 100.0),
            ("inf", 0.0),
        ] {
            assert!((number(text.as_bytes()) - expected).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn an_error_carries_its_callid_as_the_fourth_word() {
        let mut dice = Dice::new(1);
        let refused = Err(refuse("db"));
        assert_eq!(
            line(&refused, Some(b"a b"), &mut dice),
            b"ERR db Database+error a+b\r\n"
        );
        assert_eq!(line(&Ok(Vec::new()), None, &mut dice), b"OK \r\n");
        assert_eq!(
            line(&Ok(Vec::new()), Some(b"7"), &mut dice),
            b"OK callid=7\r\n"
        );
    }
}
