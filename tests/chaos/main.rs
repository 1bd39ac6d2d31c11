//! Eight clients work while storage nodes and trackers are killed, frozen and revived at random.
//! Afterwards every file that was confirmed is there byte for byte, every one that was not is as it
//! was before, and every download that was confirmed was right.
//!
//! `CHAOS_SECONDS` (10) is how long, `CHAOS_SEED` (1) which chances. With `MOGILEFS_TRACKER` and
//! `CHAOS_TRACKERS` (all trackers, with commas), `CHAOS_MEMBERS` (names, with blanks; those of trackers
//! begin with t) and `CHAOS_COMMAND` (called as `kill|start|freeze|thaw NAME`) it is a real cluster.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod client;
mod model;
mod wreck;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use client::Counts;
use model::{Model, Outcome};
use support::{Cluster, Daemon, Tracker, eventually, say, status};
use wreck::Site;

/// How many clients there are.
const CLIENTS: u64 = 8;

/// How much of an upload stays in memory, in KiB.
const SPOOL_MEM: u64 = 256;

/// A stream of chances (xorshift), the same for the same seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }
}

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).unwrap_or_default();
    text.parse().unwrap_or(default)
}

#[test]
fn what_was_confirmed_is_there_whatever_dies_and_comes_back() {
    let seed = number("CHAOS_SEED", 1);
    let until = Instant::now() + Duration::from_secs(number("CHAOS_SECONDS", 10));
    let mut site = Site::new();
    let cluster = site.cluster();
    let twice = [("class", &b"twice"[..]), ("mindevcount", b"2")];
    cluster.call("create_class", &twice).unwrap();
    for tracker in site.trackers().split(", ") {
        eventually("every tracker knows the class", || {
            let fields = Tracker::connect(tracker.parse().unwrap()).call("get_domains", &[]);
            knows(&fields.ok()?, &cluster.domain).then_some(())
        });
    }
    // Each seed has one of the four ways to take uploads in.
    let upload = if seed & 1 == 0 { "spool" } else { "tee" };
    let overwrite = if seed % 4 < 2 { "direct" } else { "swap" };
    let mut keys = vec![
        ("mogilefs.tracker", site.trackers()),
        ("mogilefs.upload", upload.to_owned()),
        ("mogilefs.overwrite", overwrite.to_owned()),
        ("mogilefs.spool_mem", format!("{SPOOL_MEM}K")),
        ("logging.level", "info".to_owned()),
    ];
    keys.extend(site.patience());
    let keys: Vec<(&str, &str)> = keys.iter().map(|(key, value)| (*key, &**value)).collect();
    let daemon = Daemon::on(&cluster, &keys);
    // What is lost for good is an error, and there is none; what is in doubt for long may be.
    daemon.expect_error("swap-failed");
    daemon.expect_error("not-put-back");
    let (models, counts, peak) = work(&mut site, &daemon, seed, until);
    eventually("all trackers answer again", || {
        cluster.call("list_keys", &[("limit", b"1")]).ok()
    });
    let (right, outcomes) = check(&cluster, &models);
    let of = |outcome| outcomes.iter().filter(|one| **one == outcome).count();
    let (kept, made, gone) = (of(Outcome::Kept), of(Outcome::Made), of(Outcome::Gone));
    let unknown = daemon
        .log
        .all()
        .iter()
        .filter(|line| {
            let events = ["nobody knows", "swap-failed", "not-put-back"];
            events.iter().any(|event| line.contains(event))
        })
        .count();
    say(&format!(
        "chaos: seed={seed} upload={upload} overwrite={overwrite} {counts} files={right} \
         unclear-kept={kept} unclear-made={made} unclear-gone={gone} log-unknown={unknown} \
         peak-kib={peak} wrecks={} left-open={}",
        site.wrecks,
        site.left_open()
    ));
    assert!(counts.confirmed() > 0, "nothing was ever confirmed");
    assert!(peak <= 16 * 1024 + SPOOL_MEM, "a worker took {peak} KiB");
}

/// Whether the answer to get_domains has the class of this test.
fn knows(fields: &BTreeMap<String, Vec<u8>>, domain: &str) -> bool {
    let own = fields.iter().find(|(_, name)| *name == domain.as_bytes());
    own.is_some_and(|(field, _)| {
        fields
            .iter()
            .any(|(name, value)| value == b"twice" && name.starts_with(&format!("{field}class")))
    })
}

/// Clients, and who wrecks what is behind the daemon, until then: what the files must be, how it went,
/// and the most memory that a worker had.
fn work(site: &mut Site, daemon: &Daemon, seed: u64, until: Instant) -> (Vec<Model>, Counts, u64) {
    let over = AtomicBool::new(false);
    let address = daemon.address;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|name| scope.spawn(move || client::work(address, name, seed, until)))
            .collect();
        let wrecker = scope.spawn(|| wreck::work(site, seed, &over));
        let watcher = scope.spawn(|| watch(daemon, || over.load(Ordering::Relaxed)));
        let mut models = Vec::new();
        let mut counts = Counts::default();
        for client in clients {
            let (model, own) = client.join().unwrap();
            models.push(model);
            counts.add(&own);
        }
        over.store(true, Ordering::Relaxed);
        wrecker.join().unwrap();
        (models, counts, watcher.join().unwrap())
    })
}

/// The most memory, in KiB, that any worker had in all that time.
fn watch(daemon: &Daemon, is_over: impl Fn() -> bool) -> u64 {
    let mut peak = 0;
    while !is_over() {
        for (pid, _) in daemon.children() {
            let text = status(pid, "VmHWM").unwrap_or_default();
            let kib = text.split(' ').next().and_then(|kib| kib.parse().ok());
            peak = peak.max(kib.unwrap_or(0));
        }
        // A high-water mark need not be looked at often.
        thread::sleep(Duration::from_millis(500));
    }
    peak
}

/// Compares what is stored with what the clients know; how many files there are, and what has become
/// of those whose last change was neither confirmed nor refused.
fn check(cluster: &Cluster, models: &[Model]) -> (usize, Vec<Outcome>) {
    let mut expected: BTreeMap<String, &model::File> = BTreeMap::new();
    for model in models {
        expected.extend(
            model
                .files()
                .map(|(name, file)| (format!("twice/{name}"), file)),
        );
    }
    let found = cluster.keys();
    let mut outcomes = Vec::new();
    for key in &found {
        let is_known = expected.contains_key(key);
        assert!(is_known, "{key} is there, and nobody has stored it");
    }
    for (key, file) in &expected {
        let content = found
            .contains(key)
            .then(|| eventually(&format!("{key} can be read"), || cluster.content(key)));
        let Some(outcome) = file.outcome(content.as_deref()) else {
            let len = content.map(|content| content.len());
            panic!("{key} is not what was confirmed: {len:?} bytes, {file:?}");
        };
        if !file.is_certain() {
            outcomes.push(outcome);
        }
    }
    (found.len(), outcomes)
}
