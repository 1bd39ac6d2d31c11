//! The clerk: the process that may block. It finds the addresses of names, so that no other process
//! ever waits for a name server. Unprivileged; ends with the master.
#![forbid(unsafe_code)]

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::unistd::getppid;

use crate::leash::{self, FromClerk, Heard, ToClerk};
use crate::logger;
use crate::sys::jail::Jail;
use crate::sys::{process, title};
use crate::vigil::{self, For};

/// How long an answer is good.
const FRESH: Duration = Duration::from_secs(60);

/// How soon a name that was not found is looked for again.
const AGAIN: Duration = Duration::from_secs(5);

/// The life of a clerk that finds `names`.
pub fn run(leash: &leash::Clerk, names: &[String], jail: &Jail) -> ! {
    title::set("nanoftpd [clerk] starting");
    match confine(jail).and_then(|()| work(leash, names)) {
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

/// Until the master is gone.
fn work(leash: &leash::Clerk, names: &[String]) -> io::Result<()> {
    title::set("nanoftpd [clerk]");
    leash.send(&FromClerk::Ready)?;
    loop {
        let mut pause = FRESH;
        for name in names {
            let host = find(name);
            if matches!(&host, FromClerk::Host { addresses, .. } if addresses.is_empty()) {
                pause = AGAIN;
            }
            leash.send(&host)?;
        }
        match vigil::wait(leash.as_fd(), For::Reading, Some(pause)) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => continue,
            waited => waited?,
        }
        loop {
            match leash.receive()? {
                Heard::Message(ToClerk::Log { which, fd }) => {
                    if let Some(which) = logger::Which::numbered(which) {
                        logger::replace(which, &fd)?;
                    }
                }
                Heard::Nothing => break,
                Heard::End => return Ok(()),
            }
        }
    }
}

fn find(name: &str) -> FromClerk {
    let found = (name, 0).to_socket_addrs();
    let (addresses, why): (Vec<IpAddr>, String) = match found {
        Ok(found) => (found.map(|address| address.ip()).collect(), String::new()),
        Err(error) => (Vec::new(), error.to_string()),
    };
    FromClerk::Host {
        name: name.to_owned(),
        addresses,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_or_the_reason_why_not() {
        let FromClerk::Host { addresses, .. } = find("localhost") else {
            panic!("no answer");
        };
        assert!(addresses.iter().any(IpAddr::is_loopback));
        let FromClerk::Host { addresses, why, .. } = find("no-such-host.invalid") else {
            panic!("no answer");
        };
        assert!(addresses.is_empty());
        assert!(!why.is_empty());
    }
}
