//! Who may make a data connection with whom.

use std::net::Ipv6Addr;

use socket2::{Domain, Socket, Type};

use super::*;
use crate::config::Network;

fn port_command(address: SocketAddr) -> String {
    let IpAddr::V4(ip) = address.ip() else {
        panic!("{address} is not IPv4");
    };
    let [a, b, c, d] = ip.octets();
    let [high, low] = address.port().to_be_bytes();
    format!("PORT {a},{b},{c},{d},{high},{low}")
}

/// Takes what the server sends to `listener`.
fn receive(listener: &TcpListener) -> String {
    let (mut data, from) = listener.accept().unwrap();
    data.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(from.ip().is_loopback());
    let mut text = String::new();
    data.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_file_arrives_by_every_route() {
    let server = Server::start();
    server.put("/f", "text");
    let mut client = server.log_in();
    assert_eq!(client.fetch_text("RETR f"), "text");
    for epsv in ["EPSV", "EPSV 1"] {
        let text = client.ask(epsv, 229);
        let port = text.split('|').nth(3).unwrap().parse().unwrap();
        let mut data = connect_from(
            client.own_address().ip(),
            SocketAddr::new(server.address.ip(), port),
        );
        client.ask("RETR f", 150);
        let mut text = String::new();
        data.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        client.expect_reply(226);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap();
    for command in [
        port_command(own),
        format!("EPRT |1|127.0.0.1|{}|", own.port()),
    ] {
        client.ask(&command, 200);
        client.ask("RETR f", 150);
        assert_eq!(receive(&listener), "text");
        client.expect_reply(226);
    }
}

#[test]
fn the_last_route_counts_and_only_once() {
    let server = Server::start();
    server.put("/f", "text");
    let mut client = server.log_in();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let passive = client.pasv();
    client.ask(&port_command(listener.local_addr().unwrap()), 200);
    assert!(TcpStream::connect(passive).is_err(), "PASV still listens");
    client.ask("RETR f", 150);
    assert_eq!(receive(&listener), "text");
    client.expect_reply(226);
    client.pasv();
    let mut data = client.passive();
    client.ask("RETR f", 150);
    let mut text = String::new();
    data.read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
    client.expect_reply(226);
    client.ask("RETR f", 425);
    let passive = client.pasv();
    client.ask("PORT nonsense", 501);
    client.ask("RETR f", 425);
    assert!(TcpStream::connect(passive).is_err(), "PASV still listens");
}

#[test]
fn nobody_is_bounced_to() {
    let server = Server::start();
    let mut client = server.log_in();
    let trap = TcpListener::bind("127.0.0.2:0").unwrap();
    let trapped = trap.local_addr().unwrap().port();
    for (command, code) in [
        (port_command(trap.local_addr().unwrap()), 504),
        (format!("EPRT |1|127.0.0.2|{trapped}|"), 504),
        (format!("EPRT |2|::ffff:127.0.0.2|{trapped}|"), 504),
        (format!("EPRT |2|::1|{trapped}|"), 504),
        (format!("EPRT |1|0.0.0.0|{trapped}|"), 504),
        (format!("EPRT |3|127.0.0.1|{trapped}|"), 522),
        (format!("EPRT |1|localhost|{trapped}|"), 501),
        ("PORT 127,0,0,1,3,255".into(), 504),
        ("PORT 127,0,0,1,0,0".into(), 504),
        ("PORT 127,0,0,1,300,5".into(), 501),
        ("PORT 127,0,0,1,4".into(), 501),
        ("EPRT".into(), 501),
    ] {
        client.ask(&command, code);
        client.ask("LIST", 425);
    }
    trap.set_nonblocking(true).unwrap();
    assert!(trap.accept().is_err(), "somebody connected");
}

#[test]
fn active_mode_can_be_switched_off() {
    let server = Server::with(|config| config.passive.active = false);
    let mut client = server.log_in();
    client.ask("PORT 127,0,0,1,40,1", 502);
    client.ask("EPRT |1|127.0.0.1|40000|", 502);
}

#[test]
fn a_stranger_at_the_passive_port_keeps_nobody_out() {
    let server = Server::start();
    server.put("/f", "text");
    let mut client = server.log_in();
    let passive = client.pasv();
    let mut strangers: Vec<TcpStream> = (2..6)
        .map(|last| connect_from(Ipv4Addr::new(127, 0, 0, last).into(), passive))
        .collect();
    let mut data = connect_from(client.own_address().ip(), passive);
    client.ask("RETR f", 150);
    let mut text = String::new();
    data.read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
    client.expect_reply(226);
    for stranger in &mut strangers {
        let mut stolen = Vec::new();
        let _ = stranger.read_to_end(&mut stolen);
        assert!(stolen.is_empty());
    }
}

#[test]
fn nobody_at_the_port_is_425_after_a_while() {
    let server = Server::with(|config| {
        config.passive.accept_timeout = Duration::from_millis(50);
    });
    server.put("/f", "text");
    let mut client = server.log_in();
    let passive = client.pasv();
    client.ask("RETR f", 150);
    client.expect_reply(425);
    assert!(TcpStream::connect(passive).is_err(), "PASV still listens");
    // Taken, so that nobody else listens there.
    let closed = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    closed.bind(&any.into()).unwrap();
    let closed_at = closed.local_addr().unwrap().as_socket().unwrap();
    client.ask(&port_command(closed_at), 200);
    client.ask("STOR g", 150);
    client.expect_reply(425);
    assert!(server.file("/g").is_none());
}

#[test]
fn a_range_that_is_used_up_is_425_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let server = Server::with(|config| {
        (config.nanoftpd.low_port, config.nanoftpd.high_port) = (port, port);
    });
    let mut client = server.log_in();
    client.ask("PASV", 425);
    client.ask("EPSV", 425);
}

/// Behind a connection that is reset, clients that look at both at once do not look for the reply.
#[test]
fn a_connection_for_what_is_refused_ends_well_and_after_the_reply() {
    let server = Server::start();
    let mut client = server.log_in();
    for (command, code) in [
        ("RETR missing", 550),
        ("STOR dir/", 553),
        ("NLST missing", 550),
        ("MLSD missing", 550),
    ] {
        let mut data = client.passive();
        // As the beginning of a TLS handshake, or of a file, might be there already.
        data.write_all(b"something").unwrap();
        client.ask(command, code);
        assert_eq!(data.read(&mut [0; 8]).unwrap(), 0, "{command}");
        client.ask("NOOP", 200);
        client.ask("RETR missing", 425);
    }
}

#[test]
fn ports_come_from_the_range() {
    let server = Server::start();
    let mut client = server.log_in();
    for _ in 0..20 {
        let port = client.pasv().port();
        assert!((20_000..=32_000).contains(&port), "{port}");
    }
}

#[test]
fn epsv_all_refuses_all_else() {
    let server = Server::start();
    let mut client = server.log_in();
    client.ask("EPSV 2", 522);
    client.ask("EPSV 3", 522);
    client.ask("EPSV x", 501);
    client.ask("EPSV ALL", 200);
    client.ask("ABOR", 226);
    client.ask("PASV", 501);
    client.ask("P@SW", 501);
    client.ask("PORT 127,0,0,1,40,1", 501);
    client.ask("EPRT |1|127.0.0.1|40000|", 501);
    client.ask("EPSV", 229);
}

#[test]
fn the_announced_address_is_that_of_the_clients_network() {
    let network = |address: &str, bits| Network {
        address: address.parse().unwrap(),
        bits,
    };
    let server = Server::with(|config| {
        config.passive.nat = vec![
            (network("10.0.0.0", 8), "10.1.2.3".parse().unwrap()),
            (network("127.0.0.0", 8), "192.0.2.7".parse().unwrap()),
        ];
    });
    let mut client = server.log_in();
    assert_eq!(client.pasv().ip().to_string(), "192.0.2.7");
}

#[test]
fn ipv6_has_epsv_and_eprt_and_a_clear_word_for_pasv() {
    let server = Server::on("[::1]:0", |_| {});
    server.put("/f", "text");
    let mut client = server.connect();
    client.log_in();
    client.ask("PASV", 425);
    assert!(client.ask("EPSV 1", 522).ends_with("use (2)"));
    for epsv in ["EPSV", "EPSV 2"] {
        let text = client.ask(epsv, 229);
        let port = text.split('|').nth(3).unwrap().parse().unwrap();
        let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
        let mut data = connect_from(address.ip(), address);
        client.ask("RETR f", 150);
        let mut text = String::new();
        data.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        client.expect_reply(226);
    }
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    client.ask(&format!("EPRT |2|::1|{port}|"), 200);
    client.ask("RETR f", 150);
    assert_eq!(receive(&listener), "text");
    client.expect_reply(226);
}

#[test]
fn an_ipv4_client_of_an_ipv6_listener_is_an_ipv4_client() {
    let server = Server::on("[::]:0", |_| {});
    server.put("/f", "text");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.address.port()));
    let mut client = Client::new(connect_from(Ipv4Addr::LOCALHOST.into(), address));
    client.expect_reply(220);
    client.log_in();
    assert_eq!(client.pasv().ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
    assert_eq!(client.fetch_text("RETR f"), "text");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    client.ask(&port_command(listener.local_addr().unwrap()), 200);
    client.ask("RETR f", 150);
    assert_eq!(receive(&listener), "text");
    client.expect_reply(226);
}
