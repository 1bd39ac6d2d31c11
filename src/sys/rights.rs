//! What a child may still do, as users, groups and capabilities go. Nothing can be taken back: that
//! is tried, and a process that could get its rights back does not go on.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Group, Uid, User, getresgid, getresuid, setgroups, setresgid, setresuid};

/// An argument of a prctl that must be there and be zero.
const NONE: libc::c_ulong = 0;

/// What it takes to run the service, by the numbers of capabilities(7).
const SERVICE: u64 = {
    /// Children become somebody else, with their bounding set emptied.
    const OTHERS: u64 = 1 << 6 | 1 << 7 | 1 << 8; // SETGID, SETUID, SETPCAP
    /// They are sent signals.
    const KILL: u64 = 1 << 5;
    /// The control socket is given to their user; logs, users and keys are read and written
    /// whoever owns their directories.
    const FILES: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 3; // CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER
    /// A reload may ask for another port, and for more clients; data connections may come from 20.
    const RELOAD: u64 = 1 << 10 | 1 << 24; // NET_BIND_SERVICE, SYS_RESOURCE
    OTHERS | KILL | FILES | RELOAD
};

/// Most descriptors of a child.
const NOFILE: u64 = 256;

/// For setresuid(2) and setresgid(2) it is nobody's number: it leaves them as they are.
const UNCHANGED: u32 = u32::MAX;

/// The user and the group that children run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    user: Uid,
    group: Gid,
}

/// Why a user or a group cannot be used.
#[derive(Debug)]
pub enum Error {
    /// There is no such user.
    NoUser,
    /// There is no such group.
    NoGroup,
    /// It is root.
    Root,
    /// The look-up failed.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUser => f.write_str("no such user"),
            Self::NoGroup => f.write_str("no such group"),
            Self::Root => f.write_str("is root, and allow_root is no"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl Identity {
    /// The user of this name or number.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn user(user: &str, allow_root: bool) -> Result<Uid, Error> {
        let uid = match user.parse() {
            Ok(UNCHANGED) => return Err(Error::NoUser),
            Ok(number) => Uid::from_raw(number),
            Err(_) => {
                let found = User::from_name(user).map_err(|errno| Error::Io(errno.into()))?;
                found.ok_or(Error::NoUser)?.uid
            }
        };
        if uid.is_root() && !allow_root {
            return Err(Error::Root);
        }
        Ok(uid)
    }

    /// The group of this name or number.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn group(group: &str, allow_root: bool) -> Result<Gid, Error> {
        let gid = match group.parse() {
            Ok(UNCHANGED) => return Err(Error::NoGroup),
            Ok(number) => Gid::from_raw(number),
            Err(_) => {
                let found = Group::from_name(group).map_err(|errno| Error::Io(errno.into()))?;
                found.ok_or(Error::NoGroup)?.gid
            }
        };
        if gid.as_raw() == 0 && !allow_root {
            return Err(Error::Root);
        }
        Ok(gid)
    }

    /// The user.
    #[must_use]
    pub fn uid(self) -> Uid {
        self.user
    }

    /// Joins the two.
    #[must_use]
    pub fn new(user: Uid, group: Gid) -> Self {
        Self { user, group }
    }
}

/// Whether this process is root, and so can become somebody else.
#[must_use]
pub fn are_root() -> bool {
    Uid::effective().is_root()
}

/// Raises the limit of open descriptors of this process to `wanted`, as far as that is allowed, and
/// returns what it is then.
///
/// # Errors
/// What the kernel says.
pub fn raise_descriptors(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= wanted {
        return Ok(soft);
    }
    if hard < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
        return Ok(wanted);
    }
    let most = wanted.min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, most, hard)?;
    Ok(most)
}

/// Gives up everything that is not needed, for good: the user and the group become those of
/// `identity` (`None` where we are not root), no supplementary groups, no capability in any set, no
/// new privileges by an execve, no core, not dumpable, few descriptors.
///
/// # Errors
/// One of it failed, or could be undone; this process must not go on.
pub fn give_up(identity: Option<Identity>) -> io::Result<()> {
    if let Some(identity) = identity {
        drop_bounding_set(0)?;
        setgroups(&[])?;
        setresgid(identity.group, identity.group, identity.group)?;
        setresuid(identity.user, identity.user, identity.user)?;
    }
    set_capabilities(0)?;
    prctl::set_no_new_privs()?;
    limit(Resource::RLIMIT_CORE, 0)?;
    limit(Resource::RLIMIT_NOFILE, NOFILE)?;
    prctl::set_dumpable(false)?;
    identity.map_or(Ok(()), prove)
}

/// Lets whoever we become have any number of processes: those that are there are counted by whoever
/// starts them. Where that is not ours to allow it stays as it is.
pub fn allow_processes() {
    let _ = setrlimit(Resource::RLIMIT_NPROC, RLIM_INFINITY, RLIM_INFINITY);
}

/// From now on this process starts no other.
///
/// # Errors
/// What the kernel says; this process must not go on.
pub fn forbid_processes() -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_NPROC, 0, 0)?)
}

/// Gives up what whoever starts, ends and replaces the others does not need: root keeps the
/// capabilities of [`SERVICE`], as far as it has them, and loses all others for itself and for
/// whatever it may execute; nobody gets a core with the users' hashes in it.
///
/// # Errors
/// What the kernel says; this process must not go on.
pub fn keep_those_of_service() -> io::Result<()> {
    drop_bounding_set(SERVICE)?;
    BOUNDING.store(SERVICE, Ordering::Relaxed);
    let held = capabilities()?;
    set_capabilities(held & SERVICE)?;
    prctl::set_no_new_privs()?;
    limit(Resource::RLIMIT_CORE, 0)?;
    Ok(prctl::set_dumpable(false)?)
}

