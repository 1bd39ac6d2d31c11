//! Logins that a program of the site decides: what it is given, what its answers mean, and what
//! happens when it misbehaves.
#![cfg(test)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use support::{Cluster, Daemon, Ftp, Scratch, children, eventually, own_address, status};

/// Lets `ann` in with `right`, and misbehaves for others by name.
const PROGRAM: &str = r#"#!/bin/sh
read -r user
read -r password
case $user in
    ann) [ "$password" = "right" ] || exit 1; echo "501:502:MogileFs" ;;
    tree) echo "501:502:File" ;;
    told) { echo "$user"; echo "$password"; cat; env; pwd; id -u; } >"$(dirname "$0")/out/told"; exit 1 ;;
    slow) echo $$ >"$(dirname "$0")/out/pid"; sleep 60 & wait ;;
    gated) read -r _ <"$(dirname "$0")/out/gate"; echo "501:502:File" ;;
    silent) exit 0 ;;
    garbage) head -c 100000 /dev/zero; exit 0 ;;
    lines) echo "1:2:File"; echo "1:2:File" ;;
    module) echo "1:2:Nonsense" ;;
    killed) kill -9 $$ ;;
    code) exit 7 ;;
    talk) echo "something to say" >&2; exit 1 ;;
    open) sleep 5 & echo "501:502:File" ;;
    *) exit 1 ;;
esac
"#;

struct Site {
    daemon: Daemon,
    scratch: Scratch,
}

impl Site {
    fn start(changes: &[(&str, &str)]) -> Self {
        Self::launch(PROGRAM, |all| Daemon::start(&[all, changes].concat()))
    }

    fn launch(program: &str, start: impl FnOnce(&[(&str, &str)]) -> Daemon) -> Self {
        let scratch = Scratch::new();
        scratch.open_dir("out");
        let file = scratch.program("login", program.as_bytes());
        let daemon = start(&[
            ("auth.module", "Exec"),
            ("auth.exec.command", file.to_str().unwrap()),
        ]);
        Self { daemon, scratch }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.scratch.path().join("out").join(name)
    }

    /// The reply to PASS.
    fn log_in(&self, user: &str, password: &str) -> (u16, String) {
        let mut ftp = Ftp::connect(self.daemon.address);
        ftp.expect(&format!("USER {user}"), 331);
        ftp.send(format!("PASS {password}\r\n").as_bytes());
        ftp.reply()
    }
}

#[test]
fn the_program_decides_who_comes_in_and_where_their_files_are() {
    let cluster = Cluster::start();
    let site = Site::launch(PROGRAM, |changes| Daemon::on(&cluster, changes));
    let mut ftp = Ftp::connect(site.daemon.address);
    ftp.log_in("ann", "right");
    assert_eq!(ftp.expect("SITE UID", 200), "200 UID is 501.");
    assert_eq!(ftp.expect("SITE GID", 200), "200 GID is 502.");
    ftp.store("/photos/a", b"x");
    assert_eq!(cluster.keys(), ["photos/a"]);
    assert_eq!(site.log_in("tree", "anything").0, 230);
    // Nobody learns which of the two it was.
    let wrong = site.log_in("ann", "wrong");
    assert_eq!(wrong, site.log_in("nobody", "right"));
    assert_eq!(wrong.0, 530);
}

#[test]
fn it_is_given_two_lines_and_a_clean_room() {
    let site = Site::start(&[]);
    assert_eq!(site.log_in("told", " p: w \\\"$(id)").0, 530);
    let told = fs::read_to_string(site.out("told")).unwrap();
    // `read` of the shell strips blanks; what the program gets is untouched.
    assert!(told.starts_with("told\np: w \\\"$(id)\n"), "{told}");
    assert!(told.contains("\nNANOFTPD_PEER=127.0.0.1\n"), "{told}");
    assert!(told.contains("\nPATH=/usr/local/sbin:"), "{told}");
    assert!(told.contains("\n/\n"), "{told}");
    let known = ["PATH=", "NANOFTPD_PEER=", "PWD=", "OLDPWD=", "_=", "SHLVL="];
    for line in told.lines().filter(|line| line.contains('=')) {
        assert!(known.iter().any(|name| line.starts_with(name)), "{line}");
    }
    if nix::unistd::geteuid().is_root() {
        // `nobody`, and no way back: the program has the rights of sessions, and no more.
        assert!(told.ends_with("\n65534\n"), "{told}");
    }
    // What cannot be put in two lines is never put to the program.
    fs::remove_file(site.out("told")).unwrap();
    for password in ["", "a\0b", "a\rb"] {
        let code = site.log_in("told", password).0;
        assert!(matches!(code, 501 | 530), "{password:?} {code}");
    }
    assert!(!site.out("told").exists());
}

