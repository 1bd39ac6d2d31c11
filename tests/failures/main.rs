//! Every way in which a transfer can fail between a client, the trackers and the nodes: what the client
//! is told, what is stored afterwards, and that neither a fid nor a file is left over. The tables of
//! each file are checked row by row; those rows that need more than a row are in `elsewhere`.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod downloads;
mod elsewhere;
mod replies;
mod uploads;

use std::time::{Duration, Instant};

use support::{Cluster, Daemon, Ftp, Node, PATIENCE};

/// Patience of the daemon, shrunk, but not so much that who is alive seems dead on a busy machine.
const SHORT: [(&str, &str); 11] = [
    ("mogilefs.timeout", "1"),
    ("mogilefs.request_timeout", "1500ms"),
    ("mogilefs.admin_timeout", "1500ms"),
    ("mogilefs.open_timeout", "2"),
    ("mogilefs.hedge_timeout", "200ms"),
    ("mogilefs.close_timeout", "1500ms"),
    ("mogilefs.read_timeout", "1500ms"),
    ("mogilefs.write_timeout", "1500ms"),
    ("mogilefs.store_timeout", "1500ms"),
    ("mogilefs.probe_interval", "100ms"),
    ("mogilefs.spool_mem", "64K"),
];

/// A MogileFS that can be made to fail, and a daemon on it.
struct Scene {
    daemon: Daemon,
    cluster: Cluster,
}

impl Scene {
    fn new(keys: &[(&str, &str)]) -> Self {
        let cluster = Cluster::faulty();
        let twice = [("class", &b"twice"[..]), ("mindevcount", b"2")];
        cluster.call("create_class", &twice).unwrap();
        let daemon = Daemon::on(&cluster, &[&SHORT, keys].concat());
        Self { daemon, cluster }
    }

    fn node(&self) -> &Node {
        self.cluster.node()
    }

    /// A new session: what an old one has learned it need not know.
    fn session(&self) -> Ftp {
        let mut ftp = self.daemon.log_in();
        ftp.expect("TYPE I", 200);
        ftp
    }

    fn break_it(&self, faults: &[&str]) {
        for fault in faults {
            self.node().fault(fault);
        }
    }

    /// Takes all faults away; each must have struck.
    fn mend(&self, what: &str) {
        assert!(self.node().has_struck(), "{what}: a fault never struck");
        self.node().fault("clear");
    }

    /// Waits until so many uploads are still open and so many files are known to nobody; if that does
    /// not come to pass, how many are.
    fn leaves(&self, expected: (usize, usize)) -> Option<(usize, usize)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = (self.node().temp_rows().len(), self.node().orphans().len());
            if found == expected {
                return None;
            }
            if Instant::now() >= deadline {
                return Some(found);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What a client is told holds no word of a tracker and no address.
fn tells_nothing(reply: &str) {
    for secret in ["127.0.0.1:", "http", "/dev", "hush"] {
        assert!(!reply.contains(secret), "{reply}");
    }
}
