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

    /// USER: the same answer to every name.
    fn user(&mut self, name: &[u8]) -> Answer {
        self.session.check_login()?;
        self.name = Some(name.to_vec());
        Ok(Step::Say(password_required(name)))
    }

    /// PASS
    fn pass(&mut self, password: &[u8]) -> Answer {
        let Some(user) = self.name.take() else {
            return Err(Error::refused(503, "Login with USER first."));
        };
        let password = Password::from(password.to_vec());
        let tag = self.session.tag();
        match self.session.host.log_in(&user, &password) {
            Ok(store) => {
                info!("login {tag} user={}", text::quoted(&user));
                let text = [b"User ", user.as_slice(), b" logged in."].concat();
                Ok(Step::Enter(Reply::new(230, text), Account { user, store }))
            }
            Err(Refusal::WrongLogin) => {
                info!("login-failed {tag} user={}", text::quoted(&user));
                say(530, "Not logged in. (authentication failed)")
            }
            Err(Refusal::NoMoreLogins(text)) => {
                info!("login-failed {tag} user={}", text::quoted(&user));
                Ok(Step::Leave(Reply::new(421, text)))
            }
            Err(Refusal::NotNow(text)) => Ok(Step::Leave(Reply::new(421, text))),
            Err(Refusal::Unavailable(cause)) => {
                let (cause, user) = (text::quoted(cause.as_bytes()), text::quoted(&user));
                error!("login-unavailable {tag} cause={cause} user={user}");
                let text = "Storage is not available now, try again later.";
                Ok(Step::Leave(Reply::new(421, text)))
            }
            Err(Refusal::Interrupted) => Err(Error::Interrupted),
        }
    }
}

/// The answer to USER.
pub(super) fn password_required(name: &[u8]) -> Reply {
    Reply::new(331, [b"Password required for ", name, b"."].concat())
}
