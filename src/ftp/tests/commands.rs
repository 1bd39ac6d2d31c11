//! Lines in, one reply each out.

use super::*;
use crate::path::Path;

/// Table of (command, code), one after the other in one session.
fn converse(client: &mut Client, dialogue: &[(&str, u16)]) {
    for (command, code) in dialogue {
        client.ask(command, *code);
    }
}

#[test]
fn a_visitor_may_log_in_and_little_else() {
    let server = Server::start();
    let mut client = server.connect();
    converse(
        &mut client,
        &[
            ("FEAT", 211),
            ("HELP", 214),
            ("HELP retr", 214),
            ("HELP nonsense", 501),
            ("OPTS UTF8 ON", 200),
            ("OPTS MLST type;", 200),
            ("NOOP", 200),
            ("SYST", 215),
            ("PWD", 530),
            ("RETR a", 530),
            ("PASV", 530),
            ("AUTH TLS", 502),
            ("XYZZY", 500),
            ("NOOPX", 500),
            ("", 500),
            ("PASS secret", 503),
            ("PASSsecret", 500),
            ("XPASS secret", 500),
            ("USER", 501),
            ("USER test", 331),
            ("PASS wrong", 530),
            ("PASS secret", 503),
            ("USER nobody", 331),
            ("PASS secret", 530),
            ("USER test", 331),
            ("PASS secret", 230),
            ("PASS secret", 503),
            ("PWD", 257),
            ("QUIT", 221),
        ],
    );
    client.expect_end();
    let log = server.ended();
    assert!(log.contains(&"PASS xxxx".to_owned()), "{log:?}");
    assert!(
        !log.iter()
            .any(|line| line.to_ascii_lowercase().contains("secret")),
        "{log:?}"
    );
}

#[test]
fn another_user_ends_the_login() {
    let server = Server::start();
    let mut client = server.log_in();
    converse(
        &mut client,
        &[
            ("MKD d", 257),
            ("CWD d", 250),
            ("TYPE A", 200),
            ("USER test", 331),
            ("PWD", 530),
            ("PASS secret", 230),
        ],
    );
    assert_eq!(client.ask("PWD", 257), "257 \"/\" is current directory.");
    // RFC 959 §4.1.1: "All transfer parameters are unchanged".
    client.store("STOR f", b"a\r\n", 226);
    assert_eq!(server.file("/f").unwrap(), b"a\n");
    converse(
        &mut client,
        &[("REIN", 220), ("USER test", 331), ("PASS secret", 230)],
    );
    client.store("STOR f", b"a\r\n", 226);
    assert_eq!(server.file("/f").unwrap(), b"a\r\n");
}

#[test]
fn storage_that_is_not_there_at_login_is_421() {
    let server = Server::start();
    let mut client = server.connect();
    client.ask("USER test", 331);
    client.ask("PASS no tracker", 421);
    client.expect_end();
}

#[test]
fn what_few_clients_ask_is_answered() {
    let server = Server::start();
    let mut client = server.log_in();
    converse(
        &mut client,
        &[
            ("AVBL", 502),
            ("CSID", 200),
            ("LANG", 200),
            ("LANG en-US", 200),
            ("LANG fr", 504),
            ("RANG 0 9", 350),
            ("RANG 1 0", 350),
            ("RANG 9 0", 501),
            ("RANG 9", 501),
            ("RANG 1 2 3", 501),
            ("RANG -1 2", 501),
            ("MFF modify=1; f", 502),
            ("HOST x", 502),
        ],
    );
}

#[test]
fn settings_are_taken_or_refused() {
    let server = Server::start();
    let mut client = server.log_in();
    converse(
        &mut client,
        &[
            ("TYPE A", 200),
            ("TYPE a n", 200),
            ("TYPE L 8", 200),
            ("type i", 200),
            ("TYPE E", 504),
            ("TYPE A T", 504),
            ("TYPE", 501),
            ("TYPE X", 501),
            ("MODE S", 200),
            ("MODE B", 504),
            ("MODE X", 501),
            ("STRU F", 200),
            ("STRU R", 504),
            ("ACCT x", 202),
            ("ALLO 100", 200),
            ("ALLO 100 R 10", 200),
            ("ALLO x", 501),
            ("REST 0", 350),
            ("REST x", 501),
            ("REST -1", 501),
            ("REST 99999999999999999999", 501),
            ("SITE HELP", 214),
            ("SITE UID", 200),
            ("SITE GID", 200),
            ("SITE IDLE", 200),
            ("SITE IDLE 60", 200),
            ("SITE IDLE 999999", 501),
            ("SITE IDLE x", 501),
            ("SITE CHMOD 644 f", 502),
            ("SITE CHMOD 648 f", 501),
            ("SITE CHMOD 1000 f", 501),
            ("SITE CHMOD 644", 501),
            ("SITE CHMOD", 501),
            ("SITE NONSENSE", 502),
            ("ABOR", 226),
            ("STAT", 211),
            ("MFMT 20200101000000 f", 502),
            ("PWD and more", 257),
            ("LIST -laR", 504),
            ("RETR f", 425),
            ("STOR f", 425),
            ("LIST", 425),
            ("QUIT", 221),
        ],
    );
}

