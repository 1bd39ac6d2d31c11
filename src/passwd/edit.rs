//! A users file as text, before and after.
#![forbid(unsafe_code)]

use super::{Error, Module, Outcome, Passwd, quoted};
use crate::auth::text::{split, split_mark};

/// What is to be in the line of one user.
pub(super) struct Change<'a> {
    wanted: &'a Passwd,
    module: Option<&'static str>,
    separator: Vec<u8>,
    pub(super) hash: String,
}

/// What a new user gets who was given none: nobody's numbers. They are only shown.
const NUMBER: &str = "65534";

impl<'a> Change<'a> {
    /// Checks what was asked for; the hash is to be filled in.
    pub(super) fn new(wanted: &'a Passwd, separator: &[u8]) -> Result<Self, Error> {
        let usage = |why: String| Err(Error::Usage(why));
        let user = quoted(wanted.user.as_bytes());
        if wanted.user.trim() != wanted.user || wanted.user.contains(char::is_control) {
            return usage(format!(
                "{user} is no name: blanks at an end, or control characters"
            ));
        }
        if wanted.user.starts_with('#') {
            return usage(format!("{user} is no name: its line would be a comment"));
        }
        for number in [&wanted.uid, &wanted.gid].into_iter().flatten() {
            if !number.bytes().all(|byte| byte.is_ascii_digit()) || number.parse::<u32>().is_err() {
                return usage(format!("{} is no number", quoted(number.as_bytes())));
            }
        }
        let module = match &wanted.module {
            None => None,
            Some(name) => match Module::named(name) {
                Some(module) => Some(module.name()),
                None => {
                    let name = quoted(name.as_bytes());
                    return usage(format!(
                        "there is no module {name}, only {}",
                        Module::names()
                    ));
                }
            },
        };
        Ok(Self {
            wanted,
            module,
            separator: separator.to_vec(),
            hash: String::new(),
        })
    }

    /// The text with the user's line changed, or with one more line. Everything else stays as it
    /// is, comments, line ends and lines that nobody understands.
    pub(super) fn apply(&self, text: &[u8]) -> Result<(Vec<u8>, Outcome), String> {
        let (mark, text) = split_mark(text);
        let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        // Of several lines of a user the last counts.
        let own = lines.iter().rposition(|line| {
            !line.starts_with(b"#")
                && self
                    .fields(line)
                    .is_some_and(|[name, ..]| name == self.name())
        });
        let line = self.line(own.and_then(|at| lines.get(at)).copied())?;
        let outcome = match own.and_then(|at| lines.get_mut(at)) {
            Some(old) => {
                *old = &line;
                Outcome::Changed
            }
            None => {
                if text.last().is_some_and(|last| *last != b'\n') {
                    lines.push(b"\n");
                }
                lines.push(&line);
                Outcome::Added
            }
        };
        Ok(([mark, &lines.concat()].concat(), outcome))
    }

    /// The user's line with its end; what is not asked for stays as it is in the `old` one.
    fn line(&self, old: Option<&[u8]>) -> Result<Vec<u8>, String> {
        let fields = old.and_then(|line| self.fields(line));
        let kept = |at: usize, new: Option<&str>, usual: &str| match (new, &fields) {
            (Some(new), _) => new.as_bytes().to_vec(),
            (None, Some(fields)) => fields.get(at).copied().unwrap_or_default().to_vec(),
            (None, None) => usual.as_bytes().to_vec(),
        };
        let line = [
            self.name().to_vec(),
            self.hash.clone().into_bytes(),
            kept(2, self.wanted.uid.as_deref(), NUMBER),
            kept(3, self.wanted.gid.as_deref(), NUMBER),
            kept(4, self.module, Module::MogileFs.name()),
        ]
        .join(&self.separator[..]);
        // Read back, it must be what was meant: the separator may be part of a hash or a name.
        match self.fields(&line) {
            Some([name, hash, ..]) if name == self.name() && hash == self.hash.as_bytes() => {}
            _ => return Err("the separator occurs in the name or in the hash".to_owned()),
        }
        let end = old.map_or(&b"\n"[..], line_end);
        Ok([&line, end].concat())
    }

    fn name(&self) -> &[u8] {
        self.wanted.user.as_bytes()
    }

    fn fields<'l>(&self, line: &'l [u8]) -> Option<[&'l [u8]; 5]> {
        let text = line.strip_suffix(line_end(line)).unwrap_or(line);
        split(text, &self.separator).try_into().ok()
    }
}

fn line_end(line: &[u8]) -> &[u8] {
    [&b"\r\n"[..], b"\n"]
        .into_iter()
        .find(|end| line.ends_with(end))
        .unwrap_or_default()
}
