//! What a worker hears of its master and of signals, and what follows from it for a session that may be
//! in the middle of anything.

use nix::unistd::alarm;

use super::Bond;
use crate::leash::{Heard, ToWorker};
use crate::logger;
use crate::vigil::Verdict;

const MASTER_GONE: &str = "Server is gone, closing control connection.";
pub(super) const STOPPING: &str = "Server is stopping, closing control connection.";

impl Bond {
    /// Hears all that the master has said.
    pub(in crate::worker) fn hear(&self) -> Verdict {
        self.hear_words(usize::MAX)
    }

    /// Hears one word, when there is one. Who waits is woken again where there are more.
    pub(in crate::worker) fn hear_next(&self) -> Verdict {
        self.hear_words(1)
    }

    fn hear_words(&self, most: usize) -> Verdict {
        for _ in 0..most {
            match self.leash.receive() {
                Ok(Heard::Message(message)) => self.obey(message),
                // Of a master of another version, which needs no answer.
                Ok(Heard::Strange) => {}
                Ok(Heard::Nothing) => break,
                Ok(Heard::End) => return self.hear_the_end(),
                Err(error) => {
                    log::error!("leash-broken why=\"{error}\"");
                    return self.hear_the_end();
                }
            }
        }
        self.verdict()
    }

    fn hear_the_end(&self) -> Verdict {
        self.orphaned();
        match self.verdict() {
            // There is nothing more to hear, and it would be heard for ever.
            Verdict::Stay => Verdict::Rest,
            verdict => verdict,
        }
    }

    fn obey(&self, message: ToWorker) {
        match message {
            ToWorker::Answer { number, answer } => {
                // One to an earlier question came when nobody waited for it any more.
                if number == self.asked.get() {
                    self.answer.replace(Some(answer));
                }
            }
            ToWorker::Called { number, fd } => {
                if number == self.asked.get() {
                    self.handed.replace(Some(fd));
                    self.answer.replace(Some(Vec::new()));
                }
            }
            ToWorker::Retire => self.is_leaving.set(true),
            ToWorker::Leave { text } => self.end(text),
            ToWorker::Kick { text } => {
                self.end(text);
                self.is_over.set(true);
            }
            ToWorker::Log { which, fd } => {
                let which = logger::Which::numbered(which);
                if let Some(Err(error)) = which.map(|which| logger::relay(which, &fd)) {
                    log::warn!("log-not-replaced why=\"{error}\"");
                }
            }
            ToWorker::Trackers { addresses } => self.members.set_trackers(addresses),
            ToWorker::Announce { address } => self.announced.set(address),
            ToWorker::News(news) => self.members.learn(&news),
            ToWorker::Gate { is_shut } => self.is_shut.set(is_shut),
            ToWorker::Share { up, down } => self.share.set((up, down)),
        }
    }

    fn end(&self, text: String) {
        self.is_leaving.set(true);
        self.farewell.replace(Some(text));
    }

    fn verdict(&self) -> Verdict {
        let goes_when_idle = self.is_idle.get() && self.is_ending();
        if self.is_over.get() || goes_when_idle {
            Verdict::Leave
        } else {
            Verdict::Stay
        }
    }

    /// The master is gone: nobody may come in through us, and nobody else counts our time.
    fn orphaned(&self) {
        if self.is_orphan.replace(true) {
            return;
        }
        self.close_listeners();
        self.end(MASTER_GONE.to_owned());
        let seconds = u32::try_from(self.grace.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        alarm::set(seconds.max(1));
    }

    /// TERM: end when idle. ALRM: the time is over.
    pub(in crate::worker) fn hear_signal(&self) -> Verdict {
        while let Some(is_alarm) = self.ear.take() {
            if is_alarm {
                self.is_over.set(true);
            } else {
                self.end(STOPPING.to_owned());
            }
        }
        self.verdict()
    }
}
