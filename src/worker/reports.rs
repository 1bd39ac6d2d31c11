//! What the master is told of a session that it can do without for a moment: what the client does, and
//! what it has transferred. At once as long as that is rare, together otherwise: to wake the master for
//! each of a thousand short files would cost more than the files. Knows no commands.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::bond::Bond;
use crate::leash::FromWorker;
use crate::vigil::{self, Reminder};

/// How long news wait when they follow each other fast.
const LATER: Duration = Duration::from_millis(100);

/// The reports of one session.
pub(super) struct Reports {
    bond: Rc<Bond>,
    waiting: Rc<RefCell<Waiting>>,
    reminder: Reminder,
}

/// What has not been told.
#[derive(Debug)]
struct Waiting {
    doing: Option<(String, Vec<u8>)>,
    /// The master takes the session for one that is busy.
    is_busy: bool,
    sums: [Sum; 4],
    /// For what the client does, and for what it has transferred.
    paces: [Pace; 2],
}

/// Transfers of one direction that have ended well, or of those that have not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u32,
    bytes: u64,
}

impl Reports {
    pub(super) fn new(bond: &Rc<Bond>) -> Self {
        let pace = Pace::new(Instant::now());
        let waiting = Rc::new(RefCell::new(Waiting {
            doing: None,
            is_busy: false,
            sums: [Sum::default(); 4],
            paces: [pace; 2],
        }));
        let (teller, told) = (Rc::clone(bond), Rc::clone(&waiting));
        Self {
            bond: Rc::clone(bond),
            waiting,
            reminder: vigil::remind(move || told.borrow_mut().tell(&teller)),
        }
    }

    /// The client's command; an empty verb: it waits for one.
    pub(super) fn doing(&self, verb: &str, argument: &[u8], is_urgent: bool) {
        let mut waiting = self.waiting.borrow_mut();
        if verb.is_empty() && !waiting.is_busy {
            // As the master has it, who has just heard of the login or never of the command.
            waiting.doing = None;
            return;
        }
        let Waiting { doing, paces, .. } = &mut *waiting;
        if is_urgent || paces.first_mut().is_some_and(Pace::may_go) {
            *doing = None;
            waiting.is_busy = !verb.is_empty();
            self.bond.mention(&FromWorker::Doing {
                verb: verb.to_owned(),
                argument: argument.to_vec(),
            });
            return;
        }
        let (last_verb, last_argument) = doing.get_or_insert_default();
        verb.clone_into(last_verb);
        argument.clone_into(last_argument);
        self.reminder.set(LATER);
    }

    /// A transfer of a file has ended.
    pub(super) fn transferred(&self, is_upload: bool, is_complete: bool, bytes: u64) {
        let mut waiting = self.waiting.borrow_mut();
        let at = usize::from(is_upload) * 2 + usize::from(is_complete);
        if let Some(sum) = waiting.sums.get_mut(at) {
            sum.count = sum.count.saturating_add(1);
            sum.bytes = sum.bytes.saturating_add(bytes);
        }
        if waiting.paces.last_mut().is_some_and(Pace::may_go) {
            waiting.tell_transferred(&self.bond);
        } else {
            self.reminder.set(LATER);
        }
    }

    /// The session is over: nothing of it waits any longer.
    pub(super) fn end(&self) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.doing = None;
        waiting.tell(&self.bond);
    }
}

impl Waiting {
    fn tell(&mut self, bond: &Bond) {
        self.tell_transferred(bond);
        if let Some((verb, argument)) = self.doing.take() {
            self.is_busy = !verb.is_empty();
            bond.mention(&FromWorker::Doing { verb, argument });
        }
    }

    fn tell_transferred(&mut self, bond: &Bond) {
        for (at, sum) in self.sums.iter_mut().enumerate() {
            let Sum { count, bytes } = std::mem::take(sum);
            if count > 0 {
                bond.mention(&FromWorker::Transferred {
                    is_upload: at / 2 == 1,
                    is_complete: at % 2 == 1,
                    count,
                    bytes,
                });
            }
        }
    }
}

/// How often the master is told at once: once a second in the long run, a few times in a row.
#[derive(Clone, Copy, Debug)]
struct Pace {
    saved: u32,
    last: Instant,
}

impl Pace {
    const MOST: u32 = 8;

    fn new(now: Instant) -> Self {
        Self {
            saved: Self::MOST,
            last: now,
        }
    }

    fn may_go(&mut self) -> bool {
        self.may_go_at(Instant::now())
    }

    fn may_go_at(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.last).as_secs();
        if seconds > 0 {
            let earned = u32::try_from(seconds).unwrap_or(Self::MOST);
            self.saved = self.saved.saturating_add(earned).min(Self::MOST);
            self.last = self
                .last
                .checked_add(Duration::from_secs(seconds))
                .unwrap_or(now);
        }
        let may_go = self.saved > 0;
        self.saved = self.saved.saturating_sub(1);
        may_go
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_once_a_second_in_the_long_run() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut sent = |millis| {
            let now = start + Duration::from_millis(millis);
            (0..20).filter(|_| pace.may_go_at(now)).count()
        };
        assert_eq!(sent(0), 8);
        assert_eq!(sent(900), 0);
        assert_eq!(sent(1900), 1);
        assert_eq!(sent(2000), 1);
        assert_eq!(sent(100_000), 8);
    }
}
