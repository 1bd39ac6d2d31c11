//! One client: it uploads, overwrites, appends, downloads, renames and deletes its own files, and
//! goes on whatever it is told. No answer is late enough to make it give up.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::Dice;
use super::model::{Content, Model, bytes};

/// Longer than the daemon lets anybody wait.
const PATIENCE: Duration = Duration::from_secs(240);

/// How many names a client has.
const NAMES: u64 = 12;

/// How often each verb was answered how.
#[derive(Default)]
pub(crate) struct Counts(BTreeMap<(&'static str, u16), u32>);

impl Counts {
    fn count(&mut self, verb: &'static str, code: u16) {
        *self.0.entry((verb, code)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (key, count) in &other.0 {
            *self.0.entry(*key).or_default() += count;
        }
    }

    pub(crate) fn confirmed(&self) -> u32 {
        let all = self.0.iter();
        all.filter(|((_, code), _)| *code == 226)
            .map(|(_, count)| count)
            .sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((verb, code), count) in &self.0 {
            write!(f, "{verb}-{code}={count} ")?;
        }
        Ok(())
    }
}

/// A control connection that fails as connections do.
struct Line(BufReader<TcpStream>);

impl Line {
    fn log_in(address: SocketAddr) -> io::Result<Self> {
        let stream = connect(address)?;
        let mut line = Self(BufReader::new(stream));
        line.expect(220)?;
        for (command, code) in [("USER test", 331), ("PASS test", 230), ("TYPE I", 200)] {
            line.send(command)?;
            line.expect(code)?;
        }
        Ok(line)
    }

    fn send(&mut self, command: &str) -> io::Result<()> {
        self.0
            .get_mut()
            .write_all(format!("{command}\r\n").as_bytes())
    }

    /// The code of one reply, and its last line.
    fn reply(&mut self) -> io::Result<(u16, String)> {
        loop {
            let mut text = String::new();
            if self.0.read_line(&mut text)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if text.as_bytes().get(3) == Some(&b' ') {
                let code = text.get(..3).and_then(|code| code.parse().ok());
                return Ok((code.ok_or(io::ErrorKind::InvalidData)?, text));
            }
        }
    }

    fn expect(&mut self, code: u16) -> io::Result<()> {
        match self.reply()? {
            (found, _) if found == code => Ok(()),
            (_, text) => Err(io::Error::other(text)),
        }
    }

    fn ask(&mut self, command: &str) -> io::Result<u16> {
        self.send(command)?;
        Ok(self.reply()?.0)
    }

    fn data(&mut self) -> io::Result<TcpStream> {
        self.send("EPSV")?;
        let (_, text) = self.reply()?;
        let port = text.split('|').nth(3).and_then(|port| port.parse().ok());
        let port = port.ok_or(io::ErrorKind::InvalidData)?;
        connect(SocketAddr::new(self.0.get_ref().peer_addr()?.ip(), port))
    }

    fn up(&mut self, command: &str, content: &[u8], dice: &mut Dice) -> io::Result<u16> {
        let mut data = self.data()?;
        match self.ask(command)? {
            150 => {}
            code => return Ok(code),
        }
        for piece in content.chunks(200_000) {
            if data.write_all(piece).is_err() {
                break;
            }
            // Some lines are slow.
            if dice.below(8) == 0 {
                std::thread::sleep(Duration::from_millis(dice.below(300)));
            }
        }
        let _ = data.shutdown(Shutdown::Write);
        Ok(self.reply()?.0)
    }

    fn down(&mut self, command: &str) -> io::Result<(u16, Vec<u8>)> {
        let mut data = self.data()?;
        match self.ask(command)? {
            150 => {}
            code => return Ok((code, Vec::new())),
        }
        let mut content = Vec::new();
        let _ = data.read_to_end(&mut content);
        Ok((self.reply()?.0, content))
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

struct Client {
    name: u64,
    dice: Dice,
    model: Model,
    counts: Counts,
    next: u64,
}

/// Works until `until`; what the files must be, and how it went.
pub(crate) fn work(address: SocketAddr, name: u64, seed: u64, until: Instant) -> (Model, Counts) {
    let mut client = Client {
        name,
        dice: Dice::new(seed * 1000 + name),
        model: Model::default(),
        counts: Counts::default(),
        next: seed * 1_000_000 + name * 100_000,
    };
    let mut line = None;
    while Instant::now() < until {
        let mut open = match line.take() {
            Some(open) => open,
            None => match Line::log_in(address) {
                Ok(open) => open,
                Err(error) => {
                    client.counts.count("login", code_of(&error));
                    // A person, or a program that has manners, tries again after a while.
                    std::thread::sleep(Duration::from_millis(300));
                    continue;
                }
            },
        };
        // Chance decides when, too.
        std::thread::sleep(Duration::from_millis(client.dice.below(60)));
        match client.act(&mut open) {
            Ok(()) => line = Some(open),
            Err(error) => client.counts.count("lost", code_of(&error)),
        }
    }
    (client.model, client.counts)
}

fn code_of(error: &io::Error) -> u16 {
    let text = error.to_string();
    text.get(..3)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}

impl Client {
    fn act(&mut self, line: &mut Line) -> io::Result<()> {
        let name = self.some_name();
        match self.dice.below(100) {
            0..40 => self.store(line, &name),
            40..48 => self.append(line, &name),
            48..80 => self.fetch(line, &name),
            80..90 => self.rename(line, &name),
            _ => self.delete(line, &name),
        }
    }

    fn some_name(&mut self) -> String {
        format!("c{}/f{}", self.name, self.dice.below(NAMES))
    }

    fn some_content(&mut self, most: u64) -> (usize, u64) {
        self.next += 1;
        let most = match self.dice.below(10) {
            0 => 1,
            1..6 => 20_000,
            6..9 => 400_000,
            _ => most,
        };
        let size = self.dice.below(most);
        (usize::try_from(size).unwrap(), self.next)
    }

    fn store(&mut self, line: &mut Line, name: &str) -> io::Result<()> {
        let content = vec![self.some_content(6_000_000)];
        self.give(line, "STOR", name, content.clone(), &bytes(&content))
    }

    fn append(&mut self, line: &mut Line, name: &str) -> io::Result<()> {
        let file = self.model.file(name);
        // Who does not know what is there does not add to it.
        if !file.is_certain() || file.content().is_some_and(|content| content.len() > 4) {
            return Ok(());
        }
        let piece = self.some_content(400_000);
        let mut whole = file.content().cloned().unwrap_or_default();
        whole.push(piece);
        self.give(line, "APPE", name, whole, &bytes(&vec![piece]))
    }

    fn give(
        &mut self,
        line: &mut Line,
        verb: &'static str,
        name: &str,
        content: Content,
        sent: &[u8],
    ) -> io::Result<()> {
        // Until the answer is there nobody knows.
        self.model.may_be(name, Some(content.clone()));
        let code = line.up(&format!("{verb} /twice/{name}"), sent, &mut self.dice)?;
        self.counts.count(verb, code);
        match code {
            226 => self.model.is(name, Some(content)),
            _ => self.model.may_be_gone(name),
        }
        Ok(())
    }

    fn fetch(&mut self, line: &mut Line, name: &str) -> io::Result<()> {
        let (code, content) = line.down(&format!("RETR /twice/{name}"))?;
        self.counts.count("RETR", code);
        let file = self.model.file(name);
        match code {
            226 => assert!(file.may_be(Some(&content)), "{name}: {file:?}"),
            550 => assert!(file.may_be(None), "{name} is gone: {file:?}"),
            _ => {}
        }
        Ok(())
    }

    fn rename(&mut self, line: &mut Line, from: &str) -> io::Result<()> {
        let to = self.some_name();
        let file = self.model.file(from);
        let Some(content) = file.content().cloned().filter(|_| to != from) else {
            return Ok(());
        };
        let code = line.ask(&format!("RNFR /twice/{from}"))?;
        if code != 350 {
            self.counts.count("RNFR", code);
            return Ok(());
        }
        for (name, content) in [(from, None), (&to, Some(content.clone()))] {
            self.model.may_be(name, content);
        }
        self.model.may_be_gone(&to);
        let code = line.ask(&format!("RNTO /twice/{to}"))?;
        self.counts.count("RNTO", code);
        if code == 250 {
            self.model.is(from, None);
            self.model.is(&to, Some(content));
        }
        Ok(())
    }

    fn delete(&mut self, line: &mut Line, name: &str) -> io::Result<()> {
        let file = self.model.file(name);
        self.model.may_be(name, None);
        let code = line.ask(&format!("DELE /twice/{name}"))?;
        self.counts.count("DELE", code);
        match code {
            250 => self.model.is(name, None),
            550 => {
                assert!(file.may_be(None), "{name} is gone: {file:?}");
                self.model.is(name, None);
            }
            _ => {}
        }
        Ok(())
    }
}
