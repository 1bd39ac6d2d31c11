//! All that a child gives up, in one: prepared in the master, entered once by each clerk and by the nursery
//! of the workers. What those have to give up for themselves is the rest.

use std::io;
use std::os::fd::RawFd;

use nix::sys::stat::{Mode, umask};

use super::rights::{self, Identity};
use super::sandbox::Sandbox;

/// What a kind of child becomes.
#[derive(Debug)]
pub struct Jail {
    identity: Option<Identity>,
    is_nursery: bool,
    /// `None`: of whoever starts programs that must not be shut in.
    sandbox: Option<Sandbox>,
}

impl Jail {
    /// Of clerks that run as `identity` (`None`: as whoever we are already), in `sandbox` where there is
    /// one.
    #[must_use]
    pub fn of_clerk(identity: Option<Identity>, sandbox: Option<Sandbox>) -> Self {
        Self {
            identity,
            is_nursery: false,
            sandbox,
        }
    }

    /// Of workers and of the nursery that they come from.
    #[must_use]
    pub fn of_workers(identity: Option<Identity>, sandbox: Sandbox) -> Self {
        Self {
            identity,
            is_nursery: true,
            sandbox: Some(sandbox),
        }
    }

    /// What has to be open in a process that enters.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.sandbox.iter().flat_map(Sandbox::descriptors)
    }

    /// Gives the rights up: users, groups, capabilities, limits. What a process has to open for
    /// itself it opens now.
    ///
    /// # Errors
    /// This process must not go on.
    pub fn give_up_rights(&self) -> io::Result<()> {
        if self.is_nursery {
            // Sessions say themselves what nobody may do with a file; whoever started us has no part in it.
            umask(Mode::empty());
        }
        // Where we are not root all that is there is that user's, and so are the limits.
        if self.is_nursery && self.identity.is_some() {
            rights::allow_processes();
        }
        rights::give_up(self.identity)
    }

    /// Closes the door: files and system calls.
    ///
    /// # Errors
    /// This process must not go on.
    pub fn enter(&self) -> io::Result<()> {
        self.sandbox.as_ref().map_or(Ok(()), Sandbox::enter)
    }

    /// Has a worker give up what its nursery had to keep: processes, and the calls to make them and to
    /// shut them in.
    ///
    /// # Errors
    /// This process must not go on.
    pub fn leave_nursery(&self) -> io::Result<()> {
        rights::forbid_processes()?;
        self.sandbox.as_ref().map_or(Ok(()), Sandbox::leave_nursery)
    }
}
