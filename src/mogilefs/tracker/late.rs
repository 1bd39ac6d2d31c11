//! Removing a key, or giving it another name. A tracker that was given up may still do it, and then to
//! whatever has the name by that time: that another one has done it is not enough, so it is waited for.
#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::changes::is_doubtful;
use super::connection::Answer;
use super::hedge::{Asked, wait};
use super::questions::about;
use super::{Trackers, answered, unanswered};
use crate::mogilefs::Error;
use crate::mogilefs::wire::{Fields, Request};
use crate::text::quoted_error;
use crate::vigil;

impl Trackers {
    /// Removes `key`.
    pub(crate) fn delete(&mut self, domain: &[u8], key: &[u8]) -> Result<(), Error> {
        let _quiet = vigil::undisturbed();
        let request = about("delete", domain, key);
        let doubt = match self.change(&request) {
            Ok(_) => return Ok(()),
            Err(error) if is_doubtful(&error) => error,
            Err(error) => return Err(error),
        };
        log::warn!(
            "tracker-doubt command={} error={}",
            request.command(),
            quoted_error(&doubt)
        );
        match self.change(&request) {
            Err(error) if !error.is("unknown_key") => Err(error),
            _ => Ok(()),
        }
    }

    /// Asks one tracker for what must not be done later, and waits until it is done or nobody will do it.
    pub(super) fn change(&mut self, request: &Request) -> Result<Fields, Error> {
        let answer = match self.ask_one(request) {
            Ok(answer) => answer,
            Err((error, None)) => return Err(error),
            Err((error, Some(late))) => {
                outlast(*late, request.command(), self.limits.close).ok_or(error)?
            }
        };
        Ok(answer?)
    }

    /// Asks the first that can be connected. One that takes too long comes with the error.
    fn ask_one(&mut self, request: &Request) -> Result<Answer, (Error, Option<Box<Asked>>)> {
        let mut trouble = Error::NoTracker("none is configured".to_owned());
        for address in self.order() {
            let mut one = match self.begin_at(address, request) {
                Ok(one) => one,
                Err(error) => {
                    trouble = error;
                    continue;
                }
            };
            let begun = Instant::now();
            let error = match heard(&mut one, self.limits.request) {
                Ok(()) => {
                    answered(address, request.command(), begun.elapsed(), false);
                    self.well(address);
                    self.kept = Some((address, one.connection));
                    let lost = || (Error::Protocol("no answer".to_owned()), None);
                    return one.round.answers().next().ok_or_else(lost);
                }
                Err(error) => error,
            };
            unanswered(address, request.command(), &error);
            let is_late = error.kind() == io::ErrorKind::TimedOut;
            self.went_wrong(address, is_late, false);
            return Err((error.into(), is_late.then(|| Box::new(one))));
        }
        Err((trouble, None))
    }
}

/// Waits until `one` has answered.
fn heard(one: &mut Asked, limit: Duration) -> io::Result<()> {
    let until = Instant::now() + limit;
    while !one.connection.advance(&mut one.round)? {
        wait(std::slice::from_ref(one), until)?;
    }
    Ok(())
}

/// What a tracker says at last that was given up, or that it never will.
fn outlast(mut late: Asked, command: &str, limit: Duration) -> Option<Answer> {
    let begun = Instant::now();
    let ended = heard(&mut late, limit);
    let is_certain = !matches!(&ended, Err(error) if error.kind() == io::ErrorKind::TimedOut);
    log::info!(
        "late-change addr={} command={command} ended={} waited_ms={}",
        late.address,
        u8::from(is_certain),
        begun.elapsed().as_millis()
    );
    // What has not reached it by now is not to reach it later.
    let _ = SockRef::from(&late.connection).set_linger(Some(Duration::ZERO));
    ended.ok().and_then(|()| late.round.answers().next())
}