#[test]
fn whatever_it_does_nobody_comes_in_by_it_and_the_log_says_why() {
    let site = Site::start(&[]);
    for (user, code, why) in [
        ("silent", 421, "the answer has 1 fields"),
        ("garbage", 421, "the answer is longer than 4096 bytes"),
        ("lines", 421, "the answer is not one line"),
        ("module", 421, "the answer names no module"),
        ("killed", 421, "it ended with signal=SIGKILL"),
        ("code", 530, "it ended with status=7"),
    ] {
        site.daemon.expect_error("login-unavailable");
        assert_eq!(site.log_in(user, "right").0, code, "{user}");
        let line = site.daemon.wait_for(&format!("why=\"{why}"));
        assert!(
            line.contains("auth-program-failed peer=127.0.0.1"),
            "{line}"
        );
        assert!(line.ends_with(&format!("user=\"{user}\"")), "{line}");
    }
    site.daemon.expect_error("something to say");
    assert_eq!(site.log_in("talk", "right").0, 530);
    site.daemon.wait_for("text=\"something to say\"");
    assert_eq!(site.log_in("tree", "right").0, 230);
}

#[test]
fn a_run_that_takes_too_long_is_ended_with_all_that_it_started() {
    let site = Site::start(&[("auth.exec.timeout", "3")]);
    site.daemon.expect_error("login-unavailable");
    let begin = Instant::now();
    let mut ftp = Ftp::connect(site.daemon.address);
    ftp.expect("USER slow", 331);
    ftp.send(b"PASS right\r\n");
    // Others are not held up meanwhile.
    assert_eq!(site.log_in("tree", "right").0, 230);
    assert_eq!(ftp.reply().0, 421);
    let took = begin.elapsed();
    assert!(
        took >= Duration::from_secs(3) && took < Duration::from_secs(12),
        "{took:?}"
    );
    site.daemon
        .wait_for("auth-program-failed peer=127.0.0.1 why=\"no answer in 3 s\" user=\"slow\"");
    let pid: i32 = fs::read_to_string(site.out("pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    eventually("the program and its sleep are gone", || {
        let left = children(Pid::from_raw(pid));
        (left.is_empty() && status(pid, "Name").is_none()).then_some(())
    });
    // One that has answered is not waited for, whatever it leaves running.
    let begin = Instant::now();
    assert_eq!(site.log_in("open", "right").0, 230);
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_crowd_stands_in_line_and_everybody_is_answered() {
    let site = Site::start(&[("pool.max_spare", "40")]);
    let mut crowd: Vec<Ftp> = (0..40).map(|_| Ftp::connect(site.daemon.address)).collect();
    for (ftp, user) in crowd.iter_mut().zip(["tree", "nobody"].iter().cycle()) {
        ftp.expect(&format!("USER {user}"), 331);
        ftp.send(b"PASS right\r\n");
    }
    let codes: Vec<u16> = crowd.iter_mut().map(|ftp| ftp.reply().0).collect();
    assert_eq!(codes, [230, 530].repeat(20));
}

#[test]
fn a_crowd_from_one_address_keeps_no_other_waiting() {
    let site = Site::start(&[("auth.exec.timeout", "60")]);
    site.daemon.expect_error("login-unavailable");
    let crowd = own_address();
    let mut guests: Vec<Ftp> = (0..24)
        .map(|_| Ftp::connect_from(crowd, site.daemon.address))
        .collect();
    for guest in &mut guests {
        guest.send(b"USER slow\r\nPASS x\r\n");
        guest.reply_of(331);
    }
    let clerks = || {
        let all = site.daemon.children().into_iter();
        all.filter(|(_, title)| title.contains("[clerk]"))
    };
    eventually("a program at work", || {
        let runs = clerks().map(|(pid, _)| children(Pid::from_raw(pid)).len());
        (runs.sum::<usize>() >= 12).then_some(())
    });
    assert_eq!(site.log_in("tree", "anything").0, 230);
}

#[test]
fn a_clerk_that_dies_costs_its_logins_and_nothing_else() {
    let site = Site::start(&[]);
    site.daemon.expect_error("login-unavailable");
    let mut ftp = Ftp::connect(site.daemon.address);
    ftp.expect("USER slow", 331);
    ftp.send(b"PASS right\r\n");
    let program: i32 = eventually("the program runs", || {
        fs::read_to_string(site.out("pid"))
            .ok()?
            .trim()
            .parse()
            .ok()
    });
    let clerk: i32 = status(program, "PPid").unwrap().parse().unwrap();
    assert_eq!(site.daemon.children()[&clerk], "nanoftpd [clerk]");
    kill(Pid::from_raw(clerk), Signal::SIGKILL).unwrap();
    assert_eq!(ftp.reply().0, 421);
    // The program went with it.
    eventually("the program is gone", || {
        status(program, "Name").is_none().then_some(())
    });
    eventually("another clerk", || {
        (site.log_in("tree", "x").0 == 230).then_some(())
    });
}

/// Another program that takes this one's place waits ten seconds for answers, and no longer.
#[test]
fn whoever_waits_too_long_for_another_program_is_told_so() {
    let site = Site::start(&[("auth.exec.timeout", "300"), ("nanoftpd.login_time", "300")]);
    site.daemon.expect_error("login-unavailable");
    let mut ftp = Ftp::connect(site.daemon.address);
    ftp.expect("USER slow", 331);
    ftp.send(b"PASS right\r\n");
    eventually("the program runs", || fs::read(site.out("pid")).ok());
    let mark = site.daemon.mark();
    site.daemon.signal(Signal::SIGUSR2);
    site.daemon.wait_after(mark, " upgraded");
    assert_eq!(ftp.reply().0, 421);
}

#[test]
fn a_reload_touches_no_login_and_takes_another_program() {
    let site = Site::start(&[]);
    let first = site.scratch.path().join("login");
    let other = site.scratch.program(
        "other",
        b"#!/bin/sh\nread -r user; [ \"$user\" = bob ] && echo 1:2:File\n",
    );
    let conf = |command: &PathBuf| {
        site.daemon.write_conf(&[
            ("auth.module", "Exec"),
            ("auth.exec.command", command.to_str().unwrap()),
        ]);
        let mark = site.daemon.mark();
        site.daemon.signal(Signal::SIGHUP);
        site.daemon.wait_after(mark, " reloaded");
    };
    let clerks = || -> Vec<i32> {
        let all = site.daemon.children().into_iter();
        all.filter(|(_, title)| title == "nanoftpd [clerk]")
            .map(|(pid, _)| pid)
            .collect()
    };
    let before = eventually("all clerks", || Some(clerks()).filter(|all| all.len() == 3));
    site.daemon.expect_error("login-unavailable");
    conf(&first);
    assert_eq!(site.log_in("tree", "x").0, 230);
    // The one that finds names goes; the one that writes the logs stays in any case.
    let kept = || clerks().iter().filter(|pid| before.contains(pid)).count();
    eventually("the end of one", || (kept() < 3).then_some(()));
    assert_eq!(kept(), 2);
    conf(&other);
    eventually("the other program", || {
        (site.log_in("bob", "x").0 == 230).then_some(())
    });
    assert_eq!(site.log_in("tree", "x").0, 530);
    site.daemon.write_conf(&[]);
    site.daemon.signal(Signal::SIGHUP);
    eventually("the users file again", || {
        (site.log_in("test", "test").0 != 530).then_some(())
    });
    eventually("one clerk less", || (clerks().len() == 2).then_some(()));
}

#[test]
fn a_login_that_is_under_way_outlives_a_reload() {
    let site = Site::start(&[]);
    let gate = site.out("gate");
    mkfifo(&gate, Mode::from_bits_truncate(0o644)).unwrap();
    let mut ftp = Ftp::connect(site.daemon.address);
    ftp.send(b"USER gated\r\nPASS x\r\n");
    ftp.reply_of(331);
    eventually("the program runs", || {
        let mut all = site.daemon.children().into_keys();
        all.find(|pid| !children(Pid::from_raw(*pid)).is_empty())
    });
    let command = site.scratch.path().join("login");
    site.daemon.write_conf(&[
        ("auth.module", "Exec"),
        ("auth.exec.command", command.to_str().unwrap()),
        ("auth.exec.timeout", "20"),
    ]);
    site.daemon.signal(Signal::SIGHUP);
    site.daemon.wait_for(" reloaded");
    assert_eq!(site.log_in("tree", "x").0, 230);
    fs::write(gate, "").unwrap();
    assert_eq!(ftp.reply().0, 230);
}

#[test]
fn what_is_said_of_the_program_goes_where_a_reload_has_the_log() {
    let site = Site::start(&[]);
    let daemon = &site.daemon;
    let file = || fs::read_to_string(daemon.dir().join("nanoftpd.log")).unwrap();
    let program = site.scratch.path().join("login");
    let fail_in = |mode: &str| {
        daemon.write_conf(&[
            ("auth.module", "Exec"),
            ("auth.exec.command", program.to_str().unwrap()),
            ("logging.mode", mode),
        ]);
        let mark = daemon.mark();
        daemon.signal(Signal::SIGHUP);
        daemon.wait_after(mark, " reloaded");
        eventually("an answer of the program", || {
            (site.log_in("code", mode).0 == 530).then_some(())
        });
    };
    daemon.expect_error("login-unavailable");
    fail_in("1");
    daemon.written("nanoftpd.log", "auth-program-failed");
    fail_in("0");
    fail_in("1");
    // Lines keep their order.
    eventually("what was said last", || {
        let count = file().matches("auth-program-failed").count();
        assert!(count <= 2, "{}", file());
        (count == 2).then_some(())
    });
}

#[test]
fn a_program_that_is_not_there_is_said_at_the_start() {
    let scratch = Scratch::new();
    let changes = [
        ("auth.module", "Exec"),
        ("auth.exec.command", "/no/such/program"),
    ];
    let conf = scratch.file("n.conf", support::conf(&scratch, &changes).as_bytes());
    let output = Command::new(env!("CARGO_BIN_EXE_nanoftpd"))
        .arg("-f")
        .arg("-c")
        .arg(&conf)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("command: there is no program /no/such/program"),
        "{said}"
    );
}
