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
use crate::ftp::listing::{Blocks, Form, Outcome, is_meant, split_pattern, without_options};
use crate::ftp::progress::Progress;
use crate::ftp::reply::Reply;
use crate::ftp::session::Session;
use crate::ftp::verb::{Answer, Step, say};
use crate::path::Path;
use crate::store::{self, Entries, Entry, Kind, Store, Wish};

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
        let facts = self.session.facts;
        let entry = detailed(self.store.as_mut(), &path, !facts.want_details())?;
        let mut line = Vec::new();
        facts.put(&entry, self.store.abilities(), &mut line);
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
        let list = find(self.store.as_mut(), &self.cwd, name, false)?;
        let code = if list.is_file { 213 } else { 212 };
        let send = |bytes: &[u8]| {
            let sent = self.session.control.borrow_mut().send_bytes(bytes);
            sent.map_err(Error::Gone)
        };
        let mut blocks = Blocks::new(list.entries, form, false);
        let first = blocks.next()?;
        send(format!("{code}-Status follows:\r\n").as_bytes())?;
        match send(first).and_then(|()| send_rest(&mut blocks, send)) {
            Ok(()) => say(
                code,
                last_words(&self.session, blocks.outcome(), "End of status."),
            ),
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
        (self.restart, self.until, self.allocated) = (None, None, None);
        self.choose_route()?;
        let Self {
            session,
            store,
            cwd,
            chosen,
            ..
        } = self;
        let progress = Rc::new(Progress::new(verb, name));
        let watch = session.watch(&progress)?;
        let (can, is_at_hand) = (store.abilities(), store.lists_at_once());
        let names_only = match verb {
            "MLSD" => !session.facts.want_details(),
            verb => verb == "NLST",
        };
        let list = match verb {
            "MLSD" => directory(store.as_mut(), &cwd.resolve(name), names_only)?,
            _ => find(store.as_mut(), cwd, name, names_only)?,
        };
        let form = match verb {
            "MLSD" => Form::Facts(session.facts, can),
            "NLST" => Form::Names(prefix(cwd, name, &list)),
            _ => Form::Long(long(session)),
        };
        let mut blocks = Blocks::new(list.entries, form, is_at_hand);
        blocks.next()?;
        let opening = Reply::new(150, "Opening ASCII mode data connection for file list.");
        let route = chosen.take().ok_or_else(super::routes::no_route)?;
        let is_at_once = blocks.is_over() && session.sends_freely();
        let mut link = session.begin_transfer(&opening, route, &progress, is_at_once)?;
        let sent = match is_at_once {
            true => link.send_last(blocks.lines())?,
            false => 0,
        };
        let mut send = |lines: &[u8]| link.write_all(lines).map_err(|error| Error::data(&error));
        send(blocks.lines().get(sent..).unwrap_or_default())?;
        send_rest(&mut blocks, send)?;
        link.finish().map_err(|error| Error::data(&error))?;
        drop(watch);
        say(
            226,
            last_words(session, blocks.outcome(), "Transfer complete."),
        )
    }
}

/// Sends all blocks that there are still.
fn send_rest(
    blocks: &mut Blocks<'_>,
    mut send: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    loop {
        match blocks.next()? {
            [] => return Ok(()),
            lines => send(lines)?,
        }
    }
}

/// What is to be listed.
struct List<'l> {
    entries: Entries<'l>,
    /// Whether the last part of the client's name is no directory, but names entries of one.
    is_part: bool,
    is_file: bool,
}

/// What `name` means to LIST: what is in a directory, a file, the entries that a pattern means, or,
/// where the store searches, those that begin so.
fn find<'l>(
    store: &'l mut dyn Store,
    cwd: &Path,
    name: &[u8],
    names_only: bool,
) -> Result<List<'l>, Error> {
    let path = cwd.resolve(name);
    if name.is_empty() || path.is_root() || path == *cwd {
        return directory(store, &path, names_only);
    }
    let pattern = split_pattern(name);
    if pattern.is_some_and(|(_, pattern)| pattern.len() > glob::LONGEST) {
        return Err(Error::refused(501, "The pattern is too long."));
    }
    match (store.enter(&path), pattern) {
        (Ok(()), _) => directory(store, &path, names_only),
        (Err(store::Error::NotFound | store::Error::NotADir), Some((dir, pattern))) => {
            let (dir, pattern) = (cwd.resolve(dir), pattern.to_vec());
            let beginning = glob::beginning(&pattern).to_vec();
            let wish = Wish {
                beginning,
                meant: Some(Box::new(move |name: &[u8]| is_meant(&pattern, name))),
                names_only,
            };
            part(store.list(&dir, wish)?)
        }
        (Err(store::Error::NotFound | store::Error::NotADir), None) if store.searches() => {
            let wish = Wish {
                beginning: path.name().to_vec(),
                meant: None,
                names_only,
            };
            let mut entries = store.list(&path.parent(), wish)?;
            match entries.next() {
                Some(first) => part(Box::new(std::iter::once(first).chain(entries))),
                None => Err(store::Error::NotFound.into()),
            }
        }
        (Err(store::Error::NotFound | store::Error::NotADir), None) => {
            let entry = detailed(store, &path, names_only)?;
            if entry.kind == Kind::Dir {
                return directory(store, &path, names_only);
            }
            Ok(List {
                entries: Box::new(std::iter::once(Ok(entry))),
                is_part: true,
                is_file: true,
            })
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn part(entries: Entries<'_>) -> Result<List<'_>, Error> {
    Ok(List {
        entries,
        is_part: true,
        is_file: false,
    })
}

fn directory<'l>(
    store: &'l mut dyn Store,
    path: &Path,
    names_only: bool,
) -> Result<List<'l>, Error> {
    let wish = Wish {
        names_only,
        ..Wish::default()
    };
    match store.list(path, wish) {
        Ok(entries) => Ok(List {
            entries,
            is_part: false,
            is_file: false,
        }),
        Err(store::Error::NotADir) => Err(Error::refused(501, "Not a directory.")),
        Err(error) => Err(error.into()),
    }
}

/// The one entry at `path`, with its time if that can be found out.
fn detailed(store: &mut dyn Store, path: &Path, names_only: bool) -> Result<Entry, Error> {
    let mut entry = store.stat(path)?;
    if entry.kind == Kind::File && entry.modified.is_none() && !names_only {
        match store.modified(path) {
            Err(store::Error::Interrupted) => return Err(Error::Interrupted),
            found => entry.modified = found.ok().flatten(),
        }
    }
    Ok(entry)
}

/// What stands before each name of an NLST, so that the client can use it as it is: the directory
/// as the client gave it, unless it is the current one.
fn prefix(cwd: &Path, name: &[u8], list: &List<'_>) -> Vec<u8> {
    let dir = if list.is_part {
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
fn last_words(session: &Session<'_>, outcome: Outcome, whole: &str) -> String {
    if outcome.hidden > 0 {
        let tag = session.tag();
        warn!("names-hidden {tag} count={}", outcome.hidden);
    }
    match outcome.cut {
        Some(limit) => format!("Listing cut at {limit} entries; there are more."),
        None => whole.to_owned(),
    }
}
