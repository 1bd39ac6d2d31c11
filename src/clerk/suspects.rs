//! Trackers and storage nodes that do not answer: tried again and again, so that no session has to
//! wait in order to find out that they still do not.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::config::Mogilefs;
use crate::leash::{self, FromClerk};
use crate::mogilefs::Peer;
use crate::text::quoted_error;

/// So many times the first pause is the longest one.
const LONGEST: u32 = 6;

/// Those of whom nobody knows better yet.
pub(super) struct Suspects<'a> {
    settings: &'a Mogilefs,
    all: Vec<Suspect>,
}

struct Suspect {
    peer: Peer,
    due: Instant,
    /// How long to wait after the next failure.
    pause: Duration,
}

impl<'a> Suspects<'a> {
    pub(super) fn new(settings: &'a Mogilefs) -> Self {
        let all = Vec::new();
        Self { settings, all }
    }

    pub(super) fn add(&mut self, address: SocketAddr, is_tracker: bool, now: Instant) {
        if self.all.iter().any(|one| one.peer.address() == address) {
            return;
        }
        let peer = if is_tracker {
            Peer::Tracker(address)
        } else {
            Peer::Node(address)
        };
        let pause = self.settings.probe_interval;
        self.all.push(Suspect {
            peer,
            due: now + pause,
            pause,
        });
    }

    /// When the next one is to be tried.
    pub(super) fn due(&self) -> Option<Instant> {
        self.all.iter().map(|suspect| suspect.due).min()
    }

    /// Tries the one whose turn it is, if it is time: one only, since that may take long. If it answers
    /// the master is told.
    pub(super) fn try_next(&mut self, leash: &leash::Clerk) -> io::Result<()> {
        let next = self.all.iter_mut().enumerate();
        let Some((at, suspect)) = next.min_by_key(|(_, suspect)| suspect.due) else {
            return Ok(());
        };
        if Instant::now() < suspect.due {
            return Ok(());
        }
        let address = suspect.peer.address();
        match suspect.peer.probe(self.settings) {
            Ok(()) => {
                self.all.swap_remove(at);
                leash.send(&FromClerk::Alive { address })
            }
            Err(error) => {
                let longest = self.settings.probe_interval.saturating_mul(LONGEST);
                suspect.pause = suspect.pause.saturating_mul(2).min(longest);
                suspect.due = Instant::now() + suspect.pause;
                log::debug!(
                    "probe-failed addr={address} next_ms={} error={}",
                    suspect.pause.as_millis(),
                    quoted_error(&error)
                );
                Ok(())
            }
        }
    }
}
