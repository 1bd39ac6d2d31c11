//! What the tests that drive the real binary share: a daemon and a MogileFS of their own, a small
//! FTP client for dialogues, and a tracker client that shares no code with the product.
#![cfg(test)]
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(unused_imports, reason = "each test file uses its own part")]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

mod cluster;
mod daemon;
pub(crate) mod devices;
mod ftp;
mod node;
mod place;
mod program;
pub(crate) mod stores;
mod syslogd;
pub(crate) mod tls;
mod tracker;
mod trusting;

pub(crate) use cluster::Cluster;
pub(crate) use daemon::{Daemon, children, conf, field, status, tried, users};
pub(crate) use ftp::{Data, Ftp, Mode};
pub(crate) use node::Node;
pub(crate) use place::{Place, Truth, on_each_module};
pub(crate) use program::run;
pub(crate) use syslogd::{Syslogd, private_dev};
pub(crate) use tracker::{Tracker, http_get, http_put};

/// How long anything in a test may take before it counts as broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A name that no other test of this or another run uses.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let time = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("t{}n{number}x{:x}", std::process::id(), time.subsec_nanos())
}

/// An address of this machine that no other test uses, for tests that cannot do with any port.
pub(crate) fn own_address() -> std::net::Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(2);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let last = u8::try_from(number % 250).unwrap() + 2;
    std::net::Ipv4Addr::new(127, 128 | high ^ middle, low, last)
}

/// A directory of one's own, entered by anybody, removed at the end unless the test failed.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("nanoftpd-{}", unique()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A directory in this one that every user may write to.
    pub(crate) fn open_dir(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).unwrap();
        path
    }

    /// A file in this directory that everybody may read.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    /// A program in this directory. Another process writes it: what is open here the child of another test
    /// has, too, for a moment, and what anybody has open for writing nobody can execute.
    pub(crate) fn program(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        let mut writer = Command::new("sh")
            .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writer.stdin.take().unwrap().write_all(content).unwrap();
        assert!(writer.wait().unwrap().success());
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// `len` bytes that do not repeat and hold every value; the same for the same `seed`.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Lines that a process prints, kept, and waited for.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<(Mutex<Printed>, Condvar)>);

#[derive(Default)]
struct Printed {
    lines: Vec<String>,
    is_closed: bool,
}

impl Lines {
    /// Reads `source` to its end, in a thread of its own.
    pub(crate) fn read(source: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let reader = lines.clone();
        std::thread::spawn(move || {
            let (lock, bell) = &*reader.0;
            for line in BufReader::new(source).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).into_owned();
                lock.lock().unwrap().lines.push(line);
                bell.notify_all();
            }
            lock.lock().unwrap().is_closed = true;
            bell.notify_all();
        });
        lines
    }

    /// The first line from number `from` on that `wanted` holds for, and its number; `None` when
    /// the output has ended or `limit` is over.
    pub(crate) fn wait(
        &self,
        from: usize,
        limit: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<(usize, String)> {
        let deadline = Instant::now() + limit;
        let (lock, bell) = &*self.0;
        let mut printed = lock.lock().unwrap();
        let mut next = from;
        loop {
            while let Some(line) = printed.lines.get(next) {
                if wanted(line) {
                    return Some((next, line.clone()));
                }
                next += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if printed.is_closed || left.is_zero() {
                return None;
            }
            printed = bell.wait_timeout(printed, left).unwrap().0;
        }
    }

    /// Whether the output ends within `limit`: everybody who held it is gone.
    pub(crate) fn end(&self, limit: Duration) -> bool {
        let (lock, bell) = &*self.0;
        let printed = lock.lock().unwrap();
        let (printed, _) = bell
            .wait_timeout_while(printed, limit, |printed| !printed.is_closed)
            .unwrap();
        printed.is_closed
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().lines.clone()
    }
}

/// Calls `probe` until it gives something, at most [`PATIENCE`] long. For what has no event to wait
/// for, such as another process's title.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Says something that is seen although the test passes.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether `program` is installed. If not, the test is skipped, and counted; under CI it fails.
pub(crate) fn is_here(program: &str) -> bool {
    let places = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&places).any(|place| place.join(program).exists()) {
        return true;
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{program} is not installed"
    );
    skip(&format!("{program} is not installed"));
    false
}

/// Says that the test is skipped, on the terminal and to whoever counts.
pub(crate) fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    say(&format!("skipped: {test}: {why}"));
    if let Some(list) = std::env::var_os("NANOFTPD_SKIPPED") {
        let list = fs::OpenOptions::new().append(true).create(true).open(list);
        let _ = writeln!(list.unwrap(), "skipped: {test}: {why}");
    }
}
