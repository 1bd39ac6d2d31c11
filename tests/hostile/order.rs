//! Commands in the wrong order, and verbs that only look like verbs.

use crate::support::{Cluster, Daemon, Ftp};
use crate::{answer, is_in_step, is_unharmed};

#[test]
fn a_verb_is_ascii_and_nothing_else() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    for line in [
        &b"\xce\x94ELE x"[..],
        "\u{17f}TOR x".as_bytes(),
        "R\u{212a}D x".as_bytes(),
        "L\u{131}ST".as_bytes(),
        "L\u{130}ST".as_bytes(),
        "\u{fb01}LE x".as_bytes(),
        "\u{ff31}\u{ff35}\u{ff29}\u{ff34}".as_bytes(),
        b"QUI\xd4",
        b"\xd1UIT",
        b"QUIT\0",
        b"\0QUIT",
        b"\x80\x81\x82",
        b"STORX x",
        b"QUITE",
        b"DELE\x0bx",
        b"%n%n%n",
        &[b'Q'; 4000],
        b"",
        b"       ",
    ] {
        let (code, said) = answer(&mut ftp, line);
        assert!([500, 501].contains(&code), "{line:?}: {said}");
        is_in_step(&mut ftp);
    }
    ftp.expect("quit", 221);
    is_unharmed(&daemon);
}

#[test]
fn a_failed_route_is_none_and_the_next_one_counts() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    for failed in [
        "PORT 10,0,0,1,1,1",
        "PORT x",
        "EPRT |1|127.0.0.1|1|",
        "EPRT",
        "EPSV 9",
    ] {
        ftp.send(format!("{failed}\r\n").as_bytes());
        assert!(ftp.reply().0 >= 500, "{failed}");
        ftp.store("f", b"x");
        assert_eq!(ftp.fetch("RETR f"), b"x");
        // After a good one too: what failed has not kept it.
        ftp.expect("EPSV", 229);
        ftp.send(format!("{failed}\r\n").as_bytes());
        ftp.reply();
        ftp.store("f", b"x");
    }
    is_in_step(&mut ftp);
    is_unharmed(&daemon);
}

#[test]
fn what_a_command_prepares_is_for_the_next_one_only() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    ftp.store("photos/f", b"0123456789");
    ftp.expect("RNTO photos/g", 503);
    for between in ["NOOP", "PWD", "SIZE photos/f", "RNFR photos/none"] {
        ftp.expect("RNFR photos/f", 350);
        ftp.send(format!("{between}\r\n").as_bytes());
        ftp.reply();
        let (code, said) = answer(&mut ftp, b"RNTO photos/g");
        assert!(
            code == 503 || between == "NOOP" && code == 250,
            "{between}: {said}"
        );
        answer(&mut ftp, b"RNFR photos/g");
        answer(&mut ftp, b"RNTO photos/f");
    }
    // Another login does not go on with what the one before it prepared.
    ftp.expect("RNFR photos/f", 350);
    ftp.expect("USER test", 331);
    ftp.expect("RNTO photos/g", 530);
    ftp.expect("PASS test", 230);
    ftp.expect("RNTO photos/g", 503);
    ftp.expect("REST 5", 350);
    ftp.expect("REIN", 220);
    ftp.log_in("test", "test");
    assert_eq!(ftp.fetch("RETR photos/f"), b"0123456789");
    assert_eq!(cluster.keys(), ["photos/f"]);
    is_unharmed(&daemon);
}

