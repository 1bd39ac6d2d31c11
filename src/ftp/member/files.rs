//! Files down and up: RETR, STOR, STOU, APPE, and what prepares them. The 226 comes when the other side
//! has it all, the client or the store, and never otherwise.

use std::rc::Rc;

use log::info;

use super::Member;
use crate::config::Allo;
use crate::ftp::error::Error;
use crate::ftp::progress::Progress;
use crate::ftp::reply::Reply;
use crate::ftp::source::Source;
use crate::ftp::transfer;
use crate::ftp::verb::{Answer, say};
use crate::ftp::{Direction, Transfer, address};
use crate::logger;
use crate::path::Path;
use crate::store::{self, At, Plan, Receipt};
use crate::text;

/// How many names STOU tries; each is taken with a probability of next to nothing.
const UNIQUE_TRIES: u32 = 8;

/// What the 150 of an upload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    /// How the bytes are represented.
    Mode,
    /// What the file is called.
    Name,
}

/// What the 226 of an upload says: all that is known, and nothing that is hoped for.
fn stored(receipt: &Receipt) -> String {
    let mut text = format!("Stored {} bytes", receipt.bytes);
    if let Some(fid) = receipt.fid {
        text.push_str(&format!(", fid {fid}"));
    }
    match receipt.replicas {
        None => {}
        Some((1, true)) => text.push_str(", 1 replica"),
        Some((count, true)) => text.push_str(&format!(", {count} replicas")),
        Some((1, false)) => text.push_str(", 1 replica so far"),
        Some((count, false)) => text.push_str(&format!(", {count} replicas so far")),
    }
    text.push('.');
    text
}

