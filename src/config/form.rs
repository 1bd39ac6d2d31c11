//! The forms that values take: how each is read, shown again, and described to a person who wrote
//! something else. Knows no key.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

/// How values of type `T` are written.
pub(super) trait Form<T> {
    /// The value that `text` stands for; `None` when it is none that is allowed.
    fn read(&self, text: &str) -> Option<T>;
    /// The text that reads as `value`.
    fn show(&self, value: &T) -> String;
    /// What is allowed, as it stands behind "is not".
    fn allowed(&self) -> String;
}

/// A whole number, from and to.
pub(super) struct Number(pub(super) u64, pub(super) u64);

impl<T: TryFrom<u64> + TryInto<u64> + Copy> Form<T> for Number {
    fn read(&self, text: &str) -> Option<T> {
        let number = digits(text)?;
        (self.0..=self.1)
            .contains(&number)
            .then(|| T::try_from(number).ok())?
    }

    fn show(&self, value: &T) -> String {
        (*value).try_into().unwrap_or(u64::MAX).to_string()
    }

    fn allowed(&self) -> String {
        format!("a number from {} to {}", self.0, self.1)
    }
}

/// Bytes, from and to: a number that may carry K, M, G or T.
pub(super) struct Size(pub(super) u64, pub(super) u64);

const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl Form<u64> for Size {
    fn read(&self, text: &str) -> Option<u64> {
        let unit = UNITS
            .iter()
            .find(|(letter, _)| text.ends_with([*letter, letter.to_ascii_lowercase()]));
        let bytes = match unit {
            Some((letter, shift)) => {
                let number = text.trim_end_matches([*letter, letter.to_ascii_lowercase()]);
                (number.len() + 1 == text.len()).then_some(())?;
                digits(number.trim_end())?.checked_mul(1 << shift)?
            }
            None => digits(text)?,
        };
        (self.0..=self.1).contains(&bytes).then_some(bytes)
    }

    fn show(&self, value: &u64) -> String {
        let unit = UNITS
            .iter()
            .find(|(_, shift)| *value != 0 && value.is_multiple_of(1 << shift));
        match unit {
            Some((letter, shift)) => format!("{}{letter}", value >> shift),
            None => value.to_string(),
        }
    }

    fn allowed(&self) -> String {
        format!(
            "a size from {} to {}, such as 65536, 64K, 4M or 1G",
            self.show(&self.0),
            self.show(&self.1)
        )
    }
}

/// A time, from and to, in milliseconds: seconds, or a number with a unit.
pub(super) struct Time(pub(super) u64, pub(super) u64);

impl Form<Duration> for Time {
    fn read(&self, text: &str) -> Option<Duration> {
        let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
            Some(at) => text.split_at_checked(at)?,
            None => (text, "s"),
        };
        let unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let (whole, fraction) = number.trim_end().split_once('.').unwrap_or((number, "0"));
        // Thousandths of the unit: all that a duration here may be cut into.
        let thousandths = format!("{fraction:0<3}");
        let thousandths = digits(thousandths.get(..3)?)?;
        digits(fraction)?;
        let milliseconds = digits(whole.trim_end())?
            .checked_mul(unit)?
            .checked_add(thousandths * unit / 1_000)?;
        (self.0..=self.1)
            .contains(&milliseconds)
            .then(|| Duration::from_millis(milliseconds))
    }

    fn show(&self, value: &Duration) -> String {
        match value.subsec_millis() {
            0 => value.as_secs().to_string(),
            _ => format!("{}ms", value.as_millis()),
        }
    }

    fn allowed(&self) -> String {
        let bound = |milliseconds| match self.show(&Duration::from_millis(milliseconds)) {
            text if text.ends_with("ms") || text == "0" => text,
            text => text + " s",
        };
        format!(
            "a time from {} to {}, such as 3, 0.5, 500ms or 5m",
            bound(self.0),
            bound(self.1)
        )
    }
}

/// yes or no.
pub(super) struct YesNo;

impl Form<bool> for YesNo {
    fn read(&self, text: &str) -> Option<bool> {
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" | "1" => Some(true),
            "no" | "false" | "off" | "0" => Some(false),
            _ => None,
        }
    }

    fn show(&self, value: &bool) -> String {
        if *value { "yes" } else { "no" }.to_owned()
    }

    fn allowed(&self) -> String {
        "yes or no".to_owned()
    }
}

