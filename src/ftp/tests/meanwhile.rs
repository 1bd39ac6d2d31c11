//! What is said while a transfer goes on, by the client and by the master, and when it has ended.

use std::sync::mpsc;

use super::transfers::sample;
use super::*;

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
