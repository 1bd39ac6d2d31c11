//! USR2: another binary takes the place of the running one, and nobody outside sees it.
#![cfg(test)]

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use nix::sys::signal::Signal;
use support::{Daemon, Ftp, Scratch, eventually, status};

const BINARY: &str = env!("CARGO_BIN_EXE_nanoftpd");

/// A place for binaries, one of which is the present one.
struct Installed {
    scratch: Scratch,
}

impl Installed {
    fn new() -> Self {
        let installed = Self {
            scratch: Scratch::new(),
        };
        installed.replace(&fs::read(BINARY).unwrap());
        installed
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join("nanoftpd")
    }

    /// By a rename, as an installation does it; the new file's inode.
    fn replace(&self, program: &[u8]) -> u64 {
        let draft = self.scratch.program(".nanoftpd.new", program);
        fs::rename(&draft, self.path()).unwrap();
        fs::metadata(self.path()).unwrap().ino()
    }

    /// The same program in other bytes.
    fn replace_by_version(&self, mark: &str) -> u64 {
        let mut program = fs::read(BINARY).unwrap();
        program.extend_from_slice(mark.as_bytes());
        self.replace(&program)
    }

    fn daemon(&self, changes: &[(&str, &str)]) -> Daemon {
        let run = format!("exec {} \"$@\"", self.path().display());
        Daemon::of_files_within(&["/bin/sh", "-c", &run], changes)
    }
}

/// Which file the master runs.
fn running(daemon: &Daemon) -> u64 {
    let exe = format!("/proc/{}/exe", daemon.pid());
    fs::metadata(exe).unwrap().ino()
}

fn upgrade(daemon: &Daemon) {
    let mark = daemon.mark();
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_after(mark, " upgraded ");
}

fn order(daemon: &Daemon, words: &[&str]) -> String {
    let output = Command::new(BINARY)
        .arg("-c")
        .arg(daemon.conf())
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The master's descriptors, by what they are.
fn descriptors(daemon: &Daemon) -> Vec<String> {
    let dir = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let names = dir
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok());
    let kind = |name: PathBuf| {
        let name = name.to_string_lossy().into_owned();
        name.split('[').next().unwrap_or_default().to_owned()
    };
    let mut all: Vec<String> = names.map(kind).collect();
    all.sort();
    all
}

/// The same as soon as the crew is there, and nothing is under way.
fn descriptors_of_all(daemon: &Daemon) -> Vec<String> {
    eventually("the crew", || (daemon.children().len() == 4).then_some(()));
    daemon.worker("[worker] idle");
    daemon.has_sessions(0);
    descriptors(daemon)
}

/// Clients that come, log in and go, one after the other, until they are told to stop.
struct Visitors {
    is_over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Visitors {
    fn come(address: SocketAddr) -> Self {
        let (is_over, served) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (over, count) = (Arc::clone(&is_over), Arc::clone(&served));
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let mut ftp = Ftp::connect(address);
                ftp.log_in("test", "test");
                ftp.expect("PWD", 257);
                ftp.expect("QUIT", 221);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            is_over,
            served,
            thread,
        }
    }

    /// So that some come before, some after.
    fn wait_for_more(&self) {
        let before = self.served.load(Ordering::Relaxed);
        eventually("more visitors", || {
            (self.served.load(Ordering::Relaxed) > before + 2).then_some(())
        });
    }

    /// How many were served; all of them, or this fails.
    fn end(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.served.load(Ordering::Relaxed)
    }
}

fn read_some(data: &mut TcpStream, amount: usize) {
    let mut block = vec![0; amount];
    data.read_exact(&mut block).unwrap();
    assert!(block.iter().all(|&byte| byte == 0));
}

