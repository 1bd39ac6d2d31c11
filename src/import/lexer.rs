//! PHP source, cut into tokens with their lines. Comments and what stands outside `<?php … ?>` are
//! left out.
#![forbid(unsafe_code)]

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `$CFG`, without the dollar sign; within a [`Token::Template`] with its properties.
    Variable(String),
    Word(String),
    Number(String),
    Literal(String),
    /// A string with variables inside: `Literal`, `Variable`, and `Word` for what is not understood.
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

/// A place that cannot be read, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Error {
    pub(super) line: usize,
    pub(super) why: String,
}

/// Longer ones first, so that the first that fits is the right one.
const SYMBOLS: &[&str] = &[
    "===", "!==", "??=", "**=", "<<=", ">>=", "->", "=>", "::", "==", "!=", "<>", "<=", ">=", "&&",
    "||", "??", "++", "--", ".=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<", ">>", "**",
    "=", ".", "+", "-", "*", "(", ")", "{", "}", "[", "]", ",", ";", "?", ":", "!", "<", ">", "@",
    "&", "|", "^", "~", "/", "%", "\\",
];

/// The tokens of `source`.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>, Error> {
    let mut lexer = Lexer {
        chars: source.chars().peekable(),
        rest: source,
        line: 1,
    };
    let mut tokens = Vec::new();
    if !lexer.skip_to_php() {
        let why = "there is no PHP in it".to_owned();
        return Err(Error { line: 1, why });
    }
    while let Some(&c) = lexer.chars.peek() {
        let line = lexer.line;
        if lexer.rest.starts_with("__halt_compiler") {
            break;
        }
        let token = match c {
            c if c.is_whitespace() => {
                lexer.advance();
                continue;
            }
            _ if lexer.rest.starts_with("?>") => {
                tokens.push((Token::Symbol(";"), line));
                lexer.skip_to_php();
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
            '`' => {
                lexer.advance();
                lexer.skip_to("`");
                Token::Word("a command of the shell".to_owned())
            }
            _ if lexer.rest.starts_with("<<<") => lexer.heredoc(),
            '.' if is_fraction(lexer.rest) => Token::Number(lexer.number()),
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

    /// Behind the next tag that begins PHP, or at the end. A short one was usual when the daemon was
    /// young, and one that says `<?=` prints what is then not needed.
    fn skip_to_php(&mut self) -> bool {
        while let Some(at) = self.rest.find("<?") {
            self.skip(at + 2);
            let is_xml = self
                .rest
                .get(..3)
                .is_some_and(|tag| tag.eq_ignore_ascii_case("xml"));
            if !is_xml {
                let is_long = self
                    .rest
                    .get(..3)
                    .is_some_and(|tag| tag.eq_ignore_ascii_case("php"));
                self.skip(if is_long { 3 } else { 0 });
                return true;
            }
        }
        self.skip(self.rest.len());
        false
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
        self.while_true(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_')
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
                let name = self.properties(usize::MAX);
                pieces.push(self.inserted(name));
                continue;
            }
            if self.rest.starts_with("${") {
                self.skip(2);
                pieces.push(Token::Literal(std::mem::take(&mut text)));
                let name = self.word();
                pieces.push(self.inserted(name));
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
                Some('\\') => match self.escape() {
                    Some(c) => text.push_str(&c),
                    None => pieces.push(Token::Word("an escape that is left to PHP".to_owned())),
                },
                Some('$')
                    if self
                        .rest
                        .starts_with(|c: char| is_word(c) && !c.is_ascii_digit()) =>
                {
                    pieces.push(Token::Literal(std::mem::take(&mut text)));
                    // Without braces PHP takes one property and no more.
                    let name = self.properties(1);
                    if self.rest.starts_with('[') && !name.contains("->") {
                        self.skip_to("]");
                        pieces.push(Token::Word(format!("${name}[…]")));
                    } else {
                        pieces.push(Token::Variable(name));
                    }
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

    /// A variable in braces, of which the name has been read.
    fn inserted(&mut self, name: String) -> Token {
        if self.rest.starts_with('}') && !name.is_empty() {
            self.advance();
            return Token::Variable(name);
        }
        self.skip_to("}");
        Token::Word(format!("${name}…"))
    }

    /// `<<<NAME`, lines, and a line that begins with the name. Its value is left to PHP.
    fn heredoc(&mut self) -> Token {
        self.skip(3);
        self.while_true(|c| matches!(c, ' ' | '\t' | '"' | '\''));
        let name = self.word();
        while !self.rest.is_empty() {
            self.skip_to("\n");
            let line = self.rest.trim_start_matches([' ', '\t']);
            if let Some(after) = line.strip_prefix(&*name)
                && !after.starts_with(is_word)
            {
                self.skip(self.rest.len() - after.len());
                break;
            }
        }
        Token::Word("a text of several lines".to_owned())
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

    /// What follows a backslash within double quotes; `None` where that is left to PHP.
    fn escape(&mut self) -> Option<String> {
        if self.rest.starts_with(|c| matches!(c, '0'..='7')) {
            return self.coded(8, 3);
        }
        Some(match self.advance() {
            Some('n') => "\n".to_owned(),
            Some('t') => "\t".to_owned(),
            Some('r') => "\r".to_owned(),
            Some('x') if self.rest.starts_with(|c: char| c.is_ascii_hexdigit()) => {
                return self.coded(16, 2);
            }
            Some('u') if self.rest.starts_with('{') => return None,
            Some('v' | 'f' | 'e') => return None,
            Some(c @ ('"' | '\\' | '$')) => c.to_string(),
            Some(c) => format!("\\{c}"),
            None => String::new(),
        })
    }

    /// A character by its number, in at most so many digits; of the bytes above ASCII only PHP knows
    /// what they are parts of.
    fn coded(&mut self, radix: u32, most: usize) -> Option<String> {
        let digits: String = self
            .rest
            .chars()
            .take(most)
            .take_while(|c| c.is_digit(radix))
            .collect();
        self.skip(digits.len());
        let byte = u8::from_str_radix(&digits, radix).ok()?;
        byte.is_ascii().then(|| char::from(byte).to_string())
    }
}

/// `.5`
fn is_fraction(text: &str) -> bool {
    text.strip_prefix('.')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