#[test]
fn names_are_found_made_renamed_and_removed() {
    let server = Server::start();
    server.put("/d/f", "12345");
    let mut client = server.log_in();
    converse(
        &mut client,
        &[
            ("CWD d", 250),
            ("XPWD", 257),
            ("CWD /d/", 250),
            ("CWD nothing", 550),
            ("CWD f", 550),
            ("XCUP", 250),
            ("CDUP", 250),
            ("XCWD d/../d", 250),
            ("SIZE f", 213),
            ("SIZE /d", 550),
            ("SIZE nothing", 550),
            ("MDTM f", 213),
            ("MDTM /d", 550),
            ("MKD x", 257),
            ("MKD x", 550),
            ("MKD a\tb", 553),
            ("XMKD y", 257),
            ("RMD x", 250),
            ("XRMD y", 250),
            ("RMD /d", 550),
            ("RMD /", 550),
            ("DELE /", 550),
            ("RNFR /", 553),
            ("RNFR nothing", 550),
            ("RNTO g", 503),
            ("RNFR f", 350),
            ("RNTO g", 250),
            ("RNTO h", 503),
            ("RNFR g", 350),
            ("RNTO /d", 553),
            ("DELE f", 550),
            ("DELE g", 250),
            ("DELE /d", 550),
        ],
    );
}

#[test]
fn a_failed_rnfr_forgets_the_one_before() {
    let server = Server::start();
    server.put("/a", "a");
    let mut client = server.log_in();
    converse(
        &mut client,
        &[
            ("RNFR a", 350),
            ("RNFR nothing", 550),
            ("RNTO b", 503),
            ("RNFR a", 350),
            ("NOOP", 200),
            ("RNTO b", 503),
        ],
    );
    assert!(server.file("/a").is_some());
}

#[test]
fn quotes_in_a_directory_are_doubled() {
    let server = Server::start();
    let mut client = server.log_in();
    assert_eq!(client.ask("MKD a\"b", 257), "257 \"/a\"\"b\" created.");
    client.ask("CWD a\"b", 250);
    assert!(client.ask("PWD", 257).contains("\"/a\"\"b\""));
}

#[test]
fn lines_may_come_in_pieces_or_many_at_once() {
    let server = Server::start();
    let mut client = server.connect();
    for piece in ["US", "ER te", "st\r", "\nPASS ", "secret\n"] {
        client.send(piece);
    }
    client.expect_reply(331);
    client.expect_reply(230);
    client.send("MKD d\r\nCWD d\nPWD\r\nNOOP\r\nXYZZY\r\nPWD\r\n");
    for code in [257, 250, 257, 200, 500, 257] {
        client.expect_reply(code);
    }
}

#[test]
fn a_line_without_an_end_is_answered_once_and_costs_nothing() {
    let server = Server::start();
    let mut client = server.log_in();
    client.send(format!("STAT {}\r\n", "x".repeat(4096 - 5)));
    client.expect_reply(550);
    client.send(format!("STAT {}\r\n", "x".repeat(4096 - 4)));
    client.expect_reply(500);
    for _ in 0..1000 {
        client.send([b'x'; 4096]);
    }
    client.send("\r\nNOOP\r\n");
    client.expect_reply(500);
    client.expect_reply(200);
}

