//! One client's session, from the greeting to the last reply: turns of a line and an answer.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::{debug, info, warn};

use super::control::Control;
use super::data::{Ends, Foreign, Route};
use super::deflate::{LEVELS, USUAL_LEVEL};
use super::digest::Algorithm;
use super::error::Error;
use super::facts::Facts;
use super::flow::{Flow, Tempo};
use super::lines::Line;
use super::link::Link;
use super::member::Member;
use super::protection::Shield;
use super::reply::Reply;
use super::seat::Seat;
use super::transfer::{self, Progress};
use super::verb::{Answer, Command, Step, find, say};
use super::visitor::Visitor;
use super::{Account, Doing, Host, Settings};
use crate::config::ActivePort;
use crate::logger;
use crate::text;
use crate::vigil::{self, Watch};

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
    tempo: Tempo,
    /// `idle_time`, or what SITE IDLE made of it.
    pub(super) idle: Duration,
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

/// Serves one client until it leaves, is lost, or is sent away.
pub(super) fn serve(
    control: TcpStream,
    peer: SocketAddr,
    settings: &Settings<'_>,
    host: &mut dyn Host,
) {
    let mut session = match Session::begin(control, peer, settings, host) {
        Ok(session) => session,
        Err(error) => {
            debug!("not-begun peer={} cause={error}", peer.ip());
            return;
        }
    };
    let is_implicit = settings
        .security
        .as_ref()
        .is_some_and(|security| security.is_implicit);
    if is_implicit && let Err(error) = session.secure_first() {
        info!("handshake-failed {} cause={error}", session.tag());
        return;
    }
    let control = Rc::clone(&session.control);
    let greeting = Reply::new(220, settings.nanoftpd.server_name.as_bytes());
    if control.borrow_mut().send(&greeting).is_ok() {
        converse(session);
        control.borrow_mut().close();
    }
}

/// Visitor and member by turns, as the client logs in and, with another USER, out.
fn converse(session: Session<'_>) {
    let mut visitor = Visitor::new(session, None);
    loop {
        let account = match turns(&mut visitor) {
            Some(Passage::In(account)) => account,
            Some(Passage::Out(name)) => {
                visitor.is_now(name);
                continue;
            }
            None => return,
        };
        let mut member = Member::new(visitor.session, account);
        let Some(Passage::Out(name)) = turns(&mut member) else {
            return;
        };
        visitor = Visitor::new(member.leave(), name);
    }
}

/// Where a conversation goes on.
enum Passage {
    In(Account),
    /// To a visitor, who may have said a name already.
    Out(Option<Vec<u8>>),
}

/// Line, answer, reply; until the session goes elsewhere or (`None`) ends.
fn turns<'a, S: Seat<'a>>(seat: &mut S) -> Option<Passage> {
    loop {
        let line = next_line(seat);
        let _errand = logger::errand();
        let answer = match line {
            Ok(Line::Text(line)) => {
                seat.begin_turn();
                answer(seat, &line)
            }
            Ok(Line::TooLong) => Err(Error::refused(500, "Command line too long.")),
            Err(end) => {
                if let Some(reply) = end {
                    seat.session().say(&reply).ok()?;
                }
                return None;
            }
        };
        let passage = settle(seat.session(), answer)?;
        seat.session().control.borrow_mut().end_turn();
        match passage {
            None => {}
            some => return some,
        }
    }
}

/// The next line; otherwise what is to be said before the session ends, if anything.
fn next_line<'a, S: Seat<'a>>(seat: &mut S) -> Result<Line, Option<Reply>> {
    let (deadline, too_late) = seat.deadline();
    let session = seat.session();
    let at_hand = session.control.borrow_mut().line_at_hand();
    if let Some(line) = at_hand {
        return session.in_time(line);
    }
    session.host.doing(Doing::Idle);
    let line = session.control.borrow_mut().line(deadline);
    match line {
        Ok(Some(line)) => session.in_time(line),
        Ok(None) => Err(None),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            info!("timeout {}", session.tag());
            Err(Some(too_late))
        }
        Err(error) if vigil::was_interrupted(&error) => Err(Some(session.farewell())),
        Err(_) => Err(None),
    }
}

