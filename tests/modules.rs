//! Every verb of the original on every store module, and what came of it as the tracker, the
//! devices or the file system have it.
#![cfg(test)]

mod support;

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;
use support::{Cluster, Daemon, Ftp, Mode, Truth, eventually, noise, on_each_module, skip};

#[test]
fn a_file_goes_round_in_every_mode() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        for (number, mode) in Mode::ALL.into_iter().enumerate() {
            ftp.mode = mode;
            for (size, name) in [(0, "empty"), (1, "one"), (70_001, "some bytes %n.bin")] {
                let bytes = noise(size, number as u64);
                let path = place.path(name);
                ftp.store(&path, &bytes);
                assert_eq!(
                    place.holds(name).as_ref(),
                    Some(&bytes),
                    "{} {name}",
                    place.module
                );
                assert_eq!(
                    ftp.fetch(&format!("RETR {path}")),
                    bytes,
                    "{} {name}",
                    place.module
                );
                assert_eq!(
                    ftp.expect(&format!("SIZE {path}"), 213),
                    format!("213 {size}")
                );
            }
        }
        ftp.expect("QUIT", 221);
    });
}

#[test]
fn relative_names_mean_what_they_mean_in_a_shell() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        let dir = if place.dir.is_empty() {
            "/"
        } else {
            &place.dir
        };
        ftp.expect(&format!("CWD {dir}"), 250);
        assert!(ftp.expect("PWD", 257).contains(&format!("\"{dir}\"")));
        ftp.store("a.txt", b"relative");
        assert_eq!(place.holds("a.txt").as_deref(), Some(&b"relative"[..]));
        assert_eq!(ftp.fetch("RETR ./a.txt"), b"relative");
        ftp.expect("CDUP", 250);
        ftp.expect(&format!("CWD {dir}"), 250);
        ftp.expect("CWD .", 250);
        ftp.expect("RNFR a.txt", 350);
        ftp.expect("RNTO b.txt", 250);
        assert_eq!(place.names(), ["b.txt"], "{}", place.module);
        ftp.expect("CWD /nothing/here", 550);
        assert!(
            ftp.expect("PWD", 257).contains(&format!("\"{dir}\"")),
            "a failed CWD stays"
        );
    });
}

#[test]
fn listings_hold_what_is_there() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        for (name, size) in [("100%.jpg", 5), ("a b c", 12), ("z", 0)] {
            ftp.store(&place.path(name), &noise(size, 1));
        }
        let dir = if place.dir.is_empty() {
            "/"
        } else {
            &place.dir
        };
        let mut names = ftp.lines(&format!("NLST {dir}"));
        names
            .iter_mut()
            .for_each(|name| *name = name.rsplit('/').next().unwrap().to_owned());
        names.sort();
        assert_eq!(names, ["100%.jpg", "a b c", "z"], "{}", place.module);

        ftp.expect(&format!("CWD {dir}"), 250);
        let mut names = ftp.lines("NLST");
        names.sort();
        assert_eq!(names, ["100%.jpg", "a b c", "z"], "{}", place.module);

        for command in [
            "LIST",
            "LIST -la",
            "LIST -a",
            "LIST -l",
            &format!("LIST -al {dir}"),
        ] {
            let lines = ftp.lines(command);
            let of = |name: &str| lines.iter().find(|line| line.ends_with(name)).unwrap();
            assert_eq!(lines.len(), 3, "{} {command} {lines:?}", place.module);
            let fields: Vec<&str> = of("a b c").split_whitespace().collect();
            assert!(
                fields[0].starts_with("-rw") && fields[4] == "12",
                "{fields:?}"
            );
            assert_eq!(fields.len(), 8 + 3, "{fields:?}");
        }
        let facts = ftp.lines("MLSD");
        let line = facts
            .iter()
            .find(|line| line.ends_with(" a b c"))
            .unwrap()
            .to_lowercase();
        assert!(
            line.contains("type=file;") && line.contains("size=12;"),
            "{line}"
        );
        assert!(ftp.expect("MLST z", 250).to_lowercase().contains("size=0;"));
    });
}

