//! The log of one process: its sinks, and how a line gets into them.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

/// The log of one process.
pub(super) struct Journal {
    sinks: Mutex<Sinks>,
    zone: TimeZone,
    pub(super) lost: AtomicU64,
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
        });
        let disconnected = sinks.wants_syslog && sinks.syslog.is_none();
        Self {
            sinks: Mutex::new(sinks),
            zone,
            lost: AtomicU64::new(0),
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
            let new = fresh.slot(which);
            if let (Some(mut old), Some(found)) = (old, new.take()) {
                *new = Some(match old.replace(&found.descriptor) {
                    Ok(()) => old,
                    Err(_) => found,
                });
            }
        }
        self.disconnected.store(
            fresh.wants_syslog && fresh.syslog.is_none(),
            Ordering::Relaxed,
        );
        *sinks = fresh;
    }

    pub(super) fn replace(&self, which: Which, descriptor: &impl AsFd) -> io::Result<()> {
        let mut sinks = self.sinks();
        let slot = sinks.slot(which);
        match slot {
            Some(sink) => sink.replace(descriptor)?,
            None => {
                let way = if which == Which::Syslog {
                    Way::Syslog
                } else {
                    Way::File
                };
                *slot = Some(Sink::new(descriptor.as_fd().try_clone_to_owned()?, way));
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

    pub(super) fn reconnect(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        if !self.is_disconnected() {
            return Ok(None);
        }
        let fresh = Sink::syslogd(path)?;
        self.replace(Which::Syslog, &fresh.descriptor)?;
        Ok(Some(fresh.descriptor))
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
        let now = self.now();
        let mut sinks = self.sinks();
        let line = match sinks.format {
            TransferFormat::Xferlog => xferlog::line(now, transfer),
            TransferFormat::Json => xferlog::object(now, transfer),
        };
        if let Some(sink) = &mut sinks.xferlog {
            let written = sink.put(&line);
            self.count(written);
        }
    }

    pub(super) fn write(&self, level: Level, text: &str) {
        let now = self.now();
        let mut guard = self.sinks();
        let sinks = &mut *guard;
        for sink in [&mut sinks.log, &mut sinks.console].into_iter().flatten() {
            let lost = sink.lost;
            let written = sink.put(&line::whole(now, level, text));
            self.count(written);
            // Where lines are missing, the log says so as soon as it can.
            if written && lost > 0 {
                sink.lost = 0;
                let notice = format!("log-lines-lost count={lost}");
                self.count(sink.put(&line::whole(now, Level::Warn, &notice)));
            }
        }
        if !sinks.wants_syslog {
            return;
        }
        let facility = sinks.facility;
        let sent = sinks
            .syslog
            .as_mut()
            .is_some_and(|sink| sink.put(&syslogd::datagram(now, facility, level, text)));
        self.count(sent);
        if !sent {
            let gone = sinks.syslog.as_ref().is_none_or(|sink| sink.is_gone);
            self.disconnected.store(gone, Ordering::Relaxed);
        }
    }

    fn count(&self, written: bool) {
        if !written {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Sinks {
    fn slot(&mut self, which: Which) -> &mut Option<Sink> {
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
