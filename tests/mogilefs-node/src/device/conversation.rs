//! One connection to a storage node: heads in, answers out, kept alive as Perlbal keeps it.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::head::{Head, Incoming};
use super::mischief::Mischief;
use super::{Storage, disk, fid_of};

/// What becomes of the connection after a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    Close,
    Reset,
}

/// A connection and what has been read of it.
pub(super) struct Conversation<'a> {
    pub(super) storage: &'a Storage,
    pub(super) stream: &'a TcpStream,
    pub(super) incoming: Incoming<'a>,
}

impl<'a> Conversation<'a> {
    pub(super) const fn new(storage: &'a Storage, stream: &'a TcpStream) -> Self {
        Self {
            storage,
            stream,
            incoming: Incoming::new(stream),
        }
    }

    /// Serves until one side ends it.
    pub(super) fn run(mut self) {
        let idle = Some(self.storage.idle);
        let _ = self.stream.set_read_timeout(idle);
        let _ = self.stream.set_write_timeout(idle);
        let _ = self.stream.set_nodelay(true);
        let mut after = After::Keep;
        while after == After::Keep {
            let Some(head) = self.incoming.head() else {
                return;
            };
            after = self.answer(&head).unwrap_or(After::Close);
        }
        if after == After::Reset {
            let _ = SockRef::from(self.stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn answer(&mut self, head: &Head) -> io::Result<After> {
        let mischief = Mischief::of(&self.storage.strike(&head.method, fid_of(&head.path)));
        if mischief.freeze {
            return Ok(self.hold());
        }
        if mischief.reset {
            return Ok(After::Reset);
        }
        match head.method.as_str() {
            "GET" | "HEAD" => self.get(head, &mischief),
            "PUT" => self.put(head, &mischief),
            "DELETE" => self.delete(head, &mischief),
            _ => {
                self.skip(head.length())?;
                self.html(head, "400 Bad request", "", head.keeps())
            }
        }
    }

    fn delete(&mut self, head: &Head, mischief: &Mischief) -> io::Result<After> {
        if let Some((code, _)) = mischief.status {
            return self.html(head, &status_line(code), "", head.keeps());
        }
        self.skip(head.length())?;
        let Ok(path) = disk::place(&self.storage.root, &head.path) else {
            return self.html(head, "400 Bad request", "Invalid filename", head.keeps());
        };
        if path.is_dir() {
            return self.html(head, "400 Bad request", "Is a directory", head.keeps());
        }
        if std::fs::remove_file(&path).is_err() {
            return self.html(head, "404 Not Found", "", head.keeps());
        }
        let keep = head.keeps();
        let text = format!(
            "HTTP/1.0 204 No Content\r\nServer: Perlbal\r\n{}\r\n",
            keeping(keep)
        );
        self.send(text.as_bytes(), keep)
    }

    /// An answer with a page of HTML that nobody reads.
    pub(super) fn html(
        &mut self,
        head: &Head,
        status: &str,
        detail: &str,
        keep: bool,
    ) -> io::Result<After> {
        let title = match status.trim_end().split_once(' ') {
            Some((code, reason)) => format!("{code} - {reason}"),
            None => status.trim_end().to_owned(),
        };
        let page = format!("<h1>{title}</h1>\n{detail}");
        let mut text = format!(
            "HTTP/1.0 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
             Server: Perlbal\r\n{}\r\n",
            page.len(),
            keeping(keep)
        );
        if head.method != "HEAD" {
            text.push_str(&page);
        }
        self.send(text.as_bytes(), keep)
    }

    /// Sends a whole answer.
    pub(super) fn send(&mut self, bytes: &[u8], keep: bool) -> io::Result<After> {
        self.stream.write_all(bytes)?;
        Ok(if keep { After::Keep } else { After::Close })
    }

    /// Reads a body that nobody wants.
    pub(super) fn skip(&mut self, length: u64) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let mut left = length;
        while left > 0 {
            let room = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let count = self
                .incoming
                .read(buffer.get_mut(..room).unwrap_or_default())?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= u64::try_from(count).unwrap_or(left);
        }
        Ok(())
    }

    /// Stays silent until the client leaves or no fault is set any more.
    pub(super) fn hold(&self) -> After {
        let mut byte = [0];
        let _ = self
            .stream
            .set_read_timeout(Some(Duration::from_millis(20)));
        while !self.storage.faults.is_quiet() {
            match self.stream.peek(&mut byte) {
                Ok(0) => break,
                Ok(_) => thread::sleep(Duration::from_millis(20)),
                Err(error) if is_timeout(&error) => {}
                Err(_) => break,
            }
        }
        After::Close
    }
}

/// The headers that say whether the connection stays.
pub(super) const fn keeping(keep: bool) -> &'static str {
    if keep {
        "Connection: keep-alive\r\nKeep-Alive: timeout=30, max=100\r\n"
    } else {
        "Connection: close\r\n"
    }
}

/// A status that a fault asked for.
pub(super) fn status_line(code: u64) -> String {
    let reason = match code {
        200 => "OK",
        201 => "Created",
        400 => "Bad request",
        403 => "Forbidden",
        404 => "Not Found",
        411 => "Length Required",
        413 => "Request Entity Too Large",
        416 => "Request range not satisfiable",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Status",
    };
    format!("{code} {reason}")
}

/// A read or write that ran into its time limit.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
