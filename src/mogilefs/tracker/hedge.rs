//! The one request that may take half a minute though nothing is wrong with the tracker, since it
//! looks at a storage node that hangs: create_open. When it takes long another tracker is asked as
//! well, and then the next, and the first answer counts. What the others have opened is given back
//! when they say so.
#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::answers::opened;
use super::changes::{ABORT, close};
use super::connection::{Answer, Connection, Round};
use super::{Repeat, Trackers, answered, unanswered};
use crate::config::Zone;
use crate::figures::{self, Event};
use crate::mogilefs::wire::Request;
use crate::mogilefs::{Error, Opened};
use crate::text::quoted_error;
use crate::vigil::{self, Verdict};

/// So many late answers are awaited at most.
const MOST_LATE: usize = 4;

/// So long an answer is waited for that nobody wants any more: the process may end with its client.
const MOMENT: Duration = Duration::from_millis(500);

/// One of those that were asked.
pub(super) struct Asked {
    pub(super) address: SocketAddr,
    pub(super) connection: Connection,
    pub(super) round: Round,
}

impl Trackers {
    /// Sends the create_open `request` for a key in `domain`.
    pub(super) fn open_hedged(
        &mut self,
        domain: &[u8],
        request: &Request,
    ) -> Result<Opened, Error> {
        let begun = Instant::now();
        let mut asked = Vec::with_capacity(2);
        let answer = self.race(request, begun, &mut asked);
        let hedged = asked.len() > 1 || answer.as_ref().is_ok_and(|(_, hedged)| *hedged);
        if hedged {
            figures::count(Event::TrackerHedged);
        }
        if let (Ok(_), Some(address)) = (&answer, self.current()) {
            answered(address, "create_open", begun.elapsed(), hedged);
        }
        if matches!(answer, Err(Error::Interrupted)) {
            self.give_back_soon(domain, &mut asked);
        }
        for late in asked {
            self.await_late(domain, late);
        }
        match answer {
            Ok((Ok(fields), _)) => opened(&fields),
            // What may pass is asked once more, of another one.
            Ok((Err(no), _)) if !super::is_passing(&no.code) => Err(no.into()),
            Err(error) if matches!(error, Error::Interrupted) || is_late(&error) => Err(error),
            Ok((Err(_), _)) => {
                vigil::pause(super::BREATH)?;
                self.prefer_another();
                opened(&self.ask(request, self.limits.open, Repeat::Freely)?)
            }
            Err(_) => opened(&self.ask(request, self.limits.open, Repeat::Freely)?),
        }
    }

