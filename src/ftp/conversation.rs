//! One client's session, from the greeting to the last reply: turns of a line and an answer, with a
//! visitor and with a member.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::{debug, info, warn};

use super::error::Error;
use super::lines::Line;
use super::member::Member;
use super::reply::Reply;
use super::seat::Seat;
use super::session::Session;
use super::verb::{Answer, Command, Step, find};
use super::visitor::Visitor;
use super::{Account, Doing, Host, Settings};
use crate::text;
use crate::{logger, vigil};

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
        let passage = settle(seat, answer)?;
        seat.end_turn();
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

/// All the time that there is, where there is no end to it.
fn left_until(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::MAX, |end| {
        end.saturating_duration_since(Instant::now())
    })
}

/// Finds the row of a line and runs it.
fn answer<'a, S: Seat<'a>>(seat: &mut S, line: &[u8]) -> Answer {
    let command = Command::parse(line);
    let own = find(S::OWN, &command.verb);
    let Some(verb) = own.or_else(|| find(S::COMMON, &command.verb)) else {
        // A mistyped PASS has a password in it all the same.
        let shown = match command.verb.contains("PASS") {
            true => b"PASS xxxx",
            false => line,
        };
        seat.session().control.borrow().log_command(shown);
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
    session.host.doing(Doing::Command {
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
fn settle<'a, S: Seat<'a>>(seat: &mut S, answer: Answer) -> Option<Option<Passage>> {
    let session = seat.session();
    let (reply, passage) = match answer {
        Ok(Step::Say(reply)) | Err(Error::Refused(reply)) => (reply, None),
        Ok(Step::Enter(reply, account)) => {
            session.control.borrow_mut().speaker_is(Some(&account.user));
            (reply, Some(Passage::In(account)))
        }
        Ok(Step::Return(reply, name)) => {
            session.forget_who();
            (reply, Some(Passage::Out(name)))
        }
        Ok(Step::Secure(reply)) => {
            session.say(&reply).ok()?;
            let (deadline, _) = seat.deadline();
            let session = seat.session();
            if let Err(error) = session.secure(left_until(deadline)) {
                info!("handshake-failed {} cause={error}", session.tag());
                return None;
            }
            // RFC 2228 §3: who it is must be said again, by the client that is protected now.
            session.forget_who();
            return Some(Some(Passage::Out(None)));
        }
        Ok(Step::Leave(reply)) => {
            session.say(&reply).ok()?;
            return None;
        }
        Ok(Step::Part(reply)) => {
            session.host.part();
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
