//! The control connection: command lines in, whole replies out. Bounded memory whatever arrives;
//! knows no verb but the few that a client may send while a transfer runs.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::{Level, debug, log_enabled};

use super::flow::Tempo;
use super::lines::{BLOCK, Line, Lines};
use super::reply::Reply;
use super::telnet::IAC;
use super::wire::Wire;
use crate::config::Hangup;
use crate::text;
use crate::tls;
use crate::vigil::{self, For};

mod overheard;
mod parting;

use parting::LINGER;

/// One end of a control connection.
pub(super) struct Control {
    wire: Wire,
    patience: Duration,
    tempo: Tempo,
    hangup: Hangup,
    lines: Lines,
    has_ended: bool,
    is_aborted: bool,
    /// The command that runs has been answered with a 150: there is a transfer.
    has_begun: bool,
    unsent: Vec<u8>,
    speaker: Option<String>,
    /// Of TLS.
    version: Option<String>,
    linger: Duration,
    /// The reply to QUIT is on its way, and the end of our side with it.
    has_parted: bool,
    /// The socket once more, for those who listen to it during a wait.
    ear: Option<Rc<OwnedFd>>,
}

enum Filled {
    Some,
    NothingYet,
    NoRoom,
    Ended,
}

impl Control {
    /// Takes a connection over that is prepared (`sys::sockets`) and does not block. `patience` is how
    /// long a client may take to accept a reply, `tempo` how fast it may command, `hangup` what its leaving
    /// is to a transfer.
    pub(super) fn new(stream: TcpStream, patience: Duration, tempo: Tempo, hangup: Hangup) -> Self {
        Self {
            wire: Wire::Plain(stream),
            patience,
            tempo,
            hangup,
            lines: Lines::new(),
            has_ended: false,
            is_aborted: false,
            has_begun: false,
            unsent: Vec::new(),
            speaker: None,
            version: None,
            linger: LINGER,
            has_parted: false,
            ear: None,
        }
    }

    /// Goes on under TLS, with whom the certificate says that it is. What the client has sent ahead of
    /// the handshake is forgotten: it may not be the client that sent it (the class of CVE-2011-0411).
    ///
    /// # Errors
    /// The handshake failed, or was not ended in time.
    pub(super) fn secure(
        &mut self,
        session: &tls::Session,
        limit: Duration,
    ) -> io::Result<tls::Client> {
        self.lines = Lines::new();
        let socket = self.wire.socket().try_clone()?;
        let stream = session.accept(socket, limit)?;
        self.version = Some(stream.version());
        let client = session.client(&stream);
        self.wire = Wire::Secure(Box::new(stream));
        Ok(client)
    }

