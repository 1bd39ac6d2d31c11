//! The addresses that are listened on. The sockets are shared with all workers that may take a
//! client; the master itself accepts only to refuse.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::config::Config;
use crate::sys::heir::{Left, Passed};
use crate::sys::sockets;

/// All listening sockets.
#[derive(Debug)]
pub struct Listeners(Vec<Listener>);

/// An address that could not be listened on, and why.
pub type Unbound = (SocketAddr, io::Error);

#[derive(Debug)]
struct Listener {
    /// As it was configured: the port may be 0.
    wanted: SocketAddr,
    socket: TcpListener,
    /// It is the service manager's, who goes on listening when we end.
    is_lent: bool,
}

impl Listeners {
    /// Takes what another program has opened, and binds the rest of what `config` names. Beside them
    /// the first address that could not be had, and why.
    #[must_use]
    pub fn take(passed: Vec<Passed>, config: &Config) -> (Self, Option<Unbound>) {
        let passed = passed.into_iter().map(|passed| {
            // A connection that is not prepared is a connection all the same.
            let _ = sockets::prepare(&passed.socket);
            Listener {
                wanted: passed.wanted,
                socket: passed.socket,
                is_lent: passed.is_lent,
            }
        });
        let mut all = Self(passed.collect());
        let failed = all.rebind(config).err();
        (all, failed)
    }

    /// What is left to another program.
    pub(super) fn left(&self) -> impl Iterator<Item = Left<'_>> {
        self.0.iter().map(|listener| Left {
            socket: &listener.socket,
            wanted: listener.wanted,
            is_lent: listener.is_lent,
        })
    }

    /// Binds what `config` adds and lets go what it no longer names; the others stay as they are.
    ///
    /// # Errors
    /// The first address that could not be had; nothing has changed then.
    pub(super) fn rebind(&mut self, config: &Config) -> Result<(), Unbound> {
        let wanted: Vec<SocketAddr> = config.listeners().collect();
        let mut added = Vec::new();
        for &wanted in &wanted {
            if self.0.iter().all(|listener| listener.wanted != wanted) {
                let socket = sockets::listen(wanted).map_err(|error| (wanted, error))?;
                added.push(Listener {
                    wanted,
                    socket,
                    is_lent: false,
                });
            }
        }
        let (kept, dropped) = self
            .0
            .drain(..)
            .partition(|listener| wanted.contains(&listener.wanted));
        self.0 = kept;
        self.0.extend(added);
        Self(dropped).close();
        Ok(())
    }

    /// Ends the listening at once, for all our processes.
    pub(super) fn close(&mut self) {
        for listener in self.0.drain(..).filter(|listener| !listener.is_lent) {
            sockets::stop_listening(&listener.socket);
        }
    }

    /// Where clients can come in.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets()
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = &TcpListener> {
        self.0.iter().map(|listener| &listener.socket)
    }

    /// Sockets of a child's own.
    pub(super) fn copies(&self) -> io::Result<Vec<TcpListener>> {
        self.sockets().map(TcpListener::try_clone).collect()
    }
}
