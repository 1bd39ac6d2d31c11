//! Clients behind a proxy that speaks the PROXY protocol: who they are, and whose data connections
//! they may use.
#![cfg(test)]

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use support::tls::{Secure, certificate, memory, shake_hands};
use support::{Daemon, Ftp, PATIENCE, Scratch, own_address};

/// A proxy that is trusted, the client in front of it, and what the client connected to.
const PROXY: [u8; 4] = [127, 0, 0, 3];
const CLIENT: [u8; 4] = [127, 0, 0, 7];
const FRONT: [u8; 4] = [127, 0, 0, 8];
const HEADER: &str = "PROXY TCP4 127.0.0.7 127.0.0.8 50000 21\r\n";

fn start(data: &str) -> Daemon {
    Daemon::of_files(&[
        ("proxy.trusted", "127.0.0.3/32, 192.0.2.0/24"),
        ("proxy.data", data),
    ])
}

fn connect(own: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let own = SocketAddr::new(IpAddr::from(own), 0);
    socket.bind(&own.into()).unwrap();
    socket.connect_timeout(&to.into(), PATIENCE).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A control connection from `own` that begins with `header`.
fn control(daemon: &Daemon, own: [u8; 4], header: &[u8]) -> Ftp {
    let mut ftp = Ftp::over(connect(own, daemon.address));
    ftp.send(header);
    ftp
}

fn log_in(daemon: &Daemon, header: &[u8]) -> Ftp {
    let mut ftp = control(daemon, PROXY, header);
    ftp.reply_of(220);
    ftp.log_in("test", "test");
    ftp
}

/// PASV: the address in the reply.
fn pasv(ftp: &mut Ftp) -> SocketAddr {
    let reply = ftp.expect("PASV", 227);
    let numbers = reply.split(['(', ')']).nth(1).unwrap();
    let n: Vec<u8> = numbers.split(',').map(|n| n.parse().unwrap()).collect();
    SocketAddr::from(([n[0], n[1], n[2], n[3]], u16::from_be_bytes([n[4], n[5]])))
}

fn version_2(command: u8, source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let (family, addresses) = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            (0x11, [source.octets(), destination.octets()].concat())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            (0x21, [source.octets(), destination.octets()].concat())
        }
        _ => unreachable!(),
    };
    let length = u8::try_from(addresses.len() + 4).unwrap();
    let head = b"\r\n\r\n\0\r\nQUIT\n";
    [
        &head[..],
        &[command, family, 0, length],
        &addresses,
        &[0xc3, 0x50, 0, 21],
    ]
    .concat()
}

#[test]
fn the_client_is_whom_a_trusted_proxy_names() {
    let daemon = start("direct");
    let packet = version_2(0x21, CLIENT.into(), FRONT.into());
    for header in [HEADER.as_bytes(), &packet] {
        let mut ftp = log_in(&daemon, header);
        assert!(ftp.expect("STAT", 211).contains("Connected from 127.0.0.7"));
        let login = daemon.wait_for("info login ");
        assert!(login.contains("peer=127.0.0.7 "), "{login}");
        daemon.worker("test@127.0.0.7: IDLE");
        ftp.expect("PORT 127,0,0,7,200,1", 200);
        ftp.expect("PORT 127,0,0,3,200,1", 504);
        ftp.expect("PORT 127,0,0,1,200,1", 504);
        ftp.expect("QUIT", 221);
    }
}

#[test]
fn nobody_else_is_believed_and_a_proxy_must_say_something() {
    let daemon = start("direct");
    let mut ftp = control(&daemon, [127, 0, 0, 4], HEADER.as_bytes());
    ftp.reply_of(220);
    ftp.reply_of(500);
    ftp.log_in("test", "test");
    assert!(ftp.expect("STAT", 211).contains("Connected from 127.0.0.4"));

    let mut silly = connect(PROXY, daemon.address);
    silly.write_all(b"USER test\r\nPASS test\r\n").unwrap();
    assert_eq!(silly.read(&mut [0; 64]).unwrap_or(0), 0);
    daemon.wait_for("proxy-failed peer=127.0.0.3");

    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        version_2(0x20, CLIENT.into(), FRONT.into()),
    ] {
        let mut ftp = log_in(&daemon, &header);
        assert!(ftp.expect("STAT", 211).contains("Connected from 127.0.0.3"));
    }
}

/// As load balancers do that look whether somebody listens, and whoever else is in a network that is trusted.
#[test]
fn proxies_that_say_nothing_take_nobodys_place() {
    let daemon = Daemon::of_files(&[
        ("proxy.trusted", "127.0.0.3/32"),
        ("nanoftpd.login_time", "300"),
        ("pool.max_clients", "16"),
    ]);
    let silent: Vec<TcpStream> = (0..8).map(|_| connect(PROXY, daemon.address)).collect();
    log_in(&daemon, HEADER.as_bytes()).expect("QUIT", 221);
    // Not even where there are more than there are places.
    let more: Vec<TcpStream> = (0..16).map(|_| connect(PROXY, daemon.address)).collect();
    log_in(&daemon, HEADER.as_bytes()).expect("QUIT", 221);
    drop((silent, more));
}

