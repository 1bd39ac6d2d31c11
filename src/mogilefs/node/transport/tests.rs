//! What a node gets and gives over a real connection, in raw bytes.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::thread;

use super::super::{Content, Loan, Location, Nodes, Unstored};
use super::*;
use crate::config::Config;
use crate::mogilefs::Error;

/// What a node gets that is sent `body`, behind the head, until it has got `end`.
fn received(body: &mut dyn Content, size: Option<u64>, end: &'static [u8]) -> Vec<u8> {
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
    nodes.put(&location, body, size, None).unwrap();
    let all = node.join().unwrap();
    let head = all.windows(4).position(|four| four == b"\r\n\r\n");
    all[head.unwrap() + 4..].to_vec()
}

/// The bytes of the chunks that are in `got`, and how many chunks there are.
fn unchunked(got: &[u8]) -> (Vec<u8>, usize) {
    let (mut rest, mut bytes, mut count) = (got, Vec::new(), 0);
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'\r').unwrap();
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        let (chunk, after) = rest[end + 2..].split_at(length);
        bytes.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n").unwrap();
        count += 1;
    }
    (bytes, count)
}

const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

#[test]
fn a_body_of_unknown_length_goes_in_few_chunks() {
    let body = letters(3_000_000);
    let (bytes, count) = unchunked(&received(&mut body.as_slice(), None, LAST_CHUNK));
    assert!(bytes == body);
    assert!(count < 50, "{count}");
}

fn letters(count: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(count).collect()
}

/// A file that lends two pieces of three, and has the third read.
struct Lending {
    file: Arc<File>,
    at: u64,
    len: u64,
    turn: u32,
}

impl Lending {
    fn new(bytes: &[u8]) -> Self {
        let mut path = std::env::temp_dir();
        path.push(format!("lending-{:016x}", getrandom::u64().unwrap()));
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(&path);
        let file = file.unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        Self {
            file: Arc::new(file),
            at: 0,
            len: bytes.len() as u64,
            turn: 0,
        }
    }
}

impl Read for Lending {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buf, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Content for Lending {
    fn lend(&mut self, most: usize) -> Option<io::Result<Loan>> {
        self.turn += 1;
        let count = usize::try_from(self.len - self.at).unwrap().min(most);
        if self.turn.is_multiple_of(3) || count == 0 {
            return None;
        }
        let loan = Loan {
            file: Arc::clone(&self.file),
            offset: self.at,
            count,
        };
        self.at += count as u64;
        Some(Ok(loan))
    }
}

#[test]
fn what_is_lent_and_what_is_read_arrive_in_their_order() {
    let body = [&letters(3_000_001)[..], b"END"].concat();
    let size = Some(body.len() as u64);
    assert!(received(&mut Lending::new(&body), size, b"END") == body);
    let (bytes, count) = unchunked(&received(&mut Lending::new(&body), None, LAST_CHUNK));
    assert!(bytes == body);
    assert!(count < 50, "{count}");
}

/// A node that reads a little, and then answers or leaves.
fn unstored(body: &mut dyn Content, size: u64, answer: &'static [u8]) -> Unstored {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let node = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.read_exact(&mut [0; 1000]).unwrap();
        client.write_all(answer).unwrap();
        // Until the other side has heard it.
        while client
            .read(&mut [0; 65536])
            .is_ok_and(|read| read > 0 && answer.is_empty())
        {}
    });
    let nodes = Nodes::new(&Config::default().mogilefs);
    let location = Location::parse(&format!("http://{address}/dev1/1.fid")).unwrap();
    let failed = nodes.put(&location, body, Some(size), None).unwrap_err();
    node.join().unwrap();
    failed
}

#[test]
fn a_node_that_answers_while_it_is_lent_a_body_is_heard() {
    let size = 64 << 20;
    let mut body = Lending::new(&vec![b'x'; size]);
    let failed = unstored(&mut body, size as u64, b"HTTP/1.1 507 Full\r\n\r\n");
    assert!(
        matches!(failed, Unstored::Begun(Error::Http(507))),
        "{failed:?}"
    );
}

#[test]
fn a_file_that_ends_early_is_no_fault_of_the_node() {
    let mut body = Lending::new(&letters(200_000));
    body.len = 300_000;
    let failed = unstored(&mut body, 300_000, b"");
    assert!(matches!(failed, Unstored::Body(_)), "{failed:?}");
    // Nothing of it is lent any more.
    assert_eq!(Arc::strong_count(&body.file), 1);
}

#[test]
fn a_body_that_looks_like_chunks_is_left_alone() {
    let body = b"3\r\nabc\r\n".repeat(50_000);
    let size = Some(body.len() as u64);
    // It is known by its length when it is over.
    let whole = [&body[..body.len() - 3], b"END"].concat();
    assert!(received(&mut whole.as_slice(), size, b"END") == whole);
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
