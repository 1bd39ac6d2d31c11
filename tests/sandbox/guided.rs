//! Sessions of the real daemon that are taken over: another process stops a worker wherever it is
//! (ptrace(2), as root), has it make a system call of its own choice, and sees what comes of it. So
//! it is the filters and the user of the running program that are tried, with nothing built for it.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc::{self, c_long, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::support::{Cluster, Daemon, Ftp, eventually, skip, status};

/// What became of a call that a worker was made to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Returned(c_long),
    Killed,
}

/// A word of the arguments.
pub(super) enum Word<'a> {
    Number(c_long),
    /// Bytes that are put into the worker's memory, by their address.
    Bytes(&'a [u8]),
}

use Word::{Bytes, Number};

/// Stops process `pid` where it waits in a system call: the instruction lies just behind it.
fn stop(pid: Pid) -> user_regs_struct {
    eventually("a wait in a system call", || {
        ptrace::seize(pid, Options::empty()).unwrap();
        ptrace::interrupt(pid).unwrap();
        assert!(!is_dead(wait(pid)), "{pid} did not stop");
        let registers = ptrace::getregs(pid).unwrap();
        let behind = (registers.rip - 2) as ptrace::AddressType;
        let word = ptrace::read(pid, behind).unwrap();
        if word & 0xffff == 0x050f {
            return Some(registers);
        }
        ptrace::detach(pid, None).unwrap();
        None
    })
}

