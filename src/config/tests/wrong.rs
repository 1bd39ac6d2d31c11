//! Every class of error, and what is only odd: where it is, and what is allowed.

use super::*;

/// What is written, and what is said about it.
const WRONG: &[(&str, &str)] = &[
    (
        "x",
        "t.conf:1: is neither `[section]` nor `key = value` nor a comment",
    ),
    (
        "\n\nport = 1",
        "t.conf:3: port: stands before the first `[section]`",
    ),
    (
        "[poll]\nx = 1",
        "t.conf:1: there is no section [poll]; is [pool] meant?",
    ),
    (
        "[masquerade]",
        "t.conf:1: there is no section [masquerade], only nanoftpd, pool, passive, auth, auth.text, \
             auth.exec, mogilefs, file, tls, limits, proxy, hooks, sandbox, logging, status",
    ),
    (
        "[pool",
        "t.conf:1: a section is written `[name]`, with nothing behind it",
    ),
    (
        "[pool] # x",
        "t.conf:1: a section is written `[name]`, with nothing behind it",
    ),
    (
        "[pool]\nmin_spar = 1",
        "t.conf:2: [pool] has no key min_spar; is min_spare meant?",
    ),
    (
        "[pool]\nlow_port = 1",
        "t.conf:2: [pool] has no key low_port; it is one of [nanoftpd]",
    ),
    (
        "[file]\nquota = 1",
        "t.conf:2: [file] has no key quota, only root, create_mask, fsync",
    ),
    (
        "[file]\nroot : /x",
        "t.conf:2: is neither `[section]` nor `key = value` nor a comment",
    ),
    (
        "[file]\nfsync = 1\nfsync = 1",
        "t.conf:3: fsync: is set on line 2 already",
    ),
    (
        "[file]\nfsync = 1\n[pool]\n[file]\nfsync = 0",
        "t.conf:5: fsync: is set on line 2 already",
    ),
    (
        "[file]\nroot = /x\\",
        "t.conf:2: a line may not end in a backslash",
    ),
    (
        "[file]\nroot = /x\u{0}y",
        "t.conf:2: holds the control character \\u{0}",
    ),
    (
        "[file]\nfsync = maybe",
        "t.conf:2: fsync: `maybe` is not yes or no",
    ),
    (
        "[file]\nroot = %u",
        "t.conf:2: root: `%u` is not a path that begins with /, in which % is followed by u",
    ),
    (
        "[file]\nroot = /x%n",
        "t.conf:2: root: `/x%n` is not a path that begins with /, in which % is followed by u",
    ),
    (
        "[file]\ncreate_mask = 8",
        "t.conf:2: create_mask: `8` is not an octal number from 000 to 777",
    ),
    (
        "[file]\nfsync =",
        "t.conf:2: fsync: an empty value is not yes or no",
    ),
    (
        "[nanoftpd]\nlisten_port = 65536",
        "t.conf:2: listen_port: `65536` is not a number from 0 to 65535",
    ),
    (
        "[nanoftpd]\nlisten_addr = localhost",
        "t.conf:2: listen_addr: `localhost` is not an IP address such as 0.0.0.0 or ::, or several \
             with commas between them",
    ),
    (
        "[nanoftpd]\nidle_time = soon",
        "t.conf:2: idle_time: `soon` is not a time from 10ms to 2592000 s, such as 3, 0.5, 500ms or 5m",
    ),
    (
        "[mogilefs]\nspool_mem = 2G",
        "t.conf:2: spool_mem: `2G` is not a size from 0 to 1G, such as 65536, 64K, 4M or 1G",
    ),
    (
        "[mogilefs]\nextendedlist = some",
        "t.conf:2: extendedlist: `some` is not true, false or auto",
    ),
    (
        "[mogilefs]\ndomain = a/b",
        "t.conf:2: domain: `a/b` is not a name without blanks, slashes and `&=%+`, or nothing",
    ),
    (
        "[nanoftpd]\ntimezone = Europe/Nowhere",
        "t.conf:2: timezone: `Europe/Nowhere` is not a time zone of this machine, such as UTC or \
             Europe/Berlin",
    ),
    (
        "[passive]\nnat = 10.0.0.0/8",
        "t.conf:2: nat: `10.0.0.0/8` is not a network such as 10.0.0.0/8 or 2001:db8::/32, a blank, \
             and an IP address such as 0.0.0.0 or ::, or several with commas between them, or nothing",
    ),
    (
        "[logging]\nmode = 5",
        "t.conf:2: mode: `5` is not 0, 1, 2, 3 or 4",
    ),
    (
        "[logging]\nsyslog_facility = x",
        "t.conf:2: syslog_facility: `x` is not a syslog facility such as ftp, daemon or local0",
    ),
    (
        "[nanoftpd]\nhigh_port = 2000",
        "t.conf:2: high_port: low_port = 15000 is above high_port = 2000",
    ),
    (
        "[pool]\nmin_spare = 9\nmax_spare = 2",
        "t.conf:2: min_spare: min_spare = 9 is above max_spare = 2",
    ),
    (
        "[pool]\n\nmax_clients = 8\nmax_spare = 16",
        "t.conf:4: max_spare: max_spare = 16 is above max_clients = 8",
    ),
    (
        "[nanoftpd]\npidfile = /x\n[logging]\nfile = /x\n",
        "t.conf:4: file: [logging] file and [nanoftpd] pidfile are the same file",
    ),
    (
        "[nanoftpd]\npidfile = /run/nanoftpd/control.sock\n",
        "t.conf:2: pidfile: [status] socket and [nanoftpd] pidfile are the same file",
    ),
    (
        "[tls]\nmode = off\nimplicit_port = 990\n",
        "t.conf:3: implicit_port: TLS needs certificate and key",
    ),
    (
        "[nanoftpd]\nuserid = 0",
        "t.conf:2: userid: sessions run as root only with allow_root = yes",
    ),
    (
        "[nanoftpd]\nlisten_addr = 127.0.0.1, ::1, 127.0.0.1",
        "t.conf:2: listen_addr: 127.0.0.1 is there twice",
    ),
    (
        "[nanoftpd]\nlisten_addr = 10.0.0.1, ::1, 0.0.0.0",
        "t.conf:2: listen_addr: 0.0.0.0 is all addresses, 10.0.0.1 too",
    ),
    (
        "[nanoftpd]\nlisten_addr = 0.0.0.0, ::, ::1",
        "t.conf:2: listen_addr: :: is all addresses, ::1 too",
    ),
    (
        "[auth]\nmodule = Exec",
        "t.conf:2: module: module = Exec needs a program: [auth.exec] command",
    ),
];

