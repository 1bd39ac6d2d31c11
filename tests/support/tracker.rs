//! A tracker client and two HTTP requests, written for the tests alone, so that what the daemon
//! stored is judged by other code than its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// Fields of an OK line.
pub(crate) type Fields = BTreeMap<String, Vec<u8>>;

/// A connection to a tracker.
pub(crate) struct Tracker(BufReader<TcpStream>);

impl Tracker {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// The fields of the OK line, or the code of the ERR line.
    pub(crate) fn call(
        &mut self,
        command: &str,
        arguments: &[(&str, &[u8])],
    ) -> Result<Fields, String> {
        let encode = |(name, value): &(&str, &[u8])| format!("{name}={}", encoded(value));
        let arguments: Vec<String> = arguments.iter().map(encode).collect();
        let line = self.raw(&format!("{command} {}", arguments.join("&")));
        let (verdict, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match verdict {
            "OK" => Ok(rest.split('&').filter_map(pair).collect()),
            _ => Err(rest.split(' ').next().unwrap_or_default().to_owned()),
        }
    }

    /// One line there, one line back.
    pub(crate) fn raw(&mut self, line: &str) -> String {
        self.0
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .unwrap();
        self.line()
    }

    /// One line there, back all lines up to a dot.
    pub(crate) fn report(&mut self, line: &str) -> Vec<String> {
        let mut lines = vec![self.raw(line)];
        while lines.last().is_some_and(|line| line != ".") {
            lines.push(self.line());
        }
        lines.pop();
        lines
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        assert!(line.ends_with(b"\n"), "the tracker hung up");
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }
}

fn pair(pair: &str) -> Option<(String, Vec<u8>)> {
    let (name, value) = pair.split_once('=')?;
    Some((name.to_owned(), decoded(value)))
}

fn encoded(value: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
            char::from(*byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    value.iter().map(encode).collect()
}

fn decoded(value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = str::from_utf8(&tail[..2]).unwrap();
                bytes.push(u8::from_str_radix(hex, 16).unwrap());
                rest = &tail[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    bytes
}

/// The body of `url`, if it answers 200.
pub(crate) fn http_get(url: &str) -> Option<Vec<u8>> {
    request("GET", url, &[])
}

/// Whether `url` took `body`.
pub(crate) fn http_put(url: &str, body: &[u8]) -> bool {
    request("PUT", url, body).is_some()
}

fn request(method: &str, url: &str, body: &[u8]) -> Option<Vec<u8>> {
    let (host, path) = url.strip_prefix("http://")?.split_once('/')?;
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "{method} /{path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok()?;
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n")?;
    let is_good = reply.get(9).is_some_and(|digit| *digit == b'2');
    is_good.then(|| reply.split_off(end + 4))
}
