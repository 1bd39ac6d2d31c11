//! Every state of a session × every verb × every kind of argument: which reply codes RFC 959 §5.4,
//! RFC 2228, RFC 2389, RFC 2428 and RFC 3659 allow. Each cell is a session of its own over a real
//! socket, in which the command gets one final reply and the next command is answered.
//!
//! `NANOFTPD_CONFORMANCE=host:port` and `NANOFTPD_CONFORMANCE_LOGIN=user:password` try another
//! server.
#![cfg(test)]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::{Daemon, Ftp, PATIENCE, say, unique};

/// A command | codes before the login | codes after it.
///
/// `{file}` and `{dir}` exist and are the cell's own, `{new}` and `{none}` do not exist.
const TABLE: &str = include_str!("conformance.txt");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Greeted,
    Named,
    LoggedIn,
    Renaming,
    Resting,
    Passive,
    Transferring,
}

impl State {
    const ALL: [(&'static str, Self); 7] = [
        ("greeted", Self::Greeted),
        ("named", Self::Named),
        ("logged-in", Self::LoggedIn),
        ("renaming", Self::Renaming),
        ("resting", Self::Resting),
        ("passive", Self::Passive),
        ("transferring", Self::Transferring),
    ];
}

#[derive(Debug)]
struct Row {
    command: String,
    visitor: Vec<u16>,
    member: Vec<u16>,
    /// What is allowed instead in a state.
    special: Vec<(State, Vec<u16>)>,
}

impl Row {
    fn allowed(&self, state: State) -> &[u16] {
        let mut special = self.special.iter();
        match special.find(|(special, _)| *special == state) {
            Some((_, codes)) => codes,
            None if matches!(state, State::Greeted | State::Named) => &self.visitor,
            None => &self.member,
        }
    }
}

fn codes(text: &str) -> Vec<u16> {
    let words = text.split_whitespace();
    words.map(|word| word.parse().expect(text)).collect()
}

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in TABLE.lines() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(special) = line.strip_prefix("  ") {
            let (name, allowed) = special.split_once(':').expect(line);
            let state = State::ALL.iter().find(|(known, _)| *known == name.trim());
            let row = rows.last_mut().expect(line);
            row.special.push((state.expect(line).1, codes(allowed)));
            continue;
        }
        let [command, visitor, member] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not a row: {line}");
        };
        rows.push(Row {
            command: command.trim_end().replace("{empty}", ""),
            visitor: codes(visitor),
            member: codes(member),
            special: Vec::new(),
        });
    }
    rows
}

/// The server under test.
struct Server {
    address: SocketAddr,
    user: String,
    password: String,
    /// A file that is larger than what the kernel takes on its own.
    large: String,
    _own: Option<Daemon>,
}

const LARGE: usize = 16 << 20;

impl Server {
    fn find() -> Self {
        let large = format!("large-{}", unique());
        if let Ok(address) = std::env::var("NANOFTPD_CONFORMANCE") {
            let login = std::env::var("NANOFTPD_CONFORMANCE_LOGIN").unwrap();
            let (user, password) = login.split_once(':').unwrap();
            return Self {
                address: address.parse().unwrap(),
                user: user.to_owned(),
                password: password.to_owned(),
                large,
                _own: None,
            };
        }
        let daemon = Daemon::of_files(&[
            ("pool.sessions_per_worker", "100000"),
            ("pool.min_spare", "8"),
            ("pool.max_spare", "20"),
            ("logging.level", "info"),
        ]);
        Self {
            address: daemon.address,
            user: "test".to_owned(),
            password: "test".to_owned(),
            large,
            _own: Some(daemon),
        }
    }

    fn log_in(&self) -> Ftp {
        let mut ftp = Ftp::connect(self.address);
        ftp.log_in(&self.user, &self.password);
        ftp.expect("TYPE I", 200);
        ftp
    }
}

/// A session that makes what the cells need.
struct Stagehand(Ftp);

impl Stagehand {
    fn set(&mut self, command: &str) -> String {
        let name = unique();
        let mut text = command.to_owned();
        if text.contains("{file}") {
            let file = format!("file-{name}");
            self.0.store(&file, b"some text\r\n");
            text = text.replace("{file}", &file);
        }
        if text.contains("{dir}") {
            let dir = format!("dir-{name}");
            self.0.expect(&format!("MKD {dir}"), 257);
            text = text.replace("{dir}", &dir);
        }
        text.replace("{new}", &format!("new-{name}"))
            .replace("{none}", &format!("none-{name}"))
    }
}

