//! What the master begins with: all that could fail in the operator's terminal, done, and what children
//! are to do with their lives; or why it could not begin. Starts nothing itself.

use std::fmt;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use super::{Estate, Ground, Listeners};
use crate::birthright::Birthright;
use crate::config::{AuthExec, Config, Hooks, Mogilefs};
use crate::leash;
use crate::logger::Relay;
use crate::sys::jail::Jail;
use crate::sys::pidfile::Pidfile;

/// What children do with their lives.
#[derive(Clone, Copy, Debug)]
pub struct Crew {
    pub nursery: fn(&leash::Nursery, Vec<TcpListener>, &Birthright<'_>) -> !,
    pub clerk: fn(&leash::Clerk, (&[String], Duration), &Mogilefs, &Jail) -> !,
    pub log_clerk: fn(&leash::Clerk, &Relay, &Jail) -> !,
    pub login_clerk: fn(&leash::Clerk, &AuthExec, &Jail) -> !,
    pub hook_clerk: fn(&leash::Clerk, &Hooks, &Jail) -> !,
}

/// Everything that can fail before there is a daemon, done.
#[derive(Debug)]
pub struct Start {
    pub config: Config,
    /// Where it was read from, absolute.
    pub path: PathBuf,
    /// Where this program was found, and where another one may lie later.
    pub program: PathBuf,
    pub is_foreground: bool,
    pub ground: Ground,
    pub listeners: Listeners,
    pub pidfile: Pidfile,
    /// What another program has left that was this process before.
    pub estate: Option<Estate>,
    pub crew: Crew,
}

/// Why the service could not be started, or could not go on; a text for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Another one listens on the control socket.
    Taken(String),
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Taken(why) | Self::Failed(why)) = self;
        f.write_str(why)
    }
}
