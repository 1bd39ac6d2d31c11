//! The clerks: born first, born again when they die, and ended last. What they are sent for is
//! [`errands`].

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::Master;
use super::bell::Ring;
use crate::board::Births;
use crate::config::{AuthModule, Config};
use crate::leash::{self, MasterOfClerk};
use crate::logger;
use crate::sys::fds;
use crate::sys::process::{self, Ending};

mod errands;

/// A clerk that lived so long did not die of its birth.
const SOUND: Duration = Duration::from_secs(60);

/// What a clerk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Duty {
    /// Writes what all log.
    Lines,
    /// Finds the addresses of names, and who answers again.
    Names,
    /// Asks the site's program about logins. The one that finds names would be held up by a name
    /// server just when people want to come in, and needs no right to run programs.
    Logins,
    /// Runs the site's program for each upload. How long that takes is nobody else's concern.
    Hooks,
}

impl Duty {
    const ALL: [Self; 4] = [Self::Lines, Self::Names, Self::Logins, Self::Hooks];

    fn is_wanted(self, config: &Config) -> bool {
        match self {
            Self::Lines | Self::Names => true,
            Self::Logins => config.auth.module == AuthModule::Exec,
            Self::Hooks => config.hooks.uploaded.is_some(),
        }
    }

    /// Whether a clerk that was born under one configuration would be the same under the other.
    fn is_same(self, old: &Config, new: &Config) -> bool {
        let person = |config: &Config| {
            let own = &config.nanoftpd;
            (own.userid.clone(), own.groupid.clone())
        };
        // What it logs, and how, it was given at birth.
        let voice = |config: &Config| {
            let logging = &config.logging;
            (logging.mode, logging.syslog_facility.clone())
        };
        let is_same_one = person(old) == person(new) && voice(old) == voice(new);
        match self {
            // It does the same under any configuration, and may have lines in hand.
            Self::Lines => true,
            // It is given its names at birth.
            Self::Names => false,
            Self::Logins => old.auth.exec == new.auth.exec && is_same_one,
            // It is let go of when it has done what it has: at less cost.
            Self::Hooks => {
                let is_as_loud = old.logging.level == new.logging.level;
                old.hooks == new.hooks && is_same_one && is_as_loud
            }
        }
    }
}

/// All clerks.
#[derive(Debug, Default)]
pub(super) struct Clerks {
    /// By pid.
    seats: BTreeMap<i32, Seat>,
    /// Those that another program has left to finish what they have.
    left: BTreeSet<i32>,
    births: BTreeMap<Duty, Births>,
}

/// One clerk.
#[derive(Debug)]
struct Seat {
    duty: Duty,
    leash: MasterOfClerk,
    since: Instant,
    /// It is to end.
    is_dismissed: bool,
    /// It is let go, to finish what it has; it is still heard.
    is_retired: bool,
    /// The workers that wait for its answer, and the numbers of their questions.
    asked: BTreeMap<i32, u32>,
}

impl Clerks {
    /// The one that is for `duty`.
    fn seat(&self, duty: Duty) -> Option<&Seat> {
        self.seats.values().find(|seat| seat.serves(duty))
    }

    fn seat_mut(&mut self, duty: Duty) -> Option<&mut Seat> {
        self.seats.values_mut().find(|seat| seat.serves(duty))
    }

    /// Whether none is left but the one that writes the last lines.
    pub(super) fn are_gone(&self) -> bool {
        let mut seats = self.seats.values();
        seats.all(|seat| seat.duty == Duty::Lines) && self.left.is_empty()
    }

    /// Whether somebody waits for an answer.
    pub(super) fn are_asked(&self) -> bool {
        self.seats.values().any(|seat| !seat.asked.is_empty())
    }

    /// Who waits for an answer, and the numbers of the questions.
    pub(super) fn asked(&self) -> impl Iterator<Item = (i32, u32)> {
        let asked = self.seats.values().flat_map(|seat| &seat.asked);
        asked.map(|(worker, number)| (*worker, *number))
    }

    /// Those that finish what they have when another program takes this one's place.
    pub(super) fn finishing(&self) -> impl Iterator<Item = i32> {
        let seats = self.seats.iter();
        let hooks = seats.filter(|(_, seat)| seat.duty == Duty::Hooks);
        self.left.iter().chain(hooks.map(|(pid, _)| pid)).copied()
    }

    /// One that another program has left to finish what it has.
    pub(super) fn await_end(&mut self, pid: i32) {
        self.left.insert(pid);
    }

    /// The one that writes lines.
    pub(super) fn writer(&self) -> Option<&MasterOfClerk> {
        self.seat(Duty::Lines).map(|seat| &seat.leash)
    }
}

