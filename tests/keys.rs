//! Every key that the original's config.php had, and what it changes at the FTP connection.
#![cfg(test)]

mod support;

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use support::{Cluster, Daemon, Ftp, Scratch, Syslogd, noise, own_address, private_dev};

#[test]
fn listen_addr_may_be_several() {
    let daemon = Daemon::start(&[("nanoftpd.listen_addr", "127.0.0.1, 127.0.0.9")]);
    let other = daemon.wait_for("listening addr=127.0.0.9");
    let port = other
        .split("port=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    for address in [
        daemon.address,
        SocketAddr::new([127, 0, 0, 9].into(), port.parse().unwrap()),
    ] {
        Ftp::connect(address).expect("QUIT", 221);
    }
}

#[test]
fn listen_port_is_where_it_listens() {
    let free = SocketAddr::from((own_address(), 2121));
    let daemon = Daemon::start(&[
        ("nanoftpd.listen_addr", &free.ip().to_string()),
        ("nanoftpd.listen_port", "2121"),
    ]);
    assert_eq!(daemon.address, free);
    Ftp::connect(free).expect("QUIT", 221);
}

#[test]
fn passive_ports_lie_between_low_port_and_high_port_and_are_given_back() {
    let cluster = Cluster::start();
    let own = own_address();
    let daemon = Daemon::on(
        &cluster,
        &[
            ("nanoftpd.listen_addr", &own.to_string()),
            ("nanoftpd.low_port", "25801"),
            ("nanoftpd.high_port", "25803"),
        ],
    );
    let mut ftp = daemon.log_in();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let reply = ftp.expect("EPSV", 229);
        let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
        assert!((25801..=25803).contains(&port), "{port}");
        seen.insert(port);
    }
    assert!(seen.len() > 1, "always the same port");
    // All taken: the answer comes at once, and no port from elsewhere.
    let _taken: Vec<TcpListener> = (25801..=25803)
        .filter_map(|port| TcpListener::bind((own, port)).ok())
        .collect();
    let mut second = daemon.log_in();
    let mut third = daemon.log_in();
    second.send(b"PASV\r\n");
    third.send(b"PASV\r\n");
    assert_eq!((second.reply().0, third.reply().0), (425, 425));
}

#[test]
fn idle_time_ends_a_session_and_a_transfer_restarts_it() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[("nanoftpd.idle_time", "2")]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    // D16: the transfer alone takes longer than idle_time.
    let data = ftp.data();
    ftp.expect("STOR /photos/slow", 150);
    let mut stream = data.stream();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2500) {
        std::io::Write::write_all(&mut stream, b"x").unwrap();
        std::thread::park_timeout(Duration::from_millis(100));
    }
    drop(stream);
    ftp.reply_of(226);
    let begin = Instant::now();
    ftp.expect("NOOP", 200);
    ftp.reply_of(421);
    assert!(
        begin.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    assert!(ftp.is_closed());
}

#[test]
fn server_name_greets() {
    let daemon = Daemon::start(&[("nanoftpd.server_name", "Archive [OMFG] 100%s")]);
    let mut ftp = Ftp::silent(daemon.address);
    assert_eq!(ftp.reply_of(220), "220 Archive [OMFG] 100%s");
}

