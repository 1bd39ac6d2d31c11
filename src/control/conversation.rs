//! The daemon's side of one control connection. It never waits: each step does what can be done
//! now, and who neither asks nor reads in time is dropped.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::{LONGEST_REQUEST, Request};

/// How long a conversation may take as a whole.
const LONGEST: Duration = Duration::from_secs(10);

/// One connection, from its request to the last byte of its answer.
#[derive(Debug)]
pub struct Conversation {
    stream: UnixStream,
    heard: Vec<u8>,
    answer: Option<Answer>,
    deadline: Instant,
}

#[derive(Debug)]
struct Answer {
    bytes: Vec<u8>,
    sent: usize,
}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// To be called again when it can go on.
    Pending,
    /// To be dropped.
    Over,
}

impl Conversation {
    /// With a client whose user may ask: root, or one of `users`.
    ///
    /// # Errors
    /// `PermissionDenied`; what the socket says.
    pub fn begin(stream: UnixStream, users: &[u32], now: Instant) -> io::Result<Self> {
        let user = getsockopt(&stream, PeerCredentials)?.uid();
        if user != 0 && !users.contains(&user) {
            return Err(ErrorKind::PermissionDenied.into());
        }
        stream.set_nonblocking(true)?;
        let deadline = now.checked_add(LONGEST).unwrap_or(now);
        Ok(Self {
            stream,
            heard: Vec::new(),
            answer: None,
            deadline,
        })
    }

    /// Whether it waits until it can write; else until it can read.
    #[must_use]
    pub fn is_answering(&self) -> bool {
        self.answer.is_some()
    }

    /// When it is to be dropped, whatever it does.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Goes on as far as it can; `answer` is called when the request is there.
    pub fn advance(&mut self, answer: impl FnOnce(Request) -> String) -> Progress {
        match self.step(answer) {
            Ok(progress) => progress,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Progress::Pending,
            Err(error) if error.kind() == ErrorKind::Interrupted => Progress::Pending,
            Err(_) => Progress::Over,
        }
    }

    fn step(&mut self, answer: impl FnOnce(Request) -> String) -> io::Result<Progress> {
        if self.answer.is_none() {
            let Some(line) = self.line()? else {
                return Ok(Progress::Pending);
            };
            let text = match Request::parse(&line) {
                Some(request) => answer(request),
                None => "error: that is not understood\n".to_owned(),
            };
            self.answer = Some(Answer {
                bytes: text.into_bytes(),
                sent: 0,
            });
        }
        if let Some(answer) = &mut self.answer {
            while let Some(rest @ [_, ..]) = answer.bytes.get(answer.sent..) {
                answer.sent += self.stream.write(rest)?;
            }
        }
        Ok(Progress::Over)
    }

    /// The request without the line's end, when all of it is there.
    fn line(&mut self) -> io::Result<Option<String>> {
        let mut block = [0; 256];
        loop {
            if let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
                self.heard.truncate(end);
                return Ok(Some(String::from_utf8_lossy(&self.heard).into_owned()));
            }
            if self.heard.len() > LONGEST_REQUEST {
                return Err(ErrorKind::InvalidData.into());
            }
            match self.stream.read(&mut block)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => self
                    .heard
                    .extend_from_slice(block.get(..read).unwrap_or_default()),
            }
        }
    }
}

impl AsFd for Conversation {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Form;
    use super::*;

    fn pair() -> (UnixStream, Conversation) {
        let (far, near) = UnixStream::pair().unwrap();
        let own = nix::unistd::geteuid().as_raw();
        (
            far,
            Conversation::begin(near, &[own], Instant::now()).unwrap(),
        )
    }

    #[test]
    fn a_request_may_come_in_pieces() {
        let (mut far, mut near) = pair();
        assert_eq!(near.advance(|_| unreachable!()), Progress::Pending);
        far.write_all(b"status ").unwrap();
        assert_eq!(near.advance(|_| unreachable!()), Progress::Pending);
        far.write_all(b"json\nmore").unwrap();
        let progress = near.advance(|request| {
            assert_eq!(request, Request::Status(Form::Json));
            "all is well\n".to_owned()
        });
        assert_eq!(progress, Progress::Over);
        drop(near);
        let mut answer = String::new();
        far.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "all is well\n");
    }

    #[test]
    fn a_reader_that_does_not_read_is_not_waited_for() {
        let (mut far, mut near) = pair();
        far.write_all(b"status\n").unwrap();
        assert_eq!(near.advance(|_| "x".repeat(4 << 20)), Progress::Pending);
        assert!(near.is_answering());
        let reading = std::thread::spawn(move || {
            let mut answer = Vec::new();
            far.read_to_end(&mut answer).unwrap();
            answer.len()
        });
        while near.advance(|_| unreachable!()) == Progress::Pending {
            let ready = crate::vigil::wait(near.as_fd(), crate::vigil::For::Writing, None);
            ready.unwrap();
        }
        drop(near);
        assert_eq!(reading.join().unwrap(), 4 << 20);
    }

    #[test]
    fn nonsense_is_answered_and_endless_nonsense_dropped() {
        let (mut far, mut near) = pair();
        far.write_all(b"\xff\x00 rm -rf\n").unwrap();
        assert_eq!(near.advance(|_| unreachable!()), Progress::Over);
        let (mut far, mut near) = pair();
        far.write_all(&[b'x'; 5000]).unwrap();
        assert_eq!(near.advance(|_| unreachable!()), Progress::Over);
        let (far, mut near) = pair();
        drop(far);
        assert_eq!(near.advance(|_| unreachable!()), Progress::Over);
    }
}
