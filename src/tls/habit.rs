//! What a client does with tickets, as far as its first message shows. On a data connection with an
//! upload it decides when a new ticket is sent; nothing else depends on it, least of all who may.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::CipherSuite;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The suites of TLS 1.3 that OpenSSL offers, in its order, which others do not have.
const OF_OPENSSL: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    CipherSuite::TLS13_AES_128_GCM_SHA256,
];

/// Looks on while the certificate is chosen.
pub(super) struct Onlooker {
    chooser: Arc<dyn ResolvesServerCert>,
    is_openssl: AtomicBool,
}

impl Onlooker {
    pub(super) fn new(chooser: Arc<dyn ResolvesServerCert>) -> Self {
        Self {
            chooser,
            is_openssl: AtomicBool::new(false),
        }
    }

    /// Whether the client shows each ticket once, and looks for the next before it closes: OpenSSL
    /// does the one, and its users (curl) the other. Others show a ticket as often as they like and
    /// may close over one that they have not read (lftp), which resets the connection and loses
    /// what was still on its way to us: to them it is sent with our end of the transfer.
    pub(super) fn spends_tickets(&self) -> bool {
        self.is_openssl.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Onlooker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Onlooker")
    }
}

impl ResolvesServerCert for Onlooker {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let newest = hello
            .cipher_suites()
            .iter()
            .filter(|suite| is_newest(**suite));
        let is_openssl = newest.eq(OF_OPENSSL.iter());
        self.is_openssl.store(is_openssl, Ordering::Relaxed);
        self.chooser.resolve(hello)
    }
}

/// Of TLS 1.3.
fn is_newest(suite: CipherSuite) -> bool {
    (0x1301..=0x13ff).contains(&u16::from(suite))
}