#[test]
fn a_rename_moves_the_bytes_and_a_failed_one_leaves_them() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        ftp.store(&place.path("a"), b"A");
        ftp.store(&place.path("c"), b"C");
        ftp.expect(&format!("RNFR {}", place.path("a")), 350);
        ftp.expect(&format!("RNTO {}", place.path("b")), 250);
        assert_eq!(place.names(), ["b", "c"], "{}", place.module);
        assert_eq!(place.holds("b").as_deref(), Some(&b"A"[..]));
        // D12: a failed RNFR does not keep the earlier source, and RNTO uses it up.
        ftp.expect(&format!("RNTO {}", place.path("d")), 503);
        ftp.expect(&format!("RNFR {}", place.path("b")), 350);
        ftp.expect(&format!("RNFR {}", place.path("none")), 550);
        ftp.expect(&format!("RNTO {}", place.path("d")), 503);
        assert_eq!(place.names(), ["b", "c"], "{}", place.module);
    });
}

#[test]
fn a_rename_within_a_class_leaves_what_others_have_put_there_in_its_own() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[("mogilefs.defaultclass", "docs")]);
    for (user, class) in [("ftp", "photos"), ("test", "docs")] {
        cluster.put("photos/a", class, b"1");
        cluster.put("photos/d/b", class, b"1");
        let mut ftp = Ftp::connect(daemon.address);
        ftp.log_in(user, "test");
        for (from, to) in [("a", "c"), ("d", "e")] {
            ftp.expect(&format!("RNFR /photos/{from}"), 350);
            ftp.expect(&format!("RNTO /photos/{to}"), 250);
        }
        for key in ["photos/c", "photos/e/b"] {
            assert_eq!(cluster.class(key).as_deref(), Some(class), "{user} {key}");
            cluster.call("delete", &[("key", key.as_bytes())]).unwrap();
        }
    }
}

#[test]
fn what_is_appended_to_stays_in_its_class() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[("mogilefs.defaultclass", "docs")]);
    for (user, class) in [("ftp", "photos"), ("test", "docs")] {
        cluster.put("photos/a", class, b"old");
        let mut ftp = Ftp::connect(daemon.address);
        ftp.log_in(user, "test");
        ftp.expect("TYPE I", 200);
        for (rest, expected) in [(None, &b"old new"[..]), (Some("REST 2"), b"ol new")] {
            let verb = rest.map_or("APPE", |rest| {
                ftp.expect(rest, 350);
                "STOR"
            });
            let (code, text) = ftp.give(&format!("{verb} /photos/a"), b" new");
            assert_eq!(code, 226, "{user} {verb}: {text}");
            assert_eq!(cluster.content("photos/a").as_deref(), Some(expected));
            assert_eq!(cluster.class("photos/a").as_deref(), Some(class), "{user}");
        }
    }
}

#[test]
fn what_was_deleted_or_replaced_is_gone_for_this_session_too() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        let path = place.path("f");
        ftp.store(&path, b"first");
        assert_eq!(ftp.fetch(&format!("RETR {path}")), b"first");
        // D6: nothing of the old version is remembered.
        ftp.store(&path, b"second one");
        ftp.expect(&format!("SIZE {path}"), 213);
        assert_eq!(ftp.fetch(&format!("RETR {path}")), b"second one");
        ftp.expect(&format!("DELE {path}"), 250);
        ftp.expect(&format!("SIZE {path}"), 550);
        ftp.expect(&format!("DELE {path}"), 550);
        ftp.expect(&format!("MDTM {path}"), 550);
        let _data = ftp.data();
        ftp.expect(&format!("RETR {path}"), 550);
        assert_eq!(place.names(), Vec::<String>::new(), "{}", place.module);
    });
}

#[test]
fn directories_are_made_entered_and_removed() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        // One level above the files: a class, or a directory of the file system.
        let parent = place.dir.rsplit_once('/').map_or("", |(parent, _)| parent);
        if place.module == "MogileFs_FlatNS" {
            return;
        }
        let dir = format!("{parent}/newone");
        assert!(
            ftp.expect(&format!("MKD {dir}"), 257)
                .contains(&format!("\"{dir}\""))
        );
        if let Truth::Cluster(cluster) = &place.store {
            cluster.classes_become(&["docs", "newone", "photos"]);
        }
        ftp.expect(&format!("MKD {dir}"), 550);
        // D17: it can be entered and filled at once.
        ftp.expect(&format!("CWD {dir}"), 250);
        ftp.store("x", b"x");
        if let Truth::Cluster(cluster) = &place.store {
            assert_eq!(
                cluster.class("newone/x").as_deref(),
                Some("newone"),
                "{}",
                place.module
            );
        }
        ftp.expect("CWD /", 250);
        ftp.expect(&format!("RMD {dir}"), 550);
        ftp.expect(&format!("DELE {dir}/x"), 250);
        ftp.expect(&format!("RMD {dir}"), 250);
        ftp.expect(&format!("CWD {dir}"), 550);
        if let Truth::Cluster(cluster) = &place.store {
            cluster.classes_become(&["docs", "photos"]);
        }
    });
}

