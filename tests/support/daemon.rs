//! The real binary with a private directory, a port of its own and a log that is read as it comes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Cluster, Ftp, Lines, PATIENCE, Scratch, eventually, say};

/// `test`, as crypt with few rounds, so that an unoptimised daemon is not slow.
pub(crate) const TEST_HASH: &str =
    "$5$rounds=1000$nanoftpd$N4Bifk8Jiydl4RCXSEN9nItUbM4Ce00p/vDdDYdEOG/";

/// The users of most tests, all with password `test`.
const USERS: &[&str] = &[
    "test:MogileFs",
    "ftp:MogileFs_FlatNS",
    "root:MogileFs_DomainNS",
];

/// A daemon in the foreground. Dropping it stops it, and fails the test if it logged an error that
/// was not expected, or left a process behind.
pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    pub(crate) log: Lines,
    conf: PathBuf,
    child: Child,
    expected: Mutex<Vec<String>>,
    scratch: Scratch,
}

impl Daemon {
    /// Starts with the defaults of the tests and `changes`, as (`section.key`, value).
    pub(crate) fn start(changes: &[(&str, &str)]) -> Self {
        Self::launch(&[], USERS, changes)
    }

    /// The same, with user `test` of module File: no tracker is needed.
    pub(crate) fn of_files(changes: &[(&str, &str)]) -> Self {
        Self::launch(&[], &["test:File"], changes)
    }

    /// As [`Self::of_files`], through a program that ends by executing the rest of its arguments.
    pub(crate) fn of_files_within(program: &[&str], changes: &[(&str, &str)]) -> Self {
        Self::launch(program, &["test:File"], changes)
    }

    /// As [`Self::start`], through a program that ends by executing the rest of its arguments.
    pub(crate) fn within(program: &[&str], changes: &[(&str, &str)]) -> Self {
        Self::launch(program, USERS, changes)
    }

    /// Starts with these users (`name:module`), all with password `test`.
    fn launch(program: &[&str], names: &[&str], changes: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new();
        let conf = scratch.file("nanoftpd.conf", conf(&scratch, changes).as_bytes());
        scratch.file("users", users(names).as_bytes());
        let binary = env!("CARGO_BIN_EXE_nanoftpd");
        let mut words = program.iter().chain([&binary]);
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .arg("-f")
            .arg("-c")
            .arg(&conf)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Lines::read(child.stderr.take().unwrap());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let expected = Mutex::new(Vec::new());
        let mut daemon = Self {
            address,
            log,
            conf,
            child,
            expected,
            scratch,
        };
        let line = daemon.wait_for("listening ");
        let (ip, port) = (field(&line, "addr"), field(&line, "port"));
        daemon.address =
            SocketAddr::new(ip.unwrap().parse().unwrap(), port.unwrap().parse().unwrap());
        daemon
    }

    /// Starts on `cluster`, with its domain as the default one.
    pub(crate) fn on(cluster: &Cluster, changes: &[(&str, &str)]) -> Self {
        let tracker = cluster.address.to_string();
        Self::start(&on_cluster(cluster, &tracker, changes))
    }

    /// The same with these users (`name:module`), all with password `test`.
    pub(crate) fn with_users(cluster: &Cluster, names: &[&str], changes: &[(&str, &str)]) -> Self {
        let tracker = cluster.address.to_string();
        Self::launch(&[], names, &on_cluster(cluster, &tracker, changes))
    }

    /// What the users of module File see as `/`.
    pub(crate) fn files(&self) -> PathBuf {
        self.dir().join("files")
    }

    /// A connection that is logged in as user `test`.
    pub(crate) fn log_in(&self) -> Ftp {
        let mut ftp = Ftp::connect(self.address);
        ftp.log_in("test", "test");
        ftp
    }

    /// The directory that belongs to this daemon alone.
    pub(crate) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    pub(crate) fn conf(&self) -> &Path {
        &self.conf
    }

