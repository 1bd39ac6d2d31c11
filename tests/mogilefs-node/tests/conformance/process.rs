//! The process under test, and where it listens.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::script::Store;

/// A running node; it ends with this value, or with this process.
pub(crate) struct Process {
    child: Child,
    pub(crate) dir: PathBuf,
    /// First words of the lines that it printed, with the address that ends the line.
    pub(crate) places: BTreeMap<String, String>,
}

impl Process {
    pub(crate) fn start(options: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let dir = dir.join(format!("node-{}-{n}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let mut child = Command::new(env!("CARGO_BIN_EXE_mogilefs-node"))
            .args(["--dir", dir.to_str().unwrap(), "--stdin"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut places = BTreeMap::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            match line.rsplit_once(' ') {
                Some((name, addr)) => places.insert(name.to_owned(), addr.to_owned()),
                None if line == "ready" => break,
                None => panic!("{line}?"),
            };
        }
        Self { child, dir, places }
    }

    pub(crate) fn place(&self, name: &str) -> &str {
        self.places.get(name).unwrap_or_else(|| panic!("no {name}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The address of a real tracker, where one is to be tried.
pub(crate) fn real_tracker() -> Option<String> {
    std::env::var("MOGILEFS_TRACKER").ok()
}

/// The data base behind the real tracker.
pub(crate) fn real_store() -> Option<Store> {
    real_tracker()?;
    Some(match std::env::var("MOGILEFS_STORE").as_deref() {
        Ok("mysql") => Store::Mysql,
        _ => Store::Sqlite,
    })
}
