//! Programs of the site that are told of uploads: each is a run, a few go on at once, the rest stand
//! in line up to a limit. Nobody waits for one; what fails is logged and counted.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{PATH, hear};
use crate::config::Hooks;
use crate::leash::{self, FromClerk, Outcome, ToClerk, Upload};
use crate::sys::process::{self, Ending};
use crate::sys::program::Program;
use crate::sys::signals::Deaths;
use crate::text::quoted;
use crate::vigil::{self, For};

/// Most runs at once.
const MOST: usize = 4;

/// A program that runs.
struct Run {
    upload: Upload,
    program: Program,
    begun: Instant,
    is_late: bool,
}

struct Line<'a> {
    leash: &'a leash::Clerk,
    program: &'a Path,
    most: usize,
    timeout: Duration,
    waiting: VecDeque<Upload>,
    runs: Vec<Run>,
}

/// Until the master has let go, and what it has told is done.
pub(super) fn work(leash: &leash::Clerk, settings: &Hooks) -> io::Result<()> {
    let Some(program) = &settings.uploaded else {
        return Err(io::Error::other("no program is configured"));
    };
    let deaths = Deaths::open()?;
    let mut line = Line {
        leash,
        program,
        most: settings.queue,
        timeout: settings.timeout,
        waiting: VecDeque::new(),
        runs: Vec::new(),
    };
    let mut is_held = true;
    loop {
        line.begin();
        if !is_held && line.runs.is_empty() {
            return Ok(());
        }
        line.wait(&deaths, is_held)?;
        deaths.take();
        is_held = is_held && hear(leash, |message| line.stand(message))?;
        while let Some((pid, ending)) = process::reap()? {
            if let Some(at) = line.runs.iter().position(|run| run.program.pid() == pid) {
                let run = line.runs.swap_remove(at);
                line.finish(&run, ending);
            }
        }
        line.kill_late_ones(Instant::now());
    }
}

impl Line<'_> {
    fn stand(&mut self, message: ToClerk) {
        let ToClerk::Uploaded(upload) = message else {
            return;
        };
        if self.waiting.len() < self.most {
            self.waiting.push_back(*upload);
            // Whoever can begin does not stand in the way of the next.
            self.begin();
        } else {
            dropped(&upload, "too many stand in line");
            self.tell(Outcome::Dropped);
        }
    }

    /// Starts as many runs as may go on at once.
    fn begin(&mut self) {
        while self.runs.len() < MOST {
            let Some(upload) = self.waiting.pop_front() else {
                return;
            };
            match Program::start(self.program, &environment(&upload), b"", None) {
                Ok(program) => self.runs.push(Run {
                    upload,
                    program,
                    begun: Instant::now(),
                    is_late: false,
                }),
                Err(error) => {
                    let why = format!("it cannot be started: {error}");
                    self.failed(&upload, &why);
                }
            }
        }
    }

    fn wait(&self, deaths: &Deaths, is_held: bool) -> io::Result<()> {
        let mut fds: Vec<(BorrowedFd<'_>, For)> = vec![(deaths.as_fd(), For::Reading)];
        if is_held {
            fds.push((self.leash.as_fd(), For::Reading));
        }
        let punctual = self.runs.iter().filter(|run| !run.is_late);
        let due = punctual.filter_map(|run| run.begun.checked_add(self.timeout));
        match vigil::wait_until(&fds, due.min()) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
            waited => waited.map(|_| ()),
        }
    }

    fn finish(&self, run: &Run, ending: Ending) {
        match ending {
            _ if run.is_late => {
                let seconds = self.timeout.as_secs_f64();
                self.failed(&run.upload, &format!("it took longer than {seconds} s"));
            }
            Ending::Exit(0) => {
                let (whose, ms) = (tag(&run.upload), run.begun.elapsed().as_millis());
                let path = quoted(&run.upload.path);
                log::info!("hook-done {whose} ms={ms} path={path}");
                self.tell(Outcome::Done);
            }
            _ => self.failed(&run.upload, &format!("it ended with {ending}")),
        }
    }

    /// They are heard of again when they are dead.
    fn kill_late_ones(&mut self, now: Instant) {
        for run in &mut self.runs {
            if !run.is_late && now.saturating_duration_since(run.begun) >= self.timeout {
                run.is_late = true;
                run.program.kill();
            }
        }
    }

    fn failed(&self, upload: &Upload, why: &str) {
        let (whose, why, path) = (tag(upload), quoted(why.as_bytes()), quoted(&upload.path));
        log::warn!("hook-failed {whose} why={why} path={path}");
        self.tell(Outcome::Failed);
    }

    /// To be counted; a master that does not listen does without.
    fn tell(&self, outcome: Outcome) {
        let _ = self.leash.send(&FromClerk::Hook(outcome));
    }
}

fn dropped(upload: &Upload, why: &str) {
    let (whose, path) = (tag(upload), quoted(&upload.path));
    log::warn!("hook-dropped {whose} why=\"{why}\" path={path}");
}

fn tag(upload: &Upload) -> String {
    format!("peer={} session={}", upload.peer, upload.session)
}

/// Nothing else is in it.
fn environment(upload: &Upload) -> Vec<Vec<u8>> {
    let fid = upload.fid.map(|fid| fid.to_string()).unwrap_or_default();
    let size = upload.size.to_string();
    let peer = upload.peer.to_string();
    let result = if upload.is_complete { "ok" } else { "failed" };
    let pairs: [(&str, &[u8]); 9] = [
        ("USER", &upload.user),
        ("PATH", &upload.path),
        ("DOMAIN", &upload.domain),
        ("KEY", &upload.key),
        ("FID", fid.as_bytes()),
        ("SIZE", size.as_bytes()),
        ("RESULT", result.as_bytes()),
        ("PEER", peer.as_bytes()),
        ("SESSION", upload.session.as_bytes()),
    ];
    let own = pairs.map(|(name, value)| [b"NANOFTPD_", name.as_bytes(), b"=", value].concat());
    let mut all = own.to_vec();
    all.push(PATH.as_bytes().to_vec());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_what_it_was_and_nothing_of_ours() {
        let upload = Upload {
            peer: "192.0.2.1".parse().unwrap(),
            session: "5e551017".to_owned(),
            user: b"\xff".to_vec(),
            path: b"/a=b c".to_vec(),
            domain: Vec::new(),
            key: Vec::new(),
            fid: None,
            size: 7,
            is_complete: false,
        };
        let environment = environment(&upload);
        let expected: [&[u8]; 10] = [
            b"NANOFTPD_USER=\xff",
            b"NANOFTPD_PATH=/a=b c",
            b"NANOFTPD_DOMAIN=",
            b"NANOFTPD_KEY=",
            b"NANOFTPD_FID=",
            b"NANOFTPD_SIZE=7",
            b"NANOFTPD_RESULT=failed",
            b"NANOFTPD_PEER=192.0.2.1",
            b"NANOFTPD_SESSION=5e551017",
            PATH.as_bytes(),
        ];
        assert_eq!(environment, expected);
    }
}
