//! Verbs that few clients use, on each module.
#![cfg(test)]

mod support;

use support::{Cluster, Daemon, noise};

const MODULES: &[&str] = &["test:MogileFs", "file:File"];

#[test]
fn a_range_is_fetched() {
    let cluster = Cluster::start();
    let daemon = Daemon::with_users(&cluster, MODULES, &[]);
    let content = noise(300_000, 9);
    for (user, dir) in [("test", "photos"), ("file", "/")] {
        let mut ftp = support::Ftp::connect(daemon.address);
        ftp.log_in(user, "test");
        ftp.expect(&format!("CWD {dir}"), 250);
        ftp.store("f", &content);
        for (first, last) in [(0, 9), (100_000, 199_999), (299_999, 400_000)] {
            ftp.expect(&format!("RANG {first} {last}"), 350);
            let end = content.len().min(last + 1);
            assert_eq!(ftp.fetch("RETR f"), content[first..end], "{user}");
        }
        assert_eq!(ftp.fetch("RETR f"), content);
        ftp.expect("RANG 2 4", 350);
        ftp.expect("PASV", 227);
        ftp.expect("STOR f", 504);
    }
}

#[test]
fn room_is_what_devices_and_disks_have() {
    let cluster = Cluster::start();
    let daemon = Daemon::with_users(&cluster, MODULES, &[]);
    for user in ["test", "file"] {
        let mut ftp = support::Ftp::connect(daemon.address);
        ftp.log_in(user, "test");
        let reply = ftp.expect("AVBL", 213);
        let room: u64 = reply.strip_prefix("213 ").unwrap().parse().unwrap();
        assert!(room > 1 << 20, "{user}: {reply}");
        assert_eq!(ftp.expect("AVBL /", 213).len(), reply.len());
        ftp.expect("CSID", 200);
        ftp.expect("MFF modify=20200101000000; f", 502);
    }
}