#[test]
fn daemonize_returns_when_the_service_is_up_and_pidfile_names_it() {
    let scratch = Scratch::new();
    let (pidfile, log) = (scratch.path().join("run.pid"), scratch.path().join("n.log"));
    let users = scratch.file("users", b"");
    let conf = format!(
        "[nanoftpd]\nlisten_addr = 127.0.0.1\nlisten_port = 0\npidfile = {}\nuserid = nobody\n\
         groupid = nogroup\ntmpdir = {}\n[auth.text]\nfile = {}\n[logging]\nmode = 1\nfile = {}\n\
         xferlog =\n[file]\nroot = {}\n[status]\nsocket = {}\n",
        pidfile.display(),
        scratch.open_dir("tmp").display(),
        users.display(),
        log.display(),
        scratch.open_dir("files").display(),
        scratch.path().join("control.sock").display(),
    );
    let conf = scratch.file("conf", conf.as_bytes());
    let start = || {
        Command::new(env!("CARGO_BIN_EXE_nanoftpd"))
            .arg("-c")
            .arg(&conf)
            .output()
            .unwrap()
    };
    let first = start();
    assert!(first.status.success(), "{first:?}");
    let pid: i32 = fs::read_to_string(&pidfile)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    // A clerk writes the log, whenever it gets to that; each line at once.
    let port: u16 = support::eventually("the port in the log", || {
        let text = fs::read_to_string(&log).unwrap();
        let (_, rest) = text.split_once("port=")?;
        rest.split_whitespace().next()?.parse().ok()
    });
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    Ftp::connect(address).expect("QUIT", 221);
    let second = start();
    assert_eq!(second.status.code(), Some(69), "{second:?}");
    assert!(!second.stderr.is_empty(), "a refused start says why");
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    support::eventually("the pid file is gone", || (!pidfile.exists()).then_some(()));
}

#[test]
fn create_mask_is_all_that_files_are_not_given() {
    let stingy = ["/bin/sh", "-c", "umask 077; exec \"$@\"", "sh"];
    let daemon = Daemon::of_files_within(&stingy, &[("file.create_mask", "002")]);
    let mut ftp = daemon.log_in();
    ftp.store("file", b"content");
    ftp.expect("MKD dir", 257);
    for (name, expected) in [("file", 0o664), ("dir", 0o775)] {
        let about = fs::metadata(daemon.files().join(name)).unwrap();
        assert_eq!(about.permissions().mode() & 0o7777, expected, "{name}");
    }
}

#[test]
fn tmpdir_takes_uploads_that_memory_does_not() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[("mogilefs.spool_mem", "64K")]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let bytes = noise(300_000, 7);
    ftp.store("/photos/large", &bytes);
    assert_eq!(cluster.content("photos/large"), Some(bytes));
    assert_eq!(
        fs::read_dir(daemon.dir().join("tmp")).unwrap().count(),
        0,
        "unlinked at birth"
    );
}

#[test]
fn crypt_file_and_sep_of_the_users_file() {
    let cluster = Cluster::start();
    let scratch = Scratch::new();
    // The SHA-1 of `test`.
    let users = "test|a94a8fe5ccb19ba61c4c0873d391e987982fbbd3|1000|1000|MogileFs\r\n";
    let users = scratch.file("accounts", users.as_bytes());
    let daemon = Daemon::on(
        &cluster,
        &[
            ("auth.crypt", "sha1"),
            ("auth.text.file", users.to_str().unwrap()),
            ("auth.text.sep", "|"),
            ("auth.module", "Text"),
        ],
    );
    daemon.log_in().expect("PWD", 257);
    let mut wrong = Ftp::connect(daemon.address);
    wrong.expect("USER test", 331);
    wrong.expect("PASS tests", 530);
}

#[test]
fn an_edit_of_the_users_file_acts_at_the_next_pass() {
    let cluster = Cluster::start();
    let scratch = Scratch::new();
    let users = scratch.file("users", b"");
    let daemon = Daemon::on(&cluster, &[("auth.text.file", users.to_str().unwrap())]);
    let mut ftp = Ftp::connect(daemon.address);
    ftp.expect("USER late", 331);
    ftp.expect("PASS test", 530);
    // The MD5 of `test`, as the original's file has it.
    fs::write(
        &users,
        "# a comment\n\nlate:098f6bcd4621d373cade4e832627b4f6:1:1:MogileFs\n",
    )
    .unwrap();
    ftp.expect("USER late", 331);
    ftp.expect("PASS test", 230);
}

