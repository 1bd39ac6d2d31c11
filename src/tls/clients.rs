//! Who a client is by its certificate: signed by an authority that is trusted with that, and not
//! revoked.
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertRevocationListError, DigitallySignedStruct, DistinguishedName, Error as TlsError,
    RootCertStore, SignatureScheme,
};
use webpki::EndEntityCert;

use super::expiry::Expiry;
use super::files::{self, Wrong};
use super::subject::common_name;
use crate::config::{self, ClientCertificate};

/// What a client's certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// It has shown none.
    Nobody,
    /// One that does not count, and why; only where clients need none.
    Refused(String),
    /// One that counts, with this common name in it.
    Named(Vec<u8>),
}

/// Judges certificates of clients.
#[derive(Debug)]
pub(super) struct Clients {
    judge: Arc<dyn ClientCertVerifier>,
    /// Whether a client may come without one: then one that does not count is no hindrance, either.
    is_optional: bool,
}

impl Clients {
    /// By the rules of `settings`, and when its lists end; `None`: nobody is asked for a certificate, or
    /// something is wrong.
    pub(super) fn load(
        settings: &config::Tls,
        provider: Arc<CryptoProvider>,
        wrong: &mut Wrong,
    ) -> Option<(Arc<Self>, Option<Expiry>)> {
        let path = settings.client_ca.as_ref()?;
        let failed = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
        let authorities = wrong.unless("client_ca", files::certificates(path));
        let mut expiry = None;
        let revoked = settings.client_crl.as_deref().map(|path| {
            let lists = wrong.unless("client_crl", files::revocations(path))?;
            expiry = Expiry::of_lists(path, &lists);
            Some(lists)
        });
        let mut roots = RootCertStore::empty();
        for certificate in authorities? {
            let added = roots.add(certificate).map_err(|error| failed(&error));
            wrong.unless("client_ca", added)?;
        }
        let is_optional = settings.client_certificate == ClientCertificate::Optional;
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if is_optional {
            builder = builder.allow_unauthenticated();
        }
        if let Some(revoked) = revoked {
            builder = builder
                .with_crls(revoked?)
                .only_check_end_entity_revocation()
                .enforce_revocation_expiration();
        }
        let (judge, key) = match builder.build() {
            Err(error @ VerifierBuilderError::InvalidCrl(_)) => {
                let path = settings.client_crl.as_deref().unwrap_or(path);
                let error = not_a_list(&error);
                (Err(format!("{}: {error}", path.display())), "client_crl")
            }
            judge => (judge.map_err(|error| failed(&error)), "client_ca"),
        };
        let judge = wrong.unless(key, judge)?;
        Some((Arc::new(Self { judge, is_optional }), expiry))
    }

    /// Who has shown these certificates, its own first.
    pub(super) fn judge(&self, shown: Option<&[CertificateDer<'_>]>) -> Client {
        let Some((own, others)) = shown.and_then(<[_]>::split_first) else {
            return Client::Nobody;
        };
        if let Err(error) = self.judge.verify_client_cert(own, others, UnixTime::now()) {
            return Client::Refused(error.to_string());
        }
        let parsed = EndEntityCert::try_from(own).ok();
        match parsed.as_ref().and_then(|own| common_name(own.subject())) {
            Some(name) => Client::Named(name.to_vec()),
            None => Client::Refused("there is not one common name in it".to_owned()),
        }
    }
}

/// Why a list cannot be used. Programs make some that are of the first version still, which the library
/// calls malformed.
fn not_a_list(error: &VerifierBuilderError) -> String {
    use CertRevocationListError::{Other, ParseError, UnsupportedCrlVersion};
    match error {
        VerifierBuilderError::InvalidCrl(Other(_) | ParseError | UnsupportedCrlVersion) => {
            "no list of version 2, with a number and a next update, as RFC 5280 has it".to_owned()
        }
        error => error.to_string(),
    }
}

impl Clients {
    /// Whether a certificate that nobody need have cannot even be read, as one of the first version
    /// (X.509v1): there is no key in it for us, it will not count, and that is all.
    fn is_beyond_judging(&self, own: &CertificateDer<'_>) -> bool {
        self.is_optional && EndEntityCert::try_from(own).is_err()
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        !self.is_optional
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.judge.root_hint_subjects()
    }

    /// Only that the handshake may go on. Whether the certificate counts is asked of
    /// [`Clients::judge`].
    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        match self.judge.verify_client_cert(own, others, now) {
            Err(_) if self.is_optional => Ok(ClientCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        match self.is_beyond_judging(own) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => self.judge.verify_tls12_signature(message, own, signed),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        match self.is_beyond_judging(own) {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => self.judge.verify_tls13_signature(message, own, signed),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
