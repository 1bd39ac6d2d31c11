//! The leash: what the master and its children say to each other. One SOCK_SEQPACKET pair a child,
//! one typed message a packet, and each end can only say and hear its own.
//!
//! Knows nothing of what the messages bring about, nor how a process comes to have an end.
#![forbid(unsafe_code)]

use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, recv, send, sendmsg,
    shutdown, socketpair,
};
use zeroize::Zeroize;

mod message;
mod wire;

pub use message::{
    FromClerk, FromNursery, FromWorker, Heard, Message, News, Outcome, Secret, ToClerk, ToNursery,
    ToWorker, Upload, Word,
};
pub use wire::{Malformed, Reader, Writer};

/// Of the language. After an upgrade a master has workers of another program for a while, so what a
/// message says must never change, and a kind that one end does not know is passed over. To be
/// raised when that will not do: masters do not take over workers of another language.
pub const LANGUAGE: u16 = 1;

/// No packet is longer.
const LONGEST: usize = 16 * 1024;

/// Receives one packet and the descriptor that came with it; the length 0 is the end. It is handed
/// in because taking a descriptor over is the business of another room.
pub type Receive = fn(BorrowedFd<'_>, &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)>;

/// One end of a leash: says `Out`, hears `In`.
#[derive(Debug)]
pub struct End<Out, In> {
    socket: OwnedFd,
    receive: Receive,
    speech: PhantomData<fn(Out) -> In>,
}

/// The master's end to a worker.
pub type MasterOfWorker = End<ToWorker, FromWorker>;
/// A worker's end.
pub type Worker = End<FromWorker, ToWorker>;
/// The master's end to its clerk.
pub type MasterOfClerk = End<ToClerk, FromClerk>;
/// The clerk's end.
pub type Clerk = End<FromClerk, ToClerk>;

/// The master's end to the nursery of its workers.
pub type MasterOfNursery = End<ToNursery, FromNursery>;
/// The nursery's end.
pub type Nursery = End<FromNursery, ToNursery>;

/// A new leash: the master's end, which hears so, and the child's, which receives so.
///
/// # Errors
/// There are no descriptors left.
pub fn pair<Down, Up>(
    hear: Receive,
    receive: Receive,
) -> io::Result<(End<Down, Up>, End<Up, Down>)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (master, child) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    Ok((End::new(master, hear), End::new(child, receive)))
}

/// Room for any packet.
#[derive(Debug)]
pub struct Room(Vec<u8>);

impl Default for Room {
    fn default() -> Self {
        Self(vec![0; LONGEST])
    }
}

impl<In> Heard<In> {
    /// What `error` says of a leash.
    fn nothing(error: io::Error) -> io::Result<Self> {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Self::Nothing),
            io::ErrorKind::ConnectionReset => Ok(Self::End),
            _ => Err(error),
        }
    }
}

impl<Out, In> End<Out, In> {
    /// An end that was handed over.
    #[must_use]
    pub fn new(socket: OwnedFd, receive: Receive) -> Self {
        Self {
            socket,
            receive,
            speech: PhantomData,
        }
    }
}

impl<Out, In> From<End<Out, In>> for OwnedFd {
    /// To be handed over.
    fn from(end: End<Out, In>) -> Self {
        end.socket
    }
}

impl<Out: Message, In: Message> End<Out, In> {
    /// Says `message`, and hands over the descriptor that it may bring. Never blocks.
    ///
    /// # Errors
    /// `WouldBlock` when the other end does not listen, `BrokenPipe` when it is gone.
    pub fn send(&self, message: &Out) -> io::Result<()> {
        let mut packet = message.encode();
        let sent = self.send_packet(&packet, message.descriptor());
        // There may be a password in it.
        packet.as_mut_slice().zeroize();
        sent
    }

