//! What forty years of attacks on FTP servers were, tried on the real binary: by clients, and by
//! trackers and storage nodes that lie. Whatever comes, a worker does not die of it, and its memory
//! stays what it is. docs/SECURITY.md says which test is for which attack.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod aborts;
mod crowds;
mod liar;
mod links;
mod logins;
mod names;
mod nodes;
mod numbers;
mod order;
mod paper;
mod strangers;
mod trackers;

use support::{Daemon, Ftp, eventually, status};

/// The most that a worker may ever have had in memory, in kilobytes.
const MOST_MEMORY: u64 = 16 << 10;

/// Nobody has died, and nobody who lives has ever taken more memory than it may.
fn is_unharmed(daemon: &Daemon) {
    is_flat(daemon);
    has_lost_nobody(&daemon.lines());
}

/// Somebody is served, and nobody who lives has ever taken more memory than it may.
fn is_flat(daemon: &Daemon) {
    let mut ftp = daemon.log_in();
    ftp.expect("NOOP", 200);
    for (pid, title) in daemon.children() {
        // Who has gone meanwhile has no memory any more.
        let Some(peak) = status(pid, "VmHWM") else {
            continue;
        };
        let kilobytes: u64 = peak.split(' ').next().unwrap().parse().unwrap();
        assert!(kilobytes < MOST_MEMORY, "{title}: {peak}");
    }
}

/// Of whom the log tells these lines.
fn has_lost_nobody(lines: &[String]) {
    let died = lines
        .iter()
        .find(|line| line.contains("worker-died") || line.contains(" panic "));
    assert_eq!(died, None);
}

/// Sends a line as it is, and takes the one reply to it.
fn answer(ftp: &mut Ftp, line: &[u8]) -> (u16, String) {
    ftp.send(line);
    ftp.send(b"\r\n");
    ftp.reply()
}

/// No reply is missing, and none is left over.
fn is_in_step(ftp: &mut Ftp) {
    let said = ftp.expect("OPTS MLST size;", 200);
    assert!(said.contains("size"), "{said}");
}

/// Waits until a worker's title holds `text`, and gives the most memory that it has ever had, in
/// kilobytes.
fn peak_of(daemon: &Daemon, text: &str) -> u64 {
    let pid = daemon.worker(text);
    let peak = eventually("a peak", || status(pid, "VmHWM"));
    peak.split(' ').next().unwrap().parse().unwrap()
}
