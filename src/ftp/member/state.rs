//! The state of a session: how files are represented, what STAT and SITE tell, another login.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Member;
use crate::config::Type;
use crate::ftp::address;
use crate::ftp::error::Error;
use crate::ftp::facts;
use crate::ftp::reply::Reply;
use crate::ftp::seat::Seat;
use crate::ftp::verb::{Answer, Arg, Command, Step, Verb, find, say};
use crate::ftp::visitor::password_required;

impl<'a> Member<'a> {
    /// What follows SITE.
    const SITE: &'a [Verb<Self>] = &[
        Verb::new("CHMOD", Arg::Needed, "mode path", Self::site_chmod),
        Verb::new("GID", Arg::None, "", Self::site_gid),
        Verb::new("HELP", Arg::Optional, "", Self::site_help),
        Verb::new("IDLE", Arg::Optional, "[seconds]", Self::site_idle),
        Verb::new("UID", Arg::None, "", Self::site_uid),
        Verb::new(
            "UTIME",
            Arg::Needed,
            "YYYYMMDDhhmm[ss] path",
            Self::site_utime,
        ),
    ];

    /// TYPE: A and I, and what comes to the same.
    pub(super) fn set_type(&mut self, argument: &[u8]) -> Answer {
        let argument = String::from_utf8_lossy(argument).to_ascii_uppercase();
        let words: Vec<&str> = argument.split_ascii_whitespace().collect();
        let (representation, letter) = match words.as_slice() {
            ["A"] | ["A", "N"] => (Type::Ascii, "A"),
            ["I"] => (Type::Binary, "I"),
            ["L", "8"] | ["L8"] => (Type::Binary, "L 8"),
            ["A", "T" | "C"] | ["E", ..] | ["L", ..] => {
                return Err(Error::refused(504, "Only types A, I and L 8 are there."));
            }
            _ => return Err(Error::refused(501, "TYPE takes A, I or L 8.")),
        };
        self.session.representation = Some(representation);
        say(200, format!("Type set to {letter}."))
    }

    /// MODE: streams, and packed ones where that is allowed.
    pub(super) fn mode(&mut self, argument: &[u8]) -> Answer {
        let is_packed = argument.trim_ascii().eq_ignore_ascii_case(b"Z");
        if is_packed && self.session.settings.passive.deflate {
            self.session.is_packed = true;
            return say(200, "Mode set to Z.");
        }
        let answer = one_of(argument, b"S", b"BCZ", "Mode");
        if answer.is_ok() {
            self.session.is_packed = false;
        }
        answer
    }

    /// STRU: files only.
    pub(super) fn stru(&mut self, argument: &[u8]) -> Answer {
        one_of(argument, b"F", b"RP", "Structure")
    }

    /// ACCT
    pub(super) fn acct(&mut self, _: &[u8]) -> Answer {
        say(202, "No account is needed.")
    }

    /// USER ends this login and begins another; its directory, its store and its data connection
    /// go with it, TYPE and MODE stay.
    pub(super) fn user(&mut self, name: &[u8]) -> Answer {
        Ok(Step::Return(password_required(name), Some(name.to_vec())))
    }

    /// PASS without a USER before it.
    pub(super) fn pass(&mut self, _: &[u8]) -> Answer {
        Err(Error::refused(503, "Already logged in; USER comes first."))
    }

    /// STAT without an argument: the state of the session.
    pub(super) fn state(&self) -> Reply {
        let session = &self.session;
        let idle = session.idle.as_secs_f64();
        let text = |text: String| text.into_bytes();
        let route = match self.route {
            Some(_) => "A data connection is prepared.",
            None => "No data connection.",
        };
        let lines = vec![
            text(format!("Connected from {}", session.peer.ip())),
            [b"Logged in as ", self.user.as_slice()].concat(),
            [b"Directory: ", self.cwd.as_bytes()].concat(),
            text(format!(
                "TYPE: {}; STRU: File; MODE: {}",
                self.mode_name(),
                if session.is_packed {
                    "Deflate"
                } else {
                    "Stream"
                }
            )),
            text(format!("Idle timeout is {idle} seconds")),
            text(route.to_owned()),
        ];
        let first = session.settings.nanoftpd.server_name.as_bytes();
        Reply::long(211, first, lines, "End of status.")
    }

    /// SITE: verbs of this server, from a table of their own.
    pub(super) fn site(&mut self, argument: &[u8]) -> Answer {
        let command = Command::parse(argument);
        let Some(verb) = find(Self::SITE, &command.verb) else {
            return Err(Error::refused(502, "SITE command not implemented."));
        };
        (verb.run)(self, verb.argument(command.argument)?)
    }

    fn site_help(&mut self, _: &[u8]) -> Answer {
        let lines = Self::SITE
            .iter()
            .map(|verb| format!("{} {}", verb.name, verb.help).into_bytes())
            .collect();
        let first = "SITE commands available:";
        let last = "HELP command successful.";
        Ok(Step::Say(Reply::long(214, first, lines, last)))
    }

    /// SITE UID: the account's, which no process runs as.
    fn site_uid(&mut self, _: &[u8]) -> Answer {
        let (uid, _) = self.session.host.numbers();
        say(200, format!("UID is {uid}."))
    }

    /// SITE GID
    fn site_gid(&mut self, _: &[u8]) -> Answer {
        let (_, gid) = self.session.host.numbers();
        say(200, format!("GID is {gid}."))
    }

    /// SITE IDLE: as long as the configuration allows, or less.
    fn site_idle(&mut self, seconds: &[u8]) -> Answer {
        let longest = self.session.settings.nanoftpd.idle_time;
        if !seconds.is_empty() {
            let wanted = address::decimal(seconds.trim_ascii())
                .map(Duration::from_secs)
                .filter(|wanted| (Duration::from_secs(1)..=longest).contains(wanted));
            let Some(wanted) = wanted else {
                let text = format!("From 1 to {} seconds.", longest.as_secs());
                return Err(Error::refused(501, text));
            };
            self.session().idle = wanted;
        }
        let idle = self.session.idle.as_secs_f64();
        say(200, format!("Idle timeout is {idle} seconds."))
    }

    /// MFMT (draft-somers-ftp-mfxx §3): whole seconds are kept, as MDTM tells them.
    pub(super) fn mfmt(&mut self, argument: &[u8]) -> Answer {
        let Some((modified, name)) = modification(argument) else {
            return Err(Error::refused(501, "MFMT takes YYYYMMDDhhmmss and a path."));
        };
        self.set_modified(modified, name)?;
        let time = facts::time(modified).unwrap_or_default();
        let text = [format!("Modify={time}; ").as_bytes(), name].concat();
        say(213, text)
    }

    /// SITE UTIME, in the forms of its two inventors.
    fn site_utime(&mut self, argument: &[u8]) -> Answer {
        let Some((modified, name)) = utime(argument) else {
            return Err(Error::refused(
                501,
                "SITE UTIME takes YYYYMMDDhhmm[ss] and a path.",
            ));
        };
        self.set_modified(modified, name)?;
        say(200, "SITE UTIME command successful.")
    }

    fn set_modified(&mut self, seconds: i64, name: &[u8]) -> Result<(), Error> {
        let path = self.resolve(name);
        self.store.set_modified(&path, seconds)?;
        self.log_change("utime-ok", &path);
        Ok(())
    }

    /// SITE CHMOD: permission bits in octal, as everywhere else.
    fn site_chmod(&mut self, argument: &[u8]) -> Answer {
        let end = argument.iter().position(|&byte| byte == b' ');
        let (digits, name) = argument.split_at(end.unwrap_or(argument.len()));
        let name = name.get(1..).unwrap_or_default();
        let mode = address::octal(digits).filter(|mode| *mode <= 0o777);
        let (Some(mode), false) = (mode, name.is_empty()) else {
            return Err(Error::refused(
                501,
                "SITE CHMOD takes an octal mode and a path.",
            ));
        };
        let path = self.resolve(name);
        self.store.set_mode(&path, mode)?;
        self.log_change("chmod-ok", &path);
        say(200, "SITE CHMOD command successful.")
    }
}