    /// Has the client get a new ticket with the next reply.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) fn renew_ticket(&mut self) -> io::Result<()> {
        self.wire.renew_ticket()
    }

    /// The version of TLS, if it is under TLS.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Who the dialogue in the log is with, once that is known.
    pub(super) fn speaker_is(&mut self, user: Option<&[u8]>) {
        self.speaker = user.map(escaped);
    }

    /// Whether the next command may be carried out now.
    ///
    /// # Errors
    /// It has to wait for so long.
    pub(super) fn may_go_on(&mut self) -> Result<(), Duration> {
        self.tempo.next()
    }

    /// A line that is already here, if a whole one is.
    pub(super) fn line_at_hand(&mut self) -> Option<Line> {
        self.lines.take()
    }

    /// The next line, waited for until `deadline`; `None` when the client has closed its side.
    ///
    /// # Errors
    /// `TimedOut`; what ended the wait; what the connection says.
    pub(super) fn line(&mut self, deadline: Option<Instant>) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.line_at_hand() {
                return Ok(Some(line));
            }
            // Most clients wait for a reply before they say more: to look first would be in vain.
            if !self.has_ended && !self.wire.has_read_ahead() {
                vigil::wait_until(&[(self.wire.as_fd(), For::Reading)], deadline)?;
            }
            match self.fill()? {
                Filled::Some | Filled::NothingYet => {}
                // Without room there is a line, so that cannot be.
                Filled::Ended | Filled::NoRoom => return Ok(None),
            }
        }
    }

    /// Sends a reply, with one write if the client's window lets it through.
    ///
    /// # Errors
    /// The client is gone, or does not accept it.
    pub(super) fn send(&mut self, reply: &Reply) -> io::Result<()> {
        self.note(reply);
        self.send_bytes(&reply.wire())
    }

    /// Has a reply go together with what is said next, or with [`Control::release`].
    pub(super) fn hold(&mut self, reply: &Reply) {
        self.note(reply);
        self.queue(&reply.wire());
    }

    /// Sends what was held back, as far as the client takes it now; the rest goes with the next reply.
    pub(super) fn release(&mut self) {
        if self.push().is_err() {
            self.has_ended = true;
        }
    }

    /// Sends a part of a reply that is too long to be held in memory.
    ///
    /// # Errors
    /// As [`Control::send`].
    pub(super) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.queue(bytes);
        loop {
            if self.push()? {
                return Ok(());
            }
            vigil::wait(self.wire.as_fd(), For::Writing, Some(self.patience))?;
        }
    }

    /// Whether the client has left, with nothing more to say.
    pub(super) fn is_deserted(&mut self) -> bool {
        while !self.lines.have_line() {
            match self.fill() {
                Ok(Filled::Some) => {}
                Ok(Filled::NothingYet | Filled::NoRoom) => return false,
                Ok(Filled::Ended) | Err(_) => return true,
            }
        }
        false
    }

    /// Whether the client has sent ABOR during the command that runs.
    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted
    }

    /// That command has had its reply.
    pub(super) fn end_turn(&mut self) {
        (self.is_aborted, self.has_begun) = (false, false);
    }

    /// What is to be watched during a wait.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub(super) fn ear(&mut self) -> io::Result<Rc<OwnedFd>> {
        if let Some(ear) = &self.ear {
            return Ok(Rc::clone(ear));
        }
        let ear = Rc::new(self.wire.as_fd().try_clone_to_owned()?);
        self.ear = Some(Rc::clone(&ear));
        Ok(ear)
    }

    /// Logs a command as the client gave it, or as it may be shown.
    pub(super) fn log_command(&self, shown: &[u8]) {
        if log_enabled!(Level::Debug) {
            let speaker = self.speaker.as_deref().unwrap_or("client");
            debug!("{speaker}: {}", escaped(shown));
        }
    }

    fn fill(&mut self) -> io::Result<Filled> {
        if self.has_ended {
            return Ok(Filled::Ended);
        }
        if !self.lines.have_room() {
            return Ok(Filled::NoRoom);
        }
        // Of the stack, which is there anyway: an idle session has one page less.
        let mut block = [0; BLOCK];
        match self.wire.read(&mut block) {
            Ok(0) => {
                self.has_ended = true;
                Ok(Filled::Ended)
            }
            Ok(count) => {
                self.lines.add(block.get_mut(..count).unwrap_or_default());
                Ok(Filled::Some)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Filled::NothingYet),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Filled::Some),
            Err(error) => {
                self.has_ended = true;
                Err(error)
            }
        }
    }

    /// Text for Telnet: the byte 255 is doubled.
    fn queue(&mut self, text: &[u8]) {
        for piece in text.split_inclusive(|&byte| byte == IAC) {
            self.unsent.extend_from_slice(piece);
            if piece.last() == Some(&IAC) {
                self.unsent.push(IAC);
            }
        }
    }

    /// Writes what can be written now; whether that is all.
    fn push(&mut self) -> io::Result<bool> {
        loop {
            let pushed = match self.unsent.as_slice() {
                [] => self.wire.flush().map(|()| 0),
                bytes => self.wire.write(bytes),
            };
            match pushed {
                Ok(_) if self.unsent.is_empty() => return Ok(true),
                Ok(count) => {
                    self.unsent.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn note(&mut self, reply: &Reply) {
        self.has_begun |= reply.is_preliminary();
        if !log_enabled!(Level::Debug) {
            return;
        }
        for line in reply.lines() {
            match &self.speaker {
                Some(user) => debug!("{user}: server: {}", escaped(&line)),
                None => debug!("server: {}", escaped(&line)),
            }
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }
}

/// `bytes` made safe for the log, without quotes: the dialogue has the original's form.
fn escaped(bytes: &[u8]) -> String {
    text::bare(bytes).to_string().replace("\\\"", "\"")
}
