//! The pid file: a lock first, a number second. Who holds the lock is the daemon; the number is for
//! people and scripts.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, remove_file};
use std::io::{self, Read, Seek, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::kill;
use nix::unistd::{Pid, close};

use crate::vigil;

/// How long a child may take to close what it inherited: one that was being born when its master was
/// killed holds the lock until then.
const BIRTH: Duration = Duration::from_secs(2);

/// A locked pid file. The lock belongs to all processes that inherit the descriptor, so a drop closes
/// it and lets go of nothing: it ends with the last of them. Dropping removes the file, but only in the
/// process whose number is in it, or that has locked it and nobody's number is: of a start that
/// failed nothing stays. A file that has come to be there in its place is left alone.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    file: ManuallyDrop<Flock<File>>,
    /// The process that has locked it.
    locker: u32,
}

/// Why there is no pid file.
#[derive(Debug)]
pub enum Error {
    /// Another process holds the lock; its number, where it has written one.
    Held(Option<i32>),
    /// It could not be opened or written.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(Some(pid)) => write!(f, "already running, pid {pid}"),
            Self::Held(None) => f.write_str("already running"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Pidfile {
    /// Opens and locks the file at `path`, and makes its directory where only that is missing.
    ///
    /// # Errors
    /// See [`Error`]. A file with something else than a number in it is not taken.
    pub fn lock(path: &Path) -> Result<Self, Error> {
        if let Some(dir) = path.parent().filter(|dir| !dir.exists()) {
            DirBuilder::new().mode(0o755).create(dir)?;
        }
        let begun = Instant::now();
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(path)?;
            if is_foreign(&file) {
                return Err(Error::Io(no_pidfile()));
            }
            let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((file, Errno::EWOULDBLOCK)) => {
                    let holder = number_in(&file);
                    if !holder.is_some_and(is_gone) || begun.elapsed() >= BIRTH {
                        return Err(Error::Held(holder));
                    }
                    vigil::pause(Duration::from_millis(5))?;
                    continue;
                }
                Err((_, errno)) => return Err(Error::Io(errno.into())),
            };
            // A daemon that was just ending may have removed the file between our open and our
            // lock; the name must still mean what we have locked.
            if is_at(&file, path) {
                return Ok(Self {
                    path: path.to_owned(),
                    file: ManuallyDrop::new(file),
                    locker: process::id(),
                });
            }
        }
    }

    /// One that was handed over, with its lock.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn of(file: OwnedFd, path: &Path) -> Result<Self, Error> {
        match Flock::lock(File::from(file), FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file: ManuallyDrop::new(file),
                locker: process::id(),
            }),
            Err((file, Errno::EWOULDBLOCK)) => Err(Error::Held(number_in(&file))),
            Err((_, errno)) => Err(Error::Io(errno.into())),
        }
    }

    /// What takes its place where it is to be at `path`, with the number of this process; `None`: it is
    /// there.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn elsewhere(&self, path: &Path) -> Result<Option<Self>, Error> {
        if is_at(&self.file, path) {
            return Ok(None);
        }
        let mut other = Self::lock(path)?;
        other.write()?;
        Ok(Some(other))
    }

    /// Why nothing of the kind can be at `path`, as far as that is seen without making it.
    #[must_use]
    pub fn why_not(path: &Path) -> Option<String> {
        // A FIFO is not opened: that would wait for somebody.
        let is_file = std::fs::metadata(path).ok()?.is_file();
        let is_foreign = !is_file || File::open(path).is_ok_and(|file| is_foreign(&file));
        is_foreign.then(|| format!("{} {}", path.display(), no_pidfile()))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the number of this process.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&mut self) -> io::Result<()> {
        let mut file: &File = &self.file;
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(format!("{}\n", process::id()).as_bytes())
    }
}

impl AsFd for Pidfile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        let own = process::id();
        let is_ours = match number_in(&self.file) {
            Some(number) => u32::try_from(number) == Ok(own),
            None => self.locker == own && self.file.metadata().is_ok_and(|about| about.len() == 0),
        };
        if is_ours && is_at(&self.file, &self.path) {
            let _ = remove_file(&self.path);
        }
        let _ = close(self.file.as_raw_fd());
    }
}

/// Whether the name `path` means `file`, by whatever way it leads there.
fn is_at(file: &File, path: &Path) -> bool {
    let place = |about: std::fs::Metadata| (about.dev(), about.ino());
    let own = file.metadata().map(place);
    path.symlink_metadata()
        .is_ok_and(|there| own.is_ok_and(|own| own == place(there)))
}

/// Whether that is somebody else's: a wrong line of the configuration must not cost a file. A machine that
/// lost its power may have left zeros.
fn is_foreign(mut file: &File) -> bool {
    let is_number = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_whitespace() || *byte == 0;
    let mut bytes = Vec::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(32).read_to_end(&mut bytes));
    let is_file = file.metadata().is_ok_and(|about| about.is_file());
    !is_file || read.is_err() || !bytes.iter().all(is_number)
}

