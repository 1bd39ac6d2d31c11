//! What syslogd gets, and one that is slow or gone.

use super::*;

/// What the socket got, without the time.
fn received(socket: &UnixDatagram) -> String {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 8192];
    let count = socket.recv(&mut buffer).unwrap();
    let text = std::str::from_utf8(&buffer[..count]).unwrap();
    let (priority, rest) = text.split_once('>').unwrap();
    format!("{priority}>{}", &rest[15..])
}

#[test]
fn syslogd_gets_each_line_and_may_restart() {
    let scratch = Scratch::new("syslog");
    let path = scratch.at("dev-log");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut sinks = open(&scratch.logging(LogMode::Syslog), false).unwrap();
    sinks.syslog = Some(Sink::syslogd(&path).unwrap());
    let journal = journal(sinks);
    for (level, text, expected) in [
        (Level::Error, "panic", "<27> nanoftpd[PID]: error panic"),
        (Level::Warn, "a\nb", "<28> nanoftpd[PID]: warn a\\u{a}b"),
        (Level::Info, "login", "<30> nanoftpd[PID]: info login"),
        (Level::Debug, "x: PWD", "<31> nanoftpd[PID]: debug x: PWD"),
    ] {
        journal.write(level, text);
        let expected = expected.replace("PID", &std::process::id().to_string());
        assert_eq!(received(&socket), expected);
    }

    drop(socket);
    fs::remove_file(&path).unwrap();
    assert!(!journal.is_disconnected());
    journal.write(Level::Info, "lost");
    assert!(journal.is_disconnected());
    assert_eq!(journal.losses(), 1);
    assert!(Sink::syslogd(&path).is_err());
    let socket = UnixDatagram::bind(&path).unwrap();
    let found = Sink::syslogd(&path).unwrap();
    let found = &found.descriptor;
    journal.replace(Which::Syslog, found, Way::Syslog).unwrap();
    assert!(!journal.is_disconnected());
    journal.write(Level::Info, "found");
    assert!(received(&socket).ends_with(": info found"));
    assert!(received(&socket).ends_with(": warn log-lines-lost count=1"));
}

#[test]
fn a_syslogd_that_is_slow_holds_nobody_up() {
    let scratch = Scratch::new("slow");
    let path = scratch.at("dev-log");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut sinks = open(&scratch.logging(LogMode::Syslog), false).unwrap();
    sinks.syslog = Some(Sink::syslogd(&path).unwrap());
    let journal = journal(sinks);
    for _ in 0..2000 {
        journal.write(Level::Info, "x");
    }
    assert!(journal.losses() > 0);
    // Slow is not gone.
    assert!(!journal.is_disconnected());
    drop(socket);
}

#[test]
fn no_datagram_is_longer_than_a_pipe_takes_whole_with_an_end() {
    let now = datetime(2026, 1, 2, 3, 4, 5, 0);
    let text = "a".repeat(5000);
    let datagram = syslogd::datagram(now, ::syslog::Facility::LOG_LOCAL7, Level::Debug, &text);
    assert!((4000..4096).contains(&datagram.len()), "{}", datagram.len());
    assert!(datagram.ends_with(b"a..."));
}

#[test]
fn syslog_times_are_the_logs() {
    let now = datetime(2026, 1, 2, 3, 4, 5, 0);
    let datagram = syslogd::datagram(now, ::syslog::Facility::LOG_FTP, Level::Info, "x");
    let datagram = String::from_utf8(datagram).unwrap();
    let expected = format!(
        "<94>Jan  2 03:04:05 nanoftpd[{}]: info x",
        std::process::id()
    );
    assert_eq!(datagram, expected);
}
