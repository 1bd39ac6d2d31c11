//! Programs of the site that are told of uploads: what they are told, and that nobody minds how they
//! behave.
#![cfg(test)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Cluster, Daemon, PATIENCE, Scratch, children, eventually, status};

/// What it does follows from the name of the file.
const PROGRAM: &str = r#"#!/bin/sh
out=$(dirname "$0")/out
name=$(basename "$NANOFTPD_PATH")
case $name in
    hang*) sleep 60 & echo $! $$ >"$out/$name"; wait ;;
    slow*) sleep 1; echo >"$out/$name" ;;
    fail*) head -c 200000 /dev/zero; echo "something to say" >&2; echo >"$out/$name"; exit 3 ;;
    *) { env; pwd; id -u; ls /proc/self/fd; } >"$out/part$$"; mv "$out/part$$" "$out/$name" ;;
esac
"#;

struct Site(Scratch);

impl Site {
    fn new() -> Self {
        let scratch = Scratch::new();
        scratch.open_dir("out");
        scratch.program("hook", PROGRAM.as_bytes());
        Self(scratch)
    }

    fn program(&self) -> String {
        self.0.path().join("hook").to_str().unwrap().to_owned()
    }

    fn out(&self, name: &str) -> PathBuf {
        self.0.path().join("out").join(name)
    }

    /// What the program wrote for the upload of this name, whole lines.
    fn told(&self, name: &str) -> String {
        eventually(&format!("a run for {name}"), || {
            let told = fs::read_to_string(self.out(name)).ok()?;
            told.ends_with('\n').then_some(told)
        })
    }
}

