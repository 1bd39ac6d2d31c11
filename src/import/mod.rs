//! From the PHP daemon's config.php to a configuration of ours: the same settings under their old
//! names. What cannot be carried over, or must not be, is a comment that names the line it came
//! from. PHP is read, never executed.
#![forbid(unsafe_code)]

mod expression;
mod lexer;
mod php;
mod value;

use std::fmt::{self, Write};
use std::iter;

use crate::config::Config;
use php::{UNSEEN, Variables};
use value::Value;

/// What is wrong with a config.php, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Error {
    place: String,
    line: usize,
    why: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place, self.line, self.why)
    }
}

impl std::error::Error for Error {}

/// A config.php that has been read.
pub struct Original {
    place: String,
    variables: Variables,
}

/// How a value of the original is written in our file.
enum Carry {
    Text,
    Number,
    /// Seconds, perhaps with a fraction.
    Time,
    /// What separates fields: `\t` is written so.
    Separator,
    Switch,
    /// The number of a user or group: 0 is never carried over.
    Id,
    /// Only these values have the same meaning.
    OneOf(&'static [&'static str]),
    /// The same of functions, of whose names PHP does not look at the case.
    Function(&'static [&'static str]),
}

struct Row {
    /// The property behind `$CFG->`.
    original: &'static str,
    key: &'static str,
    carry: Carry,
}

const fn row(original: &'static str, key: &'static str, carry: Carry) -> Row {
    Row {
        original,
        key,
        carry,
    }
}

const NANOFTPD: &[Row] = &[
    row("daemonize", "daemonize", Carry::Switch),
    row("pidfile", "pidfile", Carry::Text),
    row("tmpdir", "tmpdir", Carry::Text),
    row("userid", "userid", Carry::Id),
    row("groupid", "groupid", Carry::Id),
    row("listen_addr", "listen_addr", Carry::Text),
    row("listen_port", "listen_port", Carry::Number),
    row("low_port", "low_port", Carry::Number),
    row("high_port", "high_port", Carry::Number),
    row("idle_time", "idle_time", Carry::Time),
    row("server_name", "server_name", Carry::Text),
];

const AUTH: &[Row] = &[
    row("auth->module", "module", Carry::OneOf(&["Text"])),
    row("auth->crypt", "crypt", Carry::Function(&["md5", "sha1"])),
];

const AUTH_TEXT: &[Row] = &[
    row("auth->text->file", "file", Carry::Text),
    row("auth->text->sep", "sep", Carry::Separator),
];

const MOGILEFS: &[Row] = &[
    row("mogilefs->tracker", "tracker", Carry::Text),
    row("mogilefs->port", "port", Carry::Number),
    row("mogilefs->domain", "domain", Carry::Text),
    row("mogilefs->timeout", "timeout", Carry::Time),
    row("mogilefs->defaultclass", "defaultclass", Carry::Text),
    row("mogilefs->listlimit", "listlimit", Carry::Number),
    row("mogilefs->extendedlist", "extendedlist", Carry::Switch),
    row("mogilefs->searchlist", "searchlist", Carry::Switch),
    row("mogilefs->canrename", "canrename", Carry::Switch),
    row("mogilefs->canmkdir", "canmkdir", Carry::Switch),
    row("mogilefs->canrmdir", "canrmdir", Carry::Switch),
    row("mogilefs->mindevcount", "mindevcount", Carry::Number),
];

const LOGGING: &[Row] = &[
    row("logging->mode", "mode", Carry::Number),
    row("logging->file", "file", Carry::Text),
];

const SECTIONS: &[(&str, &[Row])] = &[
    ("nanoftpd", NANOFTPD),
    ("auth", AUTH),
    ("auth.text", AUTH_TEXT),
    ("mogilefs", MOGILEFS),
    ("logging", LOGGING),
];

/// What the first versions of the PHP daemon called some of them.
const OLDER: &[(&str, &str)] = &[
    ("auth->crypt", "crypt"),
    ("auth->text->file", "text['file']"),
    ("auth->text->sep", "text['sep']"),
];

