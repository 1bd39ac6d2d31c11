//! Trackers that lie: in lengths, counts, fids, places and keys, without an end.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;

use crate::liar::{Liar, Present, Saying, changed, read_all, value};
use crate::support::{Cluster, Daemon, Ftp, own_address};
use crate::{MOST_MEMORY, answer, is_in_step, is_unharmed, peak_of};

/// How much a liar may be listened to, in bytes.
const ENOUGH: u64 = 64 << 20;

/// A daemon whose only tracker is at `tracker`.
pub(crate) fn daemon_at(
    cluster: &Cluster,
    tracker: SocketAddr,
    changes: &[(&str, &str)],
) -> Daemon {
    let tracker = tracker.to_string();
    let mut all = vec![
        ("mogilefs.tracker", tracker.as_str()),
        ("mogilefs.domain", cluster.domain.as_str()),
        ("mogilefs.timeout", "1500ms"),
        ("mogilefs.request_timeout", "1500ms"),
        ("mogilefs.admin_timeout", "1500ms"),
        ("mogilefs.open_timeout", "1500ms"),
        ("mogilefs.hedge_timeout", "500ms"),
        ("mogilefs.close_timeout", "1500ms"),
        ("mogilefs.read_timeout", "1500ms"),
        ("mogilefs.write_timeout", "1500ms"),
        ("mogilefs.store_timeout", "1500ms"),
    ];
    all.extend_from_slice(changes);
    Daemon::start(&all)
}

fn site() -> Cluster {
    let cluster = Cluster::faulty();
    cluster.put("photos/a", "photos", b"0123456789");
    cluster.put("photos/b", "photos", b"abcdefghij");
    cluster
}

/// Whatever a client does with files; each command gets one final reply. What came down.
pub(crate) fn use_everything(ftp: &mut Ftp) -> Vec<Vec<u8>> {
    let mut came = Vec::new();
    for command in [
        "SIZE photos/a",
        "MDTM photos/a",
        "MLST photos/a",
        "CWD photos",
        "CWD /",
        "XMD5 photos/a",
        "MKD photos/new",
        "RMD photos/new",
        ">LIST",
        ">LIST photos",
        ">NLST photos",
        ">MLSD photos",
        ">RETR photos/a",
        ">STOR photos/c",
        ">APPE photos/a",
        "RNFR photos/c",
        "RNTO photos/d",
        "DELE photos/d",
        "DELE photos/c",
    ] {
        let Some(command) = command.strip_prefix('>') else {
            let (code, said) = answer(ftp, command.as_bytes());
            assert!((200..600).contains(&code), "{command}: {said}");
            continue;
        };
        let mut data = ftp.data().stream();
        let (code, said) = answer(ftp, command.as_bytes());
        if code != 150 {
            assert!((400..600).contains(&code), "{command}: {said}");
            continue;
        }
        if command.starts_with("STOR") || command.starts_with("APPE") {
            let _ = data.write_all(b"new");
        }
        let _ = data.shutdown(std::net::Shutdown::Write);
        came.push(read_all(data));
        let (code, said) = ftp.reply();
        assert!((200..600).contains(&code), "{command}: {said}");
    }
    is_in_step(ftp);
    came
}

#[test]
fn a_reply_of_a_gibibyte_is_not_listened_to() {
    let cluster = site();
    let present = Present::new(("", "x"));
    let lie = present.clone();
    let liar = Liar::tracker(cluster.address, move |asked, reply| match asked {
        // Which a login asks for.
        "get_domains" => Saying::once(format!("{reply}\r\n")),
        _ => Saying::endless(lie.get().0, lie.get().1),
    });
    let daemon = daemon_at(&cluster, liar.address, &[]);
    for (first, again) in [
        ("", "x"),
        ("OK ", "a=b&"),
        ("OK key_count=1000&key_1=", "%41"),
        ("ERR ", "evil+"),
        // Whole lines, which nobody has asked for.
        ("", "OK paths=0\r\n"),
        ("", "\r\n"),
    ] {
        present.set((first, again));
        let mut ftp = daemon.log_in();
        for command in ["SIZE photos/a", "MDTM photos/a", "DELE photos/a"] {
            let (code, said) = answer(&mut ftp, command.as_bytes());
            assert!(
                (400..600).contains(&code),
                "{first}{again} {command}: {said}"
            );
        }
        assert!(peak_of(&daemon, "test@") < MOST_MEMORY);
        let taken = liar.taken.load(Ordering::Relaxed);
        assert!(taken < ENOUGH, "{first}{again}: {taken}");
        is_unharmed(&daemon);
    }
}

