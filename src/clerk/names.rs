//! Where hosts are: asked of a name server as long as that takes, again and again.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::leash::{self, FromClerk};

/// How soon a name that was not found is looked for again, at the latest.
const AGAIN: Duration = Duration::from_secs(5);

/// The names, and when to look for them.
pub(super) struct Names<'a> {
    names: &'a [String],
    /// How long an answer is good.
    fresh: Duration,
    due: Instant,
}

impl<'a> Names<'a> {
    pub(super) fn new(names: &'a [String], fresh: Duration) -> Self {
        let due = Instant::now();
        Self { names, fresh, due }
    }

    /// When they are to be looked for next.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.names.is_empty()).then_some(self.due)
    }

    /// Looks for them, if it is time, and tells the master.
    pub(super) fn look(&mut self, leash: &leash::Clerk) -> io::Result<()> {
        if Instant::now() < self.due {
            return Ok(());
        }
        let mut pause = self.fresh;
        for name in self.names {
            let host = find(name);
            if matches!(&host, FromClerk::Host { addresses, .. } if addresses.is_empty()) {
                pause = AGAIN.min(self.fresh);
            }
            leash.send(&host)?;
        }
        self.due = Instant::now() + pause;
        Ok(())
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
