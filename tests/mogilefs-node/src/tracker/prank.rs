//! What the faults that struck a command mean for its answer.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::After;
use crate::codec::{Answer, Refusal, count, refuse};
use crate::faults::Fault;

/// All faults of one command, put together.
#[derive(Debug, Default)]
pub(super) struct Prank {
    pub(super) mute: bool,
    pub(super) close: bool,
    pub(super) delay: Option<Duration>,
    pub(super) late: Option<Duration>,
    /// The answer that is given instead of doing anything.
    pub(super) instead: Option<Answer>,
    /// Whether the upload is committed before `no_temp_file` is said.
    pub(super) no_temp_file: Option<bool>,
    pub(super) wrong_callid: bool,
    pub(super) stray: bool,
    lose_reply: bool,
    double: bool,
    garbage: bool,
    cut: Option<u64>,
    flood: Option<u64>,
}

impl Prank {
    pub(super) fn of(faults: &[Fault]) -> Self {
        let mut all = Self::default();
        for fault in faults {
            let time = || Some(Duration::from_millis(fault.number("ms").unwrap_or(1000)));
            match fault.name {
                "mute" => all.mute = true,
                "close" => all.close = true,
                "lose-reply" => all.lose_reply = true,
                "delay" => all.delay = time(),
                "late" => all.late = time(),
                "err" => {
                    let mut refusal = refuse(fault.text("code").unwrap_or("failure"));
                    if let Some(text) = fault.text("text") {
                        refusal = Refusal::new(&refusal.code, text);
                    }
                    all.instead = Some(Err(refusal));
                }
                "no-devices" => all.instead = Some(Err(refuse("no_devices"))),
                "paths-zero" => all.instead = Some(Ok(vec![count("paths", 0)])),
                "no-temp-file" => {
                    all.no_temp_file = Some(fault.number("after-commit") == Some(1));
                }
                "stray" => all.stray = true,
                "double" => all.double = true,
                "wrong-callid" => all.wrong_callid = true,
                "garbage" => all.garbage = true,
                "cut-reply" => all.cut = Some(fault.number("at").unwrap_or(0)),
                "flood" => all.flood = Some(fault.number("bytes").unwrap_or(8 << 20)),
                _ => {}
            }
        }
        all
    }

    /// Sends the line, or what the faults make of it.
    pub(super) fn send(&self, line: &[u8], mut stream: &TcpStream) -> io::Result<After> {
        if self.lose_reply {
            return Ok(After::Close);
        }
        if let Some(at) = self.cut {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            stream.write_all(line.get(..at).unwrap_or(line))?;
            return Ok(After::Close);
        }
        if self.garbage {
            stream.write_all(b"\x00\xffwhat is this? &&==%\r\n")?;
            return Ok(After::Keep);
        }
        if let Some(bytes) = self.flood {
            let piece = [b'x'; 64 * 1024];
            let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
            stream.write_all(b"OK a=")?;
            while left > 0 {
                let part = piece.get(..left).unwrap_or(&piece);
                stream.write_all(part)?;
                left -= part.len();
            }
            stream.write_all(b"\r\n")?;
            return Ok(After::Keep);
        }
        if self.double {
            // At once: who reads the first line finds the second, too.
            stream.write_all(&[line, b"OK \r\n"].concat())?;
        } else {
            stream.write_all(line)?;
        }
        Ok(After::Keep)
    }
}
