//! What sessions and the clerk may do: looked up in /proc for the processes of the real daemon, and
//! tried from within the same jail by processes of this test.
#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::fcntl::{AT_FDCWD, OFlag, renameat};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Uid, chroot, geteuid, getppid, setuid};

use nanoftpd::sys::jail::Jail;
use nanoftpd::sys::process;
use nanoftpd::sys::rights::Identity;
use nanoftpd::sys::sandbox::{self, Sandbox};
use support::{Daemon, Ftp, Scratch, eventually, say, status};

/// The number of `nobody`, whom the daemons of the tests run as when root starts them.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    geteuid().is_root()
}

fn lacks_a_part() -> bool {
    let missing = sandbox::missing();
    for part in &missing {
        say(&format!("this kernel has no {part}: not tried"));
    }
    !missing.is_empty()
}

fn word_count(text: &str, word: &str) -> usize {
    text.split_whitespace().filter(|own| *own == word).count()
}

fn has_no_rights(pid: i32) {
    let field = |name: &str| status(pid, name).unwrap();
    let user = if is_root() {
        NOBODY.to_string()
    } else {
        geteuid().to_string()
    };
    assert_eq!(word_count(&field("Uid"), &user), 4, "{}", field("Uid"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set} of {pid}");
    }
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Seccomp"), "2");
    if is_root() {
        assert_eq!(word_count(&field("Gid"), &user), 4, "{}", field("Gid"));
        assert_eq!(field("Groups"), "");
        assert_eq!(field("CapBnd"), "0000000000000000");
        // What cannot be dumped belongs to root, whoever runs it.
        let owner = fs::metadata(format!("/proc/{pid}/maps")).unwrap().uid();
        assert_eq!(owner, 0, "{pid} can be dumped");
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core"));
    assert_eq!(word_count(core.unwrap(), "0"), 2, "{limits}");
}

/// The files that a process has open.
fn open_files(pid: i32) -> BTreeSet<PathBuf> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    fds.flatten()
        .filter_map(|fd| fs::read_link(fd.path()).ok())
        .filter(|target| target.is_absolute() && !target.starts_with("/dev"))
        .collect()
}

#[test]
fn no_process_that_meets_bytes_from_outside_has_any_right() {
    let mode = if lacks_a_part() { "on" } else { "strict" };
    let daemon = Daemon::of_files(&[("sandbox.mode", mode)]);
    let mut visitor = Ftp::connect(daemon.address);
    let _member = daemon.log_in();
    let idle = daemon.worker("[worker] idle");
    let mut processes = vec![
        idle,
        daemon.worker("[worker] 127.0.0.1: IDLE"),
        daemon.worker("[worker] test@127.0.0.1: IDLE"),
    ];
    let clerks = eventually("all clerks", || {
        let children = daemon.children().into_iter();
        let clerks = children.filter(|(_, title)| title == "nanoftpd [clerk]");
        let clerks: Vec<i32> = clerks.map(|(pid, _)| pid).collect();
        (clerks.len() == 2).then_some(clerks)
    });
    processes.extend(clerks);
    for pid in processes {
        // The title comes before the rights.
        let is_settled = || (status(pid, "Seccomp").unwrap() == "2").then_some(());
        eventually("a sandbox", is_settled);
        has_no_rights(pid);
    }
    // Nobody but root may look into a process that cannot be dumped.
    if is_root() {
        let own = |name: &str| daemon.dir().join(name);
        // No log among them.
        let allowed = ["tmp", "files"].map(own);
        let open = open_files(idle);
        assert!(open.iter().all(|file| allowed.contains(file)), "{open:?}");
    }
    visitor.expect("QUIT", 221);
}

/// By the numbers of capabilities(7): CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, KILL, SETGID,
/// SETUID, SETPCAP, NET_BIND_SERVICE, SYS_RESOURCE.
const OF_THE_MASTER: [u32; 10] = [0, 1, 2, 3, 5, 6, 7, 8, 10, 24];

#[test]
fn the_master_keeps_what_running_the_service_takes() {
    let daemon = Daemon::of_files(&[]);
    let master = daemon.pid().as_raw();
    // Replaced, refused and reloaded: what its rights are for can still be done.
    daemon.log_in().expect("QUIT", 221);
    let mark = daemon.mark();
    daemon.signal(Signal::SIGHUP);
    daemon.wait_after(mark, "reloaded");
    daemon.log_in().expect("QUIT", 221);
    let field = |name: &str| status(master, name).unwrap();
    let set = |name: &str| u64::from_str_radix(&field(name), 16).unwrap();
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!((set("CapInh"), set("CapAmb")), (0, 0));
    let service = OF_THE_MASTER.iter().fold(0, |all, bit| all | 1 << bit);
    if is_root() {
        for name in ["CapPrm", "CapEff", "CapBnd"] {
            let held = set(name);
            assert_eq!(held & !service, 0, "{name} {held:x}");
        }
        assert_ne!(set("CapEff"), 0);
    } else {
        assert_eq!(set("CapEff"), 0);
    }
    let limits = fs::read_to_string(format!("/proc/{master}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core"));
    assert_eq!(word_count(core.unwrap(), "0"), 2, "{limits}");
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Allowed,
    Refused,
    Killed,
}

