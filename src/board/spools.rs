//! How much of the room for spools each worker has. What a worker had is free when it is gone.

use std::collections::BTreeMap;

/// All leases, in megabytes, by pid.
#[derive(Debug, Default)]
pub struct Spools(BTreeMap<i32, u64>);

impl Spools {
    /// Lets a worker have so much more, if all together then have no more than `most`.
    pub fn take(&mut self, pid: i32, megabytes: u64, most: u64) -> bool {
        let fits = self
            .leased()
            .checked_add(megabytes)
            .is_some_and(|sum| sum <= most);
        if fits {
            *self.0.entry(pid).or_default() += megabytes;
        }
        fits
    }

    /// How many megabytes all have together.
    #[must_use]
    pub fn leased(&self) -> u64 {
        self.0.values().sum()
    }

    /// A worker needs so much no more.
    pub fn give(&mut self, pid: i32, megabytes: u64) {
        if let Some(had) = self.0.get_mut(&pid) {
            *had = had.saturating_sub(megabytes);
        }
    }

    /// How much a worker has.
    #[must_use]
    pub fn of(&self, pid: i32) -> u64 {
        self.0.get(&pid).copied().unwrap_or_default()
    }

    /// A worker has ended.
    pub fn gone(&mut self, pid: i32) {
        self.0.remove(&pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_never_have_more_than_there_is() {
        let mut spools = Spools::default();
        assert!(spools.take(1, 6, 10));
        assert!(!spools.take(2, 5, 10));
        assert!(spools.take(2, 4, 10));
        spools.give(1, 1);
        assert!(spools.take(2, 1, 10));
        assert_eq!(spools.leased(), 10);
        assert!(!spools.take(2, u64::MAX, 10));
        spools.gone(2);
        assert!(spools.take(3, 5, 10));
        assert!(!spools.take(3, 1, 10));
    }
}
