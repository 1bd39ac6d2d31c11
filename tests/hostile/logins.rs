//! Who guesses: passwords over all workers, and which users there are.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::support::{Daemon, Ftp, eventually, own_address};
use crate::{answer, is_unharmed};

#[test]
fn guesses_count_over_all_workers_and_connections() {
    let changes = [
        ("limits.ban_time", "60"),
        ("limits.login_attempts", "4"),
        ("pool.max_spare", "8"),
    ];
    let daemon = Daemon::of_files(&changes);
    let thief = own_address();
    // Side by side, each in a process of its own.
    let mut sessions: Vec<Ftp> = (0..8)
        .map(|_| Ftp::connect_from(thief, daemon.address))
        .collect();
    let mut tried = 0;
    for ftp in &mut sessions {
        ftp.send(b"USER test\r\nPASS guess\r\n");
    }
    for ftp in &mut sessions {
        let (code, _) = ftp.reply();
        if code == 331 {
            tried += u32::from(ftp.reply().0 == 530);
        }
    }
    assert!(tried <= 4, "{tried}");
    daemon.wait_for(&format!("banned peer={thief}"));
    Ftp::silent_from(thief, daemon.address).reply_of(421);
    is_unharmed(&daemon);
}

/// How many logins have failed, as the master counts them.
fn failures(daemon: &Daemon) -> u64 {
    let page = daemon.order(&["status", "--prometheus"]).1;
    let start = "nanoftpd_login_failures_total ";
    let line = page.lines().find(|line| line.starts_with(start)).unwrap();
    line[start.len()..].parse().unwrap()
}

#[test]
fn guesses_are_no_faster_where_nobody_waits_for_the_answers() {
    let delay = Duration::from_secs(2);
    let daemon = Daemon::of_files(&[("limits.login_delay", "2")]);
    let thief = own_address();
    let begun = Instant::now();
    let mut ftp = Ftp::connect_from(thief, daemon.address);
    ftp.send(b"USER test\r\nPASS guess\r\n");
    eventually("a failure", || (failures(&daemon) == 1).then_some(()));
    drop(ftp);
    // The right password would be told at once, but it is not looked at before its time.
    Ftp::connect_from(thief, daemon.address).log_in("test", "test");
    assert!(begun.elapsed() >= delay, "{:?}", begun.elapsed());
    is_unharmed(&daemon);
}

#[test]
fn who_guesses_and_does_not_stay_for_the_answer_is_in_the_log() {
    let daemon = Daemon::of_files(&[("limits.login_delay", "60")]);
    let thief = own_address();
    let mut ftp = Ftp::connect_from(thief, daemon.address);
    ftp.send(b"USER test\r\nPASS guess\r\n");
    eventually("a failure", || (failures(&daemon) == 1).then_some(()));
    // As when others need the place.
    daemon.order(&["kick", &thief.to_string()]);
    daemon.wait_for(&format!("login-failed peer={thief} "));
    is_unharmed(&daemon);
}

/// The middle one of many times that a login with a wrong password took.
fn middle(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn whether_a_user_exists_is_told_neither_by_words_nor_by_time() {
    const ROUNDS: usize = 40;
    let daemon = Daemon::of_files(&[("limits.login_attempts", "0")]);
    let names = [
        "test",
        "nobody-of-that-name",
        "tes",
        "test ",
        "root",
        "\u{e4}\u{f6}",
    ];
    let mut times = vec![Vec::new(); names.len()];
    let mut words = vec![Vec::new(); names.len()];
    let mut ftp = Ftp::connect(daemon.address);
    for _ in 0..ROUNDS {
        for (at, name) in names.iter().enumerate() {
            let (code, asked) = answer(&mut ftp, format!("USER {name}").as_bytes());
            assert_eq!(code, 331);
            let begun = Instant::now();
            let (code, said) = answer(&mut ftp, b"PASS wrong");
            times[at].push(begun.elapsed());
            assert_eq!(code, 530);
            words[at].push((asked.replace(name, ""), said));
        }
    }
    for at in 1..names.len() {
        assert_eq!(words[at], words[0], "{}", names[at]);
    }
    let middles: Vec<Duration> = times.iter_mut().map(|times| middle(times)).collect();
    let (least, most) = (middles.iter().min().unwrap(), middles.iter().max().unwrap());
    // A hash that is not computed is a hundred times faster.
    assert!(*most < *least * 3, "{names:?}: {middles:?}");
    is_unharmed(&daemon);
}

#[test]
fn strange_names_and_passwords_let_nobody_in() {
    let daemon = Daemon::of_files(&[("limits.login_attempts", "0"), ("auth.text.sep", ":")]);
    let long = vec![b'a'; 4000];
    let names: [&[u8]; 14] = [
        b"' OR '1'='1' --",
        b"test' --",
        b"test\"; DROP TABLE users; --",
        b"test\\",
        b"test:x",
        b"test%00",
        b"..",
        b"../test",
        b"/",
        b"*",
        b"$(id)",
        b"TEST",
        b"t\xc3\xabst",
        &long,
    ];
    let mut ftp = Ftp::connect_from(Ipv4Addr::new(127, 0, 12, 1), daemon.address);
    for name in names {
        for password in [&b"test"[..], b"", b"' OR '1'='1", b"wrong\\", &long] {
            let (code, said) = answer(&mut ftp, &[b"USER ", name].concat());
            assert!([331, 501, 530].contains(&code), "{said}");
            let (code, said) = answer(&mut ftp, &[b"PASS ", password].concat());
            assert!(
                [530, 501, 503].contains(&code),
                "{name:?} {password:?} {said}"
            );
        }
    }
    // The password that is right, with nothing of somebody else's name left over.
    ftp.log_in("test", "test");
    for empty in ["USER test\r\nPASS\r\n", "USER test\r\nPASS \r\n"] {
        let mut ftp = Ftp::connect(daemon.address);
        ftp.send(empty.as_bytes());
        ftp.reply_of(331);
        let (code, said) = ftp.reply();
        assert!([501, 530].contains(&code), "{said}");
    }
    is_unharmed(&daemon);
}
