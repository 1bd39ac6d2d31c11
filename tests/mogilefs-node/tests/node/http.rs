//! Replaying a dialogue with a storage device.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};

use crate::pattern::Values;
use crate::process::Process;
use crate::script::{Script, Step, unescape};

/// The idle time that the node is started with.
const IDLE: f64 = 2.0;

const PATIENCE: Duration = Duration::from_secs(20);

/// Plays a file; says what went wrong.
pub(crate) fn replay(script: &Script) -> Vec<String> {
    let idle = IDLE.to_string();
    let process = Process::start(&["--devices", "1", "--idle", &idle, "--side-channel"]);
    let mut failures = Vec::new();
    let mut play = Play::new(&process);
    for case in &script.cases {
        play.stream = None;
        for (step, line) in &case.steps {
            let told = match step {
                Step::Send { text, .. } => play.send(text),
                Step::Raw(_) => panic!("raw?"),
                Step::Expect(text, lines) if text == "LINES" => play.receive_lines(lines),
                Step::Expect(text, _) => play.receive(text),
                Step::Do(words) => play.act(&words.iter().map(String::as_str).collect::<Vec<_>>()),
            };
            if let Err(why) = told {
                failures.push(format!("{}:{line}: {}: {why}", script.file, case.name));
            }
        }
    }
    failures
}

struct Play<'a> {
    process: &'a Process,
    addr: String,
    stream: Option<BufReader<TcpStream>>,
    aside: Option<BufReader<TcpStream>>,
    values: Values,
    /// The last method, which says whether an answer has a body.
    method: String,
    /// Checksum of the last chunks.
    sent: String,
}

type Told = Result<(), String>;

impl<'a> Play<'a> {
    fn new(process: &'a Process) -> Self {
        let addr = process.place("device 1").to_owned();
        let mut values = Values::default();
        values.set("dev", "/dev1");
        values.set("base", &format!("http://{addr}"));
        Self {
            process,
            addr,
            stream: None,
            aside: None,
            values,
            method: String::new(),
            sent: String::new(),
        }
    }

    fn stream(&mut self) -> &mut BufReader<TcpStream> {
        let addr = &self.addr;
        self.stream.get_or_insert_with(|| connect(addr))
    }

    fn send(&mut self, text: &str) -> Told {
        let bytes = unescape(&self.values.expand(text));
        let word = text.split(' ').next().unwrap_or_default();
        if word.chars().all(|c| c.is_ascii_uppercase()) {
            word.clone_into(&mut self.method);
        }
        // The other side may have closed: then what it said before counts.
        let _ = self.stream().get_mut().write_all(&bytes);
        Ok(())
    }

    fn receive(&mut self, expected: &str) -> Told {
        if expected == "nothing" {
            return self.closed();
        }
        let mut parts = expected.splitn(3, " |").map(str::trim_start);
        let (status, form, body) = (
            parts.next().unwrap(),
            parts.next().unwrap(),
            parts.next().unwrap_or_default(),
        );
        let mut form = form.split(' ');
        let kind = form.next().unwrap();
        let empty = kind == "empty";
        let bodiless = self.method == "HEAD" || empty;
        let answer = read_answer(self.stream(), bodiless).map_err(|error| error.to_string())?;
        let words: Vec<&str> = form.collect();
        let told = self.compare(&answer, status, kind, &words, body);
        told.map_err(|why| format!("{why}\n  expected {expected}\n  received {answer:?}"))
    }

    fn compare(
        &mut self,
        answer: &Answer,
        status: &str,
        kind: &str,
        words: &[&str],
        body: &str,
    ) -> Told {
        if answer.status.trim_end() != status {
            return Err("another status".to_owned());
        }
        let mut names = names(kind).to_vec();
        if words.contains(&"keep") {
            names.extend(["Connection: keep-alive", "Keep-Alive: timeout=30, max=100"]);
        } else if words.contains(&"close") {
            names.push("Connection: close");
        }
        let same = |(name, header): (&&str, &(String, String))| match name.split_once(": ") {
            Some((name, value)) => header.0 == name && header.1 == value,
            None => header.0 == **name,
        };
        if names.len() != answer.headers.len() || !names.iter().zip(&answer.headers).all(same) {
            return Err("other headers".to_owned());
        }
        let headers: BTreeMap<&str, &str> = answer
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        for word in words {
            let (header, pattern) = match word.split_once('=') {
                Some(("range", pattern)) => ("Content-Range", pattern.replace('+', " ")),
                Some(("modified", pattern)) => ("Last-Modified", pattern.to_owned()),
                _ if matches!(*word, "keep" | "close") => continue,
                _ => ("Content-Length", (*word).to_owned()),
            };
            if !self
                .values
                .fits(&pattern, headers.get(header).copied().unwrap_or_default())
            {
                return Err(format!("another {header}"));
            }
        }
        let pattern = String::from_utf8(unescape(body)).unwrap();
        let same = self
            .values
            .fits(&pattern, &String::from_utf8_lossy(&answer.body));
        if same {
            Ok(())
        } else {
            Err("another body".to_owned())
        }
    }

