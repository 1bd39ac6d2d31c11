//! What has happened since the start, counted. Workers come and go; the counts stay.

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
        } = *self;
        let [up, down] = [uploads, downloads].map(|way| [way.complete, way.incomplete, way.bytes]);
        let [others, last] = [
            [sessions, refused, logins],
            [failed_logins, bans, worker_deaths],
        ];
        [others, last, up, down].concat()
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
        }
    }

    /// A transfer has ended.
    pub fn transferred(&mut self, is_upload: bool, is_complete: bool, bytes: u64) {
        let way = match is_upload {
            true => &mut self.uploads,
            false => &mut self.downloads,
        };
        match is_complete {
            true => way.complete += 1,
            false => way.incomplete += 1,
        }
        way.bytes = way.bytes.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_the_same_after_they_were_handed_over() {
        let numbers: Vec<u64> = (1..=12).collect();
        assert_eq!(Tally::of(&numbers).numbers(), numbers);
        let shorter = Tally::of(&[7]);
        assert_eq!((shorter.sessions, shorter.downloads.bytes), (7, 0));
        assert_eq!(shorter, Tally::of(&[7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]));
    }
}
