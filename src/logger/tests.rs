//! Lines, sinks that fail, sinks that are replaced.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::datetime;
use log::{Level, LevelFilter, Log as _, Metadata};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::*;
use crate::config::{LogMode, Logging, TransferFormat};

mod relay;
mod syslog;
mod transfers;

/// A directory of its own, gone when the test is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("nanoftpd-log-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn logging(&self, mode: LogMode) -> Logging {
        Logging {
            mode,
            file: self.at("log"),
            level: LevelFilter::Info,
            syslog_facility: "daemon".to_owned(),
            xferlog: None,
            transfer_format: TransferFormat::Xferlog,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn journal(sinks: Sinks) -> Journal {
    Journal::new(Some(sinks), TimeZone::UTC)
}

/// The lines of a file from behind their dates.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let mark = format!(" [{}] : ", std::process::id());
    text.lines()
        .map(|line| match line.split_once(&mark) {
            Some((_, rest)) => rest.to_owned(),
            None => line.to_owned(),
        })
        .collect()
}

#[test]
fn a_line_begins_as_it_always_did() {
    let now = datetime(2026, 1, 2, 3, 4, 5, 0);
    for (level, text, expected) in [
        (Level::Info, "listening port=21", "info listening port=21"),
        (
            Level::Error,
            "x user=\"gr\u{fc}n\"",
            "error x user=\"gr\u{fc}n\"",
        ),
        (
            Level::Warn,
            "a\nb\r\u{1b}c\u{85}",
            "warn a\\u{a}b\\u{d}\\u{1b}c\\u{85}",
        ),
        (Level::Debug, "x: PWD", "debug x: PWD"),
    ] {
        let line = String::from_utf8(line::whole(now, level, text)).unwrap();
        let expected = format!("20260102-030405 [{}] : {expected}\n", std::process::id());
        assert_eq!(line, expected);
    }
}

#[test]
fn no_line_is_longer_than_a_pipe_takes_whole() {
    let now = datetime(2026, 1, 2, 3, 4, 5, 0);
    for text in ["a".repeat(5000), "\u{fc}".repeat(3000), "\n".repeat(2000)] {
        let line = line::whole(now, Level::Info, &text);
        assert!(line.len() <= 4096 && line.len() > 4090, "{}", line.len());
        assert!(line.ends_with(b"...\n"));
        assert!(String::from_utf8(line).is_ok());
    }
}

#[test]
fn time_is_local() {
    let zone = TimeZone::fixed(jiff::tz::offset(5));
    let journal = Journal::new(None, zone.clone());
    let expected = Timestamp::now().to_zoned(zone).datetime();
    let apart = (journal.now() - expected)
        .total(jiff::Unit::Second)
        .unwrap();
    assert!(apart.abs() < 60.0, "{apart}");
}

