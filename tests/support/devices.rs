//! Storage nodes that are processes of their own, so that signals can harm them.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Lines, Node, PATIENCE, Scratch, own_address};

/// One storage node.
pub(crate) struct Device {
    pub(crate) id: usize,
    dir: Scratch,
    pub(crate) address: String,
    child: Child,
}

impl Device {
    pub(crate) fn start(id: usize) -> Self {
        let dir = Scratch::new();
        // Where nobody takes the port while it is dead.
        let (child, address) = run(id, &dir, &format!("{}:0", own_address()));
        Self {
            id,
            dir,
            address,
            child,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, signal).unwrap();
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again with what it left.
    pub(crate) fn revive(&mut self) {
        (self.child, self.address) = run(self.id, &self.dir, &self.address);
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A node whose devices these are, with two trackers.
pub(crate) fn trackers_of(devices: &[Device], more: &[&str]) -> Node {
    let mut options: Vec<String> = ["--tracker", "127.0.0.1:0", "--devices", "0"]
        .iter()
        .chain(more)
        .map(|option| (*option).to_owned())
        .collect();
    for device in devices {
        options.push("--storage".to_owned());
        options.push(format!("{}={}", device.id, device.address));
    }
    Node::start(&options)
}

fn run(id: usize, dir: &Scratch, listen: &str) -> (Child, String) {
    let mut child = Command::new(Node::binary())
        .arg("--device")
        .arg(dir.path())
        .args(["--listen", listen, "--devid", &id.to_string(), "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = Lines::read(child.stdout.take().unwrap());
    let line = output.wait(0, PATIENCE, |line| line.starts_with("device "));
    let (_, line) = line.unwrap_or_else(|| panic!("no device: {:?}", output.all()));
    let address = line.rsplit(' ').next().unwrap().to_owned();
    (child, address)
}
