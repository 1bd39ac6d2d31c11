//! What clerks are sent for, and what they bring back: names, logins, hooks, peers that answer again.
//! Whoever asked is told; nobody is waited for.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use nix::unistd::Pid;

use super::{Duty, Master};
use crate::board::State;
use crate::leash::{FromClerk, Heard, News, Outcome, Secret, ToClerk, ToWorker, Upload};
use crate::sys::process;
use crate::text::quoted;

impl Master<'_> {
    /// Has the clerk find out when `address` answers again; whether it will.
    pub(in crate::master) fn have_tried(&self, address: SocketAddr) -> bool {
        let is_tracker = self.addresses.trackers().contains(&address);
        let suspect = ToClerk::Suspect {
            address,
            is_tracker,
        };
        match self.clerks.seat(Duty::Names) {
            Some(clerk) => clerk.leash.send(&suspect).is_ok(),
            // The next one is told at birth.
            None => true,
        }
    }

    pub(in crate::master) fn hear_clerk(&mut self, pid: i32) {
        while let Some(clerk) = self.clerks.seats.get(&pid) {
            match clerk.leash.receive() {
                Ok(Heard::Message(message)) => self.obey_clerk(pid, message),
                Ok(Heard::Strange) => {}
                Ok(Heard::Nothing) => return,
                Ok(Heard::End) => {
                    self.bell.remove(&clerk.leash);
                    return;
                }
                Err(error) => {
                    log::error!("leash-broken process=clerk why=\"{error}\"");
                    self.bell.remove(&clerk.leash);
                    process::kill(Pid::from_raw(pid));
                    return;
                }
            }
        }
    }

    fn obey_clerk(&mut self, pid: i32, message: FromClerk) {
        match message {
            FromClerk::Ready => log::debug!("clerk-ready"),
            FromClerk::Hook(outcome) => self.tally.hook_ended(outcome),
            FromClerk::Host {
                name,
                addresses,
                why,
            } => {
                if addresses.is_empty() {
                    let name = quoted(name.as_bytes());
                    log::warn!("name-not-found name={name} why={}", quoted(why.as_bytes()));
                } else if self.addresses.learn(&name, addresses) {
                    self.spread_addresses(&name);
                }
            }
            FromClerk::Verdict {
                worker,
                number,
                verdict: answer,
            } => {
                let seat = self.clerks.seats.get_mut(&pid);
                let asked = seat.and_then(|seat| seat.asked.remove(&worker));
                // It may have given up and asked again.
                if asked == Some(number) {
                    self.tell(worker, &ToWorker::Answer { number, answer });
                }
            }
            FromClerk::NoSyslogd => self.has_syslogd = false,
            FromClerk::Alive { address } => {
                log::info!("peer-answers addr={address}");
                self.spread(None, News::Recovered(address));
            }
        }
    }

    /// Has the program asked whether `password` is right; the answer goes to the worker when it
    /// comes.
    pub(in crate::master) fn ask_program(
        &mut self,
        worker: i32,
        number: u32,
        user: Vec<u8>,
        password: Secret,
    ) {
        let peer = match self.board.seat(worker).map(|seat| &seat.state) {
            Some(State::Visitor { peer } | State::Member { peer, .. }) => peer.ip(),
            _ => return,
        };
        let login = ToClerk::Login {
            worker,
            number,
            peer,
            user,
            password,
        };
        let seat = self.clerks.seat_mut(Duty::Logins);
        // Who asks again without waiting for the answer was taken over, and is not to keep others waiting.
        let seat = seat.filter(|seat| !seat.asked.contains_key(&worker));
        let seat = seat.filter(|seat| seat.leash.send(&login).is_ok());
        match seat {
            Some(seat) => {
                seat.asked.insert(worker, number);
            }
            None => self.answer_nothing(worker, number),
        }
    }

    /// Has the site's program run for an upload. It is not waited for.
    pub(in crate::master) fn run_hook(&mut self, upload: Box<Upload>) {
        let (peer, session) = (upload.peer, upload.session.clone());
        let path = quoted(&upload.path).to_string();
        let why = match self.clerks.seat(Duty::Hooks) {
            Some(seat) => seat.leash.send(&ToClerk::Uploaded(upload)).err(),
            None => Some(io::ErrorKind::NotConnected.into()),
        };
        if let Some(why) = why {
            log::warn!(
                "hook-dropped peer={peer} session={session} why=\"clerk: {why}\" path={path}"
            );
            self.tally.hook_ended(Outcome::Dropped);
        }
    }

    pub(in crate::master) fn answer_nothing(&self, worker: i32, number: u32) {
        let answer = Vec::new();
        self.tell(worker, &ToWorker::Answer { number, answer });
    }

    fn spread_addresses(&mut self, name: &str) {
        log::info!("name-found name={}", quoted(name.as_bytes()));
        self.renew_nursery(Instant::now());
        let addresses = self.addresses.trackers();
        let trackers = ToWorker::Trackers { addresses };
        let address = self.addresses.announced();
        let announce = ToWorker::Announce { address };
        for pid in self.pids() {
            self.tell(pid, &trackers);
            self.tell(pid, &announce);
        }
    }
}
