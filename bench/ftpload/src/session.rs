//! One FTP session, as little of it as a load needs.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::off_t;
use nix::sys::sendfile::sendfile;
use nix::sys::socket::{MsgFlags, recv};

/// Who is to be measured.
pub(crate) struct Server<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    /// Its first process; 0: not known.
    pub(crate) pid: u32,
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
            control: BufReader::with_capacity(1024, stream),
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
        let data = self.transfer(&format!("RETR {path}"))?;
        let mut nowhere = vec![0; 1 << 20];
        let mut total = 0;
        loop {
            match recv(data.as_raw_fd(), &mut nowhere, MsgFlags::MSG_TRUNC) {
                Ok(0) => break,
                Ok(count) => total += count,
                Err(Errno::EINTR) => {}
                Err(why) => return Err(format!("data connection: {why}")),
            }
        }
        drop(data);
        self.reply(2)?;
        Ok(total)
    }

    /// Uploads `file` as `path`; how long the reply took after the last byte. With a `pause`
    /// before the last 64 KiB, so that only those are on their way when the time begins.
    pub(crate) fn store(
        &mut self,
        path: &str,
        file: &File,
        pause: Option<Duration>,
    ) -> Result<Duration, String> {
        let size = file.metadata().map_err(|why| why.to_string())?.len();
        let data = self.transfer(&format!("STOR {path}"))?;
        let mut at = 0;
        if let Some(pause) = pause {
            at = send(&data, file, at, size.saturating_sub(1 << 16))?;
            std::thread::sleep(pause);
        }
        let begun = Instant::now();
        send(&data, file, at, size)?;
        data.shutdown(Shutdown::Write)
            .map_err(|why| why.to_string())?;
        self.reply(2)?;
        Ok(begun.elapsed())
    }

    /// Lists with `command`: how long until the first byte, and the whole of it.
    pub(crate) fn list(&mut self, command: &str) -> Result<(Duration, Vec<u8>), String> {
        let begun = Instant::now();
        let mut data = self.transfer(command)?;
        let mut text = vec![0];
        let first = data.read(&mut text).map_err(|why| why.to_string())?;
        let took = begun.elapsed();
        text.truncate(first);
        data.read_to_end(&mut text).map_err(|why| why.to_string())?;
        drop(data);
        self.reply(2)?;
        Ok((took, text))
    }

    /// A data connection on which `command` has begun.
    fn transfer(&mut self, command: &str) -> Result<TcpStream, String> {
        let reply = self.command("EPSV", 2)?;
        let port = reply.split('|').nth(3).and_then(|port| port.parse().ok());
        let data = connect(self.host, port.ok_or(reply)?)?;
        data.set_nodelay(true).map_err(|why| why.to_string())?;
        self.command(command, 1)?;
        Ok(data)
    }

    fn reply(&mut self, class: u8) -> Result<String, String> {
        let mut line = String::new();
        let mut is_body = false;
        loop {
            line.clear();
            self.control
                .read_line(&mut line)
                .map_err(|why| why.to_string())?;
            match line.as_bytes() {
                [] => return Err("the control connection was closed".to_owned()),
                [first, b'0'..=b'9', b'0'..=b'9', b' ', ..] if *first == b'0' + class => {
                    return Ok(line);
                }
                [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9', b' ', ..] => return Err(line),
                [_, _, _, b'-', ..] => is_body = true,
                _ if is_body => {}
                _ => return Err(line),
            }
        }
    }
}

/// Sends `file` from `at` to `end`, which is where the next one begins.
fn send(data: &TcpStream, file: &File, at: off_t, end: u64) -> Result<off_t, String> {
    let mut at = at;
    loop {
        let left = end.saturating_sub(u64::try_from(at).unwrap_or(end));
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
        if most == 0 {
            return Ok(at);
        }
        match sendfile(data, file, Some(&mut at), most) {
            Ok(0) => return Err("the file is too short".to_owned()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(why) => return Err(format!("data connection: {why}")),
        }
    }
}

/// With no more calls than any client needs: who waits for each reply before it says more has nothing
/// held back, and whoever starts this program ends it if it gets stuck.
fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((host, port)).map_err(|why| format!("{host}:{port}: {why}"))
}
