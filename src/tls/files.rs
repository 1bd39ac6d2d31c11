//! Certificates and keys as they lie on the disk, in PEM.
#![forbid(unsafe_code)]

use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::Error;
use crate::regular;

/// The largest file that is read, in bytes: a list of a million revoked certificates is some 40 MB.
const LARGEST_FILE: u64 = 64 << 20;

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
    match regular::read(path, LARGEST_FILE) {
        Ok((bytes, _)) => Ok(bytes),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// What is wrong with a file, in words of ours: the library's show the line, which may be the key.
fn malformed(path: &Path, error: &pem::Error) -> String {
    let why = match error {
        pem::Error::MissingSectionEnd { .. } => "a part of it has no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a part of it is not base64",
        _ => "cannot be read as PEM",
    };
    format!("{}: {why}", path.display())
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(format!("{}: no certificate in it", path.display())),
        Err(error) => Err(malformed(path, &error)),
    }
}

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read(path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        // There is nobody to ask for a passphrase.
        _ if is_encrypted(&bytes) => format!("{}: its key is encrypted", path.display()),
        pem::Error::NoItemsFound => format!("{}: no private key in it", path.display()),
        error => malformed(path, &error),
    })
}

/// Whether there is a key that wants a passphrase (RFC 7468 §11), in the older form as well (RFC 1421
/// §4.6.1.1).
fn is_encrypted(pem: &[u8]) -> bool {
    let signs: [&[u8]; 2] = [
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----",
        b"Proc-Type: 4,ENCRYPTED",
    ];
    let mut lines = pem.split(|&byte| byte == b'\n');
    lines.any(|line| signs.contains(&line.trim_ascii_end()))
}

pub(super) fn revocations(
    path: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let bytes = read(path)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        Ok(_) => Err(format!("{}: no list in it", path.display())),
        Err(error) => Err(malformed(path, &error)),
    }
}
