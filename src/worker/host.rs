//! The process as its session sees it: logins, titles, reports.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::rc::Rc;

use super::bond::Bond;
use super::reports::Reports;
use crate::auth::{Account, Password, Trouble};
use crate::ftp::{Direction, Doing, Host, Refusal, Traffic, Transfer};
use crate::leash::{FromWorker, Upload, Word};
use crate::logger;
use crate::store::Store;
use crate::sys::title;
use crate::text::{bare, quoted};
use crate::vigil::{self, Verdict, Watch};

/// What may take long: where it decides how fast others may go the master hears of each at once, and
/// of its end.
const LONG: [&str; 7] = ["RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"];

/// One session's host.
pub(super) struct Session {
    bond: Rc<Bond>,
    peer: IpAddr,
    /// Names it in the log.
    name: String,
    account: Option<Account>,
    /// As it was shown last, and how much of it is who it is.
    title: String,
    name_ends: usize,
    /// Of the master's words.
    watch: Rc<Watch>,
    reports: Reports,
    /// Failed logins that are allowed, 0: any number; and those that there were.
    attempts: usize,
    failures: usize,
    /// The last command was a long one.
    was_long: bool,
    /// Of the vigil, when the last command ended or the present one began.
    rounds: u64,
}

impl Session {
    pub(super) fn new(
        bond: Rc<Bond>,
        peer: IpAddr,
        watch: Rc<Watch>,
        attempts: usize,
        name: &str,
    ) -> Self {
        bond.begin();
        let peer = peer.to_canonical();
        let title = title_of(None, peer);
        let mut session = Self {
            reports: Reports::new(&bond),
            bond,
            peer,
            name: name.to_owned(),
            account: None,
            name_ends: title.len(),
            title,
            watch,
            attempts,
            failures: 0,
            was_long: false,
            rounds: vigil::rounds(),
        };
        session.show("connected", b"");
        session
    }

    /// The session is this account's, unless there is no place for it.
    fn enter(&mut self, account: Account) -> Result<Box<dyn Store>, Refusal> {
        let store = self.bond.members().open(&account)?;
        let word = self.bond.enter(&account.name, account.module.name());
        match word.map_err(refusal)? {
            Word::Stay(_) => {}
            Word::Go(_, text) => return Err(Refusal::NotNow(text)),
        }
        self.title = title_of(Some(&account), self.peer);
        self.name_ends = self.title.len();
        self.account = Some(account);
        Ok(store)
    }

    /// The login was wrong: the answer waits, and may be the last one.
    fn failed(&mut self) -> Refusal {
        self.failures = self.failures.saturating_add(1);
        let end = match self.bond.failed() {
            Ok(Word::Stay(delay)) => vigil::pause(delay).map(|()| None),
            Ok(Word::Go(delay, text)) => vigil::pause(delay).map(|()| Some(text)),
            // Whoever cannot be counted is not held up.
            Err(Trouble::Unavailable(_)) => Ok(None),
            Err(Trouble::Interrupted) => return Refusal::WrongUnheard,
        };
        match end {
            Err(_) => Refusal::WrongUnheard,
            Ok(Some(text)) => Refusal::NoMoreLogins(text),
            Ok(None) if self.attempts > 0 && self.failures >= self.attempts => {
                Refusal::NoMoreLogins("Too many failed logins.".to_owned())
            }
            Ok(None) => Refusal::WrongLogin,
        }
    }

    /// Has the site's program run.
    fn tell_of_upload(&self, transfer: &Transfer<'_>) {
        let (domain, key) = transfer.spot.clone().unwrap_or_default();
        let upload = Upload {
            peer: transfer.peer,
            session: self.name.clone(),
            user: transfer.user.to_vec(),
            path: transfer.path.as_bytes().to_vec(),
            domain,
            key,
            fid: transfer.receipt.and_then(|receipt| receipt.fid),
            size: transfer.bytes,
            is_complete: transfer.complete,
        };
        let told = match upload.fits() {
            true => self.bond.tell(&FromWorker::Uploaded(Box::new(upload))),
            false => Err(io::ErrorKind::InvalidInput.into()),
        };
        if let Err(why) = told {
            let (peer, session) = (self.peer, &self.name);
            let path = quoted(transfer.path.as_bytes());
            log::warn!("hook-dropped peer={peer} session={session} why=\"{why}\" path={path}");
        }
    }

