//! docs/SECURITY.md names a test for every attack: they exist, and those that lie here are named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Names of the tests in `dir` and below.
fn tests_below(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for part in text.split("#[test]\n").skip(1) {
                let (_, name) = part.split_once("fn ").unwrap();
                found.insert(name.split('(').next().unwrap().to_owned());
            }
        }
    }
}

/// The rows of the table: what the attack is, and the tests for it.
fn rows() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(root().join("docs/SECURITY.md")).unwrap();
    let (_, section) = text
        .split_once("\n## Attacks, and the tests for them\n")
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| attack");
    section
        .lines()
        .filter(is_row)
        .map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            let named = cells.last().unwrap().split('`').skip(1).step_by(2);
            (cells[0].to_owned(), named.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn every_attack_of_the_paper_has_tests_and_they_exist() {
    let mut known = BTreeSet::new();
    for dir in ["tests", "src"] {
        tests_below(&root().join(dir), &mut known);
    }
    let rows = rows();
    assert!(rows.len() >= 30, "{}", rows.len());
    for (attack, tests) in &rows {
        assert!(!tests.is_empty(), "{attack}: no test");
        let missing: Vec<_> = tests.difference(&known).collect();
        assert!(missing.is_empty(), "{attack}: no such tests: {missing:?}");
    }
    let mut own = BTreeSet::new();
    tests_below(&root().join("tests/hostile"), &mut own);
    own.remove("every_attack_of_the_paper_has_tests_and_they_exist");
    let named: BTreeSet<String> = rows.into_iter().flat_map(|(_, tests)| tests).collect();
    let unnamed: Vec<_> = own.difference(&named).collect();
    assert!(unnamed.is_empty(), "not in the paper: {unnamed:?}");
}
