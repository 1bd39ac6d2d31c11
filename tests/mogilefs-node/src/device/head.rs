//! The head of a request, and the bytes behind it.

use std::io::{self, Read as _};
use std::net::TcpStream;

const HEAD_LIMIT: usize = 100 * 1024;

/// Request line and headers.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) method: String,
    /// Without scheme, host and query.
    pub(super) path: String,
    /// HTTP/1.1 rather than 1.0.
    modern: bool,
    headers: Vec<(String, String)>,
}

impl Head {
    /// `None` for what Perlbal drops without a word: no request line, or no Host.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let modern = match version {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return None,
        };
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers: Vec<(String, String)> = headers
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let path = target.split_once("://").map_or(target, |(_, rest)| {
            rest.find('/')
                .and_then(|slash| rest.get(slash..))
                .unwrap_or("/")
        });
        let path = path.split('?').next().unwrap_or_default().to_owned();
        let head = Self {
            method: method.to_owned(),
            path,
            modern,
            headers,
        };
        head.header("host")?;
        Some(head)
    }

    /// A header by its lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Does the client want the connection kept?
    pub(super) fn keeps(&self) -> bool {
        let says = self
            .header("connection")
            .unwrap_or_default()
            .to_ascii_lowercase();
        if self.modern {
            says != "close"
        } else {
            says == "keep-alive"
        }
    }

    /// The value must be spelled exactly so.
    pub(super) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    /// 0 where nothing was said.
    pub(super) fn length(&self) -> u64 {
        self.header("content-length")
            .and_then(|value| value.parse().ok())
            .unwrap_or(0)
    }

    pub(super) fn expects_continue(&self) -> bool {
        self.header("expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }
}

/// What a client sends, with what was read too far.
pub(super) struct Incoming<'a> {
    stream: &'a TcpStream,
    ahead: Vec<u8>,
}

impl<'a> Incoming<'a> {
    pub(super) const fn new(stream: &'a TcpStream) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    /// The next head; `None` at the end, after an idle time, and for what is dropped.
    pub(super) fn head(&mut self) -> Option<Head> {
        loop {
            let begin = self.ahead.iter().position(|byte| !b"\r\n".contains(byte));
            let text = self
                .ahead
                .get(begin.unwrap_or(self.ahead.len())..)
                .unwrap_or_default();
            if let Some(end) = text.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(text.get(..end)?).into_owned();
                let used = begin.unwrap_or(0) + end + 4;
                self.ahead.drain(..used);
                return Head::parse(&head);
            }
            if self.ahead.len() > HEAD_LIMIT || self.fill().ok()? == 0 {
                return None;
            }
        }
    }

    /// How many bytes are here already.
    pub(super) fn waiting(&self) -> u64 {
        u64::try_from(self.ahead.len()).unwrap_or(u64::MAX)
    }

    /// Reads body bytes; `Ok(0)` is the client's end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            return self.stream.read(buffer);
        }
        let count = buffer.len().min(self.ahead.len());
        for (to, from) in buffer.iter_mut().zip(self.ahead.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }

    /// One line of a chunked body, without its end.
    pub(super) fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.ahead.len() > HEAD_LIMIT || self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer)?;
        self.ahead.extend(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_without_host_is_dropped() {
        assert!(Head::parse("GET /dev1/x HTTP/1.1").is_none());
        assert!(Head::parse("GET /dev1/x HTTP/1.1\r\nX-A: b").is_none());
        assert!(Head::parse("4").is_none());
        assert!(Head::parse("GET /dev1/x HTTP/1.1\r\nHost: x").is_some());
    }

    #[test]
    fn the_path_is_bare() {
        for (target, path) in [
            ("/dev1/x?a=b", "/dev1/x"),
            ("http://h:1/dev1/x", "/dev1/x"),
            ("http://h", "/"),
        ] {
            let head = Head::parse(&format!("GET {target} HTTP/1.1\r\nHost: x")).unwrap();
            assert_eq!(head.path, path);
        }
    }

    #[test]
    fn keeping_depends_on_version_and_wish() {
        for (version, wish, keeps) in [
            ("1.1", "", true),
            ("1.1", "Connection: close", false),
            ("1.0", "", false),
            ("1.0", "Connection: keep-alive", true),
        ] {
            let text = format!("GET / HTTP/{version}\r\nHost: x\r\n{wish}");
            assert_eq!(
                Head::parse(&text).unwrap().keeps(),
                keeps,
                "{version} {wish}"
            );
        }
    }
}
