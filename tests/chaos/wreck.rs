//! What is killed, frozen and revived: nodes that are processes of their own, and the trackers.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Dice;
use super::support::devices::{Device, trackers_of};
use super::support::{Cluster, Node};

/// A MogileFS whose parts can be harmed one by one.
pub(crate) struct Site {
    parts: Parts,
    pub(crate) wrecks: u32,
}

enum Parts {
    /// Test nodes.
    Own {
        devices: Vec<Device>,
        node: Node,
        trackers: Vec<String>,
    },
    /// What a program does to a real cluster.
    Real {
        command: PathBuf,
        members: Vec<String>,
        trackers: String,
    },
}

impl Site {
    pub(crate) fn new() -> Self {
        let command = std::env::var_os("CHAOS_COMMAND").map(PathBuf::from);
        let parts = match command {
            Some(command) => Parts::Real {
                command,
                members: std::env::var("CHAOS_MEMBERS")
                    .unwrap()
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect(),
                trackers: std::env::var("CHAOS_TRACKERS").unwrap(),
            },
            None => Self::own(),
        };
        Self { parts, wrecks: 0 }
    }

    fn own() -> Parts {
        let devices: Vec<Device> = (1..=3).map(Device::start).collect();
        let node = trackers_of(&devices, &["--watchdog", "2", "--monitor", "500"]);
        let trackers = node.trackers.iter().map(ToString::to_string).collect();
        Parts::Own {
            devices,
            node,
            trackers,
        }
    }

    /// A domain in it.
    pub(crate) fn cluster(&mut self) -> Cluster {
        match &mut self.parts {
            Parts::Own { node, .. } => Cluster::at(node.trackers[0]),
            Parts::Real { .. } => Cluster::start(),
        }
    }

    pub(crate) fn trackers(&self) -> String {
        match &self.parts {
            Parts::Own { trackers, .. } => trackers.join(", "),
            Parts::Real { trackers, .. } => trackers.clone(),
        }
    }

    /// With nodes that are quick to answer nobody has to wait long.
    pub(crate) fn patience(&self) -> Vec<(&'static str, String)> {
        let short = [
            ("mogilefs.timeout", "1"),
            ("mogilefs.request_timeout", "2"),
            ("mogilefs.admin_timeout", "2"),
            ("mogilefs.open_timeout", "5"),
            ("mogilefs.hedge_timeout", "1"),
            ("mogilefs.close_timeout", "6"),
            ("mogilefs.read_timeout", "2"),
            ("mogilefs.write_timeout", "2"),
            ("mogilefs.store_timeout", "3"),
            ("mogilefs.pause_timeout", "1"),
        ];
        match &self.parts {
            Parts::Own { .. } => short.map(|(key, value)| (key, value.to_owned())).into(),
            Parts::Real { .. } => Vec::new(),
        }
    }

    /// Uploads that were opened and neither closed nor given back, where they can be counted.
    pub(crate) fn left_open(&self) -> String {
        match &self.parts {
            Parts::Own { node, .. } => node.temp_rows().len().to_string(),
            Parts::Real { .. } => "?".to_owned(),
        }
    }

    fn members(&self) -> u64 {
        let count = match &self.parts {
            Parts::Own {
                devices, trackers, ..
            } => devices.len() + trackers.len(),
            Parts::Real { members, .. } => members.len(),
        };
        count.try_into().unwrap()
    }

    /// Harms one member; `true`: as if it died, `false`: it stands still.
    fn harm(&mut self, member: usize, dies: bool) {
        self.wrecks += 1;
        match &mut self.parts {
            Parts::Own { devices, node, .. } => match devices.get_mut(member) {
                Some(device) if dies => device.kill(),
                Some(device) => device.signal(Signal::SIGSTOP),
                None => {
                    let fault = if dies { "down" } else { "mute" };
                    let tracker = member - devices.len() + 1;
                    node.fault(&format!("{fault} tracker={tracker}"));
                }
            },
            Parts::Real {
                command, members, ..
            } => act(
                command,
                if dies { "kill" } else { "freeze" },
                &members[member],
            ),
        }
    }

    fn heal(&mut self, member: usize, died: bool) {
        match &mut self.parts {
            Parts::Own { devices, node, .. } => match devices.get_mut(member) {
                Some(device) if died => device.revive(),
                Some(device) => device.signal(Signal::SIGCONT),
                None => node.fault("clear"),
            },
            Parts::Real {
                command, members, ..
            } => act(
                command,
                if died { "start" } else { "thaw" },
                &members[member],
            ),
        }
    }
}

fn act(command: &PathBuf, what: &str, member: &str) {
    let done = Command::new(command)
        .args([what, member])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success(), "{what} {member}: {done}");
}

/// Harms one member after the other, sometimes two at once, until it is over; then all are well.
pub(crate) fn work(site: &mut Site, seed: u64, over: &AtomicBool) {
    let mut dice = Dice::new(seed);
    let is_over = || over.load(Ordering::Relaxed);
    let rest = |millis: u64| {
        let mut left = millis;
        while left > 0 && !is_over() {
            let step = left.min(50);
            std::thread::sleep(Duration::from_millis(step));
            left -= step;
        }
    };
    while !is_over() {
        rest(300 + dice.below(2500));
        let count = 1 + u64::from(dice.below(4) == 0);
        let first = dice.below(site.members());
        let victims: Vec<(usize, bool)> = (0..count)
            .map(|more| {
                let member = (first + more) % site.members();
                (usize::try_from(member).unwrap(), dice.below(2) == 0)
            })
            .collect();
        for (member, dies) in &victims {
            site.harm(*member, *dies);
        }
        rest(300 + dice.below(5000));
        for (member, died) in &victims {
            site.heal(*member, *died);
        }
    }
}
