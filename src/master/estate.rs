//! Taking the place of another program: what it has left is found before anything is opened, and
//! becomes part of the new master. What cannot be understood is lost, and the service goes on: the
//! listening sockets come by another way.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::Master;
use super::bell::Ring;
use super::gate::Shut;
use super::will::{self, Record, Worker};
use crate::board::{Seat, Tally, Traffic};
use crate::figures::Figures;
use crate::leash::MasterOfWorker;
use crate::sys::fds::{self, Gutter};
use crate::sys::heir::Heritage;
use crate::sys::named::Named;
use crate::sys::pidfile::Pidfile;
use crate::sys::supervisor::{self, Condition};

/// What another program has left to the new master.
#[derive(Debug, Default)]
pub struct Estate {
    pidfile: Option<Pidfile>,
    gutter: Option<Gutter>,
    pub(super) control: Option<Named>,
    leashes: BTreeMap<i32, OwnedFd>,
    /// The configuration that was tried.
    tried: Vec<u8>,
    records: Vec<Record>,
    /// Why something is missing.
    lost: Option<String>,
}

impl Estate {
    /// Takes what is there; `None`: nobody was here before.
    #[must_use]
    pub fn claim(heritage: &mut Heritage) -> Option<Self> {
        let mut estate = Self::default();
        if !heritage.is_inherited() {
            return None;
        }
        let text = heritage.read().map_err(|error| error.to_string());
        let text = text.map(Option::unwrap_or_default);
        let read = text.and_then(|text| {
            will::read(&text).map_err(|_| "it is of another version, or damaged".to_owned())
        });
        match read {
            Ok(records) => {
                for record in records {
                    estate.take(record, heritage);
                }
            }
            Err(why) => estate.lost = Some(why),
        }
        Some(estate)
    }

    fn take(&mut self, record: Record, heritage: &mut Heritage) {
        match &record {
            Record::Pidfile { fd, path } => {
                let file = heritage.claim(*fd);
                self.pidfile = file.and_then(|file| Pidfile::of(file, path).ok());
            }
            Record::Control { fd, path, place } => {
                let socket = heritage.claim(*fd);
                self.control = socket.and_then(|fd| Named::of(fd, path, *place).ok());
            }
            Record::Gutter { end, mouth } => {
                let ends = heritage.claim(*end).zip(heritage.claim(*mouth));
                self.gutter = ends.map(|(end, mouth)| Gutter::of(end, mouth));
            }
            Record::Worker(worker) => {
                if let Some(leash) = heritage.claim(worker.fd) {
                    self.leashes.insert(worker.pid, leash);
                }
                self.records.push(record);
            }
            Record::Tried(piece) => self.tried.extend(piece),
            _ => self.records.push(record),
        }
    }

    /// The configuration that was tried, as it was in the file, which may be another one by now; `None`:
    /// nobody has left it.
    #[must_use]
    pub fn tried(&self) -> Option<&[u8]> {
        Some(&*self.tried).filter(|text| !text.is_empty())
    }

    /// The pid file, whose lock has never been let go.
    pub fn take_pidfile(&mut self) -> Option<Pidfile> {
        self.pidfile.take()
    }

    /// Where stray output of all workers goes already.
    pub fn take_gutter(&mut self) -> Option<Gutter> {
        self.gutter.take()
    }
}

impl Master<'_> {
    /// Goes on where the other program was. Its workers end after their clients.
    pub(super) fn inherit(&mut self, estate: Estate, now: Instant) {
        // Nobody waits for the word that a start has succeeded.
        self.is_started = true;
        if let Some(why) = &estate.lost {
            log::error!("inheritance-lost why=\"{why}\"");
        }
        let mut leashes = estate.leashes;
        for record in estate.records {
            match record {
                Record::Worker(worker) => {
                    if let Some(leash) = leashes.remove(&worker.pid) {
                        self.adopt(worker, leash, now);
                    }
                }
                other => self.recall(other, now),
            }
        }
        let (version, sessions) = (env!("CARGO_PKG_VERSION"), self.sessions());
        log::info!("upgraded version={version} sessions={sessions}");
        for pid in self.pids() {
            self.retire(pid);
        }
        self.hand_out_logs();
        supervisor::tell(Condition::Ready);
    }

    fn recall(&mut self, record: Record, now: Instant) {
        match record {
            Record::Up(time) => self.since = now.checked_sub(time).unwrap_or(now),
            Record::Tally(numbers) => self.tally = Tally::of(&numbers),
            Record::Figures(numbers) => self.figures = Figures::of(&numbers),
            Record::Suspect {
                address,
                failures,
                age,
                left,
            } => self
                .gate
                .suspects
                .recall((address, failures, age, left), now),
            Record::Shut { text, drain } => {
                let drain = drain.and_then(|left| now.checked_add(left));
                self.gate.shut = Some(Shut { text, drain });
            }
            Record::Known { name, addresses } => {
                self.addresses.learn(&name, addresses);
            }
            Record::News(news) => self.lore.learn(&news),
            Record::Clients { pid, most } => self.board.limited(pid, most),
            Record::Finishing(pid) => self.clerks.await_end(pid),
            Record::Worker(_)
            | Record::Tried(_)
            | Record::Pidfile { .. }
            | Record::Control { .. }
            | Record::Gutter { .. } => {}
        }
    }

    fn adopt(&mut self, worker: Worker, leash: OwnedFd, now: Instant) {
        let Worker {
            pid,
            fd: _,
            age,
            is_leaving,
            left,
            room,
            traffic,
            state,
        } = worker;
        let since = now.checked_sub(age).unwrap_or(now);
        let seat = Seat {
            born: since,
            state,
            since,
            clients: u32::MAX,
            traffic: Traffic::of(&traffic, now),
            is_leaving,
            is_parting: false,
            deadline: left.and_then(|left| now.checked_add(left)),
        };
        self.board.adopted(pid, seat);
        self.heirlooms.insert(pid);
        self.shares.inherited(pid, now);
        let _ = self.spools.take(pid, room, u64::MAX);
        let leash = MasterOfWorker::new(leash, fds::hear);
        let heard = self.bell.add(&leash, Ring::Worker(pid));
        self.leashes.insert(pid, leash);
        if heard.is_err() {
            self.drop_leash(pid, now);
        }
    }
}
