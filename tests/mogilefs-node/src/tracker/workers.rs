//! Query workers: how many requests run at once, in which order the others wait, and what a worker
//! that says one line too many does to the next in the queue.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::door::lock;

/// One worker's memory, which shows through to later clients.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// Of the last request that could be read.
    pub(super) last_callid: Option<Vec<u8>>,
    /// Text of the last failure, put at the end of other errors.
    pub(super) last_error: String,
}

/// How a request got its worker.
pub(super) enum Granted {
    Free(Worker),
    /// After a wait.
    Queued(Worker),
    /// A stray line came instead: the connection is to be closed without an answer.
    Struck,
}

/// The workers of one tracker.
pub(super) struct Workers {
    pool: Mutex<Pool>,
}

struct Pool {
    idle: Vec<Worker>,
    /// The connection whose rename left a second line behind, where a fault keeps that line.
    stray_of: Option<u64>,
    queue: VecDeque<Arc<Ticket>>,
}

#[derive(Default)]
struct Ticket {
    granted: Mutex<Option<Granted>>,
    called: Condvar,
}

impl Ticket {
    fn call(&self, granted: Granted) {
        *lock(&self.granted) = Some(granted);
        self.called.notify_one();
    }

    fn wait(&self) -> Granted {
        let mut granted = lock(&self.granted);
        loop {
            if let Some(granted) = granted.take() {
                return granted;
            }
            granted = self
                .called
                .wait(granted)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Workers {
    pub(super) fn new(count: usize) -> Self {
        let idle = (0..count.max(1)).map(|_| Worker::default()).collect();
        Self {
            pool: Mutex::new(Pool {
                idle,
                stray_of: None,
                queue: VecDeque::new(),
            }),
        }
    }

    /// Waits for a worker, first come, first served.
    pub(super) fn take(&self, guest: u64) -> Granted {
        let mut pool = lock(&self.pool);
        if pool.stray_of.take().is_some_and(|of| of != guest) {
            return Granted::Struck;
        }
        // The last to be idle is the first to work, so that one client alone always has the same.
        if let Some(worker) = pool.idle.pop() {
            return Granted::Free(worker);
        }
        let ticket = Arc::new(Ticket::default());
        pool.queue.push_back(Arc::clone(&ticket));
        drop(pool);
        ticket.wait()
    }

    /// The request is answered.
    pub(super) fn give_back(&self, worker: Worker) {
        let mut pool = lock(&self.pool);
        match pool.queue.pop_front() {
            Some(ticket) => ticket.call(Granted::Queued(worker)),
            None => pool.idle.push(worker),
        }
    }

    /// The request is answered, and a second line follows: whoever is next in the queue is taken
    /// for its reader, and the worker is shot. `keep`: without a queue the line waits.
    pub(super) fn give_back_astray(&self, worker: Worker, guest: u64, keep: bool) {
        let next = lock(&self.pool).queue.pop_front();
        match next {
            Some(ticket) => {
                ticket.call(Granted::Struck);
                self.give_back(Worker::default());
            }
            None if keep => {
                lock(&self.pool).stray_of = Some(guest);
                self.give_back(worker);
            }
            None => self.give_back(worker),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_line_strikes_the_next_in_the_queue() {
        let workers = Arc::new(Workers::new(1));
        let Granted::Free(worker) = workers.take(1) else {
            panic!("nobody was there")
        };
        let other = Arc::clone(&workers);
        let waiting = std::thread::spawn(move || matches!(other.take(2), Granted::Struck));
        while lock(&workers.pool).queue.is_empty() {
            std::thread::yield_now();
        }
        workers.give_back_astray(worker, 1, false);
        assert!(waiting.join().unwrap());
        assert!(matches!(workers.take(3), Granted::Free(_)));
    }

    #[test]
    fn without_a_queue_a_stray_line_harms_nobody_unless_it_is_kept() {
        let workers = Workers::new(1);
        for (keep, next, struck) in [(false, 2, false), (true, 1, false), (true, 2, true)] {
            let Granted::Free(worker) = workers.take(1) else {
                panic!("nobody was there")
            };
            workers.give_back_astray(worker, 1, keep);
            match workers.take(next) {
                Granted::Struck => assert!(struck),
                Granted::Free(worker) | Granted::Queued(worker) => {
                    assert!(!struck);
                    workers.give_back(worker);
                }
            }
        }
    }
}
