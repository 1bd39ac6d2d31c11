//! A plain client of trackers and devices, for tests that know what they ask for.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A connection to a tracker.
pub(crate) struct Tracker(BufReader<TcpStream>);

/// Where an upload goes.
pub(crate) struct Upload {
    pub(crate) fid: String,
    pub(crate) device: String,
    pub(crate) url: String,
}

impl Upload {
    /// The arguments that close it.
    pub(crate) fn close(&self, key: &str, size: usize) -> String {
        let Self { fid, device, url } = self;
        format!("create_close domain=d&key={key}&fid={fid}&devid={device}&path={url}&size={size}")
    }
}

impl Tracker {
    pub(crate) fn connect(addr: &str) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, line: &str) {
        self.0
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .unwrap();
    }

    /// The next line; `None` at the end of the connection.
    pub(crate) fn receive(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.0.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// A request and its line.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.receive()
            .unwrap_or_else(|| panic!("closed after {line}"))
    }

    /// A line that must be answered by OK.
    pub(crate) fn tell(&mut self, line: &str) {
        assert_eq!(self.ask(line), "OK", "{line}");
    }

    /// Several lines, up to the dot.
    pub(crate) fn list(&mut self, line: &str) -> Vec<String> {
        self.send(line);
        std::iter::from_fn(|| self.receive())
            .take_while(|line| line != ".")
            .collect()
    }

    /// Is there silence for a while?
    pub(crate) fn is_silent(&self) -> bool {
        let stream = self.0.get_ref();
        stream
            .set_read_timeout(Some(Duration::from_millis(150)))
            .unwrap();
        let silent = stream.peek(&mut [0]).is_err();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        silent
    }

    /// The fields of an OK.
    pub(crate) fn fields(&mut self, line: &str) -> BTreeMap<String, String> {
        let answer = self.ask(line);
        let rest = answer
            .strip_prefix("OK")
            .unwrap_or_else(|| panic!("{line}: {answer}"));
        let pairs = rest
            .trim_start()
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// create_open in domain `d`.
    pub(crate) fn open(&mut self, key: &str) -> Upload {
        let mut fields = self.fields(&format!("create_open domain=d&key={key}"));
        let mut take = |name: &str| fields.remove(name).unwrap();
        Upload {
            fid: take("fid"),
            device: take("devid"),
            url: take("path"),
        }
    }

    /// A whole file.
    pub(crate) fn store(&mut self, key: &str, body: &[u8]) -> Upload {
        let upload = self.open(key);
        assert_eq!(put(&upload.url, body).unwrap(), 200);
        assert_eq!(self.ask(&upload.close(key, body.len())), "OK");
        upload
    }

    /// Waits until a key has so many copies.
    pub(crate) fn wait_for_copies(&mut self, key: &str, copies: &str) {
        for _ in 0..2000 {
            if self.fields(&format!("file_info domain=d&key={key}"))["devcount"] == copies {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{key} never had {copies} copies");
    }
}

/// An HTTP answer: as much of it as came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
    /// How it ended, where not by a plain close.
    pub(crate) error: Option<io::ErrorKind>,
}

/// A GET on a connection of its own, read to the end.
pub(crate) fn get(url: &str, header: &str) -> io::Result<Answer> {
    let mut stream = open(url)?;
    let path = path(url);
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n{header}\r\n")?;
    let mut bytes = Vec::new();
    let error = stream
        .read_to_end(&mut bytes)
        .err()
        .map(|error| error.kind());
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Err(error.unwrap_or(io::ErrorKind::UnexpectedEof).into());
    };
    let headers = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = headers[9..12].parse().unwrap();
    Ok(Answer {
        status,
        headers,
        body: bytes[end + 4..].to_vec(),
        error,
    })
}

/// A PUT on a connection of its own, and its status.
pub(crate) fn put(url: &str, body: &[u8]) -> io::Result<u16> {
    let mut stream = open(url)?;
    let (path, length) = (path(url), body.len());
    write!(
        stream,
        "PUT {path} HTTP/1.0\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    )?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    answer
        .get(9..12)
        .ok_or(io::ErrorKind::UnexpectedEof)?
        .parse()
        .map_err(io::Error::other)
}

/// A connection to the device of a URL; it gives up soon.
pub(crate) fn open(url: &str) -> io::Result<TcpStream> {
    let rest = url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(rest.split('/').next().unwrap())?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// The path of a URL.
pub(crate) fn path(url: &str) -> &str {
    let rest = url.strip_prefix("http://").unwrap();
    &rest[rest.find('/').unwrap()..]
}
