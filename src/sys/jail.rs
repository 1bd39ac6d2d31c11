//! All that a child gives up, in one: prepared in the master, entered at every birth.

use std::io;
use std::os::fd::RawFd;

use super::rights::{self, Identity};
use super::sandbox::Sandbox;

/// What a kind of child becomes.
#[derive(Debug)]
pub struct Jail {
    identity: Option<Identity>,
    may_fork: bool,
    /// `None`: of whoever starts programs that must not be shut in.
    sandbox: Option<Sandbox>,
}

impl Jail {
    /// Of children that run as `identity` (`None`: as whoever we are already), in `sandbox` where
    /// there is one.
    #[must_use]
    pub fn new(identity: Option<Identity>, may_fork: bool, sandbox: Option<Sandbox>) -> Self {
        Self {
            identity,
            may_fork,
            sandbox,
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
        rights::give_up(self.identity, self.may_fork)
    }

    /// Closes the door: files and system calls.
    ///
    /// # Errors
    /// This process must not go on.
    pub fn enter(&self) -> io::Result<()> {
        self.sandbox.as_ref().map_or(Ok(()), Sandbox::enter)
    }
}
