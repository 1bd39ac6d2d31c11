//! Files down and up, in good order and otherwise.

use super::*;
use crate::config::Allo;

/// Bytes that no conversion leaves alone.
pub(super) fn sample(len: usize) -> Vec<u8> {
    let bytes = (0..len).map(|index| (index * 7 + index / 251) % 256);
    bytes.map(|byte| u8::try_from(byte).unwrap()).collect()
}

#[test]
fn files_go_up_and_down_unchanged() {
    let server = Server::start();
    let mut client = server.log_in();
    for len in [0, 1, 4096, 128 * 1024 + 1, 3_000_000] {
        let bytes = sample(len);
        let reply = client.store("STOR d", &bytes, 226);
        assert_eq!(reply, format!("226 Stored {len} bytes, fid 4711."));
        assert!(server.file("/d") == Some(bytes.clone()), "{len} up");
        assert!(client.fetch("RETR d") == bytes, "{len} down");
        server.put("/d.kernel", bytes.clone());
        assert!(client.fetch("RETR d.kernel") == bytes, "{len} by sendfile");
    }
    let log = server.log();
    assert!(log.contains(&"Up /d 3000000 true".to_owned()), "{log:?}");
    assert!(log.contains(&"Down /d 3000000 true".to_owned()), "{log:?}");
}

#[test]
fn type_a_converts_line_ends_both_ways_once_it_is_said() {
    let server = Server::start();
    let mut client = server.log_in();
    client.store("STOR raw", b"a\r\nb\n", 226);
    assert_eq!(server.file("/raw").unwrap(), b"a\r\nb\n");
    client.ask("TYPE A", 200);
    client.store("STOR text", b"a\r\nb\rc\nd\r", 226);
    assert_eq!(server.file("/text").unwrap(), b"a\nb\rc\nd\r");
    assert_eq!(client.fetch("RETR text"), b"a\r\nb\rc\r\nd\r");
    server.put("/text.kernel", "a\nb\n");
    assert_eq!(client.fetch("RETR text.kernel"), b"a\r\nb\r\n");
    assert_eq!(client.ask("SIZE text", 213), "213 8");
    let long = "line\n".repeat(100_000);
    server.put("/long", long.clone());
    let wire = client.fetch("RETR long");
    assert!(wire == long.replace('\n', "\r\n").into_bytes());
    client.store("STOR longer", &wire, 226);
    assert!(server.file("/longer").unwrap() == long.into_bytes());
}

#[test]
fn the_configuration_says_what_the_type_is_at_first() {
    let server = Server::with(|config| {
        config.nanoftpd.default_type = crate::config::Type::Ascii;
    });
    let mut client = server.log_in();
    client.store("STOR x", b"a\r\n", 226);
    assert_eq!(server.file("/x").unwrap(), b"a\n");
    client.ask("TYPE I", 200);
    client.store("STOR x", b"a\r\n", 226);
    assert_eq!(server.file("/x").unwrap(), b"a\r\n");
}

#[test]
fn rest_lets_a_download_begin_later_and_is_used_up() {
    let server = Server::start();
    server.put("/f", "0123456789");
    server.put("/f.kernel", "0123456789");
    let mut client = server.log_in();
    for (name, offset, expected) in [
        ("f", 4, "456789"),
        ("f.kernel", 4, "456789"),
        ("f", 10, ""),
        ("f", 0, "0123456789"),
    ] {
        client.ask(&format!("REST {offset}"), 350);
        assert_eq!(client.fetch_text(&format!("RETR {name}")), expected);
        assert_eq!(client.fetch_text(&format!("RETR {name}")), "0123456789");
    }
    client.ask("REST 11", 350);
    client.pasv();
    client.ask("RETR f", 554);
    client.ask("REST 4", 350);
    client.pasv();
    client.ask("STOR f", 502);
    client.pasv();
    client.ask("APPE f", 502);
    assert_eq!(server.file("/f").unwrap(), b"0123456789");
    client.ask("REST 4", 350);
    client.ask("REST x", 501);
    assert_eq!(client.fetch_text("RETR f"), "0123456789");
}

