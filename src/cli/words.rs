//! The words of a command line, one by one: which are options, and whose value each is.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::text::quoted;

pub(super) enum Word {
    /// `-x` or `--word`.
    Option(String),
    Plain(OsString),
}

/// The words one by one: `-ab` is `-a -b`, `-cFILE` is `-c FILE`, `--uid=1` is `--uid 1`; behind
/// `--` there are no options.
pub(super) struct Words {
    words: std::vec::IntoIter<OsString>,
    /// What is left of `-abc` behind the option that was taken last.
    cluster: Vec<u8>,
    /// What stood behind the `=` of the option that was taken last.
    attached: Option<OsString>,
    plain: bool,
}

impl Words {
    pub(super) fn new(words: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            words: words.into_iter().collect::<Vec<_>>().into_iter(),
            cluster: Vec::new(),
            attached: None,
            plain: false,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Word>, String> {
        if let Some(value) = self.attached.take() {
            return Err(format!(
                "an option takes no value, but ={} was given",
                quoted(value.as_bytes())
            ));
        }
        if let Some((letter, rest)) = self.cluster.split_first() {
            let name = format!("-{}", char::from(*letter));
            self.cluster = rest.to_vec();
            return Ok(Some(Word::Option(name)));
        }
        let Some(word) = self.words.next() else {
            return Ok(None);
        };
        let bytes = word.as_bytes();
        if self.plain || !bytes.starts_with(b"-") || bytes == b"-" {
            return Ok(Some(Word::Plain(word)));
        }
        if bytes == b"--" {
            self.plain = true;
            return self.next();
        }
        if !bytes.starts_with(b"--") {
            self.cluster = bytes.get(1..).unwrap_or_default().to_vec();
            return self.next();
        }
        let mut halves = bytes.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default();
        self.attached = halves
            .next()
            .map(|value| OsStr::from_bytes(value).to_owned());
        let name = String::from_utf8_lossy(name).into_owned();
        Ok(Some(Word::Option(name)))
    }

    /// The value of the option that was taken last.
    pub(super) fn value(&mut self, name: &str) -> Result<OsString, String> {
        let attached = self.attached.take();
        let cluster = std::mem::take(&mut self.cluster);
        let value = match attached {
            Some(value) => Some(value),
            None if !cluster.is_empty() => Some(OsString::from_vec(cluster)),
            None => self.words.next(),
        };
        value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("{name} needs a value"))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, String> {
        let value = self.value(name)?;
        value
            .into_string()
            .map_err(|_| format!("the value of {name} is not UTF-8"))
    }
}
