//! Names that mean more than they should: to the file system, to a log, to a terminal, to a format.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use crate::support::{Cluster, Daemon, Ftp};
use crate::{MOST_MEMORY, answer, is_in_step, is_unharmed, peak_of};

/// Names, without the byte 255, which is doubled on the wire.
fn tricks() -> Vec<Vec<u8>> {
    let mut tricks: Vec<Vec<u8>> = [
        &b".."[..],
        b".",
        b"...",
        b"../../../../etc/passwd",
        b"/../../etc/passwd",
        b"x/../../../../tmp/escaped",
        b"//etc//passwd",
        b"..\\..\\windows",
        b"%2e%2e%2fetc",
        b"%n%n%s%s%x%99999d",
        b"{0}{}{:?}",
        b"a\0b",
        b"a\rb",
        b"a\x1b[2J\x07b",
        b"a\x9b31mb",
        b"\x7f\x08\x08",
        b"trailing ",
        b"trailing.",
        b"trailing/",
        b"trailing/.",
        b" leading",
        b"-la",
        b"--",
        b"~",
        b"~root",
        b"$HOME",
        b"`id`",
        b"|id",
        b";id",
        b"a\"b\"\"c",
        b"a'b",
        b"*",
        b"[",
        b"[a-",
        b"\\",
        b"\xc3\x28",
        b"\xf0\x9f\x92\xa9",
        b"\xed\xa0\x80",
        b"\xc0\xae\xc0\xae/\xc0\xaf",
        b"NUL",
        b"CON.txt",
        b".nanoftpd-0123456789abcdef",
        b"drwxr-xr-x 2 root root 4096 Jan  1 00:00 fake",
        b"type=dir;size=1; fake",
        b"226 Done",
    ]
    .iter()
    .map(|name| name.to_vec())
    .collect();
    for len in [255, 256, 1023, 1024, 4000] {
        tricks.push(vec![b'n'; len]);
    }
    tricks.push(b"d/".repeat(1500));
    tricks.push(b"../".repeat(1300));
    tricks
}

/// Does with `name` whatever can be done with a name; every command gets one reply.
fn try_name(ftp: &mut Ftp, name: &[u8]) {
    for verb in [
        "SIZE", "MDTM", "MLST", "STAT", "XMD5", "CWD", "DELE", "RMD", "RNFR", "MKD",
    ] {
        let (code, said) = answer(ftp, &[verb.as_bytes(), b" ", name].concat());
        assert!((200..600).contains(&code), "{said}");
        assert!(!said.contains("root:x:0:0"), "{said}");
        if verb == "CWD" && code == 250 {
            ftp.expect("CWD /", 250);
        }
    }
    for verb in ["STOR", "APPE", "LIST", "NLST", "MLSD", "RETR"] {
        let data = ftp.data().stream();
        let (code, said) = answer(ftp, &[verb.as_bytes(), b" ", name].concat());
        if code != 150 {
            assert!(code >= 400, "{said}");
            continue;
        }
        if verb == "STOR" || verb == "APPE" {
            data.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let mut bytes = Vec::new();
        let _ = std::io::Read::read_to_end(&mut &data, &mut bytes);
        assert!(!bytes.windows(10).any(|part| part == b"root:x:0:0"));
        let (code, said) = ftp.reply();
        assert!(code == 226 || code >= 400, "{said}");
    }
    is_in_step(ftp);
}

#[test]
fn no_name_leads_out_breaks_a_listing_or_a_session() {
    let cluster = Cluster::start();
    let users = ["test:File", "moji:MogileFs", "flat:MogileFs_FlatNS"];
    let daemon = Daemon::with_users(&cluster, &users, &[("logging.level", "debug")]);
    let before = around(&daemon);
    for user in ["test", "moji", "flat"] {
        let mut ftp = Ftp::connect(daemon.address);
        ftp.log_in(user, "test");
        for name in tricks() {
            try_name(&mut ftp, &name);
            if user == "moji" {
                try_name(&mut ftp, &[b"photos/", &name[..]].concat());
            }
        }
        for line in ftp.fetch("LIST").split(|byte| *byte == b'\n') {
            let is_whole = line.is_empty() || line.ends_with(b"\r");
            assert!(is_whole && !line[..line.len().max(1) - 1].contains(&b'\r'));
        }
        assert!(peak_of(&daemon, &format!("{user}@")) < MOST_MEMORY);
    }
    assert_eq!(
        around(&daemon),
        before,
        "something was made outside of the root"
    );
    // What was logged of it are whole lines, each of which begins as a line does.
    let log = fs::read(daemon.dir().join("nanoftpd.log")).unwrap();
    for line in log
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let text = String::from_utf8_lossy(line);
        assert!(is_for_a_terminal(&text), "{text:?}");
        assert!(is_line_of_the_log(&text), "{text}");
    }
    is_unharmed(&daemon);
}