/// Trackers remember classes for some seconds; to the session it is the same when another makes it again.
#[test]
fn a_class_that_the_session_has_removed_is_gone_whatever_a_tracker_remembers() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    ftp.expect("MKD /newone", 257);
    ftp.expect("RMD /newone", 250);
    let class = [("class", &b"newone"[..]), ("mindevcount", b"2")];
    cluster.call("create_class", &class).unwrap();
    ftp.expect("CWD /newone", 550);
    assert_eq!(ftp.lines("NLST /"), ["default", "docs", "photos"]);
    cluster.classes_become(&["docs", "newone", "photos"]);
    daemon.log_in().expect("CWD /newone", 250);
    // Whoever wants it to be there is told that it is.
    ftp.expect("MKD /newone", 550);
    ftp.expect("CWD /newone", 250);
}

#[test]
fn the_small_verbs_answer() {
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        assert!(ftp.expect("SYST", 215).starts_with("215 UNIX Type: L8"));
        ftp.expect("NOOP", 200);
        ftp.expect("TYPE A", 200);
        ftp.expect("TYPE I", 200);
        assert!(ftp.expect("HELP", 214).contains("RETR"));
        ftp.expect("FEAT", 211);
        ftp.expect("STAT", 211);
        ftp.store(&place.path("f"), b"0123456789");
        ftp.expect("REST 4", 350);
        assert_eq!(ftp.fetch(&format!("RETR {}", place.path("f"))), b"456789");
        assert_eq!(
            ftp.fetch(&format!("RETR {}", place.path("f"))),
            b"0123456789"
        );
        let time = ftp.expect(&format!("MDTM {}", place.path("f")), 213);
        assert!(
            time.len() >= 18 && time[4..18].bytes().all(|byte| byte.is_ascii_digit()),
            "{time}"
        );
        // D3, D4: commands may come in pieces, or several at once.
        ftp.send(b"NO");
        ftp.send(b"OP\r\nNOOP\r\nPWD\r");
        ftp.send(b"\n");
        for code in [200, 200, 257] {
            ftp.reply_of(code);
        }
        // D32: the numbers of the users file.
        for (command, reply) in [
            ("SITE UID", "200 UID is 65534."),
            ("SITE GID", "200 GID is 65534."),
        ] {
            assert_eq!(ftp.expect(command, 200), reply);
        }
        if place.is_mogile() {
            ftp.expect(&format!("SITE CHMOD 644 {}", place.path("f")), 502);
        } else {
            ftp.expect("SITE CHMOD 640 /f", 200);
        }
    });
}

/// Of a file, to a process that is told when somebody else wants it (fcntl(2)).
fn lease(file: &File, kind: i32) -> nix::Result<i32> {
    #[expect(unsafe_code, reason = "no safe interface to this call exists")]
    // SAFETY: the call takes a descriptor, which is open, and a number.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) };
    nix::errno::Errno::result(done)
}

#[test]
fn a_file_that_a_file_server_has_a_lease_of_is_waited_for() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.store("f", b"whole");
    let is_wanted = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(libc::SIGIO, Arc::clone(&is_wanted)).unwrap();
    for (command, is_upload) in [("RETR f", false), ("APPE f", true)] {
        let path = daemon.files().join("f");
        let file = File::options().read(true).write(true).open(path).unwrap();
        if let Err(errno) = lease(&file, libc::F_WRLCK) {
            return skip(&format!("no leases of files here: {errno}"));
        }
        let is_asked = Arc::clone(&is_wanted);
        let server = std::thread::spawn(move || {
            eventually("somebody who wants it", || {
                is_asked.swap(false, Ordering::SeqCst).then_some(())
            });
            lease(&file, libc::F_UNLCK).unwrap();
        });
        match is_upload {
            false => assert_eq!(ftp.fetch(command), b"whole"),
            true => assert_eq!(ftp.give(command, b" and more").0, 226),
        }
        server.join().unwrap();
    }
    assert_eq!(
        fs::read(daemon.files().join("f")).unwrap(),
        b"whole and more"
    );
}
