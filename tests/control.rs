//! What operators ask the running daemon over its control socket, and who may not.
#![cfg(test)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::{Cluster, Daemon, Ftp, PATIENCE, eventually, is_here, skip};

fn socket(daemon: &Daemon) -> PathBuf {
    daemon.dir().join("control.sock")
}

/// Exit code, standard output and standard error of `nanoftpd status`.
fn status(daemon: &Daemon, options: &[&str]) -> (Option<i32>, String, String) {
    daemon.order(&[&["status"], options].concat())
}

/// The first table that `wanted` holds for: reports of workers come when they come.
fn table(daemon: &Daemon, what: &str, wanted: impl Fn(&str) -> bool) -> String {
    eventually(what, || {
        let (code, table, said) = status(daemon, &[]);
        assert_eq!((code, said.as_str()), (Some(0), ""));
        wanted(&table).then_some(table)
    })
}

/// The number or text behind `"name":`, the first that there is.
fn field<'a>(json: &'a str, name: &str) -> &'a str {
    let (_, rest) = json.split_once(&format!("\"{name}\":")).unwrap();
    rest.split([',', '}']).next().unwrap()
}

#[test]
fn a_status_tells_who_is_there_and_what_they_do() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let text = table(&daemon, "an idle daemon", |table| table.contains("\n0 of "));
    let first = format!(
        "nanoftpd {} (pid {}), up ",
        env!("CARGO_PKG_VERSION"),
        daemon.pid()
    );
    assert!(text.starts_with(&first), "{text}");
    assert!(
        text.contains(&format!("trackers: {}\n", cluster.address)),
        "{text}"
    );

    let _visitor = Ftp::connect(daemon.address);
    let mut member = daemon.log_in();
    for _ in 0..8 {
        member.expect("TYPE I", 200);
    }
    let data = member.data();
    member.expect("STOR /photos/a \"b\" \u{fc}.jpg", 150);
    let mut stream = data.stream();
    stream.write_all(b"x").unwrap();
    let text = table(&daemon, "an upload", |table| {
        table.contains("STOR /photos/a")
    });
    assert!(text.contains("\n2 of 256 sessions, "), "{text}");
    let peer = format!(
        "127.0.0.1:{}",
        member.control().local_addr().unwrap().port()
    );
    let line = text.lines().find(|line| line.contains(&peer)).unwrap();
    assert!(line.contains(" test "), "{line}");
    assert!(
        line.ends_with("STOR /photos/a \\\"b\\\" \u{fc}.jpg"),
        "{line}"
    );

    let (code, json, _) = status(&daemon, &["--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(field(&json, "pid"), daemon.pid().to_string());
    assert_eq!(field(&json, "max_clients"), "256");
    let sessions = json.split_once("\"sessions\":[").unwrap().1;
    assert_eq!(sessions.matches("\"peer\":\"127.0.0.1:").count(), 2);
    for part in [
        format!("\"peer\":\"{peer}\",\"user\":\"test\",\"module\":\"MogileFs\",\"verb\":\"STOR\""),
        "\"argument\":\"/photos/a \\\"b\\\" \u{fc}.jpg\"".to_owned(),
        "\"user\":null".to_owned(),
    ] {
        assert!(sessions.contains(&part), "{part}\n{json}");
    }
    if is_here("python3") {
        let mut python = Command::new("python3");
        python.args(["-c", "import json, sys; json.loads(sys.argv[1])", &json]);
        assert!(python.status().unwrap().success(), "{json}");
    }

    drop(stream);
    member.reply_of(226);
    table(&daemon, "idle again", |table| {
        let line = table.lines().find(|line| line.contains(&peer));
        line.is_some_and(|line| line.ends_with("  idle"))
    });
}

#[test]
fn whoever_asks_and_does_not_read_holds_nobody_up() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[("pool.max_spare", "8")]);
    let mut crowd = Vec::new();
    for _ in 0..40 {
        let mut guest = UnixStream::connect(socket(&daemon)).unwrap();
        // Some ask and never read, some begin to ask, some say nothing.
        match crowd.len() % 3 {
            0 => guest.write_all(b"status json\n").unwrap(),
            1 => guest.write_all(b"stat").unwrap(),
            _ => {}
        }
        crowd.push(guest);
    }
    for _ in 0..5 {
        daemon.log_in().expect("QUIT", 221);
    }
    daemon.wait_for("control-refused why=\"too many at once\"");
    drop(crowd);
    // Until it has seen all of them go it may refuse one more.
    eventually("an answer", || {
        let (code, table, _) = status(&daemon, &[]);
        (code == Some(0) && table.contains("sessions")).then_some(())
    });
}