/// Whatever lies beside the root of the users.
fn around(daemon: &Daemon) -> BTreeSet<Vec<u8>> {
    let own = fs::read_dir(daemon.dir()).unwrap();
    let tmp = fs::read_dir(daemon.dir().join("tmp")).unwrap();
    let all = own.chain(tmp).map(|entry| entry.unwrap().file_name());
    let mut found: BTreeSet<Vec<u8>> = all.map(|name| name.as_bytes().to_vec()).collect();
    let escaped = std::path::Path::new("/tmp/escaped").exists();
    found.insert(format!("escaped: {escaped}").into_bytes());
    found
}

/// Nothing in it moves a cursor, turns the writing round, or is no text at all.
fn is_for_a_terminal(text: &str) -> bool {
    let is_strange =
        |c: char| c.is_control() || c == '\u{fffd}' || ('\u{2028}'..='\u{202e}').contains(&c);
    !text.contains(is_strange)
}

/// `YYYYMMDD-HHMMSS [pid] : level event …`
fn is_line_of_the_log(line: &str) -> bool {
    let Some((time, rest)) = line.split_once(" [") else {
        return false;
    };
    let Some((pid, rest)) = rest.split_once("] : ") else {
        return false;
    };
    let level = rest.split(' ').next().unwrap_or_default();
    time.len() == 15
        && pid.bytes().all(|byte| byte.is_ascii_digit())
        && ["error", "warn", "info", "debug"].contains(&level)
}

#[test]
fn nobody_can_write_a_line_of_the_log_or_of_a_process_list() {
    let daemon = Daemon::of_files(&[("limits.login_attempts", "0")]);
    let forged = "20260102-030405 [1] : info login-failed peer=192.0.2.9 session=0 user=";
    let mut ftp = Ftp::connect(daemon.address);
    for name in [
        format!("x\r{forged}\"a\"").into_bytes(),
        format!("x\x0b{forged}").into_bytes(),
        format!("x\u{2028}{forged}").into_bytes(),
        b"x\" peer=192.0.2.9 user=\"".to_vec(),
        b"\x1b]0;owned\x07\x1b[2J".to_vec(),
        b"\x9b2J\x85\x8d".to_vec(),
        b"%n%s\\n\\r".to_vec(),
    ] {
        answer(&mut ftp, &[b"USER ", &name[..]].concat());
        answer(&mut ftp, b"PASS x");
        answer(&mut ftp, &name);
        answer(&mut ftp, &[b"CWD ", &name[..]].concat());
    }
    let mut member = daemon.log_in();
    for name in [&b"\x1b[2J%n"[..], b"a\x0bb\x85", b"nanoftpd [master]"] {
        answer(&mut member, &[b"MKD ", name].concat());
        for title in daemon.children().values() {
            assert!(is_for_a_terminal(title), "{title:?}");
            assert!(title.starts_with("nanoftpd ["), "{title:?}");
        }
    }
    for line in daemon.lines() {
        assert!(is_for_a_terminal(&line), "{line:?}");
        assert!(is_line_of_the_log(&line), "{line:?}");
        assert!(!line.starts_with("20260102-030405"), "{line:?}");
        let peers: Vec<&str> = line.split(" peer=").skip(1).collect();
        let is_ours = |peer: &&str| peer.starts_with("127.0.0.1");
        // A dialogue has no fields: all behind its name is what was said.
        let is_dialogue = [" debug client: ", " debug test: ", " debug server: "]
            .iter()
            .any(|start| line.contains(start));
        assert!(is_dialogue || peers.first().is_none_or(is_ours), "{line:?}");
    }
    is_unharmed(&daemon);
}

#[test]
fn no_pattern_costs_more_than_its_length_times_the_names() {
    let daemon = Daemon::of_files(&[]);
    let deep = daemon.files().join("a/b/c/d");
    fs::create_dir_all(&deep).unwrap();
    for number in 0..60 {
        let name = format!("{}{number:02}", "a".repeat(240));
        fs::write(daemon.files().join(name), "").unwrap();
    }
    let mut ftp = daemon.log_in();
    let stars = "a*".repeat(120);
    for pattern in [
        format!("{stars}b"),
        "*".repeat(255),
        "*a".repeat(127),
        "[a-z]*".repeat(40),
        "[".repeat(200),
        "{a,b}".repeat(60),
        "{a,b}{c,d}{e,{f,{g,{h,{i}}}}}".to_owned(),
        "*/../*/../*/../*/../*/../*".to_owned(),
        "*/*/*/*/*/*/*".to_owned(),
        "?".repeat(256),
        "\\".repeat(255),
        format!("{}{}", "*".repeat(300), "x"),
    ] {
        for verb in ["LIST", "NLST", "STAT", "MLSD"] {
            let begun = Instant::now();
            let command = format!("{verb} {pattern}");
            if verb == "STAT" {
                answer(&mut ftp, command.as_bytes());
            } else {
                let data = ftp.data().stream();
                let (code, _) = answer(&mut ftp, command.as_bytes());
                if code == 150 {
                    let _ = std::io::Read::read_to_end(&mut &data, &mut Vec::new());
                    ftp.reply();
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "{command}");
        }
    }
    is_in_step(&mut ftp);
    is_unharmed(&daemon);
}
