//! How fast processes may be started: at once while they come to life, slower and slower while they
//! die at birth or cannot be forked at all. What one that is older does or says is no news about
//! births: only those that were begun after the last failure count.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(100);
const HOPELESS: u32 = 4;
const LONGEST: Duration = Duration::from_secs(15);

/// So long after a failure and its pause, without another, it is as if nothing had been.
const QUIET: Duration = Duration::from_secs(15);

/// The births of one kind of process.
#[derive(Debug, Default)]
pub struct Births {
    failures: u32,
    last_failure: Option<Instant>,
    not_before: Option<Instant>,
}

impl Births {
    /// One that was begun at `born` waits for work: others need not be waited for any longer. That
    /// it lives is yet to be seen.
    pub fn came(&mut self, born: Instant) {
        if self.is_news(born) {
            self.not_before = None;
        }
    }

    /// One that was begun at `born` has done what it is for.
    pub fn proved(&mut self, born: Instant) {
        if self.is_news(born) {
            *self = Self::default();
        }
    }

    fn is_news(&self, born: Instant) -> bool {
        self.last_failure.is_none_or(|failure| failure <= born)
    }

    /// One failed; how long there will be no other.
    pub fn failed(&mut self, now: Instant) -> Duration {
        if self.is_forgotten(now) {
            *self = Self::default();
        }
        let pause = self.pause();
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(now);
        self.not_before = now.checked_add(pause);
        pause
    }

    fn pause(&self) -> Duration {
        FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(LONGEST)
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        let over = self.last_failure.map(|last| last + self.pause() + QUIET);
        over.is_some_and(|over| over <= now)
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
        births.proved(now);
        assert!(births.may_begin(now));
        assert_eq!(births.failed(now), FIRST);
    }

    /// What happens, at a time in milliseconds.
    enum Event {
        /// A failure, and the pause that follows.
        Failed(u64),
        /// One that was begun then waits for work.
        Came(u64),
        /// One that was begun then has done its work.
        Proved(u64),
    }

    #[test]
    fn only_what_was_begun_after_a_failure_ends_its_pause() {
        use Event::{Came, Failed, Proved};
        // Time, event, and whether one may begin right after it.
        let table: &[&[(u64, Event, bool)]] = &[
            // The next that says it is ready ends the pause, and another death makes it longer.
            &[
                (0, Failed(100), false),
                (150, Came(100), true),
                (160, Failed(200), false),
                (370, Came(360), true),
                (380, Failed(400), false),
            ],
            // One that was on its way when the other died tells nothing.
            &[
                (5, Failed(100), false),
                (10, Came(0), false),
                (20, Failed(200), false),
                (30, Came(15), false),
                (40, Proved(15), false),
                (50, Failed(400), false),
            ],
            // One that has done its work makes all good.
            &[
                (0, Failed(100), false),
                (10, Failed(200), false),
                (220, Came(210), true),
                (300, Proved(210), true),
                (310, Failed(100), false),
            ],
            // So does time, when nothing dies: the pause of 400 ms that would follow, and QUIET.
            &[
                (0, Failed(100), false),
                (10, Failed(200), false),
                (15_409, Failed(400), false),
                (31_208, Failed(800), false),
                (48_000, Failed(100), false),
            ],
        ];
        for (number, events) in table.iter().enumerate() {
            let start = Instant::now();
            let at = |time: u64| start + Duration::from_millis(time);
            let mut births = Births::default();
            for (time, event, may_begin) in *events {
                match event {
                    Failed(pause) => {
                        let pause = Duration::from_millis(*pause);
                        assert_eq!(births.failed(at(*time)), pause, "{number}: {time}");
                    }
                    Came(born) => births.came(at(*born)),
                    Proved(born) => births.proved(at(*born)),
                }
                assert_eq!(births.may_begin(at(*time)), *may_begin, "{number}: {time}");
            }
        }
    }

    #[test]
    fn pauses_add_up_whatever_is_killed() {
        // Each is killed as soon as it is ready, for two seconds.
        let start = Instant::now();
        let mut births = Births::default();
        let mut deaths = 0;
        for time in 0..2000 {
            let now = start + Duration::from_millis(time);
            if births.may_begin(now) {
                births.came(now);
                births.failed(now);
                deaths += 1;
            }
        }
        assert_eq!(deaths, 5);
    }
}