#[test]
fn nonsense_is_answered_and_nothing_else_happens() {
    let daemon = Daemon::start(&[]);
    for words in ["", "halt", "status  json", "\u{1b}[2J"] {
        let mut guest = UnixStream::connect(socket(&daemon)).unwrap();
        guest.write_all(format!("{words}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut guest, &mut answer).unwrap();
        assert_eq!(answer, "error: that is not understood\n");
    }
    Ftp::connect(daemon.address).expect("QUIT", 221);
}

#[test]
fn other_users_are_kept_out() {
    if !nix::unistd::geteuid().is_root() {
        return skip("needs root");
    }
    if !is_here("curl") {
        return;
    }
    let daemon = Daemon::start(&[]);
    let path = socket(&daemon);
    let about = fs::metadata(&path).unwrap();
    assert!(about.file_type().is_socket());
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    // `nobody`, as whom sessions run.
    assert_eq!(about.uid(), 65534);
    let ask = |user: u32| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "--http0.9", "--unix-socket"]);
        let output = curl.arg(&path).arg("http://x/").uid(user).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(ask(65534).1, "error: that is not understood\n");
    // The file's mode keeps others out, and behind it the daemon itself does.
    assert_eq!(ask(65533).0, Some(7));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let (code, answer) = ask(65533);
    assert!(code != Some(0) && answer.is_empty(), "{code:?} {answer}");
    daemon.wait_for("control-refused why=\"permission denied\"");
}

#[test]
fn the_socket_goes_with_the_daemon_and_a_dead_one_is_replaced() {
    let mut daemon = Daemon::start(&[]);
    let path = socket(&daemon);
    assert!(path.exists());
    daemon.stop(PATIENCE);
    assert!(!path.exists());
    let (code, printed, said) = status(&daemon, &[]);
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    assert_eq!(
        said,
        format!("nanoftpd: {}: no daemon listens there\n", path.display())
    );

    // What a killed daemon leaves is in nobody's way; what another one listens on is.
    let taken = daemon.dir().join("taken.sock");
    let path_text = taken.to_str().unwrap();
    drop(std::os::unix::net::UnixListener::bind(&taken).unwrap());
    let second = Daemon::start(&[("status.socket", path_text)]);
    assert_eq!(status(&second, &[]).0, Some(0));
    let third = daemon.dir().join("third.conf");
    let conf = fs::read_to_string(daemon.conf()).unwrap();
    let conf = conf.replace(path.to_str().unwrap(), path_text);
    fs::write(&third, conf).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nanoftpd"))
        .arg("-f")
        .arg("-c")
        .arg(&third)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("somebody listens there"), "{said}");
    assert_eq!(status(&second, &[]).0, Some(0));
}

#[test]
fn a_reload_moves_the_socket() {
    let daemon = Daemon::start(&[]);
    let (old, new) = (socket(&daemon), daemon.dir().join("other.sock"));
    let change = [("status.socket", new.to_str().unwrap())];
    daemon.write_conf(&change);
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    daemon.wait_for(" reloaded");
    assert!(!old.exists());
    assert_eq!(status(&daemon, &[]).0, Some(0));

    daemon.expect_error("reload-failed");
    daemon.expect_error("config-error");
    daemon.write_conf(&[("status.socket", daemon.conf().to_str().unwrap())]);
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    daemon.wait_for("reload-failed");
    daemon.write_conf(&change);
    assert_eq!(status(&daemon, &[]).0, Some(0));
}

/// Standard output of a command that is carried out.
fn done(daemon: &Daemon, words: &[&str]) -> String {
    let (code, printed, said) = daemon.order(words);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{words:?}");
    printed
}

