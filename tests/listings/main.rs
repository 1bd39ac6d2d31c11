//! Directories and listings over keys: what is shown, what it costs, and that it is true, whatever
//! the tracker's database makes of the keys.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod dirs;
mod mirror;
mod names;
mod scale;
mod times;
mod truth;

use std::collections::BTreeMap;

use support::{Cluster, Daemon, Ftp, Node, Tracker};

/// Domain `big` with class `docs` on a node of its own, started with `arguments`.
fn filled(arguments: &[String]) -> Cluster {
    let mut all = vec!["--devices".to_owned(), "3".to_owned()];
    all.extend(["--domain".to_owned(), "big:docs,photos".to_owned()]);
    all.extend_from_slice(arguments);
    let node = Node::start(&all);
    Cluster {
        address: node.trackers[0],
        domain: "big".to_owned(),
        node: Some(node),
    }
}

/// The arguments that make up `count` keys that begin with `prefix`.
fn fill(prefix: &str, count: usize) -> [String; 2] {
    ["--fill".to_owned(), format!("big:{prefix}:{count}:7:docs")]
}

/// How often each command was asked since the last time.
fn calls(cluster: &Cluster) -> BTreeMap<String, u64> {
    let mut tracker = Tracker::connect(cluster.address);
    let lines = tracker.report("!calls");
    tracker.raw("!reset-calls");
    lines
        .iter()
        .filter_map(|line| line.split_once(' '))
        .filter(|(command, _)| !command.starts_with("rename-"))
        .map(|(command, count)| (command.to_owned(), count.parse().unwrap()))
        .collect()
}

fn total(calls: &BTreeMap<String, u64>) -> u64 {
    calls.values().sum()
}

/// A session of user `test`, with binary transfers.
fn member(daemon: &Daemon) -> Ftp {
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    ftp
}

/// Has the master pass on what this session has told by now: who makes a directory waits for that.
fn tell_others(ftp: &mut Ftp) {
    ftp.expect("MKD /docs/told", 257);
    ftp.expect("RMD /docs/told", 250);
}

/// The last part of each line of an NLST, sorted.
fn names(ftp: &mut Ftp, command: &str) -> Vec<String> {
    let lines = ftp.lines(command).into_iter();
    let mut names: Vec<String> = lines
        .map(|line| line.rsplit('/').next().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// A fact of a line of an MLSD.
fn fact<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let facts = line.split_once(' ')?.0;
    facts
        .split(';')
        .find_map(|fact| fact.strip_prefix(name)?.strip_prefix('='))
}
