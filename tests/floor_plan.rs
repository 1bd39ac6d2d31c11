//! The floor plan, checked: a room uses only rooms on lower floors. The floors are read from the map
//! itself, `src/lib.rs`; the edges from the text of every file, without a compiler.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const TOP: &str = "Cargo.toml Cargo.lock Makefile README.md CHANGELOG.md LICENSE \
                   src etc init logrotate man tests bench fuzz docs";

/// Room → floor.
type Floors = BTreeMap<String, u32>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn floors() -> Floors {
    let mut floors = Floors::new();
    let mut floor = 0;
    for line in fs::read_to_string(root().join("src/lib.rs"))
        .unwrap()
        .lines()
    {
        if let Some(rest) = line.strip_prefix("// Floor ") {
            floor = rest.split(':').next().unwrap().parse().unwrap();
        } else if let Some(room) = line.strip_prefix("pub mod ") {
            floors.insert(room.trim_end_matches(';').to_owned(), floor);
        }
    }
    floors
}

/// Every `.rs` file below `dir`, with its path relative to `dir`.
fn files(dir: &Path, found: &mut Vec<(PathBuf, String)>, base: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found, base);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.strip_prefix(base).unwrap().to_owned(), text));
        }
    }
}

/// The room that a file belongs to and how many `super::` lead from it to the crate's root.
fn place(file: &Path) -> (String, usize) {
    let parts: Vec<_> = file
        .with_extension("")
        .iter()
        .map(|part| part.to_owned())
        .collect();
    let depth = parts.len() - usize::from(parts.last().is_some_and(|last| last == "mod"));
    (parts[0].to_string_lossy().into_owned(), depth)
}

/// The names that follow `crate::`, or as many `super::` as lead to the root, in `text`.
fn used(text: &str, depth: usize) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code: String = code.concat().split_whitespace().collect();
    let mut names = Vec::new();
    for start in ["crate::".to_owned(), "super::".repeat(depth)] {
        for (at, _) in code.match_indices(&start) {
            let rest = &code[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(group) => names.extend(heads(group)),
                None => names.push(word(rest)),
            }
        }
    }
    names
}

/// The first words of the branches of `a::B, c::{D, E}}…`, up to the closing brace.
fn heads(group: &str) -> Vec<String> {
    let mut names = vec![word(group)];
    let mut open = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            ',' if open == 1 => names.push(word(&group[at + 1..])),
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// What `room` (whose file is `file`) may not use of `names`.
fn wrong_edges(floors: &Floors, file: &Path, names: &[String]) -> Vec<String> {
    let (room, _) = place(file);
    let own = floors.get(&room).copied();
    let is_wrong = |name: &&String| {
        let (Some(own), Some(&other)) = (own, floors.get(*name)) else {
            return false;
        };
        let backend = *name == "mogilefs" && ["ftp", "store"].contains(&room.as_str());
        **name != room
            && (other > own
                || (other == own && own > 0)
                || backend && !file.starts_with("store/mogile"))
    };
    names
        .iter()
        .filter(is_wrong)
        .map(|name| format!("{} uses {name}", file.display()))
        .collect()
}

#[test]
fn no_room_uses_its_own_floor_or_a_higher_one() {
    let floors = floors();
    assert_eq!(floors["config"], 0);
    assert_eq!(floors["worker"], 4);
    let (mut found, src) = (Vec::new(), root().join("src"));
    files(&src, &mut found, &src);
    let mut wrong = Vec::new();
    for (file, text) in &found {
        let (room, depth) = place(file);
        let outside = ["lib", "main"].contains(&room.as_str());
        assert!(
            outside || floors.contains_key(&room),
            "{room} is not on the map"
        );
        wrong.extend(wrong_edges(&floors, file, &used(text, depth)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn edges_are_found_however_they_are_written() {
    let floors = floors();
    for (file, text, expected) in [
        ("path.rs", "use crate::text::quoted;", 0),
        ("path.rs", "use crate::sys;", 1),
        (
            "ftp/mod.rs",
            "use crate::{store::{self, Entry}, vigil, worker::Worker};",
            1,
        ),
        ("ftp/mod.rs", "use crate::mogilefs::Client;", 1),
        (
            "store/mogile/list.rs",
            "use crate::{\n    mogilefs::Client,\n    path::Path,\n};",
            0,
        ),
        ("store/file.rs", "use crate::mogilefs::Client;", 1),
        ("store/file.rs", "use super::super::auth;", 1),
        ("auth/text.rs", "use super::board;\n// crate::master", 0),
        ("mogilefs/mod.rs", "use super::sys;", 1),
        ("worker/mod.rs", "fn f() { crate::clerk::run() }", 1),
        (
            "worker/mod.rs",
            "use crate::worker::a;\nuse crate::board::b;",
            0,
        ),
    ] {
        let file = Path::new(file);
        let names = used(text, place(file).1);
        assert_eq!(
            wrong_edges(&floors, file, &names).len(),
            expected,
            "{file:?} {text}"
        );
    }
}

#[test]
fn only_sys_may_hold_unsafe_code() {
    for room in floors().into_keys().filter(|room| room != "sys") {
        let src = root().join("src");
        let one = [
            src.join(format!("{room}.rs")),
            src.join(&room).join("mod.rs"),
        ];
        let text = one
            .iter()
            .find_map(|file| fs::read_to_string(file).ok())
            .unwrap();
        let head = text
            .lines()
            .find(|line| !line.starts_with("//") && !line.is_empty());
        assert_eq!(head, Some("#![forbid(unsafe_code)]"), "{room}");
    }
}

#[test]
fn nothing_else_lies_at_the_top() {
    let top: Vec<&str> = TOP.split_whitespace().collect();
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_expected = name.starts_with('.') || name == "target" || top.contains(&name.as_str());
        assert!(is_expected, "{name} has no place at the top");
    }
}
