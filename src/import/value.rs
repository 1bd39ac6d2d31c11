//! Values of PHP, and what can be worked out of them without running anything.
#![forbid(unsafe_code)]

/// A PHP value, as far as a configuration needs it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Object,
    /// What is in it is not looked at.
    Array,
    /// The result of something that only PHP itself could work out; its source text.
    Unknown(String),
}

impl Value {
    /// PHP's own idea of truth; `None` where only PHP knows it.
    pub(super) fn truth(&self) -> Option<bool> {
        Some(match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty() && text != "0",
            Self::Object => true,
            Self::Array | Self::Unknown(_) => return None,
        })
    }

    /// The value that is this true.
    pub(super) fn of_truth(truth: Option<bool>) -> Self {
        truth.map_or_else(in_doubt, Self::Bool)
    }

    /// PHP's conversion to a string; `None` where only PHP knows it.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Null => Some(String::new()),
            Self::Bool(value) => Some(if *value { "1" } else { "" }.to_owned()),
            Self::Int(value) => Some(value.to_string()),
            Self::Float(value) => Some(value.to_string()),
            Self::Str(text) => Some(text.clone()),
            Self::Object | Self::Array | Self::Unknown(_) => None,
        }
    }
}

/// What depends on a condition of which only PHP knows whether it holds.
pub(super) fn in_doubt() -> Value {
    Value::Unknown("a condition that is looked at at run time".to_owned())
}

/// PHP's comparisons; `None` where only PHP knows.
pub(super) fn compared(operator: &str, left: &Value, right: &Value) -> Option<bool> {
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        return Some(match operator {
            "<" => left < right,
            ">" => left > right,
            "<=" => left <= right,
            ">=" => left >= right,
            "==" | "===" => left == right,
            _ => left != right,
        });
    }
    if matches!(left, Value::Unknown(_)) || matches!(right, Value::Unknown(_)) {
        return None;
    }
    let is_same = left == right;
    match operator {
        "===" => Some(is_same),
        "!==" => Some(!is_same),
        "==" => Some(is_same || left.text()? == right.text()?),
        "!=" | "<>" => Some(!is_same && left.text()? != right.text()?),
        _ => None,
    }
}

/// PHP's conversions, as `(int)`.
pub(super) fn cast(kind: &str, value: &Value) -> Value {
    let cast = match kind {
        "bool" | "boolean" => value.truth().map(Value::Bool),
        "string" => value.text().map(Value::Str),
        "int" | "integer" => value
            .text()
            .and_then(|text| text.parse().ok())
            .map(Value::Int),
        _ => None,
    };
    cast.unwrap_or_else(|| Value::Unknown(format!("a conversion, ({kind})")))
}

/// PHP's `.`.
pub(super) fn joined(left: &Value, right: &Value) -> Value {
    match (left.text(), right.text()) {
        (Some(left), Some(right)) => Value::Str(left + &right),
        _ => Value::Unknown("a string that is put together at run time".to_owned()),
    }
}

/// PHP's `+`, `-` and `*`, of whole numbers.
pub(super) fn counted(left: &Value, right: &Value, apply: fn(i64, i64) -> Option<i64>) -> Value {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => apply(*left, *right).map(Value::Int),
        _ => None,
    }
    .unwrap_or_else(|| Value::Unknown("a sum that is worked out at run time".to_owned()))
}

/// A number as it is written.
pub(super) fn number(text: &str) -> Value {
    let lower = text.to_ascii_lowercase().replace('_', "");
    let (digits, radix) = match (lower.strip_prefix("0x"), lower.strip_prefix("0b")) {
        (Some(digits), _) => (digits, 16),
        (_, Some(digits)) => (digits, 2),
        _ if lower.len() > 1 && lower.starts_with('0') && !lower.contains('.') => (&*lower, 8),
        _ => (&*lower, 10),
    };
    match i64::from_str_radix(digits, radix) {
        Ok(value) => Value::Int(value),
        Err(_) => lower
            .parse()
            .map_or_else(|_| Value::Unknown(text.to_owned()), Value::Float),
    }
}

/// PHP's `dirname`.
pub(super) fn directory(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((directory, _)) => directory.to_owned(),
        None => ".".to_owned(),
    }
}
