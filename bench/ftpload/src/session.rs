//! One FTP session, as little of it as a load needs.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

/// More than any step takes that is not stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// Who is to be measured.
pub(crate) struct Server<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
}

/// A control connection that is logged in.
pub(crate) struct Session<'a> {
    host: &'a str,
    control: BufReader<TcpStream>,
}

impl<'a> Session<'a> {
    pub(crate) fn log_in(server: &Server<'a>) -> Result<Self, String> {
        let stream = connect(server.host, server.port)?;
        let mut session = Self {
            host: server.host,
            control: BufReader::new(stream),
        };
        session.reply(2)?;
        session.command(&format!("USER {}", server.user), 3)?;
        session.command(&format!("PASS {}", server.password), 2)?;
        Ok(session)
    }

    /// Sends a command; the reply must be of this class.
    pub(crate) fn command(&mut self, command: &str, class: u8) -> Result<String, String> {
        let sent = self
            .control
            .get_mut()
            .write_all(format!("{command}\r\n").as_bytes());
        sent.map_err(|why| why.to_string())?;
        self.reply(class).map_err(|why| format!("{command}: {why}"))
    }

    /// Downloads `path`, and gives its length only.
    pub(crate) fn discard(&mut self, path: &str) -> Result<usize, String> {
        let reply = self.command("EPSV", 2)?;
        let port = reply.split('|').nth(3).and_then(|port| port.parse().ok());
        let data = connect(self.host, port.ok_or(reply)?)?;
        self.command(&format!("RETR {path}"), 1)?;
        let mut nowhere = vec![0; 4 << 20];
        let mut total = 0;
        loop {
            match recv(data.as_raw_fd(), &mut nowhere, MsgFlags::MSG_TRUNC) {
                Ok(0) => break,
                Ok(count) => total += count,
                Err(Errno::EINTR) => {}
                Err(why) => return Err(format!("data connection: {why}")),
            }
        }
        self.reply(2)?;
        Ok(total)
    }

    fn reply(&mut self, class: u8) -> Result<String, String> {
        let mut line = String::new();
        loop {
            line.clear();
            self.control
                .read_line(&mut line)
                .map_err(|why| why.to_string())?;
            match line.as_bytes() {
                [] => return Err("the control connection was closed".to_owned()),
                [first, _, _, b' ', ..] if *first == b'0' + class => return Ok(line),
                [_, _, _, b' ', ..] => return Err(line),
                _ => {}
            }
        }
    }
}

fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let connected = TcpStream::connect((host, port)).and_then(|stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    connected.map_err(|why| format!("{host}:{port}: {why}"))
}
