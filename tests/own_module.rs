//! A site's own module, as docs/ARCHITECTURE.md shows it: a namespace with another convention for
//! keys, behind a real session and in front of a real tracker.
#![cfg(test)]

mod support;

use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use nanoftpd::auth::Password;
use nanoftpd::config::Config;
use nanoftpd::ftp::{self, Doing, Host, Refusal, Settings, Transfer};
use nanoftpd::mogilefs::Client;
use nanoftpd::path::Path;
use nanoftpd::store::Store;
use nanoftpd::store::mogile::MogileFs;
use nanoftpd::store::mogile::layout::{Layout, Place, Spot};
use nanoftpd::sys::sockets;
use support::{Cluster, Ftp, Scratch};

/// Keys are whole paths, without a class in front: the class follows from how the name ends.
pub struct ByEnding {
    domain: Vec<u8>,
}

impl Layout for ByEnding {
    fn place(&self, path: &Path) -> Place {
        let is_photo = path.name().ends_with(b".jpg");
        Place::Key(Spot {
            domain: self.domain.clone(),
            class: if is_photo { "photos" } else { "docs" }.into(),
            key: path.relative().to_vec(),
        })
    }

    fn path(&self, domain: &[u8], key: &[u8]) -> Option<Path> {
        let path = Path::root().resolve(key);
        (domain == self.domain && path.relative() == key).then_some(path)
    }
}

#[test]
fn the_paper_shows_what_is_compiled_here() {
    let paper = include_str!("../docs/ARCHITECTURE.md");
    let (_, rest) = paper.split_once("```rust\n").unwrap();
    let (shown, _) = rest.split_once("```\n").unwrap();
    assert!(include_str!("own_module.rs").contains(shown), "{shown}");
    // What its steps tell to change is where they say.
    let worker = include_str!("../src/worker/members.rs");
    let auth = include_str!("../src/auth/mod.rs");
    assert!(worker.contains("match account.module {") && auth.contains("const MODULES:"));
}

#[test]
fn a_layout_is_a_pure_function_and_its_way_back() {
    let layout = ByEnding { domain: "d".into() };
    for (path, class) in [("/2026/a.jpg", "photos"), ("/a.txt", "docs")] {
        let path = Path::root().resolve(path.as_bytes());
        let Place::Key(spot) = layout.place(&path) else {
            panic!("{path} is no file");
        };
        assert_eq!((spot.class, &*spot.key), (class.into(), path.relative()));
        assert_eq!(layout.path(b"d", path.relative()), Some(path));
    }
    assert_eq!(layout.path(b"d", b"a//b"), None);
    assert_eq!(layout.path(b"other", b"a"), None);
}

/// What a worker is in the daemon.
struct Site {
    config: Config,
    tracker: SocketAddr,
    domain: String,
}

impl Host for Site {
    fn log_in(&mut self, _user: &[u8], _password: &Password) -> Result<Box<dyn Store>, Refusal> {
        let settings = self.config.mogilefs.clone();
        let client = Client::new(&settings, vec![self.tracker]);
        let layout = ByEnding {
            domain: self.domain.as_str().into(),
        };
        let tmpdir = self.config.nanoftpd.tmpdir.clone();
        let store = MogileFs::new(client, Box::new(layout), settings, tmpdir);
        Ok(Box::new(store))
    }

    fn doing(&mut self, _what: Doing<'_>) {}

    fn farewell(&self) -> String {
        String::new()
    }

    fn transferred(&mut self, _transfer: &Transfer<'_>) {}
}

/// Serves one session.
fn serve(mut site: Site) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (control, peer) = listener.accept().unwrap();
        control.set_nonblocking(true).unwrap();
        sockets::prepare(&control).unwrap();
        let config = site.config.clone();
        let settings = Settings {
            nanoftpd: &config.nanoftpd,
            passive: &config.passive,
            limits: &config.limits,
            zone: jiff::tz::TimeZone::UTC,
            announce: None,
            session: "own".to_owned(),
            proxied: None,
            security: None,
        };
        ftp::serve(control, peer, &settings, &mut site);
    });
    (address, server)
}

#[test]
fn a_session_uses_it_like_any_other() {
    let cluster = Cluster::start();
    let scratch = Scratch::new();
    let mut config = Config::default();
    config.nanoftpd.tmpdir = scratch.open_dir("tmp");
    let (address, server) = serve(Site {
        config,
        tracker: cluster.address,
        domain: cluster.domain.clone(),
    });
    let mut ftp = Ftp::connect(address);
    ftp.log_in("anybody", "anything");
    ftp.expect("TYPE I", 200);
    ftp.store("/2026/a.jpg", b"a photo");
    ftp.store("/2026/b.txt", b"a text");
    assert_eq!(cluster.keys(), ["2026/a.jpg", "2026/b.txt"]);
    assert_eq!(cluster.class("2026/a.jpg").unwrap(), "photos");
    assert_eq!(cluster.class("2026/b.txt").unwrap(), "docs");
    assert_eq!(cluster.content("2026/a.jpg").unwrap(), b"a photo");

    assert_eq!(ftp.lines("NLST"), ["2026"]);
    ftp.expect("CWD 2026", 250);
    assert_eq!(ftp.lines("NLST"), ["a.jpg", "b.txt"]);
    assert_eq!(ftp.fetch("RETR b.txt"), b"a text");
    // Another ending is another class.
    ftp.expect("RNFR b.txt", 350);
    ftp.expect("RNTO b.jpg", 250);
    assert_eq!(cluster.class("2026/b.jpg").unwrap(), "photos");
    ftp.expect("DELE a.jpg", 250);
    ftp.expect("DELE b.jpg", 250);
    assert_eq!(cluster.keys(), [""; 0]);
    ftp.expect("QUIT", 221);
    server.join().unwrap();
}
