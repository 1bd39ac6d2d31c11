//! The files of a sandbox: landlock. Rights that a newer kernel knows are taken away where it does;
//! what an older one lacks (truncation, ioctls of devices, signals) the system calls cover.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope,
};

/// The newest kernel interface that this was written for.
const TESTED: ABI = ABI::V6;

/// Directories, and what may be done beneath them.
#[derive(Debug)]
pub(super) struct Files {
    dirs: Vec<(PathFd, BitFlags<AccessFs>)>,
}

/// Whether the kernel has landlock, and has it switched on.
pub(super) fn are_supported() -> bool {
    create().is_ok_and(|ruleset| Option::<std::os::fd::OwnedFd>::from(ruleset).is_some())
}

fn create() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(TESTED))?
        .scope(Scope::from_all(TESTED))?
        .create()
}

impl Files {
    /// Everything that a store of files does, beneath `dirs`, and nothing elsewhere.
    pub(super) fn writable(dirs: &[&Path]) -> io::Result<Self> {
        let access = AccessFs::ReadFile
            | AccessFs::ReadDir
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir
            | AccessFs::Refer;
        Self::beneath(dirs, access)
    }

    /// Reading beneath `dir`.
    pub(super) fn readable(dir: &Path) -> io::Result<Self> {
        Self::beneath(&[dir], AccessFs::ReadFile | AccessFs::ReadDir)
    }

    fn beneath(dirs: &[&Path], access: BitFlags<AccessFs>) -> io::Result<Self> {
        let open = |dir: &&Path| match PathFd::new(dir) {
            Ok(fd) => Ok((fd, access)),
            Err(error) => Err(io::Error::other(error)),
        };
        Ok(Self {
            dirs: dirs.iter().map(open).collect::<io::Result<_>>()?,
        })
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.dirs.iter().map(|(fd, _)| fd.as_fd().as_raw_fd())
    }

    pub(super) fn enter(&self) -> io::Result<()> {
        let restrict = || {
            let mut ruleset = create()?;
            for (fd, access) in &self.dirs {
                ruleset = ruleset.add_rule(PathBeneath::new(fd, *access))?;
            }
            ruleset.restrict_self()
        };
        restrict().map(|_| ()).map_err(io::Error::other)
    }
}