type Attempt = (&'static str, fn(&Path) -> io::Result<()>);

/// Things to do, and what comes of them in a worker and in a clerk.
const ATTEMPTS: &[(Attempt, Outcome, Outcome)] = {
    use Outcome::{Allowed, Killed, Refused};
    &[
        (("read_tmpdir", read_tmpdir), Allowed, Allowed),
        (("spool", spool), Allowed, Refused),
        (("write_tmpdir", write_tmpdir), Allowed, Refused),
        (("write_elsewhere", write_elsewhere), Refused, Refused),
        (("read_users", read_users), Refused, Allowed),
        (("read_link", read_link), Refused, Allowed),
        (("link_out", link_out), Refused, Refused),
        (("connect", connect), Allowed, Allowed),
        (("listen", listen), Allowed, Refused),
        (("datagram", datagram), Killed, Allowed),
        (("local_socket", local_socket), Killed, Refused),
        (("execute", execute), Killed, Refused),
        (("fork", fork), Killed, Refused),
        (("thread", thread), Killed, Refused),
        (("signal", signal), Killed, Refused),
        (("become_root", become_root), Killed, Refused),
        (("change_root", change_root), Killed, Refused),
        (("resolve", resolve), Killed, Allowed),
    ]
};

fn read_tmpdir(dir: &Path) -> io::Result<()> {
    fs::read_dir(dir).map(|_| ())
}

fn spool(dir: &Path) -> io::Result<()> {
    let flags = OFlag::O_TMPFILE.bits();
    let mut options = OpenOptions::new();
    options
        .write(true)
        .custom_flags(flags)
        .open(dir)
        .map(|_| ())
}

fn write_tmpdir(dir: &Path) -> io::Result<()> {
    let name = dir.join("a");
    fs::write(&name, "x")?;
    renameat(AT_FDCWD, &name, AT_FDCWD, &dir.join("b"))?;
    fs::remove_file(dir.join("b"))
}

fn write_elsewhere(dir: &Path) -> io::Result<()> {
    fs::write(dir.with_file_name("open").join("x"), "x")
}

fn read_users(_: &Path) -> io::Result<()> {
    File::open("/etc/passwd").map(|_| ())
}

fn read_link(_: &Path) -> io::Result<()> {
    fs::read_link("/proc/self/cwd").map(|_| ())
}

fn link_out(dir: &Path) -> io::Result<()> {
    fs::hard_link(dir.join("kept"), dir.with_file_name("open").join("kept"))
}

fn connect(dir: &Path) -> io::Result<()> {
    let port = fs::read_to_string(dir.join("kept"))?;
    TcpStream::connect(format!("127.0.0.1:{port}")).map(|_| ())
}

fn listen(_: &Path) -> io::Result<()> {
    TcpListener::bind("127.0.0.1:0").map(|_| ())
}

fn datagram(_: &Path) -> io::Result<()> {
    UdpSocket::bind("127.0.0.1:0").map(|_| ())
}

fn local_socket(dir: &Path) -> io::Result<()> {
    UnixStream::connect(dir.join("nobody listens")).map(|_| ())
}

fn execute(_: &Path) -> io::Result<()> {
    Err(Command::new("/bin/true").exec())
}

fn fork(_: &Path) -> io::Result<()> {
    Command::new("/bin/true").status().map(|_| ())
}

fn thread(_: &Path) -> io::Result<()> {
    let _ = std::thread::Builder::new().spawn(|| ())?.join();
    Ok(())
}

fn signal(_: &Path) -> io::Result<()> {
    Ok(kill(getppid(), Signal::SIGWINCH)?)
}

fn become_root(_: &Path) -> io::Result<()> {
    Ok(setuid(Uid::from_raw(0))?)
}

fn change_root(_: &Path) -> io::Result<()> {
    Ok(chroot("/")?)
}

fn resolve(_: &Path) -> io::Result<()> {
    ("localhost", 0).to_socket_addrs().map(|_| ())
}

/// Not a test: what the processes do that the test below starts.
#[test]
#[ignore = "kills its process"]
fn attempt() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (name, dir) = (variable("ATTEMPT"), PathBuf::from(variable("ATTEMPT_DIR")));
    let (_, act) = ATTEMPTS
        .iter()
        .map(|(attempt, ..)| attempt)
        .find(|(own, _)| *own == name)
        .unwrap();
    let is_clerk = variable("ATTEMPT_AS") == "clerk";
    let identity = is_root().then(|| {
        let nobody = NOBODY.to_string();
        let user = Identity::user(&nobody, false).unwrap();
        Identity::new(user, Identity::group(&nobody, false).unwrap())
    });
    let sandbox = if is_clerk {
        Sandbox::of_clerk()
    } else {
        Sandbox::of_worker(&[&dir])
    };
    let sandbox = sandbox.unwrap();
    let jail = if is_clerk {
        Jail::of_clerk(identity, Some(sandbox))
    } else {
        Jail::of_workers(identity, sandbox)
    };
    jail.give_up_rights().unwrap();
    jail.enter().unwrap();
    if !is_clerk {
        jail.leave_nursery().unwrap();
    }
    process::leave(match act(&dir) {
        Ok(()) => 10,
        Err(_) => 11,
    });
}

