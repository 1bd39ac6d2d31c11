//! How a control connection ends, so that the last reply arrives.

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use super::Control;
use crate::ftp::lines::BLOCK;
use crate::ftp::reply::Reply;
use crate::vigil::{self, For};

/// How long a client that is sent away may take to close its side, and how much it may still say.
pub(super) const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

impl Control {
    /// Sends the reply to QUIT, in one packet with the end of the connection where that can be.
    ///
    /// # Errors
    /// As [`Control::send`].
    pub(in crate::ftp) fn part(&mut self, reply: &Reply) -> io::Result<()> {
        self.hold(reply);
        if !self.wire.is_secure()
            && let Ok(sent) = self.wire.write_before_end(&self.unsent)
        {
            self.unsent.drain(..sent);
            self.has_parted = self.unsent.is_empty() && self.wire.end().is_ok();
        }
        self.send_bytes(&[])
    }

    /// The client is being sent away and somebody waits for its place: nothing is waited for at the
    /// end.
    pub(in crate::ftp) fn hurry(&mut self) {
        self.linger = Duration::ZERO;
    }

    /// Ends the connection so that the last reply arrives: closing it over bytes that nobody has
    /// read would reset it.
    pub(in crate::ftp) fn close(&mut self) {
        if !self.has_parted && self.wire.end().is_err() {
            return;
        }
        // Who has said more than QUIT may go on.
        let mut is_silent = self.has_parted && self.lines.are_empty();
        let deadline = Instant::now().checked_add(self.linger);
        let mut left = LINGER_BYTES;
        let mut block = [0; BLOCK];
        loop {
            match self.wire.read(&mut block) {
                Ok(0) => return,
                Ok(count) => {
                    is_silent = false;
                    left = left.saturating_sub(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if is_silent {
                        return;
                    }
                    let fds = [(self.wire.as_fd(), For::Reading)];
                    if vigil::wait_until(&fds, deadline).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
            if left == 0 {
                return;
            }
        }
    }
}
