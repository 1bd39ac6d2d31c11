//! Logins that a program of the site decides: each is a run of it, several go on at once, the rest
//! stand in line. Whatever the program does, every question is answered in time.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{PATH, hear};
use crate::auth::exec::{LONGEST_ANSWER, Verdict, question};
use crate::board::household;
use crate::config::AuthExec;
use crate::leash::{self, FromClerk, Secret, ToClerk};
use crate::sys::process::{self, Ending};
use crate::sys::program::Program;
use crate::sys::signals::Deaths;
use crate::text::quoted;
use crate::vigil::{self, For};

/// Most runs at once, and most of them for clients of one address: others are to find the program free.
const MOST: usize = 16;
const MOST_OF_ONE: usize = 12;

/// A question.
struct Login {
    worker: i32,
    number: u32,
    peer: IpAddr,
    user: Vec<u8>,
    password: Secret,
    deadline: Instant,
}

/// A question that the program has been asked.
struct Run {
    login: Login,
    program: Program,
    /// It may still print something.
    is_open: bool,
}

impl Run {
    /// Takes what there is of an answer. Who says too much need not go on.
    fn hear(&mut self) {
        self.is_open = self.is_open && self.program.hear();
        if self.has_said_too_much() {
            self.program.kill();
        }
    }

    fn has_said_too_much(&self) -> bool {
        self.program.answer().len() > LONGEST_ANSWER
    }
}

struct Logins<'a> {
    leash: &'a leash::Clerk,
    command: &'a Path,
    timeout: Duration,
    waiting: VecDeque<Login>,
    runs: Vec<Run>,
}

/// Until the master has let go, and what it has asked is answered.
pub(super) fn work(leash: &leash::Clerk, settings: &AuthExec) -> io::Result<()> {
    let Some(command) = &settings.command else {
        return Err(io::Error::other("no program is configured"));
    };
    let deaths = Deaths::open()?;
    let mut logins = Logins {
        leash,
        command,
        timeout: settings.timeout,
        waiting: VecDeque::new(),
        runs: Vec::new(),
    };
    let mut is_held = true;
    loop {
        logins.begin()?;
        if !is_held && logins.runs.is_empty() {
            return Ok(());
        }
        logins.wait(&deaths, is_held)?;
        deaths.take();
        is_held = is_held && hear(leash, |message| logins.line_up(message))?;
        for run in &mut logins.runs {
            run.hear();
        }
        while let Some((pid, ending)) = process::reap()? {
            if let Some(at) = logins.runs.iter().position(|run| run.program.pid() == pid) {
                let run = logins.runs.swap_remove(at);
                logins.finish(run, ending)?;
            }
        }
        logins.give_up(Instant::now())?;
    }
}

impl Logins<'_> {
    fn line_up(&mut self, message: ToClerk) {
        if let ToClerk::Login {
            worker,
            number,
            peer,
            user,
            password,
        } = message
        {
            self.waiting.push_back(Login {
                worker,
                number,
                peer,
                user,
                password,
                deadline: Instant::now() + self.timeout,
            });
        }
    }

    /// Starts as many runs as may go on at once.
    fn begin(&mut self) -> io::Result<()> {
        while self.runs.len() < MOST {
            let next = self.next().and_then(|at| self.waiting.remove(at));
            let Some(login) = next else {
                break;
            };
            let environment = [PATH.to_owned(), format!("NANOFTPD_PEER={}", login.peer)];
            let Some(lines) = question(&login.user, login.password.as_bytes()) else {
                self.answer(&login, &Verdict::Refused)?;
                continue;
            };
            match Program::start(self.command, &environment, &lines, Some(LONGEST_ANSWER)) {
                Ok(program) => self.runs.push(Run {
                    login,
                    program,
                    is_open: true,
                }),
                Err(error) => self.fail(&login, &format!("it cannot be started: {error}"))?,
            }
        }
        Ok(())
    }

    /// Whose turn it is, by its place in line: the first of those from where the fewest runs are for.
    fn next(&self) -> Option<usize> {
        let runs_for = |login: &Login| {
            let home = household(login.peer);
            let runs = self.runs.iter();
            runs.filter(|run| household(run.login.peer) == home).count()
        };
        let waiting = self.waiting.iter().enumerate();
        let (runs, at) = waiting.map(|(at, login)| (runs_for(login), at)).min()?;
        (runs < MOST_OF_ONE).then_some(at)
    }

    fn wait(&self, deaths: &Deaths, is_held: bool) -> io::Result<()> {
        let open = self.runs.iter().filter(|run| run.is_open);
        let mut fds: Vec<(BorrowedFd<'_>, For)> = open
            .map(|run| (run.program.as_fd(), For::Reading))
            .collect();
        if is_held {
            fds.push((self.leash.as_fd(), For::Reading));
        }
        fds.push((deaths.as_fd(), For::Reading));
        let running = self.runs.iter().map(|run| run.login.deadline);
        let waiting = self.waiting.iter().map(|login| login.deadline);
        match vigil::wait_until(&fds, running.chain(waiting).min()) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
            waited => waited.map(|_| ()),
        }
    }

    /// What the end of a run means.
    fn finish(&self, mut run: Run, ending: Ending) -> io::Result<()> {
        run.hear();
        let login = &run.login;
        match ending {
            _ if run.has_said_too_much() => {
                let why = format!("the answer is longer than {LONGEST_ANSWER} bytes");
                self.fail(login, &why)
            }
            Ending::Exit(0) => match Verdict::read(&login.user, run.program.answer()) {
                Ok(verdict) => self.answer(login, &verdict),
                Err(why) => self.fail(login, &why),
            },
            Ending::Exit(1) => self.answer(login, &Verdict::Refused),
            // What shells say of programs that cannot be run.
            Ending::Exit(126 | 127) | Ending::Killed(_) => {
                self.fail(login, &format!("it ended with {ending}"))
            }
            Ending::Exit(_) => {
                complain(login, &format!("it ended with {ending}"));
                self.answer(login, &Verdict::Refused)
            }
        }
    }

    /// Ends what has taken too long, in line or at work.
    fn give_up(&mut self, now: Instant) -> io::Result<()> {
        let why = format!("no answer in {} s", self.timeout.as_secs_f64());
        while let Some(at) = self.runs.iter().position(|run| run.login.deadline <= now) {
            let run = self.runs.swap_remove(at);
            run.program.kill();
            self.fail(&run.login, &why)?;
        }
        while self
            .waiting
            .front()
            .is_some_and(|login| login.deadline <= now)
        {
            if let Some(login) = self.waiting.pop_front() {
                self.fail(&login, &why)?;
            }
        }
        Ok(())
    }

    fn fail(&self, login: &Login, why: &str) -> io::Result<()> {
        complain(login, why);
        self.answer(login, &Verdict::Failed)
    }

    fn answer(&self, login: &Login, verdict: &Verdict) -> io::Result<()> {
        self.leash.send(&FromClerk::Verdict {
            worker: login.worker,
            number: login.number,
            verdict: verdict.encode(),
        })
    }
}

fn complain(login: &Login, why: &str) {
    let (why, user) = (quoted(why.as_bytes()), quoted(&login.user));
    log::warn!(
        "auth-program-failed peer={} why={why} user={user}",
        login.peer
    );
}
