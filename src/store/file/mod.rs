//! Files of the kernel, for module `File`. Every path is resolved beneath the root (`beneath`): neither
//! `..` nor a symbolic link leads out, however the tree changes meanwhile. Only plain files and
//! directories are opened or shown.
#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, renameat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmodat, fstat, fstatat, mkdirat,
    utimensat,
};
use nix::sys::statvfs::fstatvfs;
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};

use self::filling::{fill, go_on, outlive, settle};
use self::listing::{Listing, entry};
use self::unfinished::{Naming, RESERVED, Unfinished};
use super::{Abilities, At, Body, Entries, Entry, Error, Plan, Receipt, Source, Store, Wish};
use crate::config;
use crate::path::Path;
use crate::sys::dirents::Dirents;
use crate::vigil;

mod beneath;
mod causes;
mod filling;
mod listing;
mod unfinished;

/// How long a file server on this machine, or whoever else has a lease of a file, may take to let go of it,
/// and how often it is looked whether it has.
const LEASE: Duration = Duration::from_secs(5);
const BREATH: Duration = Duration::from_millis(20);

/// A tree beneath one directory of the kernel.
pub struct Tree {
    root: OwnedFd,
    create_mask: Mode,
    fsync: bool,
    /// How new files get their names.
    naming: OnceCell<Naming>,
    /// The file that may be put, and what it is until it is whole; one that is continued is nothing of its
    /// own, and looked up again when it comes.
    begun: Option<(Path, Option<Unfinished>)>,
    /// The file whose name another one has taken.
    replaced: Option<OwnedFd>,
}

