//! What a client says while a transfer runs: little of it is answered at once, and ABOR is noticed. Waits for
//! nothing.

use super::{Control, Filled};
use crate::config::Hangup;
use crate::ftp::lines::Line;
use crate::ftp::progress::Progress;
use crate::ftp::reply::Reply;
use crate::vigil::Verdict;

impl Control {
    /// What the client says while a transfer runs: STAT and NOOP are answered once the client knows that it
    /// runs, unless they are behind a command that has to wait for its turn; ABOR ends the transfer from
    /// wherever it is, and is answered in its turn.
    pub(in crate::ftp) fn overhear(&mut self, progress: &Progress) -> Verdict {
        loop {
            if self.overhear_lines(progress) == Verdict::Leave {
                return Verdict::Leave;
            }
            let filled = self.fill();
            // Who says more than the transfer may still be told its end.
            let has_said_more = self.lines.have_line();
            match filled {
                Ok(Filled::Some) => {}
                Ok(Filled::NothingYet) => return Verdict::Stay,
                Ok(Filled::NoRoom) => return Verdict::Rest,
                Ok(Filled::Ended) | Err(_) if has_said_more => return Verdict::Rest,
                Ok(Filled::Ended) if self.hangup == Hangup::Finish => return Verdict::Rest,
                // The transfer's end would have nobody to be told to (RFC 959 §4.1.1: as ABOR).
                Ok(Filled::Ended) | Err(_) => return Verdict::Leave,
            }
        }
    }

    /// The same of what came together with the command, and makes the socket readable no more.
    pub(in crate::ftp) fn overhear_at_hand(&mut self, progress: &Progress) -> Verdict {
        if self.wire.has_read_ahead() {
            return self.overhear(progress);
        }
        self.overhear_lines(progress)
    }

    fn overhear_lines(&mut self, progress: &Progress) -> Verdict {
        while let Some(reply) = self.reply_at_once(progress) {
            self.answer_at_once(&reply);
        }
        let is_abort = |line: &[u8]| line.eq_ignore_ascii_case(b"ABOR");
        if self.lines.waiting().any(is_abort) {
            self.is_aborted = true;
            return Verdict::Leave;
        }
        Verdict::Stay
    }

    /// The reply to the first line, if it need not wait, and if the client takes replies and is not too fast.
    fn reply_at_once(&mut self, progress: &Progress) -> Option<Reply> {
        let line = self.lines.waiting().next()?;
        // Who sends commands ahead takes the first reply for that of the first of them.
        let reply = if !self.has_begun || !self.unsent.is_empty() {
            None
        } else if line.eq_ignore_ascii_case(b"STAT") {
            Some(progress.report())
        } else if line.eq_ignore_ascii_case(b"NOOP") {
            Some(Reply::new(200, "The transfer goes on."))
        } else {
            None
        };
        reply.filter(|_| self.tempo.next().is_ok())
    }

    /// Answers the line that waits without waiting itself; what the client does not take now is
    /// sent before the next reply.
    fn answer_at_once(&mut self, reply: &Reply) {
        if let Some(Line::Text(line)) = self.line_at_hand() {
            self.log_command(&line);
        }
        self.hold(reply);
        self.release();
    }
}
