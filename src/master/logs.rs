//! The log, as far as it is the master's: files opened anew, syslogd found again, and what
//! processes print although nobody should.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::Master;
use crate::leash::{ToClerk, ToWorker};
use crate::logger::{self, Which};
use crate::text::quoted;

/// How often syslogd is looked for when it is gone.
pub(super) const RECONNECT: Duration = Duration::from_secs(5);

/// So much stray output is read before somebody else is listened to.
const CHUNKS_A_TURN: usize = 16;

impl Master<'_> {
    /// USR1
    pub(super) fn reopen_logs(&mut self) -> io::Result<()> {
        let reopened = logger::reopen(&self.config.logging);
        match &reopened {
            Ok(opened) => {
                for (which, fd) in opened {
                    self.hand_out(*which, fd);
                }
                log::info!("logs-reopened");
            }
            Err(error) => log::error!("logs-not-reopened why={}", quoted_error(error)),
        }
        reopened.map(|_| ())
    }

    /// Has everybody log to where the present configuration says.
    pub(super) fn hand_out_logs(&self) {
        match logger::reopen(&self.config.logging) {
            Ok(opened) => opened
                .iter()
                .for_each(|(which, fd)| self.hand_out(*which, fd)),
            Err(error) => log::error!("logs-not-reopened why={}", quoted_error(&error)),
        }
    }

    fn hand_out(&self, which: Which, fd: &OwnedFd) {
        let number = which as u8;
        for pid in self.pids() {
            if let Ok(fd) = fd.try_clone() {
                self.tell(pid, &ToWorker::Log { which: number, fd });
            }
        }
        for clerk in self.clerks.leashes() {
            if let Ok(fd) = fd.try_clone() {
                // A clerk that does not hear it is about to be replaced.
                let _ = clerk.send(&ToClerk::Log { which: number, fd });
            }
        }
    }

    pub(super) fn reconnect_syslogd(&mut self, now: Instant) {
        let is_due = self
            .syslogd_sought
            .is_none_or(|last| now.saturating_duration_since(last) >= RECONNECT);
        if !is_due || !logger::is_disconnected() {
            return;
        }
        self.syslogd_sought = Some(now);
        if let Ok(Some(fd)) = logger::reconnect() {
            self.hand_out(Which::Syslog, &fd);
        }
    }

    /// What somebody printed, line by line.
    pub(super) fn log_stray(&self) {
        let mut bytes = [0; 2048];
        for _ in 0..CHUNKS_A_TURN {
            let Ok((length, pid)) = self.gutter.read(&mut bytes) else {
                return;
            };
            let read = bytes.get(..length).unwrap_or_default();
            if read.is_empty() {
                return;
            }
            let pid = pid.unwrap_or_default();
            for line in read.split(|&byte| byte == b'\n') {
                if !line.is_empty() {
                    log::error!("stray pid={pid} text={}", quoted(line));
                }
            }
        }
    }
}

fn quoted_error(error: &io::Error) -> String {
    quoted(error.to_string().as_bytes()).to_string()
}
