//! The door of a full pool. Workers accept clients themselves; only when none is left to do it does
//! the master look who stands outside.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::Master;
use super::bell::Ring;
use crate::board::State;

/// So many are turned away before somebody is listened to again.
const REFUSALS_A_TURN: usize = 64;

/// Most visitors that are sent away together.
const MOST_AT_ONCE: usize = 32;

/// After so long without a crowd visitors are sent away one by one again.
const CALM: Duration = Duration::from_secs(1);

/// How long the door is left alone when nobody can be accepted, or the first one is to be refused.
const BLOCKED: Duration = Duration::from_millis(200);

/// What is remembered of the crowd.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// Whether the listeners ring the bell.
    is_watched: bool,
    /// How many visitors were sent away together, and when: nobody can see how many stand outside,
    /// so it is one, then twice as many each time while there is still somebody.
    shed: Option<(usize, Instant)>,
    /// Nobody can be accepted until then, not even to be refused.
    blocked_until: Option<Instant>,
    /// When somebody was refused, or was to be, with all places taken since.
    refused: Option<Instant>,
}

impl Door {
    fn next_batch(&self, now: Instant) -> usize {
        match self.shed {
            Some((count, last)) if now.saturating_duration_since(last) < CALM => {
                count.saturating_mul(2).min(MOST_AT_ONCE)
            }
            _ => 1,
        }
    }

    /// Whether the first client that is to be refused waits a moment, and others with it: it may have just
    /// left the very place that it wants to have again.
    fn lets_wait(&mut self, now: Instant) -> bool {
        let is_crowd =
            |last: Instant| now.saturating_duration_since(last) < BLOCKED.saturating_add(CALM);
        let is_first = !self.refused.is_some_and(is_crowd);
        if is_first {
            self.blocked_until = now.checked_add(BLOCKED);
        }
        self.refused = Some(now);
        is_first
    }
}

impl Master<'_> {
    /// Whether a client that comes now has to be seen by us: every place is taken by one that
    /// stays, or no new worker can be had.
    fn is_full(&self, now: Instant) -> bool {
        let counts = self.board.counts();
        let is_stuck = self.births.are_hopeless() && !self.births.may_begin(now);
        let is_taken = counts.total >= self.config.pool.max_clients;
        self.stop.is_none() && counts.spare == 0 && counts.ending == 0 && (is_taken || is_stuck)
    }

    pub(super) fn mind_the_door(&mut self, now: Instant) {
        let is_full = self.is_full(now);
        if !is_full {
            self.door.refused = None;
        }
        let is_blocked = self.door.blocked_until.is_some_and(|until| until > now);
        let is_wanted = is_full && !is_blocked;
        if is_wanted == self.door.is_watched {
            return;
        }
        self.door.is_watched = is_wanted;
        for socket in self.listeners.sockets() {
            if !is_wanted {
                self.bell.remove(socket);
            } else if let Err(error) = self.bell.add(socket, Ring::Client) {
                log::error!("door-not-watched why=\"{error}\"");
            }
        }
    }

    /// When the door is to be looked at again, if it is not looked at.
    pub(super) fn door_due(&self, now: Instant) -> Option<Instant> {
        self.door.blocked_until.filter(|until| *until > now)
    }

    /// The listeners are about to change.
    pub(super) fn leave_the_door(&mut self) {
        for socket in self.listeners.sockets() {
            self.bell.remove(socket);
        }
        self.door.is_watched = false;
    }

    /// Somebody stands outside and all places are taken: whoever has been in longest without
    /// logging in makes room; if there is no such, the client is refused.
    pub(super) fn turn_away(&mut self, now: Instant) {
        if !self.is_full(now) {
            return;
        }
        let batch = self.door.next_batch(now);
        let visitors = match self.births.may_begin(now) {
            true => self.board.oldest_visitors(batch),
            false => Vec::new(),
        };
        if visitors.is_empty() {
            if !self.door.lets_wait(now) {
                self.refuse(now);
            }
            return;
        }
        self.door.shed = Some((visitors.len(), now));
        for pid in visitors {
            if let Some(State::Visitor { peer }) = self.board.seat(pid).map(|seat| &seat.state) {
                log::info!("shed peer={} pid={pid}", peer.ip());
            }
            self.dismiss(pid, "Too many connections, and no login so far.", now);
        }
    }

    fn refuse(&mut self, now: Instant) {
        let mut left = REFUSALS_A_TURN;
        for socket in self.listeners.sockets() {
            while left > 0 {
                left -= 1;
                match socket.accept() {
                    Ok((client, peer)) => {
                        self.tally.refused += 1;
                        log::info!("refused peer={} why=full", peer.ip());
                        say_no(client);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // No descriptors, most likely: who stands outside would ring for ever.
                    Err(_) => {
                        self.door.blocked_until = now.checked_add(BLOCKED);
                        break;
                    }
                }
            }
        }
    }
}

/// A few bytes fit into a new connection's buffer; whoever cannot take them does without.
fn say_no(mut client: TcpStream) {
    let reply = b"421 Too many connections, try again later.\r\n";
    if client.set_nonblocking(true).is_ok() && client.write_all(reply).is_ok() {
        let _ = client.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_makes_room_faster_and_calm_forgets_it() {
        let now = Instant::now();
        let mut door = Door::default();
        let mut batches = Vec::new();
        for _ in 0..7 {
            batches.push(door.next_batch(now));
            door.shed = Some((door.next_batch(now), now));
        }
        assert_eq!(batches, [1, 2, 4, 8, 16, 32, 32]);
        assert_eq!(door.next_batch(now + CALM), 1);
    }

    #[test]
    fn only_the_first_of_a_crowd_waits() {
        let now = Instant::now();
        let mut door = Door::default();
        let waits =
            [0, 200, 300, 1400, 2600].map(|ms| door.lets_wait(now + Duration::from_millis(ms)));
        assert_eq!(waits, [true, false, false, false, true]);
    }
}
