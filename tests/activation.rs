//! A service manager that opens the port and hears how the service is, as systemd does.
#![cfg(test)]

mod support;

use std::fs;
use std::io::IoSlice;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use support::{Daemon, Ftp, PATIENCE, Scratch};

/// Is given a listening socket, makes it number 3, and becomes the daemon.
const HAND_DOWN: &str = "
import os, socket, sys
place = socket.socket(socket.AF_UNIX)
place.connect(sys.argv[1])
_, fds, _, _ = socket.recv_fds(place, 1, 1)
os.dup2(fds[0], 3)
os.environ['LISTEN_FDS'] = '1'
os.environ['LISTEN_PID'] = str(os.getpid() + int(sys.argv[3]))
os.environ['NOTIFY_SOCKET'] = sys.argv[2]
os.execv(sys.argv[4], sys.argv[4:])
";

struct Manager {
    scratch: Scratch,
    listener: TcpListener,
    notices: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let scratch = Scratch::new();
        let notices = UnixDatagram::bind(scratch.path().join("notify")).unwrap();
        notices.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            scratch,
            notices,
            listener: TcpListener::bind(("127.0.0.1", 0)).unwrap(),
        }
    }

    fn port(&self) -> String {
        self.listener.local_addr().unwrap().port().to_string()
    }

    fn place(&self, name: &str) -> String {
        let place: PathBuf = self.scratch.path().join(name);
        place.to_str().unwrap().to_owned()
    }

    /// Hands the socket to the next that asks.
    fn hand_down(&self) -> std::thread::JoinHandle<()> {
        let desk = UnixListener::bind(self.place("desk")).unwrap();
        let listener = self.listener.try_clone().unwrap();
        std::thread::spawn(move || {
            let (asking, _) = desk.accept().unwrap();
            let fds = [listener.as_raw_fd()];
            let rights = [ControlMessage::ScmRights(&fds)];
            let parts = [IoSlice::new(b"x")];
            let flags = MsgFlags::empty();
            sendmsg::<()>(asking.as_raw_fd(), &parts, &rights, flags, None).unwrap();
        })
    }

    fn program(&self, pid_off_by: &str) -> [String; 6] {
        let (desk, notify) = (self.place("desk"), self.place("notify"));
        ["python3", "-c", HAND_DOWN, &desk, &notify, pid_off_by].map(str::to_owned)
    }

    fn heard(&self) -> String {
        let mut bytes = [0; 256];
        let length = self.notices.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }
}

#[test]
fn a_passed_socket_is_used_and_the_manager_hears_how_it_goes() {
    let manager = Manager::new();
    let giver = manager.hand_down();
    let program = manager.program("0");
    let program: Vec<&str> = program.iter().map(String::as_str).collect();
    let port = manager.port();
    // Bound by nobody else: this would fail, since it is taken.
    let mut daemon = Daemon::of_files_within(&program, &[("nanoftpd.listen_port", &port)]);
    giver.join().unwrap();
    assert_eq!(manager.heard(), "READY=1");
    let mut idle = daemon.log_in();
    daemon.signal(Signal::SIGHUP);
    assert_eq!(manager.heard(), "RELOADING=1");
    assert_eq!(manager.heard(), "READY=1");
    daemon.signal(Signal::SIGUSR2);
    assert_eq!(manager.heard(), "READY=1");
    daemon.log_in().expect("QUIT", 221);
    idle.expect("QUIT", 221);
    assert_eq!(daemon.stop(PATIENCE), Some(0));
    assert_eq!(manager.heard(), "STOPPING=1");
    // The port is still open: who comes now waits for the next start.
    TcpStream::connect(manager.listener.local_addr().unwrap()).unwrap();
    manager.listener.set_nonblocking(true).unwrap();
    manager.listener.accept().unwrap();
}

#[test]
fn what_was_meant_for_another_process_is_not_taken() {
    let manager = Manager::new();
    let giver = manager.hand_down();
    let program = manager.program("1");
    let program: Vec<&str> = program.iter().map(String::as_str).collect();
    let daemon = Daemon::of_files_within(&program, &[]);
    giver.join().unwrap();
    assert_ne!(daemon.address, manager.listener.local_addr().unwrap());
    Ftp::connect(daemon.address).expect("QUIT", 221);
}

#[test]
fn a_socket_that_the_configuration_does_not_name_is_refused() {
    let manager = Manager::new();
    let giver = manager.hand_down();
    let conf = support::conf(&manager.scratch, &[("nanoftpd.listen_port", "2121")]);
    let conf = manager.scratch.file("nanoftpd.conf", conf.as_bytes());
    fs::write(manager.scratch.path().join("users"), "").unwrap();
    let program = manager.program("0");
    let output = Command::new(&program[0])
        .args(&program[1..])
        .args([env!("CARGO_BIN_EXE_nanoftpd"), "-f", "-c"])
        .arg(conf)
        .output()
        .unwrap();
    giver.join().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the service manager listens on"), "{said}");
}
