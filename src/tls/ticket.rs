//! Session tickets of one control connection (RFC 5077, RFC 8446 §4.6.1), sealed with a key that
//! only its worker has and that dies with it: no rotation, because nothing outlives the session.
//! Tickets come over the control connection alone: on a data connection a stranger's first try would
//! earn what the second needs.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use rustls::server::{ProducesTickets, StoresServerSessions};

/// Seven days, the most that TLS 1.3 allows a client to keep a ticket. Each data connection is
/// preceded by a new one.
const LIFETIME: u32 = 604_800;

pub(super) struct OwnTickets {
    key: RandomizedNonceKey,
}

impl OwnTickets {
    pub(super) fn new() -> io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let sealed = RandomizedNonceKey::new(&AES_256_GCM, &key);
        zeroize::Zeroize::zeroize(&mut key);
        Ok(Self {
            key: sealed.map_err(|_| io::Error::other("no key for tickets"))?,
        })
    }
}

impl fmt::Debug for OwnTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnTickets")
    }
}

impl ProducesTickets for OwnTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::empty(), &mut sealed)
            .ok()?;
        let mut ticket = nonce.as_ref().to_vec();
        ticket.append(&mut sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket.split_first_chunk::<NONCE_LEN>()?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut plain = sealed.to_vec();
        let length = self
            .key
            .open_in_place(nonce, Aad::empty(), &mut plain)
            .ok()?
            .len();
        plain.truncate(length);
        Some(plain)
    }
}

/// What a control connection has given, as its data connections take it: to be shown, and never to be
/// earned. To rustls it is a source of no tickets, which opens them all the same: so nothing is said
/// of tickets where one is shown. TLS 1.2 would otherwise answer each with a new one, and an empty one
/// makes some clients forget theirs (Go's), another one makes others (OpenSSL's) think that theirs
/// is out of date.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) tickets: Arc<dyn ProducesTickets>,
    /// For clients of TLS 1.2 without tickets.
    pub(super) sessions: Arc<dyn StoresServerSessions>,
}

impl ProducesTickets for Shown {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// TLS 1.2
    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.tickets.decrypt(ticket)
    }
}

impl StoresServerSessions for Shown {
    fn put(&self, _: Vec<u8>, _: Vec<u8>) -> bool {
        false
    }

    /// TLS 1.2
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.sessions.get(key)
    }

    /// TLS 1.3, which looks for a ticket here when there is no source of tickets.
    fn take(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.tickets.decrypt(ticket)
    }

    fn can_cache(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_sealed_a_ticket_opens_it() {
        let (own, other) = (OwnTickets::new().unwrap(), OwnTickets::new().unwrap());
        let ticket = own.encrypt(b"state").unwrap();
        assert_eq!(own.decrypt(&ticket).as_deref(), Some(&b"state"[..]));
        assert_eq!(other.decrypt(&ticket), None);
        for at in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[at] ^= 1;
            assert_eq!(own.decrypt(&forged), None, "byte {at}");
            assert_eq!(own.decrypt(&ticket[..at]), None, "cut at {at}");
        }
    }
}