/// Properties that only served to build others.
const SCAFFOLD: &[&str] = &["rootdir", "libdir", "moddir", "logdir"];

/// Reads the config.php `source`; `path` is where it stands (the value of `__FILE__`).
///
/// # Errors
/// The first place that cannot be read as PHP.
pub fn read(source: &str, path: &str) -> Result<Original, Error> {
    match php::read(source, path) {
        Ok(variables) => Ok(Original {
            place: path.to_owned(),
            variables,
        }),
        Err(error) => Err(Error {
            place: path.to_owned(),
            line: error.line,
            // It shows a piece of the file.
            why: one_line(&error.why),
        }),
    }
}

impl Original {
    /// A configuration of ours with the same settings.
    #[must_use]
    pub fn configuration(&self) -> String {
        let mut ini = format!("# The settings of {}\n", self.place);
        ini.push_str(&self.unseen());
        for (section, rows) in SECTIONS {
            let _ = write!(ini, "\n[{section}]\n");
            for row in *rows {
                if let Some((value, line)) = self.setting(row.original) {
                    ini.push_str(&self.carried(row, value, *line));
                }
            }
            match *section {
                "mogilefs" => ini.push_str(
                    "# Names that the PHP daemon changed on their way to the tracker stay reachable.\n\
                     legacy_names = yes\n",
                ),
                "logging" => ini.push_str(&self.error_log()),
                _ => {}
            }
        }
        ini.push_str(
            "\n[file]\n# The PHP daemon served /tmp to users of module File, wherever it ran. For the \
             same:\n# root = /tmp\n",
        );
        ini.push_str(&self.left_behind());
        ini
    }

    /// A logrotate file for the log that the configuration names, and for the transfer log.
    ///
    /// # Errors
    /// The configuration names no log or no pid file.
    pub fn logrotate(&self) -> Result<String, Error> {
        let path = |property: &str| {
            let value = self.variables.get(&format!("CFG->{property}"));
            value
                .and_then(|(value, _)| value.text())
                .filter(|path| path.starts_with('/') && path.chars().all(is_plain))
                .ok_or(Error {
                    place: self.place.clone(),
                    line: value.map_or(1, |(_, line)| *line),
                    why: format!("$CFG->{property} is not a path that logrotate can be given"),
                })
        };
        let (log, pidfile) = (path("logging->file")?, path("pidfile")?);
        // The PHP daemon had none, so the configuration does not name it either.
        let transfers = Config::default().logging.xferlog.unwrap_or_default();
        let transfers = transfers.display();
        Ok(format!(
            "{log} {transfers} {{\n\tweekly\n\trotate 10\n\tcompress\n\tdelaycompress\n\tmissingok\n\t\
             notifempty\n\tsharedscripts\n\tpostrotate\n\t\tpid=$(cat {pidfile} 2>/dev/null) && \
             grep -qsx nanoftpd \"/proc/$pid/comm\" && kill -USR1 \"$pid\" || true\n\tendscript\n}}\n"
        ))
    }

    /// What the property has been set to, under this name or an older one.
    fn setting(&self, property: &str) -> Option<&(Value, usize)> {
        let older = OLDER.iter().filter(|(name, _)| *name == property);
        let mut names = iter::once(property).chain(older.map(|(_, older)| *older));
        names.find_map(|name| self.variables.get(&format!("CFG->{name}")))
    }

    fn carried(&self, row: &Row, value: &Value, line: usize) -> String {
        let key = row.key;
        match written(&row.carry, value) {
            Ok(text) => format!("{key} = {text}\n"),
            Err(why) => self.note(line, &format!("{key} not carried over: {why}")),
        }
    }

    /// A comment on a line of the original, whose names may have anything in them.
    fn note(&self, line: usize, text: &str) -> String {
        format!("# {}:{line}: {}\n", self.place, one_line(text))
    }