/// Tries to go back.
fn prove(identity: Identity) -> io::Result<()> {
    let kept = |what: &str| Err(io::Error::other(format!("{what} could be had back")));
    let users = getresuid()?;
    if [users.real, users.effective, users.saved] != [identity.user; 3] {
        return kept("the user");
    }
    let groups = getresgid()?;
    if [groups.real, groups.effective, groups.saved] != [identity.group; 3] {
        return kept("the group");
    }
    if count_groups()? > 0 || setgroups(&[Gid::from_raw(0)]).is_ok() {
        return kept("a supplementary group");
    }
    let (root, wheel) = (Uid::from_raw(0), Gid::from_raw(0));
    if !identity.user.is_root() && setresuid(root, root, root).is_ok() {
        return kept("root");
    }
    if identity.group != wheel && setresgid(wheel, wheel, wheel).is_ok() {
        return kept("root's group");
    }
    Ok(())
}

/// How many supplementary groups there are. (nix asks a file for how many there may be.)
fn count_groups() -> io::Result<i32> {
    // SAFETY: with the size 0 the kernel only counts, and no list is touched.
    #[expect(unsafe_code, reason = "nix has no call for it")]
    let count = unsafe { libc::getgroups(0, std::ptr::null_mut()) };
    Ok(Errno::result(count)?)
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    let most = most.min(hard);
    Ok(setrlimit(resource, most, most)?)
}

/// What the bounding set of the master was cut down to: children have no more to drop.
static BOUNDING: AtomicU64 = AtomicU64::new(u64::MAX);

/// While we still may: afterwards no file with capabilities could give more than `kept` to us.
fn drop_bounding_set(kept: u64) -> io::Result<()> {
    let held = BOUNDING.load(Ordering::Relaxed);
    let dropped = held & !kept;
    for capability in (0..64).filter(|capability| dropped & (1 << capability) != 0) {
        let number: libc::c_ulong = capability;
        let ask = |what: libc::c_int| {
            // SAFETY: these prctls take numbers and touch no memory of ours.
            #[expect(unsafe_code, reason = "nix has no call for it")]
            Errno::result(unsafe { libc::prctl(what, number, NONE, NONE, NONE) })
        };
        match ask(libc::PR_CAPBSET_DROP) {
            Ok(_) => {}
            // One more than the kernel knows.
            Err(Errno::EINVAL) if capability > 0 => return Ok(()),
            // In a container that has taken the right away, and with it every reason to.
            Err(Errno::EPERM) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Layout of the kernel's `__user_cap_header_struct`.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

impl CapabilityHeader {
    /// Of this process, in version 3 of the interface.
    const OWN: Self = Self {
        version: 0x2008_0522,
        pid: 0,
    };
}

/// Twice effective, permitted, inheritable: the low and the high 32 capabilities.
type CapabilitySets = [u32; 6];

/// The permitted set of this process.
fn capabilities() -> io::Result<u64> {
    let header = CapabilityHeader::OWN;
    let mut sets: CapabilitySets = [0; 6];
    // SAFETY: version 3 of capget(2) reads a header and writes two structures of three u32 each,
    // which live until it returns.
    #[expect(unsafe_code, reason = "nix has no call for it")]
    let answer = unsafe {
        libc::syscall(
            libc::SYS_capget,
            std::ptr::from_ref(&header),
            sets.as_mut_ptr(),
        )
    };
    Errno::result(answer)?;
    let [_, low, _, _, high, _] = sets;
    Ok(u64::from(high) << 32 | u64::from(low))
}

/// Makes `kept` the effective and the permitted set; the ambient and the inheritable one are empty.
fn set_capabilities(kept: u64) -> io::Result<()> {
    let header = CapabilityHeader::OWN;
    let [low, high] = [kept, kept >> 32].map(|half| u32::try_from(half & 0xffff_ffff));
    let (low, high) = (low.unwrap_or(0), high.unwrap_or(0));
    let sets: CapabilitySets = [low, low, 0, high, high, 0];
    // SAFETY: version 3 of capset(2) reads a header and two structures of three u32 each, which
    // live until it returns; the prctl takes numbers only.
    #[expect(unsafe_code, reason = "nix has no call for it")]
    let (ambient, others) = unsafe {
        (
            libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::c_ulong::from(libc::PR_CAP_AMBIENT_CLEAR_ALL.unsigned_abs()),
                NONE,
                NONE,
                NONE,
            ),
            libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), sets.as_ptr()),
        )
    };
    Errno::result(ambient)?;
    Errno::result(others)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name_and_by_number() {
        let user = |name| Identity::user(name, false);
        assert_eq!(user("12345").unwrap().as_raw(), 12345);
        for nobody in ["no such user", "4294967295", "4294967296", "-1"] {
            assert!(matches!(user(nobody), Err(Error::NoUser)), "{nobody}");
            let group = Identity::group(nobody, false);
            assert!(matches!(group, Err(Error::NoGroup)), "{nobody}");
        }
        for root in ["0", "root"] {
            assert!(matches!(user(root), Err(Error::Root)), "{root}");
            assert!(matches!(Identity::group(root, false), Err(Error::Root)));
            assert!(Identity::user(root, true).is_ok());
        }
    }
}
