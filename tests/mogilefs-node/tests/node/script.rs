//! Reading a conformance file: cases, and in them requests, expectations and directives.

use std::path::Path;

/// Which recording a run is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Sqlite,
    Mysql,
}

/// One line that does something, with what belongs to it.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// `> request`; `until` repeats it until the expectation holds.
    Send { text: String, until: bool },
    /// `raw bytes`: a piece of a request.
    Raw(String),
    /// `< answer`, with the `|` lines behind it.
    Expect(String, Vec<String>),
    /// Anything else: its words.
    Do(Vec<String>),
}

/// Steps under one name.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Step and line number.
    pub(crate) steps: Vec<(Step, usize)>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) file: String,
    pub(crate) cases: Vec<Case>,
}

impl Script {
    /// Reads a file, leaving out what is marked for another store.
    pub(crate) fn read(path: &Path, store: Store) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let mut cases = vec![Case {
            name: "set-up".to_owned(),
            steps: Vec::new(),
        }];
        let mut until = false;
        for (number, line) in (1..).zip(text.lines()) {
            let Some(line) = for_store(line, store) else {
                continue;
            };
            let steps = &mut cases.last_mut().unwrap().steps;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let step = if let Some(name) = line.strip_prefix("case ") {
                cases.push(Case {
                    name: name.to_owned(),
                    steps: Vec::new(),
                });
                continue;
            } else if line == "until" {
                until = true;
                continue;
            } else if let Some(text) = line.strip_prefix("> ") {
                Step::Send {
                    text: text.to_owned(),
                    until: std::mem::take(&mut until),
                }
            } else if let Some(text) = line.strip_prefix("raw ") {
                Step::Raw(text.to_owned())
            } else if let Some(text) = line.strip_prefix("< ") {
                Step::Expect(text.to_owned(), Vec::new())
            } else if let Some(text) = line.strip_prefix("| ") {
                match steps.last_mut() {
                    Some((Step::Expect(_, lines), _)) => {
                        lines.push(text.to_owned());
                        continue;
                    }
                    _ => Step::Expect("LINES".to_owned(), vec![text.to_owned()]),
                }
            } else {
                Step::Do(line.split(' ').map(str::to_owned).collect())
            };
            steps.push((step, number));
        }
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        Self { file, cases }
    }

    /// How many requests are in it; one in pieces counts once.
    pub(crate) fn requests(&self) -> usize {
        let one = |case: &Case| {
            let sent = case
                .steps
                .iter()
                .filter(|(step, _)| matches!(step, Step::Send { .. }));
            let raw = case
                .steps
                .iter()
                .any(|(step, _)| matches!(step, Step::Raw(_)));
            sent.count() + usize::from(raw)
        };
        self.cases.iter().map(one).sum()
    }
}

fn for_store(line: &str, store: Store) -> Option<&str> {
    let (mark, rest) = match line.split_once(' ') {
        Some((mark, rest)) if mark.starts_with('@') => (mark, rest),
        _ => return Some(line),
    };
    match mark {
        "@sqlite" => (store == Store::Sqlite).then_some(rest),
        "@mysql" => (store == Store::Mysql).then_some(rest),
        _ => panic!("{mark}: no such store"),
    }
}

/// Undoes `\r`, `\n`, `\t`, `\\` and `\xNN`.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'r') => out.push(b'\r'),
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'\\') => out.push(b'\\'),
            Some(b'x') => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                let digits = std::str::from_utf8(&digits).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap());
            }
            other => panic!("\\{other:?} in {text}"),
        }
    }
    out
}
