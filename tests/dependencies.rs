//! What the program is built of, as Cargo.lock has it: from one registry, under licences that allow
//! it, and nothing twice without a reason. Nothing is fetched.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// What may be linked into a program under the MIT licence, without a condition for its source.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "MITNFA",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "CDLA-Permissive-2.0",
    "CC0-1.0",
];

/// Crates that are there in two versions, and why that is so.
const TWICE: &[(&str, &str)] = &[
    (
        "getrandom",
        "0.2 runs in a macro of dlv-list, which rust-ini uses, while that is built; 0.4 is linked",
    ),
    (
        "syn",
        "both run in macros while others are built; nothing of them is linked",
    ),
];

/// Crates with C in them. Everything else is Rust.
const WITH_C: &[&str] = &["aws-lc-sys"];

/// A package, as far as it matters here.
#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    licence: String,
    source: String,
}

/// `cargo tree` in a form of our own; `edges` says for whom.
fn packages(edges: &str) -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none"])
        .args(["--package", "mogilefs-ftpd", "--edges", edges])
        .args(["--format", "{p}\t{l}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: BTreeSet<&str> = text
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.starts_with("mogilefs-ftpd "))
        .collect();
    let package = |line: &&str| {
        let (named, licence) = line.split_once('\t').unwrap();
        let mut words = named.split(' ');
        Package {
            name: words.next().unwrap().to_owned(),
            version: words.next().unwrap().to_owned(),
            licence: licence.to_owned(),
            source: words.collect::<Vec<_>>().join(" "),
        }
    };
    lines.iter().map(package).collect()
}

/// Whether one of the choices that an SPDX expression leaves is allowed.
fn is_allowed(expression: &str) -> bool {
    let text = expression.replace('/', " OR ").replace(['(', ')'], "");
    // `A AND (B OR C)` is read as `(A AND B) OR C`, so every word of it must be known anyway.
    let is_known = |word: &str| LICENCES.contains(&word) || ["OR", "AND"].contains(&word);
    let is_plain = |choice: &str| {
        let mut words = choice.split_whitespace();
        !choice.is_empty() && words.all(|word| LICENCES.contains(&word))
    };
    match text.contains(" AND ") {
        true => text.split_whitespace().all(is_known),
        false => text.split(" OR ").any(is_plain),
    }
}

/// The sources of Cargo.lock.
fn sources() -> BTreeSet<String> {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let text = std::fs::read_to_string(lock).unwrap();
    let sources = text
        .lines()
        .filter_map(|line| line.strip_prefix("source = "));
    let without_sum = text
        .split("[[package]]")
        .filter(|package| package.contains("source = ") && !package.contains("checksum = "));
    assert_eq!(without_sum.count(), 0, "a package without a checksum");
    sources.map(str::to_owned).collect()
}

#[test]
fn dependencies_are_licensed_known_and_from_one_place() {
    let sources: Vec<String> = sources().into_iter().collect();
    assert!(
        matches!(&sources[..], [only] if only.starts_with("\"registry+")),
        "{sources:?}"
    );
    let linked = packages("normal");
    assert!(linked.len() > 30, "{}", linked.len());
    for package in &linked {
        assert!(
            package.source.is_empty() || package.source == "(proc-macro)",
            "{package:?} lies elsewhere"
        );
        assert!(is_allowed(&package.licence), "{package:?}");
    }
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &linked {
        let own = versions.entry(&package.name).or_default();
        own.insert(&package.version);
    }
    let twice: Vec<&str> = versions
        .iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, _)| *name)
        .collect();
    let expected: Vec<&str> = TWICE.iter().map(|(name, _)| *name).collect();
    assert_eq!(twice, expected, "twice without a reason, or no longer");
    let with_c: Vec<&str> = versions
        .into_keys()
        .filter(|name| name.ends_with("-sys"))
        .collect();
    assert_eq!(with_c, WITH_C);
}

#[test]
fn what_only_builds_and_tests_is_licensed_too() {
    for package in packages("normal,build,dev") {
        let is_own = package.source.starts_with("(/");
        assert!(is_own || is_allowed(&package.licence), "{package:?}");
    }
}

#[test]
fn an_expression_is_allowed_if_a_choice_of_it_is() {
    for (text, expected) in [
        ("MIT", true),
        ("MIT OR GPL-3.0", true),
        ("MIT/Apache-2.0", true),
        ("GPL-2.0", false),
        ("MIT AND GPL-2.0", false),
        ("MIT AND (Apache-2.0 OR ISC)", true),
        ("ISC AND (Apache-2.0 OR ISC) AND OpenSSL", true),
        ("LGPL-2.1 OR AGPL-3.0", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(text), expected, "{text}");
    }
}
