//! Descriptors that another process handed over, and bytes together with the process that wrote
//! them.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt,
};
use nix::sys::stat::{FileStat, fstat};

/// Receives one packet into `packet`, with the descriptor that may have come with it; the length 0
/// is the end. A packet that does not fit is `InvalidData`.
///
/// # Errors
/// What recvmsg(2) says, `WouldBlock` above all.
pub fn receive(socket: BorrowedFd<'_>, packet: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    // Room for more than the one, so that one too many is seen and closed, not left open unseen.
    let mut control = cmsg_space!([RawFd; 4]);
    let mut parts = [IoSliceMut::new(packet)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let mut received = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = part {
            received.extend(fds.into_iter().map(adopt));
        }
    }
    if message.flags.intersects(CUT) || received.len() > 1 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((message.bytes, received.pop()))
}

/// As [`receive`], from who may have been taken over: no descriptor is let in, however many came with the
/// packet, which is `InvalidData` then.
///
/// # Errors
/// As there.
pub fn hear(socket: BorrowedFd<'_>, packet: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut parts = [IoSliceMut::new(packet)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, None, MsgFlags::empty())?;
    if message.flags.intersects(CUT) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((message.bytes, None))
}

/// There was more than there was room for, of bytes or of descriptors.
const CUT: MsgFlags = MsgFlags::MSG_TRUNC.union(MsgFlags::MSG_CTRUNC);

fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us while it delivered the message;
    // nobody else knows of it.
    #[expect(unsafe_code, reason = "descriptors come as numbers")]
    unsafe {
        OwnedFd::from_raw_fd(fd)
    }
}

/// Where stray output goes: all processes have the one end as standard output and error, the
/// master reads the other.
#[derive(Debug)]
pub struct Gutter {
    end: UnixStream,
    mouth: UnixStream,
}

impl Gutter {
    /// # Errors
    /// What the kernel says.
    pub fn open() -> io::Result<Self> {
        let (end, mouth) = UnixStream::pair()?;
        setsockopt(&end, sockopt::PassCred, &true)?;
        // Neither does the master wait for stray output, nor does a process wait for the master to
        // read it.
        end.set_nonblocking(true)?;
        mouth.set_nonblocking(true)?;
        Ok(Self { end, mouth })
    }

    /// One that was handed over.
    #[must_use]
    pub fn of(end: OwnedFd, mouth: OwnedFd) -> Self {
        Self {
            end: end.into(),
            mouth: mouth.into(),
        }
    }

    /// What is to become standard output and error.
    #[must_use]
    pub fn mouth(&self) -> BorrowedFd<'_> {
        self.mouth.as_fd()
    }

    /// Whether standard error leads here, as it does in the background.
    #[must_use]
    pub fn has_stderr(&self) -> bool {
        let place = |about: FileStat| (about.st_dev, about.st_ino);
        let own = fstat(&self.mouth).map(place);
        own.is_ok() && own == fstat(io::stderr()).map(place)
    }

    /// Reads into `bytes` what one process wrote: how much, and its pid.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing.
    pub fn read(&self, bytes: &mut [u8]) -> io::Result<(usize, Option<i32>)> {
        let mut control = cmsg_space!(UnixCredentials);
        let mut parts = [IoSliceMut::new(bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(self.end.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        let pid = message.cmsgs()?.find_map(|part| match part {
            ControlMessageOwned::ScmCredentials(who) => Some(who.pid()),
            _ => None,
        });
        Ok((message.bytes, pid))
    }
}

impl AsFd for Gutter {
    /// Can be read when there is stray output.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Read, Write};

    use nix::sys::socket::{
        AddressFamily, ControlMessage, Shutdown, SockFlag, SockType, sendmsg, shutdown, socketpair,
    };

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap()
    }

    fn send(socket: &OwnedFd, bytes: &[u8], fds: &[RawFd]) {
        let rights = [ControlMessage::ScmRights(fds)];
        let control = if fds.is_empty() { &[][..] } else { &rights[..] };
        let parts = [IoSlice::new(bytes)];
        let flags = MsgFlags::empty();
        sendmsg::<()>(socket.as_raw_fd(), &parts, control, flags, None).unwrap();
    }

    #[test]
    fn a_descriptor_arrives_with_its_packet() {
        let (near, far) = pair();
        let (mut one, other) = UnixStream::pair().unwrap();
        send(&near, b"abc", &[other.as_raw_fd()]);
        drop(other);
        let mut packet = [0; 16];
        let (length, fd) = receive(far.as_fd(), &mut packet).unwrap();
        assert_eq!(&packet[..length], b"abc");
        UnixStream::from(fd.unwrap()).write_all(b"x").unwrap();
        one.read_exact(&mut packet[..1]).unwrap();
    }

    #[test]
    fn what_is_too_much_is_refused_and_the_end_is_an_empty_packet() {
        let (near, far) = pair();
        let (one, other) = UnixStream::pair().unwrap();
        let fds = [one.as_raw_fd(), other.as_raw_fd()];
        let mut packet = [0; 2];
        for (bytes, fds) in [(&b"abc"[..], &[][..]), (b"a", &fds)] {
            send(&near, bytes, fds);
            let error = receive(far.as_fd(), &mut packet).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        let error = receive(far.as_fd(), &mut packet).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        // To close it would not be enough while the child of another test has it, too.
        shutdown(near.as_raw_fd(), Shutdown::Write).unwrap();
        assert_eq!(receive(far.as_fd(), &mut packet).unwrap().0, 0);
    }

    #[test]
    fn who_only_hears_is_given_no_descriptor_however_many_come() {
        let (near, far) = pair();
        let mut packet = [0; 2];
        for count in [1, 4, 5, 200] {
            let (mut one, other) = UnixStream::pair().unwrap();
            send(&near, b"a", &vec![other.as_raw_fd(); count]);
            drop(other);
            let error = hear(far.as_fd(), &mut packet).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            // Nobody has it any more.
            one.set_nonblocking(true).unwrap();
            assert_eq!(one.read(&mut packet).unwrap(), 0, "{count}");
        }
        send(&near, b"abc", &[]);
        let error = hear(far.as_fd(), &mut packet).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        send(&near, b"ab", &[]);
        assert_eq!(hear(far.as_fd(), &mut packet).unwrap().0, 2);
    }

    #[test]
    fn stray_output_comes_with_its_pid() {
        let gutter = Gutter::open().unwrap();
        let mut mouth = std::fs::File::from(gutter.mouth().try_clone_to_owned().unwrap());
        mouth.write_all(b"oh no\n").unwrap();
        let mut bytes = [0; 64];
        let (length, pid) = gutter.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"oh no\n");
        assert_eq!(pid, i32::try_from(std::process::id()).ok());
        let error = gutter.read(&mut bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
