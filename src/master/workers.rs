//! Workers: how many there are to be, what the master tells them, and what is said when they die. How they
//! are born is in `nurseries`; who is there is counted on the board, and by nobody else.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::nurseries::is_placeholder;
use super::{KILL_AFTER, Master};
use crate::board::{Seat, State};
use crate::leash::{self, MasterOfWorker, ToWorker};
use crate::sys::process::{Ending, Streams};
use crate::sys::{fds, rights};
use crate::text::quoted;

/// So many are forked before somebody is listened to again.
const FORKS_A_TURN: usize = 8;

/// Where births follow each other within so short a time, so many more are begun together: the nursery
/// is woken once for them, and pays once for the pages that it writes to next.
const RUSH: Duration = Duration::from_millis(50);
const TOGETHER: usize = 3;

/// How often it is said that forking fails.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// A worker that has waited so long for a client did not die of its birth.
const CHILDHOOD: Duration = Duration::from_secs(1);

/// Descriptors of the master beside one leash a worker.
const OWN_DESCRIPTORS: u64 = 64;

impl Master<'_> {
    /// There must be a leash for every worker.
    pub(super) fn allow_descriptors(&self) {
        let most = u64::try_from(self.config.pool.max_clients).unwrap_or(u64::MAX);
        let wanted = most.saturating_add(OWN_DESCRIPTORS);
        match rights::raise_descriptors(wanted) {
            Ok(allowed) if allowed >= wanted => {}
            Ok(allowed) => log::warn!("few-descriptors wanted={wanted} allowed={allowed}"),
            Err(error) => log::warn!("few-descriptors wanted={wanted} why=\"{error}\""),
        }
    }

    /// Keeps `min_spare` to `max_spare` workers waiting, up to `max_clients` in all.
    pub(super) fn maintain_worker_count(&mut self, now: Instant) {
        if self.stop.is_some() {
            return;
        }
        self.retire_surplus();
        if self.births.may_begin(now) {
            self.spawn_missing(now);
        }
    }

    fn retire_surplus(&mut self) {
        let surplus = self.board.counts().idle;
        let surplus = surplus.saturating_sub(self.config.pool.max_spare);
        for pid in self.board.idlers(surplus) {
            self.retire(pid);
        }
    }

    fn spawn_missing(&mut self, now: Instant) {
        let missing = self.births.at_once(self.missing_workers(now));
        if missing > 0 {
            self.last_births = Some(now);
        }
        for _ in 0..missing.min(FORKS_A_TURN) {
            if self.is_nursery_full() {
                break;
            }
            if let Err(error) = self.spawn_worker(now) {
                self.birth_failed(&error, now);
                break;
            }
        }
    }

    /// Those who are yet to be born are counted as spare, so nobody is asked for twice.
    fn missing_workers(&self, now: Instant) -> usize {
        let (counts, pool) = (self.board.counts(), &self.config.pool);
        let is_crowd = counts.idle == 0 && counts.visitors > 0;
        let last = self.last_births;
        let is_rush = last.is_some_and(|last| now.saturating_duration_since(last) < RUSH);
        let wanted = if is_crowd {
            pool.max_spare
        } else if is_rush && counts.spare < pool.min_spare {
            pool.max_spare.min(pool.min_spare.saturating_add(TOGETHER))
        } else {
            pool.min_spare
        };
        let room = pool.max_clients.saturating_sub(counts.total);
        wanted.saturating_sub(counts.spare).min(room)
    }

    /// When workers are to be started next, if any are missing and the next answer is not to be awaited.
    pub(super) fn worker_due(&self, now: Instant) -> Option<Instant> {
        let may_start = self.stop.is_none() && !self.is_nursery_full();
        let is_short = may_start && self.missing_workers(now) > 0;
        is_short.then(|| self.births.next().unwrap_or(now))
    }

    fn spawn_worker(&mut self, now: Instant) -> io::Result<()> {
        let (own, theirs): (MasterOfWorker, leash::Worker) = leash::pair(fds::hear, fds::receive)?;
        if self.gate.shut.is_some() {
            // Before it is there, so that it knows before the first client comes.
            own.send(&ToWorker::Gate { is_shut: true })?;
        }
        // It is counted, and told whatever all are told, before it has a pid.
        let placeholder = self.ask_for_worker(theirs, now)?;
        let clients = self.config.pool.sessions_per_worker;
        self.board.asked_for(placeholder, clients, now);
        self.leashes.insert(placeholder, own);
        Ok(())
    }

    /// A worker could not be forked.
    pub(super) fn birth_failed(&mut self, error: &io::Error, now: Instant) {
        let pause = self.pause_births(now);
        self.complain_of_fork("worker", pause, error, now);
    }

    /// No worker is asked for during the time that is returned, which grows with each failure.
    pub(super) fn pause_births(&mut self, now: Instant) -> Duration {
        let pause = self.births.failed(now);
        log::debug!("births-paused ms={}", pause.as_millis());
        pause
    }

    /// Says that a process could not be forked, of whatever kind, once in a while.
    pub(super) fn complain_of_fork(
        &mut self,
        process: &str,
        pause: Duration,
        error: &io::Error,
        now: Instant,
    ) {
        let last = self.complaint;
        if last.is_none_or(|last| now.saturating_duration_since(last) >= COMPLAIN_EVERY) {
            self.complaint = Some(now);
            let pause = pause.as_millis();
            log::error!("fork-failed process={process} pause_ms={pause} why=\"{error}\"");
        }
    }

    pub(super) fn streams(&self) -> Streams<'_> {
        Streams {
            input: self.nowhere.as_fd(),
            output: self.gutter.mouth(),
            errors: self.gutter.mouth(),
        }
    }

    /// Tells one worker; it is not waited for.
    pub(super) fn tell(&self, pid: i32, message: &ToWorker) {
        let Some(leash) = self.leashes.get(&pid) else {
            return;
        };
        match leash.send(message) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                log::warn!("leash-full pid={pid} why=\"{error}\"");
            }
            _ => {}
        }
    }

    pub(super) fn pids(&self) -> Vec<i32> {
        self.leashes.keys().copied().collect()
    }

    /// Lets a worker end after its client.
    pub(super) fn retire(&mut self, pid: i32) {
        self.tell(pid, &ToWorker::Retire);
        self.board.retired(pid);
    }

    /// Lets a worker say `text` and end now.
    pub(super) fn dismiss(&mut self, pid: i32, text: &str, now: Instant) {
        let text = text.to_owned();
        self.tell(pid, &ToWorker::Kick { text });
        self.board.dismissed(pid, now + KILL_AFTER);
    }

    /// A worker has let go of its leash: it is ending, or is made to.
    pub(super) fn drop_leash(&mut self, pid: i32, now: Instant) {
        if let Some(leash) = self.leashes.remove(&pid) {
            self.bell.remove(&leash);
            if is_placeholder(pid) {
                // When it is reaped nobody will know whose pid that was.
                self.bury_worker(pid, Ending::Exit(0), now);
            } else {
                self.board.killed(pid, now + KILL_AFTER);
            }
        }
    }

    pub(super) fn bury_worker(&mut self, pid: i32, ending: Ending, now: Instant) {
        self.hear_last_words(pid, now);
        self.drop_leash(pid, now);
        self.spools.gone(pid);
        self.shares.gone(pid, now);
        self.gate.held.remove(&pid);
        self.heirlooms.remove(&pid);
        let Some(seat) = self.board.gone(pid) else {
            if !self.keep_early_death(pid, ending) {
                log::debug!("stranger-died pid={pid} {ending}");
            }
            return;
        };
        if ending == Ending::Exit(0) {
            log::debug!("worker-ended pid={pid}");
            return;
        }
        self.tally.worker_deaths += 1;
        log::warn!("worker-died pid={pid} {ending} {}", about(&seat));
        let is_stillborn = match seat.state {
            State::Unborn => true,
            State::Idle => now.saturating_duration_since(seat.since) < CHILDHOOD,
            State::Visitor { .. } | State::Member { .. } => false,
        };
        if is_stillborn && !seat.is_leaving {
            self.pause_births(now);
        }
    }
}

/// What a worker did, for the log.
fn about(seat: &Seat) -> String {
    match &seat.state {
        State::Unborn => "state=unborn".to_owned(),
        State::Idle => "state=idle".to_owned(),
        State::Visitor { peer } => format!("state=visitor peer={}", peer.ip()),
        State::Member {
            peer, user, verb, ..
        } => format!(
            "state=member peer={} verb={verb} user={}",
            peer.ip(),
            quoted(user)
        ),
    }
}
