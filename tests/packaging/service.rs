//! The init script and logrotate's, with a daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{self, Cluster, Ftp, Scratch};
use crate::{BINARY, read};

/// The init script, made to serve a daemon of the test's own.
struct Service {
    script: PathBuf,
    conf: PathBuf,
    pidfile: PathBuf,
    scratch: Scratch,
}

impl Service {
    fn new(tracker: &str) -> Self {
        let scratch = Scratch::new();
        let tmp = scratch.open_dir("tmp");
        let place = |name: &str| scratch.path().join(name);
        let pidfile = place("run/nanoftpd.pid");
        let conf = format!(
            "[nanoftpd]\npidfile = {}\ntmpdir = {}\nuserid = nobody\ngroupid = nogroup\n\
             listen_addr = 127.0.0.1\nlisten_port = 0\n[auth.text]\nfile = {}\n\
             [mogilefs]\ntracker = {tracker}\n[logging]\nfile = {}\nxferlog =\n[status]\nsocket = {}\n",
            pidfile.display(),
            tmp.display(),
            place("users").display(),
            place("log").display(),
            place("run/control.sock").display(),
        );
        scratch.file("users", b"");
        let conf = scratch.file("nanoftpd.conf", conf.as_bytes());
        let script = read("init/nanoftpd")
            .replace("/usr/local/sbin/nanoftpd", BINARY)
            .replace("/etc/nanoftpd/nanoftpd.conf", conf.to_str().unwrap())
            .replace("/etc/default/nanoftpd", place("default").to_str().unwrap());
        let script = scratch.file("init", script.as_bytes());
        Self {
            script,
            conf,
            pidfile,
            scratch,
        }
    }

    fn call(&self, action: &str, code: i32) -> String {
        let mut command = Command::new("sh");
        let Output {
            status,
            stdout,
            stderr,
        } = command.arg(&self.script).arg(action).output().unwrap();
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        let log = fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default();
        assert_eq!(status.code(), Some(code), "{action}: {said}\n{log}");
        said
    }

    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(&self.pidfile).ok()?;
        Some(Pid::from_raw(text.trim().parse().unwrap()))
    }

    /// The port of the last start, as soon as a clerk has written the line about it.
    fn port(&self) -> u16 {
        let said = format!("[{}] : info listening ", self.pid().unwrap());
        support::eventually(&said, || {
            let log = fs::read_to_string(self.scratch.path().join("log")).ok()?;
            let line = log.lines().rfind(|line| line.contains(&said))?;
            support::field(line, "port")?.parse().ok()
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, Signal::SIGTERM);
        }
    }
}

#[test]
fn the_init_script_keeps_its_word() {
    let service = Service::new("127.0.0.1:9");
    let good = fs::read_to_string(&service.conf).unwrap();
    let write = |text: String| fs::write(&service.conf, text).unwrap();
    let greet = || drop(Ftp::connect(([127, 0, 0, 1], service.port()).into()));
    service.call("status", 3);
    service.call("stop", 0);
    service.call("reload", 7);
    service.call("nonsense", 2);
    service.call("start", 0);
    greet();
    let first = service.pid().unwrap();
    service.call("start", 0);
    assert_eq!(service.pid(), Some(first));
    service.call("status", 0);
    service.call("check-config", 0);
    service.call("reload", 0);

    write(good.replace("listen_port = 0", "listen_port = x"));
    let said = service.call("check-config", 6);
    assert!(said.contains("nanoftpd.conf:7:"), "{said}");
    service.call("reload", 6);
    service.call("restart", 6);
    assert_eq!(
        service.pid(),
        Some(first),
        "a wrong file must not stop the service"
    );
    write(good.replacen("[nanoftpd]", "[nanoftpd]\ndaemonize = no", 1));
    service.call("restart", 6);
    assert_eq!(
        service.pid(),
        Some(first),
        "what would not return is no start"
    );
    service.call("status", 0);
    greet();

    write(good);

    service.call("restart", 0);
    let second = service.pid().unwrap();
    assert_ne!(second, first);
    greet();
    kill(second, Signal::SIGKILL).unwrap();
    support::eventually("the master is gone", || {
        kill(second, None).is_err().then_some(())
    });
    let left = format!(
        "nanoftpd is dead, and {} is left\n",
        service.pidfile.display()
    );
    assert_eq!(service.call("status", 1), left);
    service.call("start", 0);
    greet();
    service.call("stop", 0);
    service.call("status", 3);
    assert_eq!(service.pid(), None, "the pid file is left");
}

#[test]
fn a_service_that_was_stopped_is_not_tried_to_be_restarted() {
    let service = Service::new("127.0.0.1:9");
    service.call("try-restart", 0);
    service.call("status", 3);
    service.call("start", 0);
    let first = service.pid();
    service.call("try-restart", 0);
    service.call("status", 0);
    assert_ne!(service.pid(), first);
}

