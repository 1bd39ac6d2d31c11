//! Verbs are rows: what a command is called, what it takes, and what it does. The row answers for
//! the verb: 500, 501, 502, the masking of passwords, HELP and FEAT come from it.

use super::Account;
use super::error::Error;
use super::reply::Reply;

/// What a command does to the session.
pub(super) enum Step {
    /// Nothing but the reply.
    Say(Reply),
    /// The visitor becomes a member.
    Enter(Reply, Account),
    /// Back to a visitor, who may have said a name already.
    Return(Reply, Option<Vec<u8>>),
    /// The control connection goes on under TLS, behind this reply, with a visitor.
    Secure(Reply),
    /// The session ends.
    Leave(Reply),
    /// The same, as the client wants it.
    Part(Reply),
}

/// How a command ends.
pub(super) type Answer = Result<Step, Error>;

/// `Ok(Say(…))`, which most commands end in.
pub(super) fn say(code: u16, text: impl Into<Vec<u8>>) -> Answer {
    Ok(Step::Say(Reply::new(code, text)))
}

/// What follows a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// Nothing; what does follow is ignored, as the daemon before this one did.
    None,
    /// Something or nothing.
    Optional,
    /// Without it: 501.
    Needed,
}

/// What FEAT says of a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feat {
    /// Nothing: it is in RFC 959.
    No,
    /// This line.
    Line(&'static str),
    /// This line, where there is TLS.
    Tls(&'static str),
    /// The facts of a machine listing, as the client has chosen them.
    Facts,
    /// This line, where data connections may be packed.
    Deflate(&'static str),
    /// The checksums that HASH can tell, as the client has chosen.
    Hash,
    /// This line, where the member's store keeps the times that it is given.
    Times(&'static str),
}

/// One row of a table; `S` is who may use it.
pub(super) struct Verb<S> {
    pub(super) name: &'static str,
    pub(super) takes: Arg,
    /// Whether the argument must not be seen.
    pub(super) secret: bool,
    /// The argument and what the verb does, in a few words.
    pub(super) help: &'static str,
    pub(super) feat: Feat,
    pub(super) run: fn(&mut S, &[u8]) -> Answer,
}

impl<S> Verb<S> {
    /// A row without secrets or features.
    pub(super) const fn new(
        name: &'static str,
        takes: Arg,
        help: &'static str,
        run: fn(&mut S, &[u8]) -> Answer,
    ) -> Self {
        Self {
            name,
            takes,
            secret: false,
            help,
            feat: Feat::No,
            run,
        }
    }

    /// The same with a secret argument.
    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The same with a line in FEAT.
    pub(super) const fn feat(mut self, feat: Feat) -> Self {
        self.feat = feat;
        self
    }

    /// The argument as the verb takes it.
    ///
    /// # Errors
    /// 501.
    pub(super) fn argument<'c>(&self, given: &'c [u8]) -> Result<&'c [u8], Error> {
        if given.iter().any(|byte| matches!(byte, b'\0' | b'\r')) {
            return Err(Error::refused(501, "No such byte may be in an argument."));
        }
        match self.takes {
            Arg::None => Ok(&[]),
            Arg::Needed if given.is_empty() => Err(Error::refused(
                501,
                format!("{} needs an argument.", self.name),
            )),
            Arg::Optional | Arg::Needed => Ok(given),
        }
    }
}

/// The row of that name.
pub(super) fn find<'t, S>(table: &'t [Verb<S>], name: &str) -> Option<&'t Verb<S>> {
    table.iter().find(|verb| verb.name == name)
}

/// A command line as it was read: the verb in upper case, and all that follows one blank. Blanks in
/// front are ignored; those of the argument belong to it, since names may have them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command<'l> {
    pub(super) verb: String,
    pub(super) argument: &'l [u8],
}

impl<'l> Command<'l> {
    /// Takes a line apart.
    pub(super) fn parse(line: &'l [u8]) -> Self {
        let line = line.trim_ascii_start();
        let end = line
            .iter()
            .position(|byte| matches!(byte, b' ' | b'\t'))
            .unwrap_or(line.len());
        let (verb, rest) = line.split_at(end);
        Self {
            verb: String::from_utf8_lossy(verb).to_ascii_uppercase(),
            argument: rest.get(1..).unwrap_or_default(),
        }
    }

    /// Whether this is a web browser's line: such a client is misled by somebody, and is sent away
    /// before it does what it was misled to.
    pub(super) fn is_http(&self) -> bool {
        const METHODS: [&str; 8] = [
            "GET", "POST", "HEAD", "PUT", "PATCH", "OPTIONS", "CONNECT", "TRACE",
        ];
        METHODS.contains(&self.verb.as_str()) || self.verb.ends_with(':')
    }
}

/// What exists in FTP and not here: 502, where all else that is unknown is 500.
pub(super) const ELSEWHERE: [&str; 20] = [
    "ADAT", "COMB", "CONF", "CPSV", "DSIZ", "ENC", "HOST", "LPRT", "LPSV", "MFCT", "MFF", "MIC",
    "PRET", "RMDA", "SMNT", "SPSV", "SSCN", "THMB", "XSEM", "XSEN",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_verb_and_what_follows_one_blank() {
        for (line, verb, argument) in [
            (&b"PWD"[..], "PWD", &b""[..]),
            (b"pwd", "PWD", b""),
            (b"  Pwd ", "PWD", b""),
            (b"RETR a b ", "RETR", b"a b "),
            (b"RETR  a", "RETR", b" a"),
            (b"CWD/tmp", "CWD/TMP", b""),
            (b"\tNOOP", "NOOP", b""),
            (b"R\xe9TR x", "R\u{fffd}TR", b"x"),
            (b"", "", b""),
        ] {
            let expected = Command {
                verb: verb.to_owned(),
                argument,
            };
            assert_eq!(Command::parse(line), expected);
        }
    }

    #[test]
    fn the_row_judges_the_argument() {
        let row = |takes| Verb::<()>::new("X", takes, "", |(), _| say(200, "x"));
        for (takes, given, expected) in [
            (Arg::None, &b""[..], Some(&b""[..])),
            (Arg::None, b"x", Some(b"")),
            (Arg::Optional, b"", Some(b"")),
            (Arg::Optional, b"x", Some(b"x")),
            (Arg::Needed, b"x", Some(b"x")),
            (Arg::Needed, b"", None),
            (Arg::Needed, b"a\0b", None),
            (Arg::Optional, b"a\rb", None),
        ] {
            let found = row(takes).argument(given).ok();
            assert_eq!(found, expected, "{takes:?} {given:?}");
        }
    }

    #[test]
    fn browsers_are_known_by_their_lines() {
        for (line, expected) in [
            (&b"GET / HTTP/1.1"[..], true),
            (b"POST /x HTTP/1.0", true),
            (b"Host: example.org", true),
            (b"HOST example.org", false),
            (b"STOR a", false),
        ] {
            assert_eq!(Command::parse(line).is_http(), expected, "{line:?}");
        }
    }
}
