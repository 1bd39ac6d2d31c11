//! Sessions over real sockets, with a store in memory and a process that does nothing: one server
//! thread for each test.

mod commands;
mod lists;
mod meanwhile;
mod memory;
mod routes;
mod sums;
mod transfers;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::{Doing, Host, Refusal, Settings, Transfer, serve};
use crate::auth::Password;
use crate::config::Config;
use crate::store::Store;
use crate::sys::sockets;
use crate::vigil::{self, Verdict};

use memory::{Memory, Shared};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// One server with one session.
struct Server {
    address: SocketAddr,
    files: Shared,
    log: Arc<Mutex<Vec<String>>>,
    /// A byte written here is the master's word to leave.
    bell: UnixStream,
    thread: JoinHandle<()>,
}

struct Process {
    files: Shared,
    log: Arc<Mutex<Vec<String>>>,
}

impl Host for Process {
    fn log_in(&mut self, user: &[u8], password: &Password) -> Result<Box<dyn Store>, Refusal> {
        match (user, password.as_bytes()) {
            (b"test", b"secret") => Ok(Box::new(Memory::new(&self.files))),
            (b"test", b"no tracker") => Err(Refusal::Unavailable("no tracker".into())),
            _ => Err(Refusal::WrongLogin),
        }
    }

    fn doing(&mut self, what: Doing<'_>) {
        let line = match what {
            Doing::Idle => "idle".to_owned(),
            Doing::Command { verb, argument } => {
                format!("{verb} {}", String::from_utf8_lossy(argument))
            }
        };
        self.log.lock().unwrap().push(line);
    }

    fn farewell(&self) -> String {
        "Server is shutting down.".into()
    }

    fn transferred(&mut self, transfer: &Transfer<'_>) {
        let Transfer {
            direction,
            path,
            bytes,
            complete,
            ..
        } = transfer;
        let line = format!("{direction:?} {path} {bytes} {complete}");
        self.log.lock().unwrap().push(line);
    }
}

impl Server {
    fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts with a configuration that `change` has changed.
    fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on("127.0.0.1:0", change)
    }

    fn on(address: &str, change: impl FnOnce(&mut Config)) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = Config::default();
        config.nanoftpd.server_name = "test server".into();
        (config.nanoftpd.low_port, config.nanoftpd.high_port) = (20_000, 32_000);
        change(&mut config);
        let files = Shared::default();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (bell, ear) = UnixStream::pair().unwrap();
        let mut process = Process {
            files: Arc::clone(&files),
            log: Arc::clone(&log),
        };
        let thread = std::thread::spawn(move || {
            let (control, peer) = listener.accept().unwrap();
            sockets::prepare(&control).unwrap();
            control.set_nonblocking(true).unwrap();
            let _watch = vigil::watch(ear.as_fd(), || Verdict::Leave).unwrap();
            let settings = Settings {
                nanoftpd: &config.nanoftpd,
                passive: &config.passive,
                limits: &config.limits,
                zone: jiff::tz::TimeZone::UTC,
                announce: None,
                session: "5e551017".into(),
                proxied: None,
                security: None,
            };
            serve(control, peer, &settings, &mut process);
        });
        Self {
            address,
            files,
            log,
            bell,
            thread,
        }
    }

    /// Connects and takes the greeting.
    fn connect(&self) -> Client {
        let mut client = self.connect_from(Ipv4Addr::LOCALHOST.into());
        client.expect_reply(220);
        client
    }

    /// Connects as somebody else on this machine.
    fn connect_from(&self, own: IpAddr) -> Client {
        let own = if self.address.is_ipv4() {
            own
        } else {
            self.address.ip()
        };
        Client::new(connect_from(own, self.address))
    }

    /// Connects and logs in.
    fn log_in(&self) -> Client {
        let mut client = self.connect();
        client.log_in();
        client
    }

    fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.files.lock().unwrap().put(path, bytes.into());
    }

    fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.files.lock().unwrap().file(path)
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The master wants the session to end.
    fn ring(&mut self) {
        self.bell.write_all(b"x").unwrap();
    }

    /// Waits for the end of the session.
    fn ended(self) -> Vec<String> {
        self.thread.join().unwrap();
        Arc::into_inner(self.log).unwrap().into_inner().unwrap()
    }
}

fn connect_from(own: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(own, 0).into()).unwrap();
    socket.connect_timeout(&to.into(), PATIENCE).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The client's end of a control connection.
struct Client {
    control: BufReader<TcpStream>,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self {
            control: BufReader::new(stream),
        }
    }

    fn log_in(&mut self) {
        self.ask("USER test", 331);
        self.ask("PASS secret", 230);
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.control.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a command; its reply must have `code`.
    fn ask(&mut self, command: &str, code: u16) -> String {
        self.send(format!("{command}\r\n"));
        let (found, text) = self.reply();
        assert_eq!(found, code, "{command}: {text}");
        text
    }

    fn reply(&mut self) -> (u16, String) {
        let mut text = self.line();
        let code = text[..3].parse().unwrap();
        if text.as_bytes()[3] == b'-' {
            loop {
                let line = self.line();
                text.push('\n');
                text.push_str(&line);
                if line.starts_with(&format!("{code} ")) {
                    break;
                }
            }
        }
        (code, text)
    }

    fn expect_reply(&mut self, code: u16) -> String {
        let (found, text) = self.reply();
        assert_eq!(found, code, "{text}");
        text
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.control.read_until(b'\n', &mut line).unwrap();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.strip_suffix("\r\n")
            .unwrap_or_else(|| panic!("no CRLF: {line:?}"))
            .to_owned()
    }

    /// The server has nothing more to say.
    fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.control.read_to_end(&mut rest).unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    fn own_address(&self) -> SocketAddr {
        self.control.get_ref().local_addr().unwrap()
    }

    /// Where PASV says that the server listens.
    fn pasv(&mut self) -> SocketAddr {
        let text = self.ask("PASV", 227);
        let numbers = text.split(['(', ')']).nth(1).unwrap();
        let n: Vec<u8> = numbers.split(',').map(|n| n.parse().unwrap()).collect();
        SocketAddr::from(([n[0], n[1], n[2], n[3]], u16::from_be_bytes([n[4], n[5]])))
    }

    /// PASV, and the data connection to it.
    fn passive(&mut self) -> TcpStream {
        let address = self.pasv();
        connect_from(self.own_address().ip(), address)
    }

    /// Fetches what a command sends over a passive data connection.
    fn fetch(&mut self, command: &str) -> Vec<u8> {
        let mut data = self.passive();
        self.ask(command, 150);
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).unwrap();
        drop(data);
        self.expect_reply(226);
        bytes
    }

    fn fetch_text(&mut self, command: &str) -> String {
        String::from_utf8(self.fetch(command)).unwrap()
    }

    /// Stores `bytes`; the last reply must have `code`.
    fn store(&mut self, command: &str, bytes: &[u8], code: u16) -> String {
        let mut data = self.passive();
        self.ask(command, 150);
        data.write_all(bytes).unwrap();
        drop(data);
        self.expect_reply(code)
    }

    /// Closes our side of the connection in good order.
    fn half_close(&mut self) {
        self.control.get_ref().shutdown(Shutdown::Write).unwrap();
    }
}

/// Closes a connection with a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}