/// Has process `pid` make the call, and lets it go on as if nothing had been.
pub(super) fn guide(pid: i32, number: c_long, words: &[Word<'_>]) -> Fate {
    let pid = Pid::from_raw(pid);
    let before = stop(pid);
    // Below the red zone of the frame that it is in.
    let mut room = (before.rsp - 4096) & !15;
    let mut arguments = [0; 6];
    for (argument, word) in arguments.iter_mut().zip(words) {
        *argument = match word {
            Number(number) => u64::from_ne_bytes(number.to_ne_bytes()),
            Bytes(bytes) => {
                let address = room;
                room += write(pid, address, bytes);
                address
            }
        };
    }
    let [rdi, rsi, rdx, r10, r8, r9] = arguments;
    let call = user_regs_struct {
        rip: before.rip - 2,
        rax: u64::try_from(number).unwrap(),
        // Or the kernel would take the interrupted call up again.
        orig_rax: u64::MAX,
        rdi,
        rsi,
        rdx,
        r10,
        r8,
        r9,
        ..before
    };
    ptrace::setregs(pid, call).unwrap();
    ptrace::step(pid, None).unwrap();
    if is_dead(wait(pid)) {
        return Fate::Killed;
    }
    let after = ptrace::getregs(pid).unwrap();
    ptrace::setregs(pid, before).unwrap();
    ptrace::detach(pid, None).unwrap();
    Fate::Returned(i64::from_ne_bytes(after.rax.to_ne_bytes()))
}

fn wait(pid: Pid) -> WaitStatus {
    waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap()
}

fn is_dead(status: WaitStatus) -> bool {
    match status {
        WaitStatus::Signaled(_, signal, _) => {
            assert_eq!(signal, Signal::SIGSYS);
            true
        }
        WaitStatus::Stopped(..) | WaitStatus::PtraceEvent(..) => false,
        status => panic!("{status:?}"),
    }
}

/// Puts `bytes` there, and gives the room that they take.
fn write(pid: Pid, address: u64, bytes: &[u8]) -> u64 {
    let words = bytes.len().div_ceil(8);
    for index in 0..words {
        let mut word = [0; 8];
        let rest = &bytes[index * 8..];
        let len = rest.len().min(8);
        word[..len].copy_from_slice(&rest[..len]);
        let at = address + 8 * index as u64;
        ptrace::write(pid, at as ptrace::AddressType, i64::from_ne_bytes(word)).unwrap();
    }
    8 * words as u64
}

fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// What a worker can be made to try, again and again, since it lives on.
fn reaches_nothing(pid: i32, own: &Path) {
    let denied = [-libc::EACCES, -libc::EPERM].map(|errno| Fate::Returned(errno.into()));
    let here = c_long::from(libc::AT_FDCWD);
    let read = c_long::from(libc::O_RDONLY);
    for path in [
        "/etc/passwd",
        "/etc/shadow",
        "/proc/self/mem",
        "/",
        "/dev/null",
    ] {
        let name = CString::new(path).unwrap();
        let name = || Bytes(name.as_bytes_with_nul());
        let how = [0; 24];
        for (number, words) in [
            (libc::SYS_open, vec![name(), Number(read)]),
            (libc::SYS_openat, vec![Number(here), name(), Number(read)]),
            (
                libc::SYS_openat2,
                vec![Number(here), name(), Bytes(&how), Number(24)],
            ),
        ] {
            let fate = guide(pid, number, &words);
            assert!(denied.contains(&fate), "{path}: {fate:?}");
        }
    }
    // Its configuration, the users and the log's directory are as near as can be.
    for name in ["users", "nanoftpd.conf", "nanoftpd.log", "xferlog", "../"] {
        let name = text(&own.join(name));
        let words = [Number(here), Bytes(name.as_bytes_with_nul()), Number(read)];
        let fate = guide(pid, libc::SYS_openat, &words);
        assert!(denied.contains(&fate), "{name:?}: {fate:?}");
    }
    // Names that are made or taken away elsewhere.
    let (made, users) = (text(&own.join("made")), text(&own.join("users")));
    let made = || Bytes(made.as_bytes_with_nul());
    let users = || Bytes(users.as_bytes_with_nul());
    let link = vec![Number(here), users(), Number(here), made(), Number(0)];
    let make = vec![Number(here), made(), Number(0o101), Number(0o600)];
    for (number, words) in [
        (libc::SYS_openat, make),
        (libc::SYS_mkdirat, vec![Number(here), made(), Number(0o700)]),
        (libc::SYS_linkat, link),
        (libc::SYS_unlink, vec![users()]),
    ] {
        let fate = guide(pid, number, &words);
        assert!(denied.contains(&fate), "{number}: {fate:?}");
    }
    starts_nothing(pid);
    // What it may do it can: the hand that is guided is not a dead one.
    assert_eq!(
        guide(pid, libc::SYS_getpid, &[]),
        Fate::Returned(pid.into())
    );
}

/// What its nursery needed, as far as it lives on.
fn starts_nothing(pid: i32) {
    // Filters, limits and the ends of signals that others are to have.
    let refused = Fate::Returned((-libc::EPERM).into());
    for (number, words) in [
        (libc::SYS_seccomp, [1, 0, 0]),
        (libc::SYS_prlimit64, [0, 6, 0]),
        (libc::SYS_fcntl, [0, 8, 1]),
    ] {
        let fate = guide(pid, number, &words.map(Number));
        assert_eq!(fate, refused, "{number}");
    }
}

/// What ends a worker at once.
fn dies_of(pid: i32, which: &str) {
    let program = c"/bin/sh";
    let program = || Bytes(program.to_bytes_with_nul());
    let nothing = [0; 16];
    let (number, words) = match which {
        "execve" => (
            libc::SYS_execve,
            vec![program(), Bytes(&nothing), Bytes(&nothing)],
        ),
        "fork" => (libc::SYS_fork, vec![]),
        "clone" => (
            libc::SYS_clone,
            vec![
                Number(c_long::from(libc::CLONE_VM | libc::CLONE_THREAD)),
                Number(0),
            ],
        ),
        // What its nursery made it with.
        "birth" => (
            libc::SYS_clone,
            vec![
                Number(c_long::from(libc::CLONE_PARENT | libc::SIGCHLD)),
                Number(0),
            ],
        ),
        "epoll" => (libc::SYS_epoll_create1, vec![Number(0)]),
        "sibling" => (
            libc::SYS_tgkill,
            vec![
                Number(c_long::from(pid) - 1),
                Number(c_long::from(pid) - 1),
                Number(c_long::from(libc::SIGABRT)),
            ],
        ),
        "ptrace" => (
            libc::SYS_ptrace,
            vec![Number(c_long::from(libc::PTRACE_ATTACH)), Number(1)],
        ),
        "netlink" => (
            libc::SYS_socket,
            vec![
                Number(libc::AF_NETLINK.into()),
                Number(libc::SOCK_RAW.into()),
                Number(0),
            ],
        ),
        "kill" => (
            libc::SYS_kill,
            vec![
                Number(std::os::unix::process::parent_id().into()),
                Number(0),
            ],
        ),
        _ => (
            libc::SYS_mprotect,
            vec![Number(0), Number(4096), Number(libc::PROT_EXEC.into())],
        ),
    };
    assert_eq!(guide(pid, number, &words), Fate::Killed, "{which}");
}

const DEADLY: [&str; 10] = [
    "execve", "fork", "clone", "birth", "epoll", "sibling", "ptrace", "netlink", "kill", "code",
];

/// More of those who die before they have had a client are replaced ever more slowly.
const DEADLY_AT_REST: [&str; 6] = ["execve", "clone", "birth", "epoll", "sibling", "code"];

pub(super) fn cannot_be_tried() -> bool {
    let lacks = super::lacks_seccomp();
    let lacks = lacks || !nanoftpd::sys::sandbox::missing().is_empty();
    if lacks || !nix::unistd::geteuid().is_root() {
        skip("it takes root, and a kernel with landlock and seccomp");
        return true;
    }
    false
}

/// The worker of this title, shut in.
pub(super) fn settled(daemon: &Daemon, title: &str) -> i32 {
    let pid = daemon.worker(title);
    eventually("a sandbox", || {
        (status(pid, "Seccomp")? == "2" && status(pid, "State")?.starts_with('S')).then_some(())
    });
    pid
}

#[test]
fn an_idle_worker_that_is_taken_over_is_worth_nothing() {
    if cannot_be_tried() {
        return;
    }
    let daemon = Daemon::of_files(&[]);
    daemon.expect_error("SIGSYS");
    reaches_nothing(settled(&daemon, "[worker] idle"), daemon.dir());
    for which in DEADLY_AT_REST {
        dies_of(settled(&daemon, "[worker] idle"), which);
    }
    settled(&daemon, "[worker] idle");
    daemon.log_in().expect("QUIT", 221);
}

#[test]
fn a_session_that_is_taken_over_is_worth_no_more_and_costs_itself_alone() {
    if cannot_be_tried() {
        return;
    }
    let daemon = Daemon::of_files(&[]);
    daemon.expect_error("SIGSYS");
    let mut neighbour = daemon.log_in();
    neighbour.expect("NOOP", 200);
    for which in DEADLY {
        // One that has said nothing yet, and one of module File in the middle of an upload.
        let _visitor = Ftp::connect_from(super::support::own_address(), daemon.address);
        let peer = _visitor.control().local_addr().unwrap().ip();
        let pid = settled(&daemon, &format!("[worker] {peer}: "));
        reaches_nothing(pid, daemon.dir());
        dies_of(pid, which);

        let mut member = Ftp::connect_from(super::support::own_address(), daemon.address);
        member.log_in("test", "test");
        let peer = member.control().local_addr().unwrap().ip();
        let data = member.data().stream();
        member.expect("STOR x", 150);
        let pid = settled(&daemon, &format!("test@{peer}: STOR"));
        reaches_nothing(pid, daemon.dir());
        dies_of(pid, which);
        assert!(member.is_closed());
        drop(data);
    }
    neighbour.expect("NOOP", 200);
}

#[test]
fn a_download_from_the_cluster_that_is_taken_over_is_worth_no_more() {
    if cannot_be_tried() {
        return;
    }
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    daemon.expect_error("SIGSYS");
    let mut member = daemon.log_in();
    member.expect("MKD c", 257);
    // More than the sockets between us hold: it waits for us.
    member.store("c/large", &vec![b'x'; 24 << 20]);
    let _data = member.data().stream();
    member.expect("RETR c/large", 150);
    let pid = settled(&daemon, "RETR");
    reaches_nothing(pid, daemon.dir());
    dies_of(pid, "execve");
    assert!(member.is_closed());
    daemon.log_in().expect("QUIT", 221);
}