/// Almost as long as it may be: the reply, and as many of these as there is room for.
fn crowded(reply: &str, field: impl Fn(usize) -> String) -> Saying {
    let mut line = reply.to_owned();
    for more in (1..).map(field) {
        if line.len() + more.len() > 4_000_000 {
            break;
        }
        line.push('&');
        line.push_str(&more);
    }
    Saying::once(format!("{line}\r\n"))
}

#[test]
fn a_reply_of_countless_fields_takes_little_memory() {
    let cluster = site();
    let present = Present::new(("", ""));
    let lie = present.clone();
    let liar = Liar::tracker(cluster.address, move |asked, reply| {
        let (command, kind) = lie.get();
        if asked != command || !reply.starts_with("OK ") {
            return Saying::once(format!("{reply}\r\n"));
        }
        let nowhere = "http://127.0.0.1:1/dev1/0/000/000/0000000001.fid";
        match kind {
            "places" => crowded(reply, |n| {
                format!("path{n}={nowhere}&path_{n}={nowhere}&devid_{n}=1&paths={n}&dev_count={n}")
            }),
            "keys" => crowded(reply, |n| format!("key_{n}=a&key_count={n}")),
            "domains" => crowded(reply, |n| format!("domain{n}=&domains={n}")),
            "long" => crowded(reply, |_| "x".repeat(3_900_000)),
            _ => crowded(reply, |n| format!("{n:x}")),
        }
    });
    let daemon = daemon_at(&cluster, liar.address, &[]);
    daemon.expect_error(" error ");
    for (command, kind) in [
        ("file_info", ""),
        ("file_info", "long"),
        ("get_paths", ""),
        ("get_paths", "places"),
        ("create_open", "places"),
        ("create_close", ""),
        ("list_keys", "keys"),
        ("list_fids", ""),
        ("get_devices", ""),
        ("get_domains", "domains"),
    ] {
        present.set((command, kind));
        let mut ftp = Ftp::connect(daemon.address);
        ftp.expect("USER test", 331);
        ftp.send(b"PASS test\r\n");
        if ftp.reply().0 == 230 {
            use_everything(&mut ftp);
            let peak = peak_of(&daemon, "test@");
            assert!(peak < MOST_MEMORY, "{command} {kind}: {peak}");
        }
        present.set(("", ""));
        is_unharmed(&daemon);
    }
}

#[test]
fn absurd_lengths_and_counts_are_errors() {
    let cluster = site();
    let present = Present::new(("", "", ""));
    let lie = present.clone();
    let liar = Liar::tracker(cluster.address, move |asked, reply| {
        let (command, field, lie) = lie.get();
        Saying::once(match asked == command {
            true => changed(reply, field, lie),
            false => format!("{reply}\r\n"),
        })
    });
    let daemon = daemon_at(&cluster, liar.address, &[]);
    // Some of it is an error of ours to log, which is not for the client.
    daemon.expect_error(" error ");
    for (command, field) in [
        ("file_info", "length"),
        ("file_info", "fid"),
        ("get_paths", "paths"),
        ("create_open", "dev_count"),
        ("create_open", "fid"),
        ("list_keys", "key_count"),
        ("list_fids", "fid_count"),
        ("get_domains", "domains"),
        ("get_devices", "devices"),
    ] {
        for lie in [
            "4294967295",
            "18446744073709551616",
            "9223372036854775808",
            "-1",
            "x",
        ] {
            present.set((command, field, lie));
            let mut ftp = Ftp::connect(daemon.address);
            ftp.expect("USER test", 331);
            ftp.send(b"PASS test\r\n");
            // Who cannot know its domain cannot let anybody in.
            if ftp.reply().0 == 230 {
                for came in use_everything(&mut ftp) {
                    assert!(came.len() < 4096);
                }
                let peak = peak_of(&daemon, "test@");
                assert!(peak < MOST_MEMORY, "{command} {field}={lie}");
            }
            present.set(("", "", ""));
            is_unharmed(&daemon);
        }
        assert_eq!(cluster.content("photos/b").unwrap(), b"abcdefghij");
    }
}

