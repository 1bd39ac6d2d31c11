//! The system calls of a sandbox: seccomp. A list of what is allowed; of the rest, what a library
//! may try in good faith (and can do without) fails with `EPERM`, and what only somebody else's
//! code would try kills the process, so that it is seen in the log as a death by SIGSYS.

use std::collections::BTreeMap;
use std::io;

use nix::errno::Errno;
use nix::libc::{self, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use super::super::process;
use super::lists;
use super::tree;

/// System calls, each with the rules for its arguments; none: any arguments.
type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// The rules, what happens to other calls, and what happens to these.
type Filter = (Rules, SeccompAction, SeccompAction);

const EPERM: SeccompAction = SeccompAction::Errno(libc::EPERM.unsigned_abs());

/// A filter, to be entered.
#[derive(Debug)]
pub(super) struct Calls {
    /// `None`: the kernel has no filters.
    program: Option<BpfProgram>,
    /// What is entered by who leaves the nursery.
    last: Option<BpfProgram>,
}

/// Whether the kernel has seccomp filters and what these ask for. It is asked itself: what /proc says of it
/// may be hidden, and what a sandbox around this one takes away is still named there.
pub(super) fn are_supported() -> bool {
    [libc::SECCOMP_RET_KILL_PROCESS, libc::SECCOMP_RET_ERRNO]
        .iter()
        .all(|action| seccomp(libc::SECCOMP_GET_ACTION_AVAIL, action).is_ok())
}

/// seccomp(2) without flags; `about` is what the kernel reads for `operation`, and must be of its layout.
fn seccomp<T>(operation: u32, about: &T) -> io::Result<()> {
    let about = std::ptr::from_ref(about);
    #[expect(unsafe_code, reason = "no safe interface to this call exists")]
    // SAFETY: what is pointed to lives until the call is over, and is only read.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, operation, 0, about) };
    Errno::result(answer)?;
    Ok(())
}

impl Calls {
    /// What sessions need, and what it takes to start them; anything strange kills. What only the latter
    /// takes is gone for who leaves the nursery.
    pub(super) fn of_worker() -> io::Result<Self> {
        Ok(Self {
            program: compile(worker())?,
            last: compile(last())?,
        })
    }

    /// What a resolver needs. Its plug-ins are other people's code that tries many things, so
    /// nothing kills here.
    pub(super) fn of_clerk() -> io::Result<Self> {
        Ok(Self {
            program: compile(clerk())?,
            last: None,
        })
    }

    pub(super) fn enter(&self) -> io::Result<()> {
        self.program.as_ref().map_or(Ok(()), |program| {
            apply_filter(program).map_err(io::Error::other)
        })
    }

    /// With the number of this process in it, that nobody else is sent a signal.
    pub(super) fn leave_nursery(&self) -> io::Result<()> {
        let Some(last) = &self.last else {
            return Ok(());
        };
        let pid = std::process::id();
        let mut program = last.clone();
        for one in program
            .iter_mut()
            .filter(|one| one.k == NOBODY.unsigned_abs())
        {
            one.k = pid;
        }
        let program = libc::sock_fprog {
            len: u16::try_from(program.len()).unwrap_or_default(),
            filter: program.as_mut_ptr().cast(),
        };
        // The crate would ask for no new privileges once more, which must be refused here. Its instructions
        // are of the kernel's layout.
        seccomp(libc::SECCOMP_SET_MODE_FILTER, &program)
    }
}

/// One program of all `filters`: the strictest word on a call counts. `None`: the kernel has no filters.
fn compile<const N: usize>(
    filters: Result<[Filter; N], BackendError>,
) -> io::Result<Option<BpfProgram>> {
    let filters = filters.map_err(io::Error::other)?;
    if !are_supported() {
        return Ok(None);
    }
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let compiled = filters
        .into_iter()
        .map(|(rules, others, these)| SeccompFilter::new(rules, others, these, arch)?.try_into());
    let compiled: Result<Vec<BpfProgram>, BackendError> = compiled.collect();
    match tree::join(&compiled.map_err(io::Error::other)?) {
        None => Err(io::Error::other("the filters cannot be joined")),
        joined => Ok(joined),
    }
}

fn worker() -> Result<[Filter; 2], BackendError> {
    let mut known = plain(&[lists::COMMON, lists::WORKER, lists::NURSERY, lists::BENIGN]);
    known.insert(libc::SYS_clone, vec![rule([sibling()])?]);
    known.insert(libc::SYS_ioctl, Vec::new());
    known.insert(libc::SYS_seccomp, Vec::new());
    known.insert(libc::SYS_tgkill, vec![rule([abort_only()])?]);
    known.insert(libc::SYS_socket, tcp()?);
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        known.insert(call, vec![rule([no_code()])?]);
    }
    let mut refused = plain(&[lists::BENIGN]);
    refused.insert(libc::SYS_ioctl, vec![rule([unneeded_ioctl()])?]);
    refused.insert(libc::SYS_fcntl, [signalling()?, blocking()?].concat());
    refused.insert(libc::SYS_seccomp, other_filters()?);
    refused.insert(libc::SYS_prlimit64, other_limits()?);
    Ok([
        (known, SeccompAction::KillProcess, SeccompAction::Allow),
        (refused, SeccompAction::Allow, EPERM),
    ])
}

