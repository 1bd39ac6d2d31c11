//! Data connections from the port that is meant for them (RFC 959 §3.2), which a worker may not have:
//! the master begins the connection, to the client's own address and nowhere else, and hands it over.

use std::net::SocketAddr;

use super::Master;
use crate::config::ActivePort;
use crate::leash::ToWorker;
use crate::sys::sockets;

/// No service listens above this port that somebody could be led to.
const LOWEST_PORT: u16 = 1024;

impl Master<'_> {
    /// Connects to a port of a worker's client, whose control connection came to `local`.
    pub(super) fn call(&mut self, pid: i32, number: u32, local: SocketAddr, port: u32) {
        let answer = match self.begin_call(pid, local, port) {
            Some(fd) => ToWorker::Called { number, fd },
            None => ToWorker::Answer {
                number,
                answer: Vec::new(),
            },
        };
        self.tell(pid, &answer);
    }

    fn begin_call(&self, pid: i32, local: SocketAddr, port: u32) -> Option<std::os::fd::OwnedFd> {
        let is_ours = |address: &SocketAddr| address.port() == local.port();
        let port = u16::try_from(port)
            .ok()
            .filter(|port| *port >= LOWEST_PORT)?;
        let seat = self.board.seat(pid)?;
        seat.state.user()?;
        let client = seat.state.peer()?.ip().to_canonical();
        if self.config.passive.active_port != ActivePort::Data
            || !self.listeners.addresses().iter().any(is_ours)
        {
            return None;
        }
        match sockets::call(data_port(local)?, SocketAddr::new(client, port)) {
            Ok(connection) => Some(connection.into()),
            // The worker takes another port; so it does between the same two ports again.
            Err(error) => {
                log::debug!("data-port-not-had pid={pid} why=\"{error}\"");
                None
            }
        }
    }

    /// Says at once what would otherwise be wondered at with each transfer.
    pub(super) fn try_data_ports(&self) {
        if !self.config.passive.active || self.config.passive.active_port != ActivePort::Data {
            return;
        }
        for from in self.listeners.addresses().into_iter().filter_map(data_port) {
            if let Err(error) = sockets::may_call(from) {
                let (addr, port) = (from.ip(), from.port());
                log::warn!("data-port-not-had addr={addr} port={port} why=\"{error}\"");
            }
        }
    }
}

/// The one that belongs to a control connection.
fn data_port(control: SocketAddr) -> Option<SocketAddr> {
    let port = control.port().checked_sub(1).filter(|port| *port != 0)?;
    Some(SocketAddr::new(control.ip().to_canonical(), port))
}
