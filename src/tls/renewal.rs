//! Tickets of TLS 1.3 that are sent again. Many clients show a ticket once only, and rustls issues
//! tickets with a handshake and never after it. So the record layer keeps the last one as it leaves,
//! and can be told to send those same bytes as what they are: a message of the handshake.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::cipher::{
    AeadKey, Iv, MessageDecrypter, MessageEncrypter, OutboundOpaqueMessage, OutboundPlainMessage,
    Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::{
    CipherSuiteCommon, ConnectionTrafficSecrets, ContentType, Error, HandshakeType,
    SupportedCipherSuite, Tls13CipherSuite,
};

thread_local! {
    /// The message that issued a ticket last.
    static ISSUED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
    /// What is written now is that message.
    static IS_TICKET: Cell<bool> = const { Cell::new(false) };
}

/// The provider of rustls, with the record layer of this file.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static SUITES: LazyLock<Vec<SupportedCipherSuite>> = LazyLock::new(|| {
        let suites = default_provider().cipher_suites;
        suites.into_iter().map(renewing).collect()
    });
    Arc::new(CryptoProvider {
        cipher_suites: SUITES.clone(),
        ..default_provider()
    })
}

/// The message that a handshake on this thread has issued its last ticket with; gives it once.
pub(super) fn take_issued() -> Option<Vec<u8>> {
    ISSUED.take()
}

/// Writes `message`, which [`take_issued`] gave, to the connection that it was taken from.
pub(super) fn send_again(connection: &mut dyn Write, message: &[u8]) -> io::Result<()> {
    IS_TICKET.set(true);
    let written = connection.write_all(message);
    IS_TICKET.set(false);
    written
}

fn renewing(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls13(suite) = suite else {
        return suite;
    };
    let CipherSuiteCommon {
        suite: name,
        hash_provider,
        confidentiality_limit,
    } = suite.common;
    // rustls wants suites that live for ever; these are made once in a process.
    SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
        common: CipherSuiteCommon {
            suite: name,
            hash_provider,
            confidentiality_limit,
        },
        hkdf_provider: suite.hkdf_provider,
        aead_alg: Box::leak(Box::new(Renewing(suite.aead_alg))),
        quic: None,
    })))
}

struct Renewing(&'static dyn Tls13AeadAlgorithm);

impl Tls13AeadAlgorithm for Renewing {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Sealer(self.0.encrypter(key, iv)))
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        self.0.decrypter(key, iv)
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv)
    }
}

struct Sealer(Box<dyn MessageEncrypter>);

impl MessageEncrypter for Sealer {
    fn encrypt(
        &mut self,
        mut message: OutboundPlainMessage<'_>,
        number: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        match message.typ {
            ContentType::ApplicationData if IS_TICKET.get() => message.typ = ContentType::Handshake,
            ContentType::Handshake => {
                let messages = message.payload.to_vec();
                if let Some(ticket) = first_ticket(&messages) {
                    ISSUED.set(Some(ticket.to_vec()));
                }
            }
            _ => {}
        }
        self.0.encrypt(message, number)
    }

    fn encrypted_payload_len(&self, plain: usize) -> usize {
        self.0.encrypted_payload_len(plain)
    }
}

/// The first of some handshake messages, if it issues a ticket and is all here.
fn first_ticket(messages: &[u8]) -> Option<&[u8]> {
    let (&[kind, high, middle, low], _) = messages.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?;
    let is_ticket = kind == u8::from(HandshakeType::NewSessionTicket);
    messages.get(..4 + length).filter(|_| is_ticket)
}
