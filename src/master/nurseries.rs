//! The nurseries as the master sees them, and how a worker is born.
//!
//! The master makes the leash and sends the worker's end to the present nursery, which forks and answers
//! with the pid; answers come in the order of the requests. The worker is the master's child, so that the
//! master hears of its death. Until the answer is here the worker's seat on the board and the master's end of its
//! leash stand under a placeholder, a number that no process can have; `welcome` puts both under the pid.
//! So whoever counts workers, or tells all of them something, counts and tells those who are yet to be born, too.
//!
//! What may come first instead of the answer: the worker's death (`early_deaths`), or the death of the nursery.
//! Then nobody but the worker itself, if it is there, can say what its pid is, and its leash is listened to
//! under the placeholder.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::bell::Ring;
use super::{KILL_AFTER, Master};
use crate::birthright::Birthright;
use crate::leash::{self, FromNursery, Heard, MasterOfNursery, MasterOfWorker, News, ToNursery};
use crate::logger;
use crate::sys::fds;
use crate::sys::process::{self, Ending};

/// How long a birth may take. It is a fork, and the machine may be very busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many answers are heard before somebody else is listened to.
const ANSWERS_A_TURN: usize = 64;

/// So many workers are asked for before there is an answer. Twice as many fill its leash.
const UNANSWERED: usize = 128;

/// Placeholders go from here downwards.
const FIRST_PLACEHOLDER: i32 = i32::MAX;

/// No process of any machine has a higher pid, and no placeholder is as low.
const HIGHEST_PID: i32 = 1 << 22;

/// The present nursery, if there is one, and those that are to end.
#[derive(Debug, Default)]
pub(super) struct Nurseries {
    all: Vec<Nursery>,
    /// How many placeholders were given.
    numbered: i32,
    /// Children that ended before anybody had said whose they were.
    early_deaths: BTreeMap<i32, Ending>,
}

/// One that is present may be asked; one that is leaving has a leash until all of `asked` are answered
/// for; one that is lost has no future, and is known only until it is reaped.
#[derive(Debug)]
struct Nursery {
    pid: i32,
    standing: Standing,
    leash: Option<MasterOfNursery>,
    /// The placeholders of the workers that it was asked for and has not answered for, the oldest first.
    asked: VecDeque<i32>,
    /// When it is killed, unless it has answered or ended: none where nothing is awaited of it.
    deadline: Option<Instant>,
}

/// What is thought of a nursery. At most one is present, and no other is asked for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Present,
    /// It is to end when it has answered.
    Leaving,
    /// It is of no use, and is dead or about to be.
    Lost,
}

/// Whether that is the number of a worker whose pid is not known yet.
pub(super) fn is_placeholder(number: i32) -> bool {
    number > HIGHEST_PID
}

