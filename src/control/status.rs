//! The state of the whole, for people and for programs.

use std::cmp::Reverse;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::board::{Tally, Transfers, Way};
use crate::figures::Figures;
use crate::text::{bare, json as string};
use crate::tls::Fading;

/// What is going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub version: &'static str,
    /// The master's.
    pub pid: u32,
    /// Since the master's start.
    pub uptime: Duration,
    /// All worker processes.
    pub workers: usize,
    /// Of these, the ones that wait for a client.
    pub idle: usize,
    pub max_clients: usize,
    /// Where the trackers are; those whose name could not be found out yet are missing.
    pub trackers: Vec<SocketAddr>,
    /// No new logins are taken.
    pub is_shut: bool,
    /// Addresses that are not let in for their failed logins.
    pub banned: usize,
    /// Certificates that end soon, or have ended, and lists of revoked ones that have.
    pub fading: Vec<Fading>,
    /// Room that uploads were given in `tmpdir`, in bytes.
    pub spool_leased: u64,
    /// Of trackers, storage nodes and commits.
    pub figures: Figures,
    /// Since the master's start.
    pub tally: Tally,
    /// By the worker's pid.
    pub sessions: Vec<Session>,
}

/// One client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The worker's.
    pub pid: i32,
    pub peer: SocketAddr,
    /// `None`: not logged in.
    pub user: Option<Vec<u8>>,
    /// The store module; empty: not logged in.
    pub module: String,
    /// The command that is being carried out; empty: it waits for one.
    pub verb: String,
    /// Of a transfer: the whole path.
    pub argument: Vec<u8>,
    /// Since it connected or logged in.
    pub since: Duration,
    /// What the running transfer has moved.
    pub bytes: u64,
    /// Bytes a second that it moves.
    pub rate: u64,
    /// Files that went over its data connections, in bytes.
    pub uploaded: u64,
    pub downloaded: u64,
}

impl Status {
    /// A summary, and a line for each session.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = self.summary();
        text.push_str(&rows(self.sessions.iter(), Width::Any));
        text
    }

    /// The same with what goes how fast, the fastest sessions first.
    #[must_use]
    pub fn top(&self) -> String {
        let rate = |way| {
            let sessions = self.sessions.iter();
            let going = sessions.filter(|one| Way::of(&one.verb) == Some(way));
            going.map(|one| one.rate).sum()
        };
        let mut text = self.summary();
        let (up, down) = (size(rate(Way::Up)), size(rate(Way::Down)));
        let _ = writeln!(text, "{up}/s up, {down}/s down");
        let mut sessions: Vec<&Session> = self.sessions.iter().collect();
        sessions.sort_by_key(|one| (Reverse(one.rate), one.verb.is_empty(), one.pid));
        text.push_str(&rows(sessions.into_iter(), Width::Eighty));
        text
    }

    fn summary(&self) -> String {
        let mut text = format!(
            "nanoftpd {} (pid {}), up {}\n{} of {} sessions, {} workers, {} idle\ntrackers: {}\n",
            self.version,
            self.pid,
            time(self.uptime),
            self.sessions.len(),
            self.max_clients,
            self.workers,
            self.idle,
            self.trackers(", "),
        );
        if self.is_shut {
            text.push_str("shut: no new logins\n");
        }
        if self.banned > 0 {
            let _ = writeln!(text, "banned: {} addresses", self.banned);
        }
        for fading in &self.fading {
            let _ = writeln!(text, "{} {fading}", fading.kind);
        }
        text
    }

    /// One JSON object; nanoftpd(8) says what is in it.
    #[must_use]
    pub fn json(&self) -> String {
        let trackers: Vec<String> = self
            .trackers
            .iter()
            .map(|tracker| format!("\"{tracker}\""))
            .collect();
        let sessions: Vec<String> = self.sessions.iter().map(Session::json).collect();
        format!(
            "{{\"version\":\"{}\",\"pid\":{},\"uptime\":{},\"workers\":{},\"idle\":{},\
             \"max_clients\":{},\"trackers\":[{}],\"sessions\":[{}],\
             \"shut\":{},\"banned\":{},\"total\":{}}}\n",
            self.version,
            self.pid,
            self.uptime.as_secs(),
            self.workers,
            self.idle,
            self.max_clients,
            trackers.join(","),
            sessions.join(","),
            self.is_shut,
            self.banned,
            total(&self.tally),
        )
    }

    fn trackers(&self, between: &str) -> String {
        let trackers: Vec<String> = self.trackers.iter().map(ToString::to_string).collect();
        if trackers.is_empty() {
            "none found yet".to_owned()
        } else {
            trackers.join(between)
        }
    }
}