impl Tree {
    /// Opens the tree of `user`: `[file] root` with `%u` replaced.
    ///
    /// # Errors
    /// `Denied` for a user whose name is not one plain part of a path; otherwise what opening the
    /// root says.
    pub fn open(settings: &config::File, user: &[u8]) -> Result<Self, Error> {
        let mut root = Vec::with_capacity(settings.root.len() + user.len());
        for (index, piece) in settings.root.split("%u").enumerate() {
            if index > 0 {
                if matches!(user, b"" | b"." | b"..") || user.contains(&b'/') {
                    return Err(Error::Denied);
                }
                root.extend_from_slice(user);
            }
            root.extend_from_slice(piece.as_bytes());
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open(root.as_slice(), flags, Mode::empty())
            .map_err(|errno| Error::Unavailable(format!("the root of the tree: {errno}")))?;
        Ok(Self {
            root,
            create_mask: Mode::from_bits_truncate(settings.create_mask),
            fsync: settings.fsync,
            naming: OnceCell::new(),
            begun: None,
            replaced: None,
        })
    }

    fn resolve(&self, path: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd, Error> {
        let opened = beneath::open(self.root.as_fd(), path.relative(), flags, mode);
        Ok(opened?)
    }

    /// The directory that `path` is in, and its name there.
    fn parent<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p [u8]), Error> {
        if path.is_root() {
            return Err(Error::NotAFile);
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        Ok((
            self.resolve(&path.parent(), flags, Mode::empty())?,
            path.name(),
        ))
    }

    /// The same of what is to be made.
    fn home<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p [u8]), Error> {
        self.parent(path).map_err(|error| match error {
            Error::NotFound => Error::NotADir,
            error => error,
        })
    }

    /// What is at `path`, which is to be changed: nothing that is behind a link, and whatever takes its place
    /// meanwhile it stays what it was.
    fn itself(&self, path: &Path) -> Result<OwnedFd, Error> {
        if path.is_root() {
            return Err(Error::Denied);
        }
        let own = self.resolve(path, OFlag::O_PATH | OFlag::O_NOFOLLOW, Mode::empty())?;
        match kind_bits(&fstat(&own)?) {
            SFlag::S_IFREG | SFlag::S_IFDIR => Ok(own),
            SFlag::S_IFLNK => Err(Error::Denied),
            _ => Err(Error::NotFound),
        }
    }

    /// What is at `path`, links followed as far as they stay inside.
    fn status(&self, path: &Path) -> Result<FileStat, Error> {
        Ok(fstat(self.resolve(path, OFlag::O_PATH, Mode::empty())?)?)
    }

    /// Opens a plain file; anything else is refused before it is opened.
    fn open_plain(&self, path: &Path, flags: OFlag) -> Result<(File, u64), Error> {
        if !self.seems_plain(path) {
            is_plain(&self.status(path)?)?;
        }
        let flags = flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = self.open_leased(path, flags)?;
        let status = fstat(&file)?;
        is_plain(&status)?;
        Ok((file.into(), size(&status)))
    }

    /// Opens what somebody may have to let go of first, who is asked to by the kernel.
    fn open_leased(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Error> {
        let begun = Instant::now();
        loop {
            match beneath::open(self.root.as_fd(), path.relative(), flags, Mode::empty()) {
                Err(Errno::EAGAIN) if begun.elapsed() < LEASE => {
                    vigil::pause(BREATH).map_err(|_| Error::Interrupted)?;
                }
                opened => return Ok(opened?),
            }
        }
    }

    /// Whether there is a plain file, as it seems: links may have led anywhere, so that this decides nothing
    /// but whether a closer look can be spared before it is opened and looked at again.
    fn seems_plain(&self, path: &Path) -> bool {
        let found = fstatat(&self.root, path.relative(), AtFlags::AT_SYMLINK_NOFOLLOW);
        found.is_ok_and(|status| is_plain(&status).is_ok())
    }

    fn file_mode(&self) -> Mode {
        Mode::from_bits_truncate(0o666 & !self.create_mask.bits())
    }

    /// A new version: nobody sees it until it is whole.
    fn put_new(
        &mut self,
        mut unfinished: Unfinished,
        path: &Path,
        source: &mut dyn Source,
    ) -> Result<Receipt, Error> {
        let begun = Instant::now();
        let bytes = fill(&mut unfinished.file, source)?;
        outlive(begun.elapsed())?;
        self.replaced = unfinished.finish(path.name(), self.fsync)?;
        Ok(Receipt {
            bytes,
            fid: None,
            replicas: None,
        })
    }

    /// A continued version, in place: what has arrived stays, so that the next attempt can go on.
    fn put_on(&self, path: &Path, at: At, source: &mut dyn Source) -> Result<Receipt, Error> {
        let (mut file, size) = match self.open_plain(path, OFlag::O_WRONLY) {
            Err(Error::NotFound) if at != At::Offset(0) => match at {
                At::End => (self.create(path)?, 0),
                _ => return Err(Error::BeyondEnd),
            },
            answer => answer?,
        };
        let start = match at {
            At::Offset(offset) if offset > size => return Err(Error::BeyondEnd),
            At::Offset(offset) => offset,
            At::Start | At::End => size,
        };
        let bytes = go_on(&mut file, start, source)?;
        settle(&file, self.fsync)?;
        Ok(Receipt {
            bytes,
            fid: None,
            replicas: None,
        })
    }

    /// The directory that `path` is in; an error if what is there, or nothing, is not what `plan` can do
    /// with.
    fn place(&self, path: &Path, plan: &Plan) -> Result<OwnedFd, Error> {
        may_be_made(path)?;
        let (dir, name) = self.home(path)?;
        let found = match fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(status) if kind_bits(&status) == SFlag::S_IFLNK => self.status(path),
            found => found.map_err(Error::from),
        };
        match (found, plan.at) {
            (Ok(status), at) => {
                is_plain(&status)?;
                match at {
                    At::Offset(offset) if offset > size(&status) => Err(Error::BeyondEnd),
                    _ => Ok(dir),
                }
            }
            (Err(Error::NotFound), At::Offset(1..)) => Err(Error::BeyondEnd),
            (Err(Error::NotFound), _) => Ok(dir),
            (Err(error), _) => Err(error),
        }
    }

    /// What `plan` needs, or an error.
    fn begin(&self, path: &Path, plan: &Plan) -> Result<Option<Unfinished>, Error> {
        let dir = self.place(path, plan)?;
        let new = |dir| Unfinished::create(dir, self.file_mode(), &self.naming);
        if plan.at == At::Start {
            return new(dir).map(Some);
        }
        match self.open_plain(path, OFlag::O_WRONLY) {
            Err(Error::NotFound) => new(dir).map(|_| None),
            old => old.map(|_| None),
        }
    }

    fn create(&self, path: &Path) -> Result<File, Error> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        Ok(self.resolve(path, flags, self.file_mode())?.into())
    }
}

impl Store for Tree {
    fn abilities(&self) -> Abilities {
        Abilities {
            set_times: true,
            ..Abilities::default()
        }
    }

    fn list(&mut self, dir: &Path, wish: Wish) -> Result<Entries<'_>, Error> {
        let fd = self.resolve(dir, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?;
        Ok(Box::new(Listing::new(Dirents::new(fd), wish)))
    }

