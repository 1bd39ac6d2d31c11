//! As much PHP as a configuration file is written in: assignments to properties, strings with
//! variables inside, concatenation, conditions. Nothing is executed. A statement that is not
//! understood is passed over, and whatever it assigns has the value [`Value::Unknown`]; what has no
//! end is an error with its line.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ops::Not;

use super::lexer::{Error, Token, tokens};
use super::value::{Value, in_doubt};

/// More nesting than this is no configuration, and would cost the stack.
const DEEPEST: usize = 100;

/// What the names begin with of what sets something that is not seen here: files that are included, and
/// ways to a property that are not its name.
pub(super) const UNSEEN: &str = "unseen:";

/// What may follow the block of a statement and belongs to it.
const SEQUELS: [&str; 4] = ["else", "elseif", "catch", "finally"];

/// Statements whose block may be written with a colon and a word at its end.
const BLOCKS: [&str; 5] = ["if", "for", "foreach", "while", "switch"];

/// What begins a part of such a block.
const LABELS: [&str; 3] = ["elseif", "case", "default"];

const CONVERSIONS: [&str; 9] = [
    "int", "integer", "bool", "boolean", "float", "double", "string", "array", "object",
];

/// Behind a variable each of these changes it.
pub(super) const ASSIGNMENTS: [&str; 16] = [
    "=", ".=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "??=", "**=", "<<=", ">>=", "++",
    "--",
];

/// What a file has assigned: `CFG->auth->crypt` and its value with the line of the assignment.
pub(super) type Variables = BTreeMap<String, (Value, usize)>;

/// Reads `source`, the file `path`, and returns every variable that it leaves behind.
pub(super) fn read(source: &str, path: &str) -> Result<Variables, Error> {
    let mut reader = Reader {
        tokens: tokens(source)?,
        at: 0,
        path,
        variables: Variables::new(),
        skipping: 0,
        doubting: 0,
        depth: 0,
    };
    while reader.peek().is_some() {
        reader.statement()?;
    }
    Ok(reader.variables)
}

pub(super) struct Reader<'p> {
    tokens: Vec<(Token, usize)>,
    at: usize,
    pub(super) path: &'p str,
    pub(super) variables: Variables,
    /// How many conditions around here are false: statements are read, but not taken.
    skipping: usize,
    /// Of how many only PHP knows whether they hold: what is assigned then is not known.
    doubting: usize,
    /// How deep statements and values are nested around here.
    depth: usize,
}

