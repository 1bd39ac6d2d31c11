//! A worker: a process that serves one client at a time. Its rights are final before the first byte
//! comes, and the same for every session; it opens no log, resolves no name, executes and forks
//! nothing. What joins an account to its store is here, and only here.
#![forbid(unsafe_code)]

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use nix::unistd::getpid;

use crate::birthright::Birthright;
use crate::config::{Config, TlsMode};
use crate::ftp::{self, Proxied};
use crate::leash::{self, FromWorker};
use crate::logger;
use crate::proxy;
use crate::store::mogile::{Lore, Room, Shared};
use crate::sys::signals::Ear;
use crate::sys::{process, title};
use crate::tls::Identity;
use crate::vigil;
use crate::{auth, store};

mod bond;
mod door;
mod gate;
mod host;
mod members;
pub mod nursery;
mod reports;

use bond::Bond;
use door::{Came, Door};
use host::Session;
use members::Members;

/// The life of a worker, as its nursery begins it.
fn live(
    (leash, ear, listeners): (leash::Worker, Ear, Vec<TcpListener>),
    lore: Lore,
    birthright: &Birthright<'_>,
) -> ! {
    title::set("nanoftpd [worker] starting");
    let door = Door::open(&listeners, &leash, &ear);
    // No right is left to give up but those of a nursery.
    let door = door.and_then(|door| birthright.jail.leave_nursery().map(|()| door));
    let lived = door.and_then(|door| {
        let bond = Rc::new_cyclic(|bond: &Weak<Bond>| {
            let bond = Weak::clone(bond);
            let teller = Weak::clone(&bond);
            let lore = Shared::new(lore, move |news| {
                if let Some(bond) = teller.upgrade() {
                    bond.mention(&FromWorker::News(news.clone()));
                }
            });
            let agreed = Weak::clone(&bond);
            let lore = lore.agreeing(move || {
                if let Some(bond) = agreed.upgrade() {
                    bond.agree();
                }
            });
            let whole = birthright.config.mogilefs.spool_max;
            let room: Rc<dyn Room> = Rc::new(Leased { bond, whole });
            let members = Members::new(birthright, lore, room);
            Bond::new(leash, ear, listeners, members, birthright)
        });
        work(&bond, door, birthright)
    });
    match lived {
        Ok(()) => process::leave(0),
        Err(error) => {
            log::error!("worker-failed why=\"{error}\"");
            process::leave(1)
        }
    }
}

/// Room for spools that the master lets this worker have.
struct Leased {
    bond: Weak<Bond>,
    whole: u64,
}

impl Room for Leased {
    fn take(&self, megabytes: u32) -> Result<bool, store::Error> {
        /// The master answers at once, or is gone.
        const PATIENCE: Duration = Duration::from_secs(10);
        let gone = || store::Error::Broken("the master is gone".to_owned());
        let bond = self.bond.upgrade().ok_or_else(gone)?;
        let answer = bond.ask(|number| FromWorker::Room { number, megabytes }, PATIENCE);
        match answer {
            Ok(answer) => Ok(!answer.is_empty()),
            Err(auth::Trouble::Interrupted) => Err(store::Error::Interrupted),
            Err(auth::Trouble::Unavailable(why)) => Err(store::Error::Broken(why)),
        }
    }

    fn give(&self, megabytes: u32) {
        if let Some(bond) = self.bond.upgrade() {
            bond.mention(&FromWorker::RoomFree { megabytes });
        }
    }

    fn whole(&self) -> u64 {
        self.whole.div_ceil(1 << 20)
    }
}

fn work(bond: &Rc<Bond>, door: Door, birthright: &Birthright<'_>) -> io::Result<()> {
    let mut left = birthright.config.pool.sessions_per_worker;
    let mut door = Some(door);
    // The master and the signals are heard in every wait of a session.
    let (hearer, listener) = (Rc::clone(bond), Rc::clone(bond));
    let word = Rc::new(vigil::watch(bond.leash(), move || hearer.hear_next())?);
    let _signal = vigil::watch(bond.ear(), move || listener.hear_signal())?;
    title::set("nanoftpd [worker] idle");
    bond.tell(&FromWorker::Ready {
        pid: getpid().as_raw(),
    })?;
    while let Some(open) = &door {
        let Some((control, peer)) = wait(bond, open)? else {
            break;
        };
        left = left.saturating_sub(1);
        if left == 0 {
            // Its entries would outlive the listeners, which others hold too.
            door = None;
            bond.close_listeners();
        }
        serve(bond, &word, birthright, control, peer)?;
        if let lines @ 1.. = logger::take_losses() {
            let lines = u32::try_from(lines).unwrap_or(u32::MAX);
            bond.mention(&FromWorker::Unlogged { lines });
        }
        if left > 0 {
            title::set("nanoftpd [worker] idle");
            // One that is to end may have a last client all the same.
            bond.tell(&FromWorker::Left)?;
        }
    }
    Ok(())
}