#[test]
fn a_tracker_without_a_port_has_the_key_port() {
    let cluster = Cluster::start();
    let port = cluster.address.port().to_string();
    let daemon = Daemon::start(&[
        ("mogilefs.tracker", "127.0.0.1"),
        ("mogilefs.port", &port),
        ("mogilefs.domain", &cluster.domain),
    ]);
    let lines = daemon.log_in().lines("NLST");
    assert!(lines.contains(&"photos".to_owned()), "{lines:?}");
}

#[test]
fn timeout_bounds_the_connection_to_a_tracker() {
    // A listener whose queue is full answers no further connection.
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    deaf.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    deaf.listen(0).unwrap();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        waiting.push(stream);
    }
    let daemon = Daemon::start(&[
        ("mogilefs.tracker", &address.to_string()),
        ("mogilefs.domain", "d"),
        ("mogilefs.timeout", "200ms"),
    ]);
    daemon.expect_error("login-unavailable");
    let mut ftp = Ftp::connect(daemon.address);
    ftp.expect("USER test", 331);
    ftp.send(b"PASS test\r\n");
    let begin = Instant::now();
    let (code, _) = ftp.reply();
    if code == 230 {
        ftp.send(b"CWD /photos\r\n");
        assert_eq!(ftp.reply().0, 451);
    } else {
        assert!(matches!(code, 421 | 451 | 530), "{code}");
    }
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn defaultclass_is_the_class_of_flat_uploads() {
    let cluster = Cluster::start();
    for (class, expected) in [("docs", "docs"), ("default", "default")] {
        let daemon = Daemon::on(&cluster, &[("mogilefs.defaultclass", class)]);
        let mut ftp = Ftp::connect(daemon.address);
        ftp.log_in("ftp", "test");
        ftp.expect("TYPE I", 200);
        ftp.store("f", b"flat");
        assert_eq!(cluster.class("f").as_deref(), Some(expected));
    }
}

#[test]
fn listlimit_cuts_and_says_so() {
    let cluster = Cluster::start();
    for name in ["a", "b", "c", "d", "e"] {
        cluster.put(&format!("photos/{name}"), "photos", b"x");
    }
    for (limit, lines, cut) in [("3", 3, true), ("5", 5, false), ("0", 5, false)] {
        let daemon = Daemon::on(&cluster, &[("mogilefs.listlimit", limit)]);
        let mut ftp = daemon.log_in();
        let data = ftp.data();
        ftp.expect("LIST /photos", 150);
        let mut text = String::new();
        data.stream().read_to_string(&mut text).unwrap();
        let end = ftp.reply_of(226);
        assert_eq!(text.lines().count(), lines, "listlimit {limit}");
        assert_eq!(end.contains("cut"), cut, "listlimit {limit}: {end}");
    }
    let daemon = Daemon::on(
        &cluster,
        &[
            ("mogilefs.listlimit", "3"),
            ("mogilefs.listlimit_error", "yes"),
        ],
    );
    let mut ftp = daemon.log_in();
    let data = ftp.data();
    ftp.expect("LIST /photos", 150);
    let mut text = String::new();
    data.stream().read_to_string(&mut text).unwrap();
    ftp.reply_of(451);
}

#[test]
fn extendedlist_looks_sizes_up() {
    let cluster = Cluster::start();
    cluster.put("photos/f", "photos", b"12345");
    for (value, size) in [("true", "5"), ("false", "0"), ("auto", "5")] {
        let daemon = Daemon::on(&cluster, &[("mogilefs.extendedlist", value)]);
        let lines = daemon.log_in().lines("LIST /photos");
        assert_eq!(
            lines[0].split_whitespace().nth(4),
            Some(size),
            "{value}: {lines:?}"
        );
    }
}