/// `YYYYMMDDhhmmss[.fraction] path`: the time in whole seconds, and the path.
fn modification(argument: &[u8]) -> Option<(i64, &[u8])> {
    let end = argument.iter().position(|&byte| byte == b' ')?;
    let (time, path) = argument.split_at(end);
    let path = path.get(1..).filter(|path| !path.is_empty())?;
    let point = time.iter().position(|&byte| byte == b'.');
    let (digits, fraction) = time.split_at(point.unwrap_or(time.len()));
    let is_fraction = match fraction {
        [] => true,
        [_, rest @ ..] => !rest.is_empty() && rest.iter().all(u8::is_ascii_digit),
    };
    let time = (digits.len() == 14 && is_fraction).then(|| seconds(digits))??;
    Some((time, path))
}

/// `YYYYMMDDhhmm[ss] path`, or `path YYYYMMDDhhmm[ss]` three times and `UTC`: the time of the
/// modification, which is the second, and the path.
fn utime(argument: &[u8]) -> Option<(i64, &[u8])> {
    let mut words = argument.rsplitn(5, |&byte| byte == b' ');
    if let (Some(b"UTC"), Some(_), Some(modified), Some(_), Some(path)) = (
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
    ) {
        return Some((seconds(modified)?, path));
    }
    let end = argument.iter().position(|&byte| byte == b' ')?;
    let (time, path) = argument.split_at(end);
    Some((
        seconds(time)?,
        path.get(1..).filter(|path| !path.is_empty())?,
    ))
}

