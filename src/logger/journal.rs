//! The log of one process: its sinks, and how a line gets into them.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use log::{Level, LevelFilter, Log, Metadata, Record};

use super::sink::{Sink, Way};
use super::{Transfer, Which, errand, line, syslogd, xferlog};
use crate::config::{LogMode, Logging, TransferFormat};

/// Where lines go, opened.
#[derive(Debug)]
pub struct Sinks {
    pub(super) level: LevelFilter,
    pub(super) facility: syslog::Facility,
    pub(super) log: Option<Sink>,
    pub(super) console: Option<Sink>,
    /// `None` also when syslogd was not there: see `reconnect`.
    pub(super) syslog: Option<Sink>,
    pub(super) wants_syslog: bool,
    pub(super) xferlog: Option<Sink>,
    pub(super) format: TransferFormat,
    /// Lines that were lost elsewhere, or while there was no syslogd.
    pub(super) unsent: u64,
}

/// Opens what `config` names, with the rights of the moment. In the `foreground` lines go to
/// standard error besides. Without a syslogd the daemon starts all the same.
///
/// # Errors
/// A file cannot be opened; the error names it.
pub fn open(config: &Logging, foreground: bool) -> io::Result<Sinks> {
    let mut sinks = Sinks {
        level: config.level,
        facility: config
            .syslog_facility
            .parse()
            .unwrap_or(syslog::Facility::LOG_FTP),
        log: None,
        console: None,
        syslog: None,
        wants_syslog: config.mode == LogMode::Syslog,
        xferlog: None,
        format: config.transfer_format,
        unsent: 0,
    };
    if matches!(config.mode, LogMode::File | LogMode::Both) {
        sinks.log = Some(Sink::file(&config.file)?);
    }
    if foreground || matches!(config.mode, LogMode::Console | LogMode::Both) {
        let console = io::stderr().as_fd().try_clone_to_owned()?;
        sinks.console = Some(Sink::new(console, Way::Console));
    }
    if sinks.wants_syslog {
        sinks.syslog = Sink::syslogd(Path::new(syslogd::SOCKET)).ok();
    }
    if let Some(path) = &config.xferlog {
        sinks.xferlog = Some(Sink::file(path)?);
    }
    Ok(sinks)
}

impl Sinks {
    /// The same where standard error is nobody's to read.
    #[must_use]
    pub fn without_console(mut self) -> Self {
        self.console = None;
        self
    }
}

/// The log of one process.
pub(super) struct Journal {
    sinks: Mutex<Sinks>,
    zone: TimeZone,
    disconnected: AtomicBool,
}

impl Journal {
    pub(super) fn new(sinks: Option<Sinks>, zone: TimeZone) -> Self {
        let sinks = sinks.unwrap_or(Sinks {
            level: LevelFilter::Off,
            facility: syslog::Facility::LOG_FTP,
            log: None,
            console: None,
            syslog: None,
            wants_syslog: false,
            xferlog: None,
            format: TransferFormat::Xferlog,
            unsent: 0,
        });
        let disconnected = sinks.wants_syslog && sinks.syslog.is_none();
        Self {
            sinks: Mutex::new(sinks),
            zone,
            disconnected: AtomicBool::new(disconnected),
        }
    }

