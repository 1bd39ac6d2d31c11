//! The sandbox of a child: which files it may reach (landlock) and which system calls it may make
//! (seccomp). All that can be prepared is prepared in the master, since it is entered at every
//! birth.

use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::path::Path;

mod calls;
mod files;
mod lists;
mod tree;

use calls::Calls;
use files::Files;

/// A part that this kernel lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Files are protected by their permissions only.
    Landlock,
    /// All system calls are allowed.
    Seccomp,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        })
    }
}

/// What this kernel lacks.
#[must_use]
pub fn missing() -> Vec<Part> {
    let mut missing = Vec::new();
    if !files::are_supported() {
        missing.push(Part::Landlock);
    }
    if !calls::are_supported() {
        missing.push(Part::Seccomp);
    }
    missing
}

/// A sandbox, ready to be entered.
#[derive(Debug)]
pub struct Sandbox {
    files: Files,
    calls: Calls,
}

impl Sandbox {
    /// Of workers: they may make, read, write and remove files beneath `dirs`, and reach no other
    /// file; they may use TCP, and start neither a program, nor a process, nor a thread. Who has entered
    /// may start workers until it leaves the nursery.
    ///
    /// # Errors
    /// A directory cannot be opened.
    pub fn of_worker(dirs: &[&Path]) -> io::Result<Self> {
        Ok(Self {
            files: Files::writable(dirs)?,
            calls: Calls::of_worker()?,
        })
    }

    /// Of a clerk: it may read what its user may read, write nothing, and do what a resolver does.
    ///
    /// # Errors
    /// The root directory cannot be opened.
    pub fn of_clerk() -> io::Result<Self> {
        Ok(Self {
            files: Files::readable(Path::new("/"))?,
            calls: Calls::of_clerk()?,
        })
    }

    /// The descriptors that a process needs to enter.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.files.descriptors()
    }

    /// Enters. There is no way out.
    ///
    /// # Errors
    /// A part that the kernel has could not be entered; this process must not go on.
    pub fn enter(&self) -> io::Result<()> {
        self.files.enter()?;
        self.calls.enter()
    }

    /// Takes away what only the nursery of workers may.
    ///
    /// # Errors
    /// It could not be taken away; this process must not go on.
    pub fn leave_nursery(&self) -> io::Result<()> {
        self.calls.leave_nursery()
    }
}
