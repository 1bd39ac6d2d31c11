//! The master: one process that starts the others, hears of their deaths, and decides. It parses no
//! byte of a client and never waits for anything but its bell. Knows processes, not protocols.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::auth::text::Users;
use crate::board::{Addresses, Births, Board, Shares, Spools, Tally};
use crate::config::Config;
use crate::figures::Figures;
use crate::leash::{self, MasterOfWorker};
use crate::logger::Relay;
use crate::store::mogile::Lore;
use crate::sys::detach::Ready;
use crate::sys::fds::Gutter;
use crate::sys::named::Named;
use crate::sys::pidfile::Pidfile;
use crate::sys::signals::Signals;
use crate::sys::{process, rights, title};
use crate::text::quoted_error;

mod bell;
mod calls;
mod clerks;
mod desk;
mod door;
mod estate;
mod gate;
mod ground;
mod holds;
mod listeners;
mod logs;
mod nurseries;
mod orders;
mod places;
mod reload;
mod start;
mod stop;
#[cfg(any(test, fuzzing))]
pub(crate) mod trials;
mod upgrade;
mod will;
mod words;
mod workers;

use bell::{Bell, Ring};
use clerks::Clerks;
use desk::Desk;
use door::Door;
pub use estate::Estate;
use gate::Gate;
pub use ground::Ground;
pub use listeners::{Listeners, Unbound};
pub use logs::open as open_logs;
use nurseries::Nurseries;
pub use places::misplaced;
pub use start::{Crew, Error, Start};
use stop::Stop;
use upgrade::Upgrade;

/// Runs the service until it is told to stop. `gutter` is where stray output of this process goes
/// already if it is a daemon; `ready` is told when the first worker waits for clients.
///
/// # Errors
/// See [`Error`].
pub fn run(mut start: Start, gutter: Gutter, ready: &mut Ready) -> Result<(), Error> {
    title::set("nanoftpd [master]");
    rights::keep_those_of_service()
        .map_err(|error| Error::Failed(format!("cannot give rights up: {error}")))?;
    // The C library looks the call up the first time: here, and not at each birth.
    let _ = getrandom::u32();
    let mut estate = start.estate.take();
    let control = estate.as_mut().and_then(|estate| estate.control.take());
    let mut master = Master::new(start, gutter, control, ready)?;
    if let Some(estate) = estate {
        master.inherit(estate, Instant::now());
    }
    let ended = master.work();
    if let Err(why) = &ended {
        log::error!("failed why=\"{why}\"");
    }
    master.end_clerks();
    log::info!("stopped");
    master.end_the_log();
    ended.map_err(Error::Failed)
}

/// How long a worker has to end after it was told to end now.
const KILL_AFTER: Duration = Duration::from_secs(1);

/// How much later than the worker itself the master ends a session that does not log in.
const LOGIN_GRACE: Duration = Duration::from_secs(2);

struct Master<'a> {
    config: Config,
    path: PathBuf,
    program: PathBuf,
    is_foreground: bool,
    ground: Ground,
    crew: Crew,
    listeners: Listeners,
    pidfile: Pidfile,
    gutter: Gutter,
    nowhere: File,
    signals: Signals,
    bell: Bell,
    board: Board,
    births: Births,
    /// When workers were last forked.
    last_births: Option<Instant>,
    nurseries: Nurseries,
    /// By pid, or by placeholder as long as that is not known, as on the board.
    leashes: BTreeMap<i32, MasterOfWorker>,
    /// Where their words are heard.
    room: leash::Room,
    /// The workers that another program has left.
    heirlooms: BTreeSet<i32>,
    clerks: Clerks,
    addresses: Addresses,
    /// What sessions tell each other.
    lore: Lore,
    spools: Spools,
    shares: Shares,
    users: Users,
    door: Door,
    gate: Gate,
    tally: Tally,
    /// What workers have told of trackers, storage nodes and commits.
    figures: Figures,
    desk: Desk,
    stop: Option<Stop>,
    upgrade: Option<Upgrade>,
    ready: &'a mut Ready,
    is_started: bool,
    /// When it was last said that forking fails.
    complaint: Option<Instant>,
    relay: Relay,
    /// Whether syslogd was there when it was last wanted, and when it was last looked for.
    has_syslogd: bool,
    syslogd_sought: Option<Instant>,
    /// When all this began.
    since: Instant,
}

impl<'a> Master<'a> {
    fn new(
        start: Start,
        gutter: Gutter,
        control: Option<Named>,
        ready: &'a mut Ready,
    ) -> Result<Self, Error> {
        let status = &start.config.status;
        let socket = status.socket.display();
        let desk = Desk::inherit(control, status, &start.ground).map_err(|error| {
            let text = format!("control socket {socket}: {error}");
            match error.kind() {
                io::ErrorKind::AddrInUse => Error::Taken(text),
                _ => Error::Failed(text),
            }
        })?;
        Self::assemble(start, gutter, desk, ready).map_err(|error| Error::Failed(error.to_string()))
    }