    fn lists_at_once(&self) -> bool {
        true
    }

    fn stat(&mut self, path: &Path) -> Result<Entry, Error> {
        let name = path.name().to_vec();
        entry(name, &self.status(path)?).ok_or(Error::NotFound)
    }

    fn open(&mut self, path: &Path, offset: u64) -> Result<Body, Error> {
        let (file, size) = self.open_plain(path, OFlag::O_RDONLY)?;
        let left = size.checked_sub(offset).ok_or(Error::BeyondEnd)?;
        Ok(Body::File(file, offset, left))
    }

    fn put(&mut self, path: &Path, source: &mut dyn Source, plan: &Plan) -> Result<Receipt, Error> {
        let begun = match self.begun.take() {
            Some((place, begun)) if place == *path => begun,
            _ => self.begin(path, plan)?,
        };
        match begun {
            Some(unfinished) => self.put_new(unfinished, path, source),
            None => self.put_on(path, plan.at, source),
        }
    }

    fn tidy(&mut self) {
        (self.replaced, self.begun) = (None, None);
    }

    fn may_put(&mut self, path: &Path, plan: &Plan) -> Result<(), Error> {
        self.begun = None;
        self.begun = Some((path.clone(), self.begin(path, plan)?));
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> Result<(), Error> {
        let (dir, name) = self.parent(path)?;
        match unlinkat(&dir, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => Err(Error::NotAFile),
            answer => Ok(answer?),
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        may_be_made(to)?;
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        match renameat(&from_dir, from_name, &to_dir, to_name) {
            Err(Errno::EISDIR) => Err(Error::Exists),
            Err(Errno::EINVAL) => Err(Error::BadName("a directory cannot move into itself")),
            answer => Ok(answer?),
        }
    }

    fn make_dir(&mut self, path: &Path) -> Result<(), Error> {
        if path.is_root() {
            return Err(Error::Exists);
        }
        may_be_made(path)?;
        let (dir, name) = self.parent(path)?;
        let mode = Mode::from_bits_truncate(0o777 & !self.create_mask.bits());
        Ok(mkdirat(&dir, name, mode)?)
    }

    fn remove_dir(&mut self, path: &Path) -> Result<(), Error> {
        if path.is_root() {
            return Err(Error::Denied);
        }
        let (dir, name) = self.parent(path)?;
        Ok(unlinkat(&dir, name, UnlinkatFlags::RemoveDir)?)
    }

    fn room(&mut self) -> Result<u64, Error> {
        let dir = self.resolve(&Path::root(), OFlag::O_DIRECTORY, Mode::empty())?;
        let about = fstatvfs(&dir)?;
        Ok(about
            .blocks_available()
            .saturating_mul(about.fragment_size()))
    }

    fn set_mode(&mut self, path: &Path, mode: u32) -> Result<(), Error> {
        let own = self.itself(path)?;
        let mode = Mode::from_bits_truncate(mode & 0o777);
        // By a name in the tree it could be a link by now, which would be followed to wherever it points.
        let follow = FchmodatFlags::FollowSymlink;
        Ok(fchmodat(AT_FDCWD, known_as(&own).as_str(), mode, follow)?)
    }

    fn set_modified(&mut self, path: &Path, seconds: i64) -> Result<(), Error> {
        let own = self.itself(path)?;
        let (omit, time) = (TimeSpec::UTIME_OMIT, TimeSpec::new(seconds, 0));
        let follow = UtimensatFlags::FollowSymlink;
        let name = known_as(&own);
        Ok(utimensat(AT_FDCWD, name.as_str(), &omit, &time, follow)?)
    }
}

/// An error for a name that no listing shows.
fn may_be_made(path: &Path) -> Result<(), Error> {
    if path.name().starts_with(RESERVED) {
        return Err(Error::BadName("reserved for unfinished uploads"));
    }
    Ok(())
}

/// What /proc calls what is open.
fn known_as(open: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", open.as_raw_fd())
}

fn is_plain(status: &FileStat) -> Result<(), Error> {
    match kind_bits(status) {
        SFlag::S_IFREG => Ok(()),
        SFlag::S_IFDIR => Err(Error::NotAFile),
        _ => Err(Error::Denied),
    }
}

fn kind_bits(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits())
}

fn size(status: &FileStat) -> u64 {
    u64::try_from(status.st_size).unwrap_or(0)
}

#[cfg(test)]
mod tests;
