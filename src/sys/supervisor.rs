//! What a service manager wants to hear, as datagrams to the socket that it names in the environment
//! (sd_notify(3)). Where there is none, nothing is said.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// How the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Ready,
    Reloading,
    Stopping,
}

/// Says so; nobody waits until it is heard.
pub fn tell(condition: Condition) {
    if let Some(name) = env::var_os("NOTIFY_SOCKET") {
        // Whoever does not listen does without.
        let _ = send(&name, words(condition));
    }
}

fn words(condition: Condition) -> &'static [u8] {
    match condition {
        Condition::Ready => b"READY=1",
        Condition::Reloading => b"RELOADING=1",
        Condition::Stopping => b"STOPPING=1",
    }
}

fn send(name: &OsStr, words: &[u8]) -> io::Result<usize> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(words, &address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_with_and_without_a_path_is_found() {
        let path = env::temp_dir().join(format!("nanoftpd-notify-{}", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut bytes = [0; 64];
        send(path.as_os_str(), b"READY=1").unwrap();
        let length = socket.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"READY=1");
        std::fs::remove_file(&path).unwrap();
        send(path.as_os_str(), b"READY=1").unwrap_err();

        let name = format!("nanoftpd-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        send(OsStr::new(&format!("@{name}")), b"STOPPING=1").unwrap();
        let length = socket.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"STOPPING=1");
    }
}
