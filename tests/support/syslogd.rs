//! A syslogd that writes nothing: a daemon finds it in a `/dev` that nobody else sees.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use super::{PATIENCE, Scratch};

/// Runs the rest of its arguments in a `/dev` with a `log` in it that is the file `log` of the
/// directory at its first argument, whatever that is by then.
const PRIVATE_DEV: &str = r#"
    set -e
    dev=$1/dev; shift
    mkdir -p "$dev"
    mount -t tmpfs tmpfs "$dev"
    for name in null zero random urandom; do
        : > "$dev/$name"
        mount --bind "/dev/$name" "$dev/$name"
    done
    ln -s "$dev/../log" "$dev/log"
    mount --rbind "$dev" /dev
    exec "$@"
"#;

/// The program that a daemon is to be started within; it needs root.
pub(crate) fn private_dev(dir: &Scratch) -> [&str; 7] {
    let dir = dir.path().to_str().unwrap();
    ["unshare", "-m", "sh", "-c", PRIVATE_DEV, "sh", dir]
}

/// One that runs as long as this value lives.
#[derive(Debug)]
pub(crate) struct Syslogd(UnixDatagram);

impl Syslogd {
    pub(crate) fn start(dir: &Scratch) -> Self {
        let path = dir.path().join("log");
        let socket = UnixDatagram::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next line.
    pub(crate) fn line(&self) -> String {
        let mut line = [0; 4096];
        let length = self.0.recv(&mut line).expect("no more lines came");
        String::from_utf8_lossy(&line[..length]).into_owned()
    }

    /// The first line with `text` in it that comes.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let mut lines = std::iter::repeat_with(|| self.line());
        lines.find(|line| line.contains(text)).unwrap()
    }
}