    fn assemble(
        start: Start,
        gutter: Gutter,
        desk: Desk,
        ready: &'a mut Ready,
    ) -> io::Result<Self> {
        let (signals, bell) = (Signals::register()?, Bell::new()?);
        bell.add(&signals, Ring::Signal)?;
        bell.add(&gutter, Ring::Stray)?;
        desk.ring(&bell)?;
        let config = start.config;
        let relay = logs::relayed(&config.logging, start.is_foreground, &gutter)?;
        Ok(Self {
            users: Users::new(config.auth.text.clone(), config.auth.crypt),
            addresses: Addresses::new(&config.mogilefs, &config.passive),
            lore: Lore::default(),
            spools: Spools::default(),
            shares: Shares::default(),
            config,
            path: start.path,
            program: start.program,
            is_foreground: start.is_foreground,
            ground: start.ground,
            crew: start.crew,
            listeners: start.listeners,
            pidfile: start.pidfile,
            gutter,
            nowhere: File::options().read(true).write(true).open("/dev/null")?,
            signals,
            bell,
            board: Board::default(),
            births: Births::default(),
            last_births: None,
            nurseries: Nurseries::default(),
            leashes: BTreeMap::new(),
            room: leash::Room::default(),
            heirlooms: BTreeSet::new(),
            clerks: Clerks::default(),
            door: Door::default(),
            gate: Gate::default(),
            tally: Tally::default(),
            figures: Figures::default(),
            desk,
            stop: None,
            upgrade: None,
            ready,
            is_started: false,
            complaint: None,
            relay,
            has_syslogd: true,
            syslogd_sought: None,
            since: Instant::now(),
        })
    }

    /// The loop: attend to who rang, keep the time, keep the numbers, sleep.
    fn work(&mut self) -> Result<(), String> {
        self.introduce();
        let mut rang = Vec::new();
        loop {
            let now = Instant::now();
            for ring in rang {
                self.attend(ring, now);
            }
            self.keep_time(now);
            if self.has_stopped() {
                return Ok(());
            }
            self.maintain_clerks(now);
            self.upgrade_if_due(now);
            self.maintain_worker_count(now);
            if !self.is_started && self.births.are_hopeless() {
                return Err("no worker came to life; the log says why".to_owned());
            }
            self.mind_the_door(now);
            let wake = self.next_deadline(now);
            rang = self
                .bell
                .wait(wake, Instant::now())
                .map_err(|error| format!("cannot wait: {error}"))?;
        }
    }

    fn introduce(&mut self) {
        self.ground.warn();
        for warning in self.config.warnings_of(&self.path) {
            log::warn!("config-warning text={}", quoted_error(&warning));
        }
        self.refresh_users();
        self.allow_descriptors();
        for address in self.listeners.addresses() {
            log::info!("listening addr={} port={}", address.ip(), address.port());
        }
        self.try_data_ports();
    }

    fn attend(&mut self, ring: Ring, now: Instant) {
        match ring {
            Ring::Signal => self.hear_signals(now),
            Ring::Clerk(pid) => self.hear_clerk(pid),
            Ring::Nursery(pid) => self.attend_nursery(pid, now),
            Ring::Worker(pid) => self.hear_worker(pid, now),
            Ring::Stray => self.log_stray(now),
            Ring::Client => self.turn_away(now),
            Ring::Desk => self.receive_guests(now),
            Ring::Guest(guest) => self.hear_guest(guest, now),
        }
    }

    fn hear_signals(&mut self, now: Instant) {
        let heard = self.signals.take();
        if heard.child {
            self.reap_all(now);
        }
        if heard.stop {
            self.stop_or_hurry(now);
        }
        if heard.reload && self.stop.is_none() {
            // Whoever sends a signal reads the log.
            let _ = self.reload();
        }
        if heard.reopen {
            let _ = self.reopen_logs();
        }
        if heard.upgrade {
            self.begin_upgrade(now);
        }
    }

    fn reap_all(&mut self, now: Instant) {
        loop {
            match process::reap() {
                Ok(None) => return,
                Ok(Some((pid, ending))) => {
                    let pid = pid.as_raw();
                    if !self.end_trial(pid, ending, now)
                        && !self.bury_clerk(pid, ending, now)
                        && !self.bury_nursery(pid, ending, now)
                    {
                        self.bury_worker(pid, ending, now);
                    }
                }
                Err(error) => {
                    log::error!("reap-failed why=\"{error}\"");
                    return;
                }
            }
        }
    }

    /// Does what is due by the clock.
    fn keep_time(&mut self, now: Instant) {
        self.hurry_if_due(now);
        self.dismiss_hooks_if_due();
        self.drain_if_due(now);
        self.share_if_due(now);
        self.answer_if_due(now);
        self.end_overdue(now);
        self.ground.warn_of_certificates(now);
        self.kill_hung_nurseries(now);
        self.mind_the_log(now);
        self.mind_the_desk(now);
    }

    /// Sends away who takes too long to log in, and kills who takes too long to end.
    fn end_overdue(&mut self, now: Instant) {
        let limit = self.login_limit();
        let next = self.board.next_deadline(limit);
        if next.is_none_or(|next| next > now) {
            return;
        }
        for pid in self.board.overdue_visitors(limit, now) {
            self.dismiss(pid, "Login takes too long.", now);
        }
        for pid in self.board.condemned(now) {
            log::info!("worker-killed pid={pid}");
            process::kill(nix::unistd::Pid::from_raw(pid));
            self.board.killed(pid, now + KILL_AFTER);
        }
    }

    fn login_limit(&self) -> Duration {
        self.config.nanoftpd.login_time.saturating_add(LOGIN_GRACE)
    }

    /// When something is due next.
    fn next_deadline(&self, now: Instant) -> Option<Instant> {
        [
            self.board.next_deadline(self.login_limit()),
            self.stop.as_ref().and_then(Stop::deadline),
            self.drain_due(),
            self.shares.due(),
            self.answer_due(),
            self.worker_due(now),
            self.nurseries.due(),
            self.clerk_due(),
            self.door_due(now),
            self.desk_due(),
            self.upgrade_due(),
            self.log_due(now),
            self.ground.certificates_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