/// A birth, in the order in which it mostly goes.
impl Master<'_> {
    /// Asks for a worker with this end of its leash: its placeholder.
    pub(super) fn ask_for_worker(&mut self, leash: leash::Worker, now: Instant) -> io::Result<i32> {
        if self.nurseries.present().is_none() {
            self.spawn_nursery()?;
        }
        if !self.is_birth_pending() {
            // They were nobody's, and their pids may be given to those who are born from now on.
            self.nurseries.early_deaths.clear();
        }
        let number = self.nurseries.next_placeholder();
        let nursery = self.nurseries.present().ok_or(io::ErrorKind::NotFound)?;
        nursery.ask(number, leash, now)?;
        Ok(number)
    }

    /// Whether the present one has been asked for enough, for now.
    pub(super) fn is_nursery_full(&self) -> bool {
        let mut all = self.nurseries.all.iter();
        all.any(|one| one.standing == Standing::Present && one.asked.len() >= UNANSWERED)
    }

    fn spawn_nursery(&mut self) -> io::Result<()> {
        let (own, theirs): (MasterOfNursery, leash::Nursery) =
            leash::pair(fds::hear, fds::receive)?;
        let listeners = self.listeners.copies()?;
        let mut keep = logger::descriptors();
        keep.extend(listeners.iter().map(AsRawFd::as_raw_fd));
        keep.extend(self.ground.worker.descriptors());
        keep.push(theirs.as_fd().as_raw_fd());
        let live = self.crew.nursery;
        let birthright = Birthright {
            config: &self.config,
            zone: &self.ground.zone,
            tls: self.ground.tls.as_ref(),
            addresses: &self.addresses,
            lore: &self.lore,
            jail: &self.ground.worker,
        };
        let pid = process::spawn(self.streams(), &keep, move || {
            live(&theirs, listeners, &birthright)
        })?;
        let pid = pid.as_raw();
        let heard = self.bell.add(&own, Ring::Nursery(pid));
        self.nurseries.all.push(Nursery {
            pid,
            standing: Standing::Present,
            leash: Some(own),
            asked: VecDeque::new(),
            deadline: None,
        });
        if let Err(error) = &heard {
            self.give_up_nursery(pid, error);
        }
        heard
    }

    /// Hears what it answers. Where there is more it rings again.
    pub(super) fn attend_nursery(&mut self, pid: i32, now: Instant) {
        if let Err(error) = self.hear_nursery(pid, ANSWERS_A_TURN, now) {
            self.give_up_nursery(pid, &error);
        }
    }

    fn hear_nursery(&mut self, pid: i32, most: usize, now: Instant) -> io::Result<()> {
        for _ in 0..most {
            let Some(nursery) = self.nurseries.named(pid) else {
                break;
            };
            let Some(leash) = &nursery.leash else {
                break;
            };
            match leash.receive_in(&mut self.room)? {
                Heard::Message(answer) => self.hear_of_birth(pid, &answer, now)?,
                Heard::Strange => return Err(io::ErrorKind::InvalidData.into()),
                Heard::Nothing => break,
                Heard::End => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        Ok(())
    }

    /// # Errors
    /// That cannot be.
    fn hear_of_birth(
        &mut self,
        nursery: i32,
        answer: &FromNursery,
        now: Instant,
    ) -> io::Result<()> {
        let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
        if let FromNursery::Born { pid } = answer
            && !self.may_be_new(*pid)
        {
            return Err(nonsense());
        }
        let nursery = self.nurseries.named(nursery);
        let number = nursery.and_then(|nursery| nursery.answered(now));
        let number = number.ok_or_else(nonsense)?;
        match (self.leashes.remove(&number), answer) {
            (Some(leash), FromNursery::Born { pid }) => self.welcome(number, *pid, leash, now),
            (_, FromNursery::Unborn { errno }) => {
                self.board.gone(number);
                self.birth_failed(&io::Error::from_raw_os_error(*errno), now);
            }
            (None, _) => {}
        }
        self.release_drained_nurseries(now);
        Ok(())
    }

    /// Whether a worker of which nobody has heard so far can have this pid.
    fn may_be_new(&self, pid: i32) -> bool {
        (1..=HIGHEST_PID).contains(&pid) && self.board.seat(pid).is_none()
    }

    /// A worker has its pid: what stands under its placeholder is put under that.
    fn welcome(&mut self, number: i32, pid: i32, leash: MasterOfWorker, now: Instant) {
        self.board.born(number, pid);
        let heard = self.bell.add(&leash, Ring::Worker(pid));
        self.leashes.insert(pid, leash);
        if let Err(error) = heard {
            self.drop_leash(pid, now);
            self.birth_failed(&error, now);
        }
        if let Some(ending) = self.nurseries.early_deaths.remove(&pid) {
            self.bury_worker(pid, ending, now);
        }
    }
}

/// A birth of which the nursery does not tell, or not in time.
impl Master<'_> {
    /// Whether there are workers of whose birth word has yet to come.
    pub(super) fn is_birth_pending(&self) -> bool {
        let highest = self.leashes.last_key_value();
        highest.is_some_and(|(number, _)| is_placeholder(*number))
    }

    /// Somebody has ended whom nobody knows: whether that may be a worker of whose birth word has yet to
    /// come. If so, it is kept in mind until then.
    pub(super) fn keep_early_death(&mut self, pid: i32, ending: Ending) -> bool {
        let may_be = self.is_birth_pending();
        if may_be {
            self.nurseries.early_deaths.insert(pid, ending);
        }
        may_be
    }

    /// Listens to those whom a dead nursery has not answered for. Who was born may have a client: it says
    /// so, and who it is; the leashes of the others have ended.
    fn hear_unanswered(&mut self, asked: &VecDeque<i32>, now: Instant) {
        for number in asked {
            let leash = self.leashes.get(number);
            let heard = leash.map(|leash| self.bell.add(leash, Ring::Worker(*number)));
            if !matches!(heard, Some(Ok(()))) {
                self.drop_leash(*number, now);
            }
        }
    }

    /// A worker has said what its pid is, of which a nursery that died may not have told.
    pub(super) fn worker_told_pid(&mut self, known: i32, pid: i32, now: Instant) {
        if is_placeholder(known)
            && self.may_be_new(pid)
            && let Some(leash) = self.leashes.remove(&known)
        {
            self.bell.remove(&leash);
            self.welcome(known, pid, leash, now);
        }
    }
}

