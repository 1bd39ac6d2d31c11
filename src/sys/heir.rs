//! Handing this process over to another program, which keeps its pid, its children and what it is
//! left of the descriptors; and finding what was left to us. Listening sockets are named in the
//! environment, so that any version finds them; all else is in a text that only a program of the same
//! kind understands.
//!
//! Knows neither that text nor what the sockets are for.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{getsockopt, sockopt::AcceptConn};
use nix::unistd::{Pid, execve, getpid};

use super::process::{self, Streams};

/// `PID FD SOCKET…`: whose it is, the text, and each listening socket as its descriptor, `=` or (if
/// it belongs to a service manager) `~`, and the address that it was asked for.
const VARIABLE: &str = "NANOFTPD_HEIR";

/// What a service manager says, and what must not be taken for it later: the pid stays the same.
const ACTIVATION: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// The first descriptor that a service manager leaves.
const FIRST: RawFd = 3;

/// More is not read of what a program says that is tried.
const LONGEST: u64 = 4096;

/// A listening socket that another program has opened.
#[derive(Debug)]
pub struct Passed {
    pub socket: TcpListener,
    /// As it was asked for: the port may be 0.
    pub wanted: SocketAddr,
    /// It is somebody else's, who goes on listening.
    pub is_lent: bool,
}

/// What another program has left to this one.
#[derive(Debug, Default)]
pub struct Heritage {
    sockets: Vec<Passed>,
    /// Left by our predecessor.
    text: Option<OwnedFd>,
    taken: BTreeSet<RawFd>,
}

impl Heritage {
    /// What the environment says. To be called before anything is opened.
    #[must_use]
    pub fn find() -> Self {
        let mut found = Self::default();
        let ours = env::var(VARIABLE).unwrap_or_default();
        let lent = ACTIVATION.map(|name| env::var(name).unwrap_or_default());
        let [pid, count, _] = lent.each_ref().map(String::as_str);
        match ours.split_once(' ') {
            Some((pid, rest)) if is_own(pid) => found.inherit(rest),
            _ if is_own(pid) => found.borrow(count.parse().unwrap_or_default()),
            _ => {}
        }
        found
    }

    fn inherit(&mut self, words: &str) {
        let mut words = words.split(' ');
        let text = words.next().and_then(|word| word.parse().ok());
        self.text = text.and_then(|fd| self.claim(fd));
        for word in words {
            let Some(at) = word.find(['=', '~']) else {
                continue;
            };
            let (number, wanted) = word.split_at(at);
            let is_lent = wanted.starts_with('~');
            let wanted = wanted.get(1..).and_then(|wanted| wanted.parse().ok());
            let socket = number.parse().ok().and_then(|fd| self.claim_listener(fd));
            if let (Some(socket), Some(wanted)) = (socket, wanted) {
                self.sockets.push(Passed {
                    socket,
                    wanted,
                    is_lent,
                });
            }
        }
    }

    fn borrow(&mut self, count: RawFd) {
        for fd in FIRST..FIRST.saturating_add(count) {
            let Some(socket) = self.claim_listener(fd) else {
                continue;
            };
            if let Ok(wanted) = socket.local_addr() {
                self.sockets.push(Passed {
                    socket,
                    wanted,
                    is_lent: true,
                });
            }
        }
    }

    fn claim_listener(&mut self, fd: RawFd) -> Option<TcpListener> {
        let socket = self.claim(fd)?;
        let listens = getsockopt(&socket, AcceptConn) == Ok(true);
        let socket = TcpListener::from(socket);
        (listens && socket.set_nonblocking(true).is_ok()).then_some(socket)
    }

    /// Takes over a descriptor, once, if it is there.
    pub fn claim(&mut self, fd: RawFd) -> Option<OwnedFd> {
        if fd < FIRST || self.taken.contains(&fd) {
            return None;
        }
        // SAFETY: the program that this process was before has left the descriptor open on purpose.
        // Nothing has been opened yet, so nobody else owns it, and it is taken over only once. That
        // it is open is seen before it is owned.
        #[expect(unsafe_code, reason = "descriptors come as numbers")]
        let there = unsafe { BorrowedFd::borrow_raw(fd) };
        fcntl(there, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
        self.taken.insert(fd);
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "descriptors come as numbers")]
        Some(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Whether this process was another program before.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.text.is_some()
    }

    /// The text; `None`: nobody has left one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(text) = &self.text else {
            return Ok(None);
        };
        let mut file = File::from(text.try_clone()?);
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Closes what has not been taken over.
    pub fn close_rest(&self) {
        let kept: Vec<RawFd> = self.taken.iter().copied().collect();
        process::close_others(&kept);
    }

    /// The listening sockets.
    #[must_use]
    pub fn into_sockets(self) -> Vec<Passed> {
        self.sockets
    }
}

fn is_own(pid: &str) -> bool {
    pid.parse() == Ok(getpid().as_raw())
}

/// A program that is being tried.
#[derive(Debug)]
pub struct Trial {
    pub pid: Pid,
    output: File,
}

