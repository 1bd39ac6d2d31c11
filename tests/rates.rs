//! How fast clients may go: evenly, shared by the sessions of a user over all workers, and never in
//! the way of what must be heard meanwhile. What is told of it while it goes on.
#![cfg(test)]

mod support;

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Daemon, Ftp, eventually, noise};

const RATE: u64 = 400 << 10;

/// What a bucket may hold, and some for the way.
const SLACK: u64 = RATE / 4 + 64 * 1024;

/// No more may have come than a clock that was started before the transfer allows.
fn check(moved: usize, begun: Instant) {
    let most = begun.elapsed().as_millis() * u128::from(RATE) / 1000 + u128::from(SLACK);
    assert!(moved as u128 <= most, "{moved} of at most {most}");
}

fn download(ftp: &mut Ftp, name: &str) -> TcpStream {
    let data = ftp.data();
    ftp.expect(&format!("RETR {name}"), 150);
    data.stream()
}

/// Reads for so long; how much.
fn read_for(stream: &mut TcpStream, time: Duration) -> usize {
    let begun = Instant::now();
    let (mut block, mut sum) = ([0; 4096], 0);
    while begun.elapsed() < time {
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(count) => sum += count,
            // By whoever stops and continues processes.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
    }
    sum
}

#[test]
fn a_session_goes_evenly_and_is_heard_meanwhile() {
    let rate = RATE.to_string();
    let changes = [
        ("limits.download_rate", &*rate),
        ("limits.upload_rate", &rate),
    ];
    let daemon = Daemon::of_files(&changes);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let bytes = noise(1200 << 10, 1);

    let begun = Instant::now();
    ftp.store("a.bin", &bytes);
    check(bytes.len(), begun);

    let begun = Instant::now();
    let mut stream = download(&mut ftp, "a.bin");
    let (mut block, mut got, mut steps) = (vec![0; 1 << 20], Vec::new(), 0);
    loop {
        let count = stream.read(&mut block).unwrap();
        if count == 0 {
            break;
        }
        got.extend_from_slice(&block[..count]);
        check(got.len(), begun);
        steps += 1;
        if steps == 3 {
            ftp.expect("NOOP", 200);
            assert!(ftp.expect("STAT", 211).contains("RETR a.bin: "));
        }
    }
    ftp.reply_of(226);
    assert_eq!(got, bytes);
    assert!(steps > 5, "{steps} steps");

    let stream = download(&mut ftp, "a.bin");
    ftp.send(b"ABOR\r\n");
    ftp.reply_of(426);
    ftp.reply_of(226);
    drop(stream);
    // A listing is no exception to anything.
    assert_eq!(ftp.lines("NLST").len(), 1);
}

#[test]
fn the_sessions_of_a_user_share_and_a_killed_one_leaves_its_share() {
    let rate = RATE.to_string();
    let daemon = Daemon::of_files(&[("limits.download_rate_per_user", &*rate)]);
    let (mut streams, _sessions) = two_that_share(&daemon);
    kill_one(&daemon);
    settles(&mut streams, is_left_to_one);
}

#[test]
fn another_program_in_the_same_process_goes_on_dividing() {
    let rate = RATE.to_string();
    let daemon = Daemon::of_files(&[("limits.download_rate_per_user", &*rate)]);
    let (mut streams, _sessions) = two_that_share(&daemon);
    daemon.signal(Signal::SIGUSR2);
    daemon.wait_for(" upgraded ");
    kill_one(&daemon);
    settles(&mut streams, is_left_to_one);
}

/// What two sessions of a user fetch, each at half of the rate.
fn two_that_share(daemon: &Daemon) -> (Vec<TcpStream>, [Ftp; 2]) {
    let mut one = daemon.log_in();
    let mut two = daemon.log_in();
    one.store("a.bin", &noise(8 << 20, 2));

    let mut streams = vec![download(&mut one, "a.bin"), download(&mut two, "a.bin")];
    // The second one is told its part at once, the first a moment later, and a busy machine takes its time.
    // With a rate for each of them all would be twice as much, every second.
    settles(&mut streams, |moved| {
        let (less, more) = (moved[0].min(moved[1]), moved[0].max(moved[1]));
        less * 2.0 > more && (0.75..1.35).contains(&(less + more))
    });
    (streams, [one, two])
}

