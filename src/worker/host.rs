//! The process as its session sees it: logins, titles, reports.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::bond::Bond;
use crate::auth::{Account, Password, Trouble};
use crate::ftp::{Direction, Doing, Host, Refusal, Traffic, Transfer};
use crate::leash::{FromWorker, Upload, Word};
use crate::logger;
use crate::store::Store;
use crate::sys::title;
use crate::text::{bare, quoted};
use crate::vigil::{self, Verdict, Watch};

/// What may take long: the master hears of each, and of its end, however fast they follow.
const LONG: [&str; 7] = ["RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"];

/// One session's host.
pub(super) struct Session {
    bond: Rc<Bond>,
    peer: IpAddr,
    /// Names it in the log.
    name: String,
    account: Option<Account>,
    /// Of the master's words.
    watch: Watch,
    pace: Pace,
    /// Failed logins that are allowed, 0: any number; and those that there were.
    attempts: usize,
    failures: usize,
    /// The last command was a long one.
    was_long: bool,
}

impl Session {
    pub(super) fn new(
        bond: Rc<Bond>,
        peer: IpAddr,
        watch: Watch,
        attempts: usize,
        name: &str,
    ) -> Self {
        bond.begin();
        let session = Self {
            bond,
            peer: peer.to_canonical(),
            name: name.to_owned(),
            account: None,
            watch,
            pace: Pace::new(Instant::now()),
            attempts,
            failures: 0,
            was_long: false,
        };
        session.show("connected", b"");
        session
    }

    /// The login was wrong: the answer waits, and may be the last one.
    fn failed(&mut self) -> Refusal {
        self.failures = self.failures.saturating_add(1);
        let end = match self.bond.failed() {
            Ok(Word::Stay(delay)) => vigil::pause(delay).map(|()| None),
            Ok(Word::Go(delay, text)) => vigil::pause(delay).map(|()| Some(text)),
            // Whoever cannot be counted is not held up.
            Err(Trouble::Unavailable(_)) => Ok(None),
            Err(Trouble::Interrupted) => return Refusal::Interrupted,
        };
        match end {
            Err(_) => Refusal::Interrupted,
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
        let path = quoted(transfer.path.as_bytes()).to_string();
        let told = match upload.fits() {
            true => self.bond.tell(&FromWorker::Uploaded(Box::new(upload))),
            false => Err(io::ErrorKind::InvalidInput.into()),
        };
        if let Err(why) = told {
            let (peer, session) = (self.peer, &self.name);
            log::warn!("hook-dropped peer={peer} session={session} why=\"{why}\" path={path}");
        }
    }

    /// `USER@PEER: VERB argument`, in one line that nothing from outside can break.
    fn show(&self, verb: &str, argument: &[u8]) {
        let account = self.account.as_ref();
        let user = account.map(|account| format!("{}@", bare(&account.name)));
        let user = user.unwrap_or_default();
        let blank = if argument.is_empty() { "" } else { " " };
        let (peer, argument) = (self.peer, bare(argument));
        title::set(&format!(
            "nanoftpd [worker] {user}{peer}: {verb}{blank}{argument}"
        ));
    }
}

impl Host for Session {
    fn log_in(&mut self, user: &[u8], password: &Password) -> Result<Box<dyn Store>, Refusal> {
        let members = self.bond.members();
        let admitted = members.auth().admit(user, password, &*self.bond);
        let account = admitted.map_err(|trouble| match trouble {
            Trouble::Unavailable(cause) => Refusal::Unavailable(cause),
            Trouble::Interrupted => Refusal::Interrupted,
        })?;
        let Some(account) = account else {
            return Err(self.failed());
        };
        let store = members.open(&account)?;
        let word = self.bond.enter(&account.name, account.module.name());
        match word {
            Ok(Word::Stay(_)) => {}
            Ok(Word::Go(_, text)) => return Err(Refusal::NotNow(text)),
            Err(Trouble::Unavailable(cause)) => return Err(Refusal::Unavailable(cause)),
            Err(Trouble::Interrupted) => return Err(Refusal::Interrupted),
        }
        self.account = Some(account);
        Ok(store)
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
        if what != Doing::Idle {
            // A session that always has something to do never waits; it hears the master all the
            // same.
            self.watch.set(self.bond.hear());
        } else if must_leave {
            self.watch.set(Verdict::Leave);
        }
        self.show(if verb.is_empty() { "IDLE" } else { verb }, argument);
        let is_long = LONG.contains(&verb);
        let is_news = is_long || self.was_long;
        self.was_long = is_long;
        self.bond.begin_command();
        // Of a visitor the master only wants to know that there is one.
        if self.account.is_some() && (self.pace.may_go(Instant::now()) || is_news) {
            self.bond.mention(&FromWorker::Doing {
                verb: verb.to_owned(),
                argument: argument.to_vec(),
            });
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
        self.bond.mention(&FromWorker::Transferred {
            is_upload: transfer.direction == Direction::Up,
            is_complete: transfer.complete,
            bytes: transfer.bytes,
        });
        if self.bond.has_hooks && transfer.direction == Direction::Up {
            self.tell_of_upload(transfer);
        }
        logger::transferred(&logger::Transfer {
            direction: match transfer.direction {
                Direction::Down => logger::Direction::Down,
                Direction::Up => logger::Direction::Up,
            },
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

/// How often the master is told of what is soon over: once a second in the long run, a few times in
/// a row.
#[derive(Debug)]
struct Pace {
    saved: u32,
    last: Instant,
}

impl Pace {
    const MOST: u32 = 8;

    fn new(now: Instant) -> Self {
        Self {
            saved: Self::MOST,
            last: now,
        }
    }

    fn may_go(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.last).as_secs();
        if seconds > 0 {
            let earned = u32::try_from(seconds).unwrap_or(Self::MOST);
            self.saved = self.saved.saturating_add(earned).min(Self::MOST);
            self.last = self
                .last
                .checked_add(Duration::from_secs(seconds))
                .unwrap_or(now);
        }
        let may_go = self.saved > 0;
        self.saved = self.saved.saturating_sub(1);
        may_go
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_once_a_second_in_the_long_run() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut sent = |millis| {
            let now = start + Duration::from_millis(millis);
            (0..20).filter(|_| pace.may_go(now)).count()
        };
        assert_eq!(sent(0), 8);
        assert_eq!(sent(900), 0);
        assert_eq!(sent(1900), 1);
        assert_eq!(sent(2000), 1);
        assert_eq!(sent(100_000), 8);
    }
}
