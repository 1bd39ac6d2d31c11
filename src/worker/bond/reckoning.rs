//! How fast a session's bytes may move, and what the master hears of them and of what was counted.

use std::time::{Duration, Instant};

use super::Bond;
use crate::figures;
use crate::ftp::Traffic;
use crate::leash::FromWorker;

/// How often the master hears how far a transfer is.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How often it hears what was counted, in a long session.
const COUNT_EVERY: Duration = Duration::from_secs(5);

impl Bond {
    /// Whether what others of this user may move depends on what this session does.
    pub(in crate::worker) fn shares_rates(&self) -> bool {
        self.whole != (0, 0)
    }

    /// A command begins: of one that is soon over the master hears no bytes.
    pub(in crate::worker) fn begin_command(&self) {
        let now = Instant::now();
        self.told.set(now);
        self.tell_figures_in_time(now);
    }

    fn tell_figures_in_time(&self, now: Instant) {
        if now.saturating_duration_since(self.counted.get()) >= COUNT_EVERY {
            self.tell_figures(now);
        }
    }

    /// Tells the master what was counted since it was told so last.
    pub(in crate::worker) fn tell_figures(&self, now: Instant) {
        self.counted.set(now);
        if let Some(figures) = figures::take() {
            self.mention(&FromWorker::Figures(Box::new(figures)));
        }
    }
}

impl Traffic for Bond {
    fn upload_rate(&self) -> u64 {
        lower(self.rates.0, self.share.get().0)
    }

    fn download_rate(&self) -> u64 {
        lower(self.rates.1, self.share.get().1)
    }

    fn moved(&self, bytes: u64) {
        let now = Instant::now();
        if now.saturating_duration_since(self.told.get()) >= REPORT_EVERY {
            self.told.set(now);
            self.mention(&FromWorker::Moved { bytes });
            self.tell_figures_in_time(now);
        }
    }
}

/// The lower of two rates, where 0 is none.
fn lower(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, rate) | (rate, 0) => rate,
        (one, other) => one.min(other),
    }
}
