//! The trackers: which one is asked, and what happens when it does not answer. One connection is
//! kept, to the tracker that answered last; another is turned to when that one fails. Knows the
//! commands only as requests that may or may not be sent twice.
#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use connection::{Answer, Connection};

use super::health::Health;
use super::wire::{Fields, Request};
use super::{Error, Gossip, Solitude};
use crate::config::{self, Zone};
use crate::figures::{self, Event, Wait};
use crate::text::quoted_error;
use crate::vigil::{self, Watch};

mod answers;
mod changes;
mod connection;
mod hedge;
mod late;
mod questions;
#[cfg(any(test, fuzzing))]
pub(super) mod trials;

pub(super) use changes::is_doubtful;

/// How many times a request that may be repeated is sent at most.
const MOST_TRIES: u32 = 3;

/// How long a client may be kept waiting for one answer, all tries taken together.
const LONGEST: Duration = Duration::from_secs(60);

/// How long to wait before a request that failed inside the tracker is sent again.
const BREATH: Duration = Duration::from_millis(250);

/// Whether a request may be sent again when nobody knows whether it was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// It changes nothing, or nothing that a second time would not change likewise.
    Freely,
    /// Its caller has to find out what became of it.
    Never,
}

/// How long each kind of request may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    connect: Duration,
    request: Duration,
    admin: Duration,
    open: Duration,
    hedge: Duration,
    close: Duration,
}

struct Tracker {
    address: SocketAddr,
    health: Health,
}

/// All trackers of one MogileFS.
pub(crate) struct Trackers {
    limits: Limits,
    zone: Option<Zone>,
    list: Vec<Tracker>,
    /// The tracker that is asked first, and the connection to it.
    kept: Option<(SocketAddr, Connection)>,
    /// Connections on which an answer may come that nobody waits for any more.
    late: Vec<Watch>,
    gossip: Rc<dyn Gossip>,
}

impl Trackers {
    /// The order of `addresses` is shuffled, so that the daemon's sessions spread over them.
    pub(super) fn new(settings: &config::Mogilefs, addresses: Vec<SocketAddr>) -> Self {
        let mut trackers = Self {
            limits: Limits {
                connect: settings.timeout,
                request: settings.request_timeout,
                admin: settings.admin_timeout,
                open: settings.open_timeout,
                hedge: settings.hedge_timeout,
                close: settings.close_timeout,
            },
            zone: settings.zone,
            list: Vec::new(),
            kept: None,
            late: Vec::new(),
            gossip: Rc::new(Solitude),
        };
        trackers.replace(addresses);
        trackers
    }

    pub(super) fn listen_to(&mut self, gossip: Rc<dyn Gossip>) {
        self.gossip = gossip;
    }

    /// From now on these are the trackers. What is known of those that stay is kept.
    pub(super) fn replace(&mut self, mut addresses: Vec<SocketAddr>) {
        let start = getrandom::u32().unwrap_or(0) as usize;
        let middle = start.checked_rem(addresses.len()).unwrap_or(0);
        addresses.rotate_left(middle);
        let known = std::mem::take(&mut self.list);
        let health = |address| {
            let known = known.iter().find(|tracker| tracker.address == address);
            known.map(|tracker| tracker.health).unwrap_or_default()
        };
        self.list = addresses
            .into_iter()
            .map(|address| Tracker {
                address,
                health: health(address),
            })
            .collect();
        let list = &self.list;
        self.kept
            .take_if(|(address, _)| !list.iter().any(|tracker| tracker.address == *address));
    }

    /// The one that answered last, if it is still connected.
    pub(crate) fn current(&self) -> Option<SocketAddr> {
        self.kept.as_ref().map(|(address, _)| *address)
    }

    /// Whether it is, and nobody found that it does not answer.
    pub(crate) fn is_there(&mut self) -> bool {
        self.kept.as_mut().is_some_and(|(address, connection)| {
            connection.is_fit() && !self.gossip.is_shunned(*address)
        })
    }

    /// Asks one thing. A request that may be repeated is also repeated when it failed inside the
    /// tracker, which is what trackers say of a database that is away.
    fn ask(&mut self, request: &Request, limit: Duration, repeat: Repeat) -> Result<Fields, Error> {
        let mut answer = self.ask_all(std::slice::from_ref(request), limit, repeat)?;
        if repeat == Repeat::Freely
            && matches!(answer.last(), Some(Err(no)) if is_passing(&no.code))
        {
            log::debug!("tracker-repeat command={}", request.command());
            figures::count(Event::TrackerAgain);
            vigil::pause(BREATH)?;
            self.prefer_another();
            answer = self.ask_all(std::slice::from_ref(request), limit, repeat)?;
        }
        match answer.pop() {
            Some(answer) => Ok(answer?),
            None => Err(Error::Protocol("no answer".to_owned())),
        }
    }

