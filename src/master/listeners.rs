//! The addresses that are listened on. The sockets are shared with all workers that may take a
//! client; the master itself accepts only to refuse.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::config::Config;
use crate::sys::sockets;

/// All listening sockets.
#[derive(Debug)]
pub struct Listeners(Vec<Listener>);

#[derive(Debug)]
struct Listener {
    /// As it was configured: the port may be 0.
    wanted: SocketAddr,
    socket: TcpListener,
}

impl Listeners {
    /// Binds all addresses of `config`.
    ///
    /// # Errors
    /// The first address that could not be had, and why.
    pub fn bind(config: &Config) -> Result<Self, (SocketAddr, io::Error)> {
        let mut none = Self(Vec::new());
        none.rebind(config)?;
        Ok(none)
    }

    /// Binds what `config` adds and lets go what it no longer names; the others stay as they are.
    ///
    /// # Errors
    /// As [`Self::bind`]; nothing has changed then.
    pub(super) fn rebind(&mut self, config: &Config) -> Result<(), (SocketAddr, io::Error)> {
        let wanted: Vec<SocketAddr> = config.listeners().collect();
        let mut added = Vec::new();
        for &wanted in &wanted {
            if self.0.iter().all(|listener| listener.wanted != wanted) {
                let socket = sockets::listen(wanted).map_err(|error| (wanted, error))?;
                added.push(Listener { wanted, socket });
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

    /// Ends the listening at once, for all processes.
    pub(super) fn close(&mut self) {
        for listener in self.0.drain(..) {
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
