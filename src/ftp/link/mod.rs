//! A data connection that is there: bytes one way or the other while bystanders are heard, and an end that
//! both sides know of.

use std::io::{self, Read, Write};
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::warn;
use socket2::SockRef;

use self::ebb::Ebb;
use self::packed::Packer;
use super::Direction;
use super::data::Ends;
use super::flow::Flow;
use super::progress::Progress;
use super::wire::Wire;
use crate::config::Truncation;
use crate::sys::queue;
use crate::vigil::{self, For};

mod ebb;
mod moved;
mod packed;

/// Bystanders are looked at after so many bytes, even where nothing has to be waited for: a quick
/// client would otherwise never let an ABOR be heard.
const HEARD_EVERY: usize = 1024 * 1024;

/// What the kernel holds that it has not sent, of what is long: more would only be further away from the
/// processor when its turn comes, and memory of ours with a slow client.
const UNSENT: u32 = 128 * 1024;

/// A data connection that is there.
pub(super) struct Link {
    wire: Wire,
    /// Under TLS: what an end without close_notify means, and whose it is, for the log.
    truncation: Option<(Truncation, String)>,
    stall: Duration,
    flow: Flow,
    progress: Rc<Progress>,
    /// Of MODE Z.
    level: Option<u8>,
    packer: Option<Packer>,
    /// Bytes that were moved since bystanders were last looked at.
    unheard: usize,
    /// The kernel reports a reset once and the end of the stream afterwards: what was once broken
    /// must not look as if it had ended well.
    broken: Option<io::ErrorKind>,
    /// What is written goes out at once, however little it is. What the kernel sends of itself needs
    /// no such care.
    is_prompt: bool,
    /// The kernel was told what it may hold.
    is_lean: bool,
    /// What must have happened before anything is waited for.
    before_waiting: Option<Box<dyn FnOnce()>>,
}

impl Link {
    /// What goes over `wire`, as both ends want it.
    pub(super) fn new(wire: Wire, ends: &Ends<'_>, flow: Flow, progress: Rc<Progress>) -> Self {
        let truncation = ends
            .protection
            .as_ref()
            .map(|protection| (protection.truncation, ends.tag.to_string()));
        Self {
            wire,
            truncation,
            stall: ends.stall,
            flow,
            progress,
            level: ends.level,
            packer: None,
            unheard: 0,
            broken: None,
            is_prompt: ends.protection.is_some(),
            is_lean: false,
            before_waiting: None,
        }
    }

    /// How far it is.
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether the kernel can move bytes by itself: it can neither seal nor pack.
    pub(super) fn is_plain(&self) -> bool {
        !self.wire.is_secure() && self.level.is_none()
    }

    /// Has `notice` called before anything is waited for.
    pub(super) fn before_waiting(&mut self, notice: impl FnOnce() + 'static) {
        self.before_waiting = Some(Box::new(notice));
    }

    /// Has the kernel hold no more than about `most` bytes that it has not sent.
    fn keep_lean(&mut self, most: u32) {
        if !std::mem::replace(&mut self.is_lean, true) {
            // It is good to have, no more.
            let _ = SockRef::from(self.wire.socket()).set_tcp_notsent_lowat(most);
        }
    }

    fn will_wait(&mut self) {
        if let Some(notice) = self.before_waiting.take() {
            notice();
        }
    }

    /// Ends our side and returns when the client's kernel has acknowledged every byte; as long as
    /// that goes on, however slowly, it is no stall.
    ///
    /// # Errors
    /// The client reset the connection, or took nothing for too long.
    pub(super) fn finish(mut self) -> io::Result<()> {
        /// The end of a connection counts as one byte.
        const END: usize = 1;
        if let Some(level) = self.level {
            let mut deflater = self.deflater(level);
            deflater.end(&mut |packed| self.send(packed))?;
        }
        self.attempt(For::Writing, Wire::flush)?;
        self.wire.end()?;
        let mut ebb = Ebb::begin();
        let mut nap = Duration::from_millis(1);
        let mut is_closed = false;
        loop {
            let left = queue::unacknowledged(self.wire.socket())?;
            if let Some(error) = self.wire.socket().take_error()? {
                return Err(error);
            }
            // That its end has come need not be known.
            if left <= END {
                return Ok(());
            }
            ebb.goes_on(left, self.stall)?;
            self.will_wait();
            if is_closed {
                vigil::pause(nap)?;
            } else {
                is_closed = self.await_close(nap)?;
            }
            nap = (nap * 2).min(Duration::from_millis(100));
        }
    }

