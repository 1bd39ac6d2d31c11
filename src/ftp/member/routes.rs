//! How data connections are to be made: PASV, PORT and their successors (RFC 2428). Whichever comes
//! last counts, and for one transfer only.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener};

use super::Member;
use crate::ftp::address::{self, Mistake, Wish};
use crate::ftp::data::Route;
use crate::ftp::error::Error;
use crate::ftp::ports;
use crate::ftp::verb::{Answer, say};

/// No service that a bounce could aim at listens above this port (RFC 2577 §3).
const LOWEST_PORT: u16 = 1024;

impl Member<'_> {
    /// PASV
    pub(super) fn pasv(&mut self, _: &[u8]) -> Answer {
        self.check_only_epsv()?;
        let IpAddr::V4(local) = self.session.seen_as.ip() else {
            return Err(Error::refused(425, "PASV is for IPv4 only; use EPSV."));
        };
        let (listener, port) = self.listen()?;
        self.prepare(Route::Passive(listener))?;
        let [a, b, c, d] = self.announced(local).octets();
        let [high, low] = port.to_be_bytes();
        say(
            227,
            format!("Entering Passive Mode ({a},{b},{c},{d},{high},{low})."),
        )
    }

    /// EPSV
    pub(super) fn epsv(&mut self, argument: &[u8]) -> Answer {
        let is_v4 = self.session.seen_as.is_ipv4();
        match address::epsv(argument) {
            Ok(Wish::All) => {
                self.only_epsv = true;
                return say(200, "EPSV ALL command successful.");
            }
            Ok(Wish::Any) => {}
            Ok(Wish::V4) if is_v4 => {}
            Ok(Wish::V6) if !is_v4 => {}
            Ok(_) | Err(Mistake::Protocol) => return Err(self.other_protocol()),
            Err(Mistake::Syntax) => return Err(Error::refused(501, "EPSV takes 1, 2 or ALL.")),
        }
        let (listener, port) = self.listen()?;
        self.prepare(Route::Passive(listener))?;
        say(229, format!("Entering Extended Passive Mode (|||{port}|)"))
    }

    /// PORT
    pub(super) fn port(&mut self, argument: &[u8]) -> Answer {
        self.check_only_epsv()?;
        self.route = None;
        let Some(address) = address::port(argument) else {
            return Err(Error::refused(501, "PORT takes six numbers."));
        };
        self.point(address)?;
        say(200, "PORT command successful.")
    }

    /// EPRT
    pub(super) fn eprt(&mut self, argument: &[u8]) -> Answer {
        self.check_only_epsv()?;
        self.route = None;
        let address = match address::eprt(argument) {
            Ok(address) => address,
            Err(Mistake::Protocol) => return Err(self.other_protocol()),
            Err(Mistake::Syntax) => {
                return Err(Error::refused(501, "EPRT takes |family|address|port|."));
            }
        };
        self.point(address)?;
        say(200, "EPRT command successful.")
    }

    /// The route that the client has prepared is the one of this command, whatever comes of it.
    pub(super) fn choose_route(&mut self) -> Result<(), Error> {
        self.session.check_data()?;
        self.chosen = self.route.take();
        match self.chosen {
            Some(_) => Ok(()),
            None => Err(no_route()),
        }
    }

    /// The chosen route, now that the command is not refused any more.
    pub(super) fn take_route(&mut self) -> Result<Route, Error> {
        self.chosen.take().ok_or_else(no_route)
    }

    /// Leaves the route of a command that was refused, now that the client knows why: before, it might find
    /// its connection reset, and many do not look for a reply behind that. What has come about ends as an
    /// empty transfer does; under TLS an end before the handshake is a broken connection, too, and there the
    /// client is left to hang up. The port is free again.
    pub(super) fn leave_route(&mut self) {
        let met = self.chosen.take().map(|route| self.session.meet(route));
        let Some(Ok(Route::Met(stream))) = met else {
            return;
        };
        if self.session.protection().is_none() {
            let _ = stream.shutdown(Shutdown::Write);
        }
        self.left = Some(stream);
    }

    /// The client will take this route; the reply brings the ticket that it may need there.
    fn prepare(&mut self, route: Route) -> Result<(), Error> {
        self.route = Some(route);
        self.session.renew_ticket()
    }

    fn listen(&mut self) -> Result<(TcpListener, u16), Error> {
        // The port of the last one is free again before the next is sought.
        self.route = None;
        let settings = self.session.settings.nanoftpd;
        ports::listen(self.session.local, settings.low_port, settings.high_port)
            .map_err(|error| no_port(&error))
    }

    /// Will connect to `address`, if that is the client itself.
    fn point(&mut self, address: SocketAddr) -> Result<(), Error> {
        if !self.session.settings.passive.active {
            return Err(Error::refused(
                502,
                "Active mode is switched off; use PASV.",
            ));
        }
        if address.ip().to_canonical() != self.session.peer.ip() {
            return Err(Error::refused(504, "Not your own address."));
        }
        if address.port() < LOWEST_PORT {
            return Err(Error::refused(504, "Not a port for data."));
        }
        // The peer's own, since it may have an IPv6 scope that EPRT cannot name.
        let address = ports::with_port(self.session.peer, address.port());
        self.prepare(Route::Active(address))
    }

    fn check_only_epsv(&self) -> Result<(), Error> {
        if self.only_epsv {
            return Err(Error::refused(501, "Nothing but EPSV after EPSV ALL."));
        }
        Ok(())
    }

    fn other_protocol(&self) -> Error {
        let ours = if self.session.seen_as.is_ipv4() { 1 } else { 2 };
        Error::refused(522, format!("Network protocol not supported, use ({ours})"))
    }

    /// The address to name in PASV: that for the client's network, the one for all, our own.
    fn announced(&self, local: Ipv4Addr) -> Ipv4Addr {
        let settings = self.session.settings;
        let peer = self.session.peer.ip();
        let rule = settings
            .passive
            .nat
            .iter()
            .find(|(network, _)| network.contains(peer))
            .map(|(_, address)| *address);
        match rule.or(settings.announce).map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(address)) => address,
            _ => local,
        }
    }
}

pub(super) fn no_route() -> Error {
    Error::refused(425, "Use PASV or PORT first.")
}

fn no_port(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::AddrInUse {
        Error::failed(
            425,
            "No passive port is free",
            "every passive port is taken",
        )
    } else {
        let cause = format!("a passive port: {error}");
        Error::failed(425, "Can't open data connection", cause)
    }
}
