//! USR2: another program takes this one's place, in the same process. It is tried first, and until it
//! runs nothing has happened.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::Master;
use super::nurseries::is_placeholder;
use super::will::{self, Record, Worker};
use crate::logger;
use crate::sys::heir::{self, Trial};
use crate::sys::process::{self, Ending};
use crate::text::quoted;

/// How long the new program may take to check the configuration.
const TRIAL: Duration = Duration::from_secs(60);

/// How long those are waited for who have asked something that must not be lost.
const COURTESY: Duration = Duration::from_secs(10);

/// An upgrade under way.
#[derive(Debug)]
pub(super) enum Upgrade {
    /// The new program checks the configuration.
    Trial {
        trial: Trial,
        deadline: Instant,
        tried: Tried,
    },
    /// It has found nothing wrong, and takes over as soon as nobody waits for an answer, and somebody
    /// writes the log, unless it or the configuration is another one by then.
    Due { latest: Instant, tried: Tried },
}

/// What is on trial. Whoever installs a program anew may do so while it waits for its turn, and there is no way
/// back from one that cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tried {
    configuration: Vec<u8>,
    /// Device, inode, size and time of the program's file.
    program: Option<(u64, u64, u64, SystemTime)>,
}

impl Tried {
    fn look(configuration: &Path, program: &Path) -> Self {
        let program = std::fs::metadata(program).and_then(|about| {
            let time = about.modified()?;
            Ok((about.dev(), about.ino(), about.size(), time))
        });
        Self {
            configuration: std::fs::read(configuration).unwrap_or_default(),
            program: program.ok(),
        }
    }
}

