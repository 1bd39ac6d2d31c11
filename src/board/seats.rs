//! One seat a worker, by its pid; by a number that is none until it has one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::traffic::Traffic;

mod choice;

/// All workers.
#[derive(Debug, Default)]
pub struct Board {
    seats: BTreeMap<i32, Seat>,
    /// Of them, as of now: they are asked for far more often than they change.
    counts: Counts,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// When it was asked for.
    pub born: Instant,
    /// What it does.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// How many more clients it may have.
    pub clients: u32,
    /// Whether it was told to end, now or after its client.
    pub is_leaving: bool,
    /// Whether its client is about to go, and so is not counted any more.
    pub is_parting: bool,
    /// When it is killed if it is still there.
    pub deadline: Option<Instant>,
    /// Of its client's data connections.
    pub traffic: Traffic,
}

impl Seat {
    fn enter(&mut self, state: State, now: Instant) {
        (self.state, self.since) = (state, now);
        self.is_parting = false;
    }
}

/// What a worker does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was asked for and has not said a word yet.
    Unborn,
    /// It waits for a client.
    Idle,
    /// Its client has not logged in.
    Visitor { peer: SocketAddr },
    /// Its client has logged in.
    Member {
        peer: SocketAddr,
        user: Vec<u8>,
        module: String,
        verb: String,
        argument: Vec<u8>,
    },
}

impl State {
    /// Its client's address, if it has a client.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Unborn | Self::Idle => None,
            Self::Visitor { peer } | Self::Member { peer, .. } => Some(*peer),
        }
    }

    /// Who its client is, if it has logged in.
    #[must_use]
    pub fn user(&self) -> Option<&[u8]> {
        match self {
            Self::Member { user, .. } => Some(user),
            _ => None,
        }
    }
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All processes.
    pub total: usize,
    /// Waiting for a client, or about to, and not told to end.
    pub spare: usize,
    /// Of these, the ones that wait already.
    pub idle: usize,
    /// With a client that has not logged in, and not told to end.
    pub visitors: usize,
    /// Told to end, and about to: their places will be free in a moment.
    pub ending: usize,
}

impl Counts {
    fn add(&mut self, seat: &Seat) {
        self.step(seat, |number| *number += 1);
    }

    fn remove(&mut self, seat: &Seat) {
        self.step(seat, |number| *number = number.saturating_sub(1));
    }

    /// Each number in which `seat` is counted.
    fn step(&mut self, seat: &Seat, step: fn(&mut usize)) {
        step(&mut self.total);
        match seat.state {
            _ if seat.deadline.is_some() => step(&mut self.ending),
            State::Unborn | State::Idle if seat.is_leaving => step(&mut self.ending),
            State::Unborn => step(&mut self.spare),
            State::Idle => {
                step(&mut self.spare);
                step(&mut self.idle);
            }
            State::Visitor { .. } => step(&mut self.visitors),
            State::Member { .. } => {}
        }
    }
}

impl Board {
    /// A worker was asked for, which is to have so many clients, one after the other.
    pub fn asked_for(&mut self, pid: i32, clients: u32, now: Instant) {
        let seat = Seat {
            born: now,
            state: State::Unborn,
            since: now,
            clients,
            is_leaving: false,
            is_parting: false,
            deadline: None,
            traffic: Traffic::default(),
        };
        self.adopted(pid, seat);
    }

    /// A worker that had a number so far has a pid.
    pub fn born(&mut self, number: i32, pid: i32) {
        if let Some(seat) = self.gone(number) {
            self.adopted(pid, seat);
        }
    }

    /// There is a worker that another master has left.
    pub fn adopted(&mut self, pid: i32, seat: Seat) {
        self.counts.add(&seat);
        if let Some(other) = self.seats.insert(pid, seat) {
            self.counts.remove(&other);
        }
    }

    /// A worker has ended; what it did.
    pub fn gone(&mut self, pid: i32) -> Option<Seat> {
        let seat = self.seats.remove(&pid)?;
        self.counts.remove(&seat);
        Some(seat)
    }

    /// Whether a worker has yet to say that it is there.
    #[must_use]
    pub fn is_unborn(&self, pid: i32) -> bool {
        self.seat(pid)
            .is_some_and(|seat| seat.state == State::Unborn)
    }

    /// Whether a worker can wait for a client that it did not have so far, or have it. Of another version it
    /// may not have said that the last one is gone.
    #[must_use]
    pub fn may_go_on(&self, pid: i32) -> bool {
        let may_go_on = |seat: &Seat| seat.state != State::Unborn && seat.clients > 0;
        self.seat(pid).is_some_and(may_go_on)
    }

