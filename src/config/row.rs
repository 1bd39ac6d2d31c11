//! What a row of the table of keys is made of, and how it is written. Knows no key.
#![forbid(unsafe_code)]

use super::Config;
use super::form::Form;

/// A section, with its keys in the order in which they are printed.
pub struct Section {
    pub name: &'static str,
    /// What the section is about.
    pub about: &'static str,
    pub keys: &'static [Key],
}

/// A key of a section.
pub struct Key {
    pub name: &'static str,
    /// As it would be written.
    pub default: &'static str,
    /// What the key is for, in a line.
    pub about: &'static str,
    /// Fills the field; an error says what is wrong with the text and what is allowed.
    pub set: fn(&mut Config, &str) -> Result<(), String>,
    /// The text that `set` reads as what the field holds.
    pub show: fn(&Config) -> String,
}

/// What `text` is, or what is wrong with it and what is allowed.
pub(super) fn read<T>(form: &impl Form<T>, text: &str) -> Result<T, String> {
    form.read(text).ok_or_else(|| match text {
        "" => format!("an empty value is not {}", form.allowed()),
        _ => format!("`{text}` is not {}", form.allowed()),
    })
}

/// Rows `name = "default", form, "purpose";` under `[section]`: a section is named like the field
/// of the configuration that holds it, and a key like the field that it fills.
macro_rules! sections {
    ($([$($section:ident).+] $about:literal $keys:tt)+) => {
        &[$(Section {
            name: stringify!($($section).+),
            about: $about,
            keys: keys!(($($section).+) $keys),
        }),+]
    };
}

macro_rules! keys {
    ($section:tt { $($name:ident = $default:expr, $form:expr, $about:literal;)+ }) => {
        &[$(Key {
            name: stringify!($name),
            default: $default,
            about: $about,
            set: |config, text| {
                field!(config, $section, $name) = read(&$form, text)?;
                Ok(())
            },
            show: |config| $form.show(&field!(config, $section, $name)),
        }),+]
    };
}

macro_rules! field {
    ($config:ident, ($($section:ident).+), $name:ident) => { $config.$($section).+.$name };
}
