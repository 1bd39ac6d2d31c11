//! The process under test, and where it listens.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::script::Store;

/// A running node; it ends with this value, or with this process.
pub(crate) struct Process {
    child: Child,
    pub(crate) dir: PathBuf,
    /// First words of the lines that it printed, with the address that ends the line.
    places: BTreeMap<String, String>,
}

impl Process {
    /// A node with a directory of its own.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::node(&fresh_dir(), options)
    }

    /// Kills it as nothing can be prepared for, and starts it again with what it left.
    pub(crate) fn restart(mut self, options: &[&str]) -> Self {
        self.kill();
        Self::node(&std::mem::take(&mut self.dir), options)
    }

    /// One storage device as a process.
    pub(crate) fn device(id: u32) -> Self {
        let dir = fresh_dir();
        let id = id.to_string();
        let listen = "127.0.0.1:0";
        let args = [
            "--device",
            dir.to_str().unwrap(),
            "--listen",
            listen,
            "--devid",
            &id,
        ];
        Self::run(&args, dir.clone())
    }

    fn node(dir: &Path, options: &[&str]) -> Self {
        let mut args = vec!["--dir", dir.to_str().unwrap()];
        args.extend(options);
        Self::run(&args, dir.to_owned())
    }

    fn run(args: &[&str], dir: PathBuf) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_mogilefs-node"))
            .args(args)
            .arg("--stdin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Made before anything can fail: what is dropped is killed.
        let mut process = Self {
            child,
            dir,
            places: BTreeMap::new(),
        };
        process.learn_places();
        process
    }

    fn learn_places(&mut self) {
        for line in BufReader::new(self.child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line == "ready" {
                return;
            }
            let (name, addr) = line.rsplit_once(' ').unwrap();
            // The first tracker is `tracker`, the others `tracker 2` and so on.
            let known = |known: &&String| known.starts_with(name);
            let before = self.places.keys().filter(known).count();
            let name = match before {
                0 => name.to_owned(),
                _ => format!("{name} {}", before + 1),
            };
            self.places.insert(name, addr.to_owned());
        }
        panic!("it was never ready");
    }

    /// Where something listens.
    pub(crate) fn place(&self, name: &str) -> &str {
        self.places.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// `kill -9`, and the end is waited for.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its exit after something else ended it.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if !self.dir.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

fn fresh_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = dir.join(format!("node-{}-{n}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
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

/// Waits for what comes by itself.
pub(crate) fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !until() {
        assert!(Instant::now() < end, "never happened: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
