//! The clerk: born first, born again when it dies, and what it says of names.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::Master;
use super::bell::Ring;
use crate::leash::{self, FromClerk, Heard, MasterOfClerk, ToWorker};
use crate::logger;
use crate::sys::fds;
use crate::sys::process::{self, Ending};
use crate::text::quoted;

/// A clerk that lived so long did not die of its birth.
const SOUND: Duration = Duration::from_secs(60);

/// The clerk that there is.
#[derive(Debug)]
pub(super) struct ClerkSeat {
    pid: i32,
    leash: MasterOfClerk,
    since: Instant,
    /// It is to end.
    is_dismissed: bool,
}

impl Master<'_> {
    pub(super) fn maintain_clerk(&mut self, now: Instant) {
        if self.stop.is_some() || self.clerk.is_some() || !self.clerk_births.may_begin(now) {
            return;
        }
        if let Err(error) = self.spawn_clerk(now) {
            let pause = self.clerk_births.failed(now).as_millis();
            log::error!("fork-failed process=clerk pause_ms={pause} why=\"{error}\"");
        }
    }

    pub(super) fn clerk_due(&self) -> Option<Instant> {
        let is_missing = self.stop.is_none() && self.clerk.is_none();
        self.clerk_births.next().filter(|_| is_missing)
    }

    fn spawn_clerk(&mut self, now: Instant) -> io::Result<()> {
        let (own, theirs): (MasterOfClerk, leash::Clerk) = leash::pair(fds::receive)?;
        self.bell.add(&own, Ring::Clerk)?;
        let mut keep = logger::descriptors();
        keep.extend(self.ground.clerk.descriptors());
        keep.push(theirs.as_fd().as_raw_fd());
        let (work, jail) = (self.crew.clerk, &self.ground.clerk);
        let names = self.addresses.names();
        let pid = process::spawn(self.streams(), &keep, move || -> Infallible {
            work(&theirs, &names, jail)
        })?;
        self.clerk = Some(ClerkSeat {
            pid: pid.as_raw(),
            leash: own,
            since: now,
            is_dismissed: false,
        });
        Ok(())
    }

    pub(super) fn hear_clerk(&mut self) {
        while let Some(clerk) = &self.clerk {
            match clerk.leash.receive() {
                Ok(Heard::Message(FromClerk::Ready)) => log::debug!("clerk-ready"),
                Ok(Heard::Message(FromClerk::Host {
                    name,
                    addresses,
                    why,
                })) => {
                    if addresses.is_empty() {
                        let name = quoted(name.as_bytes());
                        log::warn!("name-not-found name={name} why={}", quoted(why.as_bytes()));
                    } else if self.addresses.learn(&name, addresses) {
                        self.spread_addresses(&name);
                    }
                }
                Ok(Heard::Nothing) => return,
                Ok(Heard::End) => {
                    self.bell.remove(&clerk.leash);
                    return;
                }
                Err(error) => {
                    log::error!("leash-broken process=clerk why=\"{error}\"");
                    self.bell.remove(&clerk.leash);
                    process::kill(Pid::from_raw(clerk.pid));
                    return;
                }
            }
        }
    }

    fn spread_addresses(&self, name: &str) {
        log::info!("name-found name={}", quoted(name.as_bytes()));
        self.tell_addresses();
    }

    pub(super) fn tell_addresses(&self) {
        let addresses = self.addresses.trackers();
        let trackers = ToWorker::Trackers { addresses };
        let address = self.addresses.announced();
        let announce = ToWorker::Announce { address };
        for pid in self.pids() {
            self.tell(pid, &trackers);
            self.tell(pid, &announce);
        }
    }

    /// Whether it was the clerk that died.
    pub(super) fn bury_clerk(&mut self, pid: i32, ending: Ending, now: Instant) -> bool {
        let Some(clerk) = self.clerk.take_if(|clerk| clerk.pid == pid) else {
            return false;
        };
        self.bell.remove(&clerk.leash);
        if clerk.is_dismissed {
            return true;
        }
        log::warn!("clerk-died pid={pid} {ending}");
        if now.saturating_duration_since(clerk.since) >= SOUND {
            self.clerk_births.succeeded();
        }
        self.clerk_births.failed(now);
        true
    }

    /// Ends the clerk, which has nothing to lose. If the service goes on another one takes its
    /// place.
    pub(super) fn end_clerk(&mut self) {
        if let Some(clerk) = &mut self.clerk {
            clerk.is_dismissed = true;
            process::kill(Pid::from_raw(clerk.pid));
        }
    }

    pub(super) fn clerk_leash(&self) -> Option<&MasterOfClerk> {
        self.clerk.as_ref().map(|clerk| &clerk.leash)
    }
}
