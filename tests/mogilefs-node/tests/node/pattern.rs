//! Values that are not the same in every run: variables, what they are made of, and patterns.

use std::collections::BTreeMap;

/// Names and what they stand for.
#[derive(Debug, Default)]
pub(crate) struct Values(BTreeMap<String, String>);

enum Part {
    Literal(String),
    Anything,
    Capture(String),
}

impl Values {
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("{name} has no value yet"))
    }

    /// A text with everything in braces put in.
    pub(crate) fn expand(&self, text: &str) -> String {
        let parts = self.parts(text).into_iter();
        parts
            .map(|part| match part {
                Part::Literal(text) => text,
                Part::Anything | Part::Capture(_) => panic!("a pattern in a request: {text}"),
            })
            .collect()
    }

    /// Does `text` fit the pattern? What is captured stays.
    pub(crate) fn fits(&mut self, pattern: &str, text: &str) -> bool {
        let parts = self.parts(pattern);
        let mut captured = Vec::new();
        let fits = fit(&parts, text, &mut captured);
        if fits {
            self.0.extend(captured);
        }
        fits
    }

    fn parts(&self, text: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once('{') {
            parts.push(Part::Literal(literal.to_owned()));
            let (name, behind) = behind.split_once('}').expect("a closing brace");
            rest = behind;
            parts.push(match name.strip_prefix('=') {
                Some(name) => Part::Capture(name.to_owned()),
                None if name == "*" => Part::Anything,
                None => Part::Literal(self.value(name)),
            });
        }
        parts.push(Part::Literal(rest.to_owned()));
        parts
    }

    fn value(&self, name: &str) -> String {
        let words: Vec<&str> = name.split(':').collect();
        match words[..] {
            ["repeat", text, count] => text.repeat(count.parse().unwrap()),
            ["file", fid] => format!("{:010}.fid", self.number(fid)),
            ["place", device, fid] => place(self.get(device), self.number(fid)),
            _ if name.contains('+') => self.number(name).to_string(),
            _ => self.get(name).to_owned(),
        }
    }

    /// A variable's number, or that plus something.
    fn number(&self, name: &str) -> u64 {
        let (name, more) = name.split_once('+').unwrap_or((name, "0"));
        self.get(name).parse::<u64>().unwrap() + more.parse::<u64>().unwrap()
    }
}

/// Where a fid lies on a device.
fn place(device: &str, fid: u64) -> String {
    let digits = format!("{fid:010}");
    let (a, b, c) = (&digits[..1], &digits[1..4], &digits[4..7]);
    format!("/dev{device}/{a}/{b}/{c}/{digits}.fid")
}

fn fit(parts: &[Part], text: &str, captured: &mut Vec<(String, String)>) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return text.is_empty();
    };
    let name = match part {
        Part::Literal(literal) => {
            return text
                .strip_prefix(literal.as_str())
                .is_some_and(|t| fit(rest, t, captured));
        }
        Part::Anything => None,
        Part::Capture(name) => Some(name),
    };
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    for end in ends {
        let (head, tail) = text.split_at(end);
        if fit(rest, tail, captured) {
            captured.extend(name.map(|name| (name.clone(), head.to_owned())));
            return true;
        }
    }
    false
}
