//! The log, as far as it is the master's: files opened anew, syslogd found again, and what
//! processes print although nobody should.

use std::io;
use std::time::{Duration, Instant};

use super::Master;
use super::bell::Ring;
use super::clerks::Duty;
use crate::config::{LogMode, Logging};
use crate::leash::{ToClerk, ToWorker};
use crate::logger::{self, Relay, Sinks, Which};
use crate::sys::fds::Gutter;
use crate::sys::process;
use crate::text::{quoted, quoted_error};

/// How often syslogd is looked for when it is gone.
const RECONNECT: Duration = Duration::from_secs(5);

/// How often lines that could not be logged are tried to be told of.
const TELL: Duration = Duration::from_secs(1);

/// How long the last lines may take, when all else has ended.
const LAST_LINES: Duration = Duration::from_secs(2);

/// So much stray output is read before somebody else is listened to.
const CHUNKS_A_TURN: usize = 16;

/// Opens what `config` names. In the background there is no console: what was logged there would come out
/// of `gutter`, and be logged for that.
///
/// # Errors
/// As [`logger::open`].
pub fn open(config: &Logging, is_foreground: bool, gutter: &Gutter) -> io::Result<Sinks> {
    let sinks = logger::open(config, is_foreground)?;
    Ok(match gutter.has_stderr() {
        true => sinks.without_console(),
        false => sinks,
    })
}

/// From now on the lines of this process and its children go to a clerk, which is yet to be born.
pub(super) fn relayed(config: &Logging, is_foreground: bool, gutter: &Gutter) -> io::Result<Relay> {
    let mut relay = Relay::open()?;
    let mut sinks = open(config, is_foreground, gutter)?;
    relay.divert(&mut sinks)?;
    logger::install(sinks);
    Ok(relay)
}

impl Master<'_> {
    /// USR1
    pub(super) fn reopen_logs(&mut self) -> io::Result<()> {
        let opened = open(&self.config.logging, false, &self.gutter);
        let reopened = opened.and_then(|mut sinks| self.relay.divert(&mut sinks));
        match &reopened {
            Ok(()) => {
                self.tell_writer();
                log::info!("logs-reopened");
            }
            Err(error) => log::error!("logs-not-reopened why={}", quoted_error(error)),
        }
        reopened
    }

    /// Has everybody log to where the present configuration says.
    pub(super) fn hand_out_logs(&mut self) {
        for (which, mouth) in self.relay.mouths() {
            let which = which as u8;
            for pid in self.pids() {
                if let Ok(fd) = mouth.try_clone() {
                    self.tell(pid, &ToWorker::Log { which, fd });
                }
            }
        }
        self.tell_writer();
    }

    /// Tells the clerk that writes where lines go now. One that does not hear it is about to be
    /// replaced.
    fn tell_writer(&mut self) {
        let mut has_syslogd = self.config.logging.mode != LogMode::Syslog;
        for (which, target) in self.relay.targets() {
            has_syslogd |= which == Which::Syslog;
            let (Some(clerk), Ok(fd)) = (self.clerks.writer(), target.try_clone()) else {
                continue;
            };
            let which = which as u8;
            let _ = clerk.send(&ToClerk::Log { which, fd });
        }
        self.has_syslogd = has_syslogd;
    }

    pub(super) fn mind_the_log(&mut self, now: Instant) {
        if logger::losses() > 0 {
            logger::settle();
        }
        let last = self.syslogd_sought;
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= RECONNECT);
        if !is_due || self.has_syslogd {
            return;
        }
        self.syslogd_sought = Some(now);
        if let Ok(fd) = logger::syslogd() {
            self.relay.aim(Which::Syslog, fd);
            self.tell_writer();
        }
    }

    pub(super) fn log_due(&self, now: Instant) -> Option<Instant> {
        let tell = (logger::losses() > 0).then(|| now + TELL);
        let seek = (!self.has_syslogd).then(|| now + RECONNECT);
        tell.into_iter().chain(seek).min()
    }

    /// Lets the last lines be written. Where that takes too long, the clerk goes on alone.
    pub(super) fn end_the_log(&mut self) {
        self.relay.close();
        let now = Instant::now();
        let end = now + LAST_LINES;
        while self.clerks.writer().is_some() && Instant::now() < end {
            let rang = self.bell.wait(Some(end), Instant::now());
            if rang.is_ok_and(|rang| rang.contains(&Ring::Signal)) {
                self.signals.take();
                self.reap_all(Instant::now());
            }
        }
        let is_written = self.clerks.writer().is_some();
        let Some(mut left) = self.relay.arrive().ok().filter(|_| !is_written) else {
            return;
        };
        while let lines @ [_, ..] = &*left.take() {
            for (which, lines) in lines {
                logger::pass_on(*which, lines);
            }
        }
    }

    /// What somebody printed, line by line.
    pub(super) fn log_stray(&mut self, now: Instant) {
        let mut bytes = [0; 2048];
        for _ in 0..CHUNKS_A_TURN {
            let Ok((length, pid)) = self.gutter.read(&mut bytes) else {
                return;
            };
            let read = bytes.get(..length).unwrap_or_default();
            if read.is_empty() {
                return self.replace_gutter(now);
            }
            let pid = pid.unwrap_or_default();
            for line in read.split(|&byte| byte == b'\n') {
                if !line.is_empty() {
                    log::error!("stray pid={pid} text={}", quoted(line));
                }
            }
        }
    }

    /// All processes have the same end to print to, and one of them has shut it for all: it was taken over.
    /// Whoever is born from now on has another one.
    fn replace_gutter(&mut self, now: Instant) {
        self.bell.remove(&self.gutter);
        let opened = Gutter::open().and_then(|gutter| {
            self.bell.add(&gutter, Ring::Stray)?;
            if self.gutter.has_stderr() {
                process::print_to(gutter.mouth())?;
            }
            Ok(gutter)
        });
        match opened {
            Ok(gutter) => self.gutter = gutter,
            Err(error) => return log::error!("stray-shut why={}", quoted_error(&error)),
        }
        log::error!("stray-shut");
        self.renew_nursery(now);
        self.replace_clerks(&[Duty::Names, Duty::Logins, Duty::Hooks]);
        for pid in self.pids() {
            self.retire(pid);
        }
    }
}
