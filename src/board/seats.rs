//! One seat a worker, by its pid.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::traffic::Traffic;

mod choice;

/// All workers.
#[derive(Debug, Default)]
pub struct Board {
    seats: BTreeMap<i32, Seat>,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// When it was forked.
    pub born: Instant,
    /// What it does.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Whether it was told to end, now or after its client.
    pub is_leaving: bool,
    /// When it is killed if it is still there.
    pub deadline: Option<Instant>,
    /// Of its client's data connections.
    pub traffic: Traffic,
}

/// What a worker does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was forked and has not said a word yet.
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

impl Board {
    /// A worker was forked.
    pub fn forked(&mut self, pid: i32, now: Instant) {
        let seat = Seat {
            born: now,
            state: State::Unborn,
            since: now,
            is_leaving: false,
            deadline: None,
            traffic: Traffic::default(),
        };
        self.seats.insert(pid, seat);
    }

    /// There is a worker that another master has left.
    pub fn adopted(&mut self, pid: i32, seat: Seat) {
        self.seats.insert(pid, seat);
    }

    /// A worker has ended; what it did.
    pub fn gone(&mut self, pid: i32) -> Option<Seat> {
        self.seats.remove(&pid)
    }

    /// A worker waits for clients: for the first time, or again.
    pub fn idle(&mut self, pid: i32, now: Instant) {
        self.change(pid, now, |_| Some(State::Idle));
    }

    /// A worker has a client.
    pub fn taken(&mut self, pid: i32, peer: SocketAddr, now: Instant) {
        if let Some(seat) = self.seats.get_mut(&pid) {
            seat.traffic = Traffic::default();
        }
        self.change(pid, now, |_| Some(State::Visitor { peer }));
    }

    /// A worker's client has logged in, or once more as somebody else.
    pub fn entered(&mut self, pid: i32, user: Vec<u8>, module: String, now: Instant) {
        self.change(pid, now, |state| match *state {
            State::Visitor { peer } | State::Member { peer, .. } => Some(State::Member {
                peer,
                user,
                module,
                verb: String::new(),
                argument: Vec::new(),
            }),
            State::Unborn | State::Idle => None,
        });
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
        if let Some(seat) = self.seats.get_mut(&pid) {
            seat.is_leaving = true;
        }
    }

    /// A worker was told to end now, and is killed at `deadline` if it has not, or earlier if that
    /// was said before.
    pub fn dismissed(&mut self, pid: i32, deadline: Instant) {
        if let Some(seat) = self.seats.get_mut(&pid) {
            seat.is_leaving = true;
            let earlier = seat.deadline.filter(|earlier| *earlier < deadline);
            seat.deadline = earlier.or(Some(deadline));
        }
    }

    /// A worker was killed, or ends by itself: it is dead before `again`, or is killed then.
    pub fn killed(&mut self, pid: i32, again: Instant) {
        if let Some(seat) = self.seats.get_mut(&pid) {
            seat.deadline = Some(again);
        }
    }

    fn change(&mut self, pid: i32, now: Instant, next: impl FnOnce(&State) -> Option<State>) {
        if let Some(seat) = self.seats.get_mut(&pid)
            && let Some(state) = next(&seat.state)
        {
            seat.state = state;
            seat.since = now;
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

    /// Counts them.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            total: self.seats.len(),
            ..Counts::default()
        };
        for seat in self.seats.values() {
            match seat.state {
                _ if seat.deadline.is_some() => counts.ending += 1,
                State::Unborn | State::Idle if seat.is_leaving => counts.ending += 1,
                State::Unborn => counts.spare += 1,
                State::Idle => {
                    counts.spare += 1;
                    counts.idle += 1;
                }
                State::Visitor { .. } => counts.visitors += 1,
                State::Member { .. } => {}
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests;
