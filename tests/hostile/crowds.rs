//! Too much of everything: connections, bytes, patience, halves of data connections.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::support::{Daemon, Ftp, PATIENCE, eventually, status};
use crate::{MOST_MEMORY, has_lost_nobody, is_flat, is_in_step, is_unharmed, peak_of};

#[test]
fn ten_thousand_connections_keep_no_member_out_and_cost_little() {
    const CROWD: u32 = 10_000;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let crowd = usize::try_from(u64::from(CROWD).min(hard.saturating_sub(512))).unwrap();
    let changes = [("logging.level", "info"), ("pool.max_clients", "64")];
    let daemon = Daemon::of_files(&changes);
    let mut held: Vec<Socket> = Vec::with_capacity(crowd);
    for place in (1..=4).cycle().take(crowd) {
        // From four places, without waiting for anything.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let source = Ipv4Addr::new(127, 9, 9, place);
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&daemon.address.into());
        held.push(socket);
    }
    log_in_among(&daemon);
    let peak = status(daemon.pid().as_raw(), "VmHWM").unwrap();
    let kilobytes: u64 = peak.split(' ').next().unwrap().parse().unwrap();
    assert!(kilobytes < 2 * MOST_MEMORY, "the master took {peak}");
    let workers = daemon.children();
    assert!(workers.len() <= 68, "{}", workers.len());
    drop(held);
    eventually("calm", || {
        let mut ftp = Ftp::silent(daemon.address);
        (ftp.reply().0 == 220).then_some(())
    });
    daemon.log_in().expect("PWD", 257);
    has_lost_nobody(&daemon.log.all());
}

/// A member is let in although all places are taken by who says nothing.
fn log_in_among(daemon: &Daemon) {
    let begun = Instant::now();
    // It stands in line behind thousands, each of whom is let in and sent away.
    let patience = PATIENCE * 4;
    while begun.elapsed() < patience {
        let mut ftp = Ftp::silent(daemon.address);
        // Of a connection for which there is no room in the queue the kernel tells nobody: who only
        // waits waits for ever, and comes again.
        ftp.control().set_read_timeout(Some(PATIENCE)).unwrap();
        if ftp.control().peek(&mut [0]).is_err() || ftp.reply().0 != 220 {
            continue;
        }
        ftp.control().set_read_timeout(Some(patience)).unwrap();
        ftp.log_in("test", "test");
        ftp.expect("PWD", 257);
        return;
    }
    panic!("nobody was let in");
}

/// Says bytes without an end, one at a time, until the other side has had enough.
fn trickle(ftp: &mut Ftp, bytes: &[u8]) {
    let begun = Instant::now();
    let mut stream = ftp.control().try_clone().unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    for byte in bytes.iter().cycle() {
        assert!(begun.elapsed() < PATIENCE, "it was never enough");
        let _ = stream.write_all(&[*byte]);
        match stream.read(&mut [0; 512]) {
            Ok(0) => return,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            _ => {}
        }
    }
}

#[test]
fn a_byte_now_and_then_does_not_keep_a_session() {
    let times = [("nanoftpd.login_time", "3"), ("nanoftpd.idle_time", "1")];
    let daemon = Daemon::of_files(&times);
    std::thread::scope(|scope| {
        for bytes in [&b"USER endless "[..], b"\xff\xf1", b"NOOP\r\n"] {
            let mut ftp = Ftp::connect(daemon.address);
            scope.spawn(move || trickle(&mut ftp, bytes));
        }
    });
    let mut member = daemon.log_in();
    trickle(&mut member, b"STOR endless ");
    let daemon = Daemon::of_files(&[("nanoftpd.idle_time", "2")]);
    trickle(&mut daemon.log_in(), b"\xff\xf1");
    is_unharmed(&daemon);
}

#[test]
fn a_line_without_an_end_is_answered_once_and_takes_no_memory() {
    let daemon = Daemon::of_files(&[]);
    for mut ftp in [Ftp::connect(daemon.address), daemon.log_in()] {
        let block = [b'x'; 1 << 16];
        for _ in 0..512 {
            ftp.send(&block);
        }
        ftp.send(b"\r\n");
        ftp.reply_of(500);
        is_in_step_or_named(&mut ftp);
        assert!(peak_of(&daemon, "127.0.0.1: ") < MOST_MEMORY);
        is_unharmed(&daemon);
    }
}

/// As [`is_in_step`], also for a visitor.
fn is_in_step_or_named(ftp: &mut Ftp) {
    ftp.expect("NOOP", 200);
}

#[test]
fn a_client_that_never_reads_its_replies_is_lost_and_takes_no_memory() {
    let daemon = Daemon::of_files(&[
        ("nanoftpd.idle_time", "3"),
        // A dialogue of a million lines is not for the log.
        ("logging.level", "info"),
    ]);
    let ftp = daemon.log_in();
    let mut stream = ftp.control().try_clone().unwrap();
    stream
        .set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let many = b"FEAT\r\nHELP\r\nSTAT\r\n".repeat(1000);
    let begun = Instant::now();
    let mut sent = 0;
    loop {
        assert!(begun.elapsed() < PATIENCE, "it was never lost");
        match stream.write(&many) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                is_flat(&daemon);
            }
            Err(_) => break,
        }
    }
    assert!(sent < 64 << 20, "{sent}");
    is_flat(&daemon);
    has_lost_nobody(&daemon.log.all());
}

#[test]
fn halves_of_data_connections_leave_nothing_behind() {
    let daemon = Daemon::of_files(&[("passive.accept_timeout", "300ms")]);
    let mut ftp = daemon.log_in();
    let pid = daemon.worker("test@");
    let open = || {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        fds.count()
    };
    let mut begun = 0;
    for round in 0..200 {
        let reply = ftp.expect("EPSV", 229);
        let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
        // Connected and left there; connected and gone; never connected.
        let streams: Vec<TcpStream> = (0..round % 3)
            .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap())
            .collect();
        if round % 2 == 0 {
            std::mem::forget(streams);
        }
        if round == 10 {
            begun = open();
        }
    }
    assert!(open() <= begun + 2, "{begun} {}", open());
    // Nobody comes to the last one, and to one that is asked for in the other direction.
    ftp.expect("EPSV", 229);
    ftp.expect("STOR x", 150);
    ftp.reply_of(425);
    ftp.store("x", b"x");
    is_in_step(&mut ftp);
    is_unharmed(&daemon);
}

#[test]
fn an_upload_a_byte_at_a_time_ends_with_the_patience_for_it() {
    let daemon = Daemon::of_files(&[("passive.stall_timeout", "2")]);
    let mut ftp = daemon.log_in();
    let mut data = ftp.data().stream();
    ftp.expect("STOR slow", 150);
    // As long as bytes come it is a slow client; when they stop it is none.
    for _ in 0..10 {
        data.write_all(b"x").unwrap();
        std::thread::park_timeout(Duration::from_millis(50));
    }
    ftp.reply_of(426);
    ftp.expect("SIZE slow", 550);
    is_unharmed(&daemon);
}
