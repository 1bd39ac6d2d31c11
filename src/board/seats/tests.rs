//! Whoever has a seat is counted once, and goes in order.

use std::time::Duration;

use super::*;

fn peer(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 1000).into()
}

/// Workers 1 to 5: unborn, idle, two visitors (3 the older), a member.
fn board(start: Instant) -> Board {
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut board = Board::default();
    for pid in 1..=5 {
        board.asked_for(pid, 2, start);
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
        board.asked_for(pid, 2, start);
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
    board.logged_out(5, start);
    assert_eq!(board.others_of(b"test", 1), 0);
    assert_eq!(board.others_from(peer(5).ip(), 1), 1);
    board.entered(5, b"test".to_vec(), String::new(), start);
    board.parting(5);
    assert_eq!(board.others_of(b"test", 1), 0);
    assert_eq!(board.others_from(peer(5).ip(), 1), 0);
    board.taken(5, peer(5), start);
    assert_eq!(board.others_from(peer(5).ip(), 1), 1);
    board.entered(5, b"test".to_vec(), String::new(), start);
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
    assert_eq!(board.idlers(9), [2, 1]);
    board.retired(2);
    assert_eq!(board.idlers(9), [1]);
}

#[test]
fn what_a_worker_says_out_of_turn_changes_nothing() {
    let start = Instant::now();
    let mut board = board(start);
    board.entered(2, b"x".to_vec(), String::new(), start);
    board.logged_out(2, start);
    board.logged_out(3, start);
    board.doing(3, "PASS".to_owned(), Vec::new(), start);
    board.taken(99, peer(9), start);
    assert_eq!(board.counts(), self::board(start).counts());
    board.doing(5, "STOR".to_owned(), b"a".to_vec(), start);
    let Some(State::Member { verb, .. }) = board.seat(5).map(|seat| &seat.state) else {
        panic!("no member");
    };
    assert_eq!(verb, "STOR");
}

#[test]
fn a_worker_has_no_more_clients_than_it_was_born_for() {
    let start = Instant::now();
    let mut board = Board::default();
    let says = |board: &Board| [board.is_unborn(1), board.may_go_on(1)];
    assert_eq!(says(&board), [false, false]);
    board.asked_for(1, 2, start);
    assert_eq!(says(&board), [true, false]);
    board.idle(1, start);
    assert_eq!(says(&board), [false, true]);
    board.taken(1, peer(1), start);
    board.entered(1, Vec::new(), String::new(), start);
    assert_eq!(says(&board), [false, true]);
    board.idle(1, start);
    // One that is sent away is a client, too.
    board.refused(1);
    assert_eq!(says(&board), [false, false]);
}

#[test]
fn the_counts_are_right_whatever_comes_in_whatever_order() {
    let start = Instant::now();
    let mut board = Board::default();
    // Numbers as from a die that falls the same way each time.
    let mut die = 7_u32;
    let mut throw = |sides: u32| {
        die = die.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (die >> 16) % sides
    };
    for _ in 0..5000 {
        let pid = i32::try_from(throw(6)).unwrap();
        match throw(9) {
            0 => board.asked_for(pid, throw(3), start),
            1 => board.idle(pid, start),
            2 => board.taken(pid, peer(1), start),
            3 => board.entered(pid, Vec::new(), String::new(), start),
            4 => board.retired(pid),
            5 => board.dismissed(pid, start),
            6 => board.killed(pid, start),
            7 => board.born(pid, i32::try_from(throw(6)).unwrap()),
            _ => drop(board.gone(pid)),
        }
        let mut counts = Counts::default();
        for (_, seat) in board.seats() {
            counts.add(seat);
        }
        assert_eq!(board.counts(), counts);
    }
}
