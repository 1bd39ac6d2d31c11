//! Who has not logged in: may say who it is, and little else. A verb of members is 530 here because
//! it is in another table.

use std::time::Instant;

use log::{error, info};

use super::error::Error;
use super::member::Member;
use super::reply::Reply;
use super::seat::{Seat, unknown, was_idle};
use super::session::Session;
use super::verb::{Answer, Arg, Step, Verb, find, say};
use super::{Account, Refusal};
use crate::auth::Password;
use crate::store::Store;
use crate::text;

/// A client before its login.
pub(super) struct Visitor<'a> {
    pub(super) session: Session<'a>,
    name: Option<Vec<u8>>,
    arrived: Instant,
}

impl<'a> Seat<'a> for Visitor<'a> {
    const OWN: &'a [Verb<Self>] = &[
        Verb::new("PASS", Arg::Optional, "password ends the login", Self::pass).secret(),
        Verb::new("USER", Arg::Needed, "name begins the login", Self::user),
    ];

    fn session(&mut self) -> &mut Session<'a> {
        &mut self.session
    }

    /// The shorter of idle_time and what is left of login_time.
    fn deadline(&mut self) -> (Option<Instant>, Reply) {
        let idle = self.session.idle;
        let allowed = self.session.settings.nanoftpd.login_time;
        let idle_end = Instant::now().checked_add(idle);
        match (self.arrived.checked_add(allowed), idle_end) {
            (Some(login_end), Some(idle_end)) if login_end >= idle_end => {
                (Some(idle_end), was_idle(idle))
            }
            (None, _) => (idle_end, was_idle(idle)),
            (login_end, _) => {
                let seconds = allowed.as_secs_f64();
                let text = format!("Not logged in within {seconds} seconds.");
                (login_end, Reply::new(421, text))
            }
        }
    }

    fn unknown(verb: &str) -> Reply {
        if find(Member::OWN, verb).is_some() {
            Reply::new(530, "Not logged in.")
        } else {
            unknown(verb)
        }
    }
}

impl<'a> Visitor<'a> {
    /// Somebody new, who may have said a name already.
    pub(super) fn new(session: Session<'a>, name: Option<Vec<u8>>) -> Self {
        Self {
            session,
            name,
            arrived: Instant::now(),
        }
    }

    /// Nobody in particular again, or somebody else; the time for the login runs on.
    pub(super) fn is_now(&mut self, name: Option<Vec<u8>>) {
        self.name = name;
    }

    /// USER: the same answer to every name, unless the client has shown that it is its own.
    fn user(&mut self, name: &[u8]) -> Answer {
        self.session.check_login()?;
        if let Some(answer) = self.recognized(name, 232) {
            return answer;
        }
        self.name = Some(name.to_vec());
        Ok(Step::Say(password_required(name)))
    }

    /// PASS
    fn pass(&mut self, password: &[u8]) -> Answer {
        let Some(user) = self.name.take() else {
            return Err(Error::refused(503, "Login with USER first."));
        };
        // A member who said USER has been asked for it.
        if let Some(answer) = self.recognized(&user, 230) {
            return answer;
        }
        let password = Password::from(password.to_vec());
        match self.session.host.log_in(&user, &password) {
            Ok(store) => Ok(self.entered(&user, store, 230, "")),
            Err(refusal) => self.refused(&user, refusal),
        }
    }

    /// Whom the certificate vouches for needs no password (RFC 2228 §4: 232).
    fn recognized(&mut self, user: &[u8], code: u16) -> Option<Answer> {
        if !self.session.is_vouched_for(user) {
            return None;
        }
        match self.session.host.recognize(user) {
            Ok(None) => None,
            Ok(Some(store)) => Some(Ok(self.entered(user, store, code, " by=certificate"))),
            Err(refusal) => Some(self.refused(user, refusal)),
        }
    }

    fn entered(&self, user: &[u8], store: Box<dyn Store>, code: u16, by: &str) -> Step {
        info!(
            "login {}{by} user={}",
            self.session.tag(),
            text::quoted(user)
        );
        let text = [b"User ", user, b" logged in."].concat();
        let user = user.to_vec();
        Step::Enter(Reply::new(code, text), Account { user, store })
    }

    fn refused(&self, user: &[u8], refusal: Refusal) -> Answer {
        let (tag, user) = (self.session.tag(), text::quoted(user));
        match refusal {
            Refusal::WrongLogin => {
                info!("login-failed {tag} user={user}");
                say(530, "Not logged in. (authentication failed)")
            }
            Refusal::NoMoreLogins(text) => {
                info!("login-failed {tag} user={user}");
                Ok(Step::Leave(Reply::new(421, text)))
            }
            // Who guesses and does not wait for the answer is to be seen all the same.
            Refusal::WrongUnheard => {
                info!("login-failed {tag} user={user}");
                Err(Error::Interrupted)
            }
            Refusal::NotNow(text) => Ok(Step::Leave(Reply::new(421, text))),
            Refusal::Unavailable(cause) => {
                let cause = text::quoted(cause.as_bytes());
                error!("login-unavailable {tag} cause={cause} user={user}");
                let text = "Storage is not available now, try again later.";
                Ok(Step::Leave(Reply::new(421, text)))
            }
            Refusal::Interrupted => Err(Error::Interrupted),
        }
    }
}

/// The answer to USER.
pub(super) fn password_required(name: &[u8]) -> Reply {
    Reply::new(331, [b"Password required for ", name, b"."].concat())
}
