//! The copies that gave some of a file, for the log.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::SocketAddr;

use crate::mogilefs::Location;

/// Node and device of each, once.
#[derive(Default)]
pub(super) struct Givers(Vec<(SocketAddr, Option<u32>)>);

impl Givers {
    /// Another connection gives; whether one did before.
    pub(super) fn add(&mut self, copy: &Location) -> bool {
        let is_other = !self.0.is_empty();
        let giver = (copy.address, copy.device);
        if !self.0.contains(&giver) {
            self.0.push(giver);
        }
        is_other
    }

    /// The device of the only one, if its path names one.
    pub(super) fn only_device(&self) -> Option<u32> {
        match self.0[..] {
            [(_, device)] => device,
            _ => None,
        }
    }
}

/// `address:devN`, with commas between.
impl fmt::Display for Givers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (node, device)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{node}")?;
            if let Some(device) = device {
                write!(f, ":dev{device}")?;
            }
        }
        Ok(())
    }
}
