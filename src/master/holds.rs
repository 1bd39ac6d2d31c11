//! Logins that wait for their turn: where an address has just failed the next password from there is
//! looked at later, in whatever session it comes. The answer to a failed login waits, too, but who guesses
//! need not wait for it: who is right is told at once.

use std::time::Instant;

use super::Master;
use crate::leash::{Secret, ToWorker};

/// What a worker waits for to be told.
#[derive(Debug)]
pub(super) struct Held {
    number: u32,
    question: Question,
    due: Instant,
}

/// What is asked of a client's user.
#[derive(Debug)]
pub(super) enum Question {
    /// The record in the users file.
    Account(Vec<u8>),
    /// Of the site's program, whether this is the password.
    Login(Vec<u8>, Secret),
}

impl Master<'_> {
    /// Answers when it is time to. A worker waits for the last question that it has asked, and for no other.
    pub(super) fn answer_in_turn(
        &mut self,
        pid: i32,
        number: u32,
        question: Question,
        now: Instant,
    ) {
        let (suspects, limits) = (&self.gate.suspects, &self.config.limits);
        let peer = self.peer_of(pid);
        match peer.and_then(|peer| suspects.next_turn(peer.ip(), limits, now)) {
            None => self.look_into(pid, number, question),
            Some(due) => {
                let held = Held {
                    number,
                    question,
                    due,
                };
                self.gate.held.insert(pid, held);
            }
        }
    }

    /// Tells whoever waits for an answer that it will not come: the program that takes this one's place
    /// knows of no question.
    pub(super) fn answer_nobody(&self) {
        let held = self.gate.held.iter().map(|(pid, held)| (*pid, held.number));
        for (worker, number) in held.chain(self.clerks.asked()) {
            self.answer_nothing(worker, number);
        }
    }

    fn look_into(&mut self, pid: i32, number: u32, question: Question) {
        match question {
            Question::Account(user) => {
                let answer = self.look_up(&user);
                self.tell(pid, &ToWorker::Answer { number, answer });
            }
            Question::Login(user, password) => self.ask_program(pid, number, user, password),
        }
    }

    pub(super) fn answer_if_due(&mut self, now: Instant) {
        let all = self.gate.held.iter();
        let due: Vec<i32> = all
            .filter(|(_, held)| held.due <= now)
            .map(|(pid, _)| *pid)
            .collect();
        for pid in due {
            if let Some(held) = self.gate.held.remove(&pid) {
                self.look_into(pid, held.number, held.question);
            }
        }
    }

    pub(super) fn answer_due(&self) -> Option<Instant> {
        self.gate.held.values().map(|held| held.due).min()
    }
}
