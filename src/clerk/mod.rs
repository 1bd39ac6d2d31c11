//! The clerk: the process that may block. One finds the addresses of names, so that no other process
//! ever waits for a name server; where a program decides about logins, another one runs it.
//! Unprivileged; ends with the master.
#![forbid(unsafe_code)]

mod logins;
mod names;

use std::io;

use nix::unistd::getppid;

use crate::config::AuthExec;
use crate::leash::{self, FromClerk, Heard, ToClerk};
use crate::logger;
use crate::sys::jail::Jail;
use crate::sys::{process, title};

/// The life of a clerk that finds `names`.
pub fn find_names(leash: &leash::Clerk, names: &[String], jail: &Jail) -> ! {
    live(leash, jail, || names::work(leash, names))
}

/// The life of a clerk that asks a program about logins.
pub fn check_logins(leash: &leash::Clerk, settings: &AuthExec, jail: &Jail) -> ! {
    live(leash, jail, || logins::work(leash, settings))
}

fn live(leash: &leash::Clerk, jail: &Jail, work: impl FnOnce() -> io::Result<()>) -> ! {
    title::set("nanoftpd [clerk] starting");
    let lived = confine(jail)
        .and_then(|()| {
            title::set("nanoftpd [clerk]");
            leash.send(&FromClerk::Ready)
        })
        .and_then(|()| work());
    match lived {
        Ok(()) => process::leave(0),
        Err(error) => {
            log::error!("clerk-failed why=\"{error}\"");
            process::leave(1)
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

/// Hears all that the master has said, and hands on what is not for every clerk; whether there still
/// is a master.
fn hear(leash: &leash::Clerk, mut others: impl FnMut(ToClerk)) -> io::Result<bool> {
    loop {
        match leash.receive()? {
            Heard::Message(ToClerk::Log { which, fd }) => {
                if let Some(which) = logger::Which::numbered(which) {
                    logger::replace(which, &fd)?;
                }
            }
            Heard::Message(message) => others(message),
            Heard::Nothing => return Ok(true),
            Heard::End => return Ok(false),
        }
    }
}
