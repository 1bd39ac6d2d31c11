//! What has happened since the start, counted. Workers come and go; the counts stay.

use crate::leash::Outcome;

/// The counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Clients that were let in.
    pub sessions: u64,
    /// Clients that were not.
    pub refused: u64,
    pub logins: u64,
    pub failed_logins: u64,
    pub bans: u64,
    pub uploads: Transfers,
    pub downloads: Transfers,
    /// Workers that ended otherwise than they should.
    pub worker_deaths: u64,
    /// Runs of the site's program.
    pub hooks: Hooks,
}

/// What became of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    pub done: u64,
    pub failed: u64,
    pub dropped: u64,
}

/// The transfers of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// The client was told that all went well.
    pub complete: u64,
    pub incomplete: u64,
    pub bytes: u64,
}

impl Tally {
    /// All counts in a fixed order, to which new ones are added at the end.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        let Self {
            sessions,
            refused,
            logins,
            failed_logins,
            bans,
            uploads,
            downloads,
            worker_deaths,
            hooks,
        } = *self;
        let [up, down] = [uploads, downloads].map(|way| [way.complete, way.incomplete, way.bytes]);
        let [others, last] = [
            [sessions, refused, logins],
            [failed_logins, bans, worker_deaths],
        ];
        let hooks = [hooks.done, hooks.failed, hooks.dropped];
        [others, last, up, down, hooks].concat()
    }

    /// From [`Self::numbers`] of this or another version: what is missing is 0.
    #[must_use]
    pub fn of(numbers: &[u64]) -> Self {
        let mut numbers = numbers.iter().copied();
        let mut next = || numbers.next().unwrap_or_default();
        let (sessions, refused, logins) = (next(), next(), next());
        let (failed_logins, bans, worker_deaths) = (next(), next(), next());
        let mut way = || Transfers {
            complete: next(),
            incomplete: next(),
            bytes: next(),
        };
        Self {
            sessions,
            refused,
            logins,
            failed_logins,
            bans,
            uploads: way(),
            downloads: way(),
            worker_deaths,
            hooks: Hooks {
                done: next(),
                failed: next(),
                dropped: next(),
            },
        }
    }

    /// A run of the site's program has ended, or will not be.
    pub fn hook_ended(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done => self.hooks.done += 1,
            Outcome::Failed => self.hooks.failed += 1,
            Outcome::Dropped => self.hooks.dropped += 1,
        }
    }

    /// So many transfers have ended, of so many bytes together.
    pub fn transferred(&mut self, is_upload: bool, is_complete: bool, count: u64, bytes: u64) {
        let way = match is_upload {
            true => &mut self.uploads,
            false => &mut self.downloads,
        };
        match is_complete {
            true => way.complete += count,
            false => way.incomplete += count,
        }
        way.bytes = way.bytes.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_the_same_after_they_were_handed_over() {
        let numbers: Vec<u64> = (1..=15).collect();
        assert_eq!(Tally::of(&numbers).numbers(), numbers);
        let shorter = Tally::of(&[7]);
        assert_eq!((shorter.sessions, shorter.downloads.bytes), (7, 0));
        assert_eq!(
            shorter,
            Tally::of(&[7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9])
        );
    }
}
