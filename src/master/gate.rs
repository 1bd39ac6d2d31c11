//! The gate: who may come in and who may stay, over all workers. What is counted is read off the
//! board, so that a worker that dies without a word leaves nothing behind.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Master;
use super::holds::Held;
use crate::board::{Share, State, Suspects};
use crate::leash::{ToWorker, Word};
use crate::text::quoted;

/// What the gate remembers.
#[derive(Debug, Default)]
pub(super) struct Gate {
    pub(super) suspects: Suspects,
    /// By worker.
    pub(super) held: BTreeMap<i32, Held>,
    /// The operator has shut the service: what clients are told.
    pub(super) shut: Option<Shut>,
}

/// The service takes no new logins.
#[derive(Debug)]
pub(super) struct Shut {
    pub(super) text: String,
    /// When the sessions that are still there are ended; `None`: that has been said.
    pub(super) drain: Option<Instant>,
}

impl Gate {
    /// How many addresses are not let in.
    pub(super) fn banned(&self, now: Instant) -> usize {
        self.suspects.banned(now)
    }
}

impl Master<'_> {
    /// A client has come; nothing is known of it but its address.
    pub(super) fn admit(&mut self, pid: i32, number: u32, peer: SocketAddr, now: Instant) {
        let why = self.why_not(pid, peer, now);
        let word = match why {
            None => {
                self.take(pid, peer, now);
                Word::Stay(Duration::ZERO)
            }
            Some((why, text)) => {
                self.tally.refused += 1;
                self.board.refused(pid);
                log::info!("refused peer={} why={why}", peer.ip().to_canonical());
                Word::Go(Duration::ZERO, text)
            }
        };
        self.say_word(pid, number, &word);
    }

    /// A worker has a client that stays.
    pub(super) fn take(&mut self, pid: i32, peer: SocketAddr, now: Instant) {
        self.tally.sessions += 1;
        self.board.taken(pid, peer, now);
        if let Some(seat) = self.board.seat(pid) {
            self.births.proved(seat.born);
        }
    }

    fn why_not(&self, pid: i32, peer: SocketAddr, now: Instant) -> Option<(&'static str, String)> {
        let most = self.config.limits.max_per_ip;
        if let Some(shut) = &self.gate.shut {
            Some(("shut", shut.text.clone()))
        } else if self.gate.suspects.is_banned(peer.ip(), now) {
            let text = "Too many failed logins, try again later.";
            Some(("banned", text.to_owned()))
        } else if most > 0 && self.board.others_from(peer.ip(), pid) >= most {
            let text = format!("Too many connections from your address, {most} are allowed.");
            Some(("max-per-ip", text))
        } else {
            None
        }
    }

    /// A client has proved who it is.
    pub(super) fn enter(
        &mut self,
        pid: i32,
        number: u32,
        user: Vec<u8>,
        module: String,
        now: Instant,
    ) {
        let most = self.config.limits.max_per_user;
        let seat = self.board.seat(pid);
        if seat.is_none_or(|seat| seat.deadline.is_some()) {
            // It was told why it has to go.
            return self.say_word(pid, number, &Word::Go(Duration::ZERO, String::new()));
        }
        let refusal = if let Some(shut) = &self.gate.shut {
            Some(("shut", shut.text.clone()))
        } else if most > 0 && self.board.others_of(&user, pid) >= most {
            let text = format!("Too many sessions of this user, {most} are allowed.");
            Some(("max-per-user", text))
        } else {
            None
        };
        let word = match refusal {
            None => {
                self.tally.logins += 1;
                self.board.entered(pid, user, module, now);
                Word::Stay(Duration::ZERO)
            }
            Some((why, text)) => {
                let peer = self.peer_of(pid).map(|peer| peer.ip().to_canonical());
                let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
                log::info!("login-refused peer={peer} why={why} user={}", quoted(&user));
                Word::Go(Duration::ZERO, text)
            }
        };
        self.say_word(pid, number, &word);
    }

    /// A client's password was wrong.
    pub(super) fn failed_login(&mut self, pid: i32, number: u32, now: Instant) {
        self.tally.failed_logins += 1;
        let Some(peer) = self.peer_of(pid) else {
            return self.say_word(pid, number, &Word::Stay(Duration::ZERO));
        };
        let limits = &self.config.limits;
        let penalty = self.gate.suspects.failed(peer.ip(), limits, now);
        if !penalty.is_banned {
            return self.say_word(pid, number, &Word::Stay(penalty.delay));
        }
        let (address, seconds) = (peer.ip().to_canonical(), limits.ban_time.as_secs());
        self.tally.bans += 1;
        log::warn!("banned peer={address} seconds={seconds}");
        let text = "Too many failed logins.";
        self.say_word(pid, number, &Word::Go(penalty.delay, text.to_owned()));
        // Its other attempts, which are under way already.
        for other in self.board.visitors_from(peer.ip()) {
            if other != pid {
                self.dismiss(other, text, now);
            }
        }
    }

    /// A worker's client has begun or ended a command.
    pub(super) fn share_out(&mut self, pid: i32, now: Instant) {
        let whole = self.whole_share();
        if let Some(share) = self.shares.changed(pid, &self.board, whole, now) {
            self.tell_share(pid, share);
        }
    }

    /// Tells those whose part of what their user may move is another one now.
    pub(super) fn share_if_due(&mut self, now: Instant) {
        for (pid, share) in self.shares.news(&self.board, self.whole_share(), now) {
            self.tell_share(pid, share);
        }
    }

    fn whole_share(&self) -> Share {
        let limits = &self.config.limits;
        Share {
            up: limits.upload_rate_per_user,
            down: limits.download_rate_per_user,
        }
    }

    fn tell_share(&self, pid: i32, Share { up, down }: Share) {
        self.tell(pid, &ToWorker::Share { up, down });
    }

    pub(super) fn peer_of(&self, pid: i32) -> Option<SocketAddr> {
        self.board.seat(pid).map(|seat| &seat.state)?.peer()
    }

    fn say_word(&self, pid: i32, number: u32, word: &Word) {
        let answer = word.encode();
        self.tell(pid, &ToWorker::Answer { number, answer });
    }

    /// Takes no new logins until [`Self::open_gate`]; whoever is in has so much time left.
    pub(super) fn shut_gate(&mut self, time: Duration, text: String, now: Instant) {
        let minutes = time.as_secs() / 60;
        log::info!("shut minutes={minutes} text={}", quoted(text.as_bytes()));
        self.gate.shut = Some(Shut {
            text,
            drain: now.checked_add(time),
        });
        self.tell_gate();
    }

    /// Takes logins again; whether it took none before.
    pub(super) fn open_gate(&mut self) -> bool {
        let was_shut = self.gate.shut.take().is_some();
        if was_shut {
            log::info!("opened");
            self.tell_gate();
        }
        was_shut
    }

    fn tell_gate(&self) {
        let is_shut = self.gate.shut.is_some();
        for pid in self.pids() {
            self.tell(pid, &ToWorker::Gate { is_shut });
        }
    }

    /// Ends the sessions of a service that is shut, when their time is over: the ones that wait
    /// now, the busy ones when their command is done.
    pub(super) fn drain_if_due(&mut self, now: Instant) {
        let Some(shut) = &mut self.gate.shut else {
            return;
        };
        if shut.drain.take_if(|drain| *drain <= now).is_none() {
            return;
        }
        let text = shut.text.clone();
        for pid in self.pids() {
            let seat = self.board.seat(pid);
            let has_client = seat.is_some_and(|seat| seat.state.peer().is_some());
            if has_client {
                let text = text.clone();
                self.tell(pid, &ToWorker::Leave { text });
                self.board.retired(pid);
            }
        }
    }

    pub(super) fn drain_due(&self) -> Option<Instant> {
        self.gate.shut.as_ref()?.drain
    }

    /// The workers of the clients that `who` stands for: a worker's pid, an address, or a user.
    pub(super) fn meant(&self, who: &str) -> Vec<i32> {
        let is_meant = |pid: i32, state: &State| {
            let Some(peer) = state.peer() else {
                return false;
            };
            let address = peer.ip().to_canonical().to_string();
            let is_user = state.user().is_some_and(|user| user == who.as_bytes());
            pid.to_string() == who || address == who || peer.to_string() == who || is_user
        };
        self.board
            .seats()
            .filter(|(pid, seat)| is_meant(*pid, &seat.state))
            .map(|(pid, _)| pid)
            .collect()
    }
}