#[test]
fn a_mode_opens_what_it_names() {
    let scratch = Scratch::new("modes");
    for (mode, foreground, log, console) in [
        (LogMode::Off, false, false, false),
        (LogMode::Off, true, false, true),
        (LogMode::File, false, true, false),
        (LogMode::File, true, true, true),
        (LogMode::Console, false, false, true),
        (LogMode::Both, false, true, true),
        (LogMode::Syslog, false, false, false),
    ] {
        let sinks = open(&scratch.logging(mode), foreground).unwrap();
        assert_eq!(
            (sinks.log.is_some(), sinks.console.is_some()),
            (log, console),
            "{mode:?}"
        );
        assert_eq!(sinks.wants_syslog, mode == LogMode::Syslog);
        assert!(sinks.xferlog.is_none());
    }
    let mode = fs::metadata(scratch.at("log"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");

    let mut config = scratch.logging(LogMode::File);
    config.xferlog = Some(scratch.at("missing/xferlog"));
    let error = open(&config, false).unwrap_err().to_string();
    let expected = format!(
        "cannot open {}: No such file",
        scratch.at("missing/xferlog").display()
    );
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn a_fifo_that_nobody_reads_holds_nobody_up() {
    let scratch = Scratch::new("fifo");
    nix::unistd::mkfifo(&scratch.at("log"), Mode::S_IRWXU).unwrap();
    assert!(open(&scratch.logging(LogMode::File), false).is_err());
    let reader = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(scratch.at("log"))
        .unwrap();
    let journal = journal(open(&scratch.logging(LogMode::File), false).unwrap());
    for _ in 0..1000 {
        journal.write(Level::Info, &"x".repeat(1000));
    }
    let lost = journal.losses();
    assert!(lost > 0 && lost < 1000, "{lost}");
    drop(reader);
}

#[test]
fn a_full_disk_costs_lines_and_is_told_of() {
    let scratch = Scratch::new("full");
    let full = Logging {
        file: PathBuf::from("/dev/full"),
        ..scratch.logging(LogMode::File)
    };
    let journal = journal(open(&full, false).unwrap());
    journal.write(Level::Info, "one");
    journal.write(Level::Info, "two");
    let file = Sink::file(&scratch.at("log")).unwrap();
    journal
        .replace(Which::Log, &file.descriptor, Way::File)
        .unwrap();
    journal.write(Level::Info, "three");
    journal.write(Level::Info, "four");
    let found = lines(&scratch.at("log"));
    assert_eq!(
        found,
        ["info three", "warn log-lines-lost count=2", "info four"]
    );
    assert_eq!(journal.losses(), 0);
}

#[test]
fn a_torn_line_does_not_spoil_the_next() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut sink = Sink::new(ours.into(), Way::File);
    let long = vec![b'x'; 1 << 20];
    assert!(!sink.put(&long));
    let mut taken = 0;
    theirs.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count) = theirs.read(&mut buffer) {
        taken += count;
    }
    assert!(taken > 0 && taken < long.len(), "{taken}");
    assert!(sink.put(b"next\n"));
    assert!(sink.put(b"more\n"));
    let count = theirs.read(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"\nnext\nmore\n");
}

#[test]
fn what_is_lost_elsewhere_is_told_here() {
    let scratch = Scratch::new("elsewhere");
    let journal = journal(open(&scratch.logging(LogMode::File), false).unwrap());
    journal.add_losses(3);
    assert_eq!(journal.losses(), 3);
    journal.settle();
    assert_eq!(lines(&scratch.at("log")), ["warn log-lines-lost count=3"]);
    journal.add_losses(2);
    assert_eq!(journal.take_losses(), 2);
    journal.settle();
    assert_eq!(lines(&scratch.at("log")).len(), 1);
}

#[test]
fn a_line_that_was_cut_short_is_ended_and_the_rest_is_counted() {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_NONBLOCK).unwrap();
    let mut sink = Sink::new(writer, Way::File);
    // More than a pipe takes: ten lines, of which the seventh is cut.
    let line = [&[b'x'; 9_999][..], b"\n"].concat();
    sink.pour(&line.repeat(10));
    assert_eq!(sink.lost, 3);
    let mut source = File::from(reader);
    let mut taken = vec![0; 65_536];
    source.read_exact(&mut taken).unwrap();
    sink.pour(b"next\n");
    assert_eq!(sink.lost, 3);
    drop(sink);
    source.read_to_end(&mut taken).unwrap();
    assert!(taken == [&*line.repeat(7), b"next\n"].concat());
}

#[test]
fn a_terminal_that_takes_nothing_holds_nobody_up() {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut sink = Sink::new(writer, Way::Console);
    let line = [b'x'; 4096];
    let written = (0..1000).take_while(|_| sink.put(&line)).count();
    assert!(written > 0 && written < 1000, "{written}");
    drop(reader);
}

#[test]
fn a_descriptor_keeps_its_number() {
    let scratch = Scratch::new("number");
    let mut config = scratch.logging(LogMode::File);
    config.xferlog = Some(scratch.at("xferlog"));
    let journal = journal(open(&config, false).unwrap());
    let before = journal.descriptors();
    assert_eq!(before.len(), 2);
    journal.write(Level::Info, "one");
    fs::rename(scratch.at("log"), scratch.at("log.1")).unwrap();
    let fresh = Sink::file(&scratch.at("log")).unwrap();
    journal.write(Level::Info, "two");
    journal
        .replace(Which::Log, &fresh.descriptor, Way::File)
        .unwrap();
    drop(fresh);
    journal.write(Level::Info, "three");
    journal.adopt(open(&config, false).unwrap());
    journal.write(Level::Info, "four");
    assert_eq!(lines(&scratch.at("log.1")), ["info one", "info two"]);
    assert_eq!(lines(&scratch.at("log")), ["info three", "info four"]);
    assert_eq!(journal.descriptors(), before);
    journal.adopt(open(&scratch.logging(LogMode::Off), false).unwrap());
    assert_eq!(journal.descriptors(), Vec::<RawFd>::new());
    journal.adopt(open(&config, false).unwrap());
    assert_eq!(journal.descriptors().len(), 2);
}

#[test]
fn libraries_are_heard_only_when_something_is_wrong() {
    let journal = Journal::new(None, TimeZone::UTC);
    for (target, level, heard) in [
        ("nanoftpd::ftp", Level::Debug, true),
        ("nanoftpd", Level::Info, true),
        ("ureq::pool", Level::Debug, false),
        ("ureq", Level::Info, false),
        ("ureq", Level::Warn, true),
    ] {
        let about = Metadata::builder().target(target).level(level).build();
        assert_eq!(journal.enabled(&about), heard, "{target} {level}");
    }
}

#[test]
fn a_panic_is_an_event() {
    let event = line::panic("src/a.rs:1:2", "index out of\n\"bounds\"");
    assert_eq!(
        event,
        r#"panic place=src/a.rs:1:2 message="index out of\n\"bounds\"""#
    );
}

#[test]
fn sinks_have_numbers_for_the_way_between_processes() {
    for which in Which::ALL {
        assert_eq!(Which::numbered(which as u8), Some(which));
    }
    assert_eq!(Which::numbered(3), None);
}
