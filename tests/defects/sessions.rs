//! D16 to D32: sessions that hung, burned, leaked or did what they must not.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Instant;

use crate::support::{Cluster, Daemon, Ftp, PATIENCE, noise, own_address, status};

#[test]
fn d16_the_control_connection_is_heard_during_a_transfer() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let data = ftp.data();
    ftp.expect("STOR /f", 150);
    let stream = data.stream();
    ftp.expect("NOOP", 200);
    assert!(ftp.expect("STAT", 211).contains("bytes"));
    ftp.send(b"ABOR\r\n");
    ftp.reply_of(426);
    ftp.reply_of(226);
    drop(stream);
    assert_eq!(fs::read_dir(daemon.files()).unwrap().count(), 0);
}

#[test]
fn d21_who_never_connects_is_waited_for_no_longer_than_said() {
    let daemon = Daemon::of_files(&[("passive.accept_timeout", "300ms")]);
    let mut ftp = daemon.log_in();
    ftp.expect("EPSV", 229);
    ftp.expect("STOR /f", 150);
    let begin = Instant::now();
    ftp.reply_of(425);
    assert!(begin.elapsed() < PATIENCE);
    ftp.expect("NOOP", 200);
}

#[test]
fn d21_who_connects_and_says_nothing_is_waited_for_no_longer_than_said() {
    let daemon = Daemon::of_files(&[("passive.stall_timeout", "300ms")]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let data = ftp.data();
    ftp.expect("STOR /f", 150);
    let stream = data.stream();
    ftp.reply_of(426);
    drop(stream);
    assert_eq!(fs::read_dir(daemon.files()).unwrap().count(), 0);
}

#[test]
fn d22_a_transfer_without_a_way_is_refused_at_once() {
    let daemon = Daemon::of_files(&[]);
    let own = own_address();
    let mut ftp = Ftp::connect_from(own, daemon.address);
    ftp.log_in("test", "test");
    ftp.expect("STOR x", 425);
    ftp.expect("RETR x", 425);
    // An address where nobody listens: 425, and no loop.
    ftp.expect(&format!("EPRT |1|{own}|5000|"), 200);
    ftp.expect("STOR x", 150);
    ftp.reply_of(425);
    ftp.expect("NOOP", 200);
}

#[test]
fn d23_a_crowd_is_greeted_to_the_last() {
    let daemon = Daemon::of_files(&[]);
    let crowd: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect_timeout(&daemon.address, PATIENCE).unwrap())
        .collect();
    for mut stream in crowd {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut code = [0; 3];
        stream.read_exact(&mut code).unwrap();
        assert_eq!(&code, b"220");
    }
}

#[test]
fn d25_memory_does_not_grow_with_the_file_and_no_file_is_left() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let bytes = noise(24 << 20, 3);
    ftp.store("/photos/f", &bytes);
    assert!(ftp.fetch("RETR /photos/f") == bytes);
    let worker = daemon.worker("test@");
    let peak = status(worker, "VmHWM").unwrap();
    let kilobytes: u64 = peak.split(' ').next().unwrap().parse().unwrap();
    assert!(kilobytes < 16 << 10, "{peak}");
    assert_eq!(fs::read_dir(daemon.dir().join("tmp")).unwrap().count(), 0);
}

#[test]
fn d26_a_full_log_costs_nobody_a_session() {
    let daemon = Daemon::of_files(&[("logging.file", "/dev/full"), ("logging.mode", "1")]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    ftp.store("/f", b"x");
    assert_eq!(ftp.fetch("RETR /f"), b"x");
}

#[test]
fn d27_replies_do_not_wait_for_each_other() {
    // Two small writes without TCP_NODELAY cost 40 ms a file: then none would take less, however idle the
    // machine is.
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let times = (0..100).map(|_| {
        let begin = Instant::now();
        ftp.store("/f", b"x");
        ftp.fetch("RETR /f");
        begin.elapsed()
    });
    let best = times.min().unwrap();
    assert!(best < std::time::Duration::from_millis(40), "{best:?}");
}

#[test]
fn d28_nothing_outside_of_the_root_is_read_written_or_shown() {
    let daemon = Daemon::of_files(&[]);
    let (files, outside) = (daemon.files(), daemon.dir().join("outside"));
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(outside.join("secret"), b"secret").unwrap();
    symlink("../outside", files.join("link")).unwrap();
    symlink("/etc/passwd", files.join("passwd")).unwrap();
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    ftp.store("/../../x", b"x");
    let _data = ftp.data();
    ftp.expect("STOR ../outside/x", 553);
    assert!(!outside.join("x").exists() && !daemon.dir().join("x").exists());
    for path in ["/link/secret", "/passwd", "../outside/secret"] {
        let _data = ftp.data();
        ftp.expect(&format!("RETR {path}"), 550);
    }
    let _data = ftp.data();
    ftp.expect("STOR /link/new", 553);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    let mode = fs::metadata(files.join("x")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[test]
fn d28_a_file_that_exists_below_the_root_only_by_its_real_name_is_not_found_above() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.expect("CWD ..", 250);
    assert!(ftp.expect("PWD", 257).contains("\"/\""));
    ftp.expect("SIZE /etc/passwd", 550);
}

#[test]
fn d29_no_bounce_and_no_stolen_data_connection() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    for (command, codes) in [
        ("PORT 127,0,0,9,100,1", 504),
        ("PORT 10,0,0,1,0,22", 504),
        ("PORT 127,0,0,1,0,22", 504),
        ("EPRT |1|127.0.0.9|5000|", 504),
        ("PORT 300,0,0,1,1,1", 501),
        ("PORT 127,0,0,1,300,5", 501),
    ] {
        ftp.expect(command, codes);
    }
    let reply = ftp.expect("EPSV", 229);
    let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
    ftp.expect("LIST", 150);
    let thief = Ftp::dial(
        Ipv4Addr::new(127, 0, 0, 9),
        (Ipv4Addr::LOCALHOST, port).into(),
    );
    let own = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    ftp.reply_of(226);
    let mut nothing = Vec::new();
    if let Ok(mut thief) = thief {
        let _ = thief.read_to_end(&mut nothing);
    }
    assert!(nothing.is_empty());
    drop(own);
}

#[test]
fn d32_odd_site_commands_and_modules_kill_nobody() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    ftp.store("/f", b"x");
    for command in [
        "SITE UID",
        "SITE GID",
        "SITE",
        "SITE XYZZY",
        "SITE CHMOD",
        "SITE CHMOD x /f",
        "SITE CHMOD 644",
    ] {
        ftp.send(format!("{command}\r\n").as_bytes());
        let (code, said) = ftp.reply();
        assert!(
            (200..600).contains(&code) && said.len() > 4,
            "{command}: {said}"
        );
    }
    ftp.expect("SITE CHMOD 640 /f", 200);
    let mode = fs::metadata(daemon.files().join("f"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640, "octal, as chmod(1) takes it");
    ftp.expect("NOOP", 200);
}
