//! The desk: operators come to the control socket, ask one thing each, and are answered from what
//! the master knows anyhow. Nobody there is waited for.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use super::bell::{Bell, Ring};
use super::{Ground, Master};
use crate::board::{Seat, State};
use crate::config;
use crate::control::{Conversation, Progress, Session, Status};
use crate::sys::named::Named;
use crate::text::quoted;

/// More than so many operators at once are none.
const MOST: usize = 16;

/// How long nobody is received when descriptors have run out.
const REST: Duration = Duration::from_secs(1);

/// The control socket and who stands at it.
#[derive(Debug)]
pub(super) struct Desk {
    socket: Named,
    /// Beside root.
    user: u32,
    guests: BTreeMap<u32, Conversation>,
    /// The number of the guest who came last.
    last: u32,
    /// Until when nobody is received.
    rest: Option<Instant>,
}

impl Desk {
    pub(super) fn open(config: &config::Status, ground: &Ground) -> io::Result<Self> {
        let socket = Named::listen(&config.socket, ground.user())?;
        Ok(Self::at(socket, ground))
    }

    /// The one that another program has left, if it is still where `config` wants it, or no other can be
    /// had there; else [`Self::open`].
    pub(super) fn inherit(
        control: Option<Named>,
        config: &config::Status,
        ground: &Ground,
    ) -> io::Result<Self> {
        let Some(left) = control else {
            return Self::open(config, ground);
        };
        if left.is_at(&config.socket) {
            return Ok(Self::at(left, ground));
        }
        // The service does not end for it.
        Self::open(config, ground).or_else(|error| {
            let path = quoted(config.socket.as_os_str().as_encoded_bytes());
            log::error!("not-moved what=control path={path} why=\"{error}\"");
            Ok(Self::at(left, ground))
        })
    }

    fn at(socket: Named, ground: &Ground) -> Self {
        Self {
            socket,
            user: ground.user().unwrap_or_else(geteuid).as_raw(),
            guests: BTreeMap::new(),
            last: 0,
            rest: None,
        }
    }

    /// Whether somebody has come and is not done.
    pub(super) fn is_visited(&self) -> bool {
        !self.guests.is_empty()
    }

    /// Where the socket is, with device and inode of its name.
    pub(super) fn place(&self) -> (&Path, (u64, u64)) {
        (self.socket.path(), self.socket.place())
    }

    pub(super) fn ring(&self, bell: &Bell) -> io::Result<()> {
        bell.add(&self.socket, Ring::Desk)
    }

    fn deadline(&self) -> Option<Instant> {
        let guests = self.guests.values().map(Conversation::deadline);
        guests.chain(self.rest).min()
    }
}

impl AsFd for Desk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Master<'_> {
    /// The desk that another configuration wants, if it is not the one that there is.
    pub(super) fn other_desk(
        &self,
        config: &config::Status,
        ground: &Ground,
    ) -> io::Result<Option<Desk>> {
        if self.desk.socket.is_at(&config.socket) {
            return Ok(None);
        }
        let desk = Desk::open(config, ground)?;
        desk.ring(&self.bell)?;
        Ok(Some(desk))
    }

    /// Goes to another desk, or stays for those who may come under the present configuration.
    pub(super) fn move_desk(&mut self, desk: Option<Desk>) {
        if let Some(desk) = desk {
            self.bell.remove(&self.desk.socket);
            self.desk = desk;
        } else if let Some(owner) = self.ground.user() {
            self.desk.user = owner.as_raw();
            if let Err(error) = self.desk.socket.give(owner) {
                log::warn!("control-not-given why=\"{error}\"");
            }
        }
    }

    /// Lets those in who stand before the desk.
    pub(super) fn receive_guests(&mut self, now: Instant) {
        while let Some(guest) = self.next_guest(now) {
            self.hear_guest(guest, now);
        }
    }

    fn next_guest(&mut self, now: Instant) -> Option<u32> {
        let desk = &mut self.desk;
        let stream = match desk.socket.accept() {
            Ok(stream) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => {
                log::warn!("control-not-accepted why=\"{error}\"");
                self.bell.remove(&desk.socket);
                desk.rest = Some(now + REST);
                return None;
            }
        };
        desk.last = desk.last.wrapping_add(1);
        let guest = desk.last;
        if desk.guests.len() >= MOST {
            log::warn!("control-refused why=\"too many at once\"");
            return Some(guest);
        }
        let begun = Conversation::begin(stream, &[desk.user], now).and_then(|conversation| {
            self.bell.add(&conversation, Ring::Guest(guest))?;
            Ok(conversation)
        });
        match begun {
            Ok(conversation) => {
                desk.guests.insert(guest, conversation);
            }
            Err(error) => log::warn!("control-refused why=\"{error}\""),
        }
        Some(guest)
    }

    /// Goes on with one of them.
    pub(super) fn hear_guest(&mut self, guest: u32, now: Instant) {
        let Some(mut conversation) = self.desk.guests.remove(&guest) else {
            return;
        };
        let progress = conversation.advance(|request| self.answer(request, now));
        if progress == Progress::Pending {
            if conversation.is_answering() {
                self.bell.await_room(&conversation, Ring::Guest(guest));
            }
            self.desk.guests.insert(guest, conversation);
        } else {
            self.bell.remove(&conversation);
        }
    }

    /// Sends those away who have had their time, and receives others again after a rest.
    pub(super) fn mind_the_desk(&mut self, now: Instant) {
        let (desk, bell) = (&mut self.desk, &self.bell);
        desk.guests.retain(|_, conversation| {
            let is_early = conversation.deadline() > now;
            if !is_early {
                bell.remove(conversation);
            }
            is_early
        });
        if desk.rest.take_if(|until| *until <= now).is_some()
            && let Err(error) = desk.ring(bell)
        {
            log::error!("control-lost why=\"{error}\"");
        }
    }

    pub(super) fn desk_due(&self) -> Option<Instant> {
        self.desk.deadline()
    }

    pub(super) fn status(&self, now: Instant) -> Status {
        let counts = self.board.counts();
        let seats = self.board.seats();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            uptime: now.saturating_duration_since(self.since),
            workers: counts.total,
            idle: counts.idle,
            max_clients: self.config.pool.max_clients,
            trackers: self.addresses.trackers(),
            is_shut: self.gate.shut.is_some(),
            banned: self.gate.banned(now),
            fading: self.ground.fading(),
            spool_leased: self.spools.leased() << 20,
            figures: self.figures,
            tally: self.tally,
            sessions: seats
                .filter_map(|(pid, seat)| session(pid, seat, now))
                .collect(),
        }
    }
}

/// What is told of a worker's client, if it has one.
fn session(pid: i32, seat: &Seat, now: Instant) -> Option<Session> {
    let traffic = &seat.traffic;
    let visitor = Session {
        pid,
        peer: seat.state.peer()?,
        user: None,
        module: String::new(),
        verb: String::new(),
        argument: Vec::new(),
        since: now.saturating_duration_since(seat.since),
        bytes: traffic.bytes(),
        rate: traffic.rate(now),
        uploaded: traffic.uploaded,
        downloaded: traffic.downloaded,
    };
    let State::Member {
        user,
        module,
        verb,
        argument,
        ..
    } = &seat.state
    else {
        return Some(visitor);
    };
    Some(Session {
        user: Some(user.clone()),
        module: module.clone(),
        verb: verb.clone(),
        argument: argument.clone(),
        ..visitor
    })
}