/// The life of a nursery.
impl Master<'_> {
    /// Those who are yet to be born are to know it, too. Of who has no time to listen nobody is born any
    /// more.
    pub(super) fn tell_nursery(&mut self, news: &News) {
        let present = self.nurseries.present();
        let leash = present.and_then(|nursery| nursery.leash.as_ref());
        let told = leash.map(|leash| leash.send(&ToNursery::News(news.clone())));
        if let Some(Err(_)) = told {
            self.renew_nursery(Instant::now());
        }
    }

    /// Who is asked for from now on is born from what is so now. The others are waited for.
    pub(super) fn renew_nursery(&mut self, now: Instant) {
        for nursery in &mut self.nurseries.all {
            nursery.leave();
        }
        self.release_drained_nurseries(now);
    }

    /// Lets go of those that are to end and have nothing left to answer.
    fn release_drained_nurseries(&mut self, now: Instant) {
        for nursery in &mut self.nurseries.all {
            if let Some(leash) = nursery.let_go(now) {
                self.bell.remove(&leash);
            }
        }
    }

    /// Kills one that is of no use. Whose births it told of cannot be known from there on.
    fn give_up_nursery(&mut self, pid: i32, why: &io::Error) {
        let Some(nursery) = self.nurseries.named(pid) else {
            return;
        };
        log::debug!("nursery-given-up pid={pid} why=\"{why}\"");
        nursery.standing = Standing::Lost;
        if let Some(leash) = nursery.leash.take() {
            self.bell.remove(&leash);
        }
        process::kill(Pid::from_raw(pid));
    }

    /// Kills those that do not answer, or do not end, and again if that takes long.
    pub(super) fn kill_hung_nurseries(&mut self, now: Instant) {
        for nursery in &mut self.nurseries.all {
            if nursery.deadline.is_some_and(|deadline| deadline <= now) {
                let (pid, births) = (nursery.pid, nursery.asked.len());
                log::warn!("nursery-hangs pid={pid} births={births}");
                process::kill(Pid::from_raw(pid));
                nursery.standing = Standing::Lost;
                nursery.deadline = now.checked_add(PATIENCE);
            }
        }
    }

    /// Whether it was a nursery that ended. Whom it was asked for in vain is asked for again, elsewhere.
    pub(super) fn bury_nursery(&mut self, pid: i32, ending: Ending, now: Instant) -> bool {
        // Whom it has brought into the world lives on: what it said of them is heard first.
        let _ = self.hear_nursery(pid, usize::MAX, now);
        let is_it = |one: &Nursery| one.pid == pid;
        let Some(at) = self.nurseries.all.iter().position(is_it) else {
            return false;
        };
        let nursery = self.nurseries.all.swap_remove(at);
        if let Some(leash) = &nursery.leash {
            self.bell.remove(leash);
        }
        let births = nursery.asked.len();
        self.hear_unanswered(&nursery.asked, now);
        if births == 0 && nursery.standing == Standing::Leaving {
            log::debug!("nursery-ended pid={pid} {ending}");
            return true;
        }
        log::warn!("nursery-died pid={pid} {ending} births={births}");
        if self.stop.is_none() {
            self.pause_births(now);
        }
        true
    }

    /// Has none outlive the master.
    pub(super) fn kill_nurseries(&mut self) {
        for nursery in &mut self.nurseries.all {
            nursery.leave();
            process::kill(Pid::from_raw(nursery.pid));
        }
    }
}

impl Nurseries {
    /// When something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.all.iter().filter_map(|one| one.deadline).min()
    }

    pub(super) fn are_gone(&self) -> bool {
        self.all.is_empty()
    }

    fn present(&mut self) -> Option<&mut Nursery> {
        let mut all = self.all.iter_mut();
        all.find(|one| one.standing == Standing::Present)
    }

    fn named(&mut self, pid: i32) -> Option<&mut Nursery> {
        self.all.iter_mut().find(|one| one.pid == pid)
    }

    fn next_placeholder(&mut self) -> i32 {
        self.numbered = (self.numbered + 1) % HIGHEST_PID;
        FIRST_PLACEHOLDER - self.numbered
    }
}

impl Nursery {
    fn ask(&mut self, number: i32, leash: leash::Worker, now: Instant) -> io::Result<()> {
        let own = self.leash.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        own.send(&ToNursery::Birth { fd: leash.into() })?;
        if self.asked.is_empty() {
            self.deadline = now.checked_add(PATIENCE);
        }
        self.asked.push_back(number);
        Ok(())
    }

    /// It has answered: for whom. It has as long again for the next.
    fn answered(&mut self, now: Instant) -> Option<i32> {
        let number = self.asked.pop_front();
        let is_busy = !self.asked.is_empty();
        self.deadline = now.checked_add(PATIENCE).filter(|_| is_busy);
        number
    }

    /// Is asked for nothing any more.
    fn leave(&mut self) {
        if self.standing == Standing::Present {
            self.standing = Standing::Leaving;
        }
    }

    /// Its leash, once it is to end and nobody is waited for any more.
    fn let_go(&mut self, now: Instant) -> Option<MasterOfNursery> {
        let is_over = self.standing == Standing::Leaving && self.asked.is_empty();
        let leash = self.leash.take_if(|_| is_over)?;
        self.deadline = now.checked_add(KILL_AFTER);
        Some(leash)
    }
}