impl Reader<'_> {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    pub(super) fn line(&self) -> usize {
        self.tokens
            .get(self.at)
            .or(self.tokens.last())
            .map_or(1, |(_, line)| *line)
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token::Symbol(s)) if *s == symbol)
    }

    fn is_behind(&self, symbols: &[&str]) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        matches!(before, Some((Token::Symbol(before), _)) if symbols.contains(before))
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word))
    }

    pub(super) fn take(&mut self, symbol: &str) -> bool {
        let is = self.is(symbol);
        if is {
            self.at += 1;
        }
        is
    }

    pub(super) fn need(&mut self, symbol: &str) -> Result<(), Error> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.wrong(&format!("expected `{symbol}`")))
        }
    }

    pub(super) fn wrong(&self, why: &str) -> Error {
        let found = match self.peek() {
            None => "the end of the file".to_owned(),
            Some(token) => format!("`{token}`"),
        };
        Error {
            line: self.line(),
            why: format!("{why}, found {found}"),
        }
    }

    pub(super) fn deeper<T>(
        &mut self,
        read: fn(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.depth >= DEEPEST {
            return Err(self.wrong("nested too deeply"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// A statement; one that is not understood is passed over.
    fn statement(&mut self) -> Result<(), Error> {
        let start = self.at;
        let result = self.deeper(Self::one_statement);
        if result.is_err() {
            self.at = start;
            self.pass_over()?;
        }
        Ok(())
    }

    fn one_statement(&mut self) -> Result<(), Error> {
        if self.take(";") {
            return Ok(());
        }
        if self.take("{") {
            while !self.take("}") {
                if self.peek().is_none() {
                    return Err(self.wrong("expected `}`"));
                }
                self.statement()?;
            }
            return Ok(());
        }
        if self.is_word("if") {
            self.at += 1;
            return self.condition();
        }
        if self.is_word("return") {
            return self.leave();
        }
        self.expression()?;
        self.need(";")
    }

    /// `return`: what follows is not run, or perhaps not. (Behind `exit` nothing is run either, but
    /// then there was no daemon.)
    fn leave(&mut self) -> Result<(), Error> {
        self.at += 1;
        if !self.is(";") {
            self.expression()?;
        }
        self.need(";")?;
        if self.skipping == 0 {
            self.skipping += usize::from(self.doubting == 0);
            self.doubting += 1;
        }
        Ok(())
    }

    /// To the end of a statement that is not understood; what is assigned in it is not known.
    fn pass_over(&mut self) -> Result<(), Error> {
        let line = self.line();
        self.doubting += 1;
        let mut result = self.pass_over_one();
        while result.is_ok() && SEQUELS.iter().any(|word| self.is_word(word)) {
            result = self.pass_over_one();
        }
        self.doubting -= 1;
        result.map_err(|error| Error { line, ..error })
    }

    fn pass_over_one(&mut self) -> Result<(), Error> {
        let word = match self.peek() {
            Some(Token::Word(word)) => word.to_ascii_lowercase(),
            _ => String::new(),
        };
        if word == "else" {
            self.at += 1;
            return match self.take(":") {
                true => Ok(()),
                false => self.deeper(Self::pass_over_one),
            };
        }
        let mut open = 0_usize;
        // Within `list(…)`, its short form `[…] =`, `unset(…)` and behind `as` all that is named is assigned.
        let mut is_list = self.is("[");
        while let Some(token) = self.peek() {
            match token {
                Token::Variable(_) => {
                    self.assigned(is_list);
                    continue;
                }
                Token::Word(word) => is_list |= matches!(word.as_str(), "list" | "as" | "unset"),
                Token::Symbol("(" | "{") => open += 1,
                Token::Symbol("[") => {
                    open += 1;
                    is_list |= self.is_behind(&["{", "}", ";", ":"]);
                }
                Token::Symbol(")" | "]" | "}") if open == 0 => break,
                Token::Symbol(close @ (")" | "]" | "}")) => {
                    let close = *close;
                    open -= 1;
                    is_list = false;
                    self.at += 1;
                    if open == 0 && close == "}" {
                        return Ok(());
                    }
                    if open == 0 && BLOCKS.contains(&&*word) {
                        return match self.is(":") {
                            true => self.pass_over_block(&format!("end{word}")),
                            false => self.deeper(Self::pass_over_one),
                        };
                    }
                    continue;
                }
                Token::Symbol(":") if open == 0 && LABELS.contains(&&*word) => {
                    self.at += 1;
                    return Ok(());
                }
                Token::Symbol(";") if open == 0 => {
                    self.at += 1;
                    return Ok(());
                }
                _ => {}
            }
            self.at += 1;
        }
        Err(self.wrong("expected the end of a statement"))
    }

    /// From a colon to the word that ends the block.
    fn pass_over_block(&mut self, end: &str) -> Result<(), Error> {
        while !self.is_word(end) {
            self.deeper(Self::pass_over_one)?;
        }
        self.at += 1;
        self.take(";");
        Ok(())
    }

    /// A variable in what is not understood: one without properties counts as assigned.
    fn assigned(&mut self, is_list: bool) {
        let line = self.line();
        let Some(Token::Variable(mut name)) = self.next() else {
            return;
        };
        let mut is_plain = true;
        loop {
            if self.is("->") {
                self.at += 1;
                is_plain = false;
                let Some(Token::Word(property)) = self.peek() else {
                    return self.unseen(Value::Str(format!("${name}->…")), line);
                };
                name = format!("{name}->{property}");
                self.at += 1;
            } else if let Some(index) = self.index() {
                is_plain = false;
                name.push_str(&index);
            } else {
                break;
            }
        }
        if is_plain || is_list || ASSIGNMENTS.iter().any(|symbol| self.is(symbol)) {
            self.set(
                name,
                Value::Unknown("PHP that is not understood here".to_owned()),
                line,
            );
        }
    }

    /// `['file']` behind a variable, where it is as plain as that.
    pub(super) fn index(&mut self) -> Option<String> {
        let tokens = self.tokens.get(self.at..self.at + 3)?;
        let [(Token::Symbol("["), _), (index, _), (Token::Symbol("]"), _)] = tokens else {
            return None;
        };
        let index = match index {
            Token::Literal(_) | Token::Number(_) => format!("[{index}]"),
            Token::Word(word) => format!("['{word}']"),
            _ => return None,
        };
        self.at += 3;
        Some(index)
    }

    pub(super) fn forget(&mut self, name: &str, line: usize) {
        self.set(name.to_owned(), Value::Null, line);
        if self.skipping == 0 && self.doubting == 0 {
            self.variables.remove(name);
        }
    }

    /// The word of a conversion, `int)` behind a parenthesis.
    pub(super) fn conversion(&mut self) -> Option<String> {
        let tokens = self.tokens.get(self.at..self.at + 2)?;
        let [(Token::Word(word), _), (Token::Symbol(")"), _)] = tokens else {
            return None;
        };
        let kind = word.to_ascii_lowercase();
        CONVERSIONS.contains(&&*kind).then(|| self.at += 2)?;
        Some(kind)
    }

    /// Something that may set what is not seen here.
    pub(super) fn unseen(&mut self, what: Value, line: usize) {
        if self.skipping == 0 {
            self.variables
                .insert(format!("{UNSEEN}{line:06}"), (what, line));
        }
    }

    fn condition(&mut self) -> Result<(), Error> {
        self.need("(")?;
        let holds = self.expression()?.truth();
        self.need(")")?;
        if self.is(":") {
            return Err(self.wrong("expected a statement"));
        }
        self.branch(holds)?;
        if self.is_word("elseif") {
            self.at += 1;
            return self.guarded(holds.map(Not::not), Self::condition);
        }
        if self.is_word("else") {
            self.at += 1;
            self.branch(holds.map(Not::not))?;
        }
        Ok(())
    }

    fn branch(&mut self, taken: Option<bool>) -> Result<(), Error> {
        self.guarded(taken, Self::statement)
    }

    pub(super) fn guarded<T>(
        &mut self,
        taken: Option<bool>,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let skip = usize::from(taken == Some(false));
        let doubt = usize::from(taken.is_none());
        self.skipping += skip;
        self.doubting += doubt;
        let result = read(self);
        self.skipping -= skip;
        self.doubting -= doubt;
        result
    }

    pub(super) fn set(&mut self, name: String, value: Value, line: usize) {
        if self.skipping == 0 {
            let value = match value {
                value @ Value::Unknown(_) => value,
                _ if self.doubting > 0 => in_doubt(),
                value => value,
            };
            self.variables.insert(name, (value, line));
        }
    }
}