#[test]
fn rang_is_a_piece_of_a_download_and_is_used_up() {
    let server = Server::start();
    server.put("/f", "0123456789");
    server.put("/f.kernel", "0123456789");
    let mut client = server.log_in();
    for name in ["f", "f.kernel"] {
        for (range, expected) in [
            ("0 0", "0"),
            ("2 4", "234"),
            ("8 99", "89"),
            ("10 12", ""),
            ("1 0", "0123456789"),
        ] {
            client.ask(&format!("RANG {range}"), 350);
            assert_eq!(client.fetch_text(&format!("RETR {name}")), expected);
            assert_eq!(client.fetch_text(&format!("RETR {name}")), "0123456789");
        }
    }
    client.ask("RANG 2 4", 350);
    client.ask("REST 8", 350);
    assert_eq!(client.fetch_text("RETR f"), "89");
    client.ask("RANG 2 4", 350);
    client.pasv();
    client.ask("STOR f", 504);
    assert_eq!(server.file("/f").unwrap(), b"0123456789");
    assert_eq!(client.fetch_text("RETR f"), "0123456789");
}

#[test]
fn stou_stores_under_a_name_of_its_own_and_tells_it() {
    let server = Server::start();
    server.put("/d/f", "old");
    let mut client = server.log_in();
    client.ask("CWD d", 250);
    for (command, start) in [("STOU", "stou."), ("STOU f", "f."), ("STOU f", "f.")] {
        let mut data = client.passive();
        let reply = client.ask(command, 150);
        let name = reply.strip_prefix("150 FILE: ").unwrap().to_owned();
        assert!(name.starts_with(start), "{reply}");
        data.write_all(b"new").unwrap();
        drop(data);
        client.expect_reply(226);
        assert_eq!(server.file(&format!("/d/{name}")).unwrap(), b"new");
    }
    assert_eq!(server.file("/d/f").unwrap(), b"old");
}

#[test]
fn allo_binds_the_next_upload_of_a_whole_file() {
    let server = Server::start();
    let mut client = server.log_in();
    client.ask("TYPE I", 200);
    client.ask("ALLO 4", 200);
    let reply = client.store("STOR f", b"123", 451);
    assert!(reply.contains("ALLO"), "{reply}");
    assert_eq!(server.file("/f"), None);
    client.store("STOR f", b"123", 226);
    for (size, content) in [(3, &b"123"[..]), (3, b"12345"), (0, b"1")] {
        client.ask(&format!("ALLO {size}"), 200);
        client.store("STOR f", content, 226);
        assert_eq!(server.file("/f").unwrap(), content);
    }
    client.ask("ALLO 4", 200);
    client.store("STOU g", b"123", 451);
    // It was meant for an upload that the client has given up.
    for command in ["RETR f", "LIST"] {
        client.ask("ALLO 4", 200);
        client.fetch_text(command);
        client.store("STOR f", b"123", 226);
    }
    // Line ends are counted differently.
    client.ask("TYPE A", 200);
    client.ask("ALLO 4", 200);
    client.store("STOR f", b"123", 226);
}

#[test]
fn allo_is_a_hint_where_the_configuration_says_so() {
    let server = Server::with(|config| config.limits.allo = Allo::Hint);
    let mut client = server.log_in();
    client.ask("TYPE I", 200);
    client.ask("ALLO 4", 200);
    client.store("STOR f", b"123", 226);
    assert_eq!(server.file("/f").unwrap(), b"123");
}

#[test]
fn what_cannot_be_is_refused_before_the_150() {
    let server = Server::start();
    server.put("/d/f", "x");
    let mut client = server.log_in();
    for (command, code) in [
        ("RETR nothing", 550),
        ("RETR d", 550),
        ("RETR dark", 450),
        ("STOR d", 553),
        ("STOR /", 553),
        ("STOR d/", 553),
        ("STOR .", 553),
        ("APPE d/x/..", 553),
        ("STOR nothing/x", 553),
        ("STOR d/f/x", 553),
        ("STOR a\tb", 553),
    ] {
        client.pasv();
        client.ask(command, code);
        client.ask("NOOP", 200);
    }
}

#[test]
fn a_store_that_fails_is_told_with_a_reference_and_no_cause() {
    let server = Server::start();
    let mut client = server.log_in();
    let reply = client.store("STOR broken", b"x", 451);
    assert!(reply.contains("(ref "), "{reply}");
    assert!(!reply.contains("10.0.0.1"), "{reply}");
    client.store("STOR full", b"x", 452);
    let mut data = client.passive();
    client.ask("RETR short", 150);
    data.read_to_end(&mut Vec::new()).unwrap();
    client.expect_reply(451);
    client.ask("NOOP", 200);
}

