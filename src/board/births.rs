//! How fast processes may be started: at once while they come to life, slower and slower while they
//! die at birth or cannot be forked at all.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(100);
const HOPELESS: u32 = 4;
const LONGEST: Duration = Duration::from_secs(15);

/// The births of one kind of process.
#[derive(Debug, Default)]
pub struct Births {
    failures: u32,
    not_before: Option<Instant>,
}

impl Births {
    /// One came to life.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// One failed; how long there will be no other.
    pub fn failed(&mut self, now: Instant) -> Duration {
        let pause = FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.checked_add(pause);
        pause
    }

    /// Whether there may be one now.
    #[must_use]
    pub fn may_begin(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|instant| instant <= now)
    }

    /// Whether so many have failed in a row that it makes no sense to hope for the next.
    #[must_use]
    pub fn are_hopeless(&self) -> bool {
        self.failures >= HOPELESS
    }

    /// How many may be begun together: one on trial after a failure.
    #[must_use]
    pub fn at_once(&self, wanted: usize) -> usize {
        if self.failures > 0 {
            wanted.min(1)
        } else {
            wanted
        }
    }

    /// When there may be one again, if not now.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_makes_the_pause_longer_up_to_a_limit() {
        let now = Instant::now();
        let mut births = Births::default();
        assert!(births.may_begin(now));
        assert_eq!(births.at_once(8), 8);
        assert!(!births.are_hopeless());
        let pauses: Vec<Duration> = (0..12).map(|_| births.failed(now)).collect();
        assert_eq!(pauses[..3], [100, 200, 400].map(Duration::from_millis));
        assert_eq!(pauses.last(), Some(&LONGEST));
        assert!(!births.may_begin(now + LONGEST / 2));
        assert!(births.may_begin(now + LONGEST));
        assert_eq!(births.at_once(8), 1);
        assert!(births.are_hopeless());
        births.succeeded();
        assert!(births.may_begin(now));
        assert_eq!(births.failed(now), FIRST);
    }
}
