//! A worker's bond to its master: what each has said, and what holds because of it.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::libc;

use super::members::Members;
use crate::birthright::Birthright;
use crate::leash::{self, FromWorker};
use crate::sys::signals::Ear;
use crate::sys::sockets;

mod hearing;
mod questions;
mod reckoning;

use hearing::STOPPING;
use questions::Limited;

/// How long a worker leaves its listeners alone when the machine has nothing left to accept with:
/// who stands outside would wake it again at once.
const SHORTAGE: Duration = Duration::from_millis(100);

/// The bond; shared by the session and by those who listen for it while it waits.
pub(super) struct Bond {
    leash: leash::Worker,
    ear: Ear,
    listeners: RefCell<Vec<TcpListener>>,
    members: Members,
    announced: Cell<Option<IpAddr>>,
    /// How long a transfer may go on when there is no master to count the time.
    grace: Duration,
    /// How long the site's program may take over a login.
    program: Duration,
    /// The number of the last question. They begin anywhere, so that no answer to a dead worker's
    /// question is taken for ours.
    asked: Cell<u32>,
    answer: RefCell<Option<Vec<u8>>>,
    /// What came with it.
    handed: RefCell<Option<OwnedFd>>,
    /// Whether clients are limited by where they are, and by who.
    limited: Limited,
    /// Bytes a second, up and down, 0: any number: of a session, of a user's sessions together, and
    /// what is left of the latter by the others.
    rates: (u64, u64),
    whole: (u64, u64),
    share: Cell<(u64, u64)>,
    /// When the master was last told how far a transfer is, and what was counted.
    told: Cell<Instant>,
    counted: Cell<Instant>,
    /// A program of the site is told of uploads.
    pub(super) has_hooks: bool,
    /// The operator has shut the service.
    is_shut: Cell<bool>,
    /// The session waits for a command, or there is none.
    is_idle: Cell<bool>,
    /// No further client.
    is_leaving: Cell<bool>,
    /// The session ends when it is idle, with this.
    farewell: RefCell<Option<String>>,
    /// The session ends now.
    is_over: Cell<bool>,
    is_orphan: Cell<bool>,
}

impl Bond {
    pub(super) fn new(
        leash: leash::Worker,
        ear: Ear,
        listeners: Vec<TcpListener>,
        members: Members,
        &Birthright {
            config, addresses, ..
        }: &Birthright<'_>,
    ) -> Self {
        let limits = &config.limits;
        let whole = (limits.upload_rate_per_user, limits.download_rate_per_user);
        Self {
            leash,
            ear,
            listeners: RefCell::new(listeners),
            members,
            announced: Cell::new(addresses.announced()),
            grace: config.nanoftpd.stop_grace,
            program: config.auth.exec.timeout,
            asked: Cell::new(getrandom::u32().unwrap_or_default()),
            answer: RefCell::new(None),
            handed: RefCell::new(None),
            limited: Limited::by(limits),
            has_hooks: config.hooks.uploaded.is_some(),
            rates: (limits.upload_rate, limits.download_rate),
            whole,
            share: Cell::new(whole),
            told: Cell::new(Instant::now()),
            counted: Cell::new(Instant::now()),
            is_shut: Cell::new(false),
            is_idle: Cell::new(true),
            is_leaving: Cell::new(false),
            farewell: RefCell::new(None),
            is_over: Cell::new(false),
            is_orphan: Cell::new(false),
        }
    }

    pub(super) fn leash(&self) -> BorrowedFd<'_> {
        self.leash.as_fd()
    }

    pub(super) fn ear(&self) -> BorrowedFd<'_> {
        self.ear.as_fd()
    }

    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    pub(super) fn announced(&self) -> Option<IpAddr> {
        self.announced.get()
    }

    /// Whether there is to be no further client.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.get()
    }

    /// Whether this client is to go, now or as soon as it is idle.
    pub(super) fn is_ending(&self) -> bool {
        self.farewell.borrow().is_some()
    }

    /// What a client is told that has to go.
    pub(super) fn farewell(&self) -> String {
        let farewell = self.farewell.borrow();
        farewell.as_deref().unwrap_or(STOPPING).to_owned()
    }

    /// A new session: nothing of the last one's limits holds.
    pub(super) fn begin(&self) {
        self.share.set(self.whole);
        self.rest(false);
    }

    /// Says whether the session waits for a command; if so, whether it is to end.
    pub(super) fn rest(&self, is_idle: bool) -> bool {
        self.is_idle.set(is_idle);
        is_idle && self.is_ending()
    }

    /// Tells the master. That it is gone is noticed elsewhere.
    pub(super) fn tell(&self, message: &FromWorker) -> io::Result<()> {
        match self.leash.send(message) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent,
        }
    }

    /// Tells the master what it can do without.
    pub(super) fn mention(&self, message: &FromWorker) {
        let _ = self.leash.send(message);
    }

    /// Accepts a client, if there is one.
    pub(super) fn accept(&self) -> Option<(TcpStream, SocketAddr)> {
        let mut listeners = self.listeners.borrow_mut();
        let mut found = None;
        listeners.retain(|listener| {
            if found.is_some() {
                return true;
            }
            match sockets::accept(listener) {
                Ok(client) => {
                    sockets::converse(&client.0);
                    found = Some(client);
                }
                // Nobody listens there any more; to keep it would be to be woken for ever.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return false,
                Err(error) if error.raw_os_error().is_some_and(is_shortage) => {
                    std::thread::sleep(SHORTAGE);
                }
                Err(_) => {}
            }
            true
        });
        found
    }

    pub(super) fn close_listeners(&self) {
        self.listeners.borrow_mut().clear();
    }
}

fn is_shortage(errno: i32) -> bool {
    [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM].contains(&errno)
}
