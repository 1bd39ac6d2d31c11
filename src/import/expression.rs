//! Expressions of PHP: what their values are, as far as that can be told without running anything.
#![forbid(unsafe_code)]

use std::ops::Not;

use super::lexer::{Error, Token};
use super::php::{ASSIGNMENTS, Reader, UNSEEN};
use super::value::{Value, cast, compared, counted, directory, in_doubt, joined, number};

/// Operators that stand between two values, those that bind least first. `.` is as strong as `+`, as it
/// was in PHP 5.
const LEVELS: &[&[&str]] = &[
    &["or", "xor"],
    &["and"],
    &[],
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["===", "==", "!==", "!=", "<>"],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-", "."],
    &["*", "/", "%"],
];

/// The level of assignments and `?:`.
const ASSIGNMENT: usize = 2;

impl Reader<'_> {
    pub(super) fn expression(&mut self) -> Result<Value, Error> {
        self.level(0)
    }

    fn level(&mut self, level: usize) -> Result<Value, Error> {
        if level == ASSIGNMENT {
            return self.choice();
        }
        let Some(operators) = LEVELS.get(level) else {
            return self.single();
        };
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            left = match operator {
                "or" | "||" => self.either(&left, level + 1)?,
                "and" | "&&" => self.both(&left, level + 1)?,
                _ => worked_out(operator, &left, &self.level(level + 1)?),
            };
        }
        Ok(left)
    }

    fn operator(&mut self, operators: &[&'static str]) -> Option<&'static str> {
        let is_next = |operator: &&&str| self.is(operator) || self.is_word(operator);
        let operator = *operators.iter().find(is_next)?;
        self.next();
        Some(operator)
    }

    fn either(&mut self, left: &Value, level: usize) -> Result<Value, Error> {
        let holds = left.truth();
        let right = self.guarded_level(holds.map(Not::not), level)?;
        Ok(Value::of_truth(match (holds, right.truth()) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (left, right) => left.and(right),
        }))
    }

    fn both(&mut self, left: &Value, level: usize) -> Result<Value, Error> {
        let holds = left.truth();
        let right = self.guarded_level(holds, level)?;
        Ok(Value::of_truth(match (holds, right.truth()) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (left, right) => left.and(right),
        }))
    }

    fn guarded_level(&mut self, taken: Option<bool>, level: usize) -> Result<Value, Error> {
        self.guarded(taken, |reader| reader.level(level))
    }

    /// `?:` and `??`, or what they are made of.
    fn choice(&mut self) -> Result<Value, Error> {
        let condition = self.level(ASSIGNMENT + 1)?;
        if self.take("??") {
            self.guarded_level(None, ASSIGNMENT)?;
            return Ok(in_doubt());
        }
        if !self.take("?") {
            return Ok(condition);
        }
        let holds = condition.truth();
        let yes = if self.is(":") {
            condition
        } else {
            self.guarded_level(holds, ASSIGNMENT)?
        };
        self.need(":")?;
        let no = self.guarded_level(holds.map(Not::not), ASSIGNMENT)?;
        Ok(match holds {
            Some(true) => yes,
            Some(false) => no,
            None => in_doubt(),
        })
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
        if self.take("~") {
            self.single()?;
            return Ok(Value::Unknown(
                "a sum that is worked out at run time".to_owned(),
            ));
        }
        if self.take("@") || self.take("&") {
            return self.single();
        }
        if self.take("(") {
            if let Some(kind) = self.conversion() {
                return Ok(cast(&kind, &self.single()?));
            }
            let value = self.expression()?;
            self.need(")")?;
            return Ok(value);
        }
        if self.is("[") {
            return self.array("[", "]");
        }
        self.take("\\");
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

    /// A list of values, which are only passed over.
    fn array(&mut self, open: &'static str, close: &'static str) -> Result<Value, Error> {
        self.need(open)?;
        while !self.take(close) {
            self.expression()?;
            if self.take("=>") {
                self.expression()?;
            }
            if !self.is(close) {
                self.need(",")?;
            }
        }
        Ok(Value::Array)
    }

    /// A variable's value, or an assignment to it, whose value it is.
    fn variable(&mut self) -> Result<Value, Error> {
        let line = self.line();
        let Some(Token::Variable(mut name)) = self.next() else {
            return Ok(Value::Null);
        };
        loop {
            if self.take("->") {
                let Some(Token::Word(property)) = self.next() else {
                    return Err(Error {
                        line,
                        why: format!("expected a property behind ${name}->"),
                    });
                };
                name = format!("{name}->{property}");
            } else if let Some(index) = self.index() {
                name.push_str(&index);
            } else {
                break;
            }
        }
        if self.is("[") || self.is("(") || self.is("::") {
            return Err(self.wrong("this is not understood"));
        }
        let Some(symbol) = ASSIGNMENTS.iter().find(|symbol| self.is(symbol)) else {
            return Ok(self.value(&name));
        };
        self.next();
        let value = match *symbol {
            "=" => self.assigned_value(&name, line)?,
            "++" => counted(&self.value(&name), &Value::Int(1), i64::checked_add),
            "--" => counted(&self.value(&name), &Value::Int(1), i64::checked_sub),
            _ => {
                let more = self.level(ASSIGNMENT)?;
                worked_out(symbol.trim_end_matches('='), &self.value(&name), &more)
            }
        };
        self.set(name, value.clone(), line);
        Ok(value)
    }

    /// What stands behind `=`. An object that gets a second name is another way to its properties.
    fn assigned_value(&mut self, name: &str, line: usize) -> Result<Value, Error> {
        let is_name = self.is("&") || matches!(self.peek(), Some(Token::Variable(_)));
        let value = self.level(ASSIGNMENT)?;
        if is_name && value == Value::Object {
            self.unseen(
                Value::Str(format!("${name}, another name of an object,")),
                line,
            );
        }
        Ok(value)
    }

    fn value(&self, name: &str) -> Value {
        if let Some((value, _)) = self.variables.get(name) {
            return value.clone();
        }
        let array = name
            .split('[')
            .next()
            .and_then(|array| self.variables.get(array));
        // What PHP itself sets, a file that was included before, or an array that is not looked into.
        let is_given =
            name.starts_with('_') || name.starts_with("argv") || name.starts_with("argc");
        let is_seen = self.variables.range(UNSEEN.to_owned()..).next();
        let is_seen = is_seen.is_none_or(|(name, _)| !name.starts_with(UNSEEN));
        let is_element = matches!(array, Some((Value::Array | Value::Unknown(_), _)));
        if is_seen && !is_given && !is_element {
            Value::Null
        } else {
            Value::Unknown(format!("${name}, which is not set here"))
        }
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
            "directory_separator" => return Ok(Value::Str("/".to_owned())),
            "array" if self.is("(") => return self.array("(", ")"),
            "new" => {
                self.take("\\");
                self.next();
                if self.is("(") {
                    self.arguments()?;
                }
                return Ok(Value::Object);
            }
            "require" | "require_once" | "include" | "include_once" => {
                let line = self.line();
                let file = self.level(ASSIGNMENT)?;
                self.unseen(file, line);
                return Ok(Value::Unknown(word));
            }
            "unset" => return self.unset(),
            _ => {}
        }
        if self.is("::") {
            return Err(self.wrong("this is not understood"));
        }
        if !self.is("(") {
            let constant = self.variables.get(&constant(&word));
            return Ok(constant.map_or(Value::Unknown(word), |(value, _)| value.clone()));
        }
        let line = self.line();
        let arguments = self.arguments()?;
        Ok(
            match (word.to_ascii_lowercase().as_str(), arguments.as_slice()) {
                ("dirname", [Value::Str(path)]) => Value::Str(directory(path)),
                ("dirname", [Value::Str(path), Value::Int(levels)]) => {
                    Value::Str((0..*levels.min(&64)).fold(path.clone(), |path, _| directory(&path)))
                }
                ("ini_set", [Value::Str(name), value]) => {
                    self.set(format!("ini_set:{name}"), value.clone(), line);
                    Value::Unknown("ini_set()".to_owned())
                }
                ("define", [Value::Str(name), value, ..]) => {
                    self.set(constant(name), value.clone(), line);
                    Value::Bool(true)
                }
                _ => Value::Unknown(format!("{word}()")),
            },
        )
    }

    fn unset(&mut self) -> Result<Value, Error> {
        self.need("(")?;
        while !self.take(")") {
            let line = self.line();
            let Some(Token::Variable(mut name)) = self.next() else {
                return Err(self.wrong("expected a variable"));
            };
            while self.take("->") {
                let Some(Token::Word(property)) = self.next() else {
                    return Err(self.wrong("expected a property"));
                };
                name = format!("{name}->{property}");
            }
            self.forget(&name, line);
            self.take(",");
        }
        Ok(Value::Null)
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
            _ => joined(&text, &in_doubt()),
        })
    }
}

fn constant(name: &str) -> String {
    format!("constant:{name}")
}

/// An operator between two values.
fn worked_out(operator: &str, left: &Value, right: &Value) -> Value {
    match operator {
        "." => joined(left, right),
        "+" => counted(left, right, i64::checked_add),
        "-" => counted(left, right, i64::checked_sub),
        "*" => counted(left, right, i64::checked_mul),
        "/" => counted(left, right, |left, right| {
            (left.checked_rem(right)? == 0).then(|| left.checked_div(right))?
        }),
        "%" => counted(left, right, i64::checked_rem),
        "==" | "===" | "!=" | "!==" | "<>" | "<" | ">" | "<=" | ">=" => {
            Value::of_truth(compared(operator, left, right))
        }
        _ => Value::Unknown("a sum that is worked out at run time".to_owned()),
    }
}