#[test]
fn up_and_down_again_no_client_is_refused_and_no_session_cut() {
    const BIG: u64 = 64 << 20;
    let installed = Installed::new();
    let daemon = installed.daemon(&[("pool.max_spare", "1")]);
    let first = running(&daemon);
    File::create(daemon.files().join("big"))
        .and_then(|file| file.set_len(BIG))
        .unwrap();
    let before = descriptors_of_all(&daemon);

    let mut idle = daemon.log_in();
    let worker = daemon.worker("test@");
    let mut busy = daemon.log_in();
    let data = busy.data();
    busy.expect("RETR big", 150);
    let mut data = data.stream();
    read_some(&mut data, 1 << 20);

    let visitors = Visitors::come(daemon.address);
    let mut seen = vec![first];
    for mark in ["up", "down again"] {
        visitors.wait_for_more();
        let ino = installed.replace_by_version(mark);
        assert!(!seen.contains(&ino));
        upgrade(&daemon);
        assert_eq!(running(&daemon), ino);
        seen.push(ino);
        idle.expect("CWD /", 250);
        idle.expect("NOOP", 200);
        read_some(&mut data, 1 << 20);
        visitors.wait_for_more();
        // What a session does is told at most once a second.
        let table = eventually("the download in the table", || {
            let table = order(&daemon, &["status"]);
            table.contains("RETR").then_some(table)
        });
        assert!(table.contains(&format!("{worker}")), "{table}");
        assert_eq!(daemon.title(), "nanoftpd [master]");
    }
    let served = visitors.end();
    let mut rest = Vec::new();
    data.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() as u64, BIG - (3 << 20));
    busy.reply_of(226);
    busy.expect("QUIT", 221);
    idle.expect("QUIT", 221);

    let json = order(&daemon, &["status", "--json"]);
    let counted = format!("\"total\":{{\"sessions\":{}", served + 2);
    assert!(json.contains(&counted), "{served} {json}");
    eventually("an end of all other processes", || {
        (daemon.children().len() == 4 && descriptors(&daemon) == before).then_some(())
    });
    for pid in daemon.children().into_keys() {
        let exe = fs::metadata(format!("/proc/{pid}/exe")).unwrap();
        assert_eq!(Some(&exe.ino()), seen.last());
        assert!(!status(pid, "State").unwrap().starts_with('Z'));
    }
}

/// A daemon with a session, an upgrade to `program` that is refused, and all is as it was.
#[track_caller]
fn is_refused(program: Option<&[u8]>, why: &str) {
    let installed = Installed::new();
    let daemon = installed.daemon(&[]);
    daemon.expect_error("upgrade-refused");
    let (ino, mut ftp) = (running(&daemon), daemon.log_in());
    match program {
        Some(program) => {
            installed.replace(program);
        }
        None => fs::remove_file(installed.path()).unwrap(),
    }
    for _ in 0..2 {
        let mark = daemon.mark();
        daemon.signal(Signal::SIGUSR2);
        let (_, line) = daemon.wait_after(mark, "upgrade-refused");
        assert!(line.contains(why), "{line}");
    }
    assert_eq!(running(&daemon), ino);
    ftp.expect("PWD", 257);
    daemon.log_in().expect("PWD", 257);
    assert!(order(&daemon, &["status"]).contains("test"));
    // Hearing it again, and all other signals.
    let mark = daemon.mark();
    installed.replace_by_version("better");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_after(mark, " reloaded");
    upgrade(&daemon);
    ftp.expect("PWD", 257);
}

#[test]
fn without_a_binary_nothing_happens() {
    is_refused(None, "cannot be run");
}

#[test]
fn a_binary_that_does_not_like_the_configuration_does_not_take_over() {
    let program = b"#!/bin/sh\necho line 7: tracker: unknown key >&2\nexit 78\n";
    is_refused(Some(program), "status=78: line 7: tracker: unknown key");
}

#[test]
fn a_file_that_is_no_program_does_not_take_over() {
    is_refused(Some(b"\x7fELF"), "cannot be run");
}

#[test]
fn a_configuration_that_would_not_start_is_found_before() {
    let installed = Installed::new();
    let daemon = installed.daemon(&[]);
    daemon.expect_error("upgrade-refused");
    daemon.write_conf(&[("nanoftpd.tmpdir", "/no/such/directory")]);
    daemon.signal(Signal::SIGUSR2);
    let line = daemon.wait_for("upgrade-refused");
    assert!(line.contains("tmpdir: /no/such/directory"), "{line}");
    daemon.log_in().expect("PWD", 257);
}