    fn receive_lines(&mut self, expected: &[String]) -> Told {
        for pattern in expected {
            let pattern = self.values.expand(pattern);
            let mut line = String::new();
            self.stream()
                .read_line(&mut line)
                .map_err(|error| error.to_string())?;
            if line != format!("{pattern}\r\n") {
                return Err(format!("expected {pattern}, received {line}"));
            }
        }
        Ok(())
    }

    fn act(&mut self, words: &[&str]) -> Told {
        let words: Vec<String> = words.iter().map(|word| self.values.expand(word)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["connect"] => {
                self.stream();
                Ok(())
            }
            ["side"] => {
                self.stream = Some(connect(self.process.place("side 1")));
                Ok(())
            }
            ["open"] => self.open(Duration::from_millis(30)),
            ["quiet"] => self.open(Duration::from_millis(500)),
            ["closed"] => self.closed(),
            ["ended"] => self.ended(),
            ["leave"] => {
                self.stream = None;
                Ok(())
            }
            ["aside"] => {
                self.aside = self.stream.take();
                Ok(())
            }
            ["back"] => {
                self.stream = self.aside.take();
                "PUT".clone_into(&mut self.method);
                Ok(())
            }
            ["pause", times] => {
                let seconds = times.parse::<f64>().unwrap() * IDLE;
                std::thread::sleep(Duration::from_secs_f64(seconds));
                Ok(())
            }
            ["make", path, size] => self.make(path, size.parse().unwrap()),
            ["chunks", size, total] => {
                self.chunks(size.parse().unwrap(), total.parse().unwrap());
                Ok(())
            }
            ["flood", total] => {
                self.flood(total.parse().unwrap());
                Ok(())
            }
            ["stop-reading", times, total] => {
                self.stop_reading(times.parse().unwrap(), total.parse().unwrap())
            }
            ["disk", path, size, sum] => self.disk(path, size.parse().unwrap(), Some(sum)),
            ["written", path, size] => self.disk(path, size.parse().unwrap(), None),
            ["absent", path] => {
                let answer = fetch(&self.addr, path).map_err(|error| error.to_string())?;
                if answer.status.starts_with("404") {
                    Ok(())
                } else {
                    Err("is there".to_owned())
                }
            }
            ["leftover", path] => self.leftover(path),
            _ => panic!("{words:?}?"),
        }
    }

    /// Nothing more comes, and the connection stays.
    fn open(&mut self, quiet: Duration) -> Told {
        let stream = self.stream();
        if !stream.buffer().is_empty() {
            return Err(format!("more came: {:?}", stream.buffer()));
        }
        stream.get_ref().set_read_timeout(Some(quiet)).unwrap();
        let told = match stream.get_ref().peek(&mut [0]) {
            Err(error) if is_timeout(&error) => Ok(()),
            Ok(0) => Err("closed".to_owned()),
            other => Err(format!("{other:?}")),
        };
        stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        told
    }

    fn closed(&mut self) -> Told {
        let mut rest = Vec::new();
        match self.stream().read_to_end(&mut rest) {
            Err(error) if is_timeout(&error) => Err("still open".to_owned()),
            _ if rest.is_empty() => Ok(()),
            _ => Err(format!("more came: {rest:?}")),
        }
    }

    /// The other side closes by itself, after its idle time and not before.
    fn ended(&mut self) -> Told {
        let begin = Instant::now();
        self.closed()?;
        let time = begin.elapsed().as_secs_f64();
        if time > IDLE * 0.4 {
            Ok(())
        } else {
            Err(format!("after {time} s already"))
        }
    }

