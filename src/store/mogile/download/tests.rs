//! A node that hangs up on a client that pauses has done nothing wrong.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use super::*;
use crate::config::Config;

/// How much a node has sent when it hangs up.
const SENT: usize = 150_000;

/// A node that hangs up in the middle of `body`, and gives the rest to whoever comes back for it.
fn node(body: Vec<u8>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = |stream: &mut TcpStream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    };
    let serving = thread::spawn(move || {
        let (whole, (first, rest)) = (body.len(), body.split_at(SENT));
        let (mut stream, _) = listener.accept().unwrap();
        asked(&mut stream);
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {whole}\r\n\r\n").unwrap();
        stream.write_all(first).unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().unwrap();
        let head = asked(&mut stream).to_lowercase();
        assert!(
            head.contains(&format!("range: bytes={SENT}-\r\n")),
            "{head}"
        );
        let (last, length) = (whole - 1, rest.len());
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {SENT}-{last}/{whole}\r\n\
             Content-Length: {length}\r\n\r\n"
        )
        .unwrap();
        stream.write_all(rest).unwrap();
    });
    (address, serving)
}

#[test]
fn a_node_that_hangs_up_on_a_client_that_pauses_is_not_blamed() {
    for (pause, excused) in [(Duration::ZERO, 0), (PAUSE, 1)] {
        let body: Vec<u8> = (b'a'..=b'z').cycle().take(2 * SENT).collect();
        let (address, serving) = node(body.clone());
        let client = Client::new(&Config::default().mogilefs, Vec::new());
        let spot = Spot {
            domain: b"d".to_vec(),
            class: b"c".to_vec(),
            key: b"c/k".to_vec(),
        };
        let object = Object {
            fid: 7,
            length: body.len() as u64,
            class: b"c".to_vec(),
            md5: None,
        };
        let path = format!("http://{address}/dev1/0/000/000/0000000007.fid");
        let download = Download::begin(client, spot, object, &[path], 0);
        let mut download = download.unwrap().unwrap();
        download.last_byte = download.last_byte.checked_sub(pause).unwrap();
        let mut read = Vec::new();
        download.read_to_end(&mut read).unwrap();
        assert!(read == body);
        serving.join().unwrap();
        assert_eq!(download.stall_resumes, excused, "{pause:?}");
    }
}
