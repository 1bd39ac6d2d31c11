//! Why a store could not do what it was asked for.
#![forbid(unsafe_code)]

use std::{fmt, io};

use crate::text;

/// Why a store could not do it. The session turns each into one reply; the causes go to the log,
/// never to the client.
#[derive(Debug)]
pub enum Error {
    /// No file or directory of that name.
    NotFound,
    /// No file of that name, but one that is truly called so.
    Called(Vec<u8>),
    /// The name is taken.
    Exists,
    /// The directory has entries.
    NotEmpty,
    /// It is a directory.
    NotAFile,
    /// It is a file, or does not exist where a directory must.
    NotADir,
    /// Such a name cannot be stored; why.
    BadName(&'static str),
    /// The account or the configuration does not allow it.
    Denied,
    /// This store cannot do that.
    Unsupported,
    /// The offset lies behind the end of the file.
    BeyondEnd,
    /// There is no room for it now.
    Full(String),
    /// More than the store takes, ever.
    TooLarge(String),
    /// Nobody could be asked, or nobody answered: it may work later.
    Unavailable(String),
    /// It was begun and could not be finished; nothing of it is stored.
    Broken(String),
    /// The source of an upload failed; nothing of it is stored.
    Source(io::Error),
    /// There are more files in it than are touched at once: so many.
    TooMany(usize),
    /// It was carried out in part.
    Partly {
        /// How much of it.
        done: usize,
        /// How much there was to do.
        all: usize,
        /// Why it went no further.
        cause: String,
    },
    /// The last item of a listing that has reached its limit: there is more than so many entries.
    Cut(usize),
    /// A bystander ended the wait ([`crate::vigil`]); nothing is stored, nothing was changed.
    Interrupted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::Called(name) => write!(f, "is called {}", text::quoted(name)),
            Self::Exists => f.write_str("exists"),
            Self::NotEmpty => f.write_str("not empty"),
            Self::NotAFile => f.write_str("not a file"),
            Self::NotADir => f.write_str("not a directory"),
            Self::BadName(why) => write!(f, "bad name: {why}"),
            Self::Denied => f.write_str("denied"),
            Self::Unsupported => f.write_str("not supported"),
            Self::BeyondEnd => f.write_str("offset beyond the end"),
            Self::Full(cause) => write!(f, "full: {cause}"),
            Self::TooLarge(cause) => write!(f, "too large: {cause}"),
            Self::Unavailable(cause) => write!(f, "unavailable: {cause}"),
            Self::Broken(cause) => write!(f, "broken: {cause}"),
            Self::Source(cause) => write!(f, "source: {cause}"),
            Self::TooMany(most) => write!(f, "more than {most} files"),
            Self::Partly { done, all, cause } => write!(f, "{done} of {all} done: {cause}"),
            Self::Cut(limit) => write!(f, "cut at {limit} entries"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}