    /// Asks several things at once, of one tracker; the answers come in the order of the requests.
    fn ask_all(
        &mut self,
        requests: &[Request],
        limit: Duration,
        repeat: Repeat,
    ) -> Result<Vec<Answer>, Error> {
        let command = requests.first().map_or("nothing", Request::command);
        let mut tries = 0;
        let mut trouble = Error::NoTracker("none is configured".to_owned());
        for address in self.order() {
            for again in [false, true] {
                let mut connection = match self.connection_to(address) {
                    Ok(connection) => connection,
                    Err(Error::Interrupted) => return Err(Error::Interrupted),
                    Err(error) => {
                        trouble = error;
                        break;
                    }
                };
                tries += 1;
                if tries > 1 {
                    figures::count(Event::TrackerAgain);
                }
                let asked = Instant::now();
                let error = match connection.exchange(requests, limit) {
                    Ok(answers) => {
                        answered(address, command, asked.elapsed(), false);
                        self.well(address);
                        self.kept = Some((address, connection));
                        return Ok(answers);
                    }
                    Err(error) => error,
                };
                if vigil::was_interrupted(&error) {
                    return Err(Error::Interrupted);
                }
                unanswered(address, command, &error);
                let late = error.kind() == io::ErrorKind::TimedOut;
                self.went_wrong(address, late, again);
                trouble = error.into();
                if repeat == Repeat::Never || tries >= MOST_TRIES {
                    return Err(trouble);
                }
                if late && !self.may_be_late_again(limit) {
                    break;
                }
            }
        }
        Err(trouble)
    }

    /// A connection that breaks off says nothing of the tracker behind it, which may have dropped it
    /// for another client's fault: it is asked again at once on a fresh one. One that is silent is
    /// asked again only if there is no other, and time for it.
    fn may_be_late_again(&self, limit: Duration) -> bool {
        self.list.len() == 1 && limit.saturating_mul(2) <= LONGEST
    }

    /// The trackers in the order in which they are to be tried: the kept one and those that are well,
    /// those that are not. What others found out counts for the kept one too: to connect to another
    /// takes less time than to find out the same.
    fn order(&self) -> Vec<SocketAddr> {
        let now = Instant::now();
        let kept = self.kept.as_ref().map(|(address, _)| *address);
        let mut order: Vec<&Tracker> = self.list.iter().collect();
        order.sort_by_key(|tracker| {
            (
                tracker.health.is_shunned(now) || self.gossip.is_shunned(tracker.address),
                Some(tracker.address) != kept,
            )
        });
        order.iter().map(|tracker| tracker.address).collect()
    }

    /// The kept connection, if it is one to `address` and still fit, or a fresh one. Whoever uses
    /// it puts it back when all went well.
    fn connection_to(&mut self, address: SocketAddr) -> Result<Connection, Error> {
        if let Some((kept, mut connection)) = self.kept.take()
            && kept == address
        {
            if connection.is_fit() {
                return Ok(connection);
            }
            log::debug!("tracker-reconnect addr={address}");
        }
        match Connection::open(address, self.limits.connect) {
            Ok(connection) => Ok(connection),
            Err(error) if vigil::was_interrupted(&error) => Err(Error::Interrupted),
            Err(error) => {
                figures::count(Event::TrackerFailed);
                log::warn!("tracker-down addr={address} error={}", quoted_error(&error));
                if let Some(tracker) = self.tracker(address) {
                    tracker.health.failed(Instant::now());
                }
                self.gossip.failed(address);
                Err(Error::NoTracker(format!("{address}: {error}")))
            }
        }
    }

    fn tracker(&mut self, address: SocketAddr) -> Option<&mut Tracker> {
        self.list
            .iter_mut()
            .find(|tracker| tracker.address == address)
    }

    fn well(&mut self, address: SocketAddr) {
        if let Some(tracker) = self.tracker(address) {
            tracker.health.well();
        }
    }

    /// Turns to another one next time, and remembers what this one did.
    fn went_wrong(&mut self, address: SocketAddr, late: bool, again: bool) {
        self.put_last(address);
        let now = Instant::now();
        match self.tracker(address) {
            Some(tracker) if late => tracker.health.was_late(now),
            Some(tracker) if again => tracker.health.failed(now),
            _ => {}
        }
        // A session shuns it after the second late answer in a row, but others are warned of the
        // first: they ask this one last, and lose nothing.
        if late || again {
            self.gossip.failed(address);
        }
    }

    /// The kept tracker is asked last next time.
    fn prefer_another(&mut self) {
        if let Some((address, _)) = self.kept.take_if(|_| self.list.len() > 1) {
            self.put_last(address);
        }
    }

    fn put_last(&mut self, address: SocketAddr) {
        if let Some(at) = self.list.iter().position(|one| one.address == address) {
            let last = self.list.remove(at);
            self.list.push(last);
        }
    }
}

/// Asks the tracker at `address` for nothing at all: one of its workers answers, no database.
pub(super) fn noop(address: SocketAddr, connect: Duration, limit: Duration) -> io::Result<()> {
    let mut connection = Connection::open(address, connect)?;
    connection.exchange(&[Request::new("noop")], limit)?;
    Ok(())
}

/// An answer that takes longer is worth a line in the log.
const SLOW: Duration = Duration::from_secs(2);

fn answered(address: SocketAddr, command: &str, took: Duration, hedged: bool) {
    let wait = match command {
        "create_open" => Wait::TrackerOpen,
        "create_close" => Wait::TrackerClose,
        _ => Wait::Tracker,
    };
    figures::took(wait, took);
    if took >= SLOW {
        let (ms, hedged) = (took.as_millis(), u8::from(hedged));
        log::warn!("tracker-slow addr={address} command={command} ms={ms} hedged={hedged}");
    }
}

fn unanswered(address: SocketAddr, command: &str, error: &io::Error) {
    figures::count(Event::TrackerFailed);
    let text = quoted_error(error);
    if error.kind() == io::ErrorKind::InvalidData {
        log::warn!("tracker-desync addr={address} command={command} error={text}");
    } else {
        log::warn!("tracker-failed addr={address} command={command} error={text}");
    }
}

/// The codes of what may pass: an exception inside the tracker, a database that is away.
fn is_passing(code: &str) -> bool {
    matches!(code, "failure" | "db")
}
