//! PHP source, cut into tokens with their lines. Comments and what stands outside `<?php … ?>` are
//! left out.
#![forbid(unsafe_code)]

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use super::php::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `$CFG`, without the dollar sign; within a [`Token::Template`] with its properties.
    Variable(String),
    Word(String),
    Number(String),
    Literal(String),
    /// A string with variables inside: only `Literal` and `Variable`.
    Template(Vec<Self>),
    Symbol(&'static str),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "${name}"),
            Self::Word(text) | Self::Number(text) => f.write_str(text),
            Self::Literal(text) => write!(f, "'{text}'"),
            Self::Template(_) => f.write_str("\"…\""),
            Self::Symbol(symbol) => f.write_str(symbol),
        }
    }
}

/// Longer ones first, so that the first that fits is the right one.
const SYMBOLS: &[&str] = &[
    "===", "!==", "->", "==", "!=", "&&", "||", ".=", "=>", "=", ".", "+", "-", "*", "(", ")", "{",
    "}", "[", "]", ",", ";", "?", ":", "!", "<", ">", "@", "&", "|", "/", "%",
];

/// The tokens of `source`.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>, Error> {
    let mut lexer = Lexer {
        chars: source.chars().peekable(),
        rest: source,
        line: 1,
    };
    let mut tokens = Vec::new();
    lexer.skip_to("<?php");
    while let Some(&c) = lexer.chars.peek() {
        let line = lexer.line;
        let token = match c {
            c if c.is_whitespace() => {
                lexer.advance();
                continue;
            }
            _ if lexer.rest.starts_with("?>") => {
                tokens.push((Token::Symbol(";"), line));
                lexer.skip_to("<?php");
                continue;
            }
            '#' => {
                lexer.skip_line();
                continue;
            }
            _ if lexer.rest.starts_with("//") => {
                lexer.skip_line();
                continue;
            }
            _ if lexer.rest.starts_with("/*") => {
                lexer.skip_to("*/");
                continue;
            }
            '$' => {
                lexer.advance();
                Token::Variable(lexer.word())
            }
            '\'' => Token::Literal(lexer.single_quoted()?),
            '"' => lexer.double_quoted()?,
            c if c.is_ascii_digit() => Token::Number(lexer.number()),
            c if is_word(c) => Token::Word(lexer.word()),
            _ => lexer.symbol()?,
        };
        tokens.push((token, line));
    }
    Ok(tokens)
}

struct Lexer<'s> {
    chars: Peekable<Chars<'s>>,
    /// What `chars` still has to give.
    rest: &'s str,
    line: usize,
}

impl Lexer<'_> {
    fn advance(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    /// Behind the next `mark`, or at the end.
    fn skip_to(&mut self, mark: &str) {
        let length = self
            .rest
            .find(mark)
            .map_or(self.rest.len(), |start| start + mark.len());
        self.skip(length);
    }

    fn skip(&mut self, bytes: usize) {
        let end = self.rest.len().saturating_sub(bytes);
        while self.rest.len() > end && self.advance().is_some() {}
    }

    /// A comment to the end of its line, or of the PHP part.
    fn skip_line(&mut self) {
        let line = self.rest.find('\n').unwrap_or(self.rest.len());
        let close = self.rest.find("?>").unwrap_or(self.rest.len());
        self.skip(line.min(close));
    }

    fn while_true(&mut self, wanted: fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(&c) = self.chars.peek() {
            if !wanted(c) {
                break;
            }
            text.push(c);
            self.advance();
        }
        text
    }

    fn word(&mut self) -> String {
        self.while_true(is_word)
    }

    fn number(&mut self) -> String {
        self.while_true(|c| c.is_ascii_alphanumeric() || c == '.')
    }

    fn symbol(&mut self) -> Result<Token, Error> {
        let found = SYMBOLS
            .iter()
            .find(|symbol| self.rest.starts_with(**symbol));
        let Some(symbol) = found else {
            return Err(self.wrong("a character that is not PHP"));
        };
        self.skip(symbol.len());
        Ok(Token::Symbol(symbol))
    }

    fn wrong(&self, why: &str) -> Error {
        Error {
            line: self.line,
            why: why.to_owned(),
        }
    }

    fn single_quoted(&mut self) -> Result<String, Error> {
        let open = self.line;
        self.advance();
        let mut text = String::new();
        loop {
            match self.advance() {
                None => {
                    return Err(Error {
                        line: open,
                        why: "a string without its end".into(),
                    });
                }
                Some('\'') => return Ok(text),
                Some('\\') if self.rest.starts_with(['\'', '\\']) => text.extend(self.advance()),
                Some(c) => text.push(c),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<Token, Error> {
        let open = self.line;
        self.advance();
        let mut pieces = Vec::new();
        let mut text = String::new();
        loop {
            if self.rest.starts_with("{$") {
                self.skip(2);
                pieces.push(Token::Literal(std::mem::take(&mut text)));
                pieces.push(Token::Variable(self.properties(usize::MAX)));
                if self.advance() != Some('}') {
                    return Err(self.wrong("only properties are understood within {$…}"));
                }
                continue;
            }
            match self.advance() {
                None => {
                    return Err(Error {
                        line: open,
                        why: "a string without its end".into(),
                    });
                }
                Some('"') => break,
                Some('\\') => text.push_str(&self.escape()),
                Some('$')
                    if self
                        .rest
                        .starts_with(|c: char| is_word(c) && !c.is_ascii_digit()) =>
                {
                    pieces.push(Token::Literal(std::mem::take(&mut text)));
                    // Without braces PHP takes one property and no more.
                    pieces.push(Token::Variable(self.properties(1)));
                }
                Some(c) => text.push(c),
            }
        }
        if pieces.is_empty() {
            return Ok(Token::Literal(text));
        }
        pieces.push(Token::Literal(text));
        Ok(Token::Template(pieces))
    }

    /// `CFG->auth->text`, with at most `most` properties.
    fn properties(&mut self, most: usize) -> String {
        let mut name = self.word();
        let mut taken = 0;
        while taken < most
            && self
                .rest
                .strip_prefix("->")
                .is_some_and(|rest| rest.starts_with(is_word))
        {
            self.skip(2);
            name.push_str("->");
            name.push_str(&self.word());
            taken += 1;
        }
        name
    }

    /// What follows a backslash within double quotes.
    fn escape(&mut self) -> String {
        match self.advance() {
            Some('n') => "\n".to_owned(),
            Some('t') => "\t".to_owned(),
            Some('r') => "\r".to_owned(),
            Some(c @ ('"' | '\\' | '$')) => c.to_string(),
            Some(c) => format!("\\{c}"),
            None => String::new(),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
