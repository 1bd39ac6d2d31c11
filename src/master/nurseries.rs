//! The nursery, from which the workers are forked: what it is asked for and answers, and what follows
//! when it dies, hangs, or is no longer what workers are to be born from.

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

/// Workers that are yet to be born have numbers from here on, downwards, until they have a pid.
const UNBORN: i32 = i32::MAX;

/// No process of any machine has a higher pid.
const HIGHEST_PID: i32 = 1 << 22;

/// The present nursery, and those that are to end.
#[derive(Debug, Default)]
pub(super) struct Nurseries {
    all: Vec<Nursery>,
    /// How many numbers were given.
    numbered: i32,
    /// Children that ended before anybody had said whose they were.
    early: BTreeMap<i32, Ending>,
}

#[derive(Debug)]
struct Nursery {
    pid: i32,
    /// `None`: it was let go of.
    leash: Option<MasterOfNursery>,
    /// The workers that it was asked for and has not answered for.
    asked: VecDeque<i32>,
    standing: Standing,
    /// When it is killed, unless it has answered or ended.
    deadline: Option<Instant>,
}

/// What is thought of a nursery. None but the present one is asked for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Present,
    /// It is to end when it has answered.
    Leaving,
    /// It is of no use, and is dead or about to be.
    Lost,
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

    /// It has answered: for whom.
    fn answered(&mut self, now: Instant) -> Option<i32> {
        let number = self.asked.pop_front();
        let is_busy = !self.asked.is_empty();
        self.deadline = now.checked_add(PATIENCE).filter(|_| is_busy);
        number
    }

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

    fn next_number(&mut self) -> i32 {
        self.numbered = (self.numbered + 1) % HIGHEST_PID;
        UNBORN - self.numbered
    }
}

/// Whether that is the number of a worker which is yet to be born.
pub(super) fn is_unborn(number: i32) -> bool {
    number > HIGHEST_PID
}

impl Master<'_> {
    /// Asks for a worker with this end of its leash: its number until it has a pid.
    pub(super) fn ask_for_worker(&mut self, leash: leash::Worker, now: Instant) -> io::Result<i32> {
        if self.nurseries.present().is_none() {
            self.spawn_nursery()?;
        }
        if !self.is_birth_due() {
            self.nurseries.early.clear();
        }
        let number = self.nurseries.next_number();
        let nursery = self.nurseries.present().ok_or(io::ErrorKind::NotFound)?;
        nursery.ask(number, leash, now)?;
        Ok(number)
    }

    fn spawn_nursery(&mut self) -> io::Result<()> {
        let (own, theirs): (MasterOfNursery, leash::Nursery) =
            leash::pair(fds::hear, fds::receive)?;
        let listeners = self.listeners.copies()?;
        let mut keep = logger::descriptors();
        keep.extend(listeners.iter().map(AsRawFd::as_raw_fd));
        keep.extend(self.ground.worker.descriptors());
        keep.push(theirs.as_fd().as_raw_fd());
        let bring_up = self.crew.nursery;
        let birthright = Birthright {
            config: &self.config,
            zone: &self.ground.zone,
            tls: self.ground.tls.as_ref(),
            addresses: &self.addresses,
            lore: &self.lore,
            jail: &self.ground.worker,
        };
        let pid = process::spawn(self.streams(), &keep, move || {
            bring_up(&theirs, listeners, &birthright)
        })?;
        let pid = pid.as_raw();
        let heard = self.bell.add(&own, Ring::Nursery(pid));
        self.nurseries.all.push(Nursery {
            pid,
            leash: Some(own),
            asked: VecDeque::new(),
            standing: Standing::Present,
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
                self.mourn(&io::Error::from_raw_os_error(*errno), now);
            }
            (None, _) => {}
        }
        self.let_go_of_nurseries(now);
        Ok(())
    }

    /// Whether a worker of which nobody has heard so far can have this pid.
    fn may_be_new(&self, pid: i32) -> bool {
        (1..=HIGHEST_PID).contains(&pid) && self.board.seat(pid).is_none()
    }

    /// A worker has said what its pid is, of which a nursery that died may not have told: what it is known
    /// by from now on.
    pub(super) fn name_newborn(&mut self, known: i32, pid: i32, now: Instant) {
        if is_unborn(known)
            && self.may_be_new(pid)
            && let Some(leash) = self.leashes.remove(&known)
        {
            self.bell.remove(&leash);
            self.welcome(known, pid, leash, now);
        }
    }

    /// Whether it has been asked for enough, for now.
    pub(super) fn is_nursery_busy(&self) -> bool {
        let mut all = self.nurseries.all.iter();
        all.any(|one| one.standing == Standing::Present && one.asked.len() >= UNANSWERED)
    }

    /// Whether there are workers of whose birth word has yet to come.
    pub(super) fn is_birth_due(&self) -> bool {
        let highest = self.leashes.last_key_value();
        highest.is_some_and(|(number, _)| is_unborn(*number))
    }

    /// A worker has its pid.
    fn welcome(&mut self, number: i32, pid: i32, leash: MasterOfWorker, now: Instant) {
        self.board.born(number, pid);
        let heard = self.bell.add(&leash, Ring::Worker(pid));
        self.leashes.insert(pid, leash);
        if let Err(error) = heard {
            self.unleash(pid, now);
            self.mourn(&error, now);
        }
        if let Some(ending) = self.nurseries.early.remove(&pid) {
            self.bury_worker(pid, ending, now);
        }
    }

    /// Somebody has ended whom nobody knows. Where there are births of which word has yet to come it is
    /// kept in mind.
    pub(super) fn may_be_newborn(&mut self, pid: i32, ending: Ending) -> bool {
        let may_be = self.is_birth_due();
        if may_be {
            self.nurseries.early.insert(pid, ending);
        }
        may_be
    }

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
        self.let_go_of_nurseries(now);
    }

    fn let_go_of_nurseries(&mut self, now: Instant) {
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

    pub(super) fn mind_the_nurseries(&mut self, now: Instant) {
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

    /// Has none outlive the master.
    pub(super) fn kill_nurseries(&mut self) {
        for nursery in &mut self.nurseries.all {
            nursery.leave();
            process::kill(Pid::from_raw(nursery.pid));
        }
    }

    /// Whether it was a nursery that ended. Whom it was asked for in vain is asked for again, elsewhere.
    pub(super) fn bury_nursery(&mut self, pid: i32, ending: Ending, now: Instant) -> bool {
        // Whom it has brought into the world lives on.
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
        self.look_after(&nursery.asked, now);
        if births == 0 && nursery.standing == Standing::Leaving {
            log::debug!("nursery-ended pid={pid} {ending}");
            return true;
        }
        log::warn!("nursery-died pid={pid} {ending} births={births}");
        if self.stop.is_none() {
            let pause = self.births.failed(now).as_millis();
            log::debug!("births-paused ms={pause}");
        }
        true
    }

    /// Those whom a dead nursery has not answered for. Who was born may have a client: it says so, and who
    /// it is; the leashes of the others have ended.
    fn look_after(&mut self, asked: &VecDeque<i32>, now: Instant) {
        for number in asked {
            let leash = self.leashes.get(number);
            let heard = leash.map(|leash| self.bell.add(leash, Ring::Worker(*number)));
            if !matches!(heard, Some(Ok(()))) {
                self.unleash(*number, now);
            }
        }
    }
}