impl Member<'_> {
    /// RETR
    pub(super) fn retr(&mut self, name: &[u8]) -> Answer {
        let offset = self.restart.take().unwrap_or(0);
        let until = self.until.take();
        self.allocated = None;
        self.choose_route()?;
        let path = self.resolve(name);
        let progress = Rc::new(Progress::new("RETR", name));
        let watch = self.session.watch(&progress)?;
        let body = self.store.open(&path, offset).map_err(Error::of_reading)?;
        let body = match until {
            Some(until) => body.first(until.saturating_sub(offset)),
            None => body,
        };
        let route = self.take_route()?;
        progress.expect(body.len());
        let opening = format!("Opening {} mode data connection for ", self.mode_name());
        let size = format!(" ({} bytes).", body.len());
        let text = [opening.as_bytes(), name, size.as_bytes()].concat();
        let opening = Reply::new(150, text);
        let is_short = transfer::is_short(&body) && !self.is_ascii();
        let is_at_once = is_short && self.session.sends_freely();
        let link = self
            .session
            .begin_transfer(&opening, route, &progress, is_at_once);
        let sent = link.and_then(|link| transfer::send(body, link, self.is_ascii()));
        drop(watch);
        self.conclude(Direction::Down, &path, &progress, sent.map(|()| None))
    }

    /// STOR
    pub(super) fn stor(&mut self, name: &[u8]) -> Answer {
        if self.until.take().is_some() {
            self.restart = None;
            return Err(Error::refused(504, "RANG is for downloads only."));
        }
        let at = match self.restart.take() {
            None | Some(0) => At::Start,
            Some(offset) => At::Offset(offset),
        };
        self.upload("STOR", name, at, Opening::Mode)
    }

    /// STOU (RFC 959 §4.1.3): STOR under a name that nothing has, made of the one given, if any.
    pub(super) fn stou(&mut self, name: &[u8]) -> Answer {
        (self.restart, self.until) = (None, None);
        for _ in 0..UNIQUE_TRIES {
            let random = getrandom::u64()
                .map_err(|error| Error::failed(451, "No resources", error.to_string()))?;
            let unique = match name {
                b"" => format!("stou.{random:016x}").into_bytes(),
                name => [name, format!(".{random:016x}").as_bytes()].concat(),
            };
            match self.store.stat(&self.resolve_new(&unique)?) {
                Err(store::Error::NotFound | store::Error::NotADir) => {
                    return self.upload("STOU", &unique, At::Start, Opening::Name);
                }
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
        }
        Err(Error::refused(450, "No unique name was found."))
    }

    /// APPE
    pub(super) fn appe(&mut self, name: &[u8]) -> Answer {
        (self.restart, self.until) = (None, None);
        self.upload("APPE", name, At::End, Opening::Mode)
    }

    fn upload(&mut self, verb: &'static str, name: &[u8], at: At, opening: Opening) -> Answer {
        // Line ends count on the wire, and are others in the store; and of a part it is not known
        // whether the part is meant or the whole.
        let is_whole = !self.is_ascii() && at == At::Start;
        let binds = is_whole && self.session.settings.limits.allo == Allo::Bind;
        let plan = Plan {
            at,
            size: self.allocated.take().filter(|_| binds),
        };
        self.choose_route()?;
        let path = self.resolve_new(name)?;
        let last = name.rsplit(|&byte| byte == b'/').next();
        if matches!(last, Some(b"" | b"." | b"..")) {
            return Err(Error::refused(553, "The name is that of a directory."));
        }
        let progress = Rc::new(Progress::new(verb, name));
        let watch = self.session.watch(&progress)?;
        self.store
            .may_put(&path, &plan)
            .map_err(Error::of_new_name)?;
        let route = self.take_route()?;
        let mode = self.mode_name();
        let text = match opening {
            Opening::Mode => {
                format!("File status okay; opening {mode} mode data connection.").into_bytes()
            }
            // In these words, so that clients can read it (RFC 1123 §4.1.2.9).
            Opening::Name => [b"FILE: ", name].concat(),
        };
        self.session.say(&Reply::new(150, text))?;
        let stored = match self.session.connect(route, &progress) {
            Err(error) => Err(error),
            Ok(mut link) => {
                let ascii = self.is_ascii();
                let least = plan.size.unwrap_or(0);
                let mut source = Source::new(&mut link, &self.session.control, ascii, least);
                let stored = self.store.put(&path, &mut source, &plan);
                match &stored {
                    Ok(_) | Err(store::Error::Source(_) | store::Error::Interrupted) => link.part(),
                    // The client does not know yet.
                    Err(_) => self.spent = Some(link),
                }
                stored.map_err(Error::of_new_name)
            }
        };
        drop(watch);
        self.conclude(Direction::Up, &path, &progress, stored.map(Some))
    }

    /// REST (RFC 3659 §5)
    pub(super) fn rest(&mut self, offset: &[u8]) -> Answer {
        (self.restart, self.until) = (None, None);
        let Some(offset) = address::decimal::<u64>(offset.trim_ascii()) else {
            return Err(Error::refused(501, "REST takes a number of bytes."));
        };
        self.restart = Some(offset);
        say(350, format!("Restarting at {offset}."))
    }

    /// RANG (draft-bryan-ftp-range): the numbers of the first byte and the last; 1 and 0: all bytes.
    pub(super) fn rang(&mut self, range: &[u8]) -> Answer {
        (self.restart, self.until) = (None, None);
        let mut numbers = range
            .trim_ascii()
            .split(|&byte| byte == b' ')
            .map(address::decimal::<u64>);
        let three = (numbers.next(), numbers.next(), numbers.next());
        let (Some(Some(first)), Some(Some(last)), None) = three else {
            return Err(Error::refused(501, "RANG takes two numbers."));
        };
        if (first, last) == (1, 0) {
            return say(350, "The next transfer is whole.");
        }
        if first > last {
            return Err(Error::refused(501, "The last byte comes before the first."));
        }
        (self.restart, self.until) = (Some(first), Some(last.saturating_add(1)));
        say(
            350,
            format!("The next download is bytes {first} to {last}."),
        )
    }

    /// ALLO (RFC 959 §4.1.3): a second number, the size of records, means nothing here.
    pub(super) fn allo(&mut self, argument: &[u8]) -> Answer {
        self.allocated = None;
        let first = argument.trim_ascii().split(|&byte| byte == b' ').next();
        let Some(bytes) = first.and_then(address::decimal::<u64>) else {
            return Err(Error::refused(501, "ALLO takes a number of bytes."));
        };
        self.allocated = Some(bytes);
        say(200, "ALLO command successful.")
    }

    /// AVBL (draft-peterson-streamlined-ftp-command-extensions): the same in every directory.
    pub(super) fn avbl(&mut self, _: &[u8]) -> Answer {
        let room = self.store.room()?;
        say(213, room.to_string())
    }

    /// ABOR, when its turn has come: a transfer that it has ended is over.
    pub(super) fn abor(&mut self, _: &[u8]) -> Answer {
        self.route = None;
        say(226, "ABOR command successful.")
    }

    /// The last reply of a transfer, its line in the log, and the report to the process.
    fn conclude(
        &mut self,
        direction: Direction,
        path: &Path,
        progress: &Progress,
        ended: Result<Option<Receipt>, Error>,
    ) -> Answer {
        let transfer = Transfer {
            direction,
            user: &self.user,
            peer: self.session.peer.ip(),
            path,
            bytes: progress.moved(),
            took: progress.begun().elapsed(),
            ascii: self.is_ascii(),
            complete: ended.is_ok(),
            receipt: ended.as_ref().ok().copied().flatten(),
            spot: match direction {
                Direction::Up => self.store.spot(path),
                Direction::Down => None,
            },
        };
        let why = match &ended {
            Ok(_) => String::new(),
            Err(error) => format!(" why={}", self.why(error)),
        };
        let event = match (direction, ended.is_ok()) {
            (Direction::Down, true) => "retr-ok",
            (Direction::Down, false) => "retr-failed",
            (Direction::Up, true) => "stor-ok",
            (Direction::Up, false) => "stor-failed",
        };
        let mut fid = String::new();
        if let Some(receipt) = transfer.receipt
            && let Some(number) = receipt.fid
        {
            // Without being asked a store knows of the one that it has made.
            let replicas = receipt.replicas.map_or(1, |(count, _)| count);
            fid = format!(" fid={number} replicas={replicas}");
        }
        info!(
            "{event} {} ref={}{why} bytes={} ms={}{fid} user={} path={}",
            self.session.tag(),
            logger::reference(),
            transfer.bytes,
            transfer.took.as_millis(),
            text::quoted(transfer.user),
            text::quoted(path.as_bytes())
        );
        self.session.host.transferred(&transfer);
        match ended? {
            None => say(226, "Transfer complete."),
            Some(receipt) => say(226, stored(&receipt)),
        }
    }

    /// One word on why a transfer failed.
    fn why(&self, error: &Error) -> String {
        match error {
            Error::Refused(reply) | Error::Failed(reply, _) => reply.code().to_string(),
            Error::Interrupted if self.session.control.borrow().is_aborted() => "abor".to_owned(),
            Error::Interrupted => "interrupted".to_owned(),
            Error::Gone(_) => "gone".to_owned(),
        }
    }
}