impl Master<'_> {
    fn missing_clerks(&self) -> impl Iterator<Item = Duty> {
        let is_missing =
            |duty: &Duty| duty.is_wanted(&self.config) && self.clerks.seat(*duty).is_none();
        // Whoever tells all processes to end ends it too, and sessions have yet to be logged.
        let is_needed = |duty: &Duty| self.stop.is_none() || *duty == Duty::Lines;
        Duty::ALL
            .into_iter()
            .filter(move |duty| is_needed(duty) && is_missing(duty))
    }

    pub(super) fn maintain_clerks(&mut self, now: Instant) {
        let missing: Vec<Duty> = self.missing_clerks().collect();
        for duty in missing {
            let births = self.clerks.births.entry(duty).or_default();
            if !births.may_begin(now) {
                continue;
            }
            if let Err(error) = self.spawn_clerk(duty, now) {
                let births = self.clerks.births.entry(duty).or_default();
                let pause = births.failed(now);
                self.complain_of_fork("clerk", pause, &error, now);
            }
        }
    }

    pub(super) fn clerk_due(&self) -> Option<Instant> {
        self.missing_clerks()
            .filter_map(|duty| self.clerks.births.get(&duty)?.next())
            .min()
    }

    fn spawn_clerk(&mut self, duty: Duty, now: Instant) -> io::Result<()> {
        let (own, theirs): (MasterOfClerk, leash::Clerk) = leash::pair(fds::hear, fds::receive)?;
        let jail = match duty {
            Duty::Lines | Duty::Names => &self.ground.clerk,
            Duty::Logins | Duty::Hooks => &self.ground.login_clerk,
        };
        let mut keep = logger::descriptors();
        keep.extend(jail.descriptors());
        keep.push(theirs.as_fd().as_raw_fd());
        if duty == Duty::Lines {
            keep.extend(self.relay.descriptors());
        }
        let relay = &self.relay;
        let (crew, names) = (self.crew, self.addresses.names());
        let fresh = self.config.nanoftpd.resolve_interval;
        let (settings, exec) = (&self.config.mogilefs, &self.config.auth.exec);
        let hooks = &self.config.hooks;
        let pid = process::spawn(self.streams(), &keep, move || -> Infallible {
            match duty {
                Duty::Lines => (crew.log_clerk)(&theirs, relay, jail),
                Duty::Names => (crew.clerk)(&theirs, (&names, fresh), settings, jail),
                Duty::Logins => (crew.login_clerk)(&theirs, exec, jail),
                Duty::Hooks => (crew.hook_clerk)(&theirs, hooks, jail),
            }
        })?;
        let pid = pid.as_raw();
        self.bell.add(&own, Ring::Clerk(pid))?;
        let seat = Seat {
            duty,
            leash: own,
            since: now,
            is_dismissed: false,
            is_retired: false,
            asked: BTreeMap::new(),
        };
        self.clerks.seats.insert(pid, seat);
        if duty == Duty::Names {
            for suspect in self.lore.shunned() {
                self.have_tried(suspect);
            }
        }
        Ok(())
    }

    /// Whether it was a clerk that died.
    pub(super) fn bury_clerk(&mut self, pid: i32, ending: Ending, now: Instant) -> bool {
        if self.clerks.left.remove(&pid) {
            return true;
        }
        // Its last words are still to be heard.
        self.hear_clerk(pid);
        let Some(seat) = self.clerks.seats.remove(&pid) else {
            return false;
        };
        self.bell.remove(&seat.leash);
        for (worker, number) in &seat.asked {
            self.answer_nothing(*worker, *number);
        }
        if seat.is_dismissed || seat.is_retired {
            return true;
        }
        log::warn!("clerk-died pid={pid} {ending}");
        let births = self.clerks.births.entry(seat.duty).or_default();
        if now.saturating_duration_since(seat.since) >= SOUND {
            births.proved(now);
        }
        births.failed(now);
        true
    }

    /// Ends the clerks that the old configuration made and the present one would not.
    pub(super) fn renew_clerks(&mut self, old: &Config) {
        let is_same = |duty: &Duty| duty.is_wanted(&self.config) && duty.is_same(old, &self.config);
        let others: Vec<Duty> = Duty::ALL
            .into_iter()
            .filter(|duty| !is_same(duty))
            .collect();
        self.replace_clerks(&others);
    }

    /// Ends these clerks. Where they are still wanted others take their places.
    pub(super) fn replace_clerks(&mut self, duties: &[Duty]) {
        for (pid, seat) in &mut self.clerks.seats {
            match seat.duty {
                duty if !duties.contains(&duty) => {}
                Duty::Logins | Duty::Hooks => seat.retire(),
                Duty::Names | Duty::Lines => seat.end(*pid),
            }
        }
    }

    /// The service stops: ends the clerks that have nothing to lose.
    pub(super) fn dismiss_clerks(&mut self) {
        for (pid, seat) in &mut self.clerks.seats {
            match seat.duty {
                Duty::Names | Duty::Logins => seat.end(*pid),
                Duty::Hooks | Duty::Lines => {}
            }
        }
    }

    /// Lets the last one go when nobody is left who could have something for it.
    pub(super) fn dismiss_hooks_if_due(&mut self) {
        if self.stop.is_some() && self.board.counts().total == 0 {
            self.replace_clerks(&[Duty::Hooks]);
        }
    }

    /// Ends all clerks now.
    pub(super) fn end_clerks(&mut self) {
        for (pid, seat) in &mut self.clerks.seats {
            // It ends when nobody is left who could log anything.
            match seat.duty {
                Duty::Lines => seat.is_dismissed = true,
                Duty::Names | Duty::Logins | Duty::Hooks => seat.end(*pid),
            }
        }
        for pid in &self.clerks.left {
            process::kill(Pid::from_raw(*pid));
        }
    }
}

impl Seat {
    fn serves(&self, duty: Duty) -> bool {
        self.duty == duty && !self.is_retired
    }

    /// It finishes what it has, and another one may take its place.
    fn retire(&mut self) {
        self.is_retired = true;
        self.leash.let_go();
    }

    fn end(&mut self, pid: i32) {
        self.is_dismissed = true;
        process::kill(Pid::from_raw(pid));
        // In a container that has taken the right to kill away this is all that it hears.
        self.leash.let_go();
    }
}
