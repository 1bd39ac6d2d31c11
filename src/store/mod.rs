//! Where files are. A [`Store`] is what a session reads and writes after its login: few methods, no
//! protocol. The current directory, listing formats and reply texts are the session's; trackers,
//! nodes and file systems are the store's.
#![forbid(unsafe_code)]

use std::borrow::Cow;

use crate::path::Path;

mod body;
mod error;
pub mod file;
mod inflow;
pub mod mogile;

pub use body::{Body, Replaced, Source};
pub use error::Error;

/// A tree of files, as one account sees it.
pub trait Store {
    /// What of the directory `dir` is wished for, as it is found: an implementation never collects
    /// it all.
    ///
    /// # Errors
    /// `NotFound`, `NotADir`, `Unavailable`; an error may also come later, as the last item:
    /// [`Error::Cut`] is one that is no failure.
    fn list(&mut self, dir: &Path, wish: Wish) -> Result<Entries<'_>, Error>;

    /// Whether the list of a name that does not exist is that of all names which begin so.
    fn searches(&self) -> bool {
        false
    }

    /// Whether nobody elsewhere has to be asked for a list: its entries are at hand.
    fn lists_at_once(&self) -> bool {
        false
    }

    /// What may be done here at all.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }

    /// The one entry at `path`, asked afresh. Where a name is both a file and a directory (an
    /// object store may have that) this is the file. `modified` is what it costs nothing to know.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    fn stat(&mut self, path: &Path) -> Result<Entry, Error>;

    /// Says whether `path` is a directory that can be made the current one.
    ///
    /// # Errors
    /// `NotFound`, `NotADir`, `Unavailable`.
    fn enter(&mut self, path: &Path) -> Result<(), Error> {
        match self.stat(path)?.kind {
            Kind::Dir => Ok(()),
            Kind::File => Err(Error::NotADir),
        }
    }

    /// When the file at `path` was last modified, in seconds since the epoch, UTC, if the store can
    /// find it out; it may take a while longer than [`Store::stat`].
    ///
    /// # Errors
    /// As [`Store::stat`].
    fn modified(&mut self, path: &Path) -> Result<Option<i64>, Error> {
        Ok(self.stat(path)?.modified)
    }

    /// Opens the file at `path` for reading from byte `offset` on.
    ///
    /// # Errors
    /// `NotFound`, `NotAFile`, `BeyondEnd`, `Unavailable`.
    fn open(&mut self, path: &Path, offset: u64) -> Result<Body, Error>;

    /// Stores all of `source` under `path`, whole or not at all. `Ok(0)` of the source is its end;
    /// an error of the source means that nothing may be stored, and comes back as
    /// [`Error::Source`].
    ///
    /// # Errors
    /// `BadName`, `NotADir`, `Denied`, `Full`, `Unavailable`, `Broken`, `Source`, `Unsupported`.
    fn put(&mut self, path: &Path, source: &mut dyn Source, plan: &Plan) -> Result<Receipt, Error>;

    /// Gives back what was needed for what was done last: that may take as long as a file is large, and the
    /// client knows by now how it has ended.
    fn tidy(&mut self) {}

    /// Says before a transfer is begun whether [`Store::put`] could succeed at all, so that a
    /// client is refused before it sends its data.
    ///
    /// # Errors
    /// As [`Store::put`].
    fn may_put(&mut self, path: &Path, plan: &Plan) -> Result<(), Error>;

    /// Domain and key of the file that an upload to `path` makes, where the store is MogileFS.
    fn spot(&self, _path: &Path) -> Option<(Vec<u8>, Vec<u8>)> {
        None
    }

    /// Removes the file at `path`.
    ///
    /// # Errors
    /// `NotFound`, `NotAFile`, `Denied`, `Unavailable`.
    fn remove(&mut self, path: &Path) -> Result<(), Error>;

    /// Renames `from` to `to`.
    ///
    /// # Errors
    /// `NotFound`, `Exists`, `BadName`, `Denied`, `Unavailable`, `Unsupported`.
    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Error>;

    /// Makes the directory `path`.
    ///
    /// # Errors
    /// `Exists`, `BadName`, `Denied`, `Unavailable`, `Unsupported`.
    fn make_dir(&mut self, path: &Path) -> Result<(), Error>;

    /// Removes the empty directory `path`.
    ///
    /// # Errors
    /// `NotFound`, `NotEmpty`, `Denied`, `Unavailable`, `Unsupported`.
    fn remove_dir(&mut self, path: &Path) -> Result<(), Error>;

