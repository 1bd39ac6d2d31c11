//! What a worker asks its master, and waits for: whether a client may come in and stay, who a user is,
//! and what only the master can do.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::Bond;
use crate::auth::{Authority, Password, Trouble};
use crate::board::LONGEST_TURN;
use crate::config;
use crate::leash::{FromWorker, Word};
use crate::vigil;

/// How long the master may take to answer: it has the users in memory, or reads one file. For a
/// program it is so much more than that may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same where there is another way.
const CALL_PATIENCE: Duration = Duration::from_secs(2);

/// What the configuration limits.
pub(super) struct Limited {
    addresses: bool,
    users: bool,
}

impl Limited {
    pub(super) fn by(limits: &config::Limits) -> Self {
        Self {
            addresses: limits.max_per_ip > 0 || !limits.ban_time.is_zero(),
            users: limits.max_per_user > 0,
        }
    }
}

impl Bond {
    /// Asks the master what has to have the number that it gets, and waits for the answer.
    pub(in crate::worker) fn ask(
        &self,
        question: impl FnOnce(u32) -> FromWorker,
        patience: Duration,
    ) -> Result<Vec<u8>, Trouble> {
        let unavailable = |why: &str| Trouble::Unavailable(format!("the master {why}"));
        let number = self.asked.get().wrapping_add(1);
        self.asked.set(number);
        self.answer.replace(None);
        self.handed.replace(None);
        self.tell(&question(number))
            .map_err(|error| unavailable(&error.to_string()))?;
        let deadline = Instant::now() + patience;
        // The answer is taken by the bystander.
        let is_over = || self.answer.borrow().is_some() || self.is_orphan.get();
        vigil::wait_for(is_over, Some(deadline)).map_err(|error| {
            if vigil::was_interrupted(&error) {
                Trouble::Interrupted
            } else {
                unavailable("does not answer")
            }
        })?;
        self.answer.take().ok_or_else(|| unavailable("is gone"))
    }

    /// Tells the master of a new client; whether it may stay is asked only where it may not.
    pub(in crate::worker) fn admit(&self, peer: SocketAddr) -> Result<Word, Trouble> {
        if self.limited.addresses || self.is_shut.get() {
            return self.ask_word(|number| FromWorker::Admit { number, peer });
        }
        let told = self.tell(&FromWorker::Taken { peer });
        told.map_err(|error| Trouble::Unavailable(error.to_string()))?;
        Ok(Word::Stay(Duration::ZERO))
    }

    /// Tells the master who the client is; whether it may stay is asked only where it may not.
    pub(in crate::worker) fn enter(&self, user: &[u8], module: &str) -> Result<Word, Trouble> {
        let (user, module) = (user.to_vec(), module.to_owned());
        if self.limited.users || self.is_shut.get() {
            return self.ask_word(|number| FromWorker::Enter {
                number,
                user,
                module,
            });
        }
        self.mention(&FromWorker::Entered { user, module });
        Ok(Word::Stay(Duration::ZERO))
    }

    /// Has the master begin a connection to a port of the client, from the port for data; `None`
    /// where it cannot. A wait that was ended is ended again where the other way is tried.
    pub(in crate::worker) fn call(&self, local: SocketAddr, port: u16) -> Option<TcpStream> {
        let port = port.into();
        let question = |number| FromWorker::Call {
            number,
            local,
            port,
        };
        self.ask(question, CALL_PATIENCE).ok()?;
        self.handed.take().map(TcpStream::from)
    }

    /// Returns when the others have been told what was told before, and what they told is known here.
    /// A master that does not answer, or a wait that is ended, is no hindrance: whoever asks goes on
    /// with what is known.
    pub(in crate::worker) fn agree(&self) {
        let _ = self.ask(|number| FromWorker::Fence { number }, CALL_PATIENCE);
    }

    /// Tells the master that the client is about to go, where it may come again only because it has gone;
    /// returns when the master knows.
    pub(in crate::worker) fn part(&self) {
        if self.limited.addresses || self.limited.users {
            self.mention(&FromWorker::Parting);
            self.agree();
        }
    }

    /// Tells the master of a wrong login, and asks what follows.
    pub(in crate::worker) fn failed(&self) -> Result<Word, Trouble> {
        self.ask_word(|number| FromWorker::Failed { number })
    }

    fn ask_word(&self, question: impl FnOnce(u32) -> FromWorker) -> Result<Word, Trouble> {
        let answer = self.ask(question, PATIENCE)?;
        Word::decode(&answer).map_err(|error| Trouble::Unavailable(error.to_string()))
    }
}

impl Authority for Bond {
    fn record(&self, user: &[u8]) -> Result<Vec<u8>, Trouble> {
        let user = user.to_vec();
        let patience = PATIENCE.saturating_add(LONGEST_TURN);
        self.ask(|number| FromWorker::Account { number, user }, patience)
    }

    fn verdict(&self, user: &[u8], password: &Password) -> Result<Vec<u8>, Trouble> {
        let user = user.to_vec();
        let password = password.as_bytes().to_vec().into();
        let question = |number| FromWorker::Login {
            number,
            user,
            password,
        };
        let patience = PATIENCE.saturating_add(LONGEST_TURN);
        self.ask(question, self.program.saturating_add(patience))
    }
}
