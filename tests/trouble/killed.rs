//! SIGKILL for any process at any moment: what it costs, and that everything is right afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Cluster, Daemon, Ftp, PATIENCE, eventually, noise, own_address, say, unique};
use crate::{calm_with, length, zombies};

/// So many clients work while workers are killed, each from an address of its own.
const CLIENTS: u8 = 8;

/// So many are killed at least, and so many let in.
const ENOUGH: usize = 10;

fn address(client: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 8, client)
}

/// The parts of a session that may be cut off anywhere; how many logins were confirmed.
fn work(daemon: &Daemon, client: u8, over: &AtomicBool) -> usize {
    let mut logins = 0;
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let Ok(mut stream) = Ftp::dial(address(client), daemon.address) else {
            continue;
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut say = |command: &str, code: &str| {
            let sent = stream.write_all(command.as_bytes());
            let mut reply = [0; 512];
            let got = sent.and_then(|()| stream.read(&mut reply)).unwrap_or(0);
            String::from_utf8_lossy(&reply[..got]).starts_with(code)
        };
        if say("", "220") && say("USER test\r\n", "331") && say("PASS test\r\n", "230") {
            logins += 1;
            say(&format!("MKD d{client}-{number}\r\n"), "257");
            say("QUIT\r\n", "221");
        }
    }
    logins
}

/// Kills a worker every now and then; how many.
fn murder(daemon: &Daemon, end: Duration) -> usize {
    let begun = Instant::now();
    let (mut killed, mut chance) = (0, 7_usize);
    // Where others want the processors too it takes longer to find as many.
    while begun.elapsed() < end || killed <= ENOUGH && begun.elapsed() < PATIENCE {
        let children = daemon.children().into_iter();
        let workers = children.filter(|(_, title)| title.contains("[worker]"));
        let pids: Vec<i32> = workers.map(|(pid, _)| pid).collect();
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        if let Some(pid) = pids.get((chance >> 33) % pids.len().max(1)) {
            killed += usize::from(kill(Pid::from_raw(*pid), Signal::SIGKILL).is_ok());
        }
        // Between two murders somebody must be born.
        thread::sleep(Duration::from_millis(40));
    }
    killed
}

#[test]
fn workers_killed_at_random_leave_no_trace() {
    let daemon = Daemon::of_files(&[
        ("logging.level", "info"),
        ("pool.min_spare", "4"),
        ("pool.max_spare", "12"),
        ("limits.max_per_ip", "2"),
        ("limits.max_per_user", "10"),
    ]);
    let over = AtomicBool::new(false);
    let (mut logins, mut killed) = (0, 0);
    thread::scope(|scope| {
        let (daemon, over) = (&daemon, &over);
        let working = (1..=CLIENTS).map(|client| scope.spawn(move || work(daemon, client, over)));
        let working: Vec<_> = working.collect();
        killed = murder(daemon, length());
        over.store(true, Ordering::Relaxed);
        logins = working.into_iter().map(|one| one.join().unwrap()).sum();
    });
    say(&format!("{logins} logins, {killed} workers killed"));
    assert!(killed > ENOUGH && logins > ENOUGH, "{logins} {killed}");
    calm_with(&daemon, 4..=12);
    eventually("no zombies", || (zombies(&daemon) == 0).then_some(()));

    counts_are_right(&daemon, logins, killed);

    // Nobody is still counted who is gone, and the limits hold.
    let mut inside: Vec<Ftp> = Vec::new();
    for client in 1..=5 {
        for _ in 0..2 {
            let mut ftp = Ftp::connect_from(address(client), daemon.address);
            ftp.log_in("test", "test");
            inside.push(ftp);
        }
        Ftp::silent_from(address(client), daemon.address).reply_of(421);
    }
    let mut eleventh = Ftp::connect_from(address(6), daemon.address);
    eleventh.expect("USER test", 331);
    eleventh.expect("PASS test", 421);
    for ftp in &mut inside {
        ftp.expect("PWD", 257);
    }
}

