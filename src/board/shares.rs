//! What each session of a user may move, of what all of them together may: equal parts for those
//! that are at it. Who does nothing has no part, and gets one when it begins.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Board, State, Way};

/// How long the others may wait for news when one begins or ends: short files come and go fast.
const LATER: Duration = Duration::from_millis(100);

/// Bytes a second, up and down; 0: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub up: u64,
    pub down: u64,
}

impl Share {
    fn is_free(self) -> bool {
        self == Self::default()
    }

    /// A part of it for each of so many; never so small that it would mean any number.
    fn among(self, ups: u64, downs: u64) -> Self {
        let part = |whole: u64, count: u64| match whole {
            0 => 0,
            _ => (whole / count.max(1)).max(1),
        };
        Self {
            up: part(self.up, ups),
            down: part(self.down, downs),
        }
    }
}

/// What a worker was told by another master: nobody knows.
const UNKNOWN: Share = Share {
    up: u64::MAX,
    down: u64::MAX,
};

/// What the workers were told.
#[derive(Debug, Default)]
pub struct Shares {
    told: BTreeMap<i32, Share>,
    due: Option<Instant>,
}

impl Shares {
    /// A worker's client has begun or ended something, at which all of its user's sessions together
    /// may move `whole`. What that worker is to be told at once, if anything.
    pub fn changed(
        &mut self,
        pid: i32,
        board: &Board,
        whole: Share,
        now: Instant,
    ) -> Option<Share> {
        if whole.is_free() && self.told.is_empty() {
            return None;
        }
        self.due = self.due.or(now.checked_add(LATER));
        let state = &board.seat(pid)?.state;
        let (user, _) = moving(state)?;
        let share = parts(board, whole).remove(user)?;
        self.tell(pid, share)
    }

    /// A worker was told its part by another master: it is told again, whatever that was.
    pub fn inherited(&mut self, pid: i32, now: Instant) {
        self.told.insert(pid, UNKNOWN);
        self.due = self.due.or(Some(now));
    }

    /// A worker is gone, or its client.
    pub fn gone(&mut self, pid: i32, now: Instant) {
        if self.told.remove(&pid).is_some() {
            self.due = self.due.or(now.checked_add(LATER));
        }
    }

    /// When others are to be told.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What is to be told now, and to whom.
    pub fn news(&mut self, board: &Board, whole: Share, now: Instant) -> Vec<(i32, Share)> {
        if self.due.take_if(|due| *due <= now).is_none() {
            return Vec::new();
        }
        let parts = parts(board, whole);
        let moving = board
            .seats()
            .filter_map(|(pid, seat)| Some((pid, *parts.get(moving(&seat.state)?.0)?)));
        moving
            .filter_map(|(pid, share)| Some((pid, self.tell(pid, share)?)))
            .collect()
    }

    fn tell(&mut self, pid: i32, share: Share) -> Option<Share> {
        let told = self.told.insert(pid, share).unwrap_or_default();
        (told != share).then_some(share)
    }
}

/// Whose bytes go which way.
fn moving(state: &State) -> Option<(&[u8], Way)> {
    match state {
        State::Member { user, verb, .. } => Some((user, Way::of(verb)?)),
        _ => None,
    }
}

/// The part of each session, by user.
fn parts(board: &Board, whole: Share) -> BTreeMap<&[u8], Share> {
    let mut counts: BTreeMap<&[u8], (u64, u64)> = BTreeMap::new();
    for (user, way) in board.seats().filter_map(|(_, seat)| moving(&seat.state)) {
        let (ups, downs) = counts.entry(user).or_default();
        match way {
            Way::Up => *ups += 1,
            Way::Down => *downs += 1,
        }
    }
    let part = |(user, (ups, downs))| (user, whole.among(ups, downs));
    counts.into_iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Share = Share { up: 100, down: 60 };

    /// Workers 1 and 2 with `ann`, 3 with `bob`, all idle.
    fn board(now: Instant) -> Board {
        let mut board = Board::default();
        for (pid, user) in [(1, "ann"), (2, "ann"), (3, "bob")] {
            board.asked_for(pid, 1, now);
            board.idle(pid, now);
            board.taken(pid, ([192, 0, 2, 1], 1).into(), now);
            board.entered(pid, user.into(), "File".to_owned(), now);
        }
        board
    }

    #[test]
    fn sessions_of_a_user_share_and_others_are_left_alone() {
        let now = Instant::now();
        let (mut board, mut shares) = (board(now), Shares::default());
        let does = |board: &mut Board, shares: &mut Shares, pid, verb: &str| {
            board.doing(pid, verb.to_owned(), Vec::new(), now);
            shares.changed(pid, board, WHOLE, now)
        };
        assert_eq!(does(&mut board, &mut shares, 1, "CWD"), None);
        assert_eq!(
            does(&mut board, &mut shares, 1, "RETR"),
            Some(Share { up: 100, down: 60 })
        );
        assert_eq!(
            does(&mut board, &mut shares, 3, "RETR"),
            Some(Share { up: 100, down: 60 })
        );
        assert_eq!(
            does(&mut board, &mut shares, 2, "LIST"),
            Some(Share { up: 100, down: 30 })
        );
        // The first hears of it soon, and the other user never.
        assert_eq!(shares.news(&board, WHOLE, now), []);
        let later = shares.due().unwrap();
        let half = Share { up: 100, down: 30 };
        assert_eq!(shares.news(&board, WHOLE, later), [(1, half)]);
        assert_eq!(shares.due(), None);
        // One dies in the middle of it.
        board.gone(2);
        shares.gone(2, now);
        assert_eq!(shares.news(&board, WHOLE, later), [(1, WHOLE)]);
        // No limit any more: who was told of one is told of none.
        does(&mut board, &mut shares, 1, "STOR");
        let none = Share::default();
        assert_eq!(shares.news(&board, none, later), [(1, none), (3, none)]);
    }

    #[test]
    fn whoever_was_told_by_another_master_is_told_again() {
        let now = Instant::now();
        let (mut board, mut shares) = (board(now), Shares::default());
        for (pid, verb) in [(1, "RETR"), (2, ""), (3, "STOR")] {
            board.doing(pid, verb.to_owned(), Vec::new(), now);
            shares.inherited(pid, now);
        }
        assert_eq!(shares.news(&board, WHOLE, now), [(1, WHOLE), (3, WHOLE)]);
        assert_eq!(shares.due(), None);
        // Whoever was idle may have a part from before, also where there is no limit any more.
        board.doing(2, "RETR".to_owned(), Vec::new(), now);
        let none = Share::default();
        assert_eq!(shares.changed(2, &board, none, now), Some(none));
    }

    #[test]
    fn where_there_is_no_limit_nothing_is_said() {
        let now = Instant::now();
        let (mut board, mut shares) = (board(now), Shares::default());
        board.doing(1, "RETR".to_owned(), Vec::new(), now);
        assert_eq!(shares.changed(1, &board, Share::default(), now), None);
        assert_eq!(shares.due(), None);
    }

    #[test]
    fn a_part_is_never_nothing() {
        let tiny = Share { up: 1, down: 0 };
        assert_eq!(tiny.among(5, 5), tiny);
    }
}
