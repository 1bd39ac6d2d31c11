//! What a process counts of trackers, storage nodes and commits: so many of each, and how long
//! answers took. Each process counts for itself and is asked for what is new; the sums are somebody
//! else's. Knows no peer and no message.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::time::Duration;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A tracker did not answer a request.
    TrackerFailed,
    /// A request was sent once more.
    TrackerAgain,
    /// Another tracker was asked as well.
    TrackerHedged,
    /// A storage node did not answer.
    NodeFailed,
    /// Another copy of a file was turned to.
    CopyAgain,
    /// A download went on in the middle, from there.
    Resumed,
    /// An upload was begun once more, as another fid.
    UploadAgain,
    /// A create_close was answered with OK.
    CloseOk,
    /// It was in doubt, and had been carried out.
    CloseCommitted,
    /// It was not.
    CloseLost,
    CloseRefused,
    /// Nobody could be asked what has become of it.
    CloseUnknown,
}

/// What was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    TrackerOpen,
    TrackerClose,
    /// Any other request.
    Tracker,
    /// The head of an answer.
    NodeGet,
    /// The answer, from the first byte of the body on.
    NodePut,
    NodeHead,
}

/// The upper bounds of the buckets of a histogram, in milliseconds tenfold; the last bucket has none.
const BOUNDS: [u64; 14] = [
    10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 300_000,
];

/// The same as seconds, as they are written.
pub const SECONDS: [&str; 14] = [
    "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5",
    "10", "30",
];

const EVENTS: usize = Event::CloseUnknown as usize + 1;
const WAITS: usize = Wait::NodeHead as usize + 1;

/// Buckets, and the sum in microseconds.
const HISTOGRAM: usize = BOUNDS.len() + 2;

/// How many numbers there are.
const COUNT: usize = WAITS * HISTOGRAM + EVENTS;

/// All of it, as numbers that are added one by one: each histogram, then each event; new events are
/// added at the end, so that another version understands the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures([u64; COUNT]);

impl Default for Figures {
    fn default() -> Self {
        Self([0; COUNT])
    }
}

impl Figures {
    /// From [`Self::numbers`] of this or another version: what is missing is 0.
    #[must_use]
    pub fn of(numbers: &[u64]) -> Self {
        let mut figures = Self::default();
        for (own, number) in figures.0.iter_mut().zip(numbers) {
            *own = *number;
        }
        figures
    }

    #[must_use]
    pub fn numbers(&self) -> &[u64] {
        &self.0
    }

    /// Another process has counted these.
    pub fn add(&mut self, others: &Self) {
        for (own, other) in self.0.iter_mut().zip(&others.0) {
            *own = own.saturating_add(*other);
        }
    }

    /// How often this happened.
    #[must_use]
    pub fn events(&self, event: Event) -> u64 {
        self.0.get(Self::place(event)).copied().unwrap_or_default()
    }

    /// How long this took.
    #[must_use]
    pub fn histogram(&self, wait: Wait) -> Histogram<'_> {
        let start = wait as usize * HISTOGRAM;
        let own = self.0.get(start..start + HISTOGRAM).unwrap_or_default();
        match own.split_last() {
            Some((sum, buckets)) => Histogram { buckets, sum: *sum },
            None => Histogram {
                buckets: &[],
                sum: 0,
            },
        }
    }

    const fn place(event: Event) -> usize {
        WAITS * HISTOGRAM + event as usize
    }

    fn increase(&mut self, at: usize, by: u64) {
        if let Some(number) = self.0.get_mut(at) {
            *number = number.saturating_add(by);
        }
    }

    fn took(&mut self, wait: Wait, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| bound.saturating_mul(100) < micros);
        let start = wait as usize * HISTOGRAM;
        self.increase(start + bucket, 1);
        self.increase(start + HISTOGRAM - 1, micros);
    }
}

/// Answers by how long they took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram<'a> {
    buckets: &'a [u64],
    sum: u64,
}

impl Histogram<'_> {
    /// How many took no longer than each of [`SECONDS`], and how many there were in all.
    pub fn cumulated(&self) -> impl Iterator<Item = u64> {
        self.buckets.iter().scan(0_u64, |sum, count| {
            *sum = sum.saturating_add(*count);
            Some(*sum)
        })
    }

    /// What all took together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum)
    }
}

thread_local! {
    static NEW: RefCell<Figures> = RefCell::new(Figures::default());
}

/// It happened.
pub fn count(event: Event) {
    NEW.with_borrow_mut(|new| new.increase(Figures::place(event), 1));
}

/// It was waited for, and came.
pub fn took(wait: Wait, time: Duration) {
    NEW.with_borrow_mut(|new| new.took(wait, time));
}

/// What this process has counted since it was last asked, if anything.
#[must_use]
pub fn take() -> Option<Figures> {
    let new = NEW.take();
    (new != Figures::default()).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_taken_once_and_added() {
        let _ = take();
        assert_eq!(take(), None);
        count(Event::TrackerFailed);
        count(Event::CloseUnknown);
        let millis = Duration::from_millis;
        for time in [0, 1, 2, 30_000, 30_001] {
            took(Wait::NodeHead, millis(time));
        }
        took(Wait::TrackerOpen, Duration::MAX);
        let first = take().unwrap();
        assert_eq!(take(), None);
        let mut sum = Figures::default();
        sum.add(&first);
        sum.add(&Figures::of(first.numbers()));
        assert_eq!(sum.events(Event::TrackerFailed), 2);
        assert_eq!(sum.events(Event::CloseUnknown), 2);
        assert_eq!(sum.events(Event::NodeFailed), 0);
        let heads = first.histogram(Wait::NodeHead);
        let counts: Vec<u64> = heads.cumulated().collect();
        assert_eq!(counts.len(), SECONDS.len() + 1);
        assert_eq!(counts[..3], [2, 3, 3]);
        assert_eq!(counts[12..], [3, 4, 5]);
        assert_eq!(heads.sum(), millis(60_004));
        assert_eq!(
            first.histogram(Wait::TrackerOpen).cumulated().last(),
            Some(1)
        );
        assert_eq!(first.histogram(Wait::NodePut).cumulated().last(), Some(0));
    }

    #[test]
    fn bounds_are_written_as_what_they_are() {
        for (bound, seconds) in BOUNDS.iter().zip(SECONDS) {
            let seconds: f64 = seconds.parse().unwrap();
            assert!(
                (seconds * 10_000.0 - *bound as f64).abs() < 1e-6,
                "{seconds}"
            );
        }
    }
}
