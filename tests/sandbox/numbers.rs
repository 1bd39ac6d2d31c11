//! What comes of a system call in a sandbox: a process of its own enters, makes the call, and ends.
//! The processes are forked by a program of one thread, which is this test program again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::Command;

use nanoftpd::sys::jail::Jail;
use nanoftpd::sys::process::{self, Ending, Streams};
use nanoftpd::sys::sandbox::Sandbox;
use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::signal::Signal;

use super::support::Scratch;

/// The first number of the other table of x86_64.
pub(crate) const X32: c_long = 0x4000_0000;

/// Beyond whatever a kernel has.
pub(crate) const LAST: c_long = 600;

/// As the first argument: the number of the process that makes the call.
pub(crate) const OWN_PID: c_long = -2;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// The kernel made it, and may have found fault with the arguments.
    Allowed,
    /// EPERM.
    Refused,
    /// The process died of SIGSYS.
    Killed,
}

/// Of every number, with whatever arguments are taken most kindly.
pub(crate) fn verdicts(role: &str) -> BTreeMap<c_long, Verdict> {
    run(role, "")
}

/// Of one call.
pub(crate) fn verdict(role: &str, number: c_long, arguments: [c_long; 3]) -> Verdict {
    let [a, b, c] = arguments;
    run(role, &format!("{number} {a} {b} {c}"))[&number]
}

fn run(role: &str, one: &str) -> BTreeMap<c_long, Verdict> {
    let scratch = Scratch::new();
    let report = scratch.path().join("report");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["numbers::probe", "--exact", "--ignored", "--nocapture"])
        .arg("--test-threads=1")
        .env("PROBE_AS", role)
        .env("PROBE_ONE", one)
        .env("PROBE_DIR", scratch.open_dir("tmp"))
        .env("PROBE_REPORT", &report)
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let verdict = |word: &str| match word {
        "allowed" => Verdict::Allowed,
        "refused" => Verdict::Refused,
        _ => Verdict::Killed,
    };
    let text = fs::read_to_string(report).unwrap();
    text.lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(number, word)| (number.parse().unwrap(), verdict(word)))
        .collect()
}

/// Not a test: the program of one thread.
#[test]
#[ignore = "asked for by the tests"]
fn probe() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let dir = std::path::PathBuf::from(variable("PROBE_DIR"));
    let is_clerk = variable("PROBE_AS") == "clerk";
    let sandbox = if is_clerk {
        Sandbox::of_clerk()
    } else {
        Sandbox::of_worker(&[&dir])
    };
    let sandbox = sandbox.unwrap();
    // As whoever this is: the calls must be stopped by the filter alone.
    let jail = if is_clerk {
        Jail::of_clerk(None, Some(sandbox))
    } else {
        Jail::of_workers(None, sandbox)
    };
    let is_worker = variable("PROBE_AS") == "worker";
    let jail = (&jail, is_worker);
    let mut report = File::create(variable("PROBE_REPORT")).unwrap();
    let one = variable("PROBE_ONE");
    let numbers: Vec<c_long> = one.split(' ').filter_map(|n| n.parse().ok()).collect();
    if let [number, a, b, c] = numbers[..] {
        let verdict = attempt(jail, number, [a, b, c, 0, 0, 0]);
        return note(&mut report, number, verdict);
    }
    let other_table = (0..=LAST).map(|number| number | X32);
    for number in (0..=LAST).chain(other_table) {
        let kindest = kind_arguments(number)
            .into_iter()
            .map(|arguments| attempt(jail, number, arguments))
            .find(|verdict| *verdict == Verdict::Allowed);
        let verdict = kindest.unwrap_or_else(|| attempt(jail, number, [-1; 6]));
        note(&mut report, number, verdict);
    }
}

/// What may get a call past a filter that looks at its arguments. Calls that could wait for ever
/// find fault with the first of it.
fn kind_arguments(number: c_long) -> Vec<[c_long; 6]> {
    let special = match number {
        libc::SYS_socket => [libc::AF_INET, libc::SOCK_STREAM, 0],
        libc::SYS_ioctl => [-1, 0x5411, 0],
        libc::SYS_clone => [libc::CLONE_PARENT | libc::SIGCHLD, 0, 0],
        libc::SYS_seccomp => [1, 0, 0],
        libc::SYS_prlimit64 => [0, 6, 0],
        libc::SYS_tgkill => return vec![[OWN_PID, -1, libc::SIGABRT.into(), 0, 0, 0]],
        _ => return vec![[-1; 6], [0; 6]],
    };
    let [a, b, c] = special.map(c_long::from);
    vec![[a, b, c, 0, 0, 0]]
}

fn note(report: &mut File, number: c_long, verdict: Verdict) {
    let word = match verdict {
        Verdict::Allowed => "allowed",
        Verdict::Refused => "refused",
        Verdict::Killed => "killed",
    };
    writeln!(report, "{number} {word}").unwrap();
}

/// Exit codes that no call of ours leaves with.
const REFUSED: u8 = 111;
const NOT_SHUT_IN: u8 = 112;

fn attempt((jail, is_worker): (&Jail, bool), number: c_long, arguments: [c_long; 6]) -> Verdict {
    let nowhere = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .unwrap();
    let streams = Streams {
        input: nowhere.as_fd(),
        output: nowhere.as_fd(),
        errors: nowhere.as_fd(),
    };
    let keep: Vec<_> = jail.descriptors().collect();
    let pid = process::spawn(streams, &keep, || -> Infallible {
        // Whatever waits must not wait for ever.
        nix::unistd::alarm::set(20);
        if enter(jail, is_worker).is_err() {
            process::leave(NOT_SHUT_IN);
        }
        let mut arguments = arguments;
        if let [first @ OWN_PID, ..] = &mut arguments {
            *first = nix::unistd::getpid().as_raw().into();
        }
        process::leave(match call(number, arguments) {
            Err(Errno::EPERM) => REFUSED,
            _ => 0,
        })
    });
    match process::wait(pid.unwrap()).unwrap() {
        Ending::Exit(code) if code == i32::from(NOT_SHUT_IN) => panic!("no sandbox"),
        Ending::Exit(code) if code == i32::from(REFUSED) => Verdict::Refused,
        Ending::Killed(Signal::SIGSYS) => Verdict::Killed,
        Ending::Killed(Signal::SIGALRM) => panic!("number {number} never came back"),
        // A stack frame that is none ends the process too.
        Ending::Exit(_) | Ending::Killed(_) => Verdict::Allowed,
    }
}

fn enter(jail: &Jail, is_worker: bool) -> io::Result<()> {
    jail.give_up_rights()?;
    jail.enter()?;
    if is_worker {
        jail.leave_nursery()?;
    }
    Ok(())
}

fn call(number: c_long, arguments: [c_long; 6]) -> Result<c_long, Errno> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the process exists for this call, and ends after it whatever it did to its memory.
    #[expect(unsafe_code, reason = "calls that nobody makes have no wrapper")]
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    Errno::result(answer)
}
