//! What workers say, and what the master does about it.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::Master;
use super::holds::Question;
use crate::config::AuthModule;
use crate::leash::{FromWorker, Heard, News, ToWorker};
use crate::logger;
use crate::sys::supervisor::{self, Condition};
use crate::text::quoted;

/// More words than a worker can have left.
const LAST_WORDS: usize = 1024;

impl Master<'_> {
    /// Hears one message. Where there are more it rings again.
    pub(super) fn hear_worker(&mut self, pid: i32, now: Instant) {
        self.hear_words(pid, 1, now);
    }

    /// Hears what one had left to say.
    pub(super) fn hear_last_words(&mut self, pid: i32, now: Instant) {
        self.hear_words(pid, LAST_WORDS, now);
    }

    fn hear_words(&mut self, pid: i32, most: usize, now: Instant) {
        for _ in 0..most {
            let Some(leash) = self.leashes.get(&pid) else {
                return;
            };
            match leash.receive_in(&mut self.room) {
                Ok(Heard::Message(message)) if self.may_be_so(pid, &message) => {
                    self.obey(pid, message, now);
                }
                Ok(Heard::Message(_)) => {
                    return self.break_leash(pid, "it says what cannot be", now);
                }
                // Of a worker of another version, which wants no answer.
                Ok(Heard::Strange) if self.heirlooms.contains(&pid) => {}
                Ok(Heard::Strange) => return self.break_leash(pid, "a strange message", now),
                Ok(Heard::Nothing) => return,
                Ok(Heard::End) => {
                    self.drop_leash(pid, now);
                    return;
                }
                Err(error) => return self.break_leash(pid, &error.to_string(), now),
            }
        }
    }

    fn break_leash(&mut self, pid: i32, why: &str, now: Instant) {
        log::error!("leash-broken pid={pid} why=\"{why}\"");
        self.drop_leash(pid, now);
        self.board.dismissed(pid, now);
    }

    /// Whether a worker can say this now. Who has taken one over would have it pass for one that waits, so
    /// that nobody comes in, or for one with another client, whom the master then bans, or connects to.
    fn may_be_so(&self, pid: i32, message: &FromWorker) -> bool {
        match message {
            FromWorker::Ready { .. } => self.board.is_unborn(pid),
            FromWorker::Awaits { .. }
            | FromWorker::Taken { .. }
            | FromWorker::Admit { .. }
            | FromWorker::Left => self.board.may_go_on(pid),
            _ => true,
        }
    }

    fn obey(&mut self, pid: i32, message: FromWorker, now: Instant) {
        match message {
            FromWorker::Ready { pid: own } => self.has_come(pid, own, now),
            FromWorker::Awaits { proxy } => self.board.awaits(pid, proxy, now),
            FromWorker::Taken { peer } => self.take(pid, peer, now),
            FromWorker::Transferred {
                is_upload,
                is_complete,
                count,
                bytes,
            } => {
                self.tally
                    .transferred(is_upload, is_complete, count.into(), bytes);
                self.board.transferred(pid, is_upload, bytes);
            }
            FromWorker::Admit { number, peer } => self.admit(pid, number, peer, now),
            FromWorker::Enter {
                number,
                user,
                module,
            } => self.enter(pid, number, user, module, now),
            FromWorker::Failed { number } => self.failed_login(pid, number, now),
            FromWorker::Account { number, user } => {
                self.answer_in_turn(pid, number, Question::Account(user), now);
            }
            FromWorker::Login {
                number,
                user,
                password,
            } => self.answer_in_turn(pid, number, Question::Login(user, password), now),
            FromWorker::Entered { user, module } => {
                self.tally.logins += 1;
                self.board.entered(pid, user, module, now);
            }
            FromWorker::LoggedOut => self.board.logged_out(pid, now),
            FromWorker::Parting => self.board.parting(pid),
            FromWorker::Doing { verb, argument } => {
                self.board.doing(pid, verb, argument, now);
                self.share_out(pid, now);
            }
            FromWorker::Uploaded(upload) => self.run_hook(upload),
            FromWorker::Figures(figures) => self.figures.add(&figures),
            FromWorker::Moved { bytes } => self.board.moved(pid, bytes, now),
            FromWorker::Left => {
                self.board.idle(pid, now);
                self.shares.gone(pid, now);
            }
            FromWorker::Room { number, megabytes } => self.lease_room(pid, number, megabytes),
            FromWorker::Call {
                number,
                local,
                port,
            } => self.call(pid, number, local, port),
            // What was said before has been passed on already.
            FromWorker::Fence { number } => {
                let answer = Vec::new();
                self.tell(pid, &ToWorker::Answer { number, answer });
            }
            FromWorker::RoomFree { megabytes } => self.spools.give(pid, megabytes.into()),
            FromWorker::Unlogged { lines } => logger::add_losses(lines.into()),
            FromWorker::News(news) => self.hear_news(pid, news),
        }
    }

    fn has_come(&mut self, known: i32, own: i32, now: Instant) {
        self.board.idle(known, now);
        if let Some(seat) = self.board.seat(known) {
            self.births.came(seat.born);
        }
        self.worker_told_pid(known, own, now);
        self.say_started();
    }

    fn lease_room(&mut self, pid: i32, number: u32, megabytes: u32) {
        let most = self.config.mogilefs.spool_max.div_ceil(1 << 20);
        let may = most == 0 || self.spools.take(pid, megabytes.into(), most);
        let answer = if may { b"1".to_vec() } else { Vec::new() };
        self.tell(pid, &ToWorker::Answer { number, answer });
    }

    fn hear_news(&mut self, teller: i32, news: News) {
        match news {
            News::Failed(address) => self.suspect(teller, address),
            // That is the clerk's to say.
            News::Recovered(_) => {}
            news => self.spread(Some(teller), news),
        }
    }

    /// Whoever does not answer comes last for all, as long as somebody looks whether it does again.
    fn suspect(&mut self, teller: i32, address: SocketAddr) {
        if self.lore.is_shunned(address) || !self.may_be_contacted(address) {
            return;
        }
        if self.have_tried(address) {
            self.spread(Some(teller), News::Failed(address));
        }
    }

    fn may_be_contacted(&self, address: SocketAddr) -> bool {
        let storage = &self.config.mogilefs.storage;
        storage.is_empty()
            || storage.iter().any(|network| network.contains(address.ip()))
            || self.addresses.trackers().contains(&address)
    }

    /// Remembers for those to be born what one has told, and tells the others. Who does not listen
    /// does without.
    pub(super) fn spread(&mut self, teller: Option<i32>, news: News) {
        self.lore.learn(&news);
        self.tell_nursery(&news);
        let news = ToWorker::News(news);
        for (pid, leash) in &self.leashes {
            if Some(*pid) != teller {
                let _ = leash.send(&news);
            }
        }
    }

    fn say_started(&mut self) {
        if !self.is_started {
            self.is_started = true;
            log::info!("started version={}", env!("CARGO_PKG_VERSION"));
            self.ready.tell(0, "");
            supervisor::tell(Condition::Ready);
        }
    }

    /// Nothing at all when nobody can be looked up: that must not pass for a wrong password.
    pub(super) fn look_up(&mut self, user: &[u8]) -> Vec<u8> {
        match self.users.look_up(user) {
            Ok(found) => found.encode(),
            Err(error) => {
                self.complain_of_users(&error);
                Vec::new()
            }
        }
    }

    /// Reads the users; bad lines are logged on the way.
    pub(super) fn refresh_users(&mut self) {
        if self.config.auth.module == AuthModule::Text
            && let Err(error) = self.users.refresh()
        {
            self.complain_of_users(&error);
        }
    }

    fn complain_of_users(&self, error: &io::Error) {
        let file = &self.config.auth.text.file;
        let file = quoted(file.as_os_str().as_encoded_bytes());
        log::error!("users-unreadable file={file} why=\"{error}\"");
    }
}