#[test]
fn sessions_are_kicked_by_pid_by_user_and_by_address() {
    let daemon = Daemon::of_files(&[("pool.max_spare", "6")]);
    let from = |last| Ftp::connect_from([127, 0, 9, last].into(), daemon.address);
    let (mut by_pid, mut by_address, mut stays) = (daemon.log_in(), from(1), from(2));
    daemon.has_sessions(3);
    let pid = daemon.worker("test@127.0.0.1: IDLE");
    assert_eq!(
        done(&daemon, &["kick", &pid.to_string()]),
        "1 sessions ended\n"
    );
    by_pid.reply_of(421);
    assert!(by_pid.is_closed());
    assert_eq!(done(&daemon, &["kick", "127.0.9.1"]), "1 sessions ended\n");
    by_address.reply_of(421);

    // A busy one goes as well.
    let (mut one, mut two) = (daemon.log_in(), daemon.log_in());
    let data = two.data();
    two.expect("STOR a.bin", 150);
    let mut stream = data.stream();
    stream.write_all(b"x").unwrap();
    table(&daemon, "two members", |table| {
        table.matches(" test ").count() == 2
    });
    assert_eq!(done(&daemon, &["kick", "test"]), "2 sessions ended\n");
    one.reply_of(421);
    assert!(one.is_closed());
    two.reply_of(421);
    assert!(two.is_closed());

    stays.expect("NOOP", 200);
    let (code, printed, said) = daemon.order(&["kick", "nobody"]);
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    assert_eq!(said, "nanoftpd: there is no such session\n");
}

#[test]
fn a_service_is_shut_drained_and_opened() {
    let daemon = Daemon::of_files(&[]);
    let (mut idle, mut busy) = (daemon.log_in(), daemon.log_in());
    let mut visitor = Ftp::connect(daemon.address);
    done(&daemon, &["shut", "60", "New disks,", "back at noon."]);
    let refused = |text: &str| {
        let mut ftp = Ftp::silent(daemon.address);
        assert_eq!(ftp.reply_of(421), text);
        assert!(ftp.is_closed());
    };
    refused("421 New disks, back at noon.");
    // Who is in stays for now; who is only at the door does not get in.
    visitor.expect("USER test", 331);
    assert!(visitor.expect("PASS test", 421).contains("New disks"));
    idle.expect("PWD", 257);
    table(&daemon, "a shut service", |table| {
        table.contains("shut: ") && table.contains("\n2 of ")
    });

    let data = busy.data();
    busy.expect("STOR a.bin", 150);
    let mut stream = data.stream();
    done(&daemon, &["shut"]);
    idle.reply_of(421);
    assert!(idle.is_closed());
    stream.write_all(b"all of it").unwrap();
    drop(stream);
    busy.reply_of(226);
    busy.reply_of(421);
    refused("421 Service is shut for now, try again later.");
    // Nor is it open after a reload.
    assert_eq!(done(&daemon, &["reload"]), "reloaded\n");
    refused("421 Service is shut for now, try again later.");

    assert_eq!(done(&daemon, &["open"]), "open\n");
    daemon.log_in().expect("RETR /a.bin", 425);
    assert_eq!(done(&daemon, &["open"]), "was open already\n");
}

#[test]
fn a_reload_by_command_says_what_is_wrong() {
    let daemon = Daemon::of_files(&[]);
    daemon.write_conf(&[("limits.max_per_user", "1")]);
    assert_eq!(done(&daemon, &["reload"]), "reloaded\n");
    let _one = daemon.log_in();
    let mut two = Ftp::connect(daemon.address);
    two.expect("USER test", 331);
    two.expect("PASS test", 421);

    daemon.expect_error("reload-failed");
    daemon.expect_error("config-error");
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanoftpd"));
    // The file that the command reads is sound, the one of the daemon is not.
    let sound = daemon.dir().join("sound.conf");
    fs::copy(daemon.conf(), &sound).unwrap();
    daemon.write_conf(&[("pool.min_spare", "lots")]);
    let output = command.arg("-c").arg(sound).arg("reload").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("the old configuration stays\n"), "{said}");
    assert!(said.contains("min_spare"), "{said}");
}

#[test]
fn logs_are_reopened_by_command() {
    let daemon = Daemon::of_files(&[]);
    let (log, old) = (daemon.dir().join("nanoftpd.log"), daemon.dir().join("old"));
    fs::rename(&log, &old).unwrap();
    assert_eq!(done(&daemon, &["reopen"]), "log files opened anew\n");
    daemon.written("nanoftpd.log", "logs-reopened");
}

#[test]
fn a_stop_by_command_waits_for_transfers_or_does_not() {
    for now in [false, true] {
        let mut daemon = Daemon::of_files(&[("nanoftpd.stop_grace", "60")]);
        let (mut idle, mut busy) = (daemon.log_in(), daemon.log_in());
        let data = busy.data();
        busy.expect("STOR a.bin", 150);
        let mut stream = data.stream();
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanoftpd"));
        command.arg("-c").arg(daemon.conf()).arg("stop");
        command.args(now.then_some("--now")).stdout(Stdio::piped());
        let mut stop = command.spawn().unwrap();
        let mut said = BufReader::new(stop.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "stopping, 2 sessions");
        idle.reply_of(421);
        if !now {
            // It says that it has begun, and returns when it is done.
            assert_eq!(stop.try_wait().unwrap(), None);
            stream.write_all(b"all of it").unwrap();
            drop(stream);
            busy.reply_of(226);
        }
        assert_eq!(said.next().unwrap().unwrap(), "stopped");
        assert_eq!(stop.wait().unwrap().code(), Some(0));
        assert!(!socket(&daemon).exists());
        assert_eq!(daemon.wait(PATIENCE), Some(0));
    }
}