#[test]
fn the_bytes_of_another_fid_are_not_given_for_those_of_this_one() {
    let cluster = site();
    let other = cluster.call("get_paths", &[("key", b"photos/b")]).unwrap();
    let other = String::from_utf8(other["path1"].clone()).unwrap();
    let liar = Liar::tracker(cluster.address, move |asked, reply| {
        Saying::once(match asked {
            "get_paths" => changed(&changed(reply, "path2", &other), "path1", &other),
            _ => format!("{reply}\r\n"),
        })
    });
    let daemon = daemon_at(&cluster, liar.address, &[]);
    let mut ftp = daemon.log_in();
    let _data = ftp.data();
    let (code, said) = answer(&mut ftp, b"RETR photos/a");
    assert!([450, 451].contains(&code), "{said}");
    is_unharmed(&daemon);
}

#[test]
fn an_upload_is_not_put_in_the_place_of_another_fid() {
    let cluster = site();
    let other = cluster.call("get_paths", &[("key", b"photos/b")]).unwrap();
    let other = String::from_utf8(other["path1"].clone()).unwrap();
    let liar = Liar::tracker(cluster.address, move |asked, reply| {
        let mut line = format!("{reply}\r\n");
        for field in ["path_1", "path_2", "path_3"] {
            if asked == "create_open" && value(reply, field).is_some() {
                line = changed(line.trim_end(), field, &other);
            }
        }
        Saying::once(line)
    });
    let daemon = daemon_at(&cluster, liar.address, &[]);
    let (code, said) = daemon.log_in().give("STOR photos/new", b"new");
    assert_eq!(code, 451, "{said}");
    assert_eq!(cluster.content("photos/b").unwrap(), b"abcdefghij");
    assert_eq!(cluster.keys(), ["photos/a", "photos/b"]);
    is_unharmed(&daemon);
}

#[test]
fn only_plain_http_and_only_storage_networks_are_spoken_to() {
    let trap = TcpListener::bind((own_address(), 0)).unwrap();
    trap.set_nonblocking(true).unwrap();
    let there = trap.local_addr().unwrap();
    let cluster = site();
    let node = cluster.node().devices[0];
    let path = "dev1/0/000/000/0000000001.fid";
    let present = Present::new(String::new());
    let lie = present.clone();
    let liar = Liar::tracker(cluster.address, move |asked, reply| {
        let fid = value(reply, "fid").unwrap_or("1").to_owned();
        let url = lie.get().replace("0000000001", &format!("{fid:0>10}"));
        let mut line = format!("{reply}\r\n");
        for field in ["path1", "path2", "path_1", "path_2", "path_3"] {
            if ["get_paths", "create_open"].contains(&asked) && line.starts_with("OK ") {
                line = changed(line.trim_end(), field, &url);
            }
        }
        Saying::once(line)
    });
    let storage = format!("{}/32", node.ip());
    let daemon = daemon_at(&cluster, liar.address, &[("mogilefs.storage", &storage)]);
    daemon.expect_error(" error ");
    for url in [
        format!("http://{there}/{path}"),
        format!("https://{there}/{path}"),
        format!("ftp://{there}/{path}"),
        format!("HTTP://{there}/{path}"),
        format!("//{there}/{path}"),
        format!("http://{node}@{there}/{path}"),
        format!("http://{node}%00@{there}/{path}"),
        format!("http://localhost:{}/{path}", there.port()),
        format!("http://{there}%0d%0aHost:%20x/{path}"),
        "file:///etc/passwd".to_owned(),
        "/etc/passwd".to_owned(),
        "http://169.254.169.254/latest/meta-data/0000000001.fid".to_owned(),
        "http://[::ffff:169.254.169.254]:80/0000000001.fid".to_owned(),
        String::new(),
    ] {
        present.set(url.clone());
        let mut ftp = daemon.log_in();
        for came in use_everything(&mut ftp) {
            assert!(!came.windows(5).any(|part| part == b"root:"));
        }
        is_unharmed(&daemon);
        assert!(trap.accept().is_err(), "{url} was gone to");
    }
    assert_eq!(cluster.keys(), ["photos/a", "photos/b"]);
}

