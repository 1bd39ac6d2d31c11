//! What a node sends is what is given, by whichever way, and never more or less than was promised.

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::config::Config;
use crate::mogilefs::Error;
use crate::mogilefs::node::{Location, Nodes};
use crate::pipe::Pipe;

/// As much as is told of the file.
const LENGTH: usize = 300_000;

/// What of a file comes from a node that says `head` and then `body`, and how much of that through a
/// pipe.
fn fetched(head: &str, body: &[u8], offset: u64) -> Result<(Vec<u8>, u64), Error> {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/dev1/1.fid", door.local_addr().unwrap());
    let said = [head.as_bytes(), b"\r\n\r\n", body].concat();
    let node = thread::spawn(move || {
        let (mut stream, _) = door.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        // Whoever has enough may hang up.
        let _ = stream.write_all(&said);
    });
    let nodes = Nodes::new(&Config::default().mogilefs);
    let place = Location::parse(&url).unwrap();
    let taken = nodes
        .get(&place, offset, LENGTH as u64)
        .and_then(|bytes| Ok(take(bytes)?));
    node.join().unwrap();
    taken
}

fn take(mut bytes: Bytes) -> io::Result<(Vec<u8>, u64)> {
    let pipe = Pipe::open(64 * 1024).unwrap();
    let (mut out, mut poured, mut block) = (Vec::new(), 0, [0; 5000]);
    loop {
        let count = if bytes.can_pour() {
            let count = bytes.pour(pipe.mouth(), 64 * 1024)?;
            poured += count as u64;
            (&pipe).take(count as u64).read_to_end(&mut out)?
        } else {
            let count = bytes.read(&mut block)?;
            out.extend_from_slice(&block[..count]);
            count
        };
        if count == 0 {
            return Ok((out, poured));
        }
    }
}

fn content() -> Vec<u8> {
    (0..=250).cycle().step_by(3).take(LENGTH).collect()
}

#[test]
fn what_was_promised_comes_through_a_pipe_to_its_last_byte_and_no_further() {
    let (content, more) = (
        content(),
        [&content()[..], &b"HTTP/1.1 200 OK"[..]].concat(),
    );
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 300000";
    let part = "HTTP/1.1 206 OK\r\nContent-Range: bytes 7-299999/300000\r\nContent-Length: 299993";
    for (head, body, offset) in [
        (whole, &content, 0),
        (whole, &more, 0),
        (part, &content[7..].to_vec(), 7),
        (part, &more[7..].to_vec(), 7),
    ] {
        let (out, poured) = fetched(head, body, offset as u64).unwrap();
        assert!(out == content[offset..], "{head}");
        assert!(poured > LENGTH as u64 / 2, "{head}: {poured}");
    }
}

#[test]
fn what_ends_early_is_an_error_in_a_pipe_too() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 300000";
    for length in [0, 1, 100_000, LENGTH - 1] {
        let error = fetched(head, &content()[..length], 0).unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{length}: {error}");
    }
}

#[test]
fn what_is_not_sent_as_it_is_never_goes_through_a_pipe() {
    let chunked = [&b"493e0\r\n"[..], &content(), b"\r\n0\r\n\r\n"].concat();
    let part = "HTTP/1.1 206 OK\r\nContent-Range: bytes 7-299999/300000";
    let late = [&b"493d9\r\n"[..], &content()[7..], b"\r\n0\r\n\r\n"].concat();
    // The length is that of the whole, and what comes is in chunks all the same.
    for (head, body, offset) in [
        (format!("{part}\r\nTransfer-Encoding: chunked"), &late, 7),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nTransfer-Encoding: chunked".to_owned(),
            &chunked,
            0,
        ),
        (part.to_owned(), &content()[7..].to_vec(), 7),
        (
            format!("{part}\r\nContent-Length: 300000"),
            &content()[7..].to_vec(),
            7,
        ),
    ] {
        if let Ok((out, poured)) = fetched(&head, body, offset as u64) {
            assert!(out == content()[offset..], "{head}");
            assert_eq!(poured, 0, "{head}");
        }
    }
    let encoded = "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\nContent-Encoding: gzip";
    assert!(matches!(
        fetched(encoded, &content(), 0),
        Err(Error::Protocol(_))
    ));
}

#[test]
fn a_node_that_sends_a_byte_now_and_then_is_too_slow() {
    let second = Duration::from_secs(1);
    let mut pace = Pace::new(20 * second);
    for _ in 0..19 {
        pace.add(second, 1);
        assert!(!pace.is_too_slow());
    }
    pace.add(second, 1);
    assert!(pace.is_too_slow());
    let mut pace = Pace::new(20 * second);
    for _ in 0..100 {
        pace.add(second, LEAST / 10);
        assert!(!pace.is_too_slow());
    }
}