fn metric(daemon: &Daemon, result: &str) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanoftpd"));
    command.arg("-c").arg(daemon.conf());
    let output = command.args(["status", "--prometheus"]).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    let start = format!("nanoftpd_hooks_total{{result=\"{result}\"}} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap().parse().unwrap()
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_program_is_told_all_of_an_upload_and_nothing_else() {
    let (cluster, site) = (Cluster::start(), Site::new());
    let daemon = Daemon::on(&cluster, &[("hooks.uploaded", &site.program())]);
    let mut ftp = daemon.log_in();
    ftp.expect("CWD photos", 250);
    let (_, reply) = ftp.give("STOR a b$(id)", b"seven b");
    let told = site.told("a b$(id)");
    let lines: Vec<&str> = told.lines().collect();
    let value = |name: &str| {
        let start = format!("NANOFTPD_{name}=");
        lines.iter().find_map(|line| line.strip_prefix(&*start))
    };
    assert_eq!(value("USER"), Some("test"));
    assert_eq!(value("PATH"), Some("/photos/a b$(id)"));
    assert_eq!(value("DOMAIN"), Some(&*cluster.domain));
    assert_eq!(value("KEY"), Some("photos/a b$(id)"));
    assert_eq!(value("SIZE"), Some("7"));
    assert_eq!(value("RESULT"), Some("ok"));
    assert_eq!(value("PEER"), Some("127.0.0.1"));
    let fid = value("FID").unwrap();
    assert!(reply.contains(&format!("fid {fid}")), "{reply}");
    let log = daemon.wait_for("hook-done");
    assert!(log.contains(&format!("session={} ", value("SESSION").unwrap())));
    // Nine of ours; what shells set by themselves; where it is, who, and its descriptors (the last
    // one is the directory that is listed).
    let own = ["PATH=", "PWD=", "OLDPWD=", "SHLVL=", "_="];
    let is_strange = |line: &&&str| {
        line.contains('=')
            && !line.starts_with("NANOFTPD_")
            && !own.iter().any(|name| line.starts_with(name))
    };
    assert_eq!(lines.iter().find(is_strange), None);
    let rest: Vec<&&str> = lines.iter().filter(|line| !line.contains('=')).collect();
    let user = if nix::unistd::geteuid().is_root() {
        "65534"
    } else {
        rest[1]
    };
    assert_eq!(rest, [&"/", &user, &"0", &"1", &"2", &"3"]);

    // One that was not stored.
    let data = ftp.data();
    ftp.expect("STOR broken", 150);
    let stream = data.stream();
    ftp.send(b"ABOR\r\n");
    ftp.reply_of(426);
    ftp.reply_of(226);
    drop(stream);
    let told = site.told("broken");
    assert!(told.contains("NANOFTPD_RESULT=failed\n"), "{told}");
    assert!(told.contains("NANOFTPD_FID=\n"), "{told}");

    // What it says of errors is in the log, and how it ended.
    daemon.expect_error("something to say");
    ftp.store("fail", b"x");
    let line = daemon.wait_for("hook-failed");
    assert!(
        line.contains("why=\"it ended with status=3\" path=\"/photos/fail\""),
        "{line}"
    );
    daemon.wait_for("something to say");
    eventually("the counts", || {
        ((metric(&daemon, "ok"), metric(&daemon, "failed")) == (2, 1)).then_some(())
    });
}

#[test]
fn programs_that_hang_delay_nobody_and_are_killed_and_a_full_line_is_dropped() {
    let site = Site::new();
    let daemon = Daemon::of_files(&[
        ("hooks.uploaded", &site.program()),
        ("hooks.queue", "2"),
        ("hooks.timeout", "6"),
    ]);
    let mut ftp = daemon.log_in();
    let begun = Instant::now();
    for number in 0..4 {
        ftp.store(&format!("hang{number}"), b"x");
    }
    let pids: Vec<String> = (0..4).map(|at| site.told(&format!("hang{at}"))).collect();
    // All hands are full: two wait, the third is dropped.
    for number in 5..8 {
        ftp.store(&format!("last{number}"), b"x");
    }
    let line = daemon.wait_for("hook-dropped");
    assert!(line.contains("path=\"/last7\""), "{line}");
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    let line = daemon.wait_for("hook-failed");
    assert!(
        line.contains("why=\"it took longer than 6 s\" path=\"/hang"),
        "{line}"
    );
    for pid in pids.iter().flat_map(|pids| pids.split_whitespace()) {
        eventually("the end of all of them", || (!is_alive(pid)).then_some(()));
    }
    site.told("last5");
    site.told("last6");
    eventually("the counts", || {
        let counts = ["ok", "failed", "dropped"].map(|result| metric(&daemon, result));
        (counts == [2, 4, 1]).then_some(())
    });
    assert!(!site.out("last7").exists());
}

#[test]
fn a_stop_a_reload_and_a_death_of_the_clerk_cost_what_they_must() {
    let site = Site::new();
    let changes = [
        ("hooks.uploaded", &*site.program()),
        ("nanoftpd.stop_grace", "20"),
    ];
    let mut daemon = Daemon::of_files(&changes);
    let mut ftp = daemon.log_in();
    ftp.store("slow1", b"x");
    // Another configuration, another clerk; the old one finishes.
    let others = [&changes[..], &[("hooks.timeout", "20")]].concat();
    daemon.write_conf(&others);
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for(" reloaded");
    site.told("slow1");
    eventually("its count", || (metric(&daemon, "ok") == 1).then_some(()));
    // What the master hears of together with a reload is for the new one; of the second upload within a
    // second it hears nothing else at once.
    ftp.store("alone", b"x");
    site.told("alone");
    daemon.signal(Signal::SIGSTOP);
    eventually("a stop", || {
        let state = status(daemon.pid().as_raw(), "State")?;
        state.starts_with('T').then_some(())
    });
    ftp.store("together", b"x");
    daemon.write_conf(&changes);
    daemon.signal(Signal::SIGHUP);
    daemon.signal(Signal::SIGCONT);
    site.told("together");

    // The clerk that runs something is the one to die; what it runs goes with it.
    ftp.store("hang", b"x");
    let running = site.told("hang");
    let clerk = eventually("a clerk with a program", || {
        let mut all = daemon.children().into_keys();
        all.find(|pid| !children(Pid::from_raw(*pid)).is_empty())
    });
    kill(Pid::from_raw(clerk), Signal::SIGKILL).unwrap();
    let shell = running.split_whitespace().last().unwrap();
    eventually("the end of the program", || {
        (!is_alive(shell)).then_some(())
    });
    daemon.wait_for("clerk-died");
    let mut number = 0;
    eventually("a run after it", || {
        number += 1;
        ftp.store(&format!("after{number}"), b"x");
        std::thread::sleep(Duration::from_millis(100));
        (1..=number).find(|at| site.out(&format!("after{at}")).exists())
    });

    // Nor does another program forget who works for the one before.
    let names: Vec<String> = (10..16).map(|number| format!("slow{number}")).collect();
    for name in &names {
        ftp.store(name, b"x");
    }
    let mark = daemon.mark();
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_after(mark, " upgraded");
    assert_eq!(daemon.stop(PATIENCE), Some(0));
    for name in names {
        assert!(site.out(&name).exists(), "{name} was not waited for");
    }
}

#[test]
fn a_program_that_cannot_be_run_is_found_before_anything_starts() {
    let site = Site::new();
    let daemon = Daemon::of_files(&[]);
    let check = |program: &str| {
        daemon.write_conf(&[("hooks.uploaded", program)]);
        let (code, _, said) = daemon.order(&["-t"]);
        (code, said)
    };
    let plain = site.0.file("plain", b"");
    let plain = plain.to_str().unwrap();
    let directory = site.0.path().to_str().unwrap();
    for (program, why) in [
        ("/no/such/program", "there is no program /no/such/program"),
        (plain, "is not executable"),
        (directory, "is no file"),
        ("relative", "uploaded: `relative` is not"),
    ] {
        let (code, said) = check(program);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("uploaded: ") && said.contains(why), "{said}");
    }
    assert_eq!(check(&site.program()).0, Some(0));
}
