//! Clerks: the processes that may block. One writes the logs, until nobody is left who could log; one
//! finds the addresses of names, and whether the dead have come back, so that no other process ever
//! waits for a name server or a dead tracker; where a program decides about logins, or is told of
//! uploads, there is one for each that runs it. Unprivileged; what they are asked comes from the master.
#![forbid(unsafe_code)]

mod hooks;
mod lines;
mod logins;
mod names;
mod suspects;

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use names::Names;
use nix::unistd::getppid;
use suspects::Suspects;

use crate::config::{AuthExec, Hooks, Mogilefs};
use crate::leash::{self, FromClerk, Heard, ToClerk};
use crate::logger::{self, Relay};
use crate::sys::jail::Jail;
use crate::sys::{process, scheduler, title};
use crate::vigil::{self, For};

/// Where a program's own programs are looked for.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The life of a clerk that finds `names`, each once in `fresh`, and who answers again.
pub fn look_out(
    leash: &leash::Clerk,
    (names, fresh): (&[String], Duration),
    settings: &Mogilefs,
    jail: &Jail,
) -> ! {
    let (names, suspects) = (Names::new(names, fresh), Suspects::new(settings));
    live(leash, jail, || watch(leash, names, suspects))
}

/// The life of a clerk that asks a program about logins.
pub fn check_logins(leash: &leash::Clerk, settings: &AuthExec, jail: &Jail) -> ! {
    live(leash, jail, || logins::work(leash, settings))
}

/// The life of a clerk that runs a program for each upload.
pub fn run_hooks(leash: &leash::Clerk, settings: &Hooks, jail: &Jail) -> ! {
    live(leash, jail, || hooks::work(leash, settings))
}

/// The life of the clerk that writes the lines that come out of `relay`: the only process that a full
/// or frozen disk holds up. It outlives the master, and all others, to write the last of them.
pub fn write_lines(leash: &leash::Clerk, relay: &Relay, jail: &Jail) -> ! {
    let arrived = relay.arrive();
    relay.part();
    // Nobody waits for a line. Where it cannot be, lines are merely written sooner.
    let _ = scheduler::wait_for_turns();
    confined(
        leash,
        jail.give_up_rights().and_then(|()| jail.enter()),
        || lines::work(leash, arrived?),
    )
}

fn live(leash: &leash::Clerk, jail: &Jail, work: impl FnOnce() -> io::Result<()>) -> ! {
    // The master's, which says so itself.
    let _ = logger::take_losses();
    confined(leash, confine(jail), work)
}

fn confined(
    leash: &leash::Clerk,
    confined: io::Result<()>,
    work: impl FnOnce() -> io::Result<()>,
) -> ! {
    title::set("nanoftpd [clerk] starting");
    let lived = confined
        .and_then(|()| {
            title::set("nanoftpd [clerk]");
            match leash.send(&FromClerk::Ready) {
                // It has let go, and what it said before is still to be heard.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                told => told,
            }
        })
        .and_then(|()| work());
    match lived {
        Ok(()) => process::leave(0),
        // Nobody is left to work for.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => process::leave(0),
        Err(error) => {
            log::error!("clerk-failed why=\"{error}\"");
            process::leave(1)
        }
    }
}

/// Until the master is gone.
fn watch(leash: &leash::Clerk, mut names: Names<'_>, mut suspects: Suspects<'_>) -> io::Result<()> {
    loop {
        names.look(leash)?;
        suspects.try_next(leash)?;
        let due = names.due().into_iter().chain(suspects.due()).min();
        match vigil::wait_until(&[(leash.as_fd(), For::Reading)], due) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
            waited => waited?,
        };
        let now = Instant::now();
        let is_heard = hear(leash, |message| {
            if let ToClerk::Suspect {
                address,
                is_tracker,
            } = message
            {
                suspects.add(address, is_tracker, now);
            }
        })?;
        if !is_heard {
            return Ok(());
        }
    }
}

fn confine(jail: &Jail) -> io::Result<()> {
    let master = getppid();
    jail.give_up_rights()?;
    // A look-up may take longer than the master lives.
    process::die_with_parent(master)?;
    jail.enter()
}

/// Hears all that the master has said; whether there still is a master.
fn hear(leash: &leash::Clerk, mut heed: impl FnMut(ToClerk)) -> io::Result<bool> {
    loop {
        match leash.receive()? {
            Heard::Message(message) => heed(message),
            Heard::Strange => {}
            Heard::Nothing => return Ok(true),
            Heard::End => return Ok(false),
        }
    }
}
