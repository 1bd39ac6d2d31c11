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
use super::{Error, files, renewal};
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
    /// Reads them, and when they end.
    ///
    /// # Errors
    /// A file that is not what it should be; a key of another certificate; a certificate that is for
    /// no name, and would never be shown.
    pub(super) fn load(settings: &config::Tls) -> Result<(Self, Vec<Expiry>), Error> {
        let (certificate, key) = (&settings.certificate, &settings.key);
        let certificate = files::named(certificate)?;
        let usual = load(certificate, files::named(key)?)?;
        let other = |(certificate, key): &(PathBuf, PathBuf)| {
            let other = load(certificate, key)?;
            match parsed(&other).is_some_and(|own| own.valid_dns_names().next().is_some()) {
                true => Ok(other),
                false => Err(Error(format!(
                    "{}: it is for no name",
                    certificate.display()
                ))),
            }
        };
        let others = settings.certificates.iter().map(other);
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let files = settings.certificates.iter().map(|(file, _)| file.as_path());
        let all = std::iter::once((certificate, &usual)).chain(files.zip(&others));
        let expiries = all.filter_map(|(file, face)| Expiry::of(file, &face.cert));
        let expiries = expiries.collect();
        Ok((Self { usual, others }, expiries))
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

fn load(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Error> {
    let (chain, secret) = (files::certificates(certificate)?, files::private_key(key)?);
    let joined = CertifiedKey::from_der(chain, secret, &renewal::provider());
    let joined = joined.map_err(|error| Error(format!("{}: {error}", key.display())))?;
    Ok(Arc::new(joined))
}

fn parsed(face: &CertifiedKey) -> Option<EndEntityCert<'_>> {
    EndEntityCert::try_from(face.cert.first()?).ok()
}

/// As clients judge it: by the names under "subject alternative name", wildcards included.
fn is_for(face: &CertifiedKey, name: &ServerName<'_>) -> bool {
    parsed(face).is_some_and(|own| own.verify_is_valid_for_subject_name(name).is_ok())
}
