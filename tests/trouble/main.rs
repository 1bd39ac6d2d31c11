//! What happens to an FTP service in the middle of the night, done to the real one: a crowd that comes
//! while logs are rotated, processes that are killed, a full process table, a full disk of the log, a
//! syslogd that is restarted, a clock that jumps, operators who do not read.
//!
//! `TROUBLE_SECONDS` is how long crowd and murder last; a few seconds if it is not set.
#![cfg(test)]

mod clock;
mod crowd;
mod desk;
mod killed;
mod logs;
mod shortage;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::ops::RangeInclusive;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::{Daemon, eventually, status};

/// How long what has no end of its own goes on.
fn length() -> Duration {
    let seconds = std::env::var("TROUBLE_SECONDS").unwrap_or_default();
    Duration::from_secs(seconds.parse().unwrap_or(4))
}

fn kill_hard(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// How many descriptors a process has.
fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// How many KiB of memory a process has that are its own.
fn memory(pid: i32) -> u64 {
    let text = status(pid, "RssAnon").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// The children of the master that have ended and were not buried.
fn zombies(daemon: &Daemon) -> usize {
    let is_zombie = |pid: &i32| status(*pid, "State").is_some_and(|state| state.starts_with('Z'));
    daemon.children().into_keys().filter(is_zombie).count()
}

/// Waits until there are as many idle workers, and no others.
fn calm_with(daemon: &Daemon, count: RangeInclusive<usize>) -> usize {
    eventually(&format!("{count:?} idle workers and no others"), || {
        let children = daemon.children();
        let is_other = |title: &&String| title.contains("[clerk]") || title.contains("[nursery]");
        let workers = children.values().filter(|title| !is_other(title));
        let idle = children
            .values()
            .filter(|title| title.ends_with("[worker] idle"));
        let (workers, idle) = (workers.count(), idle.count());
        (workers == idle && count.contains(&idle)).then_some(idle)
    })
}