#[test]
fn every_error_says_where_what_and_what_is_allowed() {
    for (text, expected) in WRONG {
        assert_eq!(errors(text), [*expected], "{text:?}");
    }
}

#[test]
fn all_errors_come_at_once_in_the_order_of_lines() {
    let text = "x\n[nope]\ny\na = 1\n[pool]\nmin_spare = 0\nstray\nmax_spare = 1\nmax_spare = 2\n\
                [nanoftpd]\nlow_port = 9\nhigh_port = 8\nlisten_port = x\n";
    let lines: Vec<usize> = Config::parse(text, "t.conf")
        .unwrap_err()
        .iter()
        .map(|error| error.line)
        .collect();
    assert_eq!(lines, [1, 2, 3, 6, 7, 9, 11, 12, 13]);
}

#[test]
fn a_stray_line_does_not_swallow_the_next() {
    let errors = errors("[pool]\nstray\nmin_spare = x\n");
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[1].starts_with("t.conf:3: min_spare: `x`"),
        "{errors:?}"
    );
}

#[test]
fn a_file_is_named_in_its_errors() {
    let path = std::env::temp_dir().join(format!("nanoftpd-config-{}", std::process::id()));
    let name = path.display().to_string();
    std::fs::write(&path, b"[file]\nroot = /\xe9\nfsync = x\n").unwrap();
    let errors = Config::load(&path).unwrap_err();
    let found: Vec<_> = errors.iter().map(|e| (e.file.as_str(), e.line)).collect();
    assert_eq!(found, [(name.as_str(), 2), (name.as_str(), 3)]);
    std::fs::write(&path, b"[file]\nroot = /\xe9\n").unwrap();
    assert_eq!(
        Config::load(&path).unwrap_err()[0].to_string(),
        format!("{name}:2: is not UTF-8")
    );
    std::fs::write(&path, b"[file]\nroot = /x\n").unwrap();
    assert_eq!(Config::load(&path).unwrap().file.root, "/x");
    std::fs::remove_file(&path).unwrap();
    let error = Config::load(&path).unwrap_err()[0].to_string();
    assert!(
        error.starts_with(&format!("{name}: cannot be read: No such file")),
        "{error}"
    );
}

