//! An upload until it is whole: a file that has no name, or one of its own where the kernel or the file
//! system cannot do without. It gets its true name at once, or vanishes.
#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::ffi::CString;
use std::fs::File;
use std::io::Seek as _;
use std::os::fd::OwnedFd;

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use super::causes::broken;
use super::filling::{fill, settle};
use super::known_as;
use crate::store::Error;

/// How the names begin that unfinished uploads have, where they have one; never listed, and nobody else's.
pub(super) const RESERVED: &[u8] = b".nanoftpd-";

/// How a file that has no name is given one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// By its descriptor (Linux 6.10).
    Itself,
    /// By what /proc says of its descriptor.
    Proc,
    /// Not at all.
    Never,
}

impl Naming {
    /// What can be done with `file`. Nothing comes of asking, for `.` is there already.
    fn of(file: &File, dir: &OwnedFd) -> Self {
        let can = |naming: &Self| naming.name(file, dir, c".") == Err(Errno::EEXIST);
        let found = [Self::Itself, Self::Proc].into_iter().find(can);
        found.unwrap_or(Self::Never)
    }

    fn name<N: NixPath + ?Sized>(self, file: &File, dir: &OwnedFd, name: &N) -> Result<(), Errno> {
        match self {
            Self::Itself => linkat(file, c"", dir, name, AtFlags::AT_EMPTY_PATH),
            Self::Proc => {
                let follow = AtFlags::AT_SYMLINK_FOLLOW;
                linkat(AT_FDCWD, known_as(file).as_str(), dir, name, follow)
            }
            Self::Never => Err(Errno::EOPNOTSUPP),
        }
    }
}

/// A file that takes its true name when it is whole, and vanishes if that never happens.
pub(super) struct Unfinished {
    dir: OwnedFd,
    pub(super) file: File,
    mode: Mode,
    naming: Naming,
    /// What it is called meanwhile.
    name: Option<CString>,
}

