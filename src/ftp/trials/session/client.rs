//! The client of the trial: says its lines when the server waits for one, and holds each reply
//! against what was asked. It never waits: what it needs is there when it is its turn.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;

use super::data::{Data, read_all};
use super::model::{Model, Turn};
use crate::ftp::address;
use crate::ftp::verb::Command;

/// Verbs during which the control connection is listened to.
const LONG: [&str; 15] = [
    "RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD", "HASH", "MD5", "XCRC", "XMD5", "XSHA",
    "XSHA1", "XSHA256", "XSHA512",
];

/// Commands that are said before any is answered.
const BURST: usize = 4;

/// One reply: its code, and all its lines with their ends but the last's.
type Reply = (u16, Vec<u8>);

pub(super) struct Client {
    control: TcpStream,
    inbox: Vec<u8>,
    is_greeted: bool,
    is_done: bool,
    says_goodbye: bool,
    is_hasty: bool,
    lines: VecDeque<Vec<u8>>,
    /// Said and not yet answered.
    asked: VecDeque<Vec<u8>>,
    data: Option<Rc<RefCell<Data>>>,
    /// For each PORT and EPRT that is not answered yet: what it offers.
    offered: VecDeque<Rc<RefCell<Data>>>,
    model: Model,
    /// Whether the server has said that it ends the session.
    is_left: bool,
}

impl Client {
    pub(super) fn new(control: TcpStream, manner: u8, script: &[u8]) -> Self {
        let _ = control.set_nonblocking(true);
        let _ = control.set_nodelay(true);
        // 255 is Telnet's, and has a trial of its own.
        let script: Vec<u8> = script.iter().map(|&byte| byte.min(254)).collect();
        let mut lines: VecDeque<Vec<u8>> = script
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .take(64)
            .collect();
        if manner & 1 == 0 {
            lines.push_front(b"PASS secret".to_vec());
            lines.push_front(b"USER test".to_vec());
        }
        Self {
            control,
            inbox: Vec::new(),
            is_greeted: false,
            is_done: false,
            says_goodbye: manner & 2 == 0,
            is_hasty: manner & 4 != 0,
            lines,
            asked: VecDeque::new(),
            data: None,
            offered: VecDeque::new(),
            model: Model::default(),
            is_left: false,
        }
    }