    fn send_packet(&self, packet: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
        let sent = match fd {
            None => send(socket, packet, flags),
            Some(fd) => {
                let rights = [fd.as_raw_fd()];
                let rights = [ControlMessage::ScmRights(&rights)];
                sendmsg::<()>(socket, &[IoSlice::new(packet)], &rights, flags, None)
            }
        };
        match sent {
            Ok(_) => Ok(()),
            Err(Errno::ECONNRESET) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Has nothing more to say: behind what was said the other end finds the end. It is still heard.
    pub fn let_go(&self) {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
    }

    /// Hears the next message. Never blocks.
    ///
    /// # Errors
    /// [`Malformed`], as `InvalidData`: the other end does not speak our language.
    pub fn receive(&self) -> io::Result<Heard<In>> {
        // Room for the longest would be more memory than all else that a session writes to.
        match heard_to_the_last(|| self.next_length()) {
            Ok(length) => self.take(&mut vec![0; length.min(LONGEST)]),
            Err(error) => Heard::nothing(error),
        }
    }

    /// The same with one call less, for who hears much: the room is kept.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub fn receive_in(&self, room: &mut Room) -> io::Result<Heard<In>> {
        self.take(&mut room.0)
    }

    fn take(&self, packet: &mut [u8]) -> io::Result<Heard<In>> {
        let received = heard_to_the_last(|| (self.receive)(self.socket.as_fd(), packet));
        let (length, fd) = match received {
            Ok(received) => received,
            Err(error) => return Heard::nothing(error),
        };
        match packet.get_mut(..length) {
            None | Some([]) => Ok(Heard::End),
            Some(heard) => {
                let decoded = In::decode(heard, fd);
                heard.zeroize();
                Ok(decoded?.map_or(Heard::Strange, Heard::Message))
            }
        }
    }

    /// Of the packet that comes next; 0 at the end.
    fn next_length(&self) -> io::Result<usize> {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC;
        Ok(recv(self.socket.as_raw_fd(), &mut [], flags)?)
    }
}

/// What `receive` says but for the news, which the kernel gives once and ahead of all, that the other end
/// has gone without hearing all that it was told. What it said itself is still there, and then its end.
fn heard_to_the_last<T>(mut receive: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match receive() {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => receive(),
        heard => heard,
    }
}

impl<Out, In> AsFd for End<Out, In> {
    /// Can be read when there is something to hear.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: BorrowedFd<'_>, packet: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
        Ok((nix::unistd::read(socket, packet)?, None))
    }

    #[test]
    fn each_end_hears_what_the_other_says_and_its_silence_and_its_end() {
        let (master, worker): (MasterOfWorker, Worker) = pair(receive, receive).unwrap();
        assert!(matches!(master.receive().unwrap(), Heard::Nothing));
        let user = b"a\n\0b".to_vec();
        let ready = FromWorker::Ready { pid: 1 };
        worker.send(&ready).unwrap();
        let asked = FromWorker::Account { number: 1, user };
        worker.send(&asked).unwrap();
        let Heard::Message(heard) = master.receive().unwrap() else {
            panic!("nothing was heard");
        };
        assert_eq!(heard, ready);
        assert!(matches!(master.receive().unwrap(), Heard::Message(heard) if heard == asked));
        master.send(&ToWorker::Retire).unwrap();
        drop(master);
        let Heard::Message(ToWorker::Retire) = worker.receive().unwrap() else {
            panic!("the last word was lost");
        };
        assert!(matches!(worker.receive().unwrap(), Heard::End));
        let error = worker.send(&FromWorker::Left).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn who_is_let_go_of_is_heard_to_the_last() {
        let (master, worker): (MasterOfWorker, Worker) = pair(receive, receive).unwrap();
        master.send(&ToWorker::Retire).unwrap();
        master.let_go();
        let word = worker.receive().unwrap();
        assert!(matches!(word, Heard::Message(ToWorker::Retire)));
        assert!(matches!(worker.receive().unwrap(), Heard::End));
        worker.send(&FromWorker::Left).unwrap();
        let word = master.receive().unwrap();
        assert!(matches!(word, Heard::Message(FromWorker::Left)));
    }

    #[test]
    fn who_goes_without_hearing_all_is_heard_to_the_last() {
        for is_with_room in [false, true] {
            let (master, worker): (MasterOfWorker, Worker) = pair(receive, receive).unwrap();
            master.send(&ToWorker::Retire).unwrap();
            worker.send(&FromWorker::Ready { pid: 1 }).unwrap();
            worker.send(&FromWorker::Left).unwrap();
            drop(worker);
            let mut room = Room::default();
            let mut hear = || match is_with_room {
                true => master.receive_in(&mut room).unwrap(),
                false => master.receive().unwrap(),
            };
            assert!(matches!(
                hear(),
                Heard::Message(FromWorker::Ready { pid: 1 })
            ));
            assert!(matches!(hear(), Heard::Message(FromWorker::Left)));
            assert!(matches!(hear(), Heard::End));
        }
    }

    #[test]
    fn an_end_that_does_not_listen_does_not_hold_the_other_up() {
        let (master, _worker): (MasterOfWorker, Worker) = pair(receive, receive).unwrap();
        let text = "x".repeat(1000);
        let error = (0..10_000)
            .find_map(|_| master.send(&ToWorker::Kick { text: text.clone() }).err())
            .unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_strange_message_is_noticed_and_a_broken_one_is_an_error() {
        let (master, worker): (MasterOfWorker, Worker) = pair(receive, receive).unwrap();
        // Past the last of news, and between the two kinds of them.
        for strange in [[255, 1, 2], [191, 1, 2]] {
            nix::unistd::write(&worker, &strange).unwrap();
            assert!(matches!(master.receive().unwrap(), Heard::Strange));
        }
        nix::unistd::write(&worker, &[2, 1, 2]).unwrap();
        let error = master.receive().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