impl Trial {
    /// Runs the program at `path` with `arguments` and without environment.
    ///
    /// # Errors
    /// What the kernel says of processes; that there is no such program is only seen in the exit
    /// code, 127.
    pub fn start(path: &Path, arguments: &[OsString]) -> io::Result<Self> {
        let output = File::from(memfd_create("trial", MFdFlags::MFD_CLOEXEC)?);
        let nowhere = File::open("/dev/null")?;
        let streams = Streams {
            input: nowhere.as_fd(),
            output: output.as_fd(),
            errors: output.as_fd(),
        };
        let (program, words) = words(path, arguments)?;
        let parent = getpid();
        let pid = process::spawn(streams, &[], move || {
            let tried = process::die_with_parent(parent)
                .and_then(|()| process::hear_all_signals())
                .and_then(|()| Ok(execve(&program, &words, &[] as &[CString])?));
            let why = tried.map_or_else(|error| error.to_string(), |never| match never {});
            let _ = write!(io::stderr(), "cannot be run: {why}");
            process::leave(127)
        })?;
        Ok(Self { pid, output })
    }

    /// What it has said; to be asked when it has ended.
    #[must_use]
    pub fn said(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.output.rewind();
        let _ = (&self.output).take(LONGEST).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }
}

/// A listening socket that is left to a successor.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    pub socket: &'a TcpListener,
    pub wanted: SocketAddr,
    pub is_lent: bool,
}

/// Becomes the program at `path` with `arguments`, and leaves it `text`, `sockets` and `others`, which
/// `text` tells of by their numbers. Returns only if that failed; nothing has changed then.
pub fn hand_over(
    path: &Path,
    arguments: &[OsString],
    text: &[u8],
    sockets: &[Left<'_>],
    others: &[BorrowedFd<'_>],
) -> io::Error {
    let left = || -> io::Result<()> {
        let (program, words) = words(path, arguments)?;
        let mut file = File::from(memfd_create("heir", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(text)?;
        let mut all = others.to_vec();
        all.extend(sockets.iter().map(|left| left.socket.as_fd()));
        all.push(file.as_fd());
        let environment = environment(&file, sockets)?;
        let opened = all
            .iter()
            .try_for_each(|fd| set_flags(*fd, FdFlag::empty()));
        let failed = opened.and_then(|()| Ok(execve(&program, &words, &environment)?));
        for fd in &all {
            set_flags(*fd, FdFlag::FD_CLOEXEC)?;
        }
        failed.map(|never| match never {})
    };
    match left() {
        Err(error) => error,
        Ok(()) => Errno::ENOEXEC.into(),
    }
}

fn set_flags(fd: BorrowedFd<'_>, flags: FdFlag) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Ours, without what was said to us.
fn environment(text: &File, sockets: &[Left<'_>]) -> io::Result<Vec<CString>> {
    let is_other =
        |name: &OsStr| name != VARIABLE && ACTIVATION.iter().all(|activation| name != *activation);
    let mut all = Vec::new();
    for (name, value) in env::vars_os().filter(|(name, _)| is_other(name)) {
        all.push(CString::new(
            [name.as_bytes(), b"=", value.as_bytes()].concat(),
        )?);
    }
    let mut own = format!("{VARIABLE}={} {}", getpid(), text.as_raw_fd());
    for left in sockets {
        let mark = if left.is_lent { '~' } else { '=' };
        own += &format!(" {}{mark}{}", left.socket.as_raw_fd(), left.wanted);
    }
    all.push(CString::new(own)?);
    Ok(all)
}

fn words(path: &Path, arguments: &[OsString]) -> io::Result<(CString, Vec<CString>)> {
    let program = CString::new(path.as_os_str().as_bytes())?;
    let mut words = vec![program.clone()];
    for argument in arguments {
        words.push(CString::new(argument.as_bytes())?);
    }
    Ok((program, words))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_descriptor_is_taken_over_once_and_only_if_it_is_there() {
        let mut heritage = Heritage::default();
        let fd = std::os::fd::IntoRawFd::into_raw_fd(File::open("/dev/null").unwrap());
        let taken = heritage.claim(fd).unwrap();
        assert!(heritage.claim(fd).is_none());
        assert_eq!(taken.as_raw_fd(), fd);
        for missing in [-1, 0, 2, 1 << 20] {
            assert!(heritage.claim(missing).is_none(), "{missing}");
        }
    }

    #[test]
    fn sockets_are_found_by_what_the_environment_says() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let text = memfd_create("test", MFdFlags::MFD_CLOEXEC).unwrap();
        let number = |fd: OwnedFd| std::os::fd::IntoRawFd::into_raw_fd(fd);
        let (one, two, text) = (number(listener.into()), number(other.into()), number(text));
        let mut heritage = Heritage::default();
        heritage.inherit(&format!(
            "{text} {one}=127.0.0.1:0 {two}~{address} 99999=127.0.0.1:1 x"
        ));
        assert_eq!(heritage.read().unwrap().unwrap(), b"");
        let sockets = heritage.into_sockets();
        let shown: Vec<_> = sockets
            .iter()
            .map(|passed| (passed.wanted, passed.is_lent))
            .collect();
        assert_eq!(
            shown,
            [("127.0.0.1:0".parse().unwrap(), false), (address, true)]
        );
        assert_eq!(sockets[0].socket.local_addr().unwrap(), address);
    }

    #[test]
    fn a_program_is_tried_and_what_it_says_is_kept() {
        let arguments = ["-c", "echo fine; echo bad >&2; exit 3"].map(OsString::from);
        let mut trial = Trial::start(Path::new("/bin/sh"), &arguments).unwrap();
        let ending = process::wait(trial.pid).unwrap();
        assert_eq!(ending, process::Ending::Exit(3));
        assert_eq!(trial.said(), "fine\nbad");
        let mut trial = Trial::start(Path::new("/no/such/program"), &[]).unwrap();
        let ending = process::wait(trial.pid).unwrap();
        assert_eq!(ending, process::Ending::Exit(127));
        assert!(trial.said().starts_with("cannot be run: "));
    }
}