#[test]
fn keys_with_line_ends_and_other_tricks_break_no_listing() {
    let cluster = site();
    let long = format!("photos/{}", "x".repeat(10_000));
    let keys = [
        "photos/x%0d%0a226+Done",
        "photos/x%0d%0a-rw-r--r--+1+root+root+1+Jan+1+00:00+fake",
        "photos/x%00y",
        "photos/..",
        "photos/.",
        "photos/../../etc/passwd",
        "photos//x",
        "photos/x/",
        "photos/%1b[2J",
        "docs/elsewhere",
        "",
        "%ff%fe",
        &long,
    ];
    let fields: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(at, key)| format!("key_{}={key}", at + 1))
        .collect();
    let line = format!(
        "key_count={}&next_after=zz&{}",
        keys.len(),
        fields.join("&")
    );
    let liar = Liar::tracker(cluster.address, move |asked, reply| {
        let callid = value(reply, "callid").unwrap_or("0");
        Saying::once(match asked {
            "list_keys" => format!("OK callid={callid}&{line}\r\n"),
            _ => format!("{reply}\r\n"),
        })
    });
    let daemon = daemon_at(&cluster, liar.address, &[]);
    daemon.expect_error(" error ");
    let mut ftp = daemon.log_in();
    for command in ["LIST photos", "NLST photos", "MLSD photos", "LIST", "MLSD"] {
        let data = ftp.data().stream();
        let (code, said) = answer(&mut ftp, command.as_bytes());
        if code != 150 {
            assert!(code >= 400, "{said}");
            continue;
        }
        let listing = read_all(data);
        let text = String::from_utf8_lossy(&listing);
        for line in text.split_terminator("\r\n") {
            let is_forged = line.starts_with("226") || line.ends_with(" fake") && line.len() < 60;
            assert!(!is_forged && !line.contains(['\r', '\n', '\0']), "{line:?}");
            assert!(
                !line.ends_with(" ..") && !line.ends_with("passwd"),
                "{line:?}"
            );
        }
        ftp.reply();
    }
    is_in_step(&mut ftp);
    is_unharmed(&daemon);
}

#[test]
fn pages_that_go_round_in_circles_come_to_an_end() {
    let cluster = site();
    let keys: Vec<String> = (1..=1000)
        .map(|number| format!("key_{number}=photos/k{number:04}"))
        .collect();
    let line = format!("key_count=1000&next_after=photos/k1000&{}", keys.join("&"));
    let liar = Liar::tracker(cluster.address, move |asked, reply| {
        let callid = value(reply, "callid").unwrap_or("0");
        Saying::once(match asked {
            "list_keys" => format!("OK callid={callid}&{line}\r\n"),
            _ => format!("{reply}\r\n"),
        })
    });
    let changes = [("mogilefs.listlimit", "0")];
    let daemon = daemon_at(&cluster, liar.address, &changes);
    daemon.expect_error(" error ");
    let mut ftp = daemon.log_in();
    let data = ftp.data().stream();
    ftp.expect("NLST photos", 150);
    let names = read_all(data);
    let (code, said) = ftp.reply();
    assert!(
        names.len() < 100_000,
        "{} bytes, {code}: {said}",
        names.len()
    );
    is_in_step(&mut ftp);
    is_unharmed(&daemon);
}

#[test]
fn what_a_tracker_says_of_an_error_is_not_for_the_client() {
    let cluster = site();
    let present = Present::new("");
    let lie = present.clone();
    let liar = Liar::tracker(cluster.address, move |asked, reply| {
        let callid = value(reply, "callid").unwrap_or("0").to_owned();
        let is_true = ["get_domains", "get_devices"].contains(&asked);
        Saying::once(match is_true {
            true => format!("{reply}\r\n"),
            false => lie
                .get()
                .replace("OK\r\n", &format!("OK callid={callid}\r\n")),
        })
    });
    let daemon = daemon_at(&cluster, liar.address, &[]);
    daemon.expect_error(" error ");
    for lie in [
        "ERR unknown_key secret-path+10.1.2.3%0d%0a230+Logged+in\r\n",
        "ERR failure DBI+connect('secret-path')\r\n",
        "ERR secret-path\r\n",
        "ERR \r\n",
        "secret-path\r\n",
        "OK\r\n",
        "ok paths=1\r\n",
        "\0\0\0\0\r\n",
    ] {
        present.set(lie);
        let mut ftp = daemon.log_in();
        for command in [
            "SIZE photos/a",
            "MDTM photos/a",
            "DELE photos/a",
            "RNFR photos/a",
        ] {
            let (code, said) = answer(&mut ftp, command.as_bytes());
            assert!((200..600).contains(&code), "{said}");
            assert!(
                !said.contains("secret") && !said.contains("10.1.2.3"),
                "{said}"
            );
        }
        use_everything(&mut ftp);
        is_unharmed(&daemon);
    }
}
