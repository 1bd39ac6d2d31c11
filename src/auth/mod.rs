//! Who may come in. Knows no protocol and no process.
#![forbid(unsafe_code)]

use std::fmt;

use zeroize::Zeroizing;

/// What a client sent as its password: wiped when it is dropped, never shown.
pub struct Password(Zeroizing<Vec<u8>>);

impl From<Vec<u8>> for Password {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl Password {
    /// The bytes as they were sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}
