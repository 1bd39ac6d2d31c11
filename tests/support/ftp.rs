//! An FTP client that does what it is told, line by line, and remembers the dialogue.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};

use socket2::{Domain, SockRef, Socket, Type};

use super::{PATIENCE, say};

/// How a data connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Pasv,
    Epsv,
    Port,
    Eprt,
}

impl Mode {
    pub(crate) const ALL: [Self; 4] = [Self::Pasv, Self::Epsv, Self::Port, Self::Eprt];
}

/// A control connection, and what was said on it.
pub(crate) struct Dialogue<S: Read + Write> {
    control: BufReader<S>,
    said: Vec<String>,
}

impl<S: Read + Write> Dialogue<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            control: BufReader::new(stream),
            said: Vec::new(),
        }
    }

    pub(crate) fn control(&self) -> &S {
        self.control.get_ref()
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.said.push(format!("> {}", text.escape_debug()));
        let stream = self.control.get_mut();
        stream.write_all(bytes).unwrap();
        stream.flush().unwrap();
    }

    /// One whole reply: its code, and its lines without their ends.
    pub(crate) fn reply(&mut self) -> (u16, String) {
        let first = self.line();
        let code: u16 = first[..3]
            .parse()
            .unwrap_or_else(|_| panic!("no reply: {first:?}"));
        let mut text = first.clone();
        if first[3..].starts_with('-') {
            let last = format!("{code} ");
            loop {
                let line = self.line();
                text.push('\n');
                text.push_str(&line);
                if line.starts_with(&last) {
                    break;
                }
            }
        }
        (code, text)
    }

    /// The next reply, which must have this code.
    pub(crate) fn reply_of(&mut self, code: u16) -> String {
        let (found, text) = self.reply();
        assert_eq!(found, code, "{text}");
        text
    }

    /// Sends a command; the reply must have this code.
    pub(crate) fn expect(&mut self, command: &str, code: u16) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        let (found, text) = self.reply();
        assert_eq!(found, code, "{command}: {text}");
        text
    }

    /// Whether the server closed the control connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.control.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.control.read_until(b'\n', &mut line).unwrap();
        let text = String::from_utf8_lossy(&line).into_owned();
        self.said.push(format!("< {}", text.escape_debug()));
        assert!(text.ends_with("\r\n"), "not a line of a reply: {text:?}");
        text.trim_end().to_owned()
    }
}

impl<S: Read + Write> Drop for Dialogue<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&format!("--- dialogue\n{}\n---", self.said.join("\n")));
        }
    }
}

/// A control connection in the clear.
pub(crate) struct Ftp {
    dialogue: Dialogue<TcpStream>,
    pub(crate) mode: Mode,
}

impl Deref for Ftp {
    type Target = Dialogue<TcpStream>;

    fn deref(&self) -> &Self::Target {
        &self.dialogue
    }
}

impl DerefMut for Ftp {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.dialogue
    }
}

/// A data connection that is there, or will come.
pub(crate) enum Data {
    There(TcpStream),
    Awaited(TcpListener),
}

impl Data {
    pub(crate) fn stream(self) -> TcpStream {
        let stream = match self {
            Self::There(stream) => stream,
            Self::Awaited(listener) => {
                SockRef::from(&listener)
                    .set_read_timeout(Some(PATIENCE))
                    .unwrap();
                listener.accept().unwrap().0
            }
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Ftp {
    /// Connects and takes the greeting.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut ftp = Self::silent(address);
        ftp.reply_of(220);
        ftp
    }

    /// Connects from an address of one's own choice, and takes the greeting.
    pub(crate) fn connect_from(source: Ipv4Addr, address: SocketAddr) -> Self {
        let mut ftp = Self::silent_from(source, address);
        ftp.reply_of(220);
        ftp
    }

    /// Connects from there and reads nothing.
    pub(crate) fn silent_from(source: Ipv4Addr, address: SocketAddr) -> Self {
        Self::over(Self::dial(source, address).unwrap())
    }

    /// A connection from an address of one's own choice.
    pub(crate) fn dial(source: Ipv4Addr, address: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect_timeout(&address.into(), PATIENCE)?;
        Ok(socket.into())
    }

    /// Connects and reads nothing.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// Takes a connection on which nothing was said.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            dialogue: Dialogue::new(stream),
            mode: Mode::Pasv,
        }
    }

    pub(crate) fn log_in(&mut self, user: &str, password: &str) {
        self.expect(&format!("USER {user}"), 331);
        self.expect(&format!("PASS {password}"), 230);
    }

    /// Prepares a data connection in the way of `self.mode`.
    pub(crate) fn data(&mut self) -> Data {
        match self.mode {
            Mode::Pasv => {
                let reply = self.expect("PASV", 227);
                let numbers = reply.split(['(', ')']).nth(1).unwrap();
                let n: Vec<u16> = numbers.split(',').map(|n| n.parse().unwrap()).collect();
                self.connect_data(n[4] * 256 + n[5])
            }
            Mode::Epsv => {
                let reply = self.expect("EPSV", 229);
                self.connect_data(reply.split('|').nth(3).unwrap().parse().unwrap())
            }
            Mode::Port | Mode::Eprt => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                let port = listener.local_addr().unwrap().port();
                if self.mode == Mode::Port {
                    let (high, low) = (port / 256, port % 256);
                    self.expect(&format!("PORT 127,0,0,1,{high},{low}"), 200);
                } else {
                    self.expect(&format!("EPRT |1|127.0.0.1|{port}|"), 200);
                }
                Data::Awaited(listener)
            }
        }
    }

    fn connect_data(&self, port: u16) -> Data {
        let address = SocketAddr::new(self.control().peer_addr().unwrap().ip(), port);
        Data::There(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// What a command sends over the data connection, with its 150 and 226.
    pub(crate) fn fetch(&mut self, command: &str) -> Vec<u8> {
        let data = self.data();
        self.expect(command, 150);
        let mut bytes = Vec::new();
        data.stream().read_to_end(&mut bytes).unwrap();
        self.reply_of(226);
        bytes
    }

    /// The same as text.
    pub(crate) fn lines(&mut self, command: &str) -> Vec<String> {
        let text = String::from_utf8(self.fetch(command)).unwrap();
        text.split_terminator("\r\n").map(str::to_owned).collect()
    }

    /// Gives a command `bytes` over the data connection, with its 150, and the final reply.
    pub(crate) fn give(&mut self, command: &str, bytes: &[u8]) -> (u16, String) {
        let data = self.data();
        self.expect(command, 150);
        let mut stream = data.stream();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let answer = self.reply();
        drop(stream);
        answer
    }

    /// Uploads; the final reply must be 226.
    pub(crate) fn store(&mut self, path: &str, bytes: &[u8]) {
        let (code, text) = self.give(&format!("STOR {path}"), bytes);
        assert_eq!(code, 226, "STOR {path}: {text}");
    }
}
