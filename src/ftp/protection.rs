//! TLS as the client asks for it: AUTH, PBSZ, PROT (RFC 2228, RFC 4217). The verbs are everybody's;
//! what they leave behind is in the session.

use std::io;
use std::time::Duration;

use log::info;

use super::data::Protection;
use super::error::Error;
use super::reply::Reply;
use super::session::Session;
use super::verb::{Answer, Step, say};
use crate::config::TlsMode;
use crate::text::quoted;
use crate::tls::{self, Client};

/// How far a session is protected.
#[derive(Default)]
pub(super) struct Shield {
    /// Of the control connection, once it is under TLS.
    session: Option<tls::Session>,
    /// Who the client is by its certificate.
    client: Option<Vec<u8>>,
    /// Whether PBSZ was said, which PROT must follow.
    is_sized: bool,
    /// PROT P: data connections go under TLS.
    is_private: bool,
}

impl Session<'_> {
    /// AUTH: the reply is the last thing in the clear.
    pub(super) fn auth(&mut self, mechanism: &[u8]) -> Answer {
        if self.settings.security.is_none() {
            return Err(Error::refused(502, "Command not implemented."));
        }
        if self.shield.session.is_some() {
            return Err(Error::refused(503, "TLS is on already."));
        }
        let mechanism = mechanism.trim_ascii().to_ascii_uppercase();
        match mechanism.as_slice() {
            b"TLS" | b"TLS-C" => self.will_secure(false),
            // What came before RFC 4217 has protected data connections from the start.
            b"SSL" | b"TLS-P" => self.will_secure(true),
            _ => Err(Error::refused(504, "AUTH takes TLS.")),
        }
    }

    fn will_secure(&mut self, is_private: bool) -> Answer {
        self.shield.is_private = is_private;
        let reply = Reply::new(234, "Proceed with the handshake.");
        Ok(Step::Secure(reply))
    }

    /// Takes the control connection under TLS.
    ///
    /// # Errors
    /// The handshake failed, or was not ended within `limit`.
    pub(super) fn secure(&mut self, limit: Duration) -> io::Result<()> {
        let Some(security) = &self.settings.security else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let session = security.identity.session()?;
        let client = self.control.borrow_mut().secure(&session, limit)?;
        self.shield.session = Some(session);
        self.shield.client = None;
        // Somebody in the middle may have chosen it.
        self.forget_settings();
        let who = match client {
            Client::Nobody => String::new(),
            Client::Refused(why) => format!(" certificate=refused why={}", quoted(why.as_bytes())),
            Client::Named(name) => {
                let who = format!(" certificate=ok client={}", quoted(&name));
                self.shield.client = Some(name);
                who
            }
        };
        let version = self.control.borrow();
        let version = version.version().unwrap_or_default();
        info!("secured {} version={version}{who}", self.tag());
        Ok(())
    }

    /// Whether the client's certificate is as good as the password of `user`.
    pub(super) fn is_vouched_for(&self, user: &[u8]) -> bool {
        let rules = self.settings.security.as_ref();
        let may = rules.is_some_and(|security| security.rules.client_login);
        may && self.shield.client.as_deref() == Some(user)
    }

    /// As [`Session::secure`], on a port where TLS comes first; data connections follow suit.
    ///
    /// # Errors
    /// As there, within login_time.
    pub(super) fn secure_first(&mut self) -> io::Result<()> {
        self.shield.is_private = true;
        self.secure(self.settings.nanoftpd.login_time)
    }

    /// PROT and PBSZ are forgotten.
    pub(super) fn unprotect_data(&mut self) {
        let security = self.settings.security.as_ref();
        self.shield.is_sized = false;
        self.shield.is_private = security.is_some_and(|security| security.is_implicit);
    }

    /// PBSZ: TLS needs no buffer size, but the client must say so.
    pub(super) fn pbsz(&mut self, size: &[u8]) -> Answer {
        self.check_secure()?;
        if !size.trim_ascii().iter().all(u8::is_ascii_digit) {
            return Err(Error::refused(501, "PBSZ takes 0."));
        }
        self.shield.is_sized = true;
        say(200, "PBSZ=0")
    }

    /// PROT
    pub(super) fn prot(&mut self, level: &[u8]) -> Answer {
        self.check_secure()?;
        if !self.shield.is_sized {
            return Err(Error::refused(503, "PBSZ comes first."));
        }
        match level.trim_ascii().to_ascii_uppercase().as_slice() {
            b"P" => self.shield.is_private = true,
            b"C" if self.needs_tls() => {
                return Err(Error::refused(534, "Data connections must be protected."));
            }
            b"C" => self.shield.is_private = false,
            b"S" | b"E" => return Err(Error::refused(536, "TLS protects wholly or not at all.")),
            _ => return Err(Error::refused(504, "PROT takes P or C.")),
        }
        say(200, "PROT command successful.")
    }

    /// CCC: an end of the protection would let commands be slipped in.
    pub(super) fn ccc(&mut self, _: &[u8]) -> Answer {
        self.check_secure()?;
        Err(Error::refused(
            534,
            "The control connection stays protected.",
        ))
    }

    fn check_secure(&self) -> Result<(), Error> {
        match (&self.settings.security, &self.shield.session) {
            (None, _) => Err(Error::refused(502, "Command not implemented.")),
            (_, None) => Err(Error::refused(503, "AUTH TLS comes first.")),
            _ => Ok(()),
        }
    }

    fn needs_tls(&self) -> bool {
        let security = self.settings.security.as_ref();
        security.is_some_and(|security| security.rules.mode == TlsMode::Required)
    }

    /// Whether a password may be taken.
    ///
    /// # Errors
    /// 530: not in the clear.
    pub(super) fn check_login(&self) -> Result<(), Error> {
        if self.needs_tls() && self.shield.session.is_none() {
            return Err(Error::refused(530, "Logins need TLS: use AUTH TLS first."));
        }
        Ok(())
    }

    /// Whether a data connection may be made.
    ///
    /// # Errors
    /// 521: not in the clear.
    pub(super) fn check_data(&self) -> Result<(), Error> {
        if self.needs_tls() && !self.shield.is_private {
            return Err(Error::refused(
                521,
                "Data connections need TLS: use PROT P.",
            ));
        }
        Ok(())
    }

    /// Has the client get a ticket for the next data connection, if that is protected.
    ///
    /// # Errors
    /// `Gone`
    pub(super) fn renew_ticket(&self) -> Result<(), Error> {
        if self.protection().is_none() {
            return Ok(());
        }
        let renewed = self.control.borrow_mut().renew_ticket();
        renewed.map_err(Error::Gone)
    }

    /// What TLS must do for the next data connection.
    pub(super) fn protection(&self) -> Option<Protection<'_>> {
        let security = self.settings.security.as_ref()?;
        let session = self
            .shield
            .session
            .as_ref()
            .filter(|_| self.shield.is_private)?;
        Some(Protection {
            session,
            reuse: security.rules.session_reuse,
            truncation: security.rules.truncation,
        })
    }
}
