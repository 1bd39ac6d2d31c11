//! The files of a sandbox: landlock. Rights that a newer kernel knows are taken away where it does;
//! what an older one lacks (truncation, ioctls of devices, signals) the system calls cover.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope,
};
use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::unistd::close;

/// The newest kernel interface that this was written for.
const TESTED: ABI = ABI::V6;

/// What may be done beneath which directories, as the kernel has it.
#[derive(Debug)]
pub(super) struct Files {
    /// `None`: the kernel has no landlock.
    ruleset: Option<OwnedFd>,
}

/// Whether the kernel has landlock, and has it switched on.
pub(super) fn are_supported() -> bool {
    create().is_ok_and(|ruleset| Option::<OwnedFd>::from(ruleset).is_some())
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
        let mut ruleset = create().map_err(io::Error::other)?;
        for dir in dirs {
            let dir = PathFd::new(dir).map_err(io::Error::other)?;
            let added = ruleset.add_rule(PathBeneath::new(dir, access));
            ruleset = added.map_err(io::Error::other)?;
        }
        Ok(Self {
            ruleset: ruleset.into(),
        })
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.ruleset.iter().map(AsRawFd::as_raw_fd)
    }

    pub(super) fn enter(&self) -> io::Result<()> {
        let Some(ruleset) = &self.ruleset else {
            return Ok(());
        };
        prctl::set_no_new_privs()?;
        let (call, ruleset) = (libc::SYS_landlock_restrict_self, ruleset.as_raw_fd());
        #[expect(
            unsafe_code,
            reason = "the crate would make the ruleset anew at each birth"
        )]
        // SAFETY: the call takes a descriptor, which is open while it is borrowed, and flags.
        let entered = unsafe { libc::syscall(call, ruleset, 0) };
        Errno::result(entered)?;
        // A child never returns, so this value is never dropped in it.
        Ok(close(ruleset)?)
    }
}
