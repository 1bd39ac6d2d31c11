//! A listening socket that has a name in the file system. The name appears when somebody listens,
//! with its owner and mode, and goes when nobody does any more.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process;

use nix::unistd::Uid;

const NO_SOCKET: &str = "is no socket";

/// The socket. Dropping it removes the name, if that still means this socket.
#[derive(Debug)]
pub struct Named {
    path: PathBuf,
    /// Device and inode of the name.
    place: (u64, u64),
    listener: UnixListener,
}

impl Named {
    /// Listens at `path` for root and `owner`, and makes its directory where only that is missing.
    /// A name that a dead process has left is replaced. Accepting never blocks.
    ///
    /// # Errors
    /// `AddrInUse` when somebody listens there; `AlreadyExists` when that is no socket.
    pub fn listen(path: &Path, owner: Option<Uid>) -> io::Result<Self> {
        // By a name that is too long nobody could connect.
        SocketAddr::from_pathname(path)?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        if !dir.exists() {
            DirBuilder::new().mode(0o755).create(dir)?;
        }
        must_be_free(path)?;
        // Whoever looks for the name finds one that is ready, or the dead one; never none.
        let draft = dir.join(format!(".listen-{}", process::id()));
        let _ = fs::remove_file(&draft);
        let listener = UnixListener::bind(&draft)?;
        let placed = place(&draft, path, owner);
        if placed.is_err() {
            let _ = fs::remove_file(&draft);
        }
        listener.set_nonblocking(true)?;
        Ok(Self {
            path: path.to_owned(),
            place: placed?,
            listener,
        })
    }

    /// One that was handed over, with its [`Self::place`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn of(listener: OwnedFd, path: &Path, place: (u64, u64)) -> io::Result<Self> {
        let listener = UnixListener::from(listener);
        listener.set_nonblocking(true)?;
        Ok(Self {
            path: path.to_owned(),
            place,
            listener,
        })
    }

    /// Why nobody can listen at `path`, as far as that is seen without doing it. Who listens there is not
    /// asked: it may be the daemon that runs.
    #[must_use]
    pub fn why_not(path: &Path) -> Option<String> {
        let dir = path.parent().unwrap_or(Path::new("/"));
        let longest = [path, &dir.join(".listen-4194304")];
        let is_too_long = |name: &&Path| SocketAddr::from_pathname(name).is_err();
        let is_socket = |about: fs::Metadata| about.file_type().is_socket();
        let why = if longest.iter().any(is_too_long) {
            "is too long a name for a socket"
        } else if fs::symlink_metadata(path).is_ok_and(|about| !is_socket(about)) {
            NO_SOCKET
        } else {
            return None;
        };
        Some(format!("{} {why}", path.display()))
    }

    /// Whether the name `path` means this socket, by whatever way it leads there.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        inode(path).is_ok_and(|place| place == self.place)
    }

    /// Device and inode of the name.
    #[must_use]
    pub fn place(&self) -> (u64, u64) {
        self.place
    }

    /// From now on `owner` may connect beside root.
    ///
    /// # Errors
    /// What chown(2) says.
    pub fn give(&self, owner: Uid) -> io::Result<()> {
        chown(&self.path, Some(owner.as_raw()), None)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next that has connected.
    ///
    /// # Errors
    /// `WouldBlock` when there is nobody; what accept(2) says.
    pub fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().map(|(stream, _)| stream)
    }
}

impl AsFd for Named {
    /// Can be read when somebody has connected.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if self.is_at(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn place(draft: &Path, path: &Path, owner: Option<Uid>) -> io::Result<(u64, u64)> {
    fs::set_permissions(draft, Permissions::from_mode(0o600))?;
    if let Some(owner) = owner {
        chown(draft, Some(owner.as_raw()), None)?;
    }
    fs::rename(draft, path)?;
    inode(path)
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let about = fs::symlink_metadata(path)?;
    Ok((about.dev(), about.ino()))
}

/// Refuses to take a name away from what is no socket, and from who listens.
fn must_be_free(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(about) if !about.file_type().is_socket() => {
            Err(io::Error::new(ErrorKind::AlreadyExists, NO_SOCKET))
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::Error::new(
                ErrorKind::AddrInUse,
                "somebody listens there",
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("nanoftpd-{name}-{}", process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir(&dir).unwrap();
            Self(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_name_comes_with_the_socket_and_goes_with_it() {
        let dir = Dir::new("named");
        let path = dir.0.join("run/control");
        let named = Named::listen(&path, None).unwrap();
        let about = fs::metadata(&path).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
        assert_eq!(named.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        let _far = UnixStream::connect(&path).unwrap();
        named.accept().unwrap();
        let error = Named::listen(&path, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        drop(named);
        assert!(!path.exists());
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_dead_name_is_replaced_and_anything_else_is_left_alone() {
        let dir = Dir::new("dead");
        let path = dir.0.join("control");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = Named::listen(&path, None).unwrap();
        // Somebody else's now: it is not ours to remove.
        fs::remove_file(&path).unwrap();
        let _second = UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());

        let file = dir.0.join("file");
        fs::write(&file, "precious").unwrap();
        let error = Named::listen(&file, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(Named::why_not(&file).is_some());
        assert!(Named::why_not(&path).is_none());
        let long = dir.0.join("x".repeat(100));
        assert!(Named::listen(&long, None).is_err() && Named::why_not(&long).is_some());
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
