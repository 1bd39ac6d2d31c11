//! Directories as lists: LIST, NLST, MLSD over a data connection, MLST and STAT over the control
//! connection. An error that is found before the first line is a reply, never an empty list.

use std::io::Write;
use std::rc::Rc;

use jiff::Timestamp;
use log::warn;

use super::Member;
use crate::ftp::error::Error;
use crate::ftp::glob;
use crate::ftp::list::Long;
use crate::ftp::listing::{Form, Poured, pour, split_pattern, without_options};
use crate::ftp::reply::Reply;
use crate::ftp::session::Session;
use crate::ftp::transfer::Progress;
use crate::ftp::verb::{Answer, Step, say};
use crate::path::Path;
use crate::store::{self, Entries, Kind, Store};

impl Member<'_> {
    /// LIST
    pub(super) fn list(&mut self, argument: &[u8]) -> Answer {
        self.send_list("LIST", path_argument(argument)?)
    }

    /// NLST
    pub(super) fn nlst(&mut self, argument: &[u8]) -> Answer {
        self.send_list("NLST", path_argument(argument)?)
    }

    /// MLSD (RFC 3659 §7): of a directory, and only of one.
    pub(super) fn mlsd(&mut self, name: &[u8]) -> Answer {
        self.send_list("MLSD", name)
    }

    /// MLST (RFC 3659 §7)
    pub(super) fn mlst(&mut self, name: &[u8]) -> Answer {
        let path = self.resolve(name);
        let entry = self.store.stat(&path)?;
        let mut line = Vec::new();
        self.session.facts.put(&entry, &mut line);
        line.extend_from_slice(path.as_bytes());
        let first = [b"Listing ", path.as_bytes()].concat();
        Ok(Step::Say(Reply::long(250, first, vec![line], "End.")))
    }

    /// STAT (RFC 959 §4.1.3): of the session, or a list over the control connection.
    pub(super) fn stat(&mut self, argument: &[u8]) -> Answer {
        if argument.is_empty() {
            return Ok(Step::Say(self.state()));
        }
        let name = path_argument(argument)?;
        let form = Form::Long(long(&self.session));
        let list = find(self.store.as_mut(), &self.cwd, name)?;
        let code = if list.is_file { 213 } else { 212 };
        let send = |bytes: &[u8]| {
            let sent = self.session.control.borrow_mut().send_bytes(bytes);
            sent.map_err(Error::Gone)
        };
        let entries = begun(list.entries)?;
        send(format!("{code}-Status follows:\r\n").as_bytes())?;
        match pour(entries, list.pattern, &form, send) {
            Ok(poured) => say(code, last_words(&self.session, &poured, "End of status.")),
            // The reply has begun with its code, and must end with it.
            Err(Error::Failed(_, cause)) => {
                let text = format!("The list is not whole (ref {}).", cause.reference);
                Err(Error::Failed(Reply::new(code, text), cause))
            }
            Err(Error::Refused(_)) => say(code, "The list is not whole."),
            Err(error) => Err(error),
        }
    }

    fn send_list(&mut self, verb: &'static str, name: &[u8]) -> Answer {
        self.restart = None;
        let route = self.take_route()?;
        let Self {
            session,
            store,
            cwd,
            ..
        } = self;
        let progress = Rc::new(Progress::new(verb, name));
        let watch = session.watch(&progress)?;
        let list = match verb {
            "MLSD" => directory(store.as_mut(), &cwd.resolve(name))?,
            _ => find(store.as_mut(), cwd, name)?,
        };
        let form = match verb {
            "MLSD" => Form::Facts(session.facts),
            "NLST" => Form::Names(prefix(cwd, name, &list)),
            _ => Form::Long(long(session)),
        };
        let entries = begun(list.entries)?;
        session.say(&Reply::new(
            150,
            "Opening ASCII mode data connection for file list.",
        ))?;
        let mut link = session.connect(route, &progress)?;
        let poured = pour(entries, list.pattern, &form, |lines| {
            link.write_all(lines).map_err(|error| Error::data(&error))
        })?;
        link.finish().map_err(|error| Error::data(&error))?;
        drop(watch);
        say(226, last_words(session, &poured, "Transfer complete."))
    }
}

