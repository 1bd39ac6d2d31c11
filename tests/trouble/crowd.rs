//! Two hundred logins a second while an operator rotates logs and reloads every second: nobody is
//! refused or cut off, and afterwards every line is there, once and whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Daemon, eventually, field, say};
use crate::{calm_with, descriptors, length, memory, zombies};

/// How many clients come at the same time.
const CLIENTS: u32 = 20;

/// How many come in a second, all together.
const RATE: u32 = 200;

/// One login in so many stores a file.
const STORES: u32 = 4;

/// How many KiB the master may have grown by: what it keeps depends on how many workers there were at
/// once, not on how many there have been.
const GROWTH: u64 = 1024;

/// All that was logged to `name`, rotated or not, line by line.
fn lines_of(daemon: &Daemon, name: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(daemon.dir()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(name)
        {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.is_empty() || text.ends_with('\n'), "{path:?} is torn");
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    lines
}

/// Whether it is `YYYYMMDD-HHMMSS [pid] : level event key=value …`, and one only.
fn is_whole(line: &str) -> bool {
    let Some((head, text)) = line.split_once("] : ") else {
        return false;
    };
    let Some((time, pid)) = head.split_once(" [") else {
        return false;
    };
    let is_time = |(at, c): (usize, char)| {
        if at == 8 {
            c == '-'
        } else {
            c.is_ascii_digit()
        }
    };
    time.len() == 15
        && time.char_indices().all(is_time)
        && pid.parse::<u32>().is_ok()
        && ["info ", "warn "]
            .iter()
            .any(|level| text.starts_with(level))
        && !text.contains("] : ")
}

/// Renames log files as logrotate does, has them opened anew and all reloaded, every second.
fn rotate(daemon: &Daemon, over: &AtomicBool) -> usize {
    let (log, xferlog) = (
        daemon.dir().join("nanoftpd.log"),
        daemon.dir().join("xferlog"),
    );
    let mut times = 0;
    while !over.load(Ordering::Relaxed) {
        times += 1;
        let away = |path: &Path| fs::rename(path, format!("{}.{times}", path.display()));
        away(&log).unwrap();
        away(&xferlog).unwrap();
        let mark = daemon.mark();
        daemon.signal(Signal::SIGUSR1);
        daemon.wait_after(mark, "logs-reopened");
        daemon.signal(Signal::SIGHUP);
        daemon.wait_after(mark, " reloaded");
        // It is the rhythm that is tried, here and below.
        thread::sleep(Duration::from_secs(1));
    }
    times
}

/// A client that comes again and again; the paths that it stored, and how often it came.
fn come(daemon: &Daemon, number: u32, begun: Instant) -> (BTreeSet<String>, u32) {
    let (mut stored, mut times) = (BTreeSet::new(), 0);
    while begun.elapsed() < length() {
        let mut ftp = daemon.log_in();
        if times % STORES == 0 {
            let path = format!("/f{number}-{times}");
            ftp.store(&path, b"content");
            stored.insert(path);
        }
        ftp.expect("QUIT", 221);
        assert!(ftp.is_closed());
        times += 1;
        let due = Duration::from_secs(1) * times * CLIENTS / RATE;
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    (stored, times)
}

/// A session that is there all the time.
fn stay(daemon: &Daemon, over: &AtomicBool) {
    let mut ftp = daemon.log_in();
    let data = ftp.data();
    ftp.expect("STOR /long", 150);
    let mut stream = data.stream();
    while !over.load(Ordering::Relaxed) {
        std::io::Write::write_all(&mut stream, b"more and more").unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    drop(stream);
    ftp.reply_of(226);
    ftp.expect("QUIT", 221);
}

#[test]
fn a_crowd_is_let_in_while_logs_are_rotated_and_all_is_reloaded() {
    let daemon = Daemon::of_files(&[
        ("logging.level", "info"),
        ("pool.min_spare", "8"),
        ("pool.max_spare", "24"),
    ]);
    let master = daemon.pid().as_raw();
    // Each worker has a leash.
    let workers = calm_with(&daemon, 8..=8);
    let before = (descriptors(master) - workers, memory(master));
    let (over, begun) = (AtomicBool::new(false), Instant::now());
    let (mut stored, mut logins) = (BTreeSet::from(["/long".to_owned()]), 1);
    thread::scope(|scope| {
        let staying = scope.spawn(|| stay(&daemon, &over));
        let rotating = scope.spawn(|| rotate(&daemon, &over));
        let daemon = &daemon;
        let coming = (0..CLIENTS).map(|number| scope.spawn(move || come(daemon, number, begun)));
        for client in coming.collect::<Vec<_>>() {
            let (paths, times) = client.join().unwrap();
            stored.extend(paths);
            logins += usize::try_from(times).unwrap();
        }
        over.store(true, Ordering::Relaxed);
        staying.join().unwrap();
        let took = begun.elapsed();
        let times = rotating.join().unwrap();
        say(&format!("{logins} logins in {took:?}, {times} rotations"));
    });
    // A nursery of before the last reload may be on its way out.
    eventually("as many descriptors as before, and no zombies", || {
        let workers = calm_with(&daemon, 8..=24);
        let is_as_before = descriptors(master) - workers == before.0;
        (is_as_before && zombies(&daemon) == 0).then_some(())
    });
    let after = memory(master);
    assert!(after <= before.1 + GROWTH, "{} KiB, {after} KiB", before.1);
    every_line_is_there(&daemon, logins, &stored);
}

/// Once and whole: one for each login, and one in each log for each file that was stored.
fn every_line_is_there(daemon: &Daemon, logins: usize, stored: &BTreeSet<String>) {
    // The last ones are written a moment after the sessions have ended.
    let lines = eventually("as many lines as files", || {
        let lines = lines_of(daemon, "nanoftpd.log");
        let files = lines.iter().filter(|line| line.contains(" stor-ok "));
        (files.count() >= stored.len()).then_some(lines)
    });
    for line in &lines {
        assert!(is_whole(line), "{line}");
        assert!(!line.contains(" warn "), "{line}");
    }
    let of = |event: &str| -> Vec<&String> {
        let event = format!(" : info {event} ");
        lines.iter().filter(|line| line.contains(&event)).collect()
    };
    let sessions: BTreeSet<_> = of("login")
        .iter()
        .map(|line| field(line, "session"))
        .collect();
    assert_eq!((of("login").len(), sessions.len()), (logins, logins));
    let logged: BTreeSet<String> = of("stor-ok")
        .iter()
        .map(|line| field(line, "path").unwrap().trim_matches('"').to_owned())
        .collect();
    assert_eq!((of("stor-ok").len(), &logged), (stored.len(), stored));

    let transfers = eventually("as many transfers as files", || {
        let transfers = lines_of(daemon, "xferlog");
        (transfers.len() >= stored.len()).then_some(transfers)
    });
    let words = |line: &String| line.split_whitespace().map(str::to_owned).collect();
    let rows: Vec<Vec<String>> = transfers.iter().map(words).collect();
    assert!(rows.iter().all(|row| row.len() == 18), "{transfers:#?}");
    let names: BTreeSet<String> = rows.iter().map(|row| row[8].clone()).collect();
    assert_eq!((rows.len(), &names), (stored.len(), stored));
}
