//! From the PHP daemon's config.php to a configuration of ours: the same settings under their old
//! names. What cannot be carried over, or must not be, is a comment that names the line it came
//! from. PHP is read, never executed.
#![forbid(unsafe_code)]

mod lexer;
mod php;

use std::fmt::{self, Write};

use crate::config::Config;
use php::{Value, Variables};

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
    Switch,
    /// The number of a user or group: 0 is never carried over.
    Id,
    /// Only these values have the same meaning.
    OneOf(&'static [&'static str]),
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
    row("idle_time", "idle_time", Carry::Number),
    row("server_name", "server_name", Carry::Text),
];

const AUTH: &[Row] = &[
    row("auth->module", "module", Carry::OneOf(&["Text"])),
    row("auth->crypt", "crypt", Carry::OneOf(&["md5", "sha1"])),
];

const AUTH_TEXT: &[Row] = &[
    row("auth->text->file", "file", Carry::Text),
    row("auth->text->sep", "sep", Carry::Text),
];

const MOGILEFS: &[Row] = &[
    row("mogilefs->tracker", "tracker", Carry::Text),
    row("mogilefs->port", "port", Carry::Number),
    row("mogilefs->domain", "domain", Carry::Text),
    row("mogilefs->timeout", "timeout", Carry::Number),
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
        for (section, rows) in SECTIONS {
            let _ = write!(ini, "\n[{section}]\n");
            for row in *rows {
                if let Some((value, line)) = self.variables.get(&format!("CFG->{}", row.original)) {
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
             notifempty\n\tsharedscripts\n\tpostrotate\n\t\t[ ! -s {pidfile} ] || kill -USR1 \
             \"$(cat {pidfile})\"\n\tendscript\n}}\n"
        ))
    }

    fn carried(&self, row: &Row, value: &Value, line: usize) -> String {
        let key = row.key;
        match written(&row.carry, value) {
            Ok(text) => format!("{key} = {text}\n"),
            Err(why) => format!("# {}:{line}: {key} not carried over: {why}\n", self.place),
        }
    }

    fn error_log(&self) -> String {
        let Some((value, line)) = self.variables.get("ini_set:error_log") else {
            return String::new();
        };
        let path = value.text().unwrap_or_default();
        format!(
            "# {}:{line}: {} is no longer written: all goes to the log\n",
            self.place,
            one_line(&path)
        )
    }

    /// Properties of `$CFG` that mean nothing here.
    fn left_behind(&self) -> String {
        let known = |name: &str| {
            SCAFFOLD.contains(&name)
                || SECTIONS
                    .iter()
                    .any(|(_, rows)| rows.iter().any(|row| row.original == name))
        };
        let mut text = String::new();
        for (name, (value, line)) in &self.variables {
            let Some(property) = name.strip_prefix("CFG->") else {
                continue;
            };
            if known(property) || *value == Value::Object {
                continue;
            }
            if text.is_empty() {
                text.push_str("\n# Not known to the PHP daemon, nor here:\n");
            }
            let _ = writeln!(text, "# {}:{line}: $CFG->{property}", self.place);
        }
        text
    }
}

/// `value` as it is written in our file, or why it cannot be.
fn written(carry: &Carry, value: &Value) -> Result<String, String> {
    if let Value::Unknown(what) = value {
        return Err(format!("its value is the result of {}", one_line(what)));
    }
    let text = value.text().unwrap_or_default();
    match carry {
        Carry::Switch => Ok(if value.is_true() { "yes" } else { "no" }.to_owned()),
        Carry::Number => match text.trim().parse::<u32>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(format!("`{}` is not a number", one_line(&text))),
        },
        Carry::Id => match text.trim().parse::<u32>() {
            Ok(0) => Err("the daemon's workers do not run as root (0)".to_owned()),
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(format!("`{}` is not a number", one_line(&text))),
        },
        Carry::OneOf(allowed) => {
            if allowed.contains(&text.as_str()) {
                Ok(text)
            } else {
                Err(format!(
                    "`{}` is not known here, only {}",
                    one_line(&text),
                    allowed.join(", ")
                ))
            }
        }
        Carry::Text => {
            if text.is_empty() {
                Err("it is empty".to_owned())
            } else if text.trim() != text
                || text.ends_with('\\')
                || text.chars().any(char::is_control)
            {
                Err(format!("`{}` cannot stand in an INI file", one_line(&text)))
            } else {
                Ok(text)
            }
        }
    }
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
mod tests {
    use super::*;
    use crate::config::LogMode;

    const ORIGINAL: &str = r#"Leading text is not PHP.
<?php
/* a block; $CFG->listen_port = 1; */
$CFG = new stdClass();
$CFG->rootdir = dirname(__FILE__);   // the place of this file
$CFG->logdir = "$CFG->rootdir/log";
ini_set('include_path', get_include_path().":".$CFG->rootdir);
$CFG->tmpdir = $CFG->rootdir . '/tmp';
$CFG->daemonize = true;
$CFG->pidfile = "{$CFG->logdir}/nanoftpd.pid";
ini_set('error_log', $CFG->logdir."/nanoftpd.err");
$CFG->userid = 0;
$CFG->groupid = 33;
$CFG->listen_port = 20+1;
$CFG->server_name = "It's \"ours\" \$5";
$CFG->auth = new stdClass;
$CFG->auth->module = 'Text';
$CFG->auth->crypt = 'trim';
$CFG->auth->text = new stdClass();
$CFG->auth->text->sep = '|';
# one more kind of comment ?> <?php
$CFG->mogilefs = new stdClass();
$CFG->mogilefs->tracker = getenv('T') ? getenv('T') : 'x';
$CFG->mogilefs->extendedlist = FALSE;
$CFG->mogilefs->own = 1;
$CFG->logging = new stdClass();
$CFG->logging->mode	= 2;
if ($CFG->daemonize) $CFG->logging->mode = 1;
if (!$CFG->daemonize) { $CFG->logging->mode = 3; } else { $CFG->logging->file = "$CFG->rootdir/log/n.log"; }
?>
trailing"#;

