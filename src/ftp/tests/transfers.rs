//! Files down and up, in good order and otherwise.

use std::sync::mpsc;

use super::*;
use crate::config::Allo;

/// Bytes that no conversion leaves alone.
fn sample(len: usize) -> Vec<u8> {
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
    let stall = Duration::from_secs(1);
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

#[test]
fn abor_ends_a_download_wherever_it_is() {
    let server = Server::start();
    let mut client = server.log_in();
    // Before the store has answered, be it in the same packet.
    for commands in [
        &["RETR slow\r\nABOR\r\n"][..],
        &["RETR slow\r\n", "ABOR\r\n"],
    ] {
        client.pasv();
        for command in commands {
            client.send(command);
        }
        client.expect_reply(426);
        client.expect_reply(226);
    }
    // Before the client has connected.
    client.pasv();
    client.ask("RETR endless", 150);
    client.send(b"\xff\xf4\xff\xf2ABOR\r\n");
    client.expect_reply(426);
    client.expect_reply(226);
    // While nobody reads, and while somebody does.
    for reads in [false, true] {
        let mut data = client.passive();
        client.ask("RETR endless", 150);
        let reader = std::thread::spawn(move || {
            if reads {
                let _ = std::io::copy(&mut data, &mut std::io::sink());
            }
            data
        });
        client.send("ABOR\r\n");
        client.expect_reply(426);
        client.expect_reply(226);
        reader.join().unwrap();
    }
    // When it is over.
    server.put("/f", "x");
    client.fetch("RETR f");
    client.ask("ABOR", 226);
    client.ask("PWD", 257);
}

#[test]
fn abor_with_urgent_data_is_heard() {
    let server = Server::start();
    let mut client = server.log_in();
    let _data = client.passive();
    client.ask("RETR endless", 150);
    client.send(b"\xff\xf4\xff");
    SockRef::from(client.control.get_ref())
        .send_out_of_band(b"\xf2")
        .unwrap();
    client.send(b"ABOR\r\n");
    client.expect_reply(426);
    client.expect_reply(226);
}

#[test]
fn abor_is_heard_behind_commands_that_wait_and_all_are_answered_in_order() {
    let server = Server::start();
    server.put("/f", "123");
    let mut client = server.log_in();
    let synch = |client: &mut Client| {
        client.send(b"\xff\xf4\xff");
        SockRef::from(client.control.get_ref())
            .send_out_of_band(b"\xf2")
            .unwrap();
    };
    for is_urgent in [false, true] {
        for is_upload in [false, true] {
            let mut data = client.passive();
            if is_upload {
                client.ask("STOR new", 150);
                data.write_all(b"half").unwrap();
            } else {
                client.ask("RETR endless", 150);
            }
            // The second STAT and NOOP are behind a command that waits, and wait as well.
            client.send("STAT\r\nSIZE f\r\nSTAT\r\nNOOP\r\nSTAT f\r\n");
            client.expect_reply(211);
            if is_urgent {
                synch(&mut client);
            }
            client.send("ABOR\r\nPWD\r\nABOR\r\n");
            for code in [426, 213, 211, 200, 213, 226, 257, 226] {
                client.expect_reply(code);
            }
            drop(data);
            client.ask("NOOP", 200);
        }
    }
    assert!(server.file("/new").is_none());

    // It ends all that it is behind.
    client.pasv();
    client.send("RETR endless\r\nEPSV\r\nRETR endless\r\nABOR\r\nNOOP\r\n");
    for code in [426, 229, 426, 226, 200] {
        client.expect_reply(code);
    }
}

#[test]
fn nothing_is_answered_ahead_of_the_command_that_it_was_sent_behind() {
    let server = Server::start();
    server.put("/f", "123");
    let mut client = server.log_in();
    for (command, codes) in [
        ("RETR none", &[550][..]),
        ("LIST none", &[550]),
        ("STOR none/f", &[553]),
        ("RETR f", &[150, 226]),
        ("STOR new", &[150, 226]),
        ("HASH f", &[213]),
    ] {
        for (early, code) in [("NOOP", 200), ("STAT", 211)] {
            let data = client.passive();
            client.send(format!("{command}\r\n{early}\r\nPWD\r\n"));
            let _ = data.shutdown(Shutdown::Write);
            let first = codes.first().copied().unwrap_or_default();
            client.expect_reply(first);
            let mut left: Vec<u16> = codes.iter().map(|_| client.reply().0).collect();
            // Within a transfer it is answered when it is heard.
            left.sort_unstable();
            let mut expected = [&codes[1..], &[code]].concat();
            expected.sort_unstable();
            assert_eq!(left, expected, "{command}, {early}");
            client.expect_reply(257);
        }
    }
}

#[test]
fn what_waits_behind_a_transfer_is_bounded_and_nothing_of_it_is_lost() {
    let server = Server::start();
    server.put("/f", sample(3_000_000));
    let mut client = server.log_in();
    let mut data = client.passive();
    client.ask("RETR f", 150);
    data.read_exact(&mut [0; 1000]).unwrap();
    let writer = client.control.get_ref().try_clone().unwrap();
    let many = std::thread::spawn(move || {
        let mut writer = writer;
        for _ in 0..5000 {
            writer.write_all(b"SIZE f\r\n").unwrap();
        }
    });
    let mut rest = Vec::new();
    data.read_to_end(&mut rest).unwrap();
    client.expect_reply(226);
    for _ in 0..5000 {
        client.expect_reply(213);
    }
    many.join().unwrap();
    client.ask("NOOP", 200);
}

#[test]
fn abor_ends_an_upload_and_nothing_is_stored() {
    let server = Server::start();
    let mut client = server.log_in();
    let mut data = client.passive();
    client.ask("STOR f", 150);
    data.write_all(b"half").unwrap();
    client.send("ABOR\r\n");
    client.expect_reply(426);
    client.expect_reply(226);
    // The data connection is closed first by clients that are in a hurry.
    let mut data = client.passive();
    client.ask("STOR f", 150);
    data.write_all(b"half").unwrap();
    client.send("ABOR\r\n");
    drop(data);
    client.expect_reply(426);
    client.expect_reply(226);
    assert!(server.file("/f").is_none());
    client.ask("PWD", 257);
}

#[test]
fn a_transfer_tells_how_far_it_is_and_other_commands_wait() {
    let server = Server::start();
    let mut client = server.log_in();
    let mut data = client.passive();
    client.ask("STOR f", 150);
    data.write_all(b"12345").unwrap();
    while !client.ask("STAT", 211).contains("STOR f: 5 bytes") {}
    client.ask("NOOP", 200);
    client.send("PWD\r\nNOOP\r\nSIZE f\r\n");
    data.write_all(b"678").unwrap();
    drop(data);
    for code in [226, 257, 200] {
        client.expect_reply(code);
    }
    assert_eq!(client.expect_reply(213), "213 8");
}

#[test]
fn quit_during_a_transfer_waits_for_its_end() {
    let server = Server::start();
    let mut client = server.log_in();
    let mut data = client.passive();
    client.ask("STOR f", 150);
    client.send("QUIT\r\n");
    data.write_all(b"x").unwrap();
    drop(data);
    client.expect_reply(226);
    client.expect_reply(221);
    client.expect_end();
    assert_eq!(server.file("/f").unwrap(), b"x");
}

#[test]
fn a_client_that_floods_during_a_transfer_is_held_up() {
    let server = Server::start();
    let mut client = server.log_in();
    let mut data = client.passive();
    client.ask("STOR f", 150);
    client.send("PWD\r\n".repeat(4000));
    data.write_all(b"x").unwrap();
    drop(data);
    client.expect_reply(226);
    for _ in 0..4000 {
        client.expect_reply(257);
    }
}

#[test]
fn what_is_answered_during_a_transfer_counts_as_a_command() {
    let server = Server::with(|config| config.limits.commands_per_second = 20);
    let mut client = server.log_in();
    let data = client.passive();
    client.ask("STOR f", 150);
    client.send("NOOP\r\n".repeat(40));
    // In a session without a transfer these would take a second; the first come at once.
    for _ in 0..10 {
        assert_eq!(client.expect_reply(200), "200 The transfer goes on.");
    }
    drop(data);
    let replies = (0..31).map(|_| client.reply());
    let at_once = replies.take_while(|(code, _)| *code == 200);
    assert!(at_once.count() < 20, "all were answered at once");
}

#[test]
fn the_master_may_end_a_transfer() {
    let mut server = Server::start();
    let mut client = server.log_in();
    let mut data = client.passive();
    client.ask("STOR f", 150);
    data.write_all(b"half").unwrap();
    server.ring();
    assert_eq!(client.expect_reply(421), "421 Server is shutting down.");
    client.expect_end();
    assert!(server.file("/f").is_none());
    server.ended();
}

#[test]
fn the_idle_time_begins_anew_after_a_transfer() {
    let server = Server::start();
    let mut client = server.log_in();
    client.ask("SITE IDLE 2", 200);
    let mut data = client.passive();
    client.ask("STOR f", 150);
    std::thread::sleep(Duration::from_millis(2500));
    data.write_all(b"x").unwrap();
    drop(data);
    client.expect_reply(226);
    client.ask("NOOP", 200);
}

#[test]
fn a_store_tidies_up_when_the_client_has_been_told() {
    let server = Server::start();
    let mut client = server.log_in();
    let (word, broom) = mpsc::channel();
    let mut data = client.passive();
    client.ask("STOR file", 150);
    server.files.lock().unwrap().broom = Some(broom);
    data.write_all(b"whole").unwrap();
    drop(data);
    // It would never come if the store were waited for.
    client.expect_reply(226);
    word.send(()).unwrap();
    client.ask("NOOP", 200);
    assert!(server.files.lock().unwrap().broom.is_none());
}
