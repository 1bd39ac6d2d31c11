//! What a node gets and gives over a real connection, in raw bytes.

use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

use super::super::{Location, Nodes, Unstored};
use super::*;
use crate::config::Config;
use crate::mogilefs::Error;

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

/// What comes of sending a long body to a node that says `first` before it takes it, and the rest of
/// its answer, if any, behind it.
fn answered_early(first: &'static str, size: Option<u64>) -> Result<(), Unstored> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let body = b"x".repeat(8_000_000);
    let node = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let (said, more) = first.split_once('|').unwrap_or((first, ""));
        client.write_all(said.as_bytes()).unwrap();
        let (mut ended, mut block) = (false, [0; 65536]);
        while let Ok(read @ 1..) = client.read(&mut block) {
            ended |= block[..read].contains(&b'!');
            if ended {
                let _ = client.write_all(more.as_bytes());
                break;
            }
        }
        // A close with unread bytes would take the answer away again.
        let _ = io::copy(&mut client, &mut io::sink());
    });
    let body = [&body[..], b"!"].concat();
    let mut settings = Config::default().mogilefs;
    settings.store_timeout = Duration::from_secs(20);
    let location = Location::parse(&format!("http://{address}/dev1/1.fid")).unwrap();
    let put = Nodes::new(&settings).put(&location, &mut &*body, size, None);
    node.join().unwrap();
    put
}

#[test]
fn a_node_that_says_that_it_goes_on_is_sent_the_rest() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for first in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
    ] {
        for size in [None, Some(8_000_001)] {
            let said: &'static str = format!("{first}|{OK}").leak();
            answered_early(said, size).unwrap();
            // In the middle of the next head.
            let said: &'static str = format!("{first}HTTP/1.1 2|{}", &OK[10..]).leak();
            answered_early(said, size).unwrap();
        }
    }
    for (first, status) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", 404),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 507 Full\r\n\r\n",
            507,
        ),
    ] {
        let put = answered_early(first, None);
        let said = matches!(put, Err(Unstored::Begun(Error::Http(said))) if said == status);
        assert!(said, "{first}: {put:?}");
    }
}