    /// `USER@PEER: VERB argument`, in one line that nothing from outside can break.
    fn show(&mut self, verb: &str, argument: &[u8]) {
        self.title.truncate(self.name_ends);
        self.title.push_str(verb);
        if !argument.is_empty() {
            // To a text that cannot fail.
            let _ = write!(self.title, " {}", bare(argument));
        }
        title::set(&self.title);
    }
}

/// How titles begin: who it is.
fn title_of(account: Option<&Account>, peer: IpAddr) -> String {
    let user = account.map(|account| format!("{}@", bare(&account.name)));
    let user = user.unwrap_or_default();
    format!("nanoftpd [worker] {user}{peer}: ")
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reports.end();
    }
}

impl Host for Session {
    fn log_in(&mut self, user: &[u8], password: &Password) -> Result<Box<dyn Store>, Refusal> {
        let members = self.bond.members();
        let admitted = members.auth().admit(user, password, &*self.bond);
        match admitted.map_err(refusal)? {
            Some(account) => self.enter(account),
            None => Err(self.failed()),
        }
    }

    fn recognize(&mut self, user: &[u8]) -> Result<Option<Box<dyn Store>>, Refusal> {
        let members = self.bond.members();
        let known = members.auth().recognize(user, &*self.bond);
        let account = known.map_err(refusal)?;
        account.map(|account| self.enter(account)).transpose()
    }

    fn log_out(&mut self) {
        if self.account.take().is_some() {
            self.bond.mention(&FromWorker::LoggedOut);
            self.title = title_of(None, self.peer);
            self.name_ends = self.title.len();
        }
    }

    fn part(&mut self) {
        self.bond.part();
    }

    fn numbers(&self) -> (&str, &str) {
        let account = self.account.as_ref();
        account.map_or(("", ""), |account| (&account.uid, &account.gid))
    }

    fn doing(&mut self, what: Doing<'_>) {
        let (verb, argument) = match what {
            Doing::Idle => ("", &b""[..]),
            Doing::Command { verb, argument } => (verb, argument),
        };
        let must_leave = self.bond.rest(what == Doing::Idle);
        // A session that always has something to do never waits; it hears the master all the same.
        let has_waited = vigil::rounds() != self.rounds;
        if what != Doing::Idle && !has_waited {
            self.watch.set(self.bond.hear());
        } else if must_leave {
            self.watch.set(Verdict::Leave);
        }
        self.rounds = vigil::rounds();
        self.show(if verb.is_empty() { "IDLE" } else { verb }, argument);
        let is_long = LONG.contains(&verb);
        let is_news = is_long || self.was_long;
        self.was_long = is_long;
        self.bond.begin_command();
        // Of a visitor the master only wants to know that there is one; and one that quits will be gone
        // when it hears of it.
        if self.account.is_some() && verb != "QUIT" {
            let is_urgent = is_news && self.bond.shares_rates();
            self.reports.doing(verb, argument, is_urgent);
        }
    }

    fn farewell(&self) -> String {
        self.bond.farewell()
    }

    fn traffic(&self) -> Rc<dyn Traffic> {
        Rc::clone(&self.bond) as Rc<dyn Traffic>
    }

    fn call(&self, local: SocketAddr, port: u16) -> Option<TcpStream> {
        self.bond.call(local, port)
    }

    fn transferred(&mut self, transfer: &Transfer<'_>) {
        let is_upload = transfer.direction == Direction::Up;
        self.reports
            .transferred(is_upload, transfer.complete, transfer.bytes);
        if self.bond.has_hooks && is_upload {
            self.tell_of_upload(transfer);
        }
        logger::transferred(&logger::Transfer {
            direction: transfer.direction,
            user: transfer.user,
            peer: transfer.peer,
            session: &self.name,
            path: transfer.path.as_bytes(),
            bytes: transfer.bytes,
            took: transfer.took,
            ascii: transfer.ascii,
            complete: transfer.complete,
        });
    }
}

fn refusal(trouble: Trouble) -> Refusal {
    match trouble {
        Trouble::Unavailable(cause) => Refusal::Unavailable(cause),
        Trouble::Interrupted => Refusal::Interrupted,
    }
}