/// Has another program tried, which then waits for somebody at the control socket who says nothing: who that
/// is, and the program's inode.
fn tried_and_waiting(installed: &Installed, daemon: &Daemon) -> (UnixStream, u64) {
    let guest = UnixStream::connect(daemon.dir().join("control.sock")).unwrap();
    let tried = installed.scratch.open_dir("out").join("tried");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *\" -t\") {BINARY} \"$@\" && : > {}; exit;; esac\n\
         exec {BINARY} \"$@\"\n",
        tried.display()
    );
    let ino = installed.replace(script.as_bytes());
    daemon.signal(Signal::SIGUSR2);
    eventually("the trial", || tried.exists().then_some(()));
    (guest, ino)
}

#[test]
fn a_configuration_that_is_broken_between_trial_and_exec_is_found_too() {
    let installed = Installed::new();
    let daemon = installed.daemon(&[]);
    daemon.expect_error("upgrade-refused");
    let (guest, ino) = tried_and_waiting(&installed, &daemon);
    daemon.write_conf(&[("nanoftpd.tmpdir", "/no/such/directory")]);
    drop(guest);
    let line = daemon.wait_for("upgrade-refused");
    assert!(line.contains("tmpdir: /no/such/directory"), "{line}");
    assert_ne!(running(&daemon), ino);
    daemon.log_in().expect("PWD", 257);
}

#[test]
fn a_program_that_is_replaced_between_trial_and_exec_is_tried_as_well() {
    let installed = Installed::new();
    let daemon = installed.daemon(&[]);
    daemon.expect_error("upgrade-refused");
    let old = running(&daemon);
    let (guest, _) = tried_and_waiting(&installed, &daemon);
    installed.replace(b"#!/bin/sh\nexit 3\n");
    drop(guest);
    let line = daemon.wait_for("upgrade-refused");
    assert!(line.contains("status=3"), "{line}");
    assert_eq!(running(&daemon), old);
    daemon.log_in().expect("PWD", 257);
}

#[test]
fn pid_file_and_control_socket_go_where_the_configuration_has_them_or_stay() {
    let installed = Installed::new();
    let daemon = installed.daemon(&[]);
    let other = Daemon::of_files(&[]);
    daemon.expect_error("not-moved");
    let at = |daemon: &Daemon, name: &str| daemon.dir().join(name).to_str().unwrap().to_owned();
    let own = format!("{}\n", daemon.pid());
    let number = |place: &str| fs::read_to_string(place).ok();

    let taken = [at(&other, "nanoftpd.pid"), at(&other, "control.sock")];
    daemon.write_conf(&[
        ("nanoftpd.pidfile", &taken[0]),
        ("status.socket", &taken[1]),
    ]);
    let mark = daemon.mark();
    upgrade(&daemon);
    daemon.wait_after(mark, "not-moved what=pidfile");
    daemon.wait_after(mark, "not-moved what=control");
    let old = [at(&daemon, "nanoftpd.pid"), at(&daemon, "control.sock")];
    assert_eq!(number(&old[0]).as_ref(), Some(&own));
    assert!(fs::exists(&old[1]).unwrap());

    let new = [at(&daemon, "new.pid"), at(&daemon, "new.sock")];
    daemon.write_conf(&[("nanoftpd.pidfile", &new[0]), ("status.socket", &new[1])]);
    upgrade(&daemon);
    assert_eq!(number(&new[0]), Some(own));
    assert!(order(&daemon, &["status"]).contains(&daemon.pid().to_string()));
    for place in old {
        assert!(!fs::exists(&place).unwrap(), "{place}");
    }
    drop(other.log_in());
}

#[test]
fn bans_and_a_shut_gate_survive() {
    let installed = Installed::new();
    let daemon = installed.daemon(&[("limits.ban_time", "600"), ("limits.login_attempts", "1")]);
    let bad = support::own_address();
    let mut ftp = Ftp::connect_from(bad, daemon.address);
    ftp.expect("USER test", 331);
    ftp.send(b"PASS wrong\r\n");
    ftp.reply();
    daemon.wait_for("banned peer=");
    order(&daemon, &["shut", "60", "new disks"]);
    upgrade(&daemon);
    let mut ftp = Ftp::silent(daemon.address);
    assert!(ftp.reply_of(421).contains("new disks"));
    order(&daemon, &["open"]);
    daemon.log_in();
    let mut ftp = Ftp::silent_from(bad, daemon.address);
    assert!(ftp.reply_of(421).contains("Too many failed logins"));
    let json = order(&daemon, &["status", "--json"]);
    assert!(json.contains("\"banned\":1"), "{json}");
}

