//! A client that has just come: the master is asked whether it may stay, and one that may not is told
//! why, before there is a session.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::bond::Bond;
use crate::auth::Trouble;
use crate::leash::Word;

/// Whether a client that nothing has been said to may come in; if not, it is told why. The master
/// must be watched.
pub(super) fn is_admitted(
    bond: &Bond,
    control: &TcpStream,
    peer: SocketAddr,
    is_secret: bool,
) -> bool {
    let text = match bond.admit(peer) {
        Ok(Word::Stay(_)) => return true,
        Ok(Word::Go(_, text)) => text,
        Err(Trouble::Interrupted) => bond.farewell(),
        Err(Trouble::Unavailable(cause)) => {
            log::warn!("not-admitted peer={} cause=\"{cause}\"", peer.ip());
            "Service is not available now, try again later.".to_owned()
        }
    };
    // Where TLS comes first nothing can be said without it.
    if !is_secret {
        say_no(control, &text);
    }
    false
}

/// A few bytes fit into a new connection's buffer; whoever cannot take them does without.
fn say_no(mut client: &TcpStream, text: &str) {
    let reply = format!("421 {text}\r\n");
    if client.write_all(reply.as_bytes()).is_ok() {
        let _ = client.shutdown(Shutdown::Write);
    }
}