#[test]
fn the_init_script_finds_a_daemon_whose_pid_file_is_to_be_elsewhere() {
    let service = Service::new("127.0.0.1:9");
    let good = fs::read_to_string(&service.conf).unwrap();
    let write = |text: String| fs::write(&service.conf, text).unwrap();
    service.call("start", 0);
    let first = service.pid().unwrap();
    let moved = service.scratch.path().join("run/moved.pid");
    let own = service.pidfile.to_str().unwrap();
    write(good.replace(own, moved.to_str().unwrap()));
    service.call("status", 0);
    service.call("start", 0);
    service.call("reload", 0);
    support::eventually("the other pid file alone", || {
        (moved.exists() && !service.pidfile.exists()).then_some(())
    });
    service.call("reload", 0);
    write(good);
    service.call("reload", 0);
    support::eventually("the pid file", || {
        let text = fs::read_to_string(&service.pidfile).ok()?;
        (text == format!("{first}\n")).then_some(())
    });
    service.call("stop", 0);
}

/// A pid file that outlived a machine's power may name anybody, also who was given a file of ours.
#[test]
fn the_init_script_takes_nobody_else_for_the_daemon() {
    let service = Service::new("127.0.0.1:9");
    let mut reader = Command::new("tail")
        .arg("-f")
        .arg(&service.conf)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    fs::create_dir(service.pidfile.parent().unwrap()).unwrap();
    let leave = |pid: u32| fs::write(&service.pidfile, format!("{pid}\n")).unwrap();
    leave(reader.id());
    service.call("status", 1);
    service.call("reload", 7);
    service.call("stop", 0);
    assert!(reader.try_wait().unwrap().is_none(), "it was stopped");
    service.call("start", 0);
    assert_ne!(service.pid().unwrap().as_raw().cast_unsigned(), reader.id());
    service.call("stop", 0);
    reader.kill().unwrap();
    reader.wait().unwrap();
    // The shell that runs the script, as it may happen when a machine starts again.
    let lines = "echo $$ > \"$2\"; exec sh \"$1\" start";
    let status = Command::new("sh")
        .args(["-c", lines, "sh"])
        .args([&service.script, &service.pidfile])
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    service.call("status", 0);
    service.call("stop", 0);
}

/// As in a container whose first process waits for nobody.
#[test]
fn the_init_script_stops_what_nobody_waits_for() {
    if !support::is_here("python3") {
        return;
    }
    let service = Service::new("127.0.0.1:9");
    service.scratch.file("default", b"STOP_WAIT=20\n");
    let script = "import ctypes, subprocess, sys\n\
        ctypes.CDLL(None).prctl(36, 1)\n\
        for action in 'start', 'stop':\n    \
            subprocess.run(['sh', sys.argv[1], action], check=True, stdout=subprocess.DEVNULL)\n";
    let mut init = Command::new("python3");
    let status = init.args(["-c", script]).arg(&service.script).status();
    assert!(status.unwrap().success());
}

/// What logrotate runs when it has rotated, with `daemon` and `pidfile` for the installed ones.
fn after_rotation(daemon: &str, pidfile: &Path) {
    let file = read("logrotate/nanoftpd")
        .replace("/usr/local/sbin/nanoftpd", daemon)
        .replace("/run/nanoftpd/nanoftpd.pid", pidfile.to_str().unwrap());
    let (_, script) = file.split_once("postrotate\n").unwrap();
    let (script, _) = script.split_once("endscript").unwrap();
    let status = Command::new("sh").args(["-ec", script]).status();
    assert!(status.unwrap().success());
}

#[test]
fn logs_are_rotated_without_a_restart() {
    let cluster = Cluster::start();
    let service = Service::new(&cluster.address.to_string());
    service.call("start", 0);
    let mut ftp = Ftp::connect(([127, 0, 0, 1], service.port()).into());
    let place = |name: &str| service.scratch.path().join(name);
    let mut rotated = |daemon: &str, pidfile: &Path| {
        fs::rename(place("log"), place("log.1")).unwrap();
        after_rotation(daemon, pidfile);
        support::eventually("a new log", || place("log").exists().then_some(()));
        ftp.expect("NOOP", 200);
    };
    let asked = format!("{BINARY} -c {}", service.conf.display());
    rotated(&asked, Path::new("/nonexistent"));
    rotated("/nonexistent", &service.pidfile);
}

#[test]
fn a_rotation_tells_nobody_else_whose_pid_was_left_behind() {
    let scratch = Scratch::new();
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pidfile = scratch.file("pid", other.id().to_string().as_bytes());
    after_rotation("/nonexistent", &pidfile);
    after_rotation("/nonexistent", Path::new("/nonexistent/pid"));
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
}
