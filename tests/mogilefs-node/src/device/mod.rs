//! One storage node: HTTP as Perlbal speaks it, over a directory that holds devices. It knows files
//! and faults; what a file means is the tracker's business.

mod conversation;
mod date;
mod disk;
mod get;
mod head;
mod mischief;
mod put;
pub(crate) mod side;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::door::Door;
use crate::faults::{Fault, Faults, Side, Target};

use conversation::Conversation;
pub(crate) use disk::{fid_of, path_of};

/// Asks for the size of a body that is made up, by fid.
pub(crate) type MadeUp = Box<dyn Fn(u64) -> Option<u64> + Send + Sync>;

/// What a storage node works with.
pub(crate) struct Storage {
    /// The directory that `/` stands for; devices are `devN` in it.
    pub(crate) root: PathBuf,
    /// The number that faults know it by.
    pub(crate) number: u32,
    pub(crate) faults: Arc<Faults>,
    /// How long a connection may be silent.
    pub(crate) idle: Duration,
    pub(crate) made_up: MadeUp,
}

impl Storage {
    /// Listens and serves for ever.
    pub(crate) fn serve(self, addr: SocketAddr) -> io::Result<Arc<Door>> {
        std::fs::create_dir_all(self.root.join(format!("dev{}", self.number)))?;
        let door = Door::bind(addr)?;
        let name = format!("dev{}", self.number);
        door.serve(&name, move |guest| {
            Conversation::new(&self, &guest.stream).run()
        })?;
        Ok(door)
    }

    fn strike(&self, verb: &str, fid: Option<u64>) -> Vec<Fault> {
        self.faults.strike(&Target {
            side: Side::Request,
            verb,
            number: self.number,
            fid,
        })
    }
}
