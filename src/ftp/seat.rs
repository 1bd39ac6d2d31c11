//! Who may sit at the other end of a control connection, and the verbs of everybody.

use std::time::{Duration, Instant};

use super::digest::Algorithm;
use super::error::Error;
use super::facts::Facts;
use super::member::Member;
use super::reply::Reply;
use super::session::Session;
use super::verb::{Answer, Arg, ELSEWHERE, Feat, Step, Verb, say};
use super::visitor::Visitor;
use crate::path::Path;

/// Whoever sits at the other end of the control connection.
pub(super) trait Seat<'a>: Sized + 'a {
    /// Its own verbs.
    const OWN: &'a [Verb<Self>];

    /// The file that a command transfers.
    fn place(&self, _verb: &str, _argument: &[u8]) -> Option<Path> {
        None
    }

    /// Whether its store keeps the times that files are given.
    fn keeps_times(&self) -> bool {
        false
    }

    /// The verbs of everybody.
    const COMMON: &'a [Verb<Self>] = &[
        Verb::new("AUTH", Arg::Needed, "TLS protects what follows", Self::auth)
            .feat(Feat::Tls("AUTH TLS")),
        Verb::new("CCC", Arg::None, "is refused: protection stays", Self::ccc),
        Verb::new(
            "CLNT",
            Arg::Needed,
            "name tells who the client is",
            Self::clnt,
        )
        .feat(Feat::Line("CLNT")),
        Verb::new("CSID", Arg::Optional, "tells who the server is", Self::csid)
            .feat(Feat::Line("CSID")),
        Verb::new("FEAT", Arg::Optional, "lists the extensions", Self::feat),
        Verb::new(
            "HELP",
            Arg::Optional,
            "[verb] lists the verbs, or explains one",
            Self::help,
        ),
        Verb::new(
            "LANG",
            Arg::Optional,
            "[EN] sets the language of replies",
            Self::lang,
        )
        .feat(Feat::Line("LANG EN*")),
        Verb::new("NOOP", Arg::None, "does nothing", Self::noop),
        Verb::new(
            "OPTS",
            Arg::Needed,
            "verb [options] sets options: HASH, MLST, MODE Z, UTF8",
            Self::opts,
        )
        .feat(Feat::Line("UTF8")),
        Verb::new("PBSZ", Arg::Needed, "0 comes before PROT", Self::pbsz).feat(Feat::Tls("PBSZ")),
        Verb::new(
            "PROT",
            Arg::Needed,
            "P|C protects data connections, or not",
            Self::prot,
        )
        .feat(Feat::Tls("PROT")),
        Verb::new("QUIT", Arg::None, "ends the session", Self::quit),
        Verb::new(
            "REIN",
            Arg::None,
            "ends the login, not the session",
            Self::rein,
        ),
        Verb::new("SYST", Arg::None, "names the kind of system", Self::syst),
    ];

    /// What all sessions have.
    fn session(&mut self) -> &mut Session<'a>;

    /// A command is about to be carried out.
    fn begin_turn(&mut self) {}

    /// A command has been answered.
    fn end_turn(&mut self) {}

    /// Until when the next line must have come, and what is said if it has not.
    fn deadline(&mut self) -> (Option<Instant>, Reply) {
        let idle = self.session().idle;
        (Instant::now().checked_add(idle), was_idle(idle))
    }

    /// What a verb gets that is in neither table.
    fn unknown(verb: &str) -> Reply {
        unknown(verb)
    }

    /// AUTH (RFC 4217 §4)
    fn auth(&mut self, mechanism: &[u8]) -> Answer {
        self.session().auth(mechanism)
    }

    /// CCC (RFC 4217 §6)
    fn ccc(&mut self, argument: &[u8]) -> Answer {
        self.session().ccc(argument)
    }

    /// CLNT: nothing depends on it; it is in the dialogue of the log.
    fn clnt(&mut self, _: &[u8]) -> Answer {
        say(200, "Noted.")
    }

    /// CSID: what the greeting says, and what a name is; no version, as elsewhere.
    fn csid(&mut self, _: &[u8]) -> Answer {
        let name = self.session().settings.nanoftpd.server_name.as_bytes();
        // Two of its signs are the reply's own.
        let name = name.iter().filter(|byte| !b";=".contains(byte)).copied();
        let mut text = b"Name=".to_vec();
        text.extend(name);
        text.extend_from_slice(b"; DirSep=/;");
        say(200, text)
    }

    /// LANG (RFC 2640 §4.1): there is one; without an argument the default, which is the same.
    fn lang(&mut self, tag: &[u8]) -> Answer {
        match tag.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"en" | b"en-us" | b"en-gb" => say(200, "Replies are in English."),
            _ => Err(Error::refused(504, "Replies are in English only.")),
        }
    }

    /// PBSZ (RFC 4217 §8)
    fn pbsz(&mut self, size: &[u8]) -> Answer {
        self.session().pbsz(size)
    }

    /// PROT (RFC 4217 §9)
    fn prot(&mut self, level: &[u8]) -> Answer {
        self.session().prot(level)
    }

    /// FEAT (RFC 2389 §3)
    fn feat(&mut self, argument: &[u8]) -> Answer {
        if !argument.trim_ascii().is_empty() {
            return Err(Error::refused(501, "FEAT takes nothing."));
        }
        let (facts, hash) = (self.session().facts, self.session().hash);
        let has_tls = self.session().settings.security.is_some();
        let may_deflate = self.session().settings.passive.deflate;
        let keeps_times = self.keeps_times();
        let features = Member::OWN.iter().map(|verb| verb.feat);
        let mut lines: Vec<Vec<u8>> = features
            .chain(Self::COMMON.iter().map(|verb| verb.feat))
            .filter_map(|feat| match feat {
                Feat::No => None,
                Feat::Tls(_) if !has_tls => None,
                Feat::Deflate(_) if !may_deflate => None,
                Feat::Times(_) if !keeps_times => None,
                Feat::Line(line) | Feat::Tls(line) | Feat::Deflate(line) | Feat::Times(line) => {
                    Some(line.into())
                }
                Feat::Facts => Some(format!("MLST {}", facts.feature()).into()),
                Feat::Hash => Some(format!("HASH {}", hash.feature()).into()),
            })
            .collect();
        lines.sort();
        Ok(Step::Say(Reply::long(211, "Features:", lines, "End.")))
    }

    /// HELP (RFC 959 §4.1.3)
    fn help(&mut self, verb: &[u8]) -> Answer {
        let wanted = String::from_utf8_lossy(verb.trim_ascii()).to_ascii_uppercase();
        let mut verbs: Vec<(&str, &str)> = Vec::with_capacity(64);
        verbs.extend(Visitor::OWN.iter().map(|verb| (verb.name, verb.help)));
        verbs.extend(Member::OWN.iter().map(|verb| (verb.name, verb.help)));
        verbs.extend(Self::COMMON.iter().map(|verb| (verb.name, verb.help)));
        verbs.sort_unstable();
        verbs.dedup_by_key(|(name, _)| *name);
        if !wanted.is_empty() {
            return match verbs.iter().find(|(name, _)| *name == wanted) {
                Some((name, help)) => say(214, format!("{name} {help}.")),
                None => Err(Error::refused(501, "No help for that.")),
            };
        }
        let names: Vec<&str> = verbs.iter().map(|(name, _)| *name).collect();
        let mut lines = vec![b"Commands available:".to_vec()];
        lines.extend(names.chunks(8).map(|row| row.join(" ").into_bytes()));
        let first = self.session().settings.nanoftpd.server_name.as_bytes();
        let last = "HELP command successful.";
        Ok(Step::Say(Reply::long(214, first, lines, last)))
    }

    /// NOOP
    fn noop(&mut self, _: &[u8]) -> Answer {
        say(200, "Nothing done.")
    }

    /// OPTS (RFC 2389 §4): HASH, UTF8 (any name goes through as it is), MODE Z and MLST (RFC 3659 §7.9).
    fn opts(&mut self, argument: &[u8]) -> Answer {
        let argument = String::from_utf8_lossy(argument);
        let (verb, options) = argument.split_once(' ').unwrap_or((&argument, ""));
        match (verb.to_ascii_uppercase().as_str(), options.trim()) {
            ("UTF8" | "UTF-8", options) if !options.eq_ignore_ascii_case("OFF") => {
                say(200, "Names are UTF-8.")
            }
            ("MLST", options) => {
                let Some(facts) = Facts::chosen(options) else {
                    return Err(Error::refused(501, "Facts are named like this: type;size;"));
                };
                self.session().facts = facts;
                let text = format!("MLST OPTS {}", facts.chosen_names());
                say(200, text.trim_end())
            }
            ("HASH", "") => say(200, self.session().hash.name()),
            ("HASH", name) => {
                let Some(algorithm) = Algorithm::named(name) else {
                    return Err(Error::refused(
                        501,
                        "Unknown algorithm; nothing has changed.",
                    ));
                };
                self.session().hash = algorithm;
                say(200, algorithm.name())
            }
            ("MODE", options) if self.session().settings.passive.deflate => {
                self.session().opts_mode(options)
            }
            ("UTF8" | "UTF-8", _) => Err(Error::refused(504, "Names stay UTF-8.")),
            _ => Err(Error::refused(501, "No options to set for that.")),
        }
    }

    /// QUIT
    fn quit(&mut self, _: &[u8]) -> Answer {
        let seconds = self.session().begun.elapsed().as_secs_f64();
        let text = format!("Goodbye. Connection duration: {seconds:.4} seconds.");
        Ok(Step::Part(Reply::new(221, text)))
    }

    /// REIN (RFC 959 §4.1.1, RFC 4217 §11): all is as after the greeting, TLS included.
    fn rein(&mut self, _: &[u8]) -> Answer {
        let session = self.session();
        session.reset();
        let reply = Reply::new(220, session.settings.nanoftpd.server_name.as_bytes());
        Ok(Step::Return(reply, None))
    }

    /// SYST
    fn syst(&mut self, _: &[u8]) -> Answer {
        say(215, "UNIX Type: L8")
    }
}

/// 502 for what FTP has and this server has not, 500 for all else.
pub(super) fn unknown(verb: &str) -> Reply {
    if ELSEWHERE.contains(&verb) {
        Reply::new(502, "Command not implemented.")
    } else {
        Reply::new(500, "Unknown command.")
    }
}

/// What a client hears that said nothing for so long.
pub(super) fn was_idle(limit: Duration) -> Reply {
    let seconds = limit.as_secs_f64();
    let text = format!("Client disconnected because of idle timeout ({seconds} seconds).");
    Reply::new(421, text)
}
