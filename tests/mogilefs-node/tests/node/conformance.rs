//! Replays the recorded dialogues in `conformance/` against the built binary, or the tracker's
//! against a real tracker (MOGILEFS_TRACKER=host:port, MOGILEFS_STORE=sqlite or mysql). README.md
//! says how the files are written.
use std::path::{Path, PathBuf};

use crate::script::{Script, Store};
use crate::{http, process, tracker};

/// What was recorded: none may get lost.
const TRACKER_REQUESTS: usize = 276;
const HTTP_REQUESTS: usize = 96;

/// Requests that stand for observations which were noted without their bytes: keys of many
/// lengths, a key that is not UTF-8, a class that had to be made.
const NOTED: [(Store, usize); 2] = [(Store::Sqlite, 13), (Store::Mysql, 17)];

fn scripts(folder: &str, store: Store) -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conformance")
        .join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| Script::read(file, store)).collect()
}

fn replay(store: Store) {
    let mut failures = Vec::new();
    for script in scripts("tracker", store) {
        failures.extend(tracker::replay(&script, store));
    }
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn the_tracker_answers_as_the_real_one_on_sqlite_did() {
    if process::real_store().is_none_or(|real| real == Store::Sqlite) {
        replay(Store::Sqlite);
    }
}

#[test]
fn the_tracker_answers_as_the_real_one_on_mariadb_did() {
    if process::real_store().is_none_or(|real| real == Store::Mysql) {
        replay(Store::Mysql);
    }
}

#[test]
fn devices_answer_as_the_real_ones_did() {
    let scripts = scripts("http", Store::Sqlite);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let replay = |script| scope.spawn(move || http::replay(script));
        let running: Vec<_> = scripts.iter().map(replay).collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_recorded_request_is_a_case() {
    for (store, noted) in NOTED {
        let requests: usize = scripts("tracker", store).iter().map(Script::requests).sum();
        assert_eq!(requests, TRACKER_REQUESTS + noted, "{store:?}");
    }
    let requests: usize = scripts("http", Store::Sqlite)
        .iter()
        .map(Script::requests)
        .sum();
    assert_eq!(requests, HTTP_REQUESTS);
}