    fn make(&self, path: &str, size: usize) -> Told {
        let body: Vec<u8> = b"0123456789".iter().copied().cycle().take(size).collect();
        let mut stream = connect(&self.addr);
        let head = format!("PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        stream.get_mut().write_all(&body).unwrap();
        let answer = read_answer(&mut stream, false).map_err(|error| error.to_string())?;
        if answer.status == "200 OK" {
            Ok(())
        } else {
            Err(answer.status)
        }
    }

    fn chunks(&mut self, size: usize, total: usize) {
        let mut sum = Md5::new();
        let mut seed = 7_u32;
        for _ in 0..total / size {
            let chunk: Vec<u8> = (0..size / 4)
                .flat_map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    seed.to_le_bytes()
                })
                .collect();
            sum.update(&chunk);
            let stream = self.stream().get_mut();
            write!(stream, "{size:x}\r\n").unwrap();
            stream.write_all(&chunk).unwrap();
            stream.write_all(b"\r\n").unwrap();
        }
        self.stream().get_mut().write_all(b"0\r\n\r\n").unwrap();
        self.sent = hex(&sum.finalize());
    }

    /// Sends as much of a body as the other side takes.
    fn flood(&mut self, total: usize) {
        let piece = vec![b'x'; 100_000];
        for _ in 0..total / piece.len() {
            if self.stream().get_mut().write_all(&piece).is_err() {
                return;
            }
        }
    }

    fn stop_reading(&mut self, times: f64, total: u64) -> Told {
        let mut first = [0; 4096];
        self.stream()
            .read_exact(&mut first)
            .map_err(|error| error.to_string())?;
        std::thread::sleep(Duration::from_secs_f64(times * IDLE));
        let mut rest = Vec::new();
        let _ = self.stream().read_to_end(&mut rest);
        let got = u64::try_from(rest.len()).unwrap();
        if got < total {
            Ok(())
        } else {
            Err("everything came".to_owned())
        }
    }

    /// What GET says of a path, once what was sent has been worked off.
    fn disk(&self, path: &str, size: usize, sum: Option<&str>) -> Told {
        let sum = sum.map(|sum| {
            if sum == "sent" {
                self.sent.as_str()
            } else {
                sum
            }
        });
        let end = Instant::now() + PATIENCE;
        loop {
            // An answer may be cut: by an upload that begins just then.
            let found = fetch(&self.addr, path).map(|answer| {
                let found = hex(&Md5::digest(&answer.body));
                (answer.status, answer.body.len(), found)
            });
            let same = |(status, length, found): &(String, usize, String)| {
                status == "200 OK" && *length == size && sum.is_none_or(|sum| sum == found)
            };
            if found.as_ref().is_ok_and(same) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("{found:?}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// An upload that was cut stays under a temporary name.
    fn leftover(&self, path: &str) -> Told {
        let place = self
            .process
            .dir
            .join("store1")
            .join(path.trim_start_matches('/'));
        let name = place.file_name().unwrap().to_string_lossy().into_owned();
        let is_left = || {
            let Ok(entries) = std::fs::read_dir(place.parent().unwrap()) else {
                return false;
            };
            entries
                .map(|entry| entry.unwrap().file_name())
                .any(|other| {
                    let other = other.to_string_lossy();
                    other.starts_with(&format!("{name}.")) && other.ends_with(".tmp")
                })
        };
        let end = Instant::now() + PATIENCE;
        let mut left = is_left();
        while !left && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
            left = is_left();
        }
        if left {
            Ok(())
        } else {
            Err("no temporary file".to_owned())
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The headers of each kind of answer, in their order, without those about keeping alive.
fn names(kind: &str) -> &'static [&'static str] {
    match kind {
        "page" => &[
            "Content-Type: text/html",
            "Content-Length",
            "Server: Perlbal",
        ],
        "file" => &[
            "Date",
            "Server: Perlbal",
            "Last-Modified",
            "Accept-Ranges: bytes",
            "Content-Type: text/plain",
            "Content-Length",
        ],
        "part" => &[
            "Date",
            "Server: Perlbal",
            "Last-Modified",
            "Accept-Ranges: bytes",
            "Content-Type: text/plain",
            "Content-Range",
            "Content-Length",
        ],
        "outside" => &[
            "Content-Range",
            "Content-Length",
            "Date",
            "Server: Perlbal",
            "Last-Modified",
            "Accept-Ranges: bytes",
        ],
        "unmodified" => &[
            "Date",
            "Server: Perlbal",
            "Last-Modified",
            "Accept-Ranges: bytes",
        ],
        "bare" => &["Server: Perlbal"],
        "empty" => &[],
        _ => panic!("{kind}?"),
    }
}

fn connect(addr: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

fn fetch(addr: &str, path: &str) -> io::Result<Answer> {
    let mut stream = connect(addr);
    let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    read_answer(&mut stream, false)
}

fn read_answer(stream: &mut BufReader<TcpStream>, bodiless: bool) -> io::Result<Answer> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.trim_end_matches(['\r', '\n']);
    let status = status
        .split_once(' ')
        .ok_or(io::ErrorKind::UnexpectedEof)?
        .1
        .to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "Content-Length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; if bodiless { 0 } else { length }];
    stream.read_exact(&mut body)?;
    Ok(Answer {
        status,
        headers,
        body,
    })
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