/// One of several words. Words that mean the same follow the one that is shown.
pub(super) struct OneOf<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Form<T> for OneOf<T> {
    fn read(&self, text: &str) -> Option<T> {
        let mut words = self.0.iter();
        words
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
            .map(|(_, value)| *value)
    }

    fn show(&self, value: &T) -> String {
        let word = self.0.iter().find(|(_, of)| of == value);
        word.map(|(word, _)| (*word).to_owned()).unwrap_or_default()
    }

    fn allowed(&self) -> String {
        let mut shown: Vec<String> = self.0.iter().map(|(_, value)| self.show(value)).collect();
        shown.dedup();
        let last = shown.pop().unwrap_or_default();
        if shown.is_empty() {
            return last;
        }
        format!("{} or {last}", shown.join(", "))
    }
}

/// Text that fits, and what does.
pub(super) struct Text(pub(super) &'static str, pub(super) fn(&str) -> bool);

impl Form<String> for Text {
    fn read(&self, text: &str) -> Option<String> {
        (self.1)(text).then(|| text.to_owned())
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }

    fn allowed(&self) -> String {
        self.0.to_owned()
    }
}

/// A path that begins at the root: the daemon changes its directory when it daemonizes.
pub(super) struct AbsolutePath;

impl Form<PathBuf> for AbsolutePath {
    fn read(&self, text: &str) -> Option<PathBuf> {
        text.starts_with('/').then(|| PathBuf::from(text))
    }

    fn show(&self, value: &PathBuf) -> String {
        value.display().to_string()
    }

    fn allowed(&self) -> String {
        "a path that begins with /".to_owned()
    }
}

/// Permission bits in octal.
pub(super) struct Octal;

impl Form<u32> for Octal {
    fn read(&self, text: &str) -> Option<u32> {
        digits(text)?;
        u32::from_str_radix(text, 8)
            .ok()
            .filter(|bits| *bits <= 0o777)
    }

    fn show(&self, value: &u32) -> String {
        format!("{value:03o}")
    }

    fn allowed(&self) -> String {
        "an octal number from 000 to 777".to_owned()
    }
}

/// Two values with blanks between them.
pub(super) struct Pair<F, G>(pub(super) F, pub(super) G);

impl<A, B, F: Form<A>, G: Form<B>> Form<(A, B)> for Pair<F, G> {
    fn read(&self, text: &str) -> Option<(A, B)> {
        let (first, second) = text.split_once(char::is_whitespace)?;
        Some((self.0.read(first)?, self.1.read(second.trim_start())?))
    }

    fn show(&self, value: &(A, B)) -> String {
        format!("{} {}", self.0.show(&value.0), self.1.show(&value.1))
    }

    fn allowed(&self) -> String {
        format!("{}, a blank, and {}", self.0.allowed(), self.1.allowed())
    }
}

/// A value or nothing.
pub(super) struct Maybe<F>(pub(super) F);

impl<T, F: Form<T>> Form<Option<T>> for Maybe<F> {
    fn read(&self, text: &str) -> Option<Option<T>> {
        match text {
            "" => Some(None),
            _ => self.0.read(text).map(Some),
        }
    }

    fn show(&self, value: &Option<T>) -> String {
        value
            .as_ref()
            .map(|value| self.0.show(value))
            .unwrap_or_default()
    }

    fn allowed(&self) -> String {
        format!("{}, or nothing", self.0.allowed())
    }
}

/// Values with commas between them, at least so many.
pub(super) struct List<F>(pub(super) F, pub(super) usize);

impl<T, F: Form<T>> Form<Vec<T>> for List<F> {
    fn read(&self, text: &str) -> Option<Vec<T>> {
        let values: Vec<T> = match text {
            "" => Vec::new(),
            _ => {
                let items = text.split(',').map(|item| self.0.read(item.trim()));
                items.collect::<Option<_>>()?
            }
        };
        (values.len() >= self.1).then_some(values)
    }

    fn show(&self, value: &Vec<T>) -> String {
        let items: Vec<String> = value.iter().map(|item| self.0.show(item)).collect();
        items.join(", ")
    }

    fn allowed(&self) -> String {
        let least = if self.1 == 0 { ", or nothing" } else { "" };
        format!(
            "{}, or several with commas between them{least}",
            self.0.allowed()
        )
    }
}

/// A number of decimal digits only: no sign, no blank.
pub(super) fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}