/// Finds the row of a line and runs it.
fn answer<'a, S: Seat<'a>>(seat: &mut S, line: &[u8]) -> Answer {
    let command = Command::parse(line);
    let own = find(S::OWN, &command.verb);
    let Some(verb) = own.or_else(|| find(S::COMMON, &command.verb)) else {
        seat.session().control.borrow().log_command(line);
        if command.is_http() {
            info!("not-ftp {}", seat.session().tag());
            let reply = Reply::new(500, "This is an FTP server.");
            return Ok(Step::Leave(reply));
        }
        return Err(Error::Refused(S::unknown(&command.verb)));
    };
    let place = seat.place(verb.name, command.argument);
    let session = seat.session();
    if verb.secret {
        let masked = format!("{} xxxx", verb.name);
        session.control.borrow().log_command(masked.as_bytes());
    } else {
        session.control.borrow().log_command(line);
    }
    seat.session().host.doing(Doing::Command {
        verb: verb.name,
        argument: match &place {
            _ if verb.secret => b"xxxx",
            Some(path) => path.as_bytes(),
            None => command.argument,
        },
    });
    let argument = verb.argument(command.argument)?;
    (verb.run)(seat, argument)
}

/// Sends the one reply of a command; `None` when the session ends.
fn settle(session: &mut Session<'_>, answer: Answer) -> Option<Option<Passage>> {
    let (reply, passage) = match answer {
        Ok(Step::Say(reply)) | Err(Error::Refused(reply)) => (reply, None),
        Ok(Step::Enter(reply, account)) => {
            session.control.borrow_mut().speaker_is(Some(&account.user));
            (reply, Some(Passage::In(account)))
        }
        Ok(Step::Return(reply, name)) => {
            session.control.borrow_mut().speaker_is(None);
            (reply, Some(Passage::Out(name)))
        }
        Ok(Step::Secure(reply)) => {
            session.say(&reply).ok()?;
            if let Err(error) = session.secure() {
                info!("handshake-failed {} cause={error}", session.tag());
                return None;
            }
            // RFC 2228 §3: who it is must be said again, by the client that is protected now.
            session.control.borrow_mut().speaker_is(None);
            return Some(Some(Passage::Out(None)));
        }
        Ok(Step::Leave(reply)) => {
            session.say(&reply).ok()?;
            return None;
        }
        Ok(Step::Part(reply)) => {
            let _ = session.control.borrow_mut().part(&reply);
            return None;
        }
        Err(Error::Failed(reply, cause)) => {
            warn!(
                "failed {} ref={} code={} cause={}",
                session.tag(),
                cause.reference,
                reply.code(),
                text::quoted(cause.text.as_bytes())
            );
            (reply, None)
        }
        Err(Error::Interrupted) if session.control.borrow().is_aborted() => {
            (Reply::new(426, "Transfer aborted."), None)
        }
        Err(Error::Interrupted) => {
            let is_deserted = session.control.borrow_mut().is_deserted();
            if !is_deserted {
                let farewell = session.farewell();
                session.say(&farewell).ok()?;
            }
            return None;
        }
        Err(Error::Gone(error)) => {
            debug!("gone {} cause={error}", session.tag());
            return None;
        }
    };
    session.say(&reply).ok()?;
    Some(passage)
}

impl<'a> Session<'a> {
    fn begin(
        control: TcpStream,
        peer: SocketAddr,
        settings: &'a Settings<'a>,
        host: &'a mut dyn Host,
    ) -> io::Result<Self> {
        let local = canonical(control.local_addr()?);
        let control = Control::new(control, settings.nanoftpd.idle_time);
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
            tempo: Tempo::new(settings.limits.commands_per_second),
            idle: settings.nanoftpd.idle_time,
            facts: Facts::default(),
            hash: Algorithm::default(),
            is_packed: false,
            level: USUAL_LEVEL,
            shield: Shield::default(),
        })
    }

    /// As it was after the greeting; the control connection stays under TLS if it is.
    pub(super) fn reset(&mut self) {
        self.idle = self.settings.nanoftpd.idle_time;
        self.facts = Facts::default();
        self.hash = Algorithm::default();
        (self.is_packed, self.level) = (false, USUAL_LEVEL);
        self.unprotect_data();
    }

    /// A line when it is its time; otherwise what is to be said before the session ends.
    fn in_time(&mut self, line: Line) -> Result<Line, Option<Reply>> {
        match self.tempo.next() {
            Ok(()) => Ok(line),
            Err(_) => Err(Some(self.farewell())),
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

    /// Where nothing is in the way of the data connection it is made now.
    pub(super) fn meet(&self, route: Route) -> Result<Route, Error> {
        let met = self.with_ends(|ends| route.meet(ends));
        met.map_err(|error| self.not_opened(&error))
    }

    /// Makes the data connection that the client has prepared.
    pub(super) fn connect(&self, route: Route, progress: &Rc<Progress>) -> Result<Link, Error> {
        let flow = Flow::new(self.host.traffic());
        let route = self.called(route);
        let opened = self.with_ends(|ends| route.open(ends, flow, progress));
        opened.map_err(|error| self.not_opened(&error))
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
        if Foreign::is_cause_of(error) {
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
    fn farewell(&self) -> Reply {
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
