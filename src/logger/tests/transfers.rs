//! The transfer log, in each of its formats.

use super::*;

/// An upload as most are, and a download with all that is odd.
fn two_transfers() -> (Transfer<'static>, Transfer<'static>) {
    let usual = Transfer {
        direction: Direction::Up,
        user: b"ann",
        peer: [10, 0, 0, 1].into(),
        session: "0123abcd",
        path: b"/photos/a.jpg",
        bytes: 1234,
        took: Duration::ZERO,
        ascii: false,
        complete: true,
    };
    let odd = Transfer {
        direction: Direction::Down,
        user: b"ann x",
        peer: "2001:db8::1".parse().unwrap(),
        session: "0123abcd",
        path: "/photos/gr\u{fc}n a\tb\r\n\u{b}\u{7f}.jpg".as_bytes(),
        bytes: u64::MAX,
        took: Duration::from_millis(2001),
        ascii: true,
        complete: false,
    };
    (usual, odd)
}

#[test]
fn transfers_are_logged_as_wu_ftpd_did() {
    let now = datetime(2026, 1, 2, 3, 4, 5, 0);
    let (usual, odd) = two_transfers();
    let mapped = Transfer {
        peer: "::ffff:10.0.0.1".parse().unwrap(),
        ..usual
    };
    let plain = "Fri Jan  2 03:04:05 2026 1 10.0.0.1 1234 /photos/a.jpg b _ i r ann ftp 0 * c\n";
    for (transfer, expected) in [
        (usual, plain),
        (mapped, plain),
        (
            odd,
            "Fri Jan  2 03:04:05 2026 3 2001:db8::1 18446744073709551615 /photos/gr\u{fc}n_a_b____.jpg \
             a _ o r ann_x ftp 0 * i\n",
        ),
    ] {
        let line = String::from_utf8(xferlog::line(now, &transfer)).unwrap();
        assert_eq!(line, expected);
    }
    let line = String::from_utf8(xferlog::object(now, &odd)).unwrap();
    let expected = "{\"time\":\"2026-01-02T03:04:05\",\"peer\":\"2001:db8::1\",\
        \"session\":\"0123abcd\",\"direction\":\"out\",\"bytes\":18446744073709551615,\
        \"seconds\":2.001,\"type\":\"a\",\"complete\":false,\"user\":\"ann x\",\
        \"path\":\"/photos/gr\u{fc}n a\\u0009b\\u000d\\u000a\\u000b\\u007f.jpg\"}\n";
    assert_eq!(line, expected);
}

#[test]
fn transfers_are_logged_as_web_servers_do() {
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    let now = datetime(2026, 1, 2, 3, 4, 5, 0).to_zoned(zone).unwrap();
    let (usual, odd) = two_transfers();
    let forged = Transfer {
        user: b"\"ann\\",
        path: b"/a\" 200 5\r\n%41?b#",
        ..usual
    };
    for (transfer, expected) in [
        (
            &usual,
            "10.0.0.1 - ann [02/Jan/2026:03:04:05 +0100] \"PUT /photos/a.jpg\" 200 1234\n",
        ),
        (
            &odd,
            "2001:db8::1 - ann%20x [02/Jan/2026:03:04:05 +0100] \
             \"GET /photos/gr%C3%BCn%20a%09b%0D%0A%0B%7F.jpg\" 426 18446744073709551615\n",
        ),
        (
            &forged,
            "10.0.0.1 - %22ann%5C [02/Jan/2026:03:04:05 +0100] \
             \"PUT /a%22%20200%205%0D%0A%2541%3Fb%23\" 200 1234\n",
        ),
    ] {
        let line = String::from_utf8(xferlog::common(&now, transfer)).unwrap();
        assert_eq!(line, expected);
    }
}