fn no_pidfile() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "is no pid file")
}

fn is_gone(pid: i32) -> bool {
    pid > 0 && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

fn number_in(mut file: &File) -> Option<i32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_the_other_learns_who() {
        let dir = std::env::temp_dir().join(format!("nanoftpd-pidfile-{}", process::id()));
        let path = dir.join("nanoftpd.pid");
        let mut own = Pidfile::lock(&path).unwrap();
        assert!(matches!(Pidfile::lock(&path), Err(Error::Held(None))));
        own.write().unwrap();
        let pid = i32::try_from(process::id()).unwrap();
        let Err(error) = Pidfile::lock(&path) else {
            panic!("locked twice");
        };
        assert_eq!(error.to_string(), format!("already running, pid {pid}"));
        drop(own);
        assert!(!path.exists());
        drop(Pidfile::lock(&path).unwrap());
        assert!(!path.exists(), "of a start that failed something stays");
        std::fs::remove_dir(&dir).unwrap();
    }

    #[test]
    fn a_drop_closes_it_and_leaves_the_lock_to_the_others() {
        let path = std::env::temp_dir().join(format!("nanoftpd-closed-{}.pid", process::id()));
        let own = Pidfile::lock(&path).unwrap();
        let others = own.as_fd().try_clone_to_owned().unwrap();
        let about = own.file.metadata().unwrap();
        // Of another process, so that the name stays.
        std::fs::write(&path, "1\n").unwrap();
        drop(own);
        assert!(matches!(Pidfile::lock(&path), Err(Error::Held(Some(1)))));
        drop(others);
        let is_it = |entry: io::Result<std::fs::DirEntry>| {
            std::fs::metadata(entry.unwrap().path())
                .is_ok_and(|open| (open.dev(), open.ino()) == (about.dev(), about.ino()))
        };
        assert!(!std::fs::read_dir("/proc/self/fd").unwrap().any(is_it));
        remove_file(&path).unwrap();
    }

    #[test]
    fn the_newborn_of_a_killed_master_is_waited_for() {
        let path = std::env::temp_dir().join(format!("nanoftpd-newborn-{}.pid", process::id()));
        let file = File::create(&path).unwrap();
        let newborn = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        let mut master = process::Command::new("true").spawn().unwrap();
        master.wait().unwrap();
        std::fs::write(&path, format!("{}\n", master.id())).unwrap();
        // The lock is let go only when somebody already waits for it: that is what is tried.
        let closing = std::thread::spawn(move || {
            vigil::pause(Duration::from_millis(50)).unwrap();
            drop(newborn);
        });
        Pidfile::lock(&path).unwrap();
        closing.join().unwrap();
        remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_no_pid_file_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("nanoftpd-foreign-{}", process::id()));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("file");
        for (content, is_taken) in [
            ("root:x", false),
            ("12 monkeys", false),
            ("", true),
            ("17", true),
            (" 17\n", true),
            ("\0\0\0\0", true),
        ] {
            // What another trial is just starting may hold the lock of one that was taken.
            let _ = remove_file(&path);
            std::fs::write(&path, content).unwrap();
            assert_eq!(Pidfile::why_not(&path).is_none(), is_taken, "{content:?}");
            match Pidfile::lock(&path) {
                Ok(_) => assert!(is_taken, "{content:?}"),
                Err(error) => {
                    assert!(!is_taken, "{content:?}");
                    assert_eq!(error.to_string(), "is no pid file");
                    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
                }
            }
        }
        let pipe = dir.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(Pidfile::why_not(&pipe).is_some());
        assert!(Pidfile::lock(&pipe).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn it_goes_elsewhere_or_is_there_by_another_way_or_comes_back() {
        let dir = std::env::temp_dir().join(format!("nanoftpd-moved-{}", process::id()));
        let path = dir.join("run/pid");
        std::fs::create_dir(&dir).unwrap();
        let mut own = Pidfile::lock(&path).unwrap();
        own.write().unwrap();
        std::os::unix::fs::symlink(dir.join("run"), dir.join("old-run")).unwrap();
        assert!(own.elsewhere(&dir.join("old-run/pid")).unwrap().is_none());
        let other = own.elsewhere(&dir.join("other")).unwrap().unwrap();
        drop(own);
        assert!(!path.exists());
        remove_file(other.path()).unwrap();
        let again = other.elsewhere(other.path()).unwrap().unwrap();
        // The one that is gone does not take the other along.
        drop(other);
        assert!(again.path().exists());
        drop(again);
        assert!(!dir.join("other").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_file_that_names_another_process_stays() {
        let path = std::env::temp_dir().join(format!("nanoftpd-other-{}.pid", process::id()));
        let own = Pidfile::lock(&path).unwrap();
        std::fs::write(&path, "1\n").unwrap();
        drop(own);
        assert!(path.exists());
        remove_file(&path).unwrap();
    }
}
