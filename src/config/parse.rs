//! From the text of a configuration file to a `Config`, or to all that is wrong with it. The text
//! is gone through twice: an own pass finds positions, strays, duplicates and names that nobody
//! knows, and blanks those lines; the INI parser, which keeps no positions and would glue a stray
//! line to the next, then sees sections and `key = value` lines only, and gives the values.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::path::Path;

use ini::{Ini, ParseOption};

use super::keys::SECTIONS;
use super::row::{Key, Section};
use super::{Config, Error, near, rules};

impl Config {
    /// The configuration that a file describes, or every error in it.
    pub fn load(path: &Path) -> Result<Self, Vec<Error>> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|cause| unreadable(&name, &cause))?;
        Self::read(&bytes, &name)
    }

    /// As `load`, for who asks a daemon that runs already: where the file says where its control socket is,
    /// nothing else that is wrong in it matters. (Where it does not, it may be meant by what is wrong, and
    /// another daemon be asked.)
    pub fn load_to_ask(path: &Path) -> Result<Self, Vec<Error>> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|cause| unreadable(&name, &cause))?;
        let read = Self::examine(&String::from_utf8_lossy(&bytes), &name);
        match read {
            Ok(read) if read.says(SOCKET) => Ok(read.config),
            _ => Self::read(&bytes, &name),
        }
    }

    /// As `load`, from what was in the file; `name` is what errors call it.
    pub fn read(bytes: &[u8], name: &str) -> Result<Self, Vec<Error>> {
        let lines = bytes.split(|byte| *byte == b'\n').zip(1..);
        let undecodable: Vec<Error> = lines
            .filter(|(line, _)| std::str::from_utf8(line).is_err())
            .map(|(_, number)| Error::new(name, number, "", "is not UTF-8".to_owned()))
            .collect();
        match Self::parse(&String::from_utf8_lossy(bytes), name) {
            Ok(config) if undecodable.is_empty() => Ok(config),
            Ok(_) => Err(undecodable),
            Err(mut errors) => {
                errors.extend(undecodable);
                errors.sort_by_key(|error| error.line);
                Err(errors)
            }
        }
    }

    /// As `load`, from text; `file` is what errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Self, Vec<Error>> {
        let read = Self::examine(text, file)?;
        if read.errors.is_empty() {
            Ok(read.config)
        } else {
            Err(read.errors)
        }
    }

    fn examine(text: &str, file: &str) -> Result<Examined, Vec<Error>> {
        let mut found = Found::default();
        found.scan(text);
        let mut errors: Vec<Error> = found
            .wrong
            .into_iter()
            .map(|(line, key, why)| Error::new(file, line, &key, why))
            .collect();

        let plain = ParseOption {
            enabled_quote: false,
            enabled_escape: false,
            ..ParseOption::default()
        };
        let values = Ini::load_from_str_opt(&found.clean, plain)
            .map_err(|error| vec![Error::new(file, error.line, "", error.msg.into_owned())])?;

        let mut config = Self::default();
        let mut broken = Vec::new();
        for Setting { section, key, line } in &found.settings {
            let mut written = values
                .section_all(Some(section.name))
                .flat_map(|keys| keys.get_all(key.name));
            let value = written.next().unwrap_or_default();
            if let Err(why) = (key.set)(&mut config, value) {
                errors.push(Error::new(file, *line, key.name, why));
                broken.push((section.name, key.name));
            }
        }
        rules::follow(&mut config, |key| found.lines.contains_key(&key));
        for (keys, why) in rules::broken(&config) {
            // A value that could not be read has been replaced by a default, of which nobody
            // wants to hear.
            if keys.iter().any(|key| broken.contains(key)) {
                continue;
            }
            let written = keys
                .iter()
                .find_map(|key| Some((*found.lines.get(key)?, key.1)));
            let (line, name) = written.unwrap_or((0, ""));
            errors.push(Error::new(file, line, name, why));
        }
        errors.sort_by_key(|error| error.line);
        let set = found.lines.into_keys().filter(|key| !broken.contains(key));
        Ok(Examined {
            config,
            set: set.collect(),
            errors,
        })
    }

    /// What [`Config::warnings`] says, with the lines of the file at `path` from which it was read.
    #[must_use]
    pub fn warnings_of(&self, path: &Path) -> Vec<Error> {
        let lines = lines(&std::fs::read(path).unwrap_or_default());
        let file = path.display().to_string();
        let warning = |(key, why): (rules::Name, String)| Error::placed(&file, &lines, key, why);
        rules::odd(self).into_iter().map(warning).collect()
    }
}

/// `[status] socket`
const SOCKET: rules::Name = ("status", "socket");

/// What a text says, and what is wrong in it.
struct Examined {
    config: Config,
    /// The keys whose values are those of the text.
    set: Vec<rules::Name>,
    errors: Vec<Error>,
}

impl Examined {
    fn says(&self, key: rules::Name) -> bool {
        self.set.contains(&key)
    }
}

fn unreadable(name: &str, cause: &io::Error) -> Vec<Error> {
    vec![Error::new(name, 0, "", format!("cannot be read: {cause}"))]
}