impl Unfinished {
    /// A new one. What `naming` says is found out once.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn create(
        dir: OwnedFd,
        mode: Mode,
        naming: &OnceCell<Naming>,
    ) -> Result<Self, Error> {
        if naming.get() != Some(&Naming::Never)
            && let Some((file, naming)) = nameless(&dir, mode, naming)
        {
            return Ok(Self {
                dir,
                file,
                mode,
                naming,
                name: None,
            });
        }
        Self::named(dir, mode)
    }

    fn named(dir: OwnedFd, mode: Mode) -> Result<Self, Error> {
        let name = own_name()?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let file = openat(&dir, name.as_c_str(), flags | OFlag::O_CLOEXEC, mode)?;
        Ok(Self {
            dir,
            file: file.into(),
            mode,
            naming: Naming::Never,
            name: Some(name),
        })
    }

    /// Makes it the file `name`, in place of one that is there, and has it on the disk before and its name
    /// after that if `fsync`. Gives the one whose place it took: its blocks are given back with its last
    /// descriptor, which takes as long as it is large.
    ///
    /// # Errors
    /// What the kernel says; nothing is changed then, unless it is the disk that fails in the end.
    pub(super) fn finish(mut self, name: &[u8], fsync: bool) -> Result<Option<OwnedFd>, Error> {
        settle(&self.file, fsync)?;
        if self.name.is_none() {
            let holder = self.holder(fsync)?;
            match self.naming.name(&self.file, &self.dir, name) {
                Ok(()) => {
                    self.announce(name);
                    sync_name(holder)?;
                    return Ok(None);
                }
                Err(Errno::EEXIST) => self.take(own_name()?)?,
                // There was reason to think that it could be done: it is stored all the same.
                Err(_) => self = self.copied(fsync)?,
            }
        }
        let Some(own) = &self.name else {
            return Err(Error::Broken("an upload without a name".to_owned()));
        };
        let holder = self.holder(fsync)?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let replaced = openat(&self.dir, name, flags, Mode::empty()).ok();
        match renameat(&self.dir, own.as_c_str(), &self.dir, name) {
            Err(Errno::EISDIR) => return Err(Error::NotAFile),
            answer => answer?,
        }
        self.name = None;
        sync_name(holder)?;
        Ok(replaced)
    }

    /// What is to be on the disk once more when it has its name, if `fsync`: the directory, wherever it is
    /// called by now. One that may be written to and not be read, as those for uploads of strangers are,
    /// cannot be had; with the file, file systems write its name, too.
    fn holder(&self, fsync: bool) -> Result<Option<OwnedFd>, Error> {
        if !fsync {
            return Ok(None);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match openat(&self.dir, c".", flags, Mode::empty()) {
            Err(Errno::EACCES) => {
                let file = self.file.try_clone();
                file.map(|file| Some(file.into()))
                    .map_err(|error| broken(&error))
            }
            dir => Ok(Some(dir?)),
        }
    }

    /// Programs that watch a directory for uploads wait for a file to be closed by whoever wrote it, or
    /// moved in. What was written without a name is closed without one, so it is closed once more.
    fn announce(&self, name: &[u8]) {
        let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        // It is stored all the same where that cannot be done.
        let _ = openat(&self.dir, name, flags, Mode::empty());
    }

    /// Only what has a name can take the place of another file.
    fn take(&mut self, own: CString) -> Result<(), Error> {
        self.naming.name(&self.file, &self.dir, own.as_c_str())?;
        self.name = Some(own);
        Ok(())
    }

    fn copied(mut self, fsync: bool) -> Result<Self, Error> {
        let dir = self.dir.try_clone().map_err(|error| broken(&error))?;
        let mut copy = Self::named(dir, self.mode)?;
        self.file.rewind().map_err(|error| broken(&error))?;
        fill(&mut copy.file, &mut self.file)?;
        settle(&copy.file, fsync)?;
        Ok(copy)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else {
            return;
        };
        if let Err(errno) = unlinkat(&self.dir, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
            log::warn!(
                "unfinished-upload-left name={} cause={errno}",
                name.to_string_lossy()
            );
        }
    }
}

/// Whoever is killed leaves nothing of it, and the directory is changed only once. Many file systems
/// know no such files, which is not told apart here from what stands in the way of any file.
fn nameless(dir: &OwnedFd, mode: Mode, naming: &OnceCell<Naming>) -> Option<(File, Naming)> {
    let flags = OFlag::O_RDWR | OFlag::O_TMPFILE | OFlag::O_CLOEXEC;
    let file: File = openat(dir, c".", flags, mode).ok()?.into();
    match *naming.get_or_init(|| Naming::of(&file, dir)) {
        Naming::Never => None,
        naming => Some((file, naming)),
    }
}

fn sync_name(holder: Option<OwnedFd>) -> Result<(), Error> {
    match holder.map(nix::unistd::fsync) {
        // Of directories not every file system knows it.
        None | Some(Err(Errno::EINVAL)) => Ok(()),
        Some(synced) => Ok(synced?),
    }
}

