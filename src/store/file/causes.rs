//! What the kernel says of files, in the words of stores.
#![forbid(unsafe_code)]

use std::io;

use nix::errno::Errno;

use crate::store::Error;

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT => Self::NotFound,
            Errno::EEXIST => Self::Exists,
            Errno::ENOTEMPTY => Self::NotEmpty,
            Errno::ENOTDIR => Self::NotADir,
            Errno::EISDIR => Self::NotAFile,
            // EXDEV: the path leads out of the root.
            Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::EXDEV | Errno::ELOOP => {
                Self::Denied
            }
            Errno::ENAMETOOLONG => Self::BadName("too long"),
            Errno::EINVAL | Errno::EILSEQ => Self::BadName("not a name of this file system"),
            Errno::ENOSPC | Errno::EDQUOT => Self::Full(errno.to_string()),
            Errno::EFBIG => Self::TooLarge(errno.to_string()),
            errno => Self::Broken(errno.to_string()),
        }
    }
}

/// The same of what comes as an error of a file.
pub(super) fn broken(error: &io::Error) -> Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => errno.into(),
        None => Error::Broken(error.to_string()),
    }
}
