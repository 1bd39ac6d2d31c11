//! What went over a worker's data connections, as far as it has told: it does so about once a
//! second while bytes move, and at the end of each transfer.

use std::time::{Duration, Instant};

/// After so long without news nothing moves.
const STILL: Duration = Duration::from_secs(3);

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From the client.
    Up,
    /// To the client.
    Down,
}

impl Way {
    /// Of a command's data connection, if it has one.
    #[must_use]
    pub fn of(verb: &str) -> Option<Self> {
        match verb {
            "STOR" | "STOU" | "APPE" => Some(Self::Up),
            "RETR" | "LIST" | "NLST" | "MLSD" => Some(Self::Down),
            _ => None,
        }
    }
}

/// Of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// By the running transfer.
    bytes: u64,
    /// Between the last two reports.
    rate: u64,
    /// The last report, or the beginning.
    heard: Option<Instant>,
    /// By those that have ended.
    pub uploaded: u64,
    pub downloaded: u64,
}

impl Traffic {
    /// What another master is told: by the running transfer, and by those that have ended, up and
    /// down.
    #[must_use]
    pub fn numbers(&self) -> [u64; 3] {
        [self.bytes, self.uploaded, self.downloaded]
    }

    /// From [`Self::numbers`]; what is missing is 0.
    #[must_use]
    pub fn of(numbers: &[u64], now: Instant) -> Self {
        let mut numbers = numbers.iter().copied();
        let mut next = || numbers.next().unwrap_or_default();
        Self {
            bytes: next(),
            rate: 0,
            heard: Some(now),
            uploaded: next(),
            downloaded: next(),
        }
    }

    /// A command has begun, or there is none.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.bytes, self.rate, self.heard) = (0, 0, Some(now));
    }

    /// The running transfer is at `bytes`.
    pub(super) fn moved(&mut self, bytes: u64, now: Instant) {
        let time = self.heard.map(|heard| now.saturating_duration_since(heard));
        let millis = time.unwrap_or_default().as_millis().max(1);
        let rate = u128::from(bytes.saturating_sub(self.bytes)) * 1000 / millis;
        self.rate = u64::try_from(rate).unwrap_or(u64::MAX);
        (self.bytes, self.heard) = (bytes, Some(now));
    }

    /// The transfer of a file has ended.
    pub(super) fn ended(&mut self, is_upload: bool, bytes: u64) {
        let sum = match is_upload {
            true => &mut self.uploaded,
            false => &mut self.downloaded,
        };
        *sum = sum.saturating_add(bytes);
        (self.bytes, self.rate) = (0, 0);
    }

    /// Bytes that the running transfer has moved.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes a second that it moves.
    #[must_use]
    pub fn rate(&self, now: Instant) -> u64 {
        let is_still = |heard| now.saturating_duration_since(heard) > STILL;
        match self.heard {
            Some(heard) if !is_still(heard) => self.rate,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_report_and_ends_with_the_reports() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut traffic = Traffic::default();
        traffic.begin(start);
        traffic.moved(1000, at(1000));
        assert_eq!((traffic.bytes(), traffic.rate(at(1000))), (1000, 1000));
        traffic.moved(1500, at(3000));
        assert_eq!((traffic.bytes(), traffic.rate(at(3000))), (1500, 250));
        assert_eq!(traffic.rate(at(6001)), 0);
        traffic.ended(true, 2000);
        traffic.ended(false, 1);
        traffic.begin(at(7000));
        assert_eq!((traffic.bytes(), traffic.rate(at(7000))), (0, 0));
        assert_eq!((traffic.uploaded, traffic.downloaded), (2000, 1));
    }
}
