//! Manual pages and the shipped configuration, beside what the program knows and says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Scratch, is_here};
use crate::{BINARY, nanoftpd, read, root};

const MANUALS: [&str; 3] = ["nanoftpd.8", "nanoftpd.conf.5", "nanoftpd-users.5"];

/// Keys with their values, from what -T prints.
pub(crate) fn printed(text: &str) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, value)) = line.split_once('=') {
            keys.insert(format!("{section}.{}", key.trim()), value.trim().to_owned());
        }
    }
    keys
}

/// Keys with their defaults, from the manual page.
fn described(text: &str) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    let (mut section, mut key) = (String::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix(".Sh [") {
            section = name.trim_end_matches("]\\&").to_owned();
        } else if let Some(rest) = line.strip_prefix(".It Cm ") {
            key = rest
                .split_once(" No =")
                .map(|(key, _)| key.to_owned())
                .unwrap_or_default();
        } else if line == "Default: empty." {
            keys.insert(format!("{section}.{key}"), String::new());
        } else if line == "Default:" {
            let value = lines.next().unwrap().replace("\\&", "");
            let value = value.trim_start_matches(".Cm ").trim_start_matches(".Pa ");
            keys.insert(
                format!("{section}.{key}"),
                value.trim_end_matches(" .").to_owned(),
            );
        }
    }
    keys
}

#[test]
fn the_shipped_configuration_is_the_default_one() {
    let shipped = root().join("etc/nanoftpd.conf");
    let shipped = shipped.to_str().unwrap();
    let defaults = nanoftpd(&["-c", "/dev/null", "-T"]);
    assert_eq!(nanoftpd(&["-c", shipped, "-T"]), defaults);
    assert_eq!(printed(&read("etc/nanoftpd.conf")), printed(&defaults));
}

#[test]
fn whoever_has_seen_enough_is_told_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut print = Command::new(BINARY);
    print.args(["-c", "/dev/null", "-T"]).stdout(writer);
    let output = print.output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
}

#[test]
fn what_is_printed_reads_as_the_same() {
    let scratch = Scratch::new();
    let changed = scratch.file(
        "a.conf",
        b"[nanoftpd]\nlisten_addr = ::1, 127.0.0.1\nserver_name = a # b ; \"c\"\n[pool]\nmax_clients = 7000\n",
    );
    let first = nanoftpd(&["-c", changed.to_str().unwrap(), "-T"]);
    let again = scratch.file("b.conf", first.as_bytes());
    assert_eq!(nanoftpd(&["-c", again.to_str().unwrap(), "-T"]), first);
    assert_eq!(printed(&first)["nanoftpd.server_name"], "a # b ; \"c\"");
}

#[test]
fn every_key_is_in_the_manual_with_its_default_and_back() {
    let keys = printed(&nanoftpd(&["-c", "/dev/null", "-T"]));
    let manual = described(&read("man/nanoftpd.conf.5"));
    assert!(keys.len() > 40);
    for (key, default) in &keys {
        assert_eq!(
            manual.get(key),
            Some(default),
            "{key} in man/nanoftpd.conf.5"
        );
    }
    for key in manual.keys() {
        assert!(
            keys.contains_key(key),
            "{key} is in the manual and nowhere else"
        );
    }
}

#[test]
fn every_option_is_in_the_manual_and_back() {
    let help = nanoftpd(&["-h"]);
    let manual = read("man/nanoftpd.8");
    let options = |text: &str, before: &str| -> Vec<char> {
        let mut found: Vec<char> = text
            .match_indices(before)
            .filter_map(|(at, _)| {
                let mut rest = text[at + before.len()..].chars();
                rest.next()
                    .filter(|_| rest.next().is_none_or(|next| !next.is_alphanumeric()))
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    let main_usage: String = help
        .lines()
        .filter(|line| line.contains("nanoftpd [") || line.contains("nanoftpd -"))
        .collect();
    for option in options(&main_usage, "-")
        .into_iter()
        .filter(|c| c.is_alphabetic())
    {
        assert!(
            manual.contains(&format!(".It Fl {option}")),
            "-{option} in man/nanoftpd.8"
        );
    }
    for option in options(&manual, ".It Fl ") {
        assert!(
            help.contains(&format!("-{option}")),
            "-{option} is in the manual only"
        );
    }
    for command in help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("nanoftpd "))
    {
        let word: String = command
            .chars()
            .take_while(char::is_ascii_lowercase)
            .collect();
        assert!(
            word.is_empty() || manual.contains(&format!("Cm {word}")),
            "{word} in the manual"
        );
    }
}

/// Event and level of every `warn!` and `error!` in the text of a source file, tests left out.
fn said(text: &str) -> Vec<(String, String)> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut found = Vec::new();
    let text = text.replace("compile_error!(", "");
    for level in ["warn", "error"] {
        for part in text.split(&format!("{level}!(")).skip(1) {
            let Some(line) = part.trim_start().strip_prefix('"') else {
                continue;
            };
            let is_event = |c: char| c.is_ascii_lowercase() || c == '-';
            let event = line.split(|c| !is_event(c)).next().unwrap();
            // A panic is put together elsewhere.
            if !event.is_empty() {
                found.push((event.to_owned(), level.to_owned()));
            }
        }
    }
    found
}

fn sources(dir: &Path, found: &mut BTreeSet<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap_or_default();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.extend(said(&fs::read_to_string(path).unwrap()));
        }
    }
}

#[test]
fn every_warning_and_error_is_in_the_manual_and_back() {
    let mut expected = BTreeSet::new();
    sources(&root().join("src"), &mut expected);
    // The logger's own, which go past the macros.
    for (event, level) in [("log-lines-lost", "warn"), ("panic", "error")] {
        expected.insert((event.to_owned(), level.to_owned()));
    }
    let manual = read("man/nanoftpd.8");
    let (_, list) = manual.split_once(".Sh DIAGNOSTICS\n").unwrap();
    let list = list.split(".Sh ").next().unwrap();
    let mut described = BTreeSet::new();
    let mut events = Vec::new();
    for item in list.split(".It Cm ").skip(1) {
        let mut lines = item.lines();
        let (event, levels) = (lines.next().unwrap(), lines.next().unwrap());
        for level in levels.trim_matches(['(', ')']).split(", ") {
            described.insert((event.to_owned(), level.to_owned()));
        }
        assert!(lines.next().is_some_and(|text| text.len() > 20), "{event}");
        events.push(event);
    }
    assert_eq!(described, expected);
    assert!(events.is_sorted(), "{events:?}");
}

#[test]
fn manual_pages_are_sound() {
    if !is_here("mandoc") {
        return;
    }
    let pages = MANUALS.map(|page| root().join("man").join(page));
    let output = Command::new("mandoc")
        .arg("-Tlint")
        .args(pages)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let is_ours = |line: &&str| !line.contains("referenced manual not found");
    assert_eq!(said.lines().filter(is_ours).collect::<Vec<_>>(), [""; 0]);
}
