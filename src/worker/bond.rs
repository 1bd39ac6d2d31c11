//! A worker's bond to its master: what was said, and what follows from it for a session that may be
//! in the middle of anything.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::libc;
use nix::unistd::alarm;

use super::members::Members;
use crate::auth::{Authority, Password, Trouble};
use crate::board::Addresses;
use crate::config::{self, Config};
use crate::figures;
use crate::ftp::Traffic;
use crate::leash::{self, FromWorker, Heard, ToWorker, Word};
use crate::logger;
use crate::sys::signals::Ear;
use crate::sys::sockets;
use crate::vigil::{self, Verdict};

/// How long the master may take to answer: it has the users in memory, or reads one file. For a
/// program it is so much more than that may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same where there is another way.
const CALL_PATIENCE: Duration = Duration::from_secs(2);

/// How long a worker leaves its listeners alone when the machine has nothing left to accept with:
/// who stands outside would wake it again at once.
const SHORTAGE: Duration = Duration::from_millis(100);

/// How often the master hears how far a transfer is.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How often it hears what was counted, in a long session.
const COUNT_EVERY: Duration = Duration::from_secs(5);

const MASTER_GONE: &str = "Server is gone, closing control connection.";
const STOPPING: &str = "Server is stopping, closing control connection.";

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

/// What the configuration limits.
struct Limited {
    addresses: bool,
    users: bool,
}

impl Limited {
    fn by(limits: &config::Limits) -> Self {
        Self {
            addresses: limits.max_per_ip > 0 || !limits.ban_time.is_zero(),
            users: limits.max_per_user > 0,
        }
    }
}

impl Bond {
    pub(super) fn new(
        leash: leash::Worker,
        ear: Ear,
        listeners: Vec<TcpListener>,
        members: Members,
        addresses: &Addresses,
        config: &Config,
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

    /// Whether what others of this user may move depends on what this session does.
    pub(super) fn shares_rates(&self) -> bool {
        self.whole != (0, 0)
    }

    /// A command begins: of one that is soon over the master hears no bytes.
    pub(super) fn begin_command(&self) {
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
    pub(super) fn tell_figures(&self, now: Instant) {
        self.counted.set(now);
        if let Some(figures) = figures::take() {
            self.mention(&FromWorker::Figures(Box::new(figures)));
        }
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
                Ok(client) => found = Some(client),
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

    /// Asks the master what has to have the number that it gets, and waits for the answer.
    pub(super) fn ask(
        &self,
        question: impl FnOnce(u32) -> FromWorker,
        patience: Duration,
    ) -> Result<Vec<u8>, Trouble> {
        let unavailable = |why: &str| Trouble::Unavailable(format!("the master {why}"));
        let number = self.asked.get().wrapping_add(1);
        self.asked.set(number);
        self.answer.replace(None);
        self.handed.replace(None);
        self.tell(&question(number))
            .map_err(|error| unavailable(&error.to_string()))?;
        let deadline = Instant::now() + patience;
        // The answer is taken by the bystander.
        let is_over = || self.answer.borrow().is_some() || self.is_orphan.get();
        vigil::wait_for(is_over, Some(deadline)).map_err(|error| {
            if vigil::was_interrupted(&error) {
                Trouble::Interrupted
            } else {
                unavailable("does not answer")
            }
        })?;
        self.answer.take().ok_or_else(|| unavailable("is gone"))
    }

    /// Tells the master of a new client; whether it may stay is asked only where it may not.
    pub(super) fn admit(&self, peer: SocketAddr) -> Result<Word, Trouble> {
        if self.limited.addresses || self.is_shut.get() {
            return self.ask_word(|number| FromWorker::Admit { number, peer });
        }
        let told = self.tell(&FromWorker::Taken { peer });
        told.map_err(|error| Trouble::Unavailable(error.to_string()))?;
        Ok(Word::Stay(Duration::ZERO))
    }

    /// Tells the master who the client is; whether it may stay is asked only where it may not.
    pub(super) fn enter(&self, user: &[u8], module: &str) -> Result<Word, Trouble> {
        let (user, module) = (user.to_vec(), module.to_owned());
        if self.limited.users || self.is_shut.get() {
            return self.ask_word(|number| FromWorker::Enter {
                number,
                user,
                module,
            });
        }
        self.mention(&FromWorker::Entered { user, module });
        Ok(Word::Stay(Duration::ZERO))
    }

    /// Has the master begin a connection to a port of the client, from the port for data; `None`
    /// where it cannot. A wait that was ended is ended again where the other way is tried.
    pub(super) fn call(&self, local: SocketAddr, port: u16) -> Option<TcpStream> {
        let port = port.into();
        let question = |number| FromWorker::Call {
            number,
            local,
            port,
        };
        self.ask(question, CALL_PATIENCE).ok()?;
        self.handed.take().map(TcpStream::from)
    }

    /// Returns when the others have been told what was told before, and what they told is known here.
    /// A master that does not answer, or a wait that is ended, is no hindrance: whoever asks goes on
    /// with what is known.
    pub(super) fn agree(&self) {
        let _ = self.ask(|number| FromWorker::Fence { number }, CALL_PATIENCE);
    }

    /// Tells the master of a wrong login, and asks what follows.
    pub(super) fn failed(&self) -> Result<Word, Trouble> {
        self.ask_word(|number| FromWorker::Failed { number })
    }

    fn ask_word(&self, question: impl FnOnce(u32) -> FromWorker) -> Result<Word, Trouble> {
        let answer = self.ask(question, PATIENCE)?;
        Word::decode(&answer).map_err(|error| Trouble::Unavailable(error.to_string()))
    }

    /// Hears all that the master has said.
    pub(super) fn hear(&self) -> Verdict {
        self.hear_words(usize::MAX)
    }

    /// Hears one word, when there is one. Who waits is woken again where there are more.
    pub(super) fn hear_next(&self) -> Verdict {
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
    pub(super) fn hear_signal(&self) -> Verdict {
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

impl Authority for Bond {
    fn record(&self, user: &[u8]) -> Result<Vec<u8>, Trouble> {
        let user = user.to_vec();
        self.ask(|number| FromWorker::Account { number, user }, PATIENCE)
    }

    fn verdict(&self, user: &[u8], password: &Password) -> Result<Vec<u8>, Trouble> {
        let user = user.to_vec();
        let password = password.as_bytes().to_vec().into();
        let question = |number| FromWorker::Login {
            number,
            user,
            password,
        };
        self.ask(question, self.program.saturating_add(PATIENCE))
    }
}

fn is_shortage(errno: i32) -> bool {
    [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM].contains(&errno)
}