fn clerk() -> Result<[Filter; 2], BackendError> {
    let mut known = plain(&[lists::COMMON, lists::CLERK]);
    known.insert(libc::SYS_tgkill, vec![rule([abort_only()])?]);
    let lingering = (libc::SYS_setsockopt, vec![lingering()?]);
    Ok([
        (known, EPERM, SeccompAction::Allow),
        ([lingering].into(), SeccompAction::Allow, EPERM),
    ])
}

/// The number of a process that there never is: pids are lower.
const NOBODY: i32 = 0x7fff_fffe;

/// What a worker loses beyond the filter that it was born in: the calls it was born with, and signals to
/// others. It is short, since the kernel compiles it at each birth.
fn last() -> Result<[Filter; 2], BackendError> {
    let mut deadly = plain(&[lists::NURSERY, &[libc::SYS_clone]]);
    let others = argument(0, SeccompCmpOp::Ne, NOBODY);
    deadly.insert(libc::SYS_tgkill, vec![rule([others])?]);
    // Whoever is in a sandbox may try to enter another, and cannot.
    let refused = plain(&[&[libc::SYS_seccomp, libc::SYS_prlimit64]]);
    Ok([
        (deadly, SeccompAction::Allow, SeccompAction::KillProcess),
        (refused, SeccompAction::Allow, EPERM),
    ])
}

fn plain(lists: &[&[c_long]]) -> Rules {
    let calls = lists.iter().flat_map(|list| list.iter());
    calls.map(|&call| (call, Vec::new())).collect()
}

type Condition = Result<SeccompCondition, BackendError>;

/// All of `conditions`.
fn rule<const N: usize>(conditions: [Condition; N]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)
}

fn argument(index: u8, operator: SeccompCmpOp, value: i32) -> Condition {
    let value = u64::from(value.unsigned_abs());
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

/// Anything but the length of a socket's output queue. What std would ask of an ioctl, FIONBIO, could also
/// take the non-blocking mode away: see [`blocking`].
fn unneeded_ioctl() -> Condition {
    SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, libc::TIOCOUTQ)
}

/// What all processes have in common, logs above all, is to hold none of them up: neither because it
/// blocks, nor because next to nothing fits in.
fn blocking() -> Result<Vec<SeccompRule>, BackendError> {
    /// What the kernel gives a pipe that asks for nothing.
    const USUAL: i32 = 64 * 1024;
    let mode = u64::from(libc::O_NONBLOCK.unsigned_abs());
    Ok(vec![
        rule([
            argument(1, SeccompCmpOp::Eq, libc::F_SETFL),
            argument(2, SeccompCmpOp::MaskedEq(mode), 0),
        ])?,
        rule([
            argument(1, SeccompCmpOp::Eq, libc::F_SETPIPE_SZ),
            argument(2, SeccompCmpOp::Lt, USUAL),
        ])?,
    ])
}

