//! The test node as a process: one tracker (or several) and its devices.

use std::ffi::OsStr;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Lines, PATIENCE, Scratch, Tracker, say};

/// A whole MogileFS of one's own. It ends with this value, and with this process.
pub(crate) struct Node {
    pub(crate) trackers: Vec<SocketAddr>,
    pub(crate) devices: Vec<SocketAddr>,
    /// Takes `!` lines, whatever faults are set.
    control: Vec<SocketAddr>,
    child: Child,
    output: Lines,
    scratch: Scratch,
}

impl Node {
    /// Starts with `arguments` beside directory and tracker; the rest of the command line.
    pub(crate) fn start<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        let scratch = Scratch::new();
        let mut child = Command::new(binary())
            .arg("--dir")
            .arg(scratch.path())
            .args([
                "--tracker",
                "127.0.0.1:0",
                "--control",
                "127.0.0.1:0",
                "--stdin",
            ])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Lines::read(child.stdout.take().unwrap());
        let mut node = Self {
            trackers: Vec::new(),
            devices: Vec::new(),
            control: Vec::new(),
            child,
            output,
            scratch,
        };
        let ready = node.output.wait(0, PATIENCE, |line| line == "ready");
        assert!(
            ready.is_some(),
            "the node never got ready: {:?}",
            node.output.all()
        );
        for line in node.output.all() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["tracker", address] => node.trackers.push(address.parse().unwrap()),
                ["control", address] => node.control.push(address.parse().unwrap()),
                ["device", _, address] => node.devices.push(address.parse().unwrap()),
                _ => {}
            }
        }
        node
    }

    /// Starts two trackers of one MogileFS, with class `docs` in domain `d`.
    pub(crate) fn of_two_trackers() -> Self {
        let devices = ["--devices", "2", "--domain", "d:docs"];
        Self::start(&[&["--tracker", "127.0.0.1:0"][..], &devices].concat())
    }

    /// Sets a fault, or takes all away with `clear`.
    pub(crate) fn fault(&self, fault: &str) {
        let answer = Tracker::connect(self.control[0]).raw(&format!("!fault {fault}"));
        assert!(answer.starts_with("OK"), "!fault {fault}: {answer}");
    }

    /// Whether every fault that is set has struck; one that shuts a whole device or tracker is not
    /// counted by the node.
    pub(crate) fn has_struck(&self) -> bool {
        let faults = Tracker::connect(self.control[0]).report("!faults");
        let has_struck = |fault: &String| {
            let shuts = fault.starts_with("refuse") || fault.starts_with("down");
            shuts || !fault.ends_with(" hits=0")
        };
        faults.iter().all(has_struck)
    }

    /// What an administrator's line that is answered by one says.
    pub(crate) fn report_line(&self, line: &str) -> String {
        Tracker::connect(self.control[0]).raw(line)
    }

    /// What an administrator's line that is answered by several says.
    pub(crate) fn report(&self, line: &str) -> Vec<String> {
        Tracker::connect(self.control[0]).report(line)
    }

    /// Files that lie on its devices and that no tracker knows, as `device/fid`.
    pub(crate) fn orphans(&self) -> Vec<String> {
        let rows = self.report("!rows");
        let known: Vec<String> = rows
            .iter()
            .flat_map(|row| {
                let fields: Vec<&str> = row.split(' ').collect();
                let (fid, devices) = (fields[2].to_owned(), fields[5]);
                let places = devices.split(',').map(move |id| format!("dev{id}/{fid}"));
                places.collect::<Vec<_>>()
            })
            .collect();
        let mut found = Vec::new();
        find_fids(self.scratch.path(), "", &mut found);
        found.retain(|place| !known.contains(place));
        found
    }

    /// Uploads that were opened and neither closed nor given back.
    pub(crate) fn temp_rows(&self) -> Vec<String> {
        self.report("!temprows")
    }

    /// Its program.
    pub(crate) fn binary() -> PathBuf {
        binary()
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            say(&format!("--- node\n{}\n---", self.output.all().join("\n")));
        }
    }
}

/// Every file of a device below `dir`, as `device/fid`.
fn find_fids(dir: &Path, device: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if let Some(digits) = name.strip_suffix(".fid") {
            let fid: u64 = digits.parse().unwrap();
            found.push(format!("{device}/{fid}"));
        } else if entry.path().is_dir() {
            let is_device = name.starts_with("dev");
            find_fids(&entry.path(), if is_device { &name } else { device }, found);
        }
    }
}

/// The node's binary, beside the daemon's; built if nobody did.
fn binary() -> PathBuf {
    let place = Path::new(env!("CARGO_BIN_EXE_nanoftpd")).parent().unwrap();
    let binary = place.join("mogilefs-node");
    let lock = File::create(place.join(".mogilefs-node.lock")).unwrap();
    lock.lock().unwrap();
    if !binary.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "mogilefs-node", "--target-dir"]);
        cargo
            .arg(place.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if place.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(
            cargo.status().unwrap().success(),
            "mogilefs-node cannot be built"
        );
    }
    binary
}