#[test]
fn searchlist_lists_what_begins_with_the_argument() {
    let cluster = Cluster::start();
    for name in ["test1", "test2", "other"] {
        cluster.put(&format!("photos/{name}"), "photos", b"x");
    }
    let daemon = Daemon::on(&cluster, &[("mogilefs.searchlist", "yes")]);
    let mut ftp = daemon.log_in();
    ftp.expect("CWD photos", 250);
    assert_eq!(ftp.lines("LIST test").len(), 2);
    // D19: the listing without an argument is whole.
    assert_eq!(ftp.lines("LIST").len(), 3);
    let daemon = Daemon::on(&cluster, &[("mogilefs.searchlist", "no")]);
    let mut ftp = daemon.log_in();
    ftp.expect("CWD photos", 250);
    let _data = ftp.data();
    ftp.expect("LIST test", 550);
}

#[test]
fn canrename_canmkdir_and_canrmdir_forbid() {
    let cluster = Cluster::start();
    cluster.put("photos/f", "photos", b"x");
    let daemon = Daemon::on(
        &cluster,
        &[
            ("mogilefs.canrename", "no"),
            ("mogilefs.canmkdir", "no"),
            ("mogilefs.canrmdir", "no"),
        ],
    );
    let mut ftp = daemon.log_in();
    ftp.expect("MKD /new", 550);
    ftp.expect("RMD /docs", 550);
    ftp.send(b"RNFR /photos/f\r\n");
    if ftp.reply().0 == 350 {
        ftp.expect("RNTO /photos/g", 550);
    }
    assert_eq!(cluster.classes(), ["docs", "photos"]);
    assert_eq!(cluster.keys(), ["photos/f"]);
}

#[test]
fn mindevcount_is_that_of_new_classes() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[("mogilefs.mindevcount", "3")]);
    daemon.log_in().expect("MKD /threefold", 257);
    // The tracker's other workers learn of a class a moment later.
    let count = support::eventually("the class is known", || {
        let fields = support::Tracker::connect(cluster.address)
            .call("get_domains", &[])
            .ok()?;
        let (name, _) = fields
            .iter()
            .find(|(_, value)| value.as_slice() == b"threefold")?;
        fields.get(&name.replace("name", "mindevcount")).cloned()
    });
    assert_eq!(count, b"3");
}

#[test]
fn logging_mode_says_where_the_log_goes() {
    // Mode 4 is tried below; the console of all is standard error, which -f adds.
    for (mode, in_file) in [("0", false), ("1", true), ("2", false), ("3", true)] {
        let daemon = Daemon::start(&[("logging.mode", mode)]);
        let mut ftp = Ftp::connect(daemon.address);
        ftp.expect("USER nobody", 331);
        ftp.expect("PASS nothing", 530);
        ftp.expect("QUIT", 221);
        daemon.wait_for("login-failed");
        if in_file {
            daemon.written("nanoftpd.log", "login-failed");
        } else {
            assert!(!daemon.dir().join("nanoftpd.log").exists(), "mode {mode}");
        }
    }
}

#[test]
fn syslog_gets_each_line_with_the_pid_of_its_process() {
    if !nix::unistd::geteuid().is_root() {
        support::say("skipped: a /dev of one's own needs root");
        return;
    }
    let scratch = Scratch::new();
    let syslogd = Syslogd::start(&scratch);
    let daemon = Daemon::within(
        &private_dev(&scratch),
        &[("logging.mode", "4"), ("logging.syslog_facility", "local3")],
    );
    let mut ftp = Ftp::connect(daemon.address);
    ftp.expect("USER x", 331);
    ftp.expect("PASS y", 530);
    let own = format!("nanoftpd[{}]", daemon.pid());
    let (mut from_master, mut from_worker) = (false, false);
    while !(from_master && from_worker) {
        let text = syslogd.line();
        // local3 is facility 19.
        let priority: u32 = text[1..].split('>').next().unwrap().parse().unwrap();
        assert_eq!(priority / 8, 19, "{text}");
        assert!(text.contains("nanoftpd["), "{text}");
        from_master |= text.contains("listening") && text.contains(&own);
        from_worker |= text.contains("login-failed") && !text.contains(&own);
    }
}