/// Who is told of a descriptor by a signal: that could be a sibling.
fn signalling() -> Result<Vec<SeccompRule>, BackendError> {
    /// Of fcntl(2); not every C library names them.
    const SETSIG: i32 = 10;
    const SETOWN_EX: i32 = 15;
    [libc::F_SETOWN, SETSIG, SETOWN_EX]
        .iter()
        .map(|&command| rule([argument(1, SeccompCmpOp::Eq, command)]))
        .collect()
}

/// All that seccomp(2) does but enter a filter, for this thread.
fn other_filters() -> Result<Vec<SeccompRule>, BackendError> {
    let operation = i32::try_from(libc::SECCOMP_SET_MODE_FILTER).unwrap_or_default();
    unless([(0, operation), (1, 0)])
}

/// All limits but that of our own processes.
fn other_limits() -> Result<Vec<SeccompRule>, BackendError> {
    let processes = i32::try_from(libc::RLIMIT_NPROC).unwrap_or_default();
    unless([(0, 0), (1, processes)])
}

/// Where one of these arguments is another: which, and what it should be.
fn unless(expected: [(u8, i32); 2]) -> Result<Vec<SeccompRule>, BackendError> {
    let another = |(index, value)| rule([argument(index, SeccompCmpOp::Ne, value)]);
    expected.into_iter().map(another).collect()
}

/// One more child of the parent's, with memory of its own.
fn sibling() -> Condition {
    argument(0, SeccompCmpOp::Eq, process::SIBLING)
}

/// A process may raise the signal of abort(3), and no other: it could reach its siblings.
fn abort_only() -> Condition {
    argument(2, SeccompCmpOp::Eq, libc::SIGABRT)
}

/// A socket that is closed by whoever has it last, who waits until its bytes are gone. Handed over the leash
/// that is the master, even if it takes no descriptors. A worker can hand nothing over.
fn lingering() -> Result<SeccompRule, BackendError> {
    rule([
        argument(1, SeccompCmpOp::Eq, libc::SOL_SOCKET),
        argument(2, SeccompCmpOp::Eq, libc::SO_LINGER),
    ])
}

/// Memory that is never executable.
fn no_code() -> Condition {
    let mask = u64::from(libc::PROT_EXEC.unsigned_abs());
    argument(2, SeccompCmpOp::MaskedEq(mask), 0)
}

/// TCP over IPv4 and IPv6, called by its name or not: the kernel has other protocols with streams, and loads
/// them for whoever asks.
fn tcp() -> Result<Vec<SeccompRule>, BackendError> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let kind = u64::from(!flags.unsigned_abs());
    let families = [libc::AF_INET, libc::AF_INET6];
    let protocols = [libc::IPPROTO_IP, libc::IPPROTO_TCP];
    let pairs = families
        .iter()
        .flat_map(|family| protocols.iter().map(move |protocol| (*family, *protocol)));
    pairs
        .map(|(family, protocol)| {
            rule([
                argument(0, SeccompCmpOp::Eq, family),
                argument(1, SeccompCmpOp::MaskedEq(kind), libc::SOCK_STREAM),
                argument(2, SeccompCmpOp::Eq, protocol),
            ])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile() {
        for calls in [Calls::of_worker(), Calls::of_clerk()] {
            let Calls { program, last } = calls.unwrap();
            assert_eq!(program.is_some(), are_supported());
            // Each instruction costs something where it is entered: the last at the birth of each worker.
            assert!(program.is_none_or(|program| program.len() < 250));
            assert!(last.is_none_or(|last| last.len() < 25));
        }
    }

    #[test]
    fn nothing_that_starts_programs_or_processes_is_on_a_list() {
        let all = plain(&[lists::COMMON, lists::WORKER, lists::BENIGN, lists::CLERK]);
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_ptrace,
            libc::SYS_kill,
            libc::SYS_setresuid,
            libc::SYS_io_uring_setup,
            libc::SYS_seccomp,
        ] {
            assert!(!all.contains_key(&call), "{call}");
        }
    }
}