    /// Replaces the configuration file; the daemon is not told.
    pub(crate) fn write_conf(&self, changes: &[(&str, &str)]) {
        fs::write(&self.conf, conf(&self.scratch, changes)).unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Exit code, standard output and standard error of `nanoftpd` with these words to this daemon.
    pub(crate) fn order(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_nanoftpd"))
            .arg("-c")
            .arg(self.conf())
            .args(words)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// Lets lines of level error pass that hold `text`.
    pub(crate) fn expect_error(&self, text: &str) {
        self.expected.lock().unwrap().push(text.to_owned());
    }

    /// The first line of the log that holds `text`.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_after(0, text).1
    }

    /// The first line from number `from` on that holds `text`, and its number.
    pub(crate) fn wait_after(&self, from: usize, text: &str) -> (usize, String) {
        let found = self.log.wait(from, PATIENCE, |line| line.contains(text));
        found.unwrap_or_else(|| panic!("the log never said {text:?}"))
    }

    /// What is in a log file, as soon as `text` is: a clerk writes it, whenever it gets to that.
    pub(crate) fn written(&self, name: &str, text: &str) -> String {
        eventually(&format!("{text} in {name}"), || {
            let written = fs::read_to_string(self.dir().join(name)).unwrap_or_default();
            written.contains(text).then_some(written)
        })
    }

    /// Every line that was logged before this call. What a reply follows is in the log by then, but
    /// not yet read by us: so something is said that is logged, and waited for.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mark = super::unique();
        Ftp::connect(self.address).expect(&format!("USER {mark}"), 331);
        self.wait_for(&mark);
        self.log.all()
    }

    /// Waits until the master has heard of so many sessions, and of the ends of all others: who comes, logs in
    /// or leaves is told to it, and does not wait for that.
    pub(crate) fn has_sessions(&self, count: usize) {
        let start = format!("\n{count} of ");
        eventually(&format!("{count} sessions"), || {
            let (_, table, _) = self.order(&["status"]);
            table.contains(&start).then_some(())
        });
    }

    /// How many lines the log has by now, for [`Self::wait_after`].
    pub(crate) fn mark(&self) -> usize {
        self.log.all().len()
    }

    /// The master's title.
    pub(crate) fn title(&self) -> String {
        title(&PathBuf::from(format!("/proc/{}", self.pid())))
    }

    /// The master's children, by pid, with their titles.
    pub(crate) fn children(&self) -> BTreeMap<i32, String> {
        children(self.pid())
    }

    /// The worker whose title holds `text`.
    pub(crate) fn worker(&self, text: &str) -> i32 {
        eventually(&format!("a process titled {text}"), || {
            self.children()
                .into_iter()
                .find(|(_, title)| title.contains(text))
                .map(|(pid, _)| pid)
        })
    }

    /// Ends the daemon with TERM, waits for all of it, and gives its exit code.
    pub(crate) fn stop(&mut self, limit: Duration) -> Option<i32> {
        let _ = kill(self.pid(), Signal::SIGTERM);
        self.wait(limit)
    }

    /// Waits for the end of all of it, and gives the exit code.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<i32> {
        assert!(self.log.end(limit), "the daemon did not end in {limit:?}");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let left = children(self.pid());
        let _ = kill(self.pid(), Signal::SIGTERM);
        let has_ended = self.log.end(PATIENCE);
        if !has_ended {
            let _ = self.child.kill();
            for pid in left.into_keys() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let _ = self.child.wait();
        let lines = self.log.all();
        if !std::thread::panicking() {
            assert!(has_ended, "the daemon did not end after TERM");
            let expected = self.expected.lock().unwrap();
            let is_error = |line: &&String| level(line) == Some("error");
            for line in lines.iter().filter(is_error) {
                let is_expected = expected.iter().any(|text| line.contains(text.as_str()));
                assert!(is_expected, "unexpected error in the log: {line}");
            }
            return;
        }
        let conf = fs::read_to_string(&self.conf).unwrap_or_default();
        say(&format!(
            "--- {}\n{conf}--- log\n{}\n---",
            self.conf.display(),
            lines.join("\n")
        ));
    }
}