#[test]
fn telnet_is_tolerated_and_bytes_are_checked() {
    let server = Server::start();
    let mut client = server.log_in();
    client.send(b"\xff\xfb\x01NO\xff\xf1OP\r\n");
    client.expect_reply(200);
    client.send(b"\xff\xf4\xff\xf2ABOR\r\n");
    client.expect_reply(226);
    for line in [&b"MKD a\0b\r\n"[..], b"MKD a\rb\r\n", b"PWD \0\r\n"] {
        client.send(line);
        client.expect_reply(501);
    }
    client.send(b"MKD \xff\xff\r\n");
    client.expect_reply(257);
    client.send(b"PWD\r\n");
    client.expect_reply(257);
    assert!(
        server
            .files
            .lock()
            .unwrap()
            .kind(&Path::root().child(b"\xff"))
            .is_some()
    );
}

#[test]
fn browsers_are_sent_away() {
    for line in ["GET / HTTP/1.1", "POST /x HTTP/1.1", "Host: x"] {
        let server = Server::start();
        let mut client = server.connect();
        client.send(format!("{line}\r\nUSER test\r\nPASS secret\r\nDELE x\r\n"));
        client.expect_reply(500);
        client.expect_end();
        server.ended();
    }
}

#[test]
fn features_are_those_of_the_rows() {
    let server = Server::start();
    let mut client = server.log_in();
    assert_eq!(
        client.ask("FEAT", 211),
        "211-Features:\n AVBL\n CLNT\n CSID\n EPRT\n EPSV\n HASH SHA-256*;SHA-512;SHA-1;MD5;CRC32\n \
         LANG EN*\n MD5\n MDTM\n \
         MLST type*;size*;modify*;perm*;unique*;UNIX.mode*;\n PASV\n RANG STREAM\n REST STREAM\n SIZE\n TVFS\n \
         UTF8\n XCRC\n XMD5\n XSHA1\n XSHA256\n XSHA512\n211 End."
    );
    assert_eq!(
        client.ask("OPTS MLST size;type;", 200),
        "200 MLST OPTS type;size;"
    );
    assert!(client.ask("FEAT", 211).contains("MLST type*;size*;modify;"));
}

#[test]
fn idle_clients_are_sent_away() {
    let server = Server::start();
    let mut client = server.log_in();
    client.ask("SITE IDLE 1", 200);
    client.send("NOO");
    client.expect_reply(421);
    client.expect_end();
    let short = Duration::from_millis(50);
    let server = Server::with(|config| config.nanoftpd.login_time = short);
    let mut client = server.connect();
    client.expect_reply(421);
    client.expect_end();
}

#[test]
fn the_master_may_end_an_idle_session() {
    let mut server = Server::start();
    let mut client = server.log_in();
    server.ring();
    assert_eq!(client.expect_reply(421), "421 Server is shutting down.");
    client.expect_end();
    server.ended();
}

#[test]
fn the_reply_to_quit_comes_with_the_end() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("QUIT\r\n");
    let socket = client.control.get_ref();
    socket.peek(&mut [0]).unwrap();
    socket.set_nonblocking(true).unwrap();
    client.expect_reply(221);
    client.expect_end();
    // Our side need not be closed.
    server.ended();
}

#[test]
fn who_says_more_than_quit_gets_the_reply_all_the_same() {
    for more in ["", "NOOP\r\n", "N"] {
        let server = Server::start();
        let mut client = server.connect();
        client.send(format!("QUIT\r\n{more}"));
        client.send("x".repeat(if more.is_empty() { 0 } else { 9000 }));
        client.expect_reply(221);
        if !more.is_empty() {
            client.send("NOOP\r\n");
        }
        client.expect_end();
    }
}

#[test]
fn a_client_that_leaves_without_a_word_is_let_go() {
    let server = Server::start();
    drop(server.log_in());
    server.ended();
    let server = Server::start();
    let mut client = server.connect();
    client.send("USER test\r\nPASS secret\r\nPWD\r\nQUIT");
    client.half_close();
    for code in [331, 230, 257] {
        client.expect_reply(code);
    }
    client.expect_end();
    server.ended();
}

#[test]
fn idle_is_said_before_a_wait_and_not_between_lines_that_are_there() {
    let server = Server::start();
    let mut client = server.connect();
    client.send("NOOP\r\nNOOP\r\nQUIT\r\n");
    client.expect_reply(200);
    client.expect_reply(200);
    client.expect_reply(221);
    let log = server.ended();
    assert_eq!(log.last().unwrap(), "QUIT ");
    assert_eq!(log.iter().filter(|line| *line == "NOOP ").count(), 2);
}
