//! Storage nodes that lie: endless heads, wrong lengths, other places, other encodings.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::liar::{Liar, Present, Saying, changed, read_all, value};
use crate::support::{Cluster, Daemon, Ftp, noise, own_address};
use crate::trackers::{daemon_at, use_everything};
use crate::{MOST_MEMORY, answer, is_in_step, is_unharmed, peak_of};

/// How much a liar may be listened to, in bytes.
const ENOUGH: u64 = 64 << 20;

const TRUTH: &[u8] = b"0123456789";

/// A tracker that names the right paths, all of them at `node`.
fn tracker_for(cluster: &Cluster, node: SocketAddr) -> Liar {
    let authority = node.to_string();
    Liar::tracker(cluster.address, move |asked, reply| {
        let mut line = format!("{reply}\r\n");
        for field in ["path1", "path2", "path3", "path_1", "path_2", "path_3"] {
            let Some(url) = value(reply, field).filter(|_| asked != "list_fids") else {
                continue;
            };
            let (url, there) = (url.replace("%3A", ":").replace("%2F", "/"), &authority);
            let Some(path) = url
                .strip_prefix("http://")
                .and_then(|rest| rest.split_once('/'))
            else {
                continue;
            };
            let lie = format!("http://{there}/{}", path.1);
            line = changed(line.trim_end(), field, &lie);
        }
        Saying::once(line)
    })
}

/// A daemon whose nodes are one liar, which says what is in `present`.
fn site_of(cluster: &Cluster, present: &Present<Saying>) -> (Liar, Liar, Daemon) {
    let present = present.clone();
    let node = Liar::node(move |_| present.get());
    let tracker = tracker_for(cluster, node.address);
    let daemon = daemon_at(cluster, tracker.address, &[]);
    daemon.expect_error(" error ");
    (node, tracker, daemon)
}

fn site() -> Cluster {
    let cluster = Cluster::faulty();
    cluster.put("photos/a", "photos", TRUTH);
    cluster
}

#[test]
fn a_head_or_a_body_without_an_end_is_not_listened_to() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let (cluster, lie) = (site(), Present::new(Saying::once("")));
    let (node, _tracker, daemon) = site_of(&cluster, &lie);
    for (first, again) in [
        (String::new(), "x"),
        ("HTTP/1.1 200 ".to_owned(), "O"),
        (ok.to_owned(), "X-More: of the same\r\n"),
        (format!("{ok}X-More: "), "x"),
        (String::new(), "HTTP/1.1 100 Continue\r\n\r\n"),
        (format!("{ok}Content-Length: 10\r\n\r\n"), "x"),
        (
            format!("{ok}Transfer-Encoding: chunked\r\n\r\n"),
            "1\r\nx\r\n",
        ),
        (format!("{ok}\r\n"), "x"),
        (
            "HTTP/1.1 500 Oh\r\nContent-Length: 1073741824\r\n\r\n".to_owned(),
            "x",
        ),
    ] {
        let name = format!("{first}{again}");
        lie.set(Saying::endless(&first, again));
        let mut ftp = daemon.log_in();
        use_everything(&mut ftp);
        assert!(peak_of(&daemon, "test@") < MOST_MEMORY, "{name}");
        let taken = node.taken.load(Ordering::Relaxed);
        assert!(taken < ENOUGH, "{name}: {taken}");
        is_unharmed(&daemon);
    }
}

#[test]
fn a_head_that_comes_in_drops_is_not_waited_for() {
    let (cluster, present) = (site(), Present::new(Saying::once("")));
    let (_node, _tracker, daemon) = site_of(&cluster, &present);
    // Half a minute of it, for those who wait.
    let head = format!("HTTP/1.1 200 OK\r\nX-More: {}", "x".repeat(300));
    present.set(Saying::Drops(head.into_bytes(), Duration::from_millis(100)));
    for command in ["RETR photos/a", "STOR photos/new"] {
        let mut ftp = daemon.log_in();
        let mut data = ftp.data().stream();
        let begun = Instant::now();
        let (mut code, mut said) = answer(&mut ftp, command.as_bytes());
        if code == 150 {
            data.write_all(b"new").unwrap();
            data.shutdown(Shutdown::Write).unwrap();
            (code, said) = ftp.reply();
        }
        assert!([450, 451].contains(&code), "{command}: {said}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{command}");
    }
    is_unharmed(&daemon);
}