/// The exit code of -t with these changes in `dir`, and what it says.
pub(crate) fn tried(dir: &Scratch, changes: &[(&str, &str)]) -> (Option<i32>, String) {
    let file = dir.file("nanoftpd.conf", conf(dir, changes).as_bytes());
    let users = dir.path().join("users");
    if !users.exists() {
        dir.file("users", b"");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_nanoftpd"))
        .arg("-t")
        .arg("-c")
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"");
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// `YYYYMMDD-HHMMSS [pid] : level event …` → level
fn level(line: &str) -> Option<&str> {
    line.split_once("] : ")?.1.split(' ').next()
}

/// The value of `key=` in a log line.
pub(crate) fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split(' ')
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// The processes whose parent is `parent`, with their titles.
pub(crate) fn children(parent: Pid) -> BTreeMap<i32, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        if after_name.split(' ').nth(2) == Some(&parent.to_string()) {
            found.insert(pid, title(&entry.path()));
        }
    }
    found
}

fn title(process: &Path) -> String {
    let title = fs::read(process.join("cmdline")).unwrap_or_default();
    let title = String::from_utf8_lossy(&title).replace('\0', " ");
    title.trim().to_owned()
}

/// A field of `/proc/PID/status`.
pub(crate) fn status(pid: i32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.map(|value| value.trim().to_owned())
}

fn on_cluster<'a>(
    cluster: &'a Cluster,
    tracker: &'a str,
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![
        ("mogilefs.tracker", tracker),
        ("mogilefs.domain", &*cluster.domain),
    ];
    all.extend_from_slice(changes);
    all
}

/// Users (`name:module`), all with password `test`.
pub(crate) fn users(users: &[&str]) -> String {
    users.iter().fold(String::new(), |mut text, user| {
        let (name, module) = user.split_once(':').unwrap();
        let _ = writeln!(text, "{name}:{TEST_HASH}:65534:65534:{module}");
        text
    })
}

/// A configuration with the defaults of the tests and `changes`, as (`section.key`, value).
pub(crate) fn conf(scratch: &Scratch, changes: &[(&str, &str)]) -> String {
    let place = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let mut keys: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut set = |name: &str, value: String| {
        let (section, key) = name.rsplit_once('.').unwrap();
        keys.insert((section.to_owned(), key.to_owned()), value);
    };
    set("nanoftpd.daemonize", "no".into());
    set("nanoftpd.pidfile", place("nanoftpd.pid"));
    set(
        "nanoftpd.tmpdir",
        scratch.open_dir("tmp").to_string_lossy().into_owned(),
    );
    set("nanoftpd.userid", "nobody".into());
    set("nanoftpd.groupid", "nogroup".into());
    set("nanoftpd.listen_addr", "127.0.0.1".into());
    set("nanoftpd.listen_port", "0".into());
    set("nanoftpd.stop_grace", "2".into());
    set("pool.min_spare", "1".into());
    set("pool.max_spare", "3".into());
    set("auth.text.file", place("users"));
    set(
        "file.root",
        scratch.open_dir("files").to_string_lossy().into_owned(),
    );
    set("limits.login_delay", "0".into());
    set("logging.file", place("nanoftpd.log"));
    set("logging.xferlog", place("xferlog"));
    set("logging.level", "debug".into());
    set("status.socket", place("control.sock"));
    for (name, value) in changes {
        set(name, (*value).to_owned());
    }
    let mut text = String::new();
    let mut section = "";
    for ((in_section, key), value) in &keys {
        if in_section != section {
            let _ = writeln!(text, "[{in_section}]");
            section = in_section;
        }
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}