#[test]
fn a_daemon_is_found_by_a_configuration_that_is_broken_elsewhere() {
    let daemon = Daemon::of_files(&[]);
    let good = fs::read_to_string(daemon.conf()).unwrap();
    let user = daemon.log_in();
    for more in [
        "[pool]\nmin_spare = none\n",
        "[pool]\nmin_spar = 4\nnonsense\n",
        "[nowhere]\nx = 1\n",
    ] {
        fs::write(daemon.conf(), format!("{good}{more}")).unwrap();
        let (code, printed, said) = status(&daemon, &[]);
        assert_eq!((code, &*said), (Some(0), ""), "{more}");
        assert!(printed.contains("1 of 256 sessions"), "{printed}");
        // What is to read the file says what is wrong there.
        let (code, _, said) = daemon.order(&["reload"]);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("nanoftpd.conf:"), "{said}");
    }
    // Another daemon might be asked than the one that was meant.
    let (_, name) = good.split_once("\nsocket = ").unwrap();
    let name = name.lines().next().unwrap();
    for other in [format!("sockte = {name}"), "socket = here".to_owned()] {
        let broken = good.replace(&format!("socket = {name}"), &other);
        assert_ne!(broken, good);
        fs::write(daemon.conf(), broken).unwrap();
        let (code, _, said) = status(&daemon, &[]);
        assert_eq!(code, Some(78), "{said}");
    }
    let broken = format!("{good}[nowhere]\nx = 1\n");
    fs::write(daemon.conf(), broken).unwrap();
    drop(user);
    assert_eq!(daemon.order(&["stop"]).0, Some(0));
}

#[test]
fn a_stop_that_takes_too_long_is_no_success() {
    let mut daemon = Daemon::of_files(&[("nanoftpd.stop_grace", "60")]);
    let mut busy = daemon.log_in();
    let data = busy.data();
    busy.expect("STOR a.bin", 150);
    let stream = data.stream();
    // What the daemon has read is not what the command reads.
    daemon.write_conf(&[("nanoftpd.stop_grace", "0")]);
    let (code, printed, said) = daemon.order(&["stop"]);
    assert_eq!(
        (code, printed.as_str()),
        (Some(1), "stopping, 1 sessions\n")
    );
    assert!(said.contains("it still stops after 5 s"), "{said}");
    assert_eq!(daemon.order(&["stop", "--now"]).0, Some(0));
    drop(stream);
    assert_eq!(daemon.wait(PATIENCE), Some(0));
}

#[test]
fn counters_survive_workers() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.store("a.bin", &[b'x'; 1000]);
    assert_eq!(ftp.fetch("RETR a.bin").len(), 1000);
    let pid = daemon.worker("[worker] test@");
    ftp.expect("USER test", 331);
    ftp.expect("PASS wrong", 530);
    // The second one of a second is told a moment later.
    eventually("the download", || {
        let page = done(&daemon, &["status", "--prometheus"]);
        page.contains(r#"_bytes_total{direction="out"} 1000"#)
            .then_some(())
    });
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    daemon.wait_for("worker-died");
    let page = done(&daemon, &["status", "--prometheus"]);
    for line in [
        "nanoftpd_up 1",
        "nanoftpd_sessions 0",
        "nanoftpd_sessions_total 1",
        "nanoftpd_logins_total 1",
        "nanoftpd_login_failures_total 1",
        "nanoftpd_worker_deaths_total 1",
        r#"nanoftpd_transfers_total{direction="in",complete="yes"} 1"#,
        r#"nanoftpd_transfers_total{direction="out",complete="no"} 0"#,
        r#"nanoftpd_transfer_bytes_total{direction="in"} 1000"#,
        r#"nanoftpd_transfer_bytes_total{direction="out"} 1000"#,
    ] {
        assert!(page.lines().any(|one| one == line), "{line}\n{page}");
    }
    let json = done(&daemon, &["status", "--json"]);
    assert_eq!(field(&json, "failed_logins"), "1");
    assert_eq!(field(&json, "worker_deaths"), "1");
}
