//! As much PHP as a configuration file is written in: assignments to properties, strings with
//! variables inside, concatenation, conditions. Nothing is executed; what is not understood has
//! the value [`Value::Unknown`], and what cannot be read is an error with its line.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ops::Not;

use super::lexer::{Token, tokens};
use super::value::{Value, counted, directory, equal, in_doubt, joined, number};

/// More nesting than this is no configuration, and would cost the stack.
const DEEPEST: usize = 100;

/// What the names of files begin with that are included.
pub(super) const INCLUDED: &str = "include:";

/// What a file has assigned: `CFG->auth->crypt` and its value with the line of the assignment.
pub(super) type Variables = BTreeMap<String, (Value, usize)>;

/// A place that cannot be read, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Error {
    pub(super) line: usize,
    pub(super) why: String,
}

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

struct Reader<'p> {
    tokens: Vec<(Token, usize)>,
    at: usize,
    path: &'p str,
    variables: Variables,
    /// How many conditions around here are false: statements are read, but not taken.
    skipping: usize,
    /// Of how many only PHP knows whether they hold: what is assigned then is not known.
    doubting: usize,
    /// How deep statements and values are nested around here.
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn line(&self) -> usize {
        self.tokens
            .get(self.at)
            .or(self.tokens.last())
            .map_or(1, |(_, line)| *line)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token::Symbol(s)) if *s == symbol)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word))
    }

    fn take(&mut self, symbol: &str) -> bool {
        let is = self.is(symbol);
        if is {
            self.at += 1;
        }
        is
    }

    fn need(&mut self, symbol: &str) -> Result<(), Error> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.wrong(&format!("expected `{symbol}`")))
        }
    }

    fn wrong(&self, why: &str) -> Error {
        let found = match self.peek() {
            None => "the end of the file".to_owned(),
            Some(token) => format!("`{token}`"),
        };
        Error {
            line: self.line(),
            why: format!("{why}, found {found}"),
        }
    }

    fn deeper<T>(&mut self, read: fn(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.depth >= DEEPEST {
            return Err(self.wrong("nested too deeply"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn statement(&mut self) -> Result<(), Error> {
        self.deeper(Self::one_statement)
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
        self.expression()?;
        self.need(";")
    }

    fn condition(&mut self) -> Result<(), Error> {
        self.need("(")?;
        let holds = self.expression()?.truth();
        self.need(")")?;
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

    fn guarded<T>(
        &mut self,
        taken: Option<bool>,
        read: fn(&mut Self) -> Result<T, Error>,
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

    fn set(&mut self, name: String, value: Value, line: usize) {
        if self.skipping == 0 {
            let value = if self.doubting == 0 {
                value
            } else {
                in_doubt()
            };
            self.variables.insert(name, (value, line));
        }
    }

    fn expression(&mut self) -> Result<Value, Error> {
        let condition = self.either()?;
        if !self.take("?") {
            return Ok(condition);
        }
        let holds = condition.truth();
        let yes = if self.is(":") {
            condition
        } else {
            self.guarded(holds, Self::expression)?
        };
        self.need(":")?;
        let no = self.guarded(holds.map(Not::not), Self::expression)?;
        Ok(match holds {
            Some(true) => yes,
            Some(false) => no,
            None => in_doubt(),
        })
    }

    fn either(&mut self) -> Result<Value, Error> {
        let mut left = self.both()?;
        while self.take("||") {
            let right = self.both()?;
            left = Value::of_truth(match (left.truth(), right.truth()) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (left, right) => left.and(right),
            });
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Value, Error> {
        let mut left = self.comparison()?;
        while self.take("&&") {
            let right = self.comparison()?;
            left = Value::of_truth(match (left.truth(), right.truth()) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (left, right) => left.and(right),
            });
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Value, Error> {
        let left = self.sum()?;
        for (symbol, wanted) in [("===", true), ("==", true), ("!==", false), ("!=", false)] {
            if self.take(symbol) {
                let right = self.sum()?;
                let equal = equal(&left, &right);
                return Ok(Value::of_truth(equal.map(|equal| equal == wanted)));
            }
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Value, Error> {
        let mut left = self.factor()?;
        loop {
            if self.take(".") {
                let right = self.factor()?;
                left = joined(&left, &right);
            } else if self.take("+") {
                let right = self.factor()?;
                left = counted(&left, &right, i64::checked_add);
            } else if self.take("-") {
                let right = self.factor()?;
                left = counted(&left, &right, i64::checked_sub);
            } else {
                return Ok(left);
            }
        }
    }

    fn factor(&mut self) -> Result<Value, Error> {
        let mut left = self.single()?;
        while self.take("*") {
            let right = self.single()?;
            left = counted(&left, &right, i64::checked_mul);
        }
        Ok(left)
    }

    fn single(&mut self) -> Result<Value, Error> {
        self.deeper(Self::one_value)
    }

    fn one_value(&mut self) -> Result<Value, Error> {
        if self.take("!") {
            return Ok(Value::of_truth(self.single()?.truth().map(Not::not)));
        }
        if self.take("-") {
            return Ok(match self.single()? {
                Value::Int(value) => value.checked_neg().map_or(Value::Int(value), Value::Int),
                Value::Float(value) => Value::Float(-value),
                other => other,
            });
        }
        if self.take("@") {
            return self.single();
        }
        if self.take("(") {
            let value = self.expression()?;
            self.need(")")?;
            return Ok(value);
        }
        match self.peek() {
            Some(Token::Variable(_)) => self.variable(),
            Some(Token::Word(_)) => self.word(),
            Some(Token::Number(_) | Token::Literal(_) | Token::Template(_)) => match self.next() {
                Some(Token::Number(text)) => Ok(number(&text)),
                Some(Token::Literal(text)) => Ok(Value::Str(text)),
                Some(Token::Template(pieces)) => Ok(self.filled(&pieces)),
                _ => Ok(Value::Null),
            },
            _ => Err(self.wrong("expected a value")),
        }
    }

    /// A variable's value, or an assignment to it, whose value it is.
    fn variable(&mut self) -> Result<Value, Error> {
        let line = self.line();
        let Some(Token::Variable(mut name)) = self.next() else {
            return Ok(Value::Null);
        };
        while self.take("->") {
            let Some(Token::Word(property)) = self.next() else {
                return Err(Error {
                    line,
                    why: format!("expected a property behind ${name}->"),
                });
            };
            name = format!("{name}->{property}");
        }
        if self.is("[") {
            return Err(self.wrong("arrays are not understood"));
        }
        if self.take("=") {
            let value = self.expression()?;
            self.set(name, value.clone(), line);
            return Ok(value);
        }
        if self.take(".=") {
            let more = self.expression()?;
            let value = joined(&self.value(&name), &more);
            self.set(name, value.clone(), line);
            return Ok(value);
        }
        Ok(self.value(&name))
    }

    fn value(&self, name: &str) -> Value {
        self.variables
            .get(name)
            .map_or(Value::Null, |(value, _)| value.clone())
    }

    fn word(&mut self) -> Result<Value, Error> {
        let Some(Token::Word(word)) = self.next() else {
            return Ok(Value::Null);
        };
        match word.to_ascii_lowercase().as_str() {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            "null" => return Ok(Value::Null),
            "__file__" => return Ok(Value::Str(self.path.to_owned())),
            "__dir__" => return Ok(Value::Str(directory(self.path))),
            "new" => {
                self.next();
                if self.is("(") {
                    self.arguments()?;
                }
                return Ok(Value::Object);
            }
            "require" | "require_once" | "include" | "include_once" => {
                let line = self.line();
                let file = self.expression()?;
                if self.skipping == 0 {
                    let name = format!("{INCLUDED}{line:06}");
                    self.variables.insert(name, (file, line));
                }
                return Ok(Value::Unknown(word));
            }
            _ => {}
        }
        if !self.is("(") {
            return Ok(Value::Unknown(word));
        }
        let arguments = self.arguments()?;
        Ok(
            match (word.to_ascii_lowercase().as_str(), arguments.as_slice()) {
                ("dirname", [Value::Str(path)]) => Value::Str(directory(path)),
                ("ini_set", [Value::Str(name), value]) => {
                    let line = self.line();
                    self.set(format!("ini_set:{name}"), value.clone(), line);
                    Value::Null
                }
                _ => Value::Unknown(format!("{word}()")),
            },
        )
    }

    fn arguments(&mut self) -> Result<Vec<Value>, Error> {
        self.need("(")?;
        let mut arguments = Vec::new();
        while !self.take(")") {
            arguments.push(self.expression()?);
            if !self.is(")") {
                self.need(",")?;
            }
        }
        Ok(arguments)
    }

    /// A string with variables inside.
    fn filled(&self, pieces: &[Token]) -> Value {
        let empty = Value::Str(String::new());
        pieces.iter().fold(empty, |text, piece| match piece {
            Token::Variable(name) => joined(&text, &self.value(name)),
            Token::Literal(more) => joined(&text, &Value::Str(more.clone())),
            _ => text,
        })
    }
}
