//! A clock that is set while the service runs: what is measured in time goes on as if nothing had been.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Daemon, Ftp, Scratch, skip};

/// Where Debian and others have the library that tells programs another time.
fn library() -> Option<PathBuf> {
    let dirs = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ];
    let places = dirs.map(|dir| Path::new(dir).join("faketime/libfaketime.so.1"));
    places.into_iter().find(|place| place.exists())
}

/// A daemon that takes the time of day from a file, in a directory that workers may read.
fn with_clock(library: &Path, clock: &Path) -> Daemon {
    let variables = [
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    let within: Vec<&str> = ["env"]
        .into_iter()
        .chain(variables.iter().map(|word| &**word))
        .collect();
    let changes = [
        ("nanoftpd.tmpdir", clock.parent().unwrap().to_str().unwrap()),
        ("nanoftpd.idle_time", "4"),
        ("limits.ban_time", "3600"),
        ("limits.login_delay", "300ms"),
        ("pool.max_spare", "6"),
    ];
    Daemon::of_files_within(&within, &changes)
}

#[test]
fn a_clock_that_is_set_moves_no_limit() {
    let Some(library) = library() else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "faketime is not installed"
        );
        return skip("faketime is not installed");
    };
    let scratch = Scratch::new();
    let clock = scratch.open_dir("clock").join("now");
    let set = |offset: &str| {
        let next = clock.with_extension("next");
        fs::write(&next, format!("{offset}\n")).unwrap();
        fs::rename(next, &clock).unwrap();
    };
    set("+0");
    let daemon = with_clock(&library, &clock);
    let bad = Ipv4Addr::new(127, 0, 12, 1);
    let mut guesses: Vec<Ftp> = (0..3)
        .map(|_| Ftp::connect_from(bad, daemon.address))
        .collect();
    for (ftp, code) in guesses.iter_mut().zip([530, 530, 421]) {
        ftp.expect("USER test", 331);
        ftp.expect("PASS wrong", code);
    }
    daemon.wait_for("banned peer=127.0.12.1");
    for (last, offset, day) in [(2, "+1d", 1), (3, "-1d", -1)] {
        let mut ftp = daemon.log_in();
        let mut guess = Ftp::connect_from(Ipv4Addr::new(127, 0, 12, last), daemon.address);
        guess.expect("USER test", 331);
        set(offset);
        // It is another day, and nobody is thrown out, let in, or kept waiting for it.
        let mark = daemon.mark();
        daemon.signal(Signal::SIGUSR1);
        let (_, line) = daemon.wait_after(mark, "logs-reopened");
        let now = jiff::Zoned::now().date() + jiff::Span::new().days(day);
        assert_eq!(line[..8], now.strftime("%Y%m%d").to_string(), "{line}");
        ftp.expect("NOOP", 200);
        Ftp::silent_from(bad, daemon.address).reply_of(421);
        daemon.log_in().expect("QUIT", 221);
        let begun = Instant::now();
        guess.expect("PASS wrong", 530);
        assert!(begun.elapsed() < Duration::from_secs(20));
        // The idle time begins with the last command.
        let begun = Instant::now();
        ftp.expect("NOOP", 200);
        ftp.reply_of(421);
        let idle = begun.elapsed();
        assert!(
            idle > Duration::from_millis(3500) && idle < Duration::from_secs(20),
            "{idle:?}"
        );
    }
}
