//! Files that an operator names, read whole.
#![forbid(unsafe_code)]

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc;

/// What a regular file of at most `most` bytes holds, and what it is. A FIFO in its place holds nobody up.
///
/// # Errors
/// What open(2) and read(2) say; `InvalidInput` if it is no regular file, `InvalidData` if it is larger.
pub fn read(path: &Path, most: u64) -> io::Result<(Vec<u8>, Metadata)> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        let why = "is not a regular file";
        return Err(io::Error::new(ErrorKind::InvalidInput, why));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let why = format!("is larger than {} MiB", most >> 20);
        return Err(io::Error::new(ErrorKind::InvalidData, why));
    }
    Ok((bytes, about))
}
