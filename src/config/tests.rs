//! The configuration as text: defaults and every form.

use std::time::Duration;

use super::*;

mod wrong;

fn parse(text: &str) -> Config {
    match Config::parse(text, "t.conf") {
        Ok(config) => config,
        Err(errors) => panic!("{text:?}: {errors:?}"),
    }
}

fn errors(text: &str) -> Vec<String> {
    let errors = Config::parse(text, "t.conf").err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn every_default_reads_and_shows_as_itself() {
    let config = Config::default();
    for section in sections() {
        for key in section.keys {
            let mut config = config.clone();
            let name = format!("[{}] {}", section.name, key.name);
            assert_eq!((key.set)(&mut config, key.default), Ok(()), "{name}");
            assert_eq!((key.show)(&config), key.default, "{name}");
        }
    }
    assert_eq!(parse(""), config);
    assert_eq!(config.warnings(), Vec::<String>::new());
}

/// A field that no row fills would keep what the blank form holds, and compare as equal for ever.
#[test]
fn every_field_has_a_row() {
    let fields = format!("{:?}", Config::default());
    let fields = fields.matches(": ").count();
    let rows: usize = sections().iter().map(|section| section.keys.len()).sum();
    // The structs inside of it, and the two fields of the one tracker.
    let frames = [
        "nanoftpd", "pool", "passive", "auth", "text", "exec", "mogilefs", "file", "tls", "limits",
        "proxy", "hooks", "sandbox", "logging", "status", "name", "port",
    ];
    assert_eq!(rows + frames.len(), fields);
}

#[test]
fn what_is_printed_reads_as_the_same() {
    let mut changed = parse(
        "[nanoftpd]\nlisten_addr = ::, 10.0.0.1\nidle_time = 2500ms\nserver_name = a # b; c = d: \"e\" \\x\n\
         daemonize = off\ntimezone = UTC\n[pool]\nmax_clients = 5000\n\
         [passive]\naddress = ftp.example.net\nnat = 10.0.0.0/8 10.1.2.3, 2001:db8::/32 ::1\n\
         [auth]\ncrypt = sha1\nmodule = exec\n[auth.exec]\ncommand = /bin/x\n[auth.text]\nsep = |\n\
         [mogilefs]\ntracker = a, b:1, 10.0.0.1:2, [::1]:3, ::2\ndomain = d\nstorage = 10.0.0.0/8\nzone = alt\n\
         extendedlist = off\nspool_mem = 65536\ncontent_md5 = always\n\
         [file]\nroot = /home/%u/ftp\ncreate_mask = 77\n[logging]\nxferlog =\nmode = 4\nlevel = debug\n",
    );
    assert_ne!(changed, Config::default());
    assert_eq!(parse(&changed.to_string()), changed);
    changed = Config::default();
    assert_eq!(parse(&changed.to_string()), changed);
}

#[test]
fn the_shipped_file_is_what_the_defaults_print_as() {
    let shipped = include_str!("../../etc/nanoftpd.conf");
    let printed = Config::default().to_string();
    assert_eq!(shipped, printed, "nanoftpd -c /dev/null -T writes it anew");
    assert_eq!(parse(shipped), Config::default());
}

#[test]
fn values_survive_comment_signs_delimiters_quotes_and_line_ends() {
    for value in [
        "a#b",
        "a # b",
        "a ; b",
        "a = b",
        "a: b",
        "\"a\"",
        "'a",
        "\\a\\n",
        "[a]",
        "a\tb",
        "%d",
        "gr\u{fc}n",
    ] {
        for text in [
            format!("[nanoftpd]\nserver_name = {value}\npidfile = /x"),
            format!("\u{feff}\r\n[nanoftpd]\r\n  server_name={value}  \r\n\r\n\tpidfile = /x\r\n"),
            format!(
                "[ nanoftpd ]\n # c = d\n;e\nserver_name =\t{value}\n[pool]\n[nanoftpd]\npidfile=/x"
            ),
        ] {
            let config = parse(&text);
            assert_eq!(config.nanoftpd.server_name, value, "{text:?}");
            assert_eq!(config.nanoftpd.pidfile, PathBuf::from("/x"), "{text:?}");
        }
    }
}

#[test]
fn durations_are_seconds_or_carry_a_unit() {
    for (text, milliseconds) in [
        ("3", Some(3_000)),
        ("0.5", Some(500)),
        ("500ms", Some(500)),
        ("500 ms", Some(500)),
        ("3s", Some(3_000)),
        ("5m", Some(300_000)),
        ("1.5m", Some(90_000)),
        ("2h", Some(7_200_000)),
        ("1d", Some(86_400_000)),
        ("0.0105", Some(10)),
        ("0", None),
        ("31d", None),
        ("-1", None),
        ("+1", None),
        ("1.", None),
        (".5", None),
        ("1.x", None),
        ("5 minutes", None),
        ("1e3", None),
        ("99999999999999999999", None),
        ("9999999999999999d", None),
        ("", None),
    ] {
        let read = Config::parse(&format!("[nanoftpd]\nidle_time = {text}"), "").ok();
        let expected = milliseconds.map(Duration::from_millis);
        assert_eq!(
            read.map(|config| config.nanoftpd.idle_time),
            expected,
            "{text}"
        );
    }
}

#[test]
fn sizes_may_carry_a_unit() {
    for (text, bytes) in [
        ("0", Some(0)),
        ("1000", Some(1000)),
        ("64K", Some(65_536)),
        ("64 k", Some(65_536)),
        ("4M", Some(4 << 20)),
        ("1g", Some(1 << 30)),
        ("2G", None),
        ("4MB", None),
        ("4KK", None),
        ("K", None),
        ("1.5M", None),
        ("99999999999999999G", None),
    ] {
        let read = Config::parse(&format!("[mogilefs]\nspool_mem = {text}"), "").ok();
        assert_eq!(
            read.map(|config| config.mogilefs.spool_mem),
            bytes,
            "{text}"
        );
    }
}

#[test]
fn trackers_are_hosts_with_or_without_a_port() {
    for (text, name, port) in [
        ("tracker1", "tracker1", None),
        ("tracker1:7002", "tracker1", Some(7002)),
        ("10.0.0.1:1", "10.0.0.1", Some(1)),
        ("[::1]:7001", "::1", Some(7001)),
        ("[::1]", "::1", None),
        ("2001:db8::1", "2001:db8::1", None),
    ] {
        let read = parse(&format!("[mogilefs]\ntracker = {text}"))
            .mogilefs
            .tracker;
        let expected = Host {
            name: name.to_owned(),
            port,
        };
        assert_eq!(read, [expected], "{text}");
    }
    for text in [
        "", ",", "a,", "a b", "a:", "a:0", "a:65536", "a:b", ":1", "[::1", "[a]:1", "[::1]7",
    ] {
        assert_eq!(
            errors(&format!("[mogilefs]\ntracker = {text}")).len(),
            1,
            "{text}"
        );
    }
}

#[test]
fn networks_count_their_leading_bits() {
    for (network, peer, inside) in [
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "11.0.0.0", false),
        ("10.9.9.9/8", "10.1.2.3", true),
        ("0.0.0.0/0", "192.0.2.1", true),
        ("0.0.0.0/0", "::1", false),
        ("10.0.0.1", "10.0.0.1", true),
        ("10.0.0.1", "10.0.0.2", false),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("::ffff:10.0.0.0/104", "10.1.2.3", true),
        ("::ffff:10.0.0.0/104", "11.1.2.3", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("::/0", "2001:db9::1", true),
    ] {
        let read = parse(&format!("[mogilefs]\nstorage = {network}"))
            .mogilefs
            .storage;
        let found = read
            .iter()
            .any(|network| network.contains(peer.parse().unwrap()));
        assert_eq!(found, inside, "{network} {peer}");
    }
    for text in [
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "a/8",
        "10.0.0/8",
        "::ffff:0:0/95",
    ] {
        assert_eq!(
            errors(&format!("[mogilefs]\nstorage = {text}")).len(),
            1,
            "{text}"
        );
    }
}

#[test]
fn spare_workers_follow_the_number_of_clients() {
    let pool = |text: &str| {
        let config = parse(&format!("[pool]\n{text}"));
        // And what is printed reads as the same.
        assert_eq!(parse(&config.to_string()), config);
        (config.pool.min_spare, config.pool.max_spare)
    };
    assert_eq!(pool(""), (4, 16));
    assert_eq!(pool("max_clients = 5"), (4, 5));
    assert_eq!(pool("max_clients = 1"), (1, 1));
    assert_eq!(pool("max_clients = 1000"), (4, 16));
    assert_eq!(pool("max_spare = 2"), (2, 2));
    // What is written counts.
    assert_eq!(errors("[pool]\nmax_clients = 5\nmax_spare = 6").len(), 1);
    assert_eq!(errors("[pool]\nmax_clients = 3\nmin_spare = 4").len(), 1);
}
