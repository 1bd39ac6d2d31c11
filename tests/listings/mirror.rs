//! A whole tree up and down with a program that trusts listings.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Cluster, Daemon, Scratch, is_here, noise};

fn lftp(daemon: &Daemon, home: &Path, script: &str) -> String {
    let settings = "set net:max-retries 2; set net:timeout 30; set cmd:fail-exit true; \
                    set ftp:ssl-allow false; set xfer:log false;";
    let port = daemon.address.port();
    let site = format!("open -u test,test ftp://127.0.0.1:{port};");
    let output = Command::new("lftp")
        .arg("-c")
        .arg(format!("{settings} {site} {script}"))
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    said
}

/// 2,000 files in 200 directories, some within others.
fn plant(tree: &Path) {
    for dir in 0..200 {
        let place = match dir % 4 {
            0 => tree.join(format!("dir {dir}")),
            1 => tree.join(format!("d{dir}")).join("b+c"),
            2 => tree.join("deep").join(format!("{dir}")).join("\u{fc}"),
            _ => tree.join(format!("_{dir}")),
        };
        fs::create_dir_all(&place).unwrap();
        for file in 0..10 {
            let bytes = noise(dir * 10 + file, 1);
            fs::write(place.join(format!("f {file}.bin")), bytes).unwrap();
        }
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let output = Command::new("diff").arg("-r").args([one, other]).output();
    output.unwrap().stdout.is_empty()
}

#[test]
fn a_tree_is_mirrored_up_and_down_and_the_second_time_nothing_moves() {
    if !is_here("lftp") {
        return;
    }
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[("pool.max_clients", "40")]);
    let home = Scratch::new();
    plant(&home.path().join("tree"));
    let (up, down) = (
        "mirror -R -P 4 tree /docs/tree;",
        "mirror -P 4 /docs/tree back;",
    );
    lftp(&daemon, home.path(), up);
    let files = cluster.keys().len();
    assert_eq!(files, 2000);
    lftp(&daemon, home.path(), down);
    assert!(is_same(
        &home.path().join("tree"),
        &home.path().join("back")
    ));
    let mark = daemon.lines().len();
    for again in [
        "mirror -v --only-newer /docs/tree back;",
        "mirror -v -R --ignore-time tree /docs/tree;",
    ] {
        let said = lftp(&daemon, home.path(), again);
        assert!(!said.contains("Transferring"), "{said}");
    }
    let log = daemon.lines();
    let moved = log[mark..].iter().filter(|line| {
        line.contains("stor-ok") || line.contains("retr-ok") || line.contains("mkd-ok")
    });
    assert_eq!(moved.count(), 0);
}

#[test]
fn a_tree_goes_up_and_down_with_ncftp() {
    if !is_here("ncftpput") {
        return;
    }
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let home = Scratch::new();
    for (dir, files) in [("tree/a b/c", 3), ("tree/empty", 0), ("tree/x+y", 2)] {
        let place = home.path().join(dir);
        fs::create_dir_all(&place).unwrap();
        for file in 0..files {
            fs::write(place.join(format!("f{file}")), noise(1000 + file, 2)).unwrap();
        }
    }
    let port = daemon.address.port().to_string();
    let back = home.path().join("back");
    fs::create_dir(&back).unwrap();
    let login = ["-R", "-u", "test", "-p", "test", "-P", &port, "127.0.0.1"];
    for (program, places) in [
        ("ncftpput", ["/docs", "tree"]),
        ("ncftpget", [back.to_str().unwrap(), "/docs/tree"]),
    ] {
        let output = Command::new(program)
            .args(login)
            .args(places)
            .env("HOME", home.path())
            .current_dir(home.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{program}: {output:?}");
    }
    assert_eq!(cluster.keys().len(), 5);
    assert!(is_same(&home.path().join("tree"), &back.join("tree")));
}