    fn carried() -> String {
        read(ORIGINAL, "/usr/local/nanoftpd/config.php")
            .unwrap()
            .configuration()
    }

    #[test]
    fn settings_keep_their_meaning() {
        let ini = carried();
        for line in [
            "tmpdir = /usr/local/nanoftpd/tmp",
            "pidfile = /usr/local/nanoftpd/log/nanoftpd.pid",
            "daemonize = yes",
            "groupid = 33",
            "listen_port = 21",
            "server_name = It's \"ours\" $5",
            "module = Text",
            "sep = |",
            "extendedlist = no",
            "legacy_names = yes",
            "mode = 1",
            "file = /usr/local/nanoftpd/log/n.log",
        ] {
            assert!(ini.lines().any(|have| have == line), "{line}\n{ini}");
        }
    }

    #[test]
    fn the_result_is_a_configuration_without_errors() {
        let config = Config::parse(&carried(), "imported").unwrap();
        assert_eq!(config.nanoftpd.server_name, "It's \"ours\" $5");
        assert_eq!(config.auth.text.sep, "|");
        assert!(config.mogilefs.legacy_names);
        assert_eq!(config.logging.mode, LogMode::File);
        let lean = read("<?php $CFG = new stdClass();", "c.php")
            .unwrap()
            .configuration();
        Config::parse(&lean, "imported").unwrap();
    }

    #[test]
    fn what_is_not_carried_over_is_a_comment_with_its_line() {
        let ini = carried();
        for (line, what) in [(12, "userid"), (18, "crypt"), (23, "tracker")] {
            let start = format!("# /usr/local/nanoftpd/config.php:{line}: {what} not carried over");
            assert!(
                ini.lines().any(|have| have.starts_with(&start)),
                "{start}\n{ini}"
            );
        }
        assert!(ini.contains("config.php:25: $CFG->mogilefs->own"), "{ini}");
        assert!(
            !ini.lines()
                .any(|line| line.starts_with("userid") || line.starts_with("crypt"))
        );
    }

    #[test]
    fn the_log_is_rotated_without_a_restart() {
        let original = read(ORIGINAL, "/opt/n/config.php").unwrap();
        let logrotate = original.logrotate().unwrap();
        assert!(
            logrotate.starts_with("/opt/n/log/n.log /var/log/nanoftpd/xferlog {"),
            "{logrotate}"
        );
        assert!(
            logrotate.contains("kill -USR1 \"$(cat /opt/n/log/nanoftpd.pid)\""),
            "{logrotate}"
        );
        for pidfile in [
            "1",
            "'/run/a b'",
            "\"/run/a\\nb\"",
            "'/run/a$(id)'",
            "'/run/a\"'",
        ] {
            let source = format!("<?php $CFG->logging->file = '/a'; $CFG->pidfile = {pidfile};");
            let error = read(&source, "c").unwrap().logrotate().unwrap_err();
            assert!(error.why.starts_with("$CFG->pidfile is not"), "{error}");
        }
    }

    #[test]
    fn what_is_not_php_is_an_error_with_its_line() {
        for (source, line) in [
            ("<?php\n$CFG->a = ;", 2),
            ("<?php\n\n$CFG->a = 'x", 3),
            ("<?php $CFG->a = 1\n$CFG->b = 2;", 2),
            ("<?php if ($CFG->a {\n", 1),
            ("<?php {\n$a = 1;\n", 2),
            ("<?php $a = \"{$CFG->x[1]}\";", 1),
        ] {
            match read(source, "c.php") {
                Err(error) => assert_eq!(error.line, line, "{source}: {error}"),
                Ok(_) => panic!("{source} was read"),
            }
        }
    }

    #[test]
    fn an_error_is_one_line_whatever_it_shows() {
        let error = read("<?php $CFG->a 'x\ny';", "c.php").err().unwrap();
        let expected = "c.php:1: expected `;`, found `'x?y'`";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn nesting_has_an_end() {
        for source in [
            "<?php $a = ".to_owned() + &"(".repeat(100_000),
            "<?php ".to_owned() + &"{".repeat(100_000),
            "<?php $a = ".to_owned() + &"!".repeat(100_000),
        ] {
            assert!(read(&source, "c.php").is_err());
        }
    }

    #[test]
    fn nothing_is_executed_and_nothing_can_break_a_line() {
        let source = "<?php $CFG->server_name = \"a\\nuserid = 0\"; $CFG->tmpdir = system('id');";
        let ini = read(source, "c.php").unwrap().configuration();
        assert!(!ini.lines().any(|line| line.starts_with("userid")), "{ini}");
        assert!(ini.contains("tmpdir not carried over: its value is the result of system()"));
        // A line that ends in a backslash would not be read again.
        let source = r"<?php $CFG->tmpdir = 'C:\\tmp\\';";
        let ini = read(source, "c.php").unwrap().configuration();
        assert!(
            ini.contains(r"tmpdir not carried over: `C:\tmp\` cannot"),
            "{ini}"
        );
    }
}