#[test]
fn a_wrong_answer_is_never_a_whole_file() {
    let trap = TcpListener::bind((own_address(), 0)).unwrap();
    trap.set_nonblocking(true).unwrap();
    let there = trap.local_addr().unwrap();
    let ok = "HTTP/1.1 200 OK\r\n";
    let (cluster, present) = (site(), Present::new(Saying::once("")));
    let (node, _tracker, daemon) = site_of(&cluster, &present);
    for lie in [
        format!(
            "HTTP/1.1 301 Gone\r\nLocation: http://{there}/x\r\nContent-Length: 10\r\n\r\n0123456789"
        ),
        format!("HTTP/1.1 302 Found\r\nLocation: http://{there}/x\r\nContent-Length: 0\r\n\r\n"),
        format!("{ok}Content-Length: 11\r\n\r\n01234567890"),
        format!("{ok}Content-Length: 9\r\n\r\n012345678"),
        format!("{ok}Content-Length: 10\r\n\r\n01234"),
        format!("{ok}Content-Length: -1\r\n\r\n0123456789"),
        format!("{ok}Content-Length: 18446744073709551615\r\n\r\n0123456789"),
        format!("{ok}Content-Length: 18446744073709551626\r\n\r\n0123456789"),
        format!("{ok}Content-Length: 10\r\nContent-Length: 5\r\n\r\n0123456789"),
        format!("{ok}Content-Length: 10\r\nContent-Encoding: gzip\r\n\r\nzzzzzzzzzz"),
        format!("{ok}Content-Length: 10\r\nContent-Encoding: br\r\n\r\nzzzzzzzzzz"),
        format!("{ok}Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"),
        format!("{ok}Transfer-Encoding: gzip, chunked\r\n\r\na\r\nzzzzzzzzzz\r\n0\r\n\r\n"),
        format!("{ok}\r\n0123456789"),
        "HTTP/1.1 206 Part\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/10\r\n\r\n0123456789"
            .into(),
        "HTTP/1.1 204 None\r\n\r\n".into(),
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n0123456789".into(),
        "HTTP/9.9 200 OK\r\nContent-Length: 10\r\n\r\nzzzzzzzzzz".into(),
        "HTTP/1.1 99999 OK\r\nContent-Length: 10\r\n\r\nzzzzzzzzzz".into(),
        "0123456789".into(),
        "220 ftp.example.org\r\n".into(),
        "\0\0\0\0\0\0\0\0".into(),
        String::new(),
    ] {
        present.set(Saying::once(lie.clone()));
        let mut ftp = daemon.log_in();
        for offset in ["0", "4"] {
            ftp.expect(&format!("REST {offset}"), 350);
            let data = ftp.data().stream();
            let (mut code, mut said) = answer(&mut ftp, b"RETR photos/a");
            if code == 150 {
                read_all(data);
                (code, said) = ftp.reply();
            }
            assert!((400..600).contains(&code), "{lie:?} from {offset}: {said}");
        }
        assert!(node.callers.load(Ordering::Relaxed) > 0, "nobody asked");
        use_everything(&mut ftp);
        is_in_step(&mut ftp);
        is_unharmed(&daemon);
        assert!(trap.accept().is_err(), "{lie:?} was followed");
    }
}

/// An answer of a node to a GET.
fn said(head: &str, body: &[u8]) -> Saying {
    let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n");
    Saying::once([head.as_bytes(), body].concat())
}

