//! The sandbox, proved: every system call there is, made from within the very filters of a worker and
//! of a clerk by processes of this test, and held against the paper; and what a taken-over session
//! would try, made by the sessions of the real daemon, whose hands are guided with ptrace(2). The
//! product has no hook for any of it.
//!
//! The paper lists the calls of x86_64, and so this is built for x86_64 only.
#![cfg(test)]
#![cfg(target_arch = "x86_64")]

#[path = "../support/mod.rs"]
mod support;

mod guided;
mod numbers;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use nanoftpd::sys::sandbox;
use nix::libc::{self, c_long};

use numbers::{Verdict, verdicts};
use support::say;

/// A worker's list is no longer than this.
const MOST: usize = 70;

/// The calls that the paper names, by name.
macro_rules! names {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

const NAMES: &[(&str, c_long)] = names![
    SYS_accept4 SYS_access SYS_alarm SYS_bind SYS_brk SYS_clock_getres SYS_clock_gettime
    SYS_clock_nanosleep SYS_clone SYS_close SYS_connect SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl
    SYS_epoll_pwait SYS_epoll_wait SYS_eventfd2 SYS_exit SYS_exit_group SYS_faccessat
    SYS_faccessat2 SYS_fchmodat SYS_fcntl SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_futex
    SYS_getcwd SYS_getdents64 SYS_getegid SYS_geteuid SYS_getgid SYS_getpeername SYS_getpid
    SYS_getppid SYS_getrandom SYS_getrusage SYS_getsockname SYS_getsockopt SYS_gettid
    SYS_gettimeofday SYS_getuid SYS_ioctl SYS_linkat SYS_listen SYS_lseek SYS_lstat SYS_madvise SYS_mkdirat
    SYS_mmap SYS_mprotect SYS_mremap SYS_munmap SYS_nanosleep SYS_newfstatat SYS_open SYS_openat
    SYS_openat2 SYS_poll SYS_ppoll SYS_pread64 SYS_prlimit64 SYS_read SYS_readlink SYS_readlinkat
    SYS_readv SYS_recvfrom SYS_recvmmsg SYS_recvmsg SYS_renameat SYS_restart_syscall
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sched_getaffinity SYS_sched_yield
    SYS_sendfile SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_setsockopt SYS_shutdown SYS_sigaltstack
    SYS_socket SYS_socketpair SYS_stat SYS_statfs SYS_statx SYS_sysinfo SYS_tgkill SYS_time
    SYS_timerfd_create SYS_timerfd_settime SYS_uname SYS_unlink SYS_unlinkat SYS_utimensat
    SYS_write SYS_writev
    SYS_copy_file_range SYS_dup2 SYS_fadvise64 SYS_fallocate SYS_fchmod SYS_fdatasync SYS_flock
    SYS_getgroups SYS_getpriority SYS_getrlimit SYS_inotify_init1 SYS_pipe SYS_pipe2 SYS_prctl
    SYS_pwrite64 SYS_rseq SYS_sched_getparam SYS_sched_getscheduler SYS_seccomp SYS_splice
    SYS_times SYS_umask
];

/// `uretprobe` and `uprobe`: newer kernels let them pass round every filter, and they do nothing
/// but in code that the kernel itself has put there for a tracer of root's.
const ROUND_FILTERS: [c_long; 2] = [335, 336];

/// The words in the second column of the table below `heading`, by what the first column says.
fn papers_list(heading: &str) -> BTreeSet<String> {
    let paper = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/SECURITY.md");
    let text = fs::read_to_string(paper).unwrap();
    let (_, section) = text.split_once(&format!("\n### {heading}\n")).unwrap();
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').nth(2).unwrap());
    let words = cells.flat_map(|cell| cell.split([' ', ',', '`']));
    let mut found = BTreeSet::new();
    for word in words.filter(|word| !word.is_empty()) {
        assert!(found.insert(word.to_owned()), "{word} is listed twice");
    }
    found
}

fn name_of(number: c_long) -> String {
    let known = NAMES.iter().find(|(_, own)| *own == number);
    known.map_or_else(
        || format!("number {number}"),
        |(name, _)| name.trim_start_matches("SYS_").to_owned(),
    )
}

fn lacks_seccomp() -> bool {
    let lacks = sandbox::missing().contains(&sandbox::Part::Seccomp);
    if lacks {
        support::skip("this kernel has no seccomp");
    }
    lacks
}

fn names_of(verdicts: &BTreeMap<c_long, Verdict>, wanted: Verdict) -> BTreeSet<String> {
    let hits = verdicts.iter().filter(|(_, verdict)| **verdict == wanted);
    let hits = hits.filter(|(number, _)| !ROUND_FILTERS.contains(number));
    hits.map(|(number, _)| name_of(*number)).collect()
}

#[test]
fn a_worker_may_make_the_calls_of_the_paper_and_no_other() {
    if lacks_seccomp() {
        return;
    }
    let verdicts = verdicts("worker");
    let allowed = names_of(&verdicts, Verdict::Allowed);
    let killed = names_of(&verdicts, Verdict::Killed).len();
    say(&format!(
        "of {} calls a worker may make {}, {} fail and {killed} kill",
        verdicts.len(),
        allowed.len(),
        verdicts.len() - allowed.len() - killed
    ));
    assert_eq!(allowed, papers_list("A worker"));
    let refused = names_of(&verdicts, Verdict::Refused);
    assert_eq!(refused, papers_list("What fails in a worker"));
    assert!(allowed.len() <= MOST, "{}", allowed.len());
    for number in [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_ptrace,
        libc::SYS_process_vm_writev,
        libc::SYS_kill,
        libc::SYS_mount,
        libc::SYS_bpf,
        libc::SYS_io_uring_setup,
        libc::SYS_userfaultfd,
        libc::SYS_setuid,
        libc::SYS_seccomp,
        numbers::X32 | 59,
        numbers::LAST,
    ] {
        let verdict = verdicts[&number];
        let expected = if number == libc::SYS_seccomp {
            Verdict::Refused
        } else {
            Verdict::Killed
        };
        assert_eq!(verdict, expected, "number {number}");
    }
}

#[test]
fn the_nursery_may_make_the_calls_of_the_paper_and_no_other() {
    if lacks_seccomp() {
        return;
    }
    let (nursery, worker) = (verdicts("nursery"), verdicts("worker"));
    let more = |wanted| {
        let [of_nursery, of_worker] = [&nursery, &worker].map(|one| names_of(one, wanted));
        (&of_nursery - &of_worker, &of_worker - &of_nursery)
    };
    let (gained, lost) = more(Verdict::Allowed);
    assert_eq!(gained, papers_list("What only the nursery may"));
    assert!(lost.is_empty(), "{lost:?}");
    let (gained, _) = more(Verdict::Refused);
    assert!(gained.is_empty(), "{gained:?}");
}

#[test]
fn a_clerk_may_make_the_calls_of_the_paper_and_no_other() {
    if lacks_seccomp() {
        return;
    }
    let verdicts = verdicts("clerk");
    let allowed = names_of(&verdicts, Verdict::Allowed);
    assert_eq!(
        allowed,
        papers_list("The clerks that find names and write logs")
    );
    // Other people's plug-ins run there: nothing kills.
    assert!(names_of(&verdicts, Verdict::Killed).is_empty());
}

#[test]
fn arguments_are_looked_at_where_the_paper_says_so() {
    if lacks_seccomp() {
        return;
    }
    let long = c_long::from;
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let inet = long(libc::AF_INET);
    use Verdict::{Allowed, Killed, Refused};
    for (number, arguments, expected) in [
        (libc::SYS_mmap, [0, 1, long(libc::PROT_EXEC)], Killed),
        (libc::SYS_mmap, [0, 1, 7], Killed),
        (libc::SYS_mprotect, [0, 1, long(libc::PROT_EXEC)], Killed),
        (libc::SYS_mprotect, [0, 1, long(libc::PROT_WRITE)], Allowed),
        (
            libc::SYS_socket,
            [inet, long(libc::SOCK_STREAM | flags), 0],
            Allowed,
        ),
        (
            libc::SYS_socket,
            [long(libc::AF_INET6), long(libc::SOCK_STREAM), 0],
            Allowed,
        ),
        (libc::SYS_socket, [inet, long(libc::SOCK_DGRAM), 0], Killed),
        (libc::SYS_socket, [inet, long(libc::SOCK_RAW), 1], Killed),
        (
            libc::SYS_socket,
            [long(libc::AF_UNIX), long(libc::SOCK_STREAM), 0],
            Killed,
        ),
        (
            libc::SYS_socket,
            [long(libc::AF_NETLINK), long(libc::SOCK_RAW), 0],
            Killed,
        ),
        (
            libc::SYS_socket,
            [long(libc::AF_PACKET), long(libc::SOCK_STREAM), 0],
            Killed,
        ),
        (libc::SYS_ioctl, [0, 0x5411, 0], Allowed),
        // FIONBIO, TIOCSTI, TIOCLINUX, SIOCSIFADDR
        (libc::SYS_ioctl, [0, 0x5421, 0], Refused),
        (libc::SYS_ioctl, [0, 0x5412, 0], Refused),
        (libc::SYS_ioctl, [0, 0x541c, 0], Refused),
        (libc::SYS_ioctl, [0, 0x8916, 0], Refused),
    ] {
        let verdict = numbers::verdict("worker", number, arguments);
        assert_eq!(verdict, expected, "{} {arguments:?}", name_of(number));
    }
}

#[test]
fn a_worker_has_no_other_streams_than_those_of_tcp() {
    if lacks_seccomp() {
        return;
    }
    // The kernel would load their code for whoever asks.
    for (protocol, expected) in [
        (0, Verdict::Allowed),
        (libc::IPPROTO_TCP, Verdict::Allowed),
        (libc::IPPROTO_SCTP, Verdict::Killed),
        (libc::IPPROTO_MPTCP, Verdict::Killed),
        (-1, Verdict::Killed),
    ] {
        for family in [libc::AF_INET, libc::AF_INET6] {
            let arguments = [family, libc::SOCK_STREAM, protocol].map(c_long::from);
            let verdict = numbers::verdict("worker", libc::SYS_socket, arguments);
            assert_eq!(verdict, expected, "{family} {protocol}");
        }
    }
}

#[test]
fn nobody_hands_over_what_takes_long_to_close() {
    if lacks_seccomp() {
        return;
    }
    use Verdict::{Allowed, Killed, Refused};
    let long = c_long::from;
    let (level, linger) = (long(libc::SOL_SOCKET), long(libc::SO_LINGER));
    for (role, number, arguments, expected) in [
        ("worker", libc::SYS_sendmsg, [-1, 0, 0], Killed),
        ("worker", libc::SYS_sendmmsg, [-1, 0, 0], Killed),
        ("nursery", libc::SYS_sendmsg, [-1, 0, 0], Killed),
        // Other people's plug-ins may need it.
        ("clerk", libc::SYS_sendmsg, [-1, 0, 0], Allowed),
        ("clerk", libc::SYS_setsockopt, [-1, level, linger], Refused),
        ("clerk", libc::SYS_setsockopt, [-1, level, 2], Allowed),
    ] {
        let verdict = numbers::verdict(role, number, arguments);
        assert_eq!(
            verdict,
            expected,
            "{role} {} {arguments:?}",
            name_of(number)
        );
    }
}

#[test]
fn a_worker_makes_nothing_block_that_others_have_too() {
    if lacks_seccomp() {
        return;
    }
    let (nonblock, append) = (c_long::from(libc::O_NONBLOCK), c_long::from(libc::O_APPEND));
    use Verdict::{Allowed, Refused};
    // F_SETFL, F_SETPIPE_SZ
    for (command, argument, expected) in [
        (4, nonblock, Allowed),
        (4, nonblock | append, Allowed),
        (4, 0, Refused),
        (4, append, Refused),
        (1031, 1 << 20, Allowed),
        (1031, 1 << 16, Allowed),
        (1031, (1 << 16) - 1, Refused),
        (1031, 0, Refused),
    ] {
        let verdict = numbers::verdict("worker", libc::SYS_fcntl, [0, command, argument]);
        assert_eq!(verdict, expected, "{command} {argument}");
    }
}

#[test]
fn a_worker_signals_itself_alone_and_only_its_nursery_has_children() {
    if lacks_seccomp() {
        return;
    }
    let long = c_long::from;
    let (own, born) = (numbers::OWN_PID, long(libc::CLONE_PARENT | libc::SIGCHLD));
    let sibling = long(nix::unistd::getpid().as_raw());
    use Verdict::{Allowed, Killed, Refused};
    for (number, arguments, expected) in [
        (libc::SYS_tgkill, [own, -1, long(libc::SIGABRT)], Allowed),
        (libc::SYS_tgkill, [own, -1, long(libc::SIGKILL)], Killed),
        (libc::SYS_tgkill, [own, -1, 0], Killed),
        // A sibling, all of them, the first of all processes.
        (libc::SYS_tgkill, [sibling, -1, long(libc::SIGABRT)], Killed),
        (libc::SYS_tgkill, [-1, -1, long(libc::SIGABRT)], Killed),
        (libc::SYS_tgkill, [1, 1, long(libc::SIGABRT)], Killed),
        // F_DUPFD_CLOEXEC; F_SETOWN, F_SETSIG, F_SETOWN_EX
        (libc::SYS_fcntl, [0, 1030, 0], Allowed),
        (libc::SYS_fcntl, [0, 8, sibling], Refused),
        (libc::SYS_fcntl, [0, 10, long(libc::SIGKILL)], Refused),
        (libc::SYS_fcntl, [0, 15, 0], Refused),
        (libc::SYS_clone, [born, 0, 0], Killed),
    ] {
        let verdict = numbers::verdict("worker", number, arguments);
        assert_eq!(verdict, expected, "{} {arguments:?}", name_of(number));
    }
    for (number, arguments, expected) in [
        (libc::SYS_clone, [born, 0, 0], Allowed),
        (libc::SYS_clone, [long(libc::SIGCHLD), 0, 0], Killed),
        (libc::SYS_clone, [born | long(libc::CLONE_VM), 0, 0], Killed),
        (
            libc::SYS_clone,
            [born | long(libc::CLONE_NEWUSER), 0, 0],
            Killed,
        ),
        // Only a filter of its own, and only the number of its own processes.
        (libc::SYS_seccomp, [1, 0, 0], Allowed),
        (libc::SYS_seccomp, [1, 1, 0], Refused),
        (libc::SYS_seccomp, [2, 0, 0], Refused),
        (libc::SYS_prlimit64, [0, 6, 0], Allowed),
        (libc::SYS_prlimit64, [0, 7, 0], Refused),
        (libc::SYS_prlimit64, [sibling, 6, 0], Refused),
    ] {
        let verdict = numbers::verdict("nursery", number, arguments);
        assert_eq!(verdict, expected, "{} {arguments:?}", name_of(number));
    }
}