    /// The first answer of any tracker, and whether more than one was asked. Those that are left in
    /// `asked` have not answered.
    fn race(
        &mut self,
        request: &Request,
        begun: Instant,
        asked: &mut Vec<Asked>,
    ) -> Result<(Answer, bool), Error> {
        let limit = begun + self.limits.open;
        let mut order = self.order().into_iter();
        let mut hedge = limit;
        let mut hedged = false;
        let mut trouble = Error::NoTracker("none is configured".to_owned());
        loop {
            let now = Instant::now();
            if asked.is_empty() || (now >= hedge && now < limit) {
                let other = order.next();
                // If there is no other, the same one may have another worker that is not stuck.
                let same = asked.first().filter(|_| !hedged).map(|one| one.address);
                let begun = other
                    .or(same)
                    .map(|address| self.begin_at(address, request));
                hedge = match begun {
                    Some(Ok(one)) => {
                        hedged |= !asked.is_empty();
                        asked.push(one);
                        // To connect may have taken long.
                        Instant::now() + self.limits.hedge
                    }
                    Some(Err(Error::Interrupted)) => return Err(Error::Interrupted),
                    Some(Err(error)) => {
                        trouble = error;
                        if other.is_some() { hedge } else { limit }
                    }
                    None if asked.is_empty() => return Err(trouble),
                    None => limit,
                };
                if asked.is_empty() {
                    continue;
                }
            }
            if let Some(ended) = self.advance_all(asked) {
                match ended {
                    Ok(answer) => return Ok((answer, hedged)),
                    Err(error) => trouble = error,
                }
                continue;
            }
            match wait(asked, hedge.min(limit)) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    if Instant::now() >= limit {
                        self.give_up(asked);
                        return Err(Error::Io(error));
                    }
                }
                Err(error) => return Err(error.into()),
                Ok(()) => {}
            }
        }
    }

    /// Connects to one, to ask it.
    pub(super) fn begin_at(
        &mut self,
        address: SocketAddr,
        request: &Request,
    ) -> Result<Asked, Error> {
        let mut connection = self.connection_to(address)?;
        let round = connection.begin(std::slice::from_ref(request));
        Ok(Asked {
            address,
            connection,
            round,
        })
    }

    /// Lets each of `asked` go on; one that has ended is taken out, and what it ended with is told.
    fn advance_all(&mut self, asked: &mut Vec<Asked>) -> Option<Result<Answer, Error>> {
        for index in 0..asked.len() {
            let one = asked.get_mut(index)?;
            match one.connection.advance(&mut one.round) {
                Ok(false) => {}
                Ok(true) => {
                    let one = asked.remove(index);
                    self.well(one.address);
                    self.kept = Some((one.address, one.connection));
                    let lost = || Error::Protocol("no answer".to_owned());
                    return Some(one.round.answers().next().ok_or_else(lost));
                }
                Err(error) => {
                    let one = asked.remove(index);
                    unanswered(one.address, "create_open", &error);
                    self.went_wrong(one.address, false, false);
                    return Some(Err(error.into()));
                }
            }
        }
        None
    }

    fn give_up(&mut self, asked: &[Asked]) {
        for one in asked {
            unanswered(one.address, "create_open", &io::ErrorKind::TimedOut.into());
            self.went_wrong(one.address, true, false);
        }
    }

    /// Gives back what those of `asked` have opened that say so within a moment, and takes them out.
    fn give_back_soon(&self, domain: &[u8], asked: &mut Vec<Asked>) {
        let _quiet = vigil::undisturbed();
        let until = Instant::now() + MOMENT;
        while !asked.is_empty() && wait(asked, until).is_ok() {
            let mut silent = Vec::with_capacity(asked.len());
            for mut one in asked.drain(..) {
                match one.connection.advance(&mut one.round) {
                    Ok(false) => silent.push(one),
                    Ok(true) => give_back(self.zone, domain, &mut one.connection, one.round),
                    Err(error) => lost(one.address, &error),
                }
            }
            *asked = silent;
        }
    }

    /// Whoever waits next, for whatever, also hears what `late` says, and gives back what it opened.
    fn await_late(&mut self, domain: &[u8], late: Asked) {
        let Asked {
            address,
            mut connection,
            round,
        } = late;
        let Ok(fd) = connection.as_fd().try_clone_to_owned() else {
            return;
        };
        let (zone, domain) = (self.zone, domain.to_vec());
        let mut round = Some(round);
        let watch = vigil::watch(fd.as_fd(), move || {
            let Some(mut open) = round.take() else {
                return Verdict::Rest;
            };
            match connection.advance(&mut open) {
                Ok(false) => {
                    round = Some(open);
                    return Verdict::Stay;
                }
                Ok(true) => give_back(zone, &domain, &mut connection, open),
                Err(error) => lost(address, &error),
            }
            Verdict::Rest
        });
        if self.late.len() >= MOST_LATE {
            self.late.remove(0);
        }
        self.late.extend(watch);
    }
}

/// Waits until one of them can go on.
pub(super) fn wait(asked: &[Asked], until: Instant) -> io::Result<()> {
    let mut fds = Vec::with_capacity(2 * asked.len());
    for one in asked {
        let (waits, count) = one.connection.waits(&one.round);
        fds.extend(waits.into_iter().take(count));
    }
    vigil::wait_until(&fds, Some(until)).map(|_| ())
}

fn lost(address: SocketAddr, error: &io::Error) {
    log::debug!("late-lost addr={address} error={}", quoted_error(error));
}

/// Gives back what the late answer says was opened.
fn give_back(zone: Option<Zone>, domain: &[u8], connection: &mut Connection, round: Round) {
    let Some(Ok(fields)) = round.answers().next() else {
        return;
    };
    let Ok(Opened { fid, targets }) = opened(&fields) else {
        return;
    };
    let Some(target) = targets.first() else {
        return;
    };
    let _quiet = vigil::undisturbed();
    let request = close(zone, domain, b"", fid, target);
    let given = connection.exchange(&[request], ABORT);
    log::info!("late-given-back fid={fid} ok={}", u8::from(given.is_ok()));
}

fn is_late(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}
