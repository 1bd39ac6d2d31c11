//! Replaying a tracker's dialogue.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::pattern::Values;
use crate::process::{Process, real_tracker};
use crate::script::{Script, Step, Store, unescape};

/// How long something may take that happens in the background.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays a file; says what went wrong.
pub(crate) fn replay(script: &Script, store: Store) -> Vec<String> {
    let (_process, addr) = match real_tracker() {
        Some(addr) => (None, addr),
        None => {
            let (name, devices) = match store {
                Store::Sqlite => ("sqlite", "3"),
                Store::Mysql => ("mysql", "2"),
            };
            let options = ["--store", name, "--devices", devices, "--workers", "4"];
            let process = Process::start(&options);
            let addr = process.place("tracker").to_owned();
            (Some(process), addr)
        }
    };
    let mut play = Play::new(&addr);
    let mut failures = Vec::new();
    for case in &script.cases {
        let mut steps = case.steps.iter().peekable();
        while let Some((step, line)) = steps.next() {
            let told = match step {
                Step::Send { text, until } => {
                    let next = steps.next_if(|(step, _)| matches!(step, Step::Expect(..)));
                    let expected = next.map(|(step, _)| step);
                    play.exchange(text, expected, *until)
                }
                Step::Raw(text) => {
                    play.send(&unescape(text));
                    // Pieces are to arrive one by one.
                    std::thread::sleep(Duration::from_millis(10));
                    Ok(())
                }
                Step::Expect(text, lines) => play.receive(text, lines),
                Step::Do(words) => {
                    play.act(&words.iter().map(String::as_str).collect::<Vec<_>>());
                    Ok(())
                }
            };
            if let Err(why) = told {
                failures.push(format!("{}:{line}: {}: {why}", script.file, case.name));
            }
        }
    }
    play.clean_up();
    failures
}

