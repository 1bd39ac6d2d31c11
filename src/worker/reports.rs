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
    /// For what the client does.
    pace: Pace,
    /// For what it has transferred.
    transfer_pace: Pace,
}

/// Transfers of one direction that have ended well, or of those that have not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    count: u32,
    bytes: u64,
}

impl Reports {
    pub(super) fn new(bond: &Rc<Bond>) -> Self {
        let waiting = Rc::new(RefCell::new(Waiting {
            doing: None,
            is_busy: false,
            sums: [Sum::default(); 4],
            pace: Pace::default(),
            transfer_pace: Pace::default(),
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
        let (last_verb, last_argument) = waiting.doing.get_or_insert_default();
        verb.clone_into(last_verb);
        argument.clone_into(last_argument);
        // That it waits again is told as soon as that it was busy.
        if is_urgent || verb.is_empty() || waiting.pace.may_go() {
            waiting.tell_doing(&self.bond);
        } else {
            self.reminder.set(LATER);
        }
    }

    /// A transfer of a file has ended.
    pub(super) fn transferred(&self, is_upload: bool, is_complete: bool, bytes: u64) {
        let mut waiting = self.waiting.borrow_mut();
        let at = usize::from(is_upload) * 2 + usize::from(is_complete);
        if let Some(sum) = waiting.sums.get_mut(at) {
            sum.count = sum.count.saturating_add(1);
            sum.bytes = sum.bytes.saturating_add(bytes);
        }
        if waiting.transfer_pace.may_go() {
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
        self.tell_doing(bond);
    }

    fn tell_doing(&mut self, bond: &Bond) {
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

/// How often the master is told at once: once a second.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    last: Option<Instant>,
}

impl Pace {
    const LEAST: Duration = Duration::from_secs(1);

    fn may_go(&mut self) -> bool {
        self.may_go_at(Instant::now())
    }

    fn may_go_at(&mut self, now: Instant) -> bool {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        let may_go = since.is_none_or(|since| since >= Self::LEAST);
        if may_go {
            self.last = Some(now);
        }
        may_go
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_at_once_where_the_last_one_was_a_second_ago() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let mut sent = |millis| {
            let now = start + Duration::from_millis(millis);
            (0..20).filter(|_| pace.may_go_at(now)).count()
        };
        assert_eq!(sent(0), 1);
        assert_eq!(sent(900), 0);
        assert_eq!(sent(1000), 1);
        assert_eq!(sent(1900), 0);
        assert_eq!(sent(100_000), 1);
    }
}