    /// No process has threads, so the lock is only ever free; tests have.
    fn sinks(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> DateTime {
        self.zone.to_datetime(Timestamp::now())
    }

    pub(super) fn adopt(&self, mut fresh: Sinks) {
        let mut sinks = self.sinks();
        for which in Which::ALL {
            let old = sinks.slot(which).take();
            let slot = fresh.slot(which);
            if let (Some(mut old), Some(found)) = (old, &*slot)
                && old.replace(&found.descriptor, found.way).is_ok()
            {
                *slot = Some(old);
            }
        }
        self.disconnected.store(
            fresh.wants_syslog && fresh.syslog.is_none(),
            Ordering::Relaxed,
        );
        *sinks = fresh;
    }

    pub(super) fn replace(&self, which: Which, descriptor: &impl AsFd, way: Way) -> io::Result<()> {
        let mut sinks = self.sinks();
        let slot = sinks.slot(which);
        match slot {
            Some(sink) => sink.replace(descriptor, way)?,
            None => {
                let descriptor = descriptor.as_fd().try_clone_to_owned()?;
                *slot = Some(Sink::new(descriptor, way));
            }
        }
        if which == Which::Syslog {
            self.disconnected.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn is_disconnected(&self) -> bool {
        self.disconnected.load(Ordering::Relaxed)
    }

    /// Writes there itself, and nowhere else, from now on.
    pub(super) fn write_to<'a>(
        &self,
        targets: impl Iterator<Item = (Which, Option<&'a OwnedFd>)>,
    ) -> io::Result<()> {
        let mut sinks = self.sinks();
        for (which, target) in targets {
            let target = target.map(OwnedFd::try_clone).transpose()?;
            *sinks.slot(which) = target.map(|target| Sink::new(target, Way::of(which)));
        }
        let is_missing = sinks.wants_syslog && sinks.syslog.is_none();
        self.disconnected.store(is_missing, Ordering::Relaxed);
        Ok(())
    }

    /// Writes to the console only.
    pub(super) fn close(&self) {
        let mut sinks = self.sinks();
        for which in Which::ALL {
            *sinks.slot(which) = None;
        }
        sinks.wants_syslog = false;
    }

    pub(super) fn descriptors(&self) -> Vec<RawFd> {
        let sinks = self.sinks();
        [&sinks.log, &sinks.console, &sinks.syslog, &sinks.xferlog]
            .into_iter()
            .flatten()
            .map(|sink| sink.descriptor.as_raw_fd())
            .collect()
    }

    pub(super) fn transferred(&self, transfer: &Transfer<'_>) {
        let now = Timestamp::now().to_zoned(self.zone.clone());
        let mut sinks = self.sinks();
        let line = match sinks.format {
            TransferFormat::Xferlog => xferlog::line(now.datetime(), transfer),
            TransferFormat::Clf => xferlog::common(&now, transfer),
            TransferFormat::Json => xferlog::object(now.datetime(), transfer),
        };
        if let Some(sink) = &mut sinks.xferlog {
            sink.put(&line);
        }
    }

    pub(super) fn write(&self, level: Level, text: &str) {
        let now = self.now();
        let mut guard = self.sinks();
        let sinks = &mut *guard;
        sinks.put(now, level, text);
        // Where lines are missing, the log says so as soon as it can.
        sinks.settle(now, false);
        self.note_syslogd(sinks);
    }

    /// Writes lines that other processes have sent; those of syslogd are datagrams.
    pub(super) fn pass_on(&self, which: Which, lines: &[u8]) {
        let now = self.now();
        let mut guard = self.sinks();
        let sinks = &mut *guard;
        sinks.settle(now, true);
        sinks.wants_syslog |= which == Which::Syslog;
        match (sinks.slot(which), which) {
            (Some(sink), Which::Syslog) => {
                for line in lines.split(|&byte| byte == b'\n') {
                    let _ = line.is_empty() || sink.put(line);
                }
            }
            (Some(sink), _) => sink.pour(lines),
            (None, Which::Syslog) => sinks.unsent += ends(lines),
            (None, _) => {}
        }
        sinks.settle(now, false);
        self.note_syslogd(sinks);
    }

    fn note_syslogd(&self, sinks: &Sinks) {
        let is_gone = sinks.syslog.as_ref().is_none_or(|sink| sink.is_gone);
        let is_gone = sinks.wants_syslog && is_gone;
        self.disconnected.store(is_gone, Ordering::Relaxed);
    }

    /// Tries to write what is left to be written, and to say how much is missing.
    pub(super) fn settle(&self) {
        let now = self.now();
        self.sinks().settle(now, true);
    }

    /// How many lines are missing of which nothing has been said.
    pub(super) fn losses(&self) -> u64 {
        let mut sinks = self.sinks();
        let unsent = sinks.unsent;
        let lost = |which| sinks.slot(which).as_ref().map_or(0, |sink| sink.lost);
        unsent + Which::ALL.map(lost).into_iter().sum::<u64>()
    }

    /// The same, and from now on it is as if nothing had been lost.
    pub(super) fn take_losses(&self) -> u64 {
        let losses = self.losses();
        let mut sinks = self.sinks();
        sinks.unsent = 0;
        for which in Which::ALL {
            if let Some(sink) = sinks.slot(which) {
                sink.lost = 0;
            }
        }
        losses
    }

    /// Somebody else has lost so many.
    pub(super) fn add_losses(&self, lines: u64) {
        let mut sinks = self.sinks();
        if sinks.log.is_some() || sinks.wants_syslog {
            sinks.unsent += lines;
        }
    }
}

fn ends(lines: &[u8]) -> u64 {
    let ends = lines.iter().filter(|&&byte| byte == b'\n').count();
    u64::try_from(ends).unwrap_or(u64::MAX)
}

impl Sinks {
    /// A line to all that there are.
    fn put(&mut self, now: DateTime, level: Level, text: &str) {
        let line = line::whole(now, level, text);
        for sink in [&mut self.log, &mut self.console].into_iter().flatten() {
            sink.put(&line);
        }
        if let Some(sink) = &mut self.syslog {
            let mut datagram = syslogd::datagram(now, self.facility, level, text);
            if sink.is_relay_of_syslog() {
                datagram.push(b'\n');
            }
            sink.put(&datagram);
        } else if self.wants_syslog {
            self.unsent += 1;
        }
    }

    /// Says how many lines are missing, each log of itself, and the log of the transfer log. Those that
    /// fail are left alone unless it is time to `try` them again.
    fn settle(&mut self, now: DateTime, try_again: bool) {
        let warn = |text: String| line::whole(now, Level::Warn, &text);
        let notice = |lost: u64| warn(format!("log-lines-lost count={lost}"));
        if let Some(log) = &mut self.log {
            log.lost += std::mem::take(&mut self.unsent);
        }
        for sink in [&mut self.log, &mut self.console].into_iter().flatten() {
            if sink.lost > 0 && (try_again || !sink.is_failing) {
                sink.tell(notice);
            }
        }
        let facility = self.facility;
        if let Some(sink) = &mut self.syslog
            && sink.lost + self.unsent > 0
            && (try_again || !sink.is_failing)
        {
            let end = if sink.is_relay_of_syslog() { "\n" } else { "" };
            sink.lost += std::mem::take(&mut self.unsent);
            sink.tell(|lost| {
                let text = format!("log-lines-lost count={lost}");
                let datagram = syslogd::datagram(now, facility, Level::Warn, &text);
                [&datagram, end.as_bytes()].concat()
            });
        }
        let Some(xferlog) = &mut self.xferlog else {
            return;
        };
        if xferlog.finish() && xferlog.lost > 0 && !xferlog.is_failing {
            let text = format!("log-lines-lost count={} of=xferlog", xferlog.lost);
            xferlog.lost = 0;
            self.put(now, Level::Warn, &text);
        }
    }

    pub(super) fn slot(&mut self, which: Which) -> &mut Option<Sink> {
        match which {
            Which::Log => &mut self.log,
            Which::Xferlog => &mut self.xferlog,
            Which::Syslog => &mut self.syslog,
        }
    }
}

impl Log for Journal {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        // Libraries chat in words of their own.
        about.target().starts_with("nanoftpd") || about.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = record.args().to_string();
            let text = errand::referred(&text).unwrap_or(text);
            self.write(record.level(), &text);
        }
    }

    fn flush(&self) {}
}
