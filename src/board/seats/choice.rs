//! Who is counted where somebody wants to come in, and whose place is taken: pure questions to the board.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::{Board, Seat, State};
use crate::board::suspects::household;

impl Board {
    /// How many clients other than that of `pid` are there from where `address` is, and stay.
    #[must_use]
    pub fn others_from(&self, address: IpAddr, pid: i32) -> usize {
        let home = household(address);
        let is_from = |peer: &SocketAddr| household(peer.ip()) == home;
        self.staying_others(pid)
            .filter(|state| state.peer().is_some_and(|peer| is_from(&peer)))
            .count()
    }

    /// How many clients other than that of `pid` are logged in as `user`, and stay.
    #[must_use]
    pub fn others_of(&self, user: &[u8], pid: i32) -> usize {
        self.staying_others(pid)
            .filter(|state| state.user() == Some(user))
            .count()
    }

    /// The workers whose clients come from where `address` is and have not logged in, and stay.
    #[must_use]
    pub fn visitors_from(&self, address: IpAddr) -> Vec<i32> {
        let home = household(address);
        self.staying_visitors()
            .filter(|(.., from)| *from == home)
            .map(|(_, pid, _)| pid)
            .collect()
    }

    /// Who is told to go now, or has said that it goes, is as good as gone.
    fn staying_others(&self, pid: i32) -> impl Iterator<Item = &State> {
        self.seats()
            .filter(move |(other, seat)| {
                *other != pid && seat.deadline.is_none() && !seat.is_parting
            })
            .map(|(_, seat)| &seat.state)
    }

    /// At most `count` workers whose clients make room for others: of those who have not logged in,
    /// the ones from where most of them come, the oldest first; never more than half of all, since
    /// a login takes a moment even for whoever is in earnest.
    #[must_use]
    pub fn oldest_visitors(&self, count: usize) -> Vec<i32> {
        let mut crowds: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (_, _, home) in self.staying_visitors() {
            *crowds.entry(home).or_default() += 1;
        }
        let crowd = |home| Reverse(crowds.get(&home).copied().unwrap_or_default());
        let mut visitors: Vec<_> = self
            .staying_visitors()
            .map(|(since, pid, home)| (crowd(home), since, pid))
            .collect();
        visitors.sort_unstable();
        visitors.truncate(count.min(visitors.len().div_ceil(2)));
        visitors.into_iter().map(|(.., pid)| pid).collect()
    }

    /// The workers whose clients have been there for `limit` without logging in.
    #[must_use]
    pub fn overdue_visitors(&self, limit: Duration, now: Instant) -> Vec<i32> {
        let is_overdue = |since: &Instant| now.saturating_duration_since(*since) >= limit;
        let visitors = self.staying_visitors();
        visitors
            .filter(|(since, ..)| is_overdue(since))
            .map(|(_, pid, _)| pid)
            .collect()
    }

    /// Since when, in which worker, and from which household.
    fn staying_visitors(&self) -> impl Iterator<Item = (Instant, i32, IpAddr)> {
        self.seats().filter_map(|(pid, seat)| match seat.state {
            State::Visitor { peer } if seat.deadline.is_none() => {
                Some((seat.since, pid, household(peer.ip())))
            }
            _ => None,
        })
    }

    /// At most `count` of the workers that are idle and not told to end, the oldest first.
    #[must_use]
    pub fn idlers(&self, count: usize) -> Vec<i32> {
        if count == 0 {
            return Vec::new();
        }
        let is_idle =
            |seat: &Seat| seat.state == State::Idle && !seat.is_leaving && seat.deadline.is_none();
        let mut idlers: Vec<(Instant, i32)> = self
            .seats()
            .filter(|(_, seat)| is_idle(seat))
            .map(|(pid, seat)| (seat.since, pid))
            .collect();
        idlers.sort_unstable();
        idlers.truncate(count);
        idlers.into_iter().map(|(_, pid)| pid).collect()
    }

    /// The workers to be killed by now.
    #[must_use]
    pub fn condemned(&self, now: Instant) -> Vec<i32> {
        let is_due = |seat: &Seat| seat.deadline.is_some_and(|deadline| deadline <= now);
        self.seats()
            .filter(|(_, seat)| is_due(seat))
            .map(|(pid, _)| pid)
            .collect()
    }

    /// When something is to be looked at again: a worker to be killed, or a client that should have
    /// logged in within `limit`.
    #[must_use]
    pub fn next_deadline(&self, limit: Duration) -> Option<Instant> {
        let counts = self.counts();
        if counts.visitors == 0 && counts.ending == 0 {
            return None;
        }
        self.seats
            .values()
            .filter_map(|seat| match (seat.deadline, &seat.state) {
                (Some(deadline), _) => Some(deadline),
                (None, State::Visitor { .. }) => seat.since.checked_add(limit),
                (None, _) => None,
            })
            .min()
    }
}
