//! Where hosts are: asked of a name server as long as that takes, again and again.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::Duration;

use super::hear;
use crate::leash::{self, FromClerk};
use crate::vigil::{self, For};

/// How long an answer is good.
const FRESH: Duration = Duration::from_secs(60);

/// How soon a name that was not found is looked for again.
const AGAIN: Duration = Duration::from_secs(5);

/// Until the master is gone.
pub(super) fn work(leash: &leash::Clerk, names: &[String]) -> io::Result<()> {
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
        if !hear(leash, |_| ())? {
            return Ok(());
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
