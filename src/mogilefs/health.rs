//! What is remembered of a peer that failed: for how long it is put last. It is never left out: if
//! all have failed, each is still tried once.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// The first penalty and the longest.
const PENALTY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// How many answers in a row must have been late before a peer that can be connected counts as
/// failed.
const PATIENCE: u32 = 2;

/// The health of one tracker or of one storage node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health {
    late: u32,
    strikes: u32,
    until: Option<Instant>,
}

impl Health {
    /// Whether it is to be tried after the others.
    pub(super) fn is_shunned(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// It did what it should.
    pub(super) fn well(&mut self) {
        *self = Self::default();
    }

    /// It could not be connected, or broke off.
    pub(super) fn failed(&mut self, now: Instant) {
        let (first, longest) = PENALTY;
        let penalty = first.saturating_mul(1 << self.strikes.min(8)).min(longest);
        self.strikes = self.strikes.saturating_add(1);
        self.late = 0;
        self.until = now.checked_add(penalty);
    }

    /// It was connected, but did not answer in time.
    pub(super) fn was_late(&mut self, now: Instant) {
        self.late += 1;
        if self.late >= PATIENCE {
            self.failed(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_for_longer_each_time() {
        let mut health = Health::default();
        let mut now = Instant::now();
        assert!(!health.is_shunned(now));
        for seconds in [5, 10, 20, 30, 30, 30] {
            health.failed(now);
            assert!(health.is_shunned(now + Duration::from_secs(seconds - 1)));
            now += Duration::from_secs(seconds);
            assert!(!health.is_shunned(now));
        }
        health.failed(now);
        health.well();
        assert!(!health.is_shunned(now));
    }

    #[test]
    fn one_late_answer_is_no_failure_but_two_in_a_row_are() {
        let mut health = Health::default();
        let now = Instant::now();
        health.was_late(now);
        health.well();
        health.was_late(now);
        assert!(!health.is_shunned(now));
        health.was_late(now);
        assert!(health.is_shunned(now));
    }
}