/// The next client; `None`: there is to be none.
fn wait(bond: &Bond, door: &Door) -> io::Result<Option<(TcpStream, SocketAddr)>> {
    loop {
        // Who came while we were woken for another reason would wait for the next one to come.
        if bond.is_leaving() {
            let last = if bond.is_ending() {
                None
            } else {
                bond.accept()
            };
            return Ok(last);
        }
        for came in door.wait()? {
            match came {
                Came::Word => {
                    bond.hear_next();
                }
                Came::Signal => {
                    bond.hear_signal();
                }
                Came::Client => {
                    if let Some(client) = bond.accept() {
                        return Ok(Some(client));
                    }
                }
            }
        }
    }
}

fn serve(
    bond: &Rc<Bond>,
    word: &Rc<vigil::Watch>,
    &Birthright {
        config, zone, tls, ..
    }: &Birthright<'_>,
    control: TcpStream,
    peer: SocketAddr,
) -> io::Result<()> {
    // Or the master would take us for one that waits for clients, and have no other in our place.
    let waiting = || bond.mention(&FromWorker::Awaits { proxy: peer });
    let (peer, proxied) = match client_of(&control, peer, config, waiting) {
        Ok(known) => known,
        Err(error) => {
            log::info!("proxy-failed peer={} why=\"{error}\"", peer.ip());
            return Ok(());
        }
    };
    let is_implicit = is_implicit(&control, config);
    if !gate::is_admitted(bond, &control, peer, is_implicit) {
        return Ok(());
    }
    let settings = ftp::Settings {
        nanoftpd: &config.nanoftpd,
        passive: &config.passive,
        limits: &config.limits,
        zone: zone.clone(),
        announce: bond.announced(),
        session: session_name()?,
        proxied,
        security: security(tls, config, is_implicit),
    };
    let attempts = config.limits.login_attempts;
    let mut session = Session::new(
        Rc::clone(bond),
        peer.ip(),
        Rc::clone(word),
        attempts,
        &settings.session,
    );
    ftp::serve(control, peer, &settings, &mut session);
    drop(session);
    bond.rest(true);
    bond.members().forget();
    bond.tell_figures(Instant::now());
    Ok(())
}

/// The client itself, where a trusted proxy stands in front of it.
fn client_of<'a>(
    control: &TcpStream,
    peer: SocketAddr,
    config: &'a Config,
    waiting: impl FnOnce(),
) -> io::Result<(SocketAddr, Option<Proxied<'a>>)> {
    let rules = &config.proxy;
    if !rules.is_trusted(peer.ip()) {
        return Ok((peer, None));
    }
    let deadline = Instant::now().checked_add(config.nanoftpd.login_time);
    Ok(match proxy::receive(control, deadline, waiting)? {
        None => (peer, None),
        Some(proxy::Ends {
            source,
            destination,
        }) => (source, Some(Proxied { destination, rules })),
    })
}

/// Where TLS comes first it is there whatever the mode says of the other port.
fn security<'a>(
    tls: Option<&'a Identity>,
    config: &'a Config,
    is_implicit: bool,
) -> Option<ftp::Security<'a>> {
    let is_on = is_implicit || config.tls.mode != TlsMode::Off;
    tls.filter(|_| is_on).map(|identity| ftp::Security {
        identity,
        rules: &config.tls,
        is_implicit,
    })
}

/// Whether the client came in where TLS comes first.
fn is_implicit(control: &TcpStream, config: &Config) -> bool {
    let port = config.tls.implicit_port;
    port != 0 && control.local_addr().is_ok_and(|local| local.port() == port)
}

/// Eight random hex digits.
fn session_name() -> io::Result<String> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:08x}", u32::from_ne_bytes(bytes)))
}
