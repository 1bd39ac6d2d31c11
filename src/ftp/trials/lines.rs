//! Command lines and their arguments: the same lines however they come in pieces, and replies that
//! nothing in a line can break.

use std::net::SocketAddr;

use crate::draw::Draw;
use crate::ftp::address::{self, Mistake, Wish};
use crate::ftp::lines::{BLOCK, LONGEST, Line, Lines};
use crate::ftp::member::Member;
use crate::ftp::reply::{Reply, quoted};
use crate::ftp::seat::Seat;
use crate::ftp::telnet::Telnet;
use crate::ftp::verb::{Command, find};
use crate::ftp::visitor::Visitor;

/// `data`: how it comes in pieces, and all that a client sends.
pub(crate) fn command(data: &[u8]) {
    let mut draw = Draw(data);
    let mut cut = Draw(draw.bytes());
    let said = draw.0;
    let lines = reference(said);
    assert_eq!(taken(&said.chunks(BLOCK).collect::<Vec<_>>()), lines);
    assert_eq!(taken(&cut.pieces(said)), lines);
    for line in lines.iter().flatten() {
        is_command(line);
    }
}

/// The lines out of the pieces; `None` is one that is too long.
fn taken(pieces: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
    let mut lines = Lines::new();
    let mut taken = Vec::new();
    for piece in pieces {
        while !lines.have_room() {
            // Without room there is a line to be taken out.
            assert!(lines.have_line());
            taken.extend(next(&mut lines));
        }
        lines.add(&mut piece.to_vec());
    }
    while let Some(line) = next(&mut lines) {
        taken.push(line);
    }
    assert!(!lines.have_line());
    taken
}

fn next(lines: &mut Lines) -> Option<Option<Vec<u8>>> {
    let waiting = lines.waiting().next().map(<[u8]>::to_vec);
    assert_eq!(waiting.is_some(), lines.have_line());
    Some(match lines.take()? {
        Line::Text(line) => {
            assert_eq!(waiting.as_deref(), Some(line.trim_ascii()));
            Some(line.to_vec())
        }
        Line::TooLong => None,
    })
}

/// The lines of all that was said, with all of it at hand.
fn reference(said: &[u8]) -> Vec<Option<Vec<u8>>> {
    let (mut telnet, mut text) = (Telnet::default(), Vec::new());
    said.iter().for_each(|byte| telnet.take(*byte, &mut text));
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    // What has no end yet is no line.
    lines.pop();
    let lines = lines.into_iter();
    lines
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .map(|line| (line.len() <= LONGEST).then(|| line.to_vec()))
        .collect()
}

/// What becomes of one line, as far as it goes without a session.
fn is_command(line: &[u8]) {
    let command = Command::parse(line);
    assert!(!command.verb.contains([' ', '\t']) && line.ends_with(command.argument));
    assert_eq!(command.verb, command.verb.to_ascii_uppercase());
    assert!(command.verb.len() <= 3 * line.len());
    let mut argument = Some(command.argument);
    if let Some(verb) = find(Member::OWN, &command.verb) {
        assert!(!command.is_http(), "a verb of FTP ends the session");
        argument = verb.argument(command.argument).ok();
    }
    if let Some(verb) = find(Visitor::OWN, &command.verb) {
        argument = verb.argument(command.argument).ok();
    }
    if let Some(argument) = argument.filter(|given| given.contains(&b'\0')) {
        assert!(find(Member::OWN, &command.verb).is_none(), "{argument:?}");
    }
    one_line(&Reply::new(550, line));
    let name = quoted(line);
    one_line(&Reply::new(257, name.clone()));
    let inner = name
        .strip_prefix(b"\"")
        .and_then(|name| name.strip_suffix(b"\""));
    assert_eq!(inner.map(undoubled).as_deref(), Some(line));
    several_lines(line);
}

fn one_line(reply: &Reply) {
    let wire = reply.wire();
    let code = format!("{} ", reply.code());
    assert!(wire.starts_with(code.as_bytes()));
    assert_eq!(
        wire.iter().position(u8::is_ascii_control),
        Some(wire.len() - 2)
    );
    assert!(wire.ends_with(b"\r\n"));
}

/// No line within a long reply looks like its last.
fn several_lines(text: &[u8]) {
    let body = vec![text.to_vec(), b"211 End.".to_vec()];
    let wire = Reply::long(211, text, body, "End.").wire();
    let lines: Vec<&[u8]> = wire.split(|&byte| byte == b'\n').collect();
    assert_eq!(lines.len(), 5);
    let ends = lines.iter().position(|line| line.starts_with(b"211 "));
    assert!(ends == Some(3) && wire.starts_with(b"211-"));
}

fn undoubled(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        assert!(byte != b'"' || bytes.next() == Some(&b'"'));
        plain.push(byte);
    }
    plain
}

/// `data`: the argument of PORT, EPRT, EPSV, REST or SITE CHMOD.
pub(crate) fn address(data: &[u8]) {
    if let Some(there) = address::port(data) {
        let SocketAddr::V4(v4) = there else {
            unreachable!("PORT is for IPv4");
        };
        let [a, b, c, d] = v4.ip().octets();
        let [high, low] = v4.port().to_be_bytes();
        let plain = format!("{a},{b},{c},{d},{high},{low}");
        assert_eq!(address::port(plain.as_bytes()), Some(there));
        let strict =
            |byte: &u8| byte.is_ascii_digit() || *byte == b',' || byte.is_ascii_whitespace();
        assert!(data.iter().all(strict));
    }
    match address::eprt(data) {
        Ok(there) => {
            let family = if there.is_ipv4() { 1 } else { 2 };
            let plain = format!("|{family}|{}|{}|", there.ip(), there.port());
            assert_eq!(address::eprt(plain.as_bytes()), Ok(there));
        }
        Err(Mistake::Protocol) => assert!(data.len() > 4),
        Err(Mistake::Syntax) => {}
    }
    let again: &[u8] = match address::epsv(data) {
        Ok(Wish::Any) => b"",
        Ok(Wish::V4) => b"1",
        Ok(Wish::V6) => b"2",
        Ok(Wish::All) => b"all",
        Err(_) => b"3",
    };
    let (first, second) = (address::epsv(data), address::epsv(again));
    assert!(first == second || first == Err(Mistake::Syntax));
    if let Some(number) = address::decimal::<u64>(data) {
        let digits = data
            .iter()
            .position(|byte| *byte != b'0')
            .and_then(|at| data.get(at..));
        let digits = digits.unwrap_or(b"0");
        assert_eq!(number.to_string().as_bytes(), digits);
    }
    if let Some(mode) = address::octal(data) {
        let digits = data
            .iter()
            .position(|byte| *byte != b'0')
            .and_then(|at| data.get(at..));
        assert_eq!(format!("{mode:o}").as_bytes(), digits.unwrap_or(b"0"));
    }
}