fn connect(addr: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

/// A field list as it came.
type Fields = BTreeMap<String, String>;

struct Play {
    addr: String,
    reader: BufReader<TcpStream>,
    values: Values,
    /// The part of a URL before the path, by device.
    bases: BTreeMap<String, String>,
    domains: Vec<String>,
    real: bool,
}

impl Play {
    fn new(addr: &str) -> Self {
        let mut play = Self {
            addr: addr.to_owned(),
            reader: connect(addr),
            values: Values::default(),
            bases: BTreeMap::new(),
            domains: Vec::new(),
            real: real_tracker().is_some(),
        };
        play.learn_devices();
        play
    }

    fn learn_devices(&mut self) {
        let hosts = self.ask("get_hosts").unwrap();
        let devices = self.ask("get_devices").unwrap();
        let mut addrs = BTreeMap::new();
        for n in 1..=hosts["hosts"].parse().unwrap() {
            let field = |name: &str| hosts[&format!("host{n}_{name}")].clone();
            addrs.insert(
                field("hostid"),
                format!("{}:{}", field("hostip"), field("http_port")),
            );
        }
        for n in 1..=devices["devices"].parse().unwrap() {
            let field = |name: &str| devices[&format!("dev{n}_{name}")].clone();
            self.bases.insert(
                field("devid"),
                format!("http://{}", addrs[&field("hostid")]),
            );
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// The next line. What goes wrong ends the connection, and the next case has another.
    fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        let end = self.reader.read_until(b'\n', &mut line);
        let text = String::from_utf8_lossy(&line);
        match (end, text.strip_suffix("\r\n")) {
            (Ok(_), Some(text)) => Ok(text.to_owned()),
            (end, _) => {
                self.reader = connect(&self.addr);
                Err(format!("{end:?} after {text:?}"))
            }
        }
    }

    /// Set-up by a command that must succeed unless it says why not.
    fn ask(&mut self, request: &str) -> Result<Fields, String> {
        self.send(format!("{request}\r\n").as_bytes());
        let line = self.line()?;
        fields(&line).ok_or(line)
    }

    fn exchange(&mut self, text: &str, expected: Option<&Step>, until: bool) -> Result<(), String> {
        let request = unescape(&self.values.expand(text));
        let end = Instant::now() + PATIENCE;
        loop {
            self.send(&request);
            self.send(b"\r\n");
            let told = match expected {
                Some(Step::Expect(text, lines)) => self.receive(text, lines),
                _ => self.receive("LINES", &[]),
            };
            if told.is_ok() || !until || Instant::now() > end {
                return told;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn receive(&mut self, expected: &str, lines: &[String]) -> Result<(), String> {
        if expected == "LINES" {
            return self.receive_lines(lines);
        }
        let line = self.line()?;
        let wrong = |why: &str| Err(format!("{why}\n  expected {expected}\n  received {line}"));
        let (kind, rest) = expected.split_once(' ').unwrap_or((expected, ""));
        if kind == "ERR" {
            let expected = String::from_utf8(unescape(expected)).unwrap();
            return if self.values.fits(&expected, &line) {
                Ok(())
            } else {
                wrong("another line")
            };
        }
        let Some(fields) = fields(&line) else {
            return wrong("no OK");
        };
        let told = match kind {
            "OK" => self.same_fields(rest, fields),
            "KEYS" => self.same_keys(rest, &fields),
            "FIDS" => same_fids(rest, &fields),
            "SETTINGS" => self.same_settings(rest, &fields),
            "DOMAINS" => self.same_domains(lines, &fields),
            _ => panic!("{kind}?"),
        };
        told.or_else(|why| wrong(&why))
    }

    fn receive_lines(&mut self, expected: &[String]) -> Result<(), String> {
        let mut received = Vec::new();
        loop {
            match self.line()? {
                end if end == "." => break,
                line => received.push(line),
            }
        }
        // Three dots: what a tracker says more, later in its life, is not compared.
        let (expected, open) = match expected.split_last() {
            Some((last, expected)) if last == "..." => (expected, true),
            _ => (expected, false),
        };
        let mut pairs = expected.iter().zip(&received);
        let all = pairs.all(|(pattern, line)| self.values.fits(pattern, line));
        let enough = received.len() >= expected.len();
        if all && enough && (open || received.len() == expected.len()) {
            return Ok(());
        }
        Err(format!(
            "other lines\n  expected {expected:?}\n  received {received:?}"
        ))
    }

    fn same_fields(&mut self, expected: &str, mut fields: Fields) -> Result<(), String> {
        for pair in expected.split(' ').filter(|pair| !pair.is_empty()) {
            let (name, pattern) = pair.split_once('=').unwrap();
            let name = self.values.expand(name);
            let value = fields.remove(&name).ok_or(format!("no {name}"))?;
            let pattern = String::from_utf8(unescape(pattern)).unwrap();
            // What a real tracker does behind the scenes may be done before it is asked.
            let early = name.ends_with("devcount") && pattern == "1" || pattern == "MISSING";
            if !(self.values.fits(&pattern, &value) || self.real && early) {
                return Err(format!("{name} is {value}"));
            }
        }
        if fields.is_empty() {
            Ok(())
        } else {
            Err(format!("too much: {fields:?}"))
        }
    }

    fn same_keys(&self, expected: &str, fields: &Fields) -> Result<(), String> {
        let expected = String::from_utf8(unescape(&self.values.expand(expected))).unwrap();
        let mut words = expected.split(' ');
        let next = words.next().unwrap().strip_prefix("next=").unwrap();
        let keys: Vec<String> = words.flat_map(range).collect();
        let received = |n| fields.get(&format!("key_{n}"));
        let same = (1..).zip(&keys).all(|(n, key)| received(n) == Some(key));
        let count = fields.get("key_count") == Some(&keys.len().to_string());
        let after = fields.get("next_after").map(String::as_str) == Some(next);
        let all = fields.len() == keys.len() + 2;
        if same && count && after && all {
            Ok(())
        } else {
            Err("other keys".to_owned())
        }
    }

    fn same_settings(&self, expected: &str, fields: &Fields) -> Result<(), String> {
        let field = |n, what| fields[&format!("{what}_{n}")].as_str();
        let all: Vec<String> = (1..=fields["key_count"].parse().unwrap())
            .map(|n: u32| format!("{}={}", field(n, "key"), field(n, "value")))
            .collect();
        // A real tracker may have been given more.
        let there = expected
            .split(' ')
            .all(|pair| all.iter().any(|known| known == pair));
        let no_more = self.real || all.len() == expected.split(' ').count();
        if there && no_more {
            Ok(())
        } else {
            Err(format!("{all:?}"))
        }
    }

    fn same_domains(&self, lines: &[String], fields: &Fields) -> Result<(), String> {
        let mut received = BTreeMap::new();
        for n in 1..=fields["domains"].parse().unwrap() {
            let count: u32 = fields[&format!("domain{n}classes")].parse().unwrap();
            let class = |m| {
                let field = |name| fields[&format!("domain{n}class{m}{name}")].as_str();
                let (policy, hash) = (field("replpolicy"), field("hashtype"));
                let text = format!("{}={}={hash}", field("name"), field("mindevcount"));
                if policy == "MultipleHosts%28%29" {
                    text
                } else {
                    format!("{text}={policy}")
                }
            };
            let classes: BTreeSet<String> = (1..=count).map(class).collect();
            received.insert(fields[&format!("domain{n}")].clone(), classes);
        }
        let mut expected = BTreeMap::new();
        for line in lines {
            let line = self.values.expand(line);
            let mut words = line.split(' ').map(str::to_owned);
            expected.insert(words.next().unwrap(), words.collect::<BTreeSet<_>>());
        }
        // A real tracker may have domains of its own.
        received.retain(|name, _| !self.real || expected.contains_key(name));
        let total: usize = received.values().map(|classes| 2 + classes.len() * 4).sum();
        let all = self.real || fields.len() == total + 1;
        if received == expected && all {
            Ok(())
        } else {
            Err(format!("{received:?}"))
        }
    }

    fn act(&mut self, words: &[&str]) {
        let words: Vec<String> = words.iter().map(|word| self.values.expand(word)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["domain", name, ref classes @ ..] => self.make_domain(name, classes),
            ["away", ref names @ ..] => names.iter().for_each(|name| self.leave_no(name)),
            ["hold"] if !self.real => self.tell("!hold on"),
            ["release"] if !self.real => self.tell("!hold off"),
            ["hold" | "release"] => {}
            ["open", domain, key] => self.open(domain, key, ""),
            ["open", domain, key, class] => self.open(domain, key, class),
            ["put"] => self.put(b""),
            ["put", text] => self.put(text.as_bytes()),
            ["store", domain, key, class, text] => self.store(domain, key, class, text),
            ["remove", domain, key] => {
                self.ask(&format!("delete domain={domain}&key={}", plain(key)))
                    .unwrap();
            }
            ["copies", domain, key, count] => self.wait_for_copies(domain, key, count),
            ["bulk", domain, keys] => {
                for key in range(keys) {
                    self.store(domain, &key, "default", "x");
                }
            }
            ["keep", pair] => {
                let (name, from) = pair.split_once('=').unwrap();
                let value = self.values.get(from).to_owned();
                self.values.set(name, &value);
            }
            _ => panic!("{words:?}?"),
        }
    }

    fn tell(&mut self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes());
        assert_eq!(self.line().unwrap(), "OK");
    }

    /// A real tracker may have a domain from an earlier run.
    fn leave_no(&mut self, name: &str) {
        if self.real {
            self.clear(name);
        }
    }

    fn make_domain(&mut self, name: &str, classes: &[&str]) {
        self.leave_no(name);
        self.ask(&format!("create_domain domain={name}")).unwrap();
        self.domains.push(name.to_owned());
        for class in classes {
            let mut parts = class.split('=');
            let class = parts.next().unwrap();
            let (count, hash) = (parts.next().unwrap_or("2"), parts.next().unwrap_or("NONE"));
            let args = format!("domain={name}&class={class}&mindevcount={count}&hashtype={hash}");
            self.ask(&format!("create_class {args}")).unwrap();
        }
    }

    fn open(&mut self, domain: &str, key: &str, class: &str) {
        let class = if class == "default" { "" } else { class };
        let request = format!(
            "create_open domain={domain}&key={}&class={class}",
            plain(key)
        );
        let fields = self
            .ask(&request)
            .unwrap_or_else(|why| panic!("{request}: {why}"));
        let device = &fields["devid"];
        let other = self.bases.keys().find(|id| *id != device).unwrap().clone();
        let (base, other_base) = (self.bases[device].clone(), self.bases[&other].clone());
        for (name, value) in [
            ("fid", &fields["fid"]),
            ("dev", device),
            ("url", &fields["path"]),
            ("base", &base),
            ("other", &other),
            ("otherbase", &other_base),
        ] {
            self.values.set(name, value);
        }
    }

    fn put(&self, body: &[u8]) {
        let url = self.values.get("url").strip_prefix("http://").unwrap();
        let (addr, path) = url.split_at(url.find('/').unwrap());
        let mut stream = TcpStream::connect(addr).unwrap();
        let length = body.len();
        write!(
            stream,
            "PUT {path} HTTP/1.0\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }

    fn store(&mut self, domain: &str, key: &str, class: &str, text: &str) {
        for last in [false, false, false, true] {
            self.open(domain, key, class);
            self.put(text.as_bytes());
            let (fid, device) = (self.values.get("fid"), self.values.get("dev"));
            let (url, size) = (self.values.get("url"), text.len());
            let place = format!("fid={fid}&devid={device}&path={url}&size={size}");
            let request = format!("create_close domain={domain}&key={}&{place}", plain(key));
            match self.ask(&request) {
                Ok(_) => return,
                // The real data base is locked now and then.
                Err(why) => assert!(self.real && !last, "{request}: {why}"),
            }
        }
    }

    fn wait_for_copies(&mut self, domain: &str, key: &str, count: &str) {
        let end = Instant::now() + PATIENCE;
        let request = format!("file_info domain={domain}&key={}", plain(key));
        while self.ask(&request).unwrap()["devcount"] != count {
            assert!(Instant::now() < end, "{count} copies of {key} never came");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Takes a domain away with all that is in it.
    fn clear(&mut self, name: &str) {
        while let Ok(page) = self.ask(&format!("list_keys domain={name}")) {
            for (_, key) in page.iter().filter(|(field, _)| field.starts_with("key_")) {
                let _ = self.ask(&format!("delete domain={name}&key={key}"));
            }
        }
        let domains = self.ask("get_domains").unwrap();
        let numbered = domains.iter().find(|(_, value)| *value == name);
        let number = numbered.map(|(field, _)| field.clone()).unwrap_or_default();
        let prefix = format!("{number}class");
        let names = domains
            .iter()
            .filter(|(f, _)| f.starts_with(&prefix) && f.ends_with("name"));
        for (_, class) in names {
            let _ = self.ask(&format!("delete_class domain={name}&class={class}"));
        }
        let _ = self.ask(&format!("delete_domain domain={name}"));
    }

    fn clean_up(&mut self) {
        if self.real {
            for name in std::mem::take(&mut self.domains) {
                self.clear(&name);
            }
        }
    }
}

/// Keys in the files are encoded already; only the backslashes of their notation go.
fn plain(key: &str) -> String {
    String::from_utf8(unescape(key)).unwrap()
}

fn fields(line: &str) -> Option<Fields> {
    let rest = line.strip_prefix("OK ")?;
    let pairs = rest.split('&').filter(|pair| !pair.is_empty());
    Some(
        pairs
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    )
}

/// `big/007..big/012` is every key from one to the other.
fn range(word: &str) -> Vec<String> {
    let Some((first, last)) = word.split_once("..") else {
        return vec![word.to_owned()];
    };
    let digits = first.len() - first.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (stem, low) = first.split_at(first.len() - digits);
    let high = &last[stem.len()..];
    let numbers = low.parse::<u32>().unwrap()..=high.parse().unwrap();
    numbers.map(|n| format!("{stem}{n:0digits$}")).collect()
}

/// `N key…`: so many rows, with these keys where they are named, by ascending fid.
fn same_fids(expected: &str, fields: &Fields) -> Result<(), String> {
    let mut words = expected.split(' ');
    let count: usize = words.next().unwrap().parse().unwrap();
    let keys: Vec<&str> = words.collect();
    let row = |n: usize, name: &str| fields.get(&format!("fid_{n}_{name}"));
    let fid = |n| row(n, "fid").and_then(|fid| fid.parse::<u64>().ok());
    let rows = (1..=count).all(|n| {
        let names = ["domain", "class", "length", "devcount", "key"];
        names.iter().all(|name| row(n, name).is_some()) && (n == 1 || fid(n) > fid(n - 1))
    });
    let named = (1..)
        .zip(&keys)
        .all(|(n, key)| row(n, "key").map(String::as_str) == Some(*key));
    let total = fields.get("fid_count") == Some(&count.to_string());
    let all = fields.len() == count * 6 + 1;
    if rows && named && total && all {
        Ok(())
    } else {
        Err("other rows".to_owned())
    }
}
