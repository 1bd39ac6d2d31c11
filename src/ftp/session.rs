//! What every session has, whoever uses it, and what it can do for who does.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::info;

use super::control::Control;
use super::data::{Ends, Foreign, Route};
use super::deflate::{LEVELS, USUAL_LEVEL};
use super::digest::Algorithm;
use super::error::Error;
use super::facts::Facts;
use super::flow::{Flow, Tempo};
use super::lines::Line;
use super::link::Link;
use super::progress::Progress;
use super::protection::Shield;
use super::reply::Reply;
use super::transfer;
use super::verb::{Answer, say};
use super::{Host, Settings};
use crate::config::{ActivePort, Type};
use crate::vigil::{self, Verdict, Watch};

/// What every session has, whoever uses it.
pub(super) struct Session<'a> {
    pub(super) control: Rc<RefCell<Control>>,
    pub(super) host: &'a mut dyn Host,
    pub(super) settings: &'a Settings<'a>,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    /// Where the client's data connections go to, as the client sees it.
    pub(super) seen_as: SocketAddr,
    pub(super) begun: Instant,
    /// `idle_time`, or what SITE IDLE made of it.
    pub(super) idle: Duration,
    /// What TYPE said last.
    pub(super) representation: Option<Type>,
    /// The facts of machine listings.
    pub(super) facts: Facts,
    /// What HASH tells.
    pub(super) hash: Algorithm,
    /// MODE Z, and how hard is packed then.
    pub(super) is_packed: bool,
    pub(super) level: u8,
    pub(super) shield: Shield,
}

/// Names a session in a line of the log.
pub(super) struct Tag<'s> {
    peer: IpAddr,
    session: &'s str,
}

impl fmt::Display for Tag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer={} session={}", self.peer, self.session)
    }
}

impl<'a> Session<'a> {
    /// Nothing has been said so far.
    ///
    /// # Errors
    /// The client is gone already.
    pub(super) fn begin(
        control: TcpStream,
        peer: SocketAddr,
        settings: &'a Settings<'a>,
        host: &'a mut dyn Host,
    ) -> io::Result<Self> {
        let local = canonical(control.local_addr()?);
        let tempo = Tempo::new(settings.limits.commands_per_second);
        let control = Control::new(
            control,
            settings.nanoftpd.idle_time,
            tempo,
            settings.passive.hangup,
        );
        Ok(Self {
            control: Rc::new(RefCell::new(control)),
            host,
            settings,
            peer: canonical(peer),
            local,
            seen_as: settings
                .gateway()
                .map_or(local, |gateway| canonical(gateway.destination)),
            begun: Instant::now(),
            idle: settings.nanoftpd.idle_time,
            representation: None,
            facts: Facts::default(),
            hash: Algorithm::default(),
            is_packed: false,
            level: USUAL_LEVEL,
            shield: Shield::default(),
        })
    }

    /// As it was after the greeting; the control connection stays under TLS if it is.
    pub(super) fn reset(&mut self) {
        self.forget_settings();
        self.unprotect_data();
    }

    /// What the client has chosen, but for the protection. Another USER leaves it as it is (RFC 959 §4.1.1).
    pub(super) fn forget_settings(&mut self) {
        self.idle = self.settings.nanoftpd.idle_time;
        self.representation = None;
        self.facts = Facts::default();
        self.hash = Algorithm::default();
        (self.is_packed, self.level) = (false, USUAL_LEVEL);
    }

    /// The client is nobody in particular: before it is told so, since another session may want its place.
    pub(super) fn forget_who(&mut self) {
        self.control.borrow_mut().speaker_is(None);
        self.host.log_out();
    }

    /// A line when it is its time; otherwise what is to be said before the session ends.
    pub(super) fn in_time(&mut self, line: Line) -> Result<Line, Option<Reply>> {
        loop {
            let Err(wait) = self.control.borrow_mut().may_go_on() else {
                return Ok(line);
            };
            if vigil::pause(wait).is_err() {
                return Err(Some(self.farewell()));
            }
        }
    }