    /// Other files, which may set anything, and objects that are not made as they are in the original.
    fn unseen(&self) -> String {
        let mut text = String::new();
        for (name, (value, line)) in &self.variables {
            let what = match name.strip_prefix("CFG->") {
                None if name.starts_with(UNSEEN) => {
                    value.text().unwrap_or("what it includes".into())
                }
                Some(property) if *value != Value::Object && holds_settings(property) => {
                    format!("$CFG->{property}")
                }
                _ => continue,
            };
            let why = format!("{what} is not read: what it sets is missing here");
            text.push_str(&self.note(*line, &why));
        }
        text
    }

    fn error_log(&self) -> String {
        let Some((value, line)) = self.variables.get("ini_set:error_log") else {
            return String::new();
        };
        let path = value.text().unwrap_or_else(|| "the error log".to_owned());
        let why = format!("{path} is no longer written: all goes to the log");
        self.note(*line, &why)
    }

    /// Properties of `$CFG` that mean nothing here.
    fn left_behind(&self) -> String {
        let known = |name: &str| {
            SCAFFOLD.contains(&name)
                || OLDER.iter().any(|(_, older)| *older == name)
                || SECTIONS
                    .iter()
                    .any(|(_, rows)| rows.iter().any(|row| row.original == name))
        };
        let mut text = String::new();
        for (name, (value, line)) in &self.variables {
            let Some(property) = name.strip_prefix("CFG->") else {
                continue;
            };
            let is_told = known(property) || holds_settings(property);
            if is_told || matches!(value, Value::Object | Value::Array) {
                continue;
            }
            if text.is_empty() {
                text.push_str("\n# Without a meaning here:\n");
            }
            text.push_str(&self.note(*line, &format!("$CFG->{property}")));
        }
        text
    }
}

/// `value` as it is written in our file, or why it cannot be.
fn written(carry: &Carry, value: &Value) -> Result<String, String> {
    if let Value::Unknown(what) = value {
        return Err(format!("its value is the result of {what}"));
    }
    if *value == Value::Array {
        return Err("its value is an array".to_owned());
    }
    let text = value.text().unwrap_or_default();
    match carry {
        Carry::Switch => Ok(if value.truth() == Some(true) {
            "yes"
        } else {
            "no"
        }
        .to_owned()),
        Carry::Number => match text.trim().parse::<u32>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(format!("`{}` is not a number", one_line(&text))),
        },
        Carry::Id => match text.trim().parse::<u32>() {
            Ok(0) => Err("the daemon's workers do not run as root (0)".to_owned()),
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(format!("`{}` is not a number", one_line(&text))),
        },
        Carry::Time => match text.trim().parse::<f64>() {
            Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(seconds.to_string()),
            _ => Err(format!("`{}` is not a number", one_line(&text))),
        },
        Carry::Separator if text == "\t" => Ok("\\t".to_owned()),
        Carry::OneOf(allowed) => one_of(allowed, &text),
        Carry::Function(allowed) => one_of(allowed, &text.to_ascii_lowercase()),
        Carry::Text | Carry::Separator => {
            if text.is_empty() {
                Err("it is empty".to_owned())
            } else if text.trim() != text
                || text.ends_with('\\')
                || text.chars().any(char::is_control)
            {
                Err(format!("`{text}` cannot stand in an INI file"))
            } else {
                Ok(text)
            }
        }
    }
}

/// `mogilefs`, `auth->text`
fn holds_settings(property: &str) -> bool {
    let mut rows = SECTIONS.iter().flat_map(|(_, rows)| *rows);
    rows.any(|row| {
        let rest = row.original.strip_prefix(property);
        rest.is_some_and(|rest| rest.starts_with("->"))
    })
}

fn one_of(allowed: &[&str], text: &str) -> Result<String, String> {
    if allowed.contains(&text) {
        return Ok(text.to_owned());
    }
    let allowed = allowed.join(", ");
    Err(format!("`{text}` is not known here, only {allowed}"))
}

/// Whether a character means itself to logrotate and to the shell.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "/._-+@%:,=~".contains(c)
}

/// `text` as it may stand in a comment.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
