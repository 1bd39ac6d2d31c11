//! How fast a client may send, receive and command. What is left over of a moment is kept for the
//! next, up to a little; who has used all up waits in the vigil, so that ABOR, NOOP, STAT and the
//! master are heard meanwhile. Knows no limits of its own: they are asked for at each step.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Direction, Traffic};
use crate::vigil;

/// In the nano-units in which is saved.
const ONE: u128 = 1_000_000_000;

/// A wait is worth while for what comes in a twentieth of a second; how much is kept for a client
/// that pauses, or for a machine that wakes us late, is what comes in a quarter of one.
const STEPS: u64 = 20;
const KEPT: u64 = 4;

/// No step is smaller, in bytes, unless it would take more than a second: segments are to be filled.
const LEAST_STEP: u64 = 1024;

/// Something that is earned evenly and spent as it comes.
#[derive(Debug)]
struct Bucket {
    saved: u128,
    counted: Instant,
}

impl Bucket {
    fn holding(units: u64) -> Self {
        Self {
            saved: u128::from(units) * ONE,
            counted: Instant::now(),
        }
    }

    /// How many there are at `now`, at `rate` a second, of which `most` are kept.
    fn count(&mut self, rate: u64, most: u64, now: Instant) -> u64 {
        let time = now.saturating_duration_since(self.counted).as_nanos();
        self.counted = now;
        let earned = time.saturating_mul(rate.into());
        self.saved = self.saved.saturating_add(earned);
        self.saved = self.saved.min(u128::from(most) * ONE);
        u64::try_from(self.saved / ONE).unwrap_or(u64::MAX)
    }

    /// How long it takes until there are `wanted`.
    fn time_to(&self, wanted: u64, rate: u64) -> Duration {
        let missing = (u128::from(wanted) * ONE).saturating_sub(self.saved);
        let nanos = missing.div_ceil(u128::from(rate.max(1)));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn spend(&mut self, units: u64) {
        self.saved = self.saved.saturating_sub(u128::from(units) * ONE);
    }
}

/// The bytes of one data connection.
pub(super) struct Flow {
    traffic: Rc<dyn Traffic>,
    bucket: Option<Bucket>,
}

impl Flow {
    pub(super) fn new(traffic: Rc<dyn Traffic>) -> Self {
        Self {
            traffic,
            bucket: None,
        }
    }

    /// How many bytes may go now, up to `wanted`; waits until it is worth while to let some go.
    ///
    /// # Errors
    /// What ended the wait.
    pub(super) fn grant(&mut self, direction: Direction, wanted: usize) -> io::Result<usize> {
        loop {
            // Another session of the user may come or go at any time.
            let rate = match direction {
                Direction::Up => self.traffic.upload_rate(),
                Direction::Down => self.traffic.download_rate(),
            };
            if rate == 0 {
                return Ok(wanted);
            }
            let step = (rate / STEPS).max(rate.min(LEAST_STEP)).max(1);
            let bucket = self.bucket.get_or_insert_with(|| Bucket::holding(0));
            let most = (rate / KEPT).max(step);
            let count = bucket.count(rate, most, Instant::now());
            if count >= step {
                return Ok(usize::try_from(count).unwrap_or(wanted).min(wanted));
            }
            vigil::pause(bucket.time_to(step, rate))?;
        }
    }

    /// `count` bytes have gone; `moved` is how many that makes in all.
    pub(super) fn passed(&mut self, count: usize, moved: u64) {
        if let Some(bucket) = &mut self.bucket {
            bucket.spend(count as u64);
        }
        self.traffic.moved(moved);
    }
}

/// Nobody minds how much goes how fast.
pub(super) struct Free;

impl Traffic for Free {
    fn upload_rate(&self) -> u64 {
        0
    }

    fn download_rate(&self) -> u64 {
        0
    }

    fn moved(&self, _bytes: u64) {}
}

/// The commands of one session.
pub(super) struct Tempo {
    rate: u64,
    bucket: Bucket,
}

impl Tempo {
    /// So many a second; 0: any number.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            rate: rate.into(),
            bucket: Bucket::holding(rate.into()),
        }
    }

    /// Whether the next command may be carried out now. What a second allows may come at once.
    ///
    /// # Errors
    /// It has to wait for so long.
    pub(super) fn next(&mut self) -> Result<(), Duration> {
        if self.rate > 0 {
            if self.bucket.count(self.rate, self.rate, Instant::now()) == 0 {
                return Err(self.bucket.time_to(1, self.rate));
            }
            self.bucket.spend(1);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Fixed(Cell<u64>);

    impl Traffic for Fixed {
        fn upload_rate(&self) -> u64 {
            0
        }

        fn download_rate(&self) -> u64 {
            self.0.get()
        }

        fn moved(&self, _bytes: u64) {}
    }

    #[test]
    fn what_is_earned_is_kept_for_a_moment_only() {
        let mut bucket = Bucket::holding(0);
        let start = bucket.counted;
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(bucket.count(1000, 250, at(100)), 100);
        bucket.spend(60);
        assert_eq!(bucket.count(1000, 250, at(100)), 40);
        assert_eq!(bucket.time_to(50, 1000), Duration::from_millis(10));
        assert_eq!(bucket.count(1000, 250, at(60_000)), 250);
        // Nothing is lost between looks that are close together.
        let mut bucket = Bucket::holding(0);
        let start = bucket.counted;
        for micros in 1..=10_000 {
            bucket.count(1000, 250, start + Duration::from_micros(micros));
        }
        assert_eq!(
            bucket.count(1000, 250, start + Duration::from_millis(10)),
            10
        );
    }

    #[test]
    fn bytes_are_let_go_in_small_steps_and_all_at_once_without_a_rate() {
        let traffic = Rc::new(Fixed(Cell::new(100_000)));
        let mut flow = Flow::new(Rc::clone(&traffic) as Rc<dyn Traffic>);
        let begun = Instant::now();
        let mut passed = 0;
        while passed < 20_000 {
            let count = flow.grant(Direction::Down, 1 << 20).unwrap();
            assert!((1..=25_000).contains(&count), "{count}");
            flow.passed(count, 0);
            passed += count;
        }
        assert!(begun.elapsed() >= Duration::from_millis(190));
        assert_eq!(flow.grant(Direction::Up, 1 << 20).unwrap(), 1 << 20);
        traffic.0.set(0);
        assert_eq!(flow.grant(Direction::Down, 1 << 20).unwrap(), 1 << 20);
    }

    #[test]
    fn the_commands_of_a_second_may_come_at_once_and_no_more() {
        let mut tempo = Tempo::new(20);
        let begun = Instant::now();
        for _ in 0..23 {
            while let Err(wait) = tempo.next() {
                vigil::pause(wait).unwrap();
            }
        }
        assert!(begun.elapsed() >= Duration::from_millis(140));
        let mut free = Tempo::new(0);
        assert!((0..100_000).all(|_| free.next().is_ok()));
    }
}