    pub(super) fn socket(&self) -> io::Result<TcpStream> {
        self.control.try_clone()
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Takes what the server has said; at its end the client ends too.
    pub(super) fn hear(&mut self) {
        if !read_all(&mut self.control, &mut self.inbox) {
            let _ = self.control.shutdown(Shutdown::Write);
        }
    }

    /// The server waits: everything is answered, and something more is said.
    pub(super) fn act(&mut self) {
        self.hear();
        self.settle();
        assert!(self.asked.is_empty(), "{:?} has no reply", self.asked);
        if self.lines.is_empty() {
            self.finish();
        } else {
            self.speak();
        }
    }

    /// The session is over: what it said last.
    pub(super) fn judge(&mut self) {
        self.hear();
        self.settle();
        assert!(self.asked.is_empty() || self.is_left);
    }

    fn finish(&mut self) {
        if std::mem::replace(&mut self.is_done, true) {
            return;
        }
        if self.says_goodbye {
            self.say(b"QUIT".to_vec());
        }
        let _ = self.control.shutdown(Shutdown::Write);
    }

    fn speak(&mut self) {
        let most = if self.is_hasty { BURST } else { 1 };
        for count in 0..most {
            let is_long = self.lines.front().is_some_and(|line| is_long(line));
            if is_long && count > 0 {
                return;
            }
            let Some(line) = self.lines.pop_front() else {
                return;
            };
            let line = self.prepare(line);
            self.say(line);
            if is_long {
                return self.speak_on(most);
            }
        }
    }

    /// What is said behind a transfer and has to wait for its turn, ABOR included.
    fn speak_on(&mut self, most: usize) {
        for _ in 1..most {
            let waits = |line: &&mut Vec<u8>| !is_long(line) && !cannot_wait(line);
            let Some(line) = self.lines.front_mut().filter(waits).map(std::mem::take) else {
                return;
            };
            self.lines.pop_front();
            self.say(line);
        }
    }

    fn say(&mut self, line: Vec<u8>) {
        let wire = [line.as_slice(), b"\r\n"].concat();
        if self
            .control
            .write(&wire)
            .is_ok_and(|sent| sent == wire.len())
        {
            self.asked.push_back(line);
        }
    }

    /// What a command needs, before it is said: an upload its bytes, PORT a place of ours, since it
    /// must never be anybody else's.
    fn prepare(&mut self, line: Vec<u8>) -> Vec<u8> {
        let command = Command::parse(&line);
        match command.verb.as_str() {
            "STOR" | "STOU" | "APPE" => {
                let bytes = self.lines.pop_front().unwrap_or_default();
                let sent = self
                    .data
                    .as_ref()
                    .map(|data| data.borrow_mut().send(&bytes));
                let _ = sent;
                line
            }
            "PORT" | "EPRT" => {
                let ours = SocketAddr::from(([127, 0, 0, 1], 1));
                let Ok((port, data)) = Data::listening() else {
                    return b"NOOP".to_vec();
                };
                self.offered.push_back(data);
                let named = match command.argument {
                    b"me" => Some(ours),
                    given => address::port(given).or(address::eprt(given).ok()),
                };
                if named.map(|named| named.ip().to_canonical()) != Some(ours.ip()) {
                    return line;
                }
                let [high, low] = port.to_be_bytes();
                match command.verb.as_str() {
                    "PORT" => format!("PORT 127,0,0,1,{high},{low}").into_bytes(),
                    _ => format!("EPRT |1|127.0.0.1|{port}|").into_bytes(),
                }
            }
            _ => line,
        }
    }

    /// Goes where PASV or EPSV says.
    fn connect(&mut self, reply: &[u8]) {
        let text = String::from_utf8_lossy(reply).into_owned();
        let inner = text.split(['(', ')']).nth(1).unwrap_or_default();
        let there = address::port(inner.as_bytes()).or_else(|| {
            let port = inner.strip_prefix("|||")?.strip_suffix('|')?.parse().ok()?;
            Some(SocketAddr::from(([127, 0, 0, 1], port)))
        });
        let data = there.map(Data::connected);
        // What was said in the same breath may have closed it again.
        let is_there = data.as_ref().is_some_and(Result::is_ok);
        assert!(is_there || self.is_hasty, "nobody is there: {text}");
        self.data = data.and_then(Result::ok);
    }

    /// Holds replies against commands, in their order: one each, and a 150 before some.
    fn settle(&mut self) {
        if !self.is_greeted
            && let Some((code, _)) = self.reply()
        {
            assert_eq!(code, 220);
            self.is_greeted = true;
        }
        let mut announced = None;
        while let Some(mut reply) = self.reply() {
            let Some(line) = self.asked.pop_front() else {
                unreachable!("a reply to nothing: {reply:?}");
            };
            let command = Command::parse(&line);
            let is_opened = reply.0 < 200;
            if is_opened {
                assert!(reply.0 == 150 && is_long(&line), "{reply:?} to {line:?}");
                let opening = std::mem::take(&mut reply.1);
                match self.reply() {
                    Some((code, text)) => {
                        reply = (code, [opening, b"\r\n".to_vec(), text].concat())
                    }
                    None => return assert!(self.is_left, "no end of {line:?}"),
                }
            }
            assert!((200..600).contains(&reply.0), "{reply:?} to {line:?}");
            self.is_left |= matches!(reply.0, 221 | 421) || command.is_http();
            let (sent, received) = self.moved(is_opened);
            self.model.take(&Turn {
                verb: &command.verb,
                argument: command.argument,
                code: reply.0,
                text: &reply.1,
                is_opened,
                sent: &sent,
                received: &received,
            });
            match (command.verb.as_str(), reply.0) {
                (_, 227 | 229) => announced = Some(reply.1),
                ("PORT" | "EPRT", code) => {
                    let offered = self.offered.pop_front().filter(|_| code == 200);
                    self.data = offered.or(self.data.take());
                }
                _ => {}
            }
        }
        // The last alone: one before it is closed, and its port may be the last one's now.
        if let Some(reply) = announced {
            self.connect(&reply);
        }
    }

    /// What went over the data connection of a transfer, both ways.
    fn moved(&self, is_opened: bool) -> (Vec<u8>, Vec<u8>) {
        match &self.data {
            Some(data) if is_opened => data.borrow_mut().moved(),
            _ => Default::default(),
        }
    }

    /// The next whole reply.
    fn reply(&mut self) -> Option<Reply> {
        let mut text: Vec<u8> = Vec::new();
        let mut code = None;
        let mut rest = self.inbox.as_slice();
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
            let (line, after) = rest.split_at(end);
            rest = after.get(2..).unwrap_or_default();
            let head = line.get(..4).unwrap_or_default();
            let number = address::decimal::<u16>(head.get(..3).unwrap_or_default());
            let own = *code.get_or_insert(number);
            assert!(
                own.is_some_and(|code| (100..600).contains(&code)),
                "{line:?}"
            );
            text.extend_from_slice(line);
            if number == own && head.last() == Some(&b' ') {
                break;
            }
            text.extend_from_slice(b"\r\n");
        }
        self.inbox = rest.to_vec();
        Some((code.flatten()?, text))
    }
}

/// What is answered at once while a transfer runs, or would take its data connection away.
fn cannot_wait(line: &[u8]) -> bool {
    let verb = Command::parse(line).verb;
    ["STAT", "NOOP", "PORT", "EPRT"].contains(&verb.trim())
}

fn is_long(line: &[u8]) -> bool {
    LONG.contains(&Command::parse(line).verb.as_str())
}