/// The last code, what came, and the last reply.
fn fetched(ftp: &mut Ftp) -> (u16, Vec<u8>, String) {
    let data = ftp.data().stream();
    let (code, reply) = answer(ftp, b"RETR photos/a");
    if code != 150 {
        return (code, Vec::new(), reply);
    }
    let got = read_all(data);
    let (code, reply) = ftp.reply();
    (code, got, reply)
}

/// Of a file that is long enough to be moved by the kernel.
#[test]
fn a_long_wrong_answer_is_never_a_whole_file_either() {
    let truth = noise(600_000, 6);
    let cluster = Cluster::faulty();
    cluster.put("photos/a", "photos", &truth);
    let present = Present::new(Saying::once(""));
    let (_node, _tracker, daemon) = site_of(&cluster, &present);
    let more = [
        &truth[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n",
    ]
    .concat();
    let chunks = [b"927c0\r\n", &truth[..], b"\r\n0\r\n\r\n"].concat();
    let length = "Content-Length: 600000";
    for (what, lie, is_whole) in [
        ("the truth", said(length, &truth), true),
        ("more than promised", said(length, &more), true),
        ("a byte too few", said(length, &truth[1..]), false),
        ("half of it", said(length, &truth[..300_000]), false),
        (
            "another length",
            said("Content-Length: 600001", &more),
            false,
        ),
        (
            "no length",
            said("Transfer-Encoding: chunked", &chunks),
            false,
        ),
        (
            "encoded",
            said(&format!("{length}\r\nContent-Encoding: gzip"), &truth),
            false,
        ),
    ] {
        present.set(lie);
        let mut ftp = daemon.log_in();
        // What one answer left behind is nothing to the next.
        for _ in 0..2 {
            let (code, got, reply) = fetched(&mut ftp);
            assert_eq!(code == 226, is_whole, "{what}: {reply}");
            assert_eq!(got.len() == truth.len(), is_whole, "{what}");
            let is_true = got == truth[..got.len()];
            assert!(is_true || what == "a byte too few", "{what}");
        }
        is_in_step(&mut ftp);
        is_unharmed(&daemon);
    }
    // Both lengths: whichever of them is meant, it is all of the file or no 226.
    let both = format!("{length}\r\nTransfer-Encoding: chunked");
    for body in [&truth, &chunks] {
        present.set(said(&both, body));
        let mut ftp = daemon.log_in();
        let (code, got, _) = fetched(&mut ftp);
        assert!(code != 226 || got == truth);
        is_in_step(&mut ftp);
        is_unharmed(&daemon);
    }
}

#[test]
fn what_a_node_says_of_an_upload_is_believed_only_if_it_is_a_yes() {
    let trap = TcpListener::bind((own_address(), 0)).unwrap();
    trap.set_nonblocking(true).unwrap();
    let there = trap.local_addr().unwrap();
    let (cluster, present) = (site(), Present::new(Saying::once("")));
    let (_node, _tracker, daemon) = site_of(&cluster, &present);
    for lie in [
        format!("HTTP/1.1 301 Gone\r\nLocation: http://{there}/x\r\nContent-Length: 0\r\n\r\n"),
        format!("HTTP/1.1 307 There\r\nLocation: http://{there}/x\r\nContent-Length: 0\r\n\r\n"),
        "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
        "HTTP/1.1 199 Perhaps\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 300 Which\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 600 What\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "OK\r\n\r\n".to_owned(),
        String::new(),
    ] {
        present.set(Saying::once(lie.clone()));
        let mut ftp = daemon.log_in();
        let (code, said) = ftp.give("STOR photos/new", b"new");
        assert!((400..600).contains(&code), "{lie:?}: {said}");
        is_in_step(&mut ftp);
        is_unharmed(&daemon);
        assert_eq!(cluster.keys(), ["photos/a"], "{lie:?}");
        assert!(trap.accept().is_err(), "{lie:?} was followed");
    }
}