/// What is allowed but odd: the text, the line that is named, and how the warning begins.
const ODD: &[(&str, usize, &str)] = &[
    (
        "[nanoftpd]\nlow_port = 15000\nhigh_port = 15003",
        3,
        "high_port: low_port to high_port are 4 ports, fewer than max_clients = 256",
    ),
    (
        "[nanoftpd]\nlisten_port = 15000",
        2,
        "listen_port: listen_port 15000 lies between",
    ),
    (
        "\n[logging]\nmode = 2",
        3,
        "mode: logging.mode = 2 logs nowhere",
    ),
    (
        "[nanoftpd]\nlogin_time = 301",
        2,
        "login_time: login_time is longer than idle_time",
    ),
    (
        "[limits]\nlogin_attempts = 0\nban_time = 5m",
        3,
        "ban_time: ban_time bans nobody",
    ),
    (
        "[nanoftpd]\nuserid = root\nallow_root = yes",
        2,
        "userid: sessions run as root",
    ),
    (
        "[passive]\n# router\naddress = 192.168.1.2",
        3,
        "address: PASV announces 192.168.1.2, which is private",
    ),
    (
        "[passive]\nnat = 10.0.0.0/8 10.1.2.3, 0.0.0.0/0 10.1.2.3, ::/0 2001:db8::1",
        2,
        "nat: PASV announces 10.1.2.3 to 0.0.0.0/0, which is private",
    ),
    (
        "[passive]\naddress = 2001:db8::1",
        2,
        "address: PASV announces IPv4 addresses only: 2001:db8::1 is not used",
    ),
    (
        "[passive]\naddress = 0.0.0.0",
        2,
        "address: PASV announces 0.0.0.0, to which nobody can connect",
    ),
    (
        "[passive]\nnat = 10.0.0.0/8 2001:db8::1",
        2,
        "nat: PASV announces IPv4 addresses only: 2001:db8::1 is not used",
    ),
    (
        "[mogilefs]\nopen_timeout = 5",
        0,
        "[mogilefs] hedge_timeout: hedge_timeout is not shorter than open_timeout",
    ),
    // The section in place of the line that would have to be there.
    (
        "[pool]\nmax_clients = 20000",
        0,
        "[nanoftpd] high_port: low_port to high_port are 10001 ports",
    ),
];

#[test]
fn what_is_odd_is_warned_of_with_its_line() {
    let path = std::env::temp_dir().join(format!("nanoftpd-odd-{}.conf", std::process::id()));
    let name = path.display().to_string();
    for (text, line, expected) in ODD {
        std::fs::write(&path, text).unwrap();
        let warnings = parse(text).warnings_of(&path);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let place = if *line == 0 {
            name.clone()
        } else {
            format!("{name}:{line}")
        };
        let said = warnings[0].to_string();
        assert!(said.starts_with(&format!("{place}: {expected}")), "{said}");
        assert_eq!(parse(text).warnings(), [warnings[0].why.clone()]);
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_is_sound_is_not_warned_of() {
    for sound in [
        "[passive]\naddress = 203.0.113.9",
        "[mogilefs]\nopen_timeout = 6",
        "[passive]\naddress = ftp.example.net",
        "[nanoftpd]\nlisten_addr = 0.0.0.0, ::",
        "[nanoftpd]\nlisten_addr = ::1, ::1, ::\nlisten_port = 0",
        "[nanoftpd]\nlisten_addr = 127.0.0.1, 10.0.0.1\n[passive]\naddress = 10.0.0.1",
    ] {
        assert_eq!(parse(sound).warnings(), [""; 0], "{sound}");
    }
}
