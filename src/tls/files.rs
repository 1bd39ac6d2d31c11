//! Certificates and keys as they lie on the disk, in PEM.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::Error;

/// The largest certificate or key file that is read, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// All that is wrong, and with files of which keys.
#[derive(Debug, Default)]
pub(super) struct Wrong(pub(super) Vec<Error>);

impl Wrong {
    /// What was read, or nothing and one thing more that is wrong.
    pub(super) fn unless<T>(&mut self, key: &'static str, result: Result<T, String>) -> Option<T> {
        let note = |why| self.0.push(Error { key, why });
        result.map_err(note).ok()
    }
}

pub(super) fn named(path: &Option<std::path::PathBuf>) -> Result<&Path, String> {
    path.as_deref()
        .ok_or_else(|| "certificate and key are needed".to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LARGEST_FILE)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(format!("{}: no certificate in it", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => format!("{}: no private key in it", path.display()),
        error => format!("{}: {error}", path.display()),
    })
}

pub(super) fn revocations(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let bytes = read(path)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        Ok(_) => Err(format!("{}: no list in it", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
