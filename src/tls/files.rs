//! Certificates and keys as they lie on the disk, in PEM.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::Error;

/// The largest certificate or key file that is read, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

pub(super) fn named(path: &Option<std::path::PathBuf>) -> Result<&Path, Error> {
    path.as_deref()
        .ok_or_else(|| Error("certificate and key are needed".to_owned()))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read as _;
    let failed = |error: io::Error| Error(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LARGEST_FILE)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Error(format!("{}: no certificate in it", path.display()))),
        Err(error) => Err(Error(format!("{}: {error}", path.display()))),
    }
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|error| Error(format!("{}: {error}", path.display())))
}

pub(super) fn revocations(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Error> {
    let bytes = read(path)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        Ok(_) => Err(Error(format!("{}: no list in it", path.display()))),
        Err(error) => Err(Error(format!("{}: {error}", path.display()))),
    }
}