#[test]
fn who_has_not_logged_in_can_do_nothing_with_a_path() {
    let daemon = Daemon::of_files(&[]);
    for (before, verdict) in [("NOOP", 530), ("USER test", 530), ("USER nobody", 530)] {
        let mut ftp = Ftp::connect(daemon.address);
        ftp.send(format!("{before}\r\n").as_bytes());
        ftp.reply();
        for verb in [
            "CWD",
            "MKD",
            "RMD",
            "DELE",
            "RNFR",
            "RNTO",
            "STOR",
            "APPE",
            "RETR",
            "LIST",
            "NLST",
            "MLSD",
            "MLST",
            "SIZE",
            "MDTM",
            "MFMT",
            "XMD5",
            "HASH",
            "STAT",
            "SITE CHMOD 777",
            "SITE UTIME",
            "STOU",
            "PORT",
            "PASV",
            "EPSV",
            "REST",
            "XCWD",
            "XMKD",
            "XRMD",
        ] {
            let (code, said) = answer(&mut ftp, format!("{verb} /f").as_bytes());
            let is_unknown = [500, 502, 503].contains(&code);
            assert!(
                code == verdict || is_unknown,
                "{verb} after {before}: {said}"
            );
        }
    }
    is_unharmed(&daemon);
}

/// What a walk is made of; `{n}` is a number.
const STEPS: &[&str] = &[
    "USER test",
    "PASS test",
    "REIN",
    "NOOP",
    "PWD",
    "CWD d{n}",
    "CDUP",
    "MKD d{n}",
    "RMD d{n}",
    "DELE f{n}",
    "SIZE f{n}",
    "MDTM f{n}",
    "RNFR f{n}",
    "RNTO f{n}",
    "REST {n}",
    "ALLO {n}",
    "TYPE A",
    "TYPE I",
    "MODE S",
    "STRU F",
    "EPSV",
    "PASV",
    "PORT 1,2,3,4,5,{n}",
    "EPRT |1|x|{n}|",
    "ABOR",
    "STAT",
    "STAT d{n}",
    "MLST f{n}",
    "FEAT",
    "HELP",
    "OPTS UTF8 ON",
    "SITE HELP",
    "SITE CHMOD 6{n}4 f{n}",
    "XMD5 f{n}",
    "ACCT {n}",
    "STOR f{n}",
    "RETR f{n}",
    "LIST",
    "\u{e9}{n}",
];

#[test]
fn a_long_walk_through_all_commands_gets_a_reply_for_each() {
    let daemon = Daemon::of_files(&[
        ("passive.accept_timeout", "10ms"),
        ("limits.login_attempts", "0"),
    ]);
    for seed in 1..=4_u64 {
        let mut ftp = daemon.log_in();
        let mut state = seed;
        for _ in 0..400 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let step = STEPS[usize::try_from(state % STEPS.len() as u64).unwrap()];
            let step = step.replace("{n}", &(state >> 32 & 7).to_string());
            let (mut code, mut said) = answer(&mut ftp, step.as_bytes());
            while (100..200).contains(&code) {
                (code, said) = ftp.reply();
            }
            assert!((200..600).contains(&code), "{step}: {said}");
            assert_ne!(code, 421, "{step}: {said}");
        }
        let said = ftp.expect("NOOP", 200);
        assert!(said.starts_with("200"), "{said}");
    }
    is_unharmed(&daemon);
}

/// A clock that is set does not end, prolong or grant anything: no decision of a session or of the
/// master looks at it.
#[test]
fn waits_bans_and_limits_are_kept_by_a_clock_that_nobody_sets() {
    /// Where the time of day is shown to people, or compared with that of a file or a certificate.
    const OF_THE_DAY: [&str; 4] = [
        "ftp/member/listing.rs",
        "auth/text.rs",
        "logger/journal.rs",
        "master/ground.rs",
    ];
    let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut dirs = vec![src.clone()];
    let mut monotonic = 0;
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            monotonic += text.matches("Instant::now()").count();
            let name = path
                .strip_prefix(&src)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let asks = ["SystemTime::now()", "Timestamp::now()", "Zoned::now()"]
                .iter()
                .any(|call| text.contains(call));
            let is_test = name.contains("tests");
            assert!(!asks || is_test || OF_THE_DAY.contains(&&*name), "{name}");
        }
    }
    assert!(monotonic > 20, "{monotonic}");
}