#[test]
fn direct_data_connections_come_from_the_client_itself() {
    let daemon = start("direct");
    let mut ftp = log_in(&daemon, HEADER.as_bytes());
    let address = pasv(&mut ftp);
    assert_eq!(address.ip(), daemon.address.ip());
    let mut stranger = connect(PROXY, address);
    let mut data = connect(CLIENT, address);
    ftp.expect("STOR f", 150);
    data.write_all(b"x").unwrap();
    drop(data);
    ftp.reply_of(226);
    assert_eq!(stranger.read(&mut [0; 1]).unwrap_or(0), 0);
    daemon.wait_for("data-stranger peer=127.0.0.7");
}

#[test]
fn data_connections_may_come_through_the_proxy() {
    let daemon = start("header");
    let mut ftp = log_in(&daemon, HEADER.as_bytes());
    let announced = pasv(&mut ftp);
    assert_eq!(announced.ip(), IpAddr::from(FRONT));
    let address = SocketAddr::new(daemon.address.ip(), announced.port());
    // The client past the proxy, the proxy for somebody else, the proxy for itself.
    let mut past = connect(CLIENT, address);
    past.write_all(HEADER.as_bytes()).unwrap();
    let mut other = connect(PROXY, address);
    other
        .write_all(b"PROXY TCP4 127.0.0.9 127.0.0.8 1 2\r\n")
        .unwrap();
    let mut own = connect(PROXY, address);
    own.write_all(b"PROXY UNKNOWN\r\n").unwrap();
    let mut data = connect(PROXY, address);
    data.write_all(HEADER.as_bytes()).unwrap();
    data.write_all(b"x").unwrap();
    ftp.expect("STOR f", 150);
    drop(data);
    ftp.reply_of(226);
    assert_eq!(std::fs::read(daemon.files().join("f")).unwrap(), b"x");
}

#[test]
fn an_ipv6_client_may_come_through_an_ipv4_proxy() {
    let daemon = start("header");
    let (client, front) = ("2001:db8::7", "2001:db8::8");
    let header = version_2(0x21, client.parse().unwrap(), front.parse().unwrap());
    let mut ftp = log_in(&daemon, &header);
    ftp.expect("PASV", 425);
    ftp.expect("EPSV 1", 522);
    let reply = ftp.expect("EPSV 2", 229);
    let port = reply.split('|').nth(3).unwrap().parse().unwrap();
    let mut data = connect(PROXY, SocketAddr::new(daemon.address.ip(), port));
    data.write_all(&header).unwrap();
    ftp.expect("NLST", 150);
    data.read_to_end(&mut Vec::new()).unwrap();
    ftp.reply_of(226);
}

/// The proxy's header is in the clear and comes before the handshake, on both connections.
#[test]
fn a_proxy_may_come_before_implicit_tls() {
    const IMPLICIT: &str = "20990";
    let packet = version_2(0x21, CLIENT.into(), FRONT.into());
    for (mode, own) in [("direct", CLIENT), ("header", PROXY)] {
        let dir = Scratch::new();
        let address = own_address().to_string();
        let daemon = Daemon::of_files(&certificate(&dir).and(&[
            ("proxy.trusted", "127.0.0.3/32"),
            ("proxy.data", mode),
            ("nanoftpd.listen_addr", &address),
            ("tls.implicit_port", IMPLICIT),
        ]));
        let implicit = format!("{address}:{IMPLICIT}").parse().unwrap();
        for header in [HEADER.as_bytes(), &packet] {
            let memory = memory(&rustls::version::TLS13);
            let mut socket = connect(PROXY, implicit);
            socket.write_all(header).unwrap();
            let mut ftp = Secure::over(socket, &memory).unwrap();
            ftp.reply_of(220);
            ftp.expect("USER test", 331);
            ftp.expect("PASS test", 230);
            assert!(ftp.expect("STAT", 211).contains("Connected from 127.0.0.7"));
            let reply = ftp.expect("EPSV", 229);
            let port = reply.split('|').nth(3).unwrap().parse().unwrap();
            let mut data = connect(own, SocketAddr::new(implicit.ip(), port));
            if mode == "header" {
                data.write_all(header).unwrap();
            }
            ftp.expect("STOR f", 150);
            let mut data = shake_hands(data, &memory).unwrap();
            data.write_all(b"x").unwrap();
            data.conn.send_close_notify();
            data.flush().unwrap();
            ftp.reply_of(226);
            assert_eq!(std::fs::read(daemon.files().join("f")).unwrap(), b"x");
            ftp.expect("DELE f", 250);
        }

        // Without the header the handshake is taken for one.
        let socket = connect(PROXY, implicit);
        assert!(Secure::over(socket, &memory(&rustls::version::TLS13)).is_err());
        daemon.wait_for("proxy-failed peer=127.0.0.3");
        // Who is not a proxy says none.
        let socket = connect([127, 0, 0, 4], implicit);
        let mut ftp = Secure::over(socket, &memory(&rustls::version::TLS13)).unwrap();
        ftp.reply_of(220);
    }
}
