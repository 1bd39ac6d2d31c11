//! The certificates that the daemon can show, and which of them a client sees: the one for the name
//! that it asks for (RFC 6066 §3, SNI), or the first.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use super::expiry::Expiry;
use super::files::{self, Wrong};
use super::renewal;
use crate::config;

/// All of them, with their keys.
#[derive(Debug)]
pub(super) struct Faces {
    /// For whoever asks for no name, or for one that no other is for.
    usual: Arc<CertifiedKey>,
    /// For the names in them.
    others: Vec<Arc<CertifiedKey>>,
}

impl Faces {
    /// Reads them, and when they end. Wrong is a file that is not what it should be; a key of another
    /// certificate; a certificate that is for no name, and would never be shown.
    pub(super) fn load(settings: &config::Tls, wrong: &mut Wrong) -> Option<(Self, Vec<Expiry>)> {
        let certificate = wrong.unless("certificate", files::named(&settings.certificate));
        let key = wrong.unless("key", files::named(&settings.key));
        let usual = load(certificate?, key?, ["certificate", "key"], wrong);
        let mut other = |(certificate, key): &(PathBuf, PathBuf)| {
            const KEY: &str = "certificates";
            let other = load(certificate, key, [KEY, KEY], wrong)?;
            let has_name = parsed(&other).is_some_and(|own| own.valid_dns_names().next().is_some());
            let why = || format!("{}: it is for no name", certificate.display());
            wrong.unless(KEY, has_name.then_some(other).ok_or_else(why))
        };
        let others = settings.certificates.iter();
        // Each is looked at, whatever is wrong with others.
        let others: Vec<_> = others.map(&mut other).collect();
        let others = others.into_iter().collect::<Option<Vec<_>>>()?;
        let usual = usual?;
        let files = settings.certificates.iter().map(|(file, _)| file.as_path());
        let all = std::iter::once((certificate?, &usual)).chain(files.zip(&others));
        let expiries = all.filter_map(|(file, face)| Expiry::of(file, &face.cert));
        let expiries = expiries.collect();
        Some((Self { usual, others }, expiries))
    }
}

impl ResolvesServerCert for Faces {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok());
        let meant = name.and_then(|name| self.others.iter().find(|face| is_for(face, &name)));
        Some(Arc::clone(meant.unwrap_or(&self.usual)))
    }
}

/// A certificate and its key, from the files that the two keys of the configuration name.
fn load(
    certificate: &Path,
    key: &Path,
    [of_certificate, of_key]: [&'static str; 2],
    wrong: &mut Wrong,
) -> Option<Arc<CertifiedKey>> {
    let chain = wrong.unless(of_certificate, files::certificates(certificate));
    let secret = wrong.unless(of_key, files::private_key(key));
    let joined = CertifiedKey::from_der(chain?, secret?, &renewal::provider());
    let joined = joined.map_err(|error| unusable(key, &error));
    wrong.unless(of_key, joined).map(Arc::new)
}

/// What is wrong with a key.
pub(super) fn unusable(key: &Path, error: &rustls::Error) -> String {
    let key = key.display();
    match error {
        rustls::Error::InconsistentKeys(_) => format!("{key}: it is not the certificate's key"),
        // So says the library of a kind that it does not know.
        rustls::Error::General(_) => format!(
            "{key}: no key that can be used: RSA of 2048 to 8192 bits, ECDSA with P-256, P-384 or P-521, Ed25519"
        ),
        error => format!("{key}: {error}"),
    }
}

fn parsed(face: &CertifiedKey) -> Option<EndEntityCert<'_>> {
    EndEntityCert::try_from(face.cert.first()?).ok()
}

/// As clients judge it: by the names under "subject alternative name", wildcards included.
fn is_for(face: &CertifiedKey, name: &ServerName<'_>) -> bool {
    parsed(face).is_some_and(|own| own.verify_is_valid_for_subject_name(name).is_ok())
}