/// Seconds since the epoch, of digits that are UTC.
fn seconds(digits: &[u8]) -> Option<i64> {
    let mut digits = digits.to_vec();
    if digits.len() == 12 {
        digits.extend_from_slice(b"00");
    }
    if digits.len() != 14 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let time = DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

/// The answer to MODE and STRU: `ours`, not `others`, and nothing else.
fn one_of(argument: &[u8], ours: &[u8], others: &[u8], what: &str) -> Answer {
    let argument = argument.trim_ascii().to_ascii_uppercase();
    match argument.as_slice() {
        letter if letter == ours => say(
            200,
            format!("{what} set to {}.", String::from_utf8_lossy(ours)),
        ),
        [letter] if others.contains(letter) => {
            Err(Error::refused(504, format!("{what} not implemented.")))
        }
        _ => Err(Error::refused(501, format!("{what} not known."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_set_in_two_forms() {
        for (argument, expected) in [
            ("20010203040506 a b", Some((981_173_106, "a b"))),
            ("200102030405 a", Some((981_173_100, "a"))),
            (
                "a b 20010203040500 20010203040506 20010203040500 UTC",
                Some((981_173_106, "a b")),
            ),
            ("20011303040506 a", None),
            ("2001020304 a", None),
            ("+0010203040506 a", None),
            ("20010203040506 ", None),
            ("20010203040506", None),
            ("a", None),
        ] {
            let expected = expected.map(|(time, name)| (time, name.as_bytes()));
            assert_eq!(utime(argument.as_bytes()), expected, "{argument}");
        }
        for (argument, expected) in [
            ("20010203040506 a b", Some((981_173_106, "a b"))),
            ("20010203040506.789 a", Some((981_173_106, "a"))),
            ("20010203040506  a", Some((981_173_106, " a"))),
            ("20010203040506. a", None),
            ("20010203040506.7x a", None),
            ("200102030405 a", None),
            ("20010203040561 a", None),
            ("20010203040506 ", None),
            ("20010203040506", None),
            (".5 a", None),
        ] {
            let expected = expected.map(|(time, name)| (time, name.as_bytes()));
            assert_eq!(modification(argument.as_bytes()), expected, "{argument}");
        }
    }
}
