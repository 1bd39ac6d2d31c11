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