/// What is counted is what was done.
fn counts_are_right(daemon: &Daemon, logins: usize, killed: usize) {
    let (_, page, _) = daemon.order(&["status", "--prometheus"]);
    let count = |name: &str| -> usize {
        let is_it = |line: &&str| line.split(' ').next() == Some(name);
        let line = page.lines().find(is_it).unwrap_or_else(|| panic!("{name}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    // All that was logged before this.
    let mark = unique();
    let mut ftp = Ftp::connect(daemon.address);
    ftp.expect(&format!("USER {mark}"), 331);
    ftp.expect("PASS x", 530);
    daemon.wait_for(&mark);
    let lines = daemon.log.all();
    let logged = |event: &str| lines.iter().filter(|line| line.contains(event)).count();
    assert_eq!(count("nanoftpd_sessions"), 0);
    assert_eq!(
        count("nanoftpd_worker_deaths_total"),
        logged(" worker-died ")
    );
    let deaths = logged(" worker-died ");
    // Who was ending anyhow when it was killed may have ended well.
    assert!(
        deaths <= killed && deaths > killed / 2,
        "{deaths} of {killed}"
    );
    let entered = count("nanoftpd_logins_total");
    assert!(
        entered >= logins && entered >= logged(" info login "),
        "{entered} {logins}"
    );
}

/// So many downloads go on when the master is killed, and as many uploads. Every other client stalls.
const TRANSFERS: usize = 10;

/// A transfer that has begun.
fn begin(daemon: &Daemon, command: &str) -> (Ftp, TcpStream) {
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let data = ftp.data();
    ftp.expect(command, 150);
    (ftp, data.stream())
}

/// Whether it ends with both connections, and says so.
fn is_cut(ftp: &mut Ftp) {
    let (code, text) = ftp.reply();
    assert!([421, 426].contains(&code), "{text}");
    if code == 426 {
        ftp.reply_of(421);
    }
    assert!(ftp.is_closed());
}

/// Starts the same service again, in the same place, at the first attempt.
fn start_again(daemon: &Daemon, cluster: &Cluster) {
    let (own, port) = (daemon.address.ip(), daemon.address.port());
    let (own, port) = (own.to_string(), port.to_string());
    let tracker = cluster.address.to_string();
    daemon.write_conf(&[
        ("nanoftpd.listen_addr", &*own),
        ("nanoftpd.listen_port", &*port),
        ("nanoftpd.daemonize", "yes"),
        ("mogilefs.tracker", &*tracker),
        ("mogilefs.domain", &*cluster.domain),
    ]);
    let begun = Instant::now();
    let (code, _, said) = daemon.order(&[]);
    assert_eq!(code, Some(0), "{said}");
    say(&format!("another start took {:?}", begun.elapsed()));
}

#[test]
fn a_killed_master_leaves_transfers_that_end_and_a_free_place() {
    let cluster = Cluster::start();
    let large = noise(6 << 20, 1);
    cluster.put("photos/large", "photos", &large);
    let (first, rest) = large.split_at(100_000);
    // Where nobody takes the port when it is left.
    let own = own_address().to_string();
    let changes = [
        ("nanoftpd.stop_grace", "10"),
        ("nanoftpd.listen_addr", &*own),
        ("logging.level", "info"),
    ];
    let mut daemon = Daemon::on(&cluster, &changes);
    let down = (0..TRANSFERS).map(|_| begin(&daemon, "RETR /photos/large"));
    let down: Vec<(Ftp, TcpStream)> = down.collect();
    let up = (0..TRANSFERS).map(|number| {
        let (ftp, mut stream) = begin(&daemon, &format!("STOR /photos/up{number}"));
        stream.write_all(first).unwrap();
        (ftp, stream)
    });
    let up: Vec<(Ftp, TcpStream)> = up.collect();
    let mut idle = daemon.log_in();
    daemon.signal(Signal::SIGKILL);
    let refused = || TcpStream::connect(daemon.address).err();
    eventually("the end of the listening", refused);
    // Nothing of the old one is in the way of the next, though twenty transfers go on.
    start_again(&daemon, &cluster);
    let mut next = daemon.log_in();

    idle.reply_of(421);
    assert!(idle.is_closed());
    let mut stalled = Vec::new();
    for (number, (mut ftp, mut stream)) in down.into_iter().enumerate() {
        if number % 2 == 1 {
            stalled.push((ftp, stream));
            continue;
        }
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        ftp.reply_of(226);
        assert!(got == large);
        ftp.reply_of(421);
    }
    for (number, (mut ftp, mut stream)) in up.into_iter().enumerate() {
        if number % 2 == 1 {
            stalled.push((ftp, stream));
            continue;
        }
        stream.write_all(rest).unwrap();
        drop(stream);
        ftp.reply_of(226);
        ftp.reply_of(421);
    }
    stalled.iter_mut().for_each(|(ftp, _)| is_cut(ftp));
    assert_eq!(daemon.wait(PATIENCE), None);
    only_what_was_confirmed_is_there(&cluster, &large);
    assert_eq!(fs::read_dir(daemon.dir().join("tmp")).unwrap().count(), 0);

    next.expect("PWD", 257);
    let pid = fs::read_to_string(daemon.dir().join("nanoftpd.pid")).unwrap();
    kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGTERM).unwrap();
    next.reply_of(421);
    assert!(next.is_closed());
}

/// Half of the uploads are there, whole; of the others nothing.
fn only_what_was_confirmed_is_there(cluster: &Cluster, large: &[u8]) {
    let up = (0..TRANSFERS).step_by(2);
    let mut expected: Vec<String> = up.map(|up| format!("photos/up{up}")).collect();
    for key in &expected {
        let content = cluster.content(key);
        assert!(content.is_some_and(|content| content == large), "{key}");
    }
    expected.insert(0, "photos/large".to_owned());
    assert_eq!(cluster.keys(), expected);
    if let Some(node) = &cluster.node {
        assert_eq!(node.temp_rows(), [""; 0]);
    }
}

#[test]
fn clerks_killed_again_and_again_hold_nobody_up() {
    let daemon = Daemon::of_files(&[("auth.module", "Exec"), ("auth.exec.command", "/bin/true")]);
    let mut ftp = Ftp::connect(daemon.address);
    daemon.expect_error("login-unavailable");
    let begun = Instant::now();
    let mut killed = BTreeSet::new();
    while begun.elapsed() < Duration::from_secs(2) {
        for (pid, title) in daemon.children() {
            // One that was killed before may be there for a moment, and be gone in the next.
            if title.contains("[clerk]") && kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() {
                killed.insert(pid);
            }
        }
        // Right or wrong, it is answered.
        ftp.expect("USER test", 331);
        ftp.send(b"PASS test\r\n");
        let (code, text) = ftp.reply();
        if code == 421 {
            ftp = Ftp::connect(daemon.address);
        } else {
            assert_eq!(code, 530, "{text}");
        }
    }
    // All three at first, and each after pauses of 100, 200, 400, 800 ms.
    let late = usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert!((4..17 + 3 * late).contains(&killed.len()), "{killed:?}");
    eventually("all are there", || {
        let children = daemon.children();
        let clerks = children.values().filter(|title| title.contains("[clerk]"));
        (clerks.count() == 3).then_some(())
    });
}