    /// Sets the permission bits of what is at `path`.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, `Unsupported`.
    fn set_mode(&mut self, _path: &Path, _mode: u32) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Sets when the file at `path` was last modified, in seconds since the epoch, UTC.
    ///
    /// # Errors
    /// `NotFound`, `Denied`, `Unsupported`.
    fn set_modified(&mut self, _path: &Path, _seconds: i64) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// How many bytes there is room for, of one file or of all that are still to come: before copies
    /// are made of them.
    ///
    /// # Errors
    /// `Unsupported`, `Unavailable`.
    fn room(&mut self) -> Result<u64, Error> {
        Err(Error::Unsupported)
    }

    /// A checksum of the file at `path` in hexadecimal digits, if it is known without reading the
    /// file. `algorithm`: `MD5`, `SHA-1`, ...
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    fn checksum(&mut self, _path: &Path, _algorithm: &str) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

/// Whether an entry of that name is meant.
pub type Meant = Box<dyn Fn(&[u8]) -> bool>;

/// Which entries of a directory are wanted, and what of them; by default all of everything.
#[derive(Default)]
pub struct Wish {
    /// Only those whose names begin so.
    pub beginning: Vec<u8>,
    /// Only those for whose names this holds.
    pub meant: Option<Meant>,
    /// Names and kinds will do: sizes and times need not be looked up.
    pub names_only: bool,
}

impl Wish {
    /// Whether an entry of this name is wanted.
    #[must_use]
    pub fn wants(&self, name: &[u8]) -> bool {
        // To compare nothing with a vector that has no memory is not free: it stands at an address that
        // nothing is at, which processors with masked loads take a hundred nanoseconds to get over.
        let begins_so = self.beginning.is_empty() || name.starts_with(&self.beginning);
        begins_so && self.meant.as_ref().is_none_or(|meant| meant(name))
    }
}

/// What a store can do and the configuration allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// APPE.
    pub append: bool,
    /// RNFR.
    pub rename: bool,
    /// MKD.
    pub make_dirs: bool,
    /// RMD.
    pub remove_dirs: bool,
    /// MFMT, SITE UTIME.
    pub set_times: bool,
}

impl Default for Abilities {
    fn default() -> Self {
        Self {
            append: true,
            rename: true,
            make_dirs: true,
            remove_dirs: true,
            set_times: false,
        }
    }
}

/// The entries of a directory, one by one.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<Entry, Error>> + 'a>;

/// File or directory: a store shows nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Can be fetched.
    File,
    /// Can be entered and listed.
    Dir,
}

/// One line of a listing. What a store does not know, or has not asked for, is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name within its directory, as bytes.
    pub name: Vec<u8>,
    /// File or directory.
    pub kind: Kind,
    /// In bytes.
    pub size: Option<u64>,
    /// Seconds since the epoch, UTC.
    pub modified: Option<i64>,
    /// Permission bits, as in `ls -l`.
    pub mode: u32,
    /// Shown in the third column of LIST.
    pub owner: Whose,
    /// Shown in the fourth column of LIST.
    pub group: Whose,
    /// Differs for different contents (RFC 3659 §7.5.2 `unique`): a MogileFS fid, an inode.
    pub unique: Option<u64>,
}

/// Whose an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The kernel's number of a user or a group.
    Number(u32),
    /// A name; an empty one, where nobody knows.
    Name(Cow<'static, str>),
}

impl Whose {
    /// Of that name.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self::Name(Cow::Borrowed(name))
    }
}

/// How an upload is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Where the source's first byte goes.
    pub at: At,
    /// What the source will give at least, in bytes, where it is known: it ends with an error if it
    /// gives less.
    pub size: Option<u64>,
}

/// Where an upload's first byte goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// A new file; what stood under the name is replaced when the new one is whole.
    #[default]
    Start,
    /// REST n, STOR: behind the first n bytes of the old file.
    Offset(u64),
    /// APPE: behind the old file.
    End,
}

/// What a store says of an upload that it has committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// How many bytes the source gave.
    pub bytes: u64,
    /// The fid, where the store is MogileFS.
    pub fid: Option<u64>,
    /// How many replicas are known to exist, where they were waited for, and whether there are as
    /// many as were wanted.
    pub replicas: Option<(u32, bool)>,
}