    /// Waits for the client to close its side, which most do at once; whether it has. What it sends
    /// on a connection for a download is nothing to us.
    fn await_close(&mut self, limit: Duration) -> io::Result<bool> {
        match vigil::wait(self.wire.as_fd(), For::Reading, Some(limit)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(false),
            Err(error) => return Err(error),
        }
        match self.wire.socket().read(&mut [0; 512]) {
            Ok(count) => Ok(count == 0),
            Err(error) if is_passing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Ends our side of an upload: under TLS the client may wait for it.
    pub(super) fn part(mut self) {
        if self.wire.is_secure() && self.broken.is_none() {
            let _ = self.wire.end();
        }
    }

    /// The same of one that has failed, when the client has been told: closed over bytes that nobody has read
    /// it would be reset, behind which many clients do not look for the reply. So there is some time to stop
    /// sending, or to come to the end.
    pub(super) fn linger(self) {
        const LINGER: Duration = Duration::from_secs(1);
        let begun = Instant::now();
        let mut block = vec![0; HEARD_EVERY / 8];
        while let Some(left) = LINGER.checked_sub(begun.elapsed()) {
            let ready = vigil::wait(self.wire.as_fd(), For::Reading, Some(left));
            match ready.and_then(|()| self.wire.socket().read(&mut block)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if is_passing(&error) => {}
                Err(_) => break,
            }
        }
        self.part();
    }

    /// Waits until something can be read, at most `limit` long; whether that is so.
    ///
    /// # Errors
    /// The wait was ended by a bystander.
    pub(super) fn is_ready(&mut self, limit: Duration) -> io::Result<bool> {
        let has_unpacked = match &mut self.packer {
            Some(Packer::In(inflater)) => inflater.has_more(),
            _ => false,
        };
        if has_unpacked || self.broken.is_some() || self.wire.has_read_ahead() {
            return Ok(true);
        }
        let deadline = Instant::now().checked_add(limit);
        loop {
            match vigil::wait_until(&[(self.wire.as_fd(), For::Reading)], deadline) {
                Ok(_) if self.wire.take_in() => return Ok(true),
                // A client that pauses mostly does so within a record.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether an end without close_notify passes for an end. Many clients never send one.
    fn is_excused(&self, error: &io::Error) -> bool {
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return false;
        }
        match &self.truncation {
            None | Some((Truncation::Require, _)) => false,
            Some((Truncation::Ignore, _)) => true,
            Some((Truncation::Log, tag)) => {
                warn!("data-truncated {tag} bytes={}", self.progress.moved());
                true
            }
        }
    }

    fn passed(&mut self, count: usize) {
        self.unheard = self.unheard.saturating_add(count);
        self.progress.add(count);
        let moved = self.progress.moved();
        self.flow.passed(count, moved);
        if moved >= HEARD_EVERY as u64 {
            self.keep_lean(UNSENT);
        }
    }

    fn attempt<T>(
        &mut self,
        direction: For,
        mut call: impl FnMut(&mut Wire) -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(kind) = self.broken {
            return Err(kind.into());
        }
        // The client has just been told to send: its first bytes are hardly there.
        let is_first = direction == For::Reading && self.progress.moved() == 0;
        let mut must_wait = is_first || self.unheard >= HEARD_EVERY;
        loop {
            let waited = match must_wait {
                true => self.wait(direction),
                false => Ok(()),
            };
            must_wait = true;
            match waited.and_then(|()| call(&mut self.wire)) {
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    // An interrupted wait is interrupted again, and must be known for what it is.
                    if !vigil::was_interrupted(&error) {
                        self.broken = Some(error.kind());
                    }
                    return Err(error);
                }
                done => return done,
            }
        }
    }

    /// Waits until the connection can go on, and lets bystanders be heard.
    fn wait(&mut self, direction: For) -> io::Result<()> {
        self.will_wait();
        self.unheard = 0;
        if direction == For::Reading && self.wire.is_secure() {
            // Many clients do not send their last record before the one ahead of it is acknowledged, for
            // which the kernel would take its time.
            let _ = SockRef::from(self.wire.socket()).set_tcp_quickack(true);
        }
        if direction == For::Reading && self.wire.has_read_ahead() {
            return vigil::pause(Duration::ZERO);
        }
        match direction {
            For::Reading => vigil::wait(self.wire.as_fd(), direction, Some(self.stall)),
            For::Writing => self.wait_to_write(),
        }
    }

    /// Of what the kernel holds a good part must have gone before it takes more: a slow client that takes it
    /// little by little has not stalled.
    fn wait_to_write(&self) -> io::Result<()> {
        /// How often it is looked at within the time after which nothing has moved.
        const LOOKS: u32 = 10;
        let mut ebb = Ebb::begin();
        loop {
            match vigil::wait(self.wire.as_fd(), For::Writing, Some(self.stall / LOOKS)) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                waited => return waited,
            }
            ebb.goes_on(queue::unacknowledged(self.wire.socket())?, self.stall)?;
        }
    }

    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.attempt(For::Reading, |wire| wire.read(room)) {
            Err(error) if self.is_excused(&error) => Ok(0),
            other => other,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let count = self.attempt(For::Writing, |wire| wire.write(left))?;
            left = left.get(count..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Whether the same call may do better next time.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.flow.grant(Direction::Up, buffer.len())?;
        let room = buffer.get_mut(..most).unwrap_or_default();
        let count = match self.level {
            None => self.receive(room)?,
            Some(_) => self.unpack(room)?,
        };
        self.passed(count);
        Ok(count)
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_prompt {
            self.wire.socket().set_nodelay(true)?;
            self.is_prompt = true;
        }
        let most = self.flow.grant(Direction::Down, bytes.len())?;
        let bytes = bytes.get(..most).unwrap_or_default();
        let count = match self.level {
            None => self.attempt(For::Writing, |wire| wire.write(bytes))?,
            Some(level) => self.pack(level, bytes)?,
        };
        self.passed(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.attempt(For::Writing, Wire::flush)
    }
}