    /// OPTS MODE: `Z`, and how hard is packed in it.
    pub(super) fn opts_mode(&mut self, options: &str) -> Answer {
        let options = options.to_ascii_uppercase();
        let words: Vec<&str> = options.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["Z"] => {}
            ["Z", "LEVEL", level] => match level.parse() {
                Ok(level) if LEVELS.contains(&level) => self.level = level,
                _ => return Err(Error::refused(501, "LEVEL is from 1 to 9.")),
            },
            _ => return Err(Error::refused(501, "Of MODE Z the LEVEL can be set.")),
        }
        say(200, format!("MODE Z LEVEL {}", self.level))
    }

    /// Sends a reply.
    ///
    /// # Errors
    /// `Gone`
    pub(super) fn say(&self, reply: &Reply) -> Result<(), Error> {
        self.control.borrow_mut().send(reply).map_err(Error::Gone)
    }

    /// Listens to the control connection while a transfer runs.
    pub(super) fn watch(&self, progress: &Rc<Progress>) -> Result<Option<Watch>, Error> {
        transfer::watch(&self.control, progress)
    }

    /// Whether downloads go as they are and as fast as the client takes them.
    pub(super) fn sends_freely(&self) -> bool {
        let is_plain = self.protection().is_none() && !self.is_packed;
        is_plain && self.host.traffic().download_rate() == 0
    }

    /// Says what begins, and makes the data connection for it. What is over as soon as it is said to begin
    /// (`is_at_once`) is said in one piece, where the client is there already: together with the next reply,
    /// or before anything has to be waited for.
    ///
    /// # Errors
    /// `Gone`, `Interrupted`; `Refused` where there is no data connection.
    pub(super) fn begin_transfer(
        &self,
        opening: &Reply,
        route: Route,
        progress: &Rc<Progress>,
        is_at_once: bool,
    ) -> Result<Link, Error> {
        let route = match is_at_once {
            true => self.meet(route)?,
            false => route,
        };
        if !route.is_met() {
            self.say(opening)?;
            return self.connect(route, progress);
        }
        self.control.borrow_mut().hold(opening);
        let mut link = self.connect(route, progress)?;
        let control = Rc::clone(&self.control);
        link.before_waiting(move || control.borrow_mut().release());
        Ok(link)
    }

    /// Where nothing is in the way of the data connection it is made now.
    pub(super) fn meet(&self, route: Route) -> Result<Route, Error> {
        let met = self.with_ends(|ends| route.meet(ends));
        met.map_err(|error| self.not_opened(&error))
    }

    /// Makes the data connection that the client has prepared.
    pub(super) fn connect(&self, route: Route, progress: &Rc<Progress>) -> Result<Link, Error> {
        let flow = Flow::new(self.host.traffic());
        let route = self.called(route);
        let opened = self.with_ends(|ends| {
            let wire = route.open(ends)?;
            Ok(Link::new(wire, ends, flow, Rc::clone(progress)))
        });
        let link = opened.map_err(|error| self.not_opened(&error))?;
        // What came before the 150 could not be answered then.
        match self.control.borrow_mut().overhear_at_hand(progress) {
            Verdict::Leave => Err(Error::Interrupted),
            Verdict::Stay | Verdict::Rest => Ok(link),
        }
    }

    fn with_ends<T>(&self, work: impl FnOnce(&Ends<'_>) -> T) -> T {
        let passive = self.settings.passive;
        work(&Ends {
            peer: self.peer.ip(),
            local: self.local,
            gateway: self.settings.gateway().map(|gateway| gateway.rules),
            connect: passive.accept_timeout,
            stall: passive.stall_timeout,
            protection: self.protection(),
            level: self.is_packed.then_some(self.level),
            tag: &self.tag(),
        })
    }

    fn not_opened(&self, error: &io::Error) -> Error {
        if vigil::was_interrupted(error) {
            return Error::Interrupted;
        }
        if vigil::was_caused_by::<Foreign>(error) {
            info!("data-not-resumed {}", self.tag());
            return Error::refused(
                522,
                "Data connections must resume the TLS session of this one.",
            );
        }
        info!("data-not-opened {} cause={error}", self.tag());
        Error::refused(425, "Can't open data connection.")
    }

    /// The same route from the port for data, where that is wanted and can be had.
    fn called(&self, route: Route) -> Route {
        match route {
            Route::Active(to) if self.settings.passive.active_port == ActivePort::Data => {
                let called = self.host.call(self.local, to.port());
                called.map_or(Route::Active(to), Route::Called)
            }
            route => route,
        }
    }

    /// `peer=… session=…`, with which a line of the log begins.
    pub(super) fn tag(&self) -> Tag<'a> {
        Tag {
            peer: self.peer.ip(),
            session: &self.settings.session,
        }
    }

    /// What is said when the session is ended from outside.
    pub(super) fn farewell(&self) -> Reply {
        self.control.borrow_mut().hurry();
        Reply::new(421, self.host.farewell())
    }
}

/// An IPv4-mapped IPv6 address as the IPv4 address it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(v4.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
