//! One seat a worker, by its pid.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::suspects::household;
use super::traffic::Traffic;

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
        self.seats()
            .filter(|(_, seat)| match seat.state {
                State::Visitor { peer } => seat.deadline.is_none() && household(peer.ip()) == home,
                _ => false,
            })
            .map(|(pid, _)| pid)
            .collect()
    }

    /// Who is told to go now is as good as gone.
    fn staying_others(&self, pid: i32) -> impl Iterator<Item = &State> {
        self.seats()
            .filter(move |(other, seat)| *other != pid && seat.deadline.is_none())
            .map(|(_, seat)| &seat.state)
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

    /// The workers that are idle and not told to end, the youngest last.
    #[must_use]
    pub fn idlers(&self) -> Vec<i32> {
        let is_idle =
            |seat: &Seat| seat.state == State::Idle && !seat.is_leaving && seat.deadline.is_none();
        let mut idlers: Vec<(Instant, i32)> = self
            .seats()
            .filter(|(_, seat)| is_idle(seat))
            .map(|(pid, seat)| (seat.since, pid))
            .collect();
        idlers.sort_unstable();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> SocketAddr {
        ([192, 0, 2, last], 1000).into()
    }

    /// Workers 1 to 5: unborn, idle, two visitors (3 the older), a member.
    fn board(start: Instant) -> Board {
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut board = Board::default();
        for pid in 1..=5 {
            board.forked(pid, start);
        }
        for pid in 2..=5 {
            board.idle(pid, at(1));
        }
        board.taken(3, peer(3), at(2));
        board.taken(4, peer(4), at(3));
        board.taken(5, peer(5), at(2));
        board.entered(5, b"test".to_vec(), "MogileFs".to_owned(), at(4));
        board
    }

    #[test]
    fn everybody_is_counted_once() {
        let start = Instant::now();
        let mut board = board(start);
        let expected = Counts {
            total: 5,
            spare: 2,
            idle: 1,
            visitors: 2,
            ending: 0,
        };
        assert_eq!(board.counts(), expected);
        board.retired(2);
        board.retired(4);
        let counts = board.counts();
        assert_eq!((counts.spare, counts.idle, counts.visitors), (1, 0, 2));
        assert_eq!(counts.ending, 1);
        board.dismissed(4, start);
        board.dismissed(5, start);
        let counts = board.counts();
        assert_eq!((counts.visitors, counts.ending), (1, 3));
        assert_eq!(board.gone(5).unwrap().since, start + Duration::from_secs(4));
        assert_eq!(board.counts().total, 4);
    }

    #[test]
    fn the_oldest_visitor_goes_first_and_only_once() {
        let start = Instant::now();
        let mut board = board(start);
        assert_eq!(board.oldest_visitors(9), [3]);
        board.dismissed(3, start);
        assert_eq!(board.oldest_visitors(1), [4]);
        board.entered(4, Vec::new(), String::new(), start);
        assert!(board.oldest_visitors(1).is_empty());
    }

    #[test]
    fn a_crowd_from_one_place_makes_room_before_anybody_else() {
        let start = Instant::now();
        let mut board = board(start);
        for pid in 6..=9 {
            board.forked(pid, start);
            board.idle(pid, start);
            board.taken(pid, peer(66), start + Duration::from_secs(60));
        }
        assert_eq!(board.oldest_visitors(2), [6, 7]);
        // Half of the six.
        assert_eq!(board.oldest_visitors(32), [6, 7, 8]);
    }

    #[test]
    fn visitors_have_so_long_to_log_in() {
        let start = Instant::now();
        let mut board = board(start);
        let limit = Duration::from_secs(10);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(board.overdue_visitors(limit, at(11)).is_empty());
        assert_eq!(board.overdue_visitors(limit, at(12)), [3]);
        assert_eq!(board.overdue_visitors(limit, at(13)), [3, 4]);
        assert_eq!(board.next_deadline(limit), Some(at(12)));
        board.dismissed(3, at(5));
        assert_eq!(board.next_deadline(limit), Some(at(5)));
    }

    #[test]
    fn a_deadline_is_never_put_off() {
        let start = Instant::now();
        let mut board = board(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        board.dismissed(3, at(9));
        board.dismissed(3, at(8));
        board.dismissed(3, at(10));
        assert!(board.condemned(at(7)).is_empty());
        assert_eq!(board.condemned(at(8)), [3]);
        board.killed(3, at(10));
        assert!(board.condemned(at(9)).is_empty());
    }

    #[test]
    fn clients_are_counted_where_they_come_from_and_as_who_they_are() {
        let start = Instant::now();
        let mut board = board(start);
        board.idle(1, start);
        board.taken(1, peer(5), start);
        assert_eq!(board.others_from(peer(5).ip(), 1), 1);
        assert_eq!(board.others_from(peer(5).ip(), 9), 2);
        assert_eq!(board.others_of(b"test", 1), 1);
        assert_eq!(board.others_of(b"test", 5), 0);
        board.dismissed(5, start);
        assert_eq!(board.others_of(b"test", 1), 0);
        board.gone(5);
        assert_eq!(board.others_from(peer(5).ip(), 1), 0);
    }

    #[test]
    fn idlers_come_in_order_and_stay_idle_only_while_wanted() {
        let start = Instant::now();
        let mut board = board(start);
        board.idle(1, start + Duration::from_secs(9));
        assert_eq!(board.idlers(), [2, 1]);
        board.retired(2);
        assert_eq!(board.idlers(), [1]);
    }

    #[test]
    fn what_a_worker_says_out_of_turn_changes_nothing() {
        let start = Instant::now();
        let mut board = board(start);
        board.entered(2, b"x".to_vec(), String::new(), start);
        board.doing(3, "PASS".to_owned(), Vec::new(), start);
        board.taken(99, peer(9), start);
        assert_eq!(board.counts(), self::board(start).counts());
        board.doing(5, "STOR".to_owned(), b"a".to_vec(), start);
        let Some(State::Member { verb, .. }) = board.seat(5).map(|seat| &seat.state) else {
            panic!("no member");
        };
        assert_eq!(verb, "STOR");
    }
}
