//! Active data connections from the port that is meant for them, where it can be had.
#![cfg(test)]

mod support;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use nix::unistd::Uid;
use support::{Daemon, Ftp, own_address};

/// A daemon at an address of its own, with the port for data free unless somebody else has it.
fn daemon(address: Ipv4Addr, port: u16) -> Daemon {
    let (address, port) = (address.to_string(), port.to_string());
    Daemon::of_files(&[
        ("nanoftpd.listen_addr", &*address),
        ("nanoftpd.listen_port", &*port),
        ("passive.active_port", "data"),
    ])
}

/// Where a daemon listens at an address that nobody else has: this port and the one before it are free.
const PORT: u16 = 2121;

/// Where the connection for a listing comes from, and that all of the listing came.
fn source_of_list(ftp: &mut Ftp, ears: &TcpListener) -> SocketAddr {
    let own = ears.local_addr().unwrap();
    ftp.expect(&format!("EPRT |1|{}|{}|", own.ip(), own.port()), 200);
    ftp.send(b"LIST\r\n");
    let (mut data, from) = ears.accept().unwrap();
    ftp.reply_of(150);
    let mut list = String::new();
    data.read_to_string(&mut list).unwrap();
    assert!(list.ends_with(" a file\r\n"), "{list:?}");
    drop(data);
    ftp.reply_of(226);
    from
}

fn session(daemon: &Daemon) -> Ftp {
    std::fs::write(daemon.files().join("a file"), "x").unwrap();
    daemon.log_in()
}

#[test]
fn active_connections_come_from_the_port_before_the_one_that_is_listened_on() {
    let address = own_address();
    let ports = match Uid::effective().is_root() {
        // The real thing.
        true => vec![21, PORT],
        false => vec![PORT],
    };
    for port in ports {
        let daemon = daemon(address, port);
        let mut ftp = session(&daemon);
        // Two at once have the same port.
        let mut other = session(&daemon);
        for ftp in [&mut ftp, &mut other] {
            let ears = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let from = source_of_list(ftp, &ears);
            assert_eq!(from, SocketAddr::from((address, port - 1)));
        }
    }
}

#[test]
fn the_same_two_ports_again_at_once_are_no_trouble() {
    let address = own_address();
    let daemon = daemon(address, PORT);
    let mut ftp = session(&daemon);
    let ears = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let sources: Vec<u16> = (0..4)
        .map(|_| source_of_list(&mut ftp, &ears).port())
        .collect();
    assert_eq!(sources[0], PORT - 1);
    // The kernel remembers the first connection for a while: then it is another port.
    let is_free = |port: &u16| daemon.address.port() != *port;
    assert!(sources.iter().all(is_free), "{sources:?}");
}

#[test]
fn where_the_port_cannot_be_had_it_is_another_and_that_is_said() {
    let address = own_address();
    let _taken = TcpListener::bind((address, PORT - 1)).unwrap();
    let daemon = daemon(address, PORT);
    daemon.wait_for(&format!(
        "warn data-port-not-had addr={address} port={}",
        PORT - 1
    ));
    let mut ftp = session(&daemon);
    let ears = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    assert_ne!(source_of_list(&mut ftp, &ears).port(), PORT - 1);
}

#[test]
fn nobody_is_called_from_there_but_the_client_and_nobody_who_does_not_listen() {
    let address = own_address();
    let daemon = daemon(address, PORT);
    // At an address where nobody listens at all.
    let own = own_address();
    let mut ftp = Ftp::connect_from(own, daemon.address);
    ftp.log_in("test", "test");
    for command in [
        "PORT 127,0,0,9,10,10",
        &format!("EPRT |1|{own}|25|"),
        "EPRT |1|127.0.0.9|5000|",
    ] {
        ftp.expect(command, 504);
    }
    ftp.expect("LIST", 425);
    ftp.expect(&format!("EPRT |1|{own}|5000|"), 200);
    ftp.expect("LIST", 150);
    ftp.reply_of(425);
    ftp.expect("NOOP", 200);
}