fn outcome(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(10), _) => Outcome::Allowed,
        (Some(11), _) => Outcome::Refused,
        (_, Some(signal)) if signal == Signal::SIGSYS as i32 => Outcome::Killed,
        _ => panic!("{status}"),
    }
}

#[test]
fn what_is_not_needed_cannot_be_done() {
    if lacks_a_part() {
        return;
    }
    let scratch = Scratch::new();
    let (dir, _) = (scratch.open_dir("tmp"), scratch.open_dir("open"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    fs::write(dir.join("kept"), port.to_string()).unwrap();
    if is_root() {
        nix::unistd::chown(&dir.join("kept"), Some(Uid::from_raw(NOBODY)), None).unwrap();
    }
    let outcome_of = |name: &str, role: &str| {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["attempt", "--exact", "--ignored", "--nocapture"])
            .env("ATTEMPT", name)
            .env("ATTEMPT_AS", role)
            .env("ATTEMPT_DIR", &dir)
            .stdout(std::process::Stdio::null())
            .status();
        outcome(status.unwrap())
    };
    for ((name, _), in_worker, in_clerk) in ATTEMPTS {
        assert_eq!(outcome_of(name, "worker"), *in_worker, "{name} in a worker");
        assert_eq!(outcome_of(name, "clerk"), *in_clerk, "{name} in a clerk");
    }
}

#[test]
fn sessions_run_as_root_only_where_that_is_said() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::of_files(&[]);
    for (user, group) in [("root", "nogroup"), ("0", "nogroup"), ("nobody", "root")] {
        daemon.write_conf(&[("nanoftpd.userid", user), ("nanoftpd.groupid", group)]);
        let output = Command::new(env!("CARGO_BIN_EXE_nanoftpd"))
            .arg("-c")
            .arg(daemon.conf())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(78), "{user} {group}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("allow_root"), "{text}");
    }
}

#[test]
fn started_by_another_user_the_daemon_runs_as_that_user() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let dir = scratch.open_dir("own");
    let place = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let (pidfile, log) = (place("nanoftpd.pid"), place("nanoftpd.log"));
    let changes = [
        ("nanoftpd.pidfile", &*pidfile),
        ("logging.file", &*log),
        ("logging.xferlog", ""),
        ("status.socket", &*place("control.sock")),
        ("nanoftpd.userid", "no-such-user"),
    ];
    let other = [
        "setpriv",
        "--reuid=54321",
        "--regid=54321",
        "--clear-groups",
    ];
    let daemon = Daemon::within(&other, &changes);
    daemon.wait_for("userid-ignored");
    let worker = daemon.worker("[worker] idle");
    let uid = || word_count(&status(worker, "Uid").unwrap(), "54321");
    assert_eq!(uid(), 4);
    let is_settled = || (status(worker, "Seccomp").unwrap() == "2").then_some(());
    eventually("a sandbox", is_settled);
    assert_eq!(status(worker, "CapEff").unwrap(), "0000000000000000");
}

/// As in a container that has taken the right away.
#[test]
fn without_the_right_to_kill_clerks_end_all_the_same() {
    if !is_root() {
        say("not tried: it takes root to be somebody else");
        return;
    }
    let program = ["setpriv", "--bounding-set=-kill", "--inh-caps=-all"];
    let mut daemon = Daemon::of_files_within(&program, &[]);
    let mark = daemon.mark();
    daemon.wait_for("clerk-ready");
    let clerks = || {
        let titles = daemon.children();
        let clerk = |(pid, title): (i32, String)| title.contains("[clerk]").then_some(pid);
        titles
            .into_iter()
            .filter_map(clerk)
            .collect::<BTreeSet<_>>()
    };
    let before = eventually("both clerks", || {
        Some(clerks()).filter(|all| all.len() == 2)
    });
    daemon.signal(Signal::SIGHUP);
    daemon.wait_after(mark, "reloaded");
    eventually("another clerk", || {
        let all = clerks();
        (all.len() == 2 && all != before).then_some(())
    });
    assert_eq!(daemon.stop(Duration::from_secs(20)), Some(0));
}