fn kill_one(daemon: &Daemon) {
    let mut at_work = daemon.children().into_iter();
    let (pid, _) = at_work.rfind(|(_, title)| title.contains("RETR")).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    daemon.wait_for(&format!("worker-died pid={pid} "));
}

fn is_left_to_one(moved: &[f64]) -> bool {
    let (less, more) = (moved[0].min(moved[1]), moved[0].max(moved[1]));
    less == 0.0 && (0.75..1.35).contains(&more)
}

/// Waits for a second in which each of them moves what is `wanted` of them, as parts of the rate.
fn settles(streams: &mut [TcpStream], wanted: impl Fn(&[f64]) -> bool) {
    let mut seen = Vec::new();
    for _ in 0..8 {
        let moved = thread::scope(|scope| {
            let reading = streams.iter_mut().map(|stream| {
                scope.spawn(|| {
                    let begun = Instant::now();
                    let sum = read_for(stream, Duration::from_secs(1)) as f64;
                    sum / begun.elapsed().as_secs_f64() / RATE as f64
                })
            });
            let reading: Vec<_> = reading.collect();
            let moved = reading.into_iter().map(|one| one.join().unwrap());
            moved.collect::<Vec<f64>>()
        });
        if wanted(&moved) {
            return;
        }
        seen.push(moved);
    }
    panic!("{seen:?}");
}

#[test]
fn commands_that_come_too_fast_wait_for_their_turn() {
    let daemon = Daemon::of_files(&[("limits.commands_per_second", "5")]);
    let begun = Instant::now();
    let mut ftp = daemon.log_in();
    ftp.send("NOOP\r\n".repeat(13).as_bytes());
    for _ in 0..13 {
        ftp.reply_of(200);
    }
    assert!(
        begun.elapsed() >= Duration::from_millis(1900),
        "{:?}",
        begun.elapsed()
    );
    // The master is heard all the same.
    ftp.send("NOOP\r\n".repeat(200).as_bytes());
    let begun = Instant::now();
    let pid = daemon.worker("test@").to_string();
    assert_eq!(ask(&daemon, &["kick", &pid]), "1 sessions ended\n");
    while ftp.reply().0 == 200 {}
    assert!(begun.elapsed() < Duration::from_secs(10));
}

fn ask(daemon: &Daemon, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanoftpd"));
    let output = command.arg("-c").arg(daemon.conf()).args(words).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn a_status_tells_how_much_goes_how_fast() {
    let rate = RATE.to_string();
    let daemon = Daemon::of_files(&[("limits.download_rate", &*rate)]);
    let mut ftp = daemon.log_in();
    ftp.expect("MKD d", 257);
    ftp.expect("CWD d", 250);
    ftp.store("a.bin", &noise(3 << 20, 3));
    let mut stream = download(&mut ftp, "a.bin");
    let reading = thread::spawn(move || read_for(&mut stream, Duration::from_secs(60)));
    let field = |json: &str, name: &str| -> Option<u64> {
        let (_, rest) = json.split_once(&format!("\"{name}\":"))?;
        rest.split([',', '}']).next()?.parse().ok()
    };
    let json = eventually("a second report, and its rate", || {
        let json = ask(&daemon, &["status", "--json"]);
        let is_second = field(&json, "bytes")? > RATE * 3 / 2;
        let is_right = (RATE / 2..RATE * 2).contains(&field(&json, "rate")?);
        (is_second && is_right).then_some(json)
    });
    assert!(json.contains("\"path\":\"/d/a.bin\""), "{json}");
    assert_eq!(field(&json, "uploaded"), Some(3 << 20));
    let table = ask(&daemon, &["status"]);
    assert!(table.contains("K/s  RETR /d/a.bin\n"), "{table}");
    assert_eq!(reading.join().unwrap(), 3 << 20);
    ftp.reply_of(226);
    eventually("the sum", || {
        let json = ask(&daemon, &["status", "--json"]);
        let sums = (field(&json, "downloaded"), field(&json, "bytes"));
        (sums == (Some(3 << 20), Some(0))).then_some(())
    });
}