/// Behind a connection that breaks, clients do not look for the reply: lftp tries again for ever.
#[test]
fn who_is_still_sending_what_is_not_stored_hears_why() {
    let server = Server::start();
    let mut client = server.log_in();
    let mut data = client.passive();
    client.ask("STOR broken", 150);
    client.expect_reply(451);
    for _ in 0..64 {
        data.write_all(&[0; 65_536]).unwrap();
    }
    drop(data);
    client.ask("NOOP", 200);
    // For some time.
    let mut data = client.passive();
    client.ask("STOR broken", 150);
    while data.write_all(&[0; 65_536]).is_ok() {}
    client.expect_reply(451);
    client.ask("NOOP", 200);
}

#[test]
fn an_upload_that_is_reset_is_not_stored() {
    let server = Server::start();
    server.put("/f", "old");
    let mut client = server.log_in();
    for mode in ["TYPE I", "TYPE A"] {
        client.ask(mode, 200);
        let mut data = client.passive();
        client.ask("STOR f", 150);
        data.write_all(&sample(100_000)).unwrap();
        reset(data);
        client.expect_reply(426);
    }
    client.ask("NOOP", 200);
    assert_eq!(server.file("/f").unwrap(), b"old");
    let is_failed = |line: &String| line.starts_with("Up /f ") && line.ends_with(" false");
    assert_eq!(
        server.log().iter().filter(|line| is_failed(line)).count(),
        2
    );
}

#[test]
fn an_upload_of_a_client_that_was_killed_is_not_stored() {
    let server = Server::start();
    let mut client = server.log_in();
    let mut data = client.passive();
    client.ask("STOR f", 150);
    data.write_all(b"half of it").unwrap();
    drop(client);
    drop(data);
    let files = Arc::clone(&server.files);
    server.ended();
    assert!(files.lock().unwrap().file("/f").is_none());
}

#[test]
fn an_upload_of_a_client_that_has_said_all_it_has_to_say_is_stored() {
    let server = Server::start();
    let mut client = server.log_in();
    let mut data = client.passive();
    client.send("STOR f\r\nQUIT\r\n");
    client.half_close();
    data.write_all(b"all of it").unwrap();
    drop(data);
    for code in [150, 226, 221] {
        client.expect_reply(code);
    }
    assert_eq!(server.file("/f").unwrap(), b"all of it");
}

#[test]
fn a_client_that_stops_moving_is_given_up() {
    let server = Server::with(|config| {
        config.passive.stall_timeout = Duration::from_millis(50);
    });
    let mut client = server.log_in();
    let data = client.passive();
    client.ask("STOR f", 150);
    client.expect_reply(426);
    drop(data);
    let data = client.passive();
    client.ask("RETR endless", 150);
    client.expect_reply(426);
    drop(data);
    assert!(server.file("/f").is_none());
    client.ask("NOOP", 200);
}

#[test]
fn a_client_that_takes_little_at_a_time_is_not_given_up() {
    let stall = Duration::from_secs(2);
    let server = Server::with(|config| config.passive.stall_timeout = stall);
    server.put("/f", sample(8 << 20));
    server.put("/f.kernel", sample(8 << 20));
    let mut client = server.log_in();
    for name in ["f", "f.kernel"] {
        let mut data = client.passive();
        SockRef::from(&data)
            .set_recv_buffer_size(16 * 1024)
            .unwrap();
        client.ask(&format!("RETR {name}"), 150);
        // Of what the kernel holds it takes not even a half in that time.
        let mut taken = vec![0; 40 * 2048];
        for piece in taken.chunks_mut(2048) {
            std::thread::sleep(stall / 20);
            data.read_exact(piece).unwrap();
        }
        data.read_to_end(&mut taken).unwrap();
        client.expect_reply(226);
        assert_eq!(taken.len(), 8 << 20);
    }
}

#[test]
fn a_download_that_the_client_cuts_is_no_226() {
    let server = Server::start();
    server.put("/f", sample(64 << 20));
    server.put("/f.kernel", sample(64 << 20));
    let mut client = server.log_in();
    for name in ["f", "f.kernel"] {
        let mut data = client.passive();
        client.ask(&format!("RETR {name}"), 150);
        data.read_exact(&mut [0; 1000]).unwrap();
        drop(data);
        client.expect_reply(426);
        client.ask("NOOP", 200);
    }
}
