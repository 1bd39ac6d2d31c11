//! What a MogileFS does behind the scenes: copies to further devices, drops spare and deleted
//! copies, computes checksums, throws old uploads away, watches the devices, ends faults that last
//! a given time.

use std::io;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::dice::Dice;
use crate::door::lock;
use crate::node::{Device, Node, Queues};
use crate::probe;
use crate::store::{Algorithm, Class, DeviceId, Event, Fid, File};

/// Starts the threads. `monitor`: how often devices are looked at, if at all.
pub(crate) fn start(node: &Arc<Node>, monitor: Option<Duration>) -> io::Result<()> {
    let worker = Arc::clone(node);
    thread::Builder::new()
        .name("upkeep".to_owned())
        .spawn(move || work(&worker))?;
    if let Some(pause) = monitor {
        let watcher = Arc::clone(node);
        thread::Builder::new()
            .name("monitor".to_owned())
            .spawn(move || watch(&watcher, pause))?;
    }
    // An earlier run may have ended before its copies were made.
    let few: Vec<Fid> = lock(&node.state)
        .real_files()
        .filter(|f| f.copies.len() < 2)
        .map(|f| f.fid)
        .collect();
    few.into_iter().for_each(|fid| node.replicate(fid));
    Ok(())
}

enum Job {
    Replicate(Fid),
    Delete(Fid, Vec<DeviceId>),
    Nothing,
}

fn work(node: &Node) {
    let mut dice = Dice::of_the_moment();
    loop {
        let fault_ends = node.faults.next_end();
        match next(node) {
            Job::Replicate(fid) => {
                // First, so that a change meanwhile asks again.
                lock(&node.queues).replicate.remove(&fid);
                replicate(node, fid, &mut dice);
            }
            Job::Delete(fid, copies) => {
                for device in copies.iter().filter_map(|id| node.device(*id)) {
                    probe::delete(node, &device, fid);
                }
                lock(&node.queues).delete.remove(&fid);
            }
            Job::Nothing => {}
        }
        expire(node);
        if fault_ends.is_some_and(|end| end <= Instant::now()) {
            node.settle_doors(None);
        }
    }
}

/// Waits until something is due, but not much longer than a second.
fn next(node: &Node) -> Job {
    let queues = lock(&node.queues);
    let now = Instant::now();
    if let Some(job) = due(&queues, now) {
        return job;
    }
    let soonest = queues
        .replicate
        .values()
        .chain(queues.delete.values().map(|(due, _)| due));
    let soonest = soonest.min().filter(|_| !queues.held).copied();
    let end = [soonest, node.faults.next_end()]
        .into_iter()
        .flatten()
        .min();
    let limit = Duration::from_secs(1);
    let pause = end.map_or(limit, |end| end.saturating_duration_since(now).min(limit));
    let waited = node
        .work
        .wait_timeout(queues, pause)
        .unwrap_or_else(PoisonError::into_inner);
    due(&waited.0, Instant::now()).unwrap_or(Job::Nothing)
}

fn due(queues: &Queues, now: Instant) -> Option<Job> {
    if queues.held {
        return None;
    }
    let deletes = queues.delete.iter().find(|(_, (due, _))| *due <= now);
    if let Some((fid, (_, copies))) = deletes {
        return Some(Job::Delete(*fid, copies.clone()));
    }
    queues
        .replicate
        .iter()
        .find(|(_, due)| **due <= now)
        .map(|(fid, _)| Job::Replicate(*fid))
}

fn expire(node: &Node) {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let limit = node.patience.temp.as_secs();
    let mut state = lock(&node.state);
    let old = state
        .temps
        .iter()
        .filter(|(_, temp)| temp.opened.saturating_add(limit) < now);
    let old: Vec<_> = old
        .map(|(fid, temp)| (*fid, temp.devices.clone()))
        .collect();
    for (fid, devices) in old {
        state.record(Event::NoTemp(fid));
        node.doom(fid, devices);
    }
}

fn replicate(node: &Node, fid: Fid, dice: &mut Dice) {
    let (file, class) = {
        let state = lock(&node.state);
        let Some(file) = state.file(fid) else { return };
        let class = state
            .domains
            .get(&file.domain)
            .and_then(|d| d.class_with(file.class));
        (file, class)
    };
    let Some(class) = class.filter(|_| !lock(&node.queues).hopeless.contains(&fid)) else {
        return;
    };
    if !sum_up(node, &file, &class) {
        lock(&node.queues).hopeless.insert(fid);
        return;
    }
    let wanted = usize::try_from(class.mindevcount).unwrap_or(1).max(1);
    let mut copies = file.copies.clone();
    let mut spare = lock(&node.devices).clone();
    dice.shuffle(&mut spare);
    spare.retain(|device| !copies.contains(&device.id) && device.takes(file.length));
    while copies.len() < wanted {
        let Some(target) = spare.pop() else { break };
        let sources: Vec<Device> = copies.iter().filter_map(|id| node.device(*id)).collect();
        let done = sources
            .iter()
            .any(|from| probe::copy(node, from, &target, fid).is_ok());
        if done {
            copies.push(target.id);
        }
    }
    let mut dropped = Vec::new();
    while copies.len() > wanted {
        dropped.extend(copies.pop());
    }
    copies.sort_unstable();
    settle(node, fid, copies, &dropped);
}

/// Writes the new places down, if the file is still there, and removes what is not one of them.
fn settle(node: &Node, fid: Fid, copies: Vec<DeviceId>, dropped: &[DeviceId]) {
    let mut state = lock(&node.state);
    let gone = match state.file(fid) {
        Some(file) if file.copies != copies => {
            state.record(Event::File(File { copies, ..file }));
            dropped.to_vec()
        }
        Some(_) => Vec::new(),
        None => copies,
    };
    drop(state);
    for device in gone.iter().filter_map(|id| node.device(*id)) {
        probe::delete(node, &device, fid);
    }
}

/// Sees to the checksum that the class asks for. False where what is stored is wrong.
fn sum_up(node: &Node, file: &File, class: &Class) -> bool {
    let Some(algorithm) = Algorithm::named(class.hashtype.as_bytes()) else {
        return true;
    };
    let source = file.copies.first().and_then(|id| node.device(*id));
    let Some(source) = source else { return true };
    let Ok(actual) = probe::digest(&source, file.fid, algorithm) else {
        return true;
    };
    match &file.checksum {
        Some(stored) => *stored == actual,
        None => {
            let mut state = lock(&node.state);
            if let Some(file) = state.file(file.fid) {
                state.record(Event::File(File {
                    checksum: Some(actual),
                    ..file
                }));
            }
            true
        }
    }
}

fn watch(node: &Node, pause: Duration) {
    loop {
        let devices = lock(&node.devices).clone();
        for device in devices {
            let observed = if probe::is_up(&device) {
                "writeable"
            } else {
                "unreachable"
            };
            let mut all = lock(&node.devices);
            if let Some(known) = all.iter_mut().find(|known| known.id == device.id) {
                observed.clone_into(&mut known.observed);
            }
        }
        thread::sleep(pause);
    }
}