/// What is to be listed.
struct List<'l> {
    entries: Entries<'l>,
    pattern: Option<&'l [u8]>,
    is_file: bool,
}

/// What `name` means to LIST: what is in a directory, a file, or the entries that a pattern means.
fn find<'l>(store: &'l mut dyn Store, cwd: &Path, name: &'l [u8]) -> Result<List<'l>, Error> {
    if let Some((dir, pattern)) = split_pattern(name) {
        if pattern.len() > glob::LONGEST {
            return Err(Error::refused(501, "The pattern is too long."));
        }
        return Ok(List {
            entries: store.list(&cwd.resolve(dir))?,
            pattern: Some(pattern),
            is_file: false,
        });
    }
    let path = cwd.resolve(name);
    let may_be_file = !name.is_empty() && !path.is_root() && path != *cwd;
    match may_be_file.then(|| store.enter(&path)) {
        Some(Err(store::Error::NotFound | store::Error::NotADir)) => {
            let entry = store.stat(&path)?;
            match entry.kind {
                Kind::File => Ok(List {
                    entries: Box::new(std::iter::once(Ok(entry))),
                    pattern: None,
                    is_file: true,
                }),
                Kind::Dir => directory(store, &path),
            }
        }
        Some(Err(error)) => Err(error.into()),
        Some(Ok(())) | None => directory(store, &path),
    }
}

fn directory<'l>(store: &'l mut dyn Store, path: &Path) -> Result<List<'l>, Error> {
    match store.list(path) {
        Ok(entries) => Ok(List {
            entries,
            pattern: None,
            is_file: false,
        }),
        Err(store::Error::NotADir) => Err(Error::refused(501, "Not a directory.")),
        Err(error) => Err(error.into()),
    }
}

/// The entries, the first of them asked for already: its error is one of the whole command.
fn begun(
    mut entries: Entries<'_>,
) -> Result<impl Iterator<Item = Result<store::Entry, store::Error>>, Error> {
    match entries.next() {
        Some(Err(error)) if !matches!(error, store::Error::Cut(_)) => Err(error.into()),
        first => Ok(first.into_iter().chain(entries)),
    }
}

/// What stands before each name of an NLST, so that the client can use it as it is: the directory
/// as the client gave it, unless it is the current one.
fn prefix(cwd: &Path, name: &[u8], list: &List<'_>) -> Vec<u8> {
    let dir = if list.is_file || list.pattern.is_some() {
        let end = name.iter().rposition(|&byte| byte == b'/');
        end.and_then(|end| name.get(..=end)).unwrap_or_default()
    } else {
        name
    };
    if cwd.resolve(dir) == *cwd {
        return Vec::new();
    }
    let mut prefix = dir.to_vec();
    if !prefix.ends_with(b"/") {
        prefix.push(b'/');
    }
    prefix
}

/// The argument without options.
fn path_argument(argument: &[u8]) -> Result<&[u8], Error> {
    without_options(argument)
        .ok_or_else(|| Error::refused(504, "Directories are listed one at a time, without -R."))
}

fn long(session: &Session<'_>) -> Long {
    Long::new(session.settings.zone.clone(), Timestamp::now().as_second())
}

/// The text of a listing's last reply: a listing that was cut says so, in whatever reply.
fn last_words(session: &Session<'_>, poured: &Poured, whole: &str) -> String {
    if poured.hidden > 0 {
        let tag = session.tag();
        warn!("names-hidden {tag} count={}", poured.hidden);
    }
    match poured.cut {
        Some(limit) => format!("Listing cut at {limit} entries; there are more."),
        None => whole.to_owned(),
    }
}