    /// A worker waits for clients: for the first time, or again.
    pub fn idle(&mut self, pid: i32, now: Instant) {
        self.change(pid, |seat| seat.enter(State::Idle, now));
    }

    /// A worker waits for a proxy to say who its client is: until then it is the proxy itself.
    pub fn awaits(&mut self, pid: i32, proxy: SocketAddr, now: Instant) {
        self.change(pid, |seat| seat.enter(State::Visitor { peer: proxy }, now));
    }

    /// A worker has a client.
    pub fn taken(&mut self, pid: i32, peer: SocketAddr, now: Instant) {
        self.change(pid, |seat| {
            seat.traffic = Traffic::default();
            seat.clients = seat.clients.saturating_sub(1);
            seat.enter(State::Visitor { peer }, now);
        });
    }

    /// What another master has told of a worker: how many more clients it may have.
    pub fn limited(&mut self, pid: i32, clients: u32) {
        self.change(pid, |seat| seat.clients = clients);
    }

    /// A worker had a client that was not let in.
    pub fn refused(&mut self, pid: i32) {
        self.change(pid, |seat| seat.clients = seat.clients.saturating_sub(1));
    }

    /// A worker's client has logged in, or once more as somebody else.
    pub fn entered(&mut self, pid: i32, user: Vec<u8>, module: String, now: Instant) {
        self.change(pid, |seat| {
            if let Some(peer) = seat.state.peer() {
                let member = State::Member {
                    peer,
                    user,
                    module,
                    verb: String::new(),
                    argument: Vec::new(),
                };
                seat.enter(member, now);
            }
        });
    }

    /// A worker's client is nobody in particular again.
    pub fn logged_out(&mut self, pid: i32, now: Instant) {
        self.change(pid, |seat| {
            if let State::Member { peer, .. } = seat.state {
                seat.enter(State::Visitor { peer }, now);
            }
        });
    }

    /// A worker's client has said that it goes.
    pub fn parting(&mut self, pid: i32) {
        self.change(pid, |seat| seat.is_parting = true);
    }

    /// A worker's client has given a command; an empty verb: it waits for one. Of visitors it is
    /// not kept.
    pub fn doing(&mut self, pid: i32, verb: String, argument: Vec<u8>, now: Instant) {
        let Some(seat) = self.seats.get_mut(&pid) else {
            return;
        };
        if let State::Member {
            verb: old_verb,
            argument: old_argument,
            ..
        } = &mut seat.state
        {
            *old_verb = verb;
            *old_argument = argument;
            seat.traffic.begin(now);
        }
    }

    /// A worker's data connection has moved so many bytes by now.
    pub fn moved(&mut self, pid: i32, bytes: u64, now: Instant) {
        if let Some(seat) = self.seats.get_mut(&pid) {
            seat.traffic.moved(bytes, now);
        }
    }

    /// A worker has ended the transfer of a file.
    pub fn transferred(&mut self, pid: i32, is_upload: bool, bytes: u64) {
        if let Some(seat) = self.seats.get_mut(&pid) {
            seat.traffic.ended(is_upload, bytes);
        }
    }

    /// A worker was told to end after its client.
    pub fn retired(&mut self, pid: i32) {
        self.change(pid, |seat| seat.is_leaving = true);
    }

    /// A worker was told to end now, and is killed at `deadline` if it has not, or earlier if that
    /// was said before.
    pub fn dismissed(&mut self, pid: i32, deadline: Instant) {
        self.change(pid, |seat| {
            seat.is_leaving = true;
            let earlier = seat.deadline.filter(|earlier| *earlier < deadline);
            seat.deadline = earlier.or(Some(deadline));
        });
    }

    /// A worker was killed, or ends by itself: it is dead before `again`, or is killed then.
    pub fn killed(&mut self, pid: i32, again: Instant) {
        self.change(pid, |seat| seat.deadline = Some(again));
    }

    /// Changes what a worker counts as.
    fn change(&mut self, pid: i32, change: impl FnOnce(&mut Seat)) {
        if let Some(seat) = self.seats.get_mut(&pid) {
            self.counts.remove(seat);
            change(seat);
            self.counts.add(seat);
        }
    }

    /// What a worker does.
    #[must_use]
    pub fn seat(&self, pid: i32) -> Option<&Seat> {
        self.seats.get(&pid)
    }

    /// All workers, by pid.
    pub fn seats(&self) -> impl Iterator<Item = (i32, &Seat)> {
        self.seats.iter().map(|(pid, seat)| (*pid, seat))
    }

    /// How many there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
