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

/// Two ports of `address` side by side that are free; the second one.
fn pair_at(address: Ipv4Addr) -> u16 {
    (0..1000)
        .find_map(|_| {
            let first = TcpListener::bind((address, 0)).ok()?;
            let port = first.local_addr().ok()?.port();
            let second = TcpListener::bind((address, port.checked_add(1)?)).ok()?;
            Some(second.local_addr().ok()?.port())
        })
        .unwrap()
}

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
        true => vec![21, pair_at(address)],
        false => vec![pair_at(address)],
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
    let port = pair_at(address);
    let daemon = daemon(address, port);
    let mut ftp = session(&daemon);
    let ears = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let sources: Vec<u16> = (0..4)
        .map(|_| source_of_list(&mut ftp, &ears).port())
        .collect();
    assert_eq!(sources[0], port - 1);
    // The kernel remembers the first connection for a while: then it is another port.
    let is_free = |port: &u16| daemon.address.port() != *port;
    assert!(sources.iter().all(is_free), "{sources:?}");
}

#[test]
fn where_the_port_cannot_be_had_it_is_another_and_that_is_said() {
    let address = own_address();
    let port = pair_at(address);
    let _taken = TcpListener::bind((address, port - 1)).unwrap();
    let daemon = daemon(address, port);
    daemon.wait_for(&format!(
        "warn data-port-not-had addr={address} port={}",
        port - 1
    ));
    let mut ftp = session(&daemon);
    let ears = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    assert_ne!(source_of_list(&mut ftp, &ears).port(), port - 1);
}

#[test]
fn nobody_is_called_from_there_but_the_client_and_nobody_who_does_not_listen() {
    let address = own_address();
    let daemon = daemon(address, pair_at(address));
    let mut ftp = session(&daemon);
    for command in [
        "PORT 127,0,0,9,10,10",
        "PORT 127,0,0,1,0,25",
        "EPRT |1|127.0.0.9|5000|",
    ] {
        ftp.expect(command, 504);
    }
    ftp.expect("LIST", 425);
    let deaf = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = deaf.local_addr().unwrap().port();
    drop(deaf);
    ftp.expect(&format!("EPRT |1|127.0.0.1|{port}|"), 200);
    ftp.expect("LIST", 150);
    ftp.reply_of(425);
    ftp.expect("NOOP", 200);
}