#[test]
fn who_waits_for_an_answer_gets_it_first() {
    let installed = Installed::new();
    let out = installed.scratch.open_dir("out");
    let at = |name: &str| out.join(name);
    let login = format!(
        "#!/bin/sh\n: > {}\nuntil [ -e {} ]; do sleep 0.1; done\necho 1:1:File\n",
        at("asked").display(),
        at("go").display()
    );
    let program = installed.scratch.program("login", login.as_bytes());
    let daemon = installed.daemon(&[
        ("auth.module", "Exec"),
        ("auth.exec.command", program.to_str().unwrap()),
        ("auth.exec.timeout", "20"),
    ]);
    let mut ftp = Ftp::connect(daemon.address);
    ftp.expect("USER x", 331);
    ftp.send(b"PASS x\r\n");
    let is_there = |name: &str| at(name).exists().then_some(());
    eventually("the question", || is_there("asked"));
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *\" -t\") : > {}; exit 0;; esac\nexec {BINARY} \"$@\"\n",
        at("tried").display()
    );
    installed.replace(script.as_bytes());
    let mark = daemon.mark();
    daemon.signal(Signal::SIGUSR2);
    eventually("the trial", || is_there("tried"));
    for _ in 0..3 {
        order(&daemon, &["status"]);
    }
    assert!(
        !daemon
            .log
            .all()
            .iter()
            .any(|line| line.contains(" upgrading "))
    );
    fs::write(at("go"), "").unwrap();
    ftp.reply_of(230);
    daemon.wait_after(mark, " upgraded ");
    ftp.expect("PWD", 257);
}

#[test]
fn a_configuration_that_is_broken_when_the_other_program_runs_is_left_for_the_next_reload() {
    let installed = Installed::new();
    let daemon = installed.daemon(&[]);
    let mut member = daemon.log_in();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *\" -t\") exec {BINARY} \"$@\";; esac\n\
         echo nonsense >> {}\nexec {BINARY} \"$@\"\n",
        daemon.conf().display()
    );
    installed.replace(script.as_bytes());
    upgrade(&daemon);
    member.expect("PWD", 257);
    daemon.log_in().expect("PWD", 257);
    daemon.expect_error("config-error");
    daemon.expect_error("reload-failed");
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for("reload-failed errors=1 kept=old");
    member.expect("PWD", 257);
}

/// What one version leaves and the other does not understand.
#[test]
fn a_text_that_is_not_understood_costs_sessions_and_not_the_service() {
    let installed = Installed::new();
    let daemon = installed.daemon(&[("pool.max_spare", "1"), ("nanoftpd.stop_grace", "30")]);
    daemon.expect_error("inheritance-lost");
    let before = descriptors_of_all(&daemon);
    File::create(daemon.files().join("big"))
        .and_then(|file| file.set_len(16 << 20))
        .unwrap();
    let mut idle = daemon.log_in();
    let mut busy = daemon.log_in();
    let data = busy.data();
    busy.expect("RETR big", 150);
    let mut data = data.stream();
    read_some(&mut data, 1 << 20);
    let real = fs::read(BINARY).unwrap();
    let real = installed.scratch.program("real", &real);
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *\" -t\") exit 0;; esac\n\
         set -- $NANOFTPD_HEIR -- \"$@\"\n: > /proc/self/fd/$2\n\
         while [ \"$1\" != -- ]; do shift; done; shift\nexec {} \"$@\"\n",
        real.display()
    );
    installed.replace(script.as_bytes());
    let mark = daemon.mark();
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_after(mark, "inheritance-lost");
    idle.reply_of(421);
    read_some(&mut data, (16 << 20) - (1 << 20));
    busy.reply_of(226);
    let mut new = daemon.log_in();
    new.expect("PWD", 257);
    let pid = fs::read_to_string(daemon.dir().join("nanoftpd.pid")).unwrap();
    assert_eq!(pid.trim(), daemon.pid().to_string());
    assert!(order(&daemon, &["status"]).contains("test"));
    new.expect("QUIT", 221);
    drop((busy, data));
    eventually("an end of the old ones", || {
        (daemon.children().len() == 4 && descriptors(&daemon) == before).then_some(())
    });
}