impl Master<'_> {
    pub(super) fn begin_upgrade(&mut self, now: Instant) {
        if self.stop.is_some() || self.upgrade.is_some() {
            return;
        }
        let mut arguments = self.arguments();
        arguments.push("-t".into());
        let tried = Tried::look(&self.path, &self.program);
        match Trial::start(&self.program, &arguments) {
            Ok(trial) => {
                self.upgrade = Some(Upgrade::Trial {
                    trial,
                    deadline: now + TRIAL,
                    tried,
                });
            }
            Err(error) => self.refuse_upgrade(&error.to_string()),
        }
    }

    fn arguments(&self) -> Vec<OsString> {
        vec!["-c".into(), self.path.clone().into_os_string()]
    }

    fn refuse_upgrade(&mut self, why: &str) {
        self.upgrade = None;
        let program = quoted(self.program.as_os_str().as_encoded_bytes());
        let why = quoted(why.as_bytes());
        log::error!("upgrade-refused kept=old program={program} why={why}");
    }

    /// Whether it was the program on trial that ended.
    pub(super) fn end_trial(&mut self, pid: i32, ending: Ending, now: Instant) -> bool {
        let Some(Upgrade::Trial { trial, tried, .. }) = &mut self.upgrade else {
            return false;
        };
        if trial.pid.as_raw() != pid {
            return false;
        }
        if ending == Ending::Exit(0) {
            let (latest, tried) = (now + COURTESY, tried.clone());
            self.upgrade = Some(Upgrade::Due { latest, tried });
        } else {
            let said = trial.said();
            self.refuse_upgrade(&format!("its check ended with {ending}: {said}"));
        }
        true
    }

    pub(super) fn upgrade_due(&self) -> Option<Instant> {
        match self.upgrade.as_ref()? {
            Upgrade::Trial { deadline, .. } => Some(*deadline),
            Upgrade::Due { latest, .. } => Some(*latest),
        }
    }

    /// Goes on with an upgrade. If it comes to an end this does not return.
    pub(super) fn upgrade_if_due(&mut self, now: Instant) {
        let is_birth_pending = self.is_birth_pending();
        match &mut self.upgrade {
            None => {}
            Some(Upgrade::Trial {
                trial, deadline, ..
            }) if *deadline <= now => {
                process::kill(trial.pid);
                *deadline = now + TRIAL;
            }
            Some(Upgrade::Trial { .. }) => {}
            Some(Upgrade::Due { .. }) if self.stop.is_some() => self.upgrade = None,
            Some(Upgrade::Due { latest, tried }) => {
                let is_asked = self.clerks.are_asked() || !self.gate.held.is_empty();
                let is_asked = is_asked || self.desk.is_visited() || is_birth_pending;
                // What is on its way to the log would be lost.
                let is_unwritten = self.clerks.writer().is_none();
                if (is_asked || is_unwritten) && now < *latest {
                    return;
                }
                let tried = tried.clone();
                if tried == Tried::look(&self.path, &self.program) {
                    self.make_way(&tried.configuration, now);
                } else {
                    // What it would find has been tried by nobody.
                    self.upgrade = None;
                    self.begin_upgrade(now);
                }
            }
        }
    }

    /// Lets the new program take over. Returns if that failed, or if there is a signal to be heard
    /// first.
    fn make_way(&mut self, tried: &[u8], now: Instant) {
        // It could not even say what is wrong.
        if let Err(error) = logger::open(&self.config.logging, self.is_foreground) {
            return self.refuse_upgrade(&error.to_string());
        }
        let error = match self.signals.hold() {
            Ok(true) => self.hand_over(tried, now),
            Ok(false) => {
                let _ = self.signals.release();
                return;
            }
            Err(error) => error,
        };
        if let Err(error) = self.signals.release() {
            log::error!("signals-lost why=\"{error}\"");
        }
        self.refuse_upgrade(&error.to_string());
    }

    fn hand_over(&mut self, tried: &[u8], now: Instant) -> std::io::Error {
        let program = quoted(self.program.as_os_str().as_encoded_bytes());
        log::info!("upgrading program={program}");
        // The file may be another one before it is read again.
        let will: Vec<Record> = Record::tried(tried).chain(self.will(now)).collect();
        let will = will::write(&will);
        // Of those yet to be born nobody could tell whose they are: they find that they are alone, and end.
        let born = self
            .leashes
            .iter()
            .filter(|(pid, _)| !is_placeholder(**pid));
        let mut others: Vec<BorrowedFd<'_>> = born.map(|(_, leash)| leash.as_fd()).collect();
        others.extend([
            self.pidfile.as_fd(),
            self.desk.as_fd(),
            self.gutter.as_fd(),
            self.gutter.mouth(),
        ]);
        self.answer_nobody();
        let mut arguments = self.arguments();
        if self.is_foreground {
            arguments.push("-f".into());
        }
        let sockets: Vec<_> = self.listeners.left().collect();
        heir::hand_over(&self.program, &arguments, &will, &sockets, &others)
    }

    fn will(&self, now: Instant) -> Vec<Record> {
        let (path, place) = self.desk.place();
        let mut will = vec![
            Record::Pidfile {
                fd: self.pidfile.as_fd().as_raw_fd(),
                path: self.pidfile.path().to_owned(),
            },
            Record::Control {
                fd: self.desk.as_fd().as_raw_fd(),
                path: path.to_owned(),
                place,
            },
            Record::Gutter {
                end: self.gutter.as_fd().as_raw_fd(),
                mouth: self.gutter.mouth().as_raw_fd(),
            },
            Record::Up(now.saturating_duration_since(self.since)),
            Record::Tally(self.tally.numbers()),
            Record::Figures(self.figures.numbers().to_vec()),
        ];
        let suspects = self.gate.suspects.list(now);
        will.extend(
            suspects.map(|(address, failures, age, left)| Record::Suspect {
                address,
                failures,
                age,
                left,
            }),
        );
        will.extend(self.gate.shut.as_ref().map(|shut| Record::Shut {
            text: shut.text.clone(),
            drain: shut.drain.map(|drain| drain.saturating_duration_since(now)),
        }));
        let known = self.addresses.known();
        will.extend(known.map(|(name, addresses)| Record::Known {
            name: name.to_owned(),
            addresses: addresses.to_vec(),
        }));
        will.extend(self.lore.news().map(Record::News));
        will.extend(self.workers(now).map(Record::Worker));
        will.extend(self.clerks.finishing().map(Record::Finishing));
        let seats = self.board.seats().filter(|(pid, _)| !is_placeholder(*pid));
        will.extend(seats.map(|(pid, seat)| Record::Clients {
            pid,
            most: seat.clients,
        }));
        will
    }

    /// Whose leash has ended has nothing to say to anybody.
    fn workers(&self, now: Instant) -> impl Iterator<Item = Worker> {
        self.leashes.iter().filter_map(move |(pid, leash)| {
            let seat = self.board.seat(*pid).filter(|_| !is_placeholder(*pid))?;
            let left = seat.deadline;
            Some(Worker {
                pid: *pid,
                fd: leash.as_fd().as_raw_fd(),
                age: now.saturating_duration_since(seat.since),
                is_leaving: seat.is_leaving,
                left: left.map(|deadline| deadline.saturating_duration_since(now)),
                room: self.spools.of(*pid),
                traffic: seat.traffic.numbers().to_vec(),
                state: seat.state.clone(),
            })
        })
    }
}