impl Session {
    /// Of the file that goes over its data connection.
    fn path(&self) -> Option<&[u8]> {
        let is_file = matches!(self.verb.as_str(), "RETR" | "STOR" | "STOU" | "APPE");
        is_file.then_some(&self.argument)
    }

    fn row(&self, width: Width) -> String {
        let user = match &self.user {
            Some(user) => bare(user).to_string(),
            None => "-".to_owned(),
        };
        let doing = match self.verb.as_str() {
            "" => "idle".to_owned(),
            verb => format!("{verb} {}", bare(&self.argument)),
        };
        let moved = match Way::of(&self.verb) {
            Some(_) => (size(self.bytes), format!("{}/s", size(self.rate))),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let (pid, since, (bytes, rate)) = (self.pid, time(self.since), moved);
        let doing = doing.trim_end();
        match width {
            Width::Any => {
                let peer = self.peer.to_string();
                format!(
                    "{pid:>7}  {since:<8}  {user:<16}  {peer:<23}  {bytes:>6}  {rate:>8}  {doing}\n"
                )
            }
            Width::Eighty => {
                let peer = self.peer.ip().to_canonical().to_string();
                format!("{pid:>7} {since:<6} {user:<12} {peer:<15} {bytes:>5} {rate:>7} {doing}\n")
            }
        }
    }

    fn json(&self) -> String {
        let user = self
            .user
            .as_deref()
            .map_or_else(|| "null".to_owned(), string);
        format!(
            "{{\"pid\":{},\"peer\":\"{}\",\"user\":{user},\"module\":{},\"verb\":{},\
             \"argument\":{},\"path\":{},\"bytes\":{},\"rate\":{},\"uploaded\":{},\
             \"downloaded\":{},\"since\":{}}}",
            self.pid,
            self.peer,
            string(self.module.as_bytes()),
            string(self.verb.as_bytes()),
            string(&self.argument),
            self.path().map_or_else(|| "null".to_owned(), string),
            self.bytes,
            self.rate,
            self.uploaded,
            self.downloaded,
            self.since.as_secs(),
        )
    }
}

fn total(tally: &Tally) -> String {
    let way = |way: &Transfers| {
        format!(
            "{{\"complete\":{},\"incomplete\":{},\"bytes\":{}}}",
            way.complete, way.incomplete, way.bytes
        )
    };
    format!(
        "{{\"sessions\":{},\"refused\":{},\"logins\":{},\"failed_logins\":{},\"bans\":{},\
         \"worker_deaths\":{},\"uploads\":{},\"downloads\":{}}}",
        tally.sessions,
        tally.refused,
        tally.logins,
        tally.failed_logins,
        tally.bans,
        tally.worker_deaths,
        way(&tally.uploads),
        way(&tally.downloads),
    )
}

/// How much room there is for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Any,
    /// What a command does begins well before the edge of a terminal.
    Eighty,
}

/// A line for each session, under a line of headings.
fn rows<'a>(sessions: impl Iterator<Item = &'a Session>, width: Width) -> String {
    let rows: String = sessions.map(|one| one.row(width)).collect();
    let heading = match width {
        Width::Any => {
            "\n    PID  SINCE     USER              PEER                      BYTES      RATE  DOING\n"
        }
        Width::Eighty => "\n    PID SINCE  USER         PEER            BYTES    RATE DOING\n",
    };
    if rows.is_empty() {
        rows
    } else {
        format!("{heading}{rows}")
    }
}

/// `999`, `9.9K`, `99K`, `999K`, `1.0M` …
fn size(bytes: u64) -> String {
    const LETTERS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    let (mut tenths, mut letter) = (bytes.saturating_mul(10), None);
    for next in LETTERS {
        if tenths < 10_000 {
            break;
        }
        (tenths, letter) = (tenths / 1024, Some(next));
    }
    match letter {
        None => bytes.to_string(),
        Some(letter) if tenths < 100 => format!("{}.{}{letter}", tenths / 10, tenths % 10),
        Some(letter) => format!("{}{letter}", tenths / 10),
    }
}

/// `59s`, `59m59s`, `23h59m`, `9d23h`.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests;
