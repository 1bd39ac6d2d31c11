//! What must hold whatever comes in: one trial for each place where bytes of others are read. Each
//! takes any bytes and panics if something does not hold. The fuzzer runs them for hours, the tests
//! for a moment; no other build has them.
#![forbid(unsafe_code)]

mod config;
mod leash;
mod path;
#[cfg(test)]
mod tests;
mod text;

use crate::{ftp, master, mogilefs, proxy, tls};

/// One trial: its name, and what it does with the bytes.
pub type Trial = (&'static str, fn(&[u8]));

/// All of them.
pub const TRIALS: &[Trial] = &[
    ("command", ftp::trials::command),
    ("address", ftp::trials::address),
    ("path", path::path),
    ("glob", ftp::trials::glob),
    ("listing", ftp::trials::listing),
    ("ascii", ftp::trials::ascii),
    ("deflate", ftp::trials::deflate),
    ("text", text::text),
    ("users", config::users),
    ("config", config::config),
    ("import", config::import),
    ("proxy", proxy::trials::proxy),
    ("subject", tls::subject::trial),
    ("leash", leash::leash),
    ("will", master::trials::will),
    ("tracker", mogilefs::tracker),
    ("heads", mogilefs::heads),
    ("node", mogilefs::node),
    ("session", ftp::trials::session),
];

/// The trial of that name.
#[must_use]
pub fn named(name: &str) -> Option<fn(&[u8])> {
    let found = TRIALS.iter().find(|(own, _)| *own == name);
    found.map(|(_, trial)| *trial)
}
