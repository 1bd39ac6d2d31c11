//! Lines that begin with `!`: a few that the real tracker has, and those by which tests set faults
//! and look behind the scenes. They take no worker and no fault touches them.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use crate::codec::encoded;
use crate::door::lock;
use crate::faults::Fault;
use crate::node::Node;

/// The answer to one line, given without its `!`. What faults shut is shut when it comes, but for
/// the tracker that it is sent on.
pub(super) fn answer(node: &Node, line: &[u8], tracker: Option<u32>) -> Vec<u8> {
    let line = String::from_utf8_lossy(line);
    let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
    let rest = rest.trim();
    let text = match command {
        "fault" => one(fault(node, rest, tracker)),
        "device" => one(device(node, rest)),
        "hold" => one(hold(node, rest)),
        "reset-calls" => {
            lock(&node.counters.calls).clear();
            one(Ok(()))
        }
        "faults" => many(node.faults.lines()),
        "calls" => many(calls(node)),
        "temprows" => many(temp_rows(node)),
        "rows" => many(rows(node)),
        "version" => many(["2.73".to_owned()]),
        "stats" => many(stats(node)),
        "jobs" => many(jobs(node)),
        "shutdown" => {
            let _ = lock(&node.quit).send(());
            many([])
        }
        "queue" | "recent" | "watch" => many([]),
        _ => many([format!("unknown command: {command}")]),
    };
    text.into_bytes()
}

fn one(result: Result<(), String>) -> String {
    match result {
        Ok(()) => "OK\r\n".to_owned(),
        Err(why) => format!("ERR {why}\r\n"),
    }
}

fn many(lines: impl IntoIterator<Item = String>) -> String {
    let mut text = String::new();
    for line in lines {
        let _ = write!(text, "{line}\r\n");
    }
    text + ".\r\n"
}

fn fault(node: &Node, text: &str, tracker: Option<u32>) -> Result<(), String> {
    match text
        .split_once(' ')
        .map_or((text, None), |(first, rest)| (first, Some(rest.trim())))
    {
        ("clear", name) => node.faults.clear(name),
        _ => node.faults.add(Fault::parse(text)?),
    }
    node.settle_doors(tracker);
    node.work.notify_all();
    Ok(())
}

/// `dev=N` and what is to be changed: `status=`, `observed=`, `free=`.
fn device(node: &Node, text: &str) -> Result<(), String> {
    let pairs: Vec<(&str, &str)> = text
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .collect();
    let wanted = pairs
        .iter()
        .find(|(key, _)| *key == "dev")
        .and_then(|(_, id)| id.parse().ok());
    let mut devices = lock(&node.devices);
    let device = devices.iter_mut().find(|device| Some(device.id) == wanted);
    let device = device.ok_or("which device?")?;
    for (key, value) in pairs {
        match key {
            "dev" => {}
            "status" => value.clone_into(&mut device.status),
            "observed" => value.clone_into(&mut device.observed),
            "free" => device.free_mb = value.parse().map_err(|_| "free= is in MB")?,
            _ => return Err(format!("a device has no {key}=")),
        }
    }
    Ok(())
}

/// `on`: nothing is copied or deleted until `off`.
fn hold(node: &Node, text: &str) -> Result<(), String> {
    lock(&node.queues).held = match text {
        "on" => true,
        "off" => false,
        _ => return Err("on or off?".to_owned()),
    };
    node.work.notify_all();
    Ok(())
}

fn calls(node: &Node) -> Vec<String> {
    let calls = lock(&node.counters.calls);
    let mut lines: Vec<String> = calls
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    drop(calls);
    lines.push(format!(
        "rename-strays {}",
        node.counters.strays.load(Ordering::Relaxed)
    ));
    lines.push(format!(
        "rename-victims {}",
        node.counters.victims.load(Ordering::Relaxed)
    ));
    lines
}

fn temp_rows(node: &Node) -> Vec<String> {
    let state = lock(&node.state);
    let rows = state.temps.iter().map(|(fid, temp)| {
        let domain = state
            .domains
            .get(&temp.domain)
            .map(|domain| encoded(&domain.name));
        format!(
            "{fid} {} {}",
            domain.unwrap_or_default(),
            encoded(&temp.key)
        )
    });
    rows.collect()
}

/// `domain key fid class length devids`, names encoded; made-up files are not among them.
fn rows(node: &Node) -> Vec<String> {
    let state = lock(&node.state);
    let rows = state.real_files().map(|file| {
        let domain = state.domains.get(&file.domain);
        let class = domain.and_then(|domain| domain.class_with(file.class));
        let copies: Vec<String> = file.copies.iter().map(u32::to_string).collect();
        format!(
            "{} {} {} {} {} {}",
            domain
                .map(|domain| encoded(&domain.name))
                .unwrap_or_default(),
            encoded(&file.key),
            file.fid,
            class.map(|class| encoded(&class.name)).unwrap_or_default(),
            file.length,
            copies.join(",")
        )
    });
    rows.collect()
}

fn stats(node: &Node) -> Vec<String> {
    let queries = node.counters.queries.load(Ordering::Relaxed);
    vec![
        format!("uptime {}", node.started.elapsed().as_secs()),
        "pending_queries 0".to_owned(),
        "processing_queries 0".to_owned(),
        format!("bored_queryworkers {}", node.workers),
        format!("queries {queries}"),
        "times_out_of_qworkers 0".to_owned(),
    ]
}

/// All jobs are this process.
fn jobs(node: &Node) -> Vec<String> {
    let jobs = [
        ("delete", 1),
        ("fsck", 1),
        ("job_master", 1),
        ("monitor", 1),
        ("queryworker", node.workers),
        ("reaper", 1),
        ("replicate", 2),
    ];
    let pid = std::process::id().to_string();
    let lines = jobs.iter().flat_map(|(job, count)| {
        let pids = vec![pid.as_str(); *count].join(" ");
        [
            format!("{job} count {count}"),
            format!("{job} desired {count}"),
            format!("{job} pids {pids}"),
        ]
    });
    lines.collect()
}
