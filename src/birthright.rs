//! What workers are born with. It is the master's when their nursery is forked, and stays as it was then
//! for whoever comes out of it; but for the lore, which the nursery goes on learning.
#![forbid(unsafe_code)]

use jiff::tz::TimeZone;

use crate::board::Addresses;
use crate::config::Config;
use crate::store::mogile::Lore;
use crate::sys::jail::Jail;
use crate::tls::Identity;

/// What a worker knows before it hears a word, and what it is shut in.
#[derive(Clone, Copy)]
pub struct Birthright<'a> {
    pub config: &'a Config,
    /// Of LIST.
    pub zone: &'a TimeZone,
    /// Certificate and key; `None`: there is no TLS.
    pub tls: Option<&'a Identity>,
    /// Of the names in the configuration, as far as they are found.
    pub addresses: &'a Addresses,
    /// What sessions have told each other until now.
    pub lore: &'a Lore,
    pub jail: &'a Jail,
}