fn own_name() -> Result<CString, Error> {
    let random =
        getrandom::u64().map_err(|error| Error::Broken(format!("no random name: {error}")))?;
    let name = [RESERVED, format!("{random:016x}").as_bytes()].concat();
    CString::new(name).map_err(|_| Error::BadName("contains NUL"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::PathBuf;

    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    use nix::sys::stat::fstat;

    use super::*;

    struct Place(PathBuf, OwnedFd);

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("nanoftpd-unfinished-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
            let dir = nix::fcntl::open(&path, flags, Mode::empty()).unwrap();
            Self(path, dir)
        }

        fn names(&self) -> Vec<String> {
            let names = fs::read_dir(&self.0).unwrap();
            let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode() -> Mode {
        Mode::from_bits_truncate(0o640)
    }

    /// One for each way that there is here: the last can give no name when it comes to it.
    fn ways(dir: &OwnedFd) -> Vec<Unfinished> {
        let create = |naming: &_| Unfinished::create(dir.try_clone().unwrap(), mode(), naming);
        let by = |naming| create(&OnceCell::from(naming)).unwrap();
        let known = OnceCell::new();
        create(&known).unwrap();
        let mut all = vec![by(Naming::Never)];
        match known.get() {
            Some(Naming::Itself) => all.extend([Naming::Itself, Naming::Proc].map(by)),
            Some(Naming::Proc) => all.push(by(Naming::Proc)),
            _ => return all,
        }
        let mut refused = by(Naming::Proc);
        refused.naming = Naming::Never;
        all.push(refused);
        all
    }

    #[test]
    fn a_directory_that_is_never_written_by_itself_is_no_failure() {
        let (like_that, _) = nix::unistd::pipe().unwrap();
        assert_eq!(nix::unistd::fsync(&like_that), Err(Errno::EINVAL));
        sync_name(Some(like_that)).unwrap();
    }

    #[test]
    fn whichever_way_it_is_seen_when_it_is_whole_and_never_before() {
        let place = Place::new("whole");
        let count = ways(&place.1).len();
        for (at, fsync) in (0..count).zip([true, false].into_iter().cycle()) {
            let _ = fs::remove_file(place.0.join("file"));
            for content in ["old", "new and longer"] {
                let mut one = ways(&place.1).swap_remove(at);
                one.file.write_all(content.as_bytes()).unwrap();
                let before = place.names();
                let own = before.iter().filter(|name| name.starts_with(".nanoftpd-"));
                assert_eq!(own.count(), usize::from(one.name.is_some()), "{before:?}");
                if content != "old" {
                    assert_eq!(fs::read(place.0.join("file")).unwrap(), b"old");
                }
                let replaced = one.finish(b"file", fsync).unwrap();
                assert_eq!(place.names(), ["file"], "{at}");
                let replaced = replaced.map(|old| fstat(old).unwrap());
                let replaced = replaced.map(|old| (old.st_size, old.st_nlink));
                assert_eq!(replaced, (content != "old").then_some((3, 0)), "{at}");
                let mut found = String::new();
                let mut file = File::open(place.0.join("file")).unwrap();
                file.read_to_string(&mut found).unwrap();
                assert_eq!(found, content, "{at}");
                let about = file.metadata().unwrap();
                assert_eq!(
                    (about.permissions().mode() & 0o7777, about.nlink()),
                    (0o640, 1)
                );
            }
        }
    }

    #[test]
    fn whichever_way_who_watches_the_directory_is_told_that_it_is_whole() {
        let place = Place::new("watched");
        let watch = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).unwrap();
        let wanted = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO;
        watch.add_watch(&place.0, wanted).unwrap();
        for (at, name) in (0..ways(&place.1).len()).zip('a'..) {
            let name = name.to_string();
            for _ in ["new", "in place of the old one"] {
                let _ = watch.read_events();
                let mut one = ways(&place.1).swap_remove(at);
                one.file.write_all(b"whole").unwrap();
                one.finish(name.as_bytes(), false).unwrap();
                let told = watch.read_events().unwrap();
                let mut names = told.iter().filter_map(|event| event.name.as_ref());
                assert!(names.any(|told| *told == *name), "{at}: {told:?}");
            }
        }
    }

    #[test]
    fn whichever_way_nothing_is_left_of_what_fails() {
        let place = Place::new("fails");
        fs::create_dir(place.0.join("dir")).unwrap();
        for one in ways(&place.1) {
            let ended = one.finish(b"dir", false);
            assert!(matches!(ended, Err(Error::NotAFile)), "{ended:?}");
        }
        for one in ways(&place.1) {
            drop(one);
        }
        for one in ways(&place.1) {
            let ended = one.finish("n".repeat(300).as_bytes(), false);
            assert!(matches!(ended, Err(Error::BadName(_))), "{ended:?}");
        }
        assert_eq!(place.names(), ["dir"]);
    }
}