impl Error {
    /// About a key (section, name) of the file at `path`: with its line where it is set there, else
    /// with its section, since there are others of that name.
    #[must_use]
    pub fn of_key(path: &Path, key: (&'static str, &'static str), why: String) -> Self {
        let lines = lines(&std::fs::read(path).unwrap_or_default());
        Self::placed(&path.display().to_string(), &lines, key, why)
    }

    /// The same where it is known where the keys of the file are set.
    fn placed(
        file: &str,
        lines: &HashMap<rules::Name, usize>,
        key: rules::Name,
        why: String,
    ) -> Self {
        match lines.get(&key) {
            Some(line) => Self::new(file, *line, key.1, why),
            None => Self::new(file, 0, &format!("[{}] {}", key.0, key.1), why),
        }
    }
}

/// Where the keys of a file are set.
fn lines(text: &[u8]) -> HashMap<rules::Name, usize> {
    let mut found = Found::default();
    found.scan(&String::from_utf8_lossy(text));
    found.lines
}

/// A `key = value` line whose key exists and was not set before.
struct Setting {
    section: &'static Section,
    key: &'static Key,
    line: usize,
}

/// What the own pass finds in a text.
#[derive(Default)]
struct Found {
    settings: Vec<Setting>,
    lines: HashMap<(&'static str, &'static str), usize>,
    /// Line, key, what is wrong.
    wrong: Vec<(usize, String, String)>,
    /// The text with every line blanked that is not a known section or a setting.
    clean: String,
}

/// Whose keys the lines belong to.
enum Place {
    Nowhere,
    /// Its keys are skipped: one error is enough.
    Unknown,
    In(&'static Section),
}

impl Found {
    fn scan(&mut self, text: &str) {
        let mut place = Place::Nowhere;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
            } else if let Some(why) = untidy(line) {
                self.wrong.push((number, String::new(), why));
            } else if line.starts_with('[') {
                place = self.section(line, number);
            } else if let Some((name, _)) = line.split_once('=') {
                self.setting(&place, name.trim_end(), line, number);
            } else {
                let why = "is neither `[section]` nor `key = value` nor a comment".to_owned();
                self.wrong.push((number, String::new(), why));
            }
            self.clean.push('\n');
        }
    }

    fn section(&mut self, line: &str, number: usize) -> Place {
        let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        else {
            let why = "a section is written `[name]`, with nothing behind it".to_owned();
            self.wrong.push((number, String::new(), why));
            return Place::Unknown;
        };
        let name = name.trim();
        let Some(section) = SECTIONS.iter().find(|section| section.name == name) else {
            let names = SECTIONS.iter().map(|section| section.name);
            let why = match near::nearest(name, names.clone()) {
                Some(meant) => format!("there is no section [{name}]; is [{meant}] meant?"),
                None => {
                    let names: Vec<&str> = names.collect();
                    format!("there is no section [{name}], only {}", names.join(", "))
                }
            };
            self.wrong.push((number, String::new(), why));
            return Place::Unknown;
        };
        self.clean.push_str(line);
        Place::In(section)
    }

    fn setting(&mut self, place: &Place, name: &str, line: &str, number: usize) {
        let section = match place {
            Place::In(section) => *section,
            Place::Unknown => return,
            Place::Nowhere => {
                let why = "stands before the first `[section]`".to_owned();
                return self.wrong.push((number, name.to_owned(), why));
            }
        };
        let Some(key) = section.keys.iter().find(|key| key.name == name) else {
            let why = unknown(section, name);
            return self.wrong.push((number, String::new(), why));
        };
        if let Some(first) = self.lines.get(&(section.name, key.name)) {
            let why = format!("is set on line {first} already");
            return self.wrong.push((number, name.to_owned(), why));
        }
        self.lines.insert((section.name, key.name), number);
        self.clean.push_str(line);
        self.settings.push(Setting {
            section,
            key,
            line: number,
        });
    }
}

/// What no line may hold: the INI parser takes the end of a line for a continuation behind a
/// backslash, and ends lines at characters that nobody sees.
fn untidy(line: &str) -> Option<String> {
    if line.ends_with('\\') {
        return Some("a line may not end in a backslash".to_owned());
    }
    let hidden = line.chars().find(|c| c.is_control() && *c != '\t')?;
    Some(format!(
        "holds the control character {}",
        hidden.escape_unicode()
    ))
}

fn unknown(section: &Section, name: &str) -> String {
    let here = section.keys.iter().map(|key| key.name);
    if let Some(home) = SECTIONS
        .iter()
        .find(|other| other.keys.iter().any(|key| key.name == name))
    {
        return format!(
            "[{}] has no key {name}; it is one of [{}]",
            section.name, home.name
        );
    }
    match near::nearest(name, here.clone()) {
        Some(meant) => format!("[{}] has no key {name}; is {meant} meant?", section.name),
        None => {
            let names: Vec<&str> = here.collect();
            format!(
                "[{}] has no key {name}, only {}",
                section.name,
                names.join(", ")
            )
        }
    }
}
