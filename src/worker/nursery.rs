//! The nursery: a process that has given up its rights and is shut in, as a worker is, and from which the
//! workers are forked. So all that is done once; and since nobody writes to its pages between two births,
//! workers go on sharing them. It is told what they are to know, and hears nobody but the master.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::birthright::Birthright;
use crate::config::Scheduling;
use crate::leash::{self, FromNursery, Heard, ToNursery};
use crate::logger;
use crate::store::mogile::Lore;
use crate::sys::jail::Jail;
use crate::sys::signals::Ear;
use crate::sys::{fds, process, scheduler, title};

/// The life of the nursery.
pub fn run(leash: &leash::Nursery, listeners: Vec<TcpListener>, birthright: &Birthright<'_>) -> ! {
    title::set("nanoftpd [nursery]");
    // The master's, which says so itself.
    let _ = logger::take_losses();
    let mut lore = birthright.lore.clone();
    if birthright.config.pool.scheduling == Scheduling::Batch
        && let Err(error) = scheduler::wait_for_turns()
    {
        log::debug!("scheduling-failed why=\"{error}\"");
    }
    let lived = confine(birthright.jail).and_then(|ear| {
        let (mut ear, mut listeners) = (Some(ear), listeners);
        fork_on_demand(leash, &mut lore, |leash, lore| -> Infallible {
            // They are taken from the copies that the worker has, which this is.
            let Some(ear) = ear.take() else {
                process::leave(1)
            };
            let own = (leash, ear, std::mem::take(&mut listeners));
            super::live(own, lore, birthright)
        })
    });
    match lived {
        Ok(()) => process::leave(0),
        // The master has ended while somebody was born.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => process::leave(0),
        Err(error) => {
            log::error!("nursery-failed why=\"{error}\"");
            process::leave(1)
        }
    }
}

/// The ear is its workers': each hears its own signals by it. The nursery itself ends with its leash.
fn confine(jail: &Jail) -> io::Result<Ear> {
    jail.give_up_rights()?;
    let ear = Ear::open()?;
    jail.enter()?;
    Ok(ear)
}

/// Forks a worker that lives as `live` says whenever it is told to, until the master lets go of it.
fn fork_on_demand(
    leash: &leash::Nursery,
    lore: &mut Lore,
    mut live: impl FnMut(leash::Worker, Lore) -> Infallible,
) -> io::Result<()> {
    loop {
        // Whatever is written here between two births is one more page of who was born before: room that
        // is kept would be that.
        match leash.receive()? {
            Heard::Message(ToNursery::Birth { fd }) => {
                let born = process::spawn_sibling(leash.as_fd(), || {
                    let leash = leash::Worker::new(fd, fds::receive);
                    // Taken from its copy, too: to copy it once more would be memory of each worker.
                    live(leash, std::mem::take(lore))
                });
                leash.send(&match born {
                    Ok(pid) => FromNursery::Born { pid: pid.as_raw() },
                    Err(error) => FromNursery::Unborn {
                        errno: error.raw_os_error().unwrap_or(libc::EAGAIN),
                    },
                })?;
            }
            Heard::Message(ToNursery::News(news)) => lore.learn(&news),
            Heard::Strange => {}
            Heard::Nothing => await_word(leash.as_fd())?,
            Heard::End => return Ok(()),
        }
    }
}

/// Waits as long as it takes.
fn await_word(leash: BorrowedFd<'_>) -> io::Result<()> {
    let mut fds = [PollFd::new(leash, PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leash::{MasterOfNursery, Message, News};

    /// What comes of these packets of a master that ends then: whether the nursery lived to see that, and
    /// whether it had heard the news that came last.
    fn hears(packets: &[&[u8]]) -> (Result<(), io::ErrorKind>, bool) {
        let (master, own): (MasterOfNursery, leash::Nursery) =
            leash::pair(fds::hear, fds::receive).unwrap();
        let address = "192.0.2.1:7001".parse().unwrap();
        let news = ToNursery::News(News::Failed(address)).encode();
        for packet in packets.iter().chain([&&*news]) {
            nix::unistd::write(&master, packet).unwrap();
        }
        drop(master);
        let mut lore = Lore::default();
        let heard = fork_on_demand(&own, &mut lore, |_, _| panic!("nobody was asked for"));
        (
            heard.map_err(|error| error.kind()),
            lore.is_shunned(address),
        )
    }

    #[test]
    fn what_is_strange_is_passed_over_and_what_is_broken_is_the_end() {
        assert_eq!(hears(&[]), (Ok(()), true));
        let born = FromNursery::Born { pid: 1 }.encode();
        // Of another kind of leash, its own words, and what another version may say.
        assert_eq!(
            hears(&[b"\0", b"\x22", &born, b"\xfe", b"\xff\x01\x02"]),
            (Ok(()), true)
        );
        // Whom it is to bring up without a leash the master waits for: it must hear of that.
        for broken in [&b"\x81"[..], b"\x81\0", b"\xe4", b"\xe4\x04\x7f\0\0\x01"] {
            let heard = hears(&[broken]);
            assert_eq!(
                heard,
                (Err(io::ErrorKind::InvalidData), false),
                "{broken:?}"
            );
        }
    }
}
