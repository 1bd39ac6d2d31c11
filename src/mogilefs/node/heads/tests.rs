//! What a head says of a file.

use super::*;

#[test]
fn a_head_says_when_and_whether_more_may_be_asked() {
    let date = "Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT\r\n";
    for (head, expected) in [
        (
            format!("HTTP/1.0 200 OK\r\n{date}Connection: keep-alive\r\n\r\n"),
            Some((Some(1_795_348_800), true)),
        ),
        (
            format!("HTTP/1.0 200 OK\r\n{date}\r\n"),
            Some((Some(1_795_348_800), false)),
        ),
        (format!("HTTP/1.1 404 No\r\n{date}\r\n"), Some((None, true))),
        (
            format!("HTTP/1.1 200 OK\r\n{date}Connection: close\r\n\r\n"),
            Some((Some(1_795_348_800), false)),
        ),
        (
            format!("HTTP/1.1 200 OK\r\n{date}\r\nbody"),
            Some((Some(1_795_348_800), false)),
        ),
        (
            "HTTP/1.1 200 OK\r\nlast-modified: yesterday\r\n\r\n".to_owned(),
            Some((None, true)),
        ),
        // The answer is still to come.
        (
            "HTTP/1.1 103 Early Hints\r\n\r\n".to_owned(),
            Some((None, false)),
        ),
        (format!("HTTP/1.1 200 OK\r\n{date}"), None),
        (String::new(), None),
        ("nonsense\r\n\r\n".to_owned(), Some((None, false))),
    ] {
        let seen = answer(head.as_bytes()).map(|answer| (answer.modified, answer.is_kept));
        assert_eq!(seen, expected, "{head:?}");
    }
}
