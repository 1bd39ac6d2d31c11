//! The end: nobody comes in any more, whoever waits is told, whoever is busy has some time.

use std::time::Instant;

use super::Master;
use crate::leash::ToWorker;
use crate::sys::supervisor::{self, Condition};

const FAREWELL: &str = "Server is stopping, closing control connection.";

/// A stop under way.
#[derive(Debug)]
pub(super) struct Stop {
    /// When sessions are ended whatever they do; `None`: that has been said.
    deadline: Option<Instant>,
}

impl Stop {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Master<'_> {
    /// TERM: the first is a request, the second an order.
    pub(super) fn stop_or_hurry(&mut self, now: Instant) {
        if self.stop.is_some() {
            self.hurry(now);
        } else {
            self.begin_to_stop(now);
        }
    }

    fn begin_to_stop(&mut self, now: Instant) {
        supervisor::tell(Condition::Stopping);
        // First, so that whoever has heard of the stop finds the door shut.
        self.leave_the_door();
        self.listeners.close();
        let grace = self.config.nanoftpd.stop_grace;
        log::info!(
            "stopping sessions={} grace={}",
            self.sessions(),
            grace.as_secs()
        );
        for pid in self.pids() {
            let text = FAREWELL.to_owned();
            self.tell(pid, &ToWorker::Leave { text });
            self.board.retired(pid);
        }
        self.renew_nursery(now);
        self.stop = Some(Stop {
            deadline: now.checked_add(grace),
        });
        self.dismiss_clerks();
    }

    pub(super) fn sessions(&self) -> usize {
        let counts = self.board.counts();
        counts.total.saturating_sub(counts.spare)
    }

    pub(super) fn hurry_if_due(&mut self, now: Instant) {
        let deadline = self.stop.as_ref().and_then(Stop::deadline);
        if deadline.is_some_and(|deadline| deadline <= now) {
            self.hurry(now);
        }
    }

    fn hurry(&mut self, now: Instant) {
        self.stop = Some(Stop { deadline: None });
        for pid in self.pids() {
            self.dismiss(pid, FAREWELL, now);
        }
        self.kill_nurseries();
        self.end_clerks();
    }

    pub(super) fn has_stopped(&self) -> bool {
        let is_empty = self.board.counts().total == 0 && self.nurseries.are_gone();
        self.stop.is_some() && is_empty && self.clerks.are_gone()
    }
}
