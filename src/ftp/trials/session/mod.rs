//! Whole sessions: a script of commands against a store in memory, client and server in one thread.
//! One final reply to each command, no name that leads out of the tree, and a store that holds what
//! a simple model of it says.

mod client;
mod data;
mod memory;
mod model;

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use super::super::{Doing, Host, Refusal, Settings, Transfer, serve};
use crate::auth::Password;
use crate::config::Config;
use crate::draw::Draw;
use crate::path::Path;
use crate::store::Store;
use crate::sys::sockets;
use crate::vigil::{self, Verdict};
use client::Client;
use memory::{Memory, Tree};

/// What must come within a moment comes within this, or something hangs.
const PATIENCE: Duration = Duration::from_secs(2);

thread_local! {
    static CONFIG: Config = config();
    static DOOR: RefCell<Option<TcpListener>> = const { RefCell::new(None) };
}

fn config() -> Config {
    let mut config = Config::default();
    config.nanoftpd.server_name = "trial".to_owned();
    (config.nanoftpd.low_port, config.nanoftpd.high_port) = (20_000, 32_000);
    (config.passive.accept_timeout, config.passive.stall_timeout) = (PATIENCE, PATIENCE);
    config
}

/// `data`: how the client speaks, and its lines.
pub(crate) fn session(data: &[u8]) {
    let mut draw = Draw(data);
    let manner = draw.byte();
    let Some((near, peer, far)) = connection() else {
        return;
    };
    let tree = Tree::default();
    let client = Rc::new(RefCell::new(Client::new(far, manner, draw.0)));
    let ear = Rc::clone(&client);
    let watched = client.borrow().socket().and_then(|socket| {
        vigil::watch(socket.as_fd(), move || {
            ear.borrow_mut().hear();
            Verdict::Stay
        })
    });
    let mut process = Process {
        client: Rc::clone(&client),
        tree: Rc::clone(&tree),
    };
    CONFIG.with(|config| {
        let settings = Settings {
            nanoftpd: &config.nanoftpd,
            passive: &config.passive,
            limits: &config.limits,
            zone: jiff::tz::TimeZone::UTC,
            announce: None,
            session: "5e551017".to_owned(),
            proxied: None,
            security: None,
        };
        serve(near, peer, &settings, &mut process);
    });
    drop(watched);
    client.borrow_mut().judge();
    assert!(client.borrow().model().is_like(&tree.borrow()));
}

/// The server's end, who connected, and the client's end.
fn connection() -> Option<(TcpStream, SocketAddr, TcpStream)> {
    let door = DOOR.with_borrow_mut(|door| match door {
        Some(door) => door.try_clone().ok(),
        None => door
            .insert(TcpListener::bind("127.0.0.1:0").ok()?)
            .try_clone()
            .ok(),
    })?;
    let far = TcpStream::connect(door.local_addr().ok()?).ok()?;
    let (near, peer) = door.accept().ok()?;
    sockets::prepare(&near).ok()?;
    near.set_nonblocking(true).ok()?;
    Some((near, peer, far))
}

/// The process around the session: the client acts whenever the server waits for it.
struct Process {
    client: Rc<RefCell<Client>>,
    tree: Tree,
}

impl Host for Process {
    fn log_in(&mut self, user: &[u8], password: &Password) -> Result<Box<dyn Store>, Refusal> {
        match (user, password.as_bytes()) {
            (b"test", b"secret") => Ok(Box::new(Memory::new(&self.tree))),
            (_, b"too often") => Err(Refusal::NoMoreLogins("Goodbye.".to_owned())),
            _ => Err(Refusal::WrongLogin),
        }
    }

    fn doing(&mut self, what: Doing<'_>) {
        match what {
            Doing::Idle => self.client.borrow_mut().act(),
            Doing::Command { verb, argument } => {
                assert!(verb != "PASS" || argument == b"xxxx");
            }
        }
    }

    fn farewell(&self) -> String {
        "Server is shutting down.".to_owned()
    }

    fn transferred(&mut self, transfer: &Transfer<'_>) {
        assert_eq!(
            Path::root().resolve(transfer.path.as_bytes()),
            *transfer.path
        );
        assert!(transfer.user == b"test");
    }
}
