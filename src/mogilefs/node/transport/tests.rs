//! What a node gets and gives over a real connection, in raw bytes.

use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

use super::super::{Location, Nodes};
use super::*;
use crate::config::Config;

/// What a node gets that is sent `body`, behind the head, until it has got `end`.
fn received(body: &[u8], size: Option<u64>, end: &'static [u8]) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let node = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let (mut all, mut block) = (Vec::new(), [0; 65536]);
        while !all.ends_with(end) {
            let read = client.read(&mut block).unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&block[..read]);
        }
        let answer = b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
        client.write_all(answer).unwrap();
        all
    });
    let nodes = Nodes::new(&Config::default().mogilefs);
    let location = Location::parse(&format!("http://{address}/dev1/1.fid")).unwrap();
    nodes.put(&location, &mut &*body, size, None).unwrap();
    let all = node.join().unwrap();
    let head = all.windows(4).position(|four| four == b"\r\n\r\n");
    all[head.unwrap() + 4..].to_vec()
}

#[test]
fn a_body_of_unknown_length_goes_in_few_chunks() {
    let body: Vec<u8> = (b'a'..=b'z').cycle().take(3_000_000).collect();
    let got = received(&body, None, b"\r\n0\r\n\r\n");
    let (mut rest, mut bytes, mut count) = (got.as_slice(), Vec::new(), 0);
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\r').unwrap();
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        let (chunk, after) = rest[end + 2..].split_at(length);
        bytes.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n").unwrap();
        count += 1;
    }
    assert!(bytes == body);
    assert!(count < 50, "{count}");
}

#[test]
fn a_body_that_looks_like_chunks_is_left_alone() {
    let body = b"3\r\nabc\r\n".repeat(50_000);
    let size = Some(body.len() as u64);
    // It is known by its length when it is over.
    let whole = [&body[..body.len() - 3], b"END"].concat();
    assert!(received(&whole, size, b"END") == whole);
}

#[test]
fn a_status_is_read_from_the_first_line() {
    for (line, expected) in [
        (&b"HTTP/1.0 404 Not Found\r\n"[..], Some(404)),
        (b"HTTP/1.1 201", Some(201)),
        (b"HTTP/1.1 20", None),
        (b"HTTP/1.0 ab1 \r\n", None),
        (b"junk", None),
        (b"", None),
    ] {
        assert_eq!(status(line), expected);
    }
}
