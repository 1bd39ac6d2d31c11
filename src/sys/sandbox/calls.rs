//! The system calls of a sandbox: seccomp. A list of what is allowed; of the rest, what a library
//! may try in good faith (and can do without) fails with `EPERM`, and what only somebody else's
//! code would try kills the process, so that it is seen in the log as a death by SIGSYS.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use nix::libc::{self, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use super::lists;
use super::tree;

/// System calls, each with the rules for its arguments; none: any arguments.
type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

const EPERM: SeccompAction = SeccompAction::Errno(libc::EPERM.unsigned_abs());

/// A filter, to be entered.
#[derive(Debug)]
pub(super) struct Calls {
    /// `None`: the kernel has no filters.
    program: Option<BpfProgram>,
}

/// Whether the kernel has seccomp filters and what these ask for.
pub(super) fn are_supported() -> bool {
    fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").is_ok_and(|actions| {
        let has = |action| actions.split_ascii_whitespace().any(|word| word == action);
        has("kill_process") && has("errno")
    })
}

impl Calls {
    /// What a session needs; anything strange kills.
    pub(super) fn of_worker() -> io::Result<Self> {
        let worker = || -> Result<_, BackendError> {
            // Whoever is in a sandbox may try to enter another, and cannot.
            let entering = &[libc::SYS_seccomp];
            let mut known = plain(&[lists::COMMON, lists::WORKER, lists::BENIGN, entering]);
            let mut refused = plain(&[lists::BENIGN, entering]);
            refused.insert(libc::SYS_ioctl, vec![rule(unneeded_ioctls())?]);
            known.insert(libc::SYS_ioctl, Vec::new());
            known.insert(libc::SYS_tgkill, vec![rule([abort_only()])?]);
            known.insert(libc::SYS_socket, tcp()?);
            for call in [libc::SYS_mmap, libc::SYS_mprotect] {
                known.insert(call, vec![rule([no_code()])?]);
            }
            Ok([
                (known, SeccompAction::KillProcess, SeccompAction::Allow),
                (refused, SeccompAction::Allow, EPERM),
            ])
        };
        Self::compile(worker().map_err(io::Error::other)?)
    }

    /// What a resolver needs. Its plug-ins are other people's code that tries many things, so
    /// nothing kills here.
    pub(super) fn of_clerk() -> io::Result<Self> {
        let clerk = || -> Result<_, BackendError> {
            let mut known = plain(&[lists::COMMON, lists::CLERK]);
            known.insert(libc::SYS_tgkill, vec![rule([abort_only()])?]);
            Ok([(known, EPERM, SeccompAction::Allow)])
        };
        Self::compile(clerk().map_err(io::Error::other)?)
    }

    /// Of each: the rules, what happens to other calls, what happens to these. The strictest word on
    /// a call counts.
    fn compile<const N: usize>(
        filters: [(Rules, SeccompAction, SeccompAction); N],
    ) -> io::Result<Self> {
        if !are_supported() {
            return Ok(Self { program: None });
        }
        let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
        let compiled = filters.into_iter().map(|(rules, others, these)| {
            SeccompFilter::new(rules, others, these, arch)?.try_into()
        });
        let compiled: Result<Vec<BpfProgram>, BackendError> = compiled.collect();
        let joined = tree::join(&compiled.map_err(io::Error::other)?);
        let program = joined.ok_or_else(|| io::Error::other("the filters cannot be joined"))?;
        Ok(Self {
            program: Some(program),
        })
    }

    pub(super) fn enter(&self) -> io::Result<()> {
        self.program.as_ref().map_or(Ok(()), |program| {
            apply_filter(program).map_err(io::Error::other)
        })
    }
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

/// Anything but a socket's non-blocking mode, which is all that std asks of an ioctl, and the
/// length of its output queue, which is all that we ask.
fn unneeded_ioctls() -> [Condition; 2] {
    [libc::FIONBIO, libc::TIOCOUTQ]
        .map(|needed| SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, needed))
}

/// A process may raise the signal of abort(3), and no other: it could reach its siblings.
fn abort_only() -> Condition {
    argument(2, SeccompCmpOp::Eq, libc::SIGABRT)
}

/// Memory that is never executable.
fn no_code() -> Condition {
    let mask = u64::from(libc::PROT_EXEC.unsigned_abs());
    argument(2, SeccompCmpOp::MaskedEq(mask), 0)
}

/// TCP over IPv4 and IPv6.
fn tcp() -> Result<Vec<SeccompRule>, BackendError> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let kind = u64::from(!flags.unsigned_abs());
    [libc::AF_INET, libc::AF_INET6]
        .iter()
        .map(|&family| {
            rule([
                argument(0, SeccompCmpOp::Eq, family),
                argument(1, SeccompCmpOp::MaskedEq(kind), libc::SOCK_STREAM),
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
            let program = calls.unwrap().program;
            assert_eq!(program.is_some(), are_supported());
            // Each instruction costs something at each birth.
            assert!(program.is_none_or(|program| program.len() < 250));
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
