//! Two daemons behind a HAProxy, configured as docs/balancing.md says.
#![cfg(test)]

mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use support::{Cluster, Daemon, Ftp, Mode, Scratch, eventually, is_here, noise, own_address};

const CONTROL: u16 = 2121;

/// Stops with the test.
struct Proxy {
    child: Child,
    address: SocketAddr,
    _scratch: Scratch,
}

impl Proxy {
    /// In front of `daemons`, with their passive ports if data goes through it, too.
    fn start(daemons: &[&Daemon], ranges: &[&str]) -> Self {
        let (front, scratch) = (own_address(), Scratch::new());
        let mut text = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n\
             frontend ftp\n bind {front}:{CONTROL}\n default_backend ftp\n\
             backend ftp\n balance leastconn\n option tcp-check\n tcp-check expect rstring ^220\n"
        );
        for (name, daemon) in daemons.iter().enumerate() {
            text += &format!(" server d{name} {} check send-proxy-v2\n", daemon.address);
        }
        for (name, (daemon, range)) in daemons.iter().zip(ranges).enumerate() {
            text += &format!(
                "frontend data-{name}\n bind {front}:{range}\n default_backend data-{name}\n\
                 backend data-{name}\n server d{name} {} send-proxy-v2\n",
                daemon.address.ip()
            );
        }
        let file = scratch.file("haproxy.cfg", text.as_bytes());
        let child = Command::new("haproxy")
            .args(["-db", "-q", "-f"])
            .arg(file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let proxy = Self {
            child,
            address: (front, CONTROL).into(),
            _scratch: scratch,
        };
        eventually("a proxy", || TcpStream::connect(proxy.address).ok());
        proxy
    }

    /// A client at `own` that has logged in.
    fn client(&self, own: Ipv4Addr) -> Ftp {
        let mut ftp = Ftp::connect_from(own, self.address);
        ftp.log_in("test", "test");
        ftp
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn daemon(cluster: &Cluster, changes: &[(&str, &str)]) -> Daemon {
    let address = own_address().to_string();
    let mut all = vec![
        ("nanoftpd.listen_addr", &*address),
        ("proxy.trusted", "127.0.0.1/32"),
    ];
    all.extend_from_slice(changes);
    Daemon::on(cluster, &all)
}

/// Two sessions, one on each daemon: what one stores the other reads.
fn share(proxy: &Proxy, daemons: &[&Daemon]) {
    let client = Ipv4Addr::LOCALHOST;
    // Connections that have just ended may still be counted by the proxy.
    let (mut one, mut other) = eventually("a session on each", || {
        let two = (proxy.client(client), proxy.client(client));
        let has_one = |daemon: &&Daemon| daemon.order(&["status"]).1.contains("\n1 of ");
        daemons.iter().all(has_one).then_some(two)
    });
    let content = noise(200_000, 3);
    for mode in [Mode::Pasv, Mode::Epsv] {
        (one.mode, other.mode) = (mode, mode);
        one.store("photos/a", &content);
        assert_eq!(other.fetch("RETR photos/a"), content);
        assert_eq!(other.lines("NLST photos"), ["photos/a"]);
        one.expect("DELE photos/a", 250);
    }
}

#[test]
fn data_may_go_through_the_proxy() {
    if !is_here("haproxy") {
        return;
    }
    let cluster = Cluster::start();
    let start = |low: &str, high: &str| {
        daemon(
            &cluster,
            &[
                ("nanoftpd.low_port", low),
                ("nanoftpd.high_port", high),
                ("proxy.data", "header"),
            ],
        )
    };
    let (a, b) = (start("15000", "15019"), start("15020", "15039"));
    let proxy = Proxy::start(&[&a, &b], &["15000-15019", "15020-15039"]);
    share(&proxy, &[&a, &b]);
}

#[test]
fn data_may_go_straight_to_the_daemon() {
    if !is_here("haproxy") || !is_here("curl") {
        return;
    }
    let cluster = Cluster::start();
    let daemon = daemon(&cluster, &[]);
    let proxy = Proxy::start(&[&daemon], &[]);
    // Goes where PASV says.
    let fetched = Command::new("curl")
        .args(["-sS", "--disable-epsv", "--no-ftp-skip-pasv-ip"])
        .args(["-T", "Cargo.toml"])
        .arg(format!("ftp://test:test@{}/photos/", proxy.address))
        .status()
        .unwrap();
    assert!(fetched.success());
    let [a, b, c, d] = match daemon.address.ip() {
        std::net::IpAddr::V4(own) => own.octets(),
        std::net::IpAddr::V6(_) => unreachable!(),
    };
    daemon.wait_for(&format!("227 Entering Passive Mode ({a},{b},{c},{d},"));
}

#[test]
fn a_daemon_that_is_shut_gets_no_new_clients() {
    if !is_here("haproxy") {
        return;
    }
    let cluster = Cluster::start();
    let (a, b) = (daemon(&cluster, &[]), daemon(&cluster, &[]));
    let proxy = Proxy::start(&[&a, &b], &[]);
    let shut = Command::new(env!("CARGO_BIN_EXE_nanoftpd"))
        .arg("-c")
        .arg(a.conf())
        .args(["shut", "60"])
        .status()
        .unwrap();
    assert!(shut.success());
    eventually("all clients on the other one", || {
        let greeted = (0..6).all(|_| Ftp::silent(proxy.address).reply().0 == 220);
        greeted.then_some(())
    });
    let client = own_address();
    drop(proxy.client(client));
    b.wait_for(&format!("info login peer={client}"));
}
