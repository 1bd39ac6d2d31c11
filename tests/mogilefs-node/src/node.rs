//! What all parts of the node share: the store, the devices, the faults, the counters. It knows no
//! protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::door::{Door, lock};
use crate::faults::{Faults, Side};
use crate::store::{DeviceId, Fid, State};

/// The shared whole.
pub(crate) struct Node {
    pub(crate) state: Mutex<State>,
    pub(crate) devices: Mutex<Vec<Device>>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) counters: Counters,
    pub(crate) queues: Mutex<Queues>,
    /// Rung when a queue changed.
    pub(crate) work: Condvar,
    pub(crate) doors: Mutex<Vec<(Side, u32, Arc<Door>)>>,
    pub(crate) patience: Patience,
    pub(crate) started: Instant,
    /// Query workers of each tracker.
    pub(crate) workers: usize,
    /// Tells main to end.
    pub(crate) quit: Mutex<Sender<()>>,
}

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// A request of a query worker that takes longer is run again.
    pub(crate) watchdog: Duration,
    /// Uploads that were opened longer ago are thrown away.
    pub(crate) temp: Duration,
    /// From a change to the copying or deleting that follows.
    pub(crate) upkeep: Duration,
}

/// A device as the tracker sees it; each is a host of its own.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) addr: SocketAddr,
    /// The directory that `/` stands for, where it is served by this process.
    pub(crate) root: Option<PathBuf>,
    /// `alive`, `down`, `dead`, `drain` or `readonly`.
    pub(crate) status: String,
    /// `writeable`, `readable` or `unreachable`.
    pub(crate) observed: String,
    pub(crate) free_mb: u64,
    pub(crate) total_mb: u64,
}

impl Device {
    /// The URL of a fid on this device.
    pub(crate) fn url(&self, fid: Fid) -> String {
        format!(
            "http://{}{}",
            self.addr,
            crate::device::path_of(self.id, fid)
        )
    }

    /// The file of a fid, where this process has the disk.
    pub(crate) fn file(&self, fid: Fid) -> Option<PathBuf> {
        let root = self.root.as_ref()?;
        Some(root.join(crate::device::path_of(self.id, fid).trim_start_matches('/')))
    }

    /// May it be read from at all?
    pub(crate) fn serves(&self) -> bool {
        matches!(self.status.as_str(), "alive" | "drain" | "readonly")
    }

    /// Does the monitor see it?
    pub(crate) fn is_seen(&self) -> bool {
        self.observed != "unreachable"
    }

    /// May new files go there?
    pub(crate) fn takes(&self, size: u64) -> bool {
        let room = self.free_mb >= 100 && self.free_mb.saturating_mul(1 << 20) > size;
        self.status == "alive" && self.observed == "writeable" && room
    }
}

/// What tests read back.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) calls: Mutex<BTreeMap<String, u64>>,
    pub(crate) queries: AtomicU64,
    /// Second lines of a rename onto an existing key.
    pub(crate) strays: AtomicU64,
    /// Connections of others that such a line closed.
    pub(crate) victims: AtomicU64,
}

/// Work that follows a change.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(crate) replicate: BTreeMap<Fid, Instant>,
    pub(crate) delete: BTreeMap<Fid, (Instant, Vec<DeviceId>)>,
    /// Fids that will never be copied: their checksum is wrong.
    pub(crate) hopeless: BTreeSet<Fid>,
    pub(crate) held: bool,
}

impl Node {
    /// A device by its number.
    pub(crate) fn device(&self, id: DeviceId) -> Option<Device> {
        lock(&self.devices)
            .iter()
            .find(|device| device.id == id)
            .cloned()
    }

    /// Asks for copies of a file to be made, or for spare ones to be dropped.
    pub(crate) fn replicate(&self, fid: Fid) {
        lock(&self.queues)
            .replicate
            .insert(fid, Instant::now() + self.patience.upkeep);
        self.work.notify_all();
    }

    /// Asks for the copies of a file that is no more to be deleted.
    pub(crate) fn doom(&self, fid: Fid, copies: Vec<DeviceId>) {
        let mut queues = lock(&self.queues);
        queues.replicate.remove(&fid);
        queues
            .delete
            .insert(fid, (Instant::now() + self.patience.upkeep, copies));
        drop(queues);
        self.work.notify_all();
    }

    /// Shuts and opens what the faults say now; all doors, or all but one tracker's.
    pub(crate) fn settle_doors(&self, but: Option<u32>) {
        let doors = lock(&self.doors).clone();
        for (side, number, door) in doors {
            if side == Side::Tracker && but == Some(number) {
                continue;
            }
            if self.faults.shuts(side, number) {
                door.shut()
            } else {
                door.open()
            }
        }
    }
}