/// A session in its state.
struct Scene {
    ftp: Ftp,
    data: Option<TcpStream>,
}

fn epsv(ftp: &mut Ftp) -> TcpStream {
    let reply = ftp.expect("EPSV", 229);
    let port = reply.split('|').nth(3).unwrap().parse().unwrap();
    let address = SocketAddr::new(ftp.control().peer_addr().unwrap().ip(), port);
    let data = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    data.set_read_timeout(Some(PATIENCE)).unwrap();
    data
}

fn enter(server: &Server, state: State, stagehand: &mut Stagehand) -> Scene {
    let (mut ftp, mut data) = match state {
        State::Greeted | State::Named => (Ftp::connect(server.address), None),
        _ => (server.log_in(), None),
    };
    match state {
        State::Greeted | State::LoggedIn => {}
        State::Named => {
            ftp.expect(&format!("USER {}", server.user), 331);
        }
        State::Renaming => {
            ftp.expect(&stagehand.set("RNFR {file}"), 350);
        }
        State::Resting => {
            ftp.expect("REST 1", 350);
        }
        State::Passive => data = Some(epsv(&mut ftp)),
        State::Transferring => {
            data = Some(epsv(&mut ftp));
            ftp.expect(&format!("RETR {}", server.large), 150);
        }
    }
    Scene { ftp, data }
}

/// Plays one cell; what was wrong with it.
fn play(server: &Server, state: State, row: &Row, stagehand: &mut Stagehand) -> Result<(), String> {
    let login = row.command.replace("{user}", &server.user);
    let login = login.replace("{password}", &server.password);
    let command = stagehand.set(&login);
    let Scene { mut ftp, data } = enter(server, state, stagehand);
    ftp.send(format!("{command}\r\n").as_bytes());
    let verb = command.split(' ').next().unwrap_or_default();
    let mut data = data;
    if state == State::Transferring && !matches!(&*command, "ABOR" | "STAT" | "NOOP") {
        // It waits for its turn.
        drain(data.take());
        let (code, text) = ftp.reply();
        check(&[226, 250], code, &text)?;
    }
    let (code, text) = ftp.reply();
    check(row.allowed(state), code, &text)?;
    let last = match code {
        100..200 => {
            finish(data.take(), verb);
            let (last, text) = ftp.reply();
            let mut allowed = vec![226, 250];
            allowed.extend(row.allowed(state).iter().filter(|code| **code >= 400));
            check(&allowed, last, &text)?;
            last
        }
        code => code,
    };
    if state == State::Transferring && data.is_some() {
        drain(data.take());
        let (code, text) = ftp.reply();
        check(&[225, 226, 250], code, &text)?;
    }
    if matches!(last, 221 | 234 | 421) {
        return Ok(());
    }
    // Nothing more was said, and the session goes on.
    ftp.send(b"NOOP\r\n");
    let (code, text) = ftp.reply();
    check(&[200], code, &format!("NOOP behind it: {text}"))
}

fn check(allowed: &[u16], code: u16, text: &str) -> Result<(), String> {
    if allowed.contains(&code) {
        return Ok(());
    }
    Err(format!("{text:?} instead of {allowed:?}"))
}

/// Takes all that comes, to the end.
fn drain(data: Option<TcpStream>) {
    let mut block = vec![0; 1 << 18];
    if let Some(mut data) = data {
        while data.read(&mut block).is_ok_and(|count| count > 0) {}
    }
}

fn finish(data: Option<TcpStream>, verb: &str) {
    let mut data = data.expect("150 without a data connection");
    if matches!(verb, "STOR" | "STOU" | "APPE") {
        let _ = data.write_all(b"some bytes");
    } else {
        drain(Some(data));
    }
}

#[test]
fn every_command_in_every_state_gets_a_reply_that_the_rfcs_allow() {
    let server = Server::find();
    let rows = rows();
    server.log_in().store(&server.large, &vec![b'x'; LARGE]);
    let cells: Vec<(&str, State, &Row)> = rows
        .iter()
        .flat_map(|row| State::ALL.map(|(name, state)| (name, state, row)))
        .collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut stagehand = Stagehand(server.log_in());
                while let Some((name, state, row)) = cells.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    if let Err(why) = play(&server, *state, row, &mut stagehand) {
                        let line = format!("{name}: {}: {why}", row.command);
                        wrong.lock().unwrap().push(line);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    say(&format!("{} cells, {} wrong", cells.len(), wrong.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
