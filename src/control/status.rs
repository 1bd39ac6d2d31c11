//! The state of the whole, for people and for programs.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::board::{Tally, Transfers};
use crate::text::{bare, json as string};

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
    pub argument: Vec<u8>,
    /// Since it connected or logged in.
    pub since: Duration,
}

impl Status {
    /// A summary, and a line for each session.
    #[must_use]
    pub fn table(&self) -> String {
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
        if !self.sessions.is_empty() {
            text.push_str(
                "\n    PID  SINCE     USER              PEER                     DOING\n",
            );
        }
        for session in &self.sessions {
            let user = match &session.user {
                Some(user) => bare(user),
                None => "-".to_owned(),
            };
            let doing = match session.verb.as_str() {
                "" => "idle".to_owned(),
                verb => format!("{verb} {}", bare(&session.argument)),
            };
            let _ = writeln!(
                text,
                "{:>7}  {:<8}  {user:<16}  {:<23}  {}",
                session.pid,
                time(session.since),
                session.peer.to_string(),
                doing.trim_end(),
            );
        }
        text
    }

    /// One JSON object: `version`, `pid`, `uptime` (seconds), `workers`, `idle`, `max_clients`,
    /// `trackers` (an array of strings), `sessions` (an array of objects: `pid`, `peer`, `user` or
    /// null, `module`, `verb`, `argument`, `since` in seconds), `shut` (true or false), `banned`
    /// (a number of addresses), `total` (an object: `sessions`, `refused`, `logins`,
    /// `failed_logins`, `bans`, `worker_deaths`, and for `uploads` and `downloads` each an object:
    /// `complete`, `incomplete`, `bytes`; all since the start). Members may be added.
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
    fn json(&self) -> String {
        let user = self
            .user
            .as_deref()
            .map_or_else(|| "null".to_owned(), string);
        format!(
            "{{\"pid\":{},\"peer\":\"{}\",\"user\":{user},\"module\":{},\"verb\":{},\
             \"argument\":{},\"since\":{}}}",
            self.pid,
            self.peer,
            string(self.module.as_bytes()),
            string(self.verb.as_bytes()),
            string(&self.argument),
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
mod tests {
    use super::*;

    fn status() -> Status {
        let session = |pid, user: Option<&[u8]>, verb: &str, argument: &[u8]| Session {
            pid,
            peer: ([192, 0, 2, 1], 4000).into(),
            user: user.map(<[u8]>::to_vec),
            module: if user.is_some() {
                "MogileFs".to_owned()
            } else {
                String::new()
            },
            verb: verb.to_owned(),
            argument: argument.to_vec(),
            since: Duration::from_secs(61),
        };
        Status {
            version: "1.2.3",
            pid: 7,
            uptime: Duration::from_secs(3 * 86_400 + 3600),
            workers: 5,
            idle: 3,
            max_clients: 256,
            trackers: vec![([127, 0, 0, 1], 7001).into()],
            is_shut: false,
            banned: 0,
            tally: Tally::default(),
            sessions: vec![
                session(10, None, "", b""),
                session(11, Some(b"a\"\x1b[2J"), "STOR", b"/x\ny"),
            ],
        }
    }

    #[test]
    fn people_get_a_line_a_session_whatever_its_client_is_called() {
        let table = status().table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 7, "{table}");
        assert_eq!(lines[0], "nanoftpd 1.2.3 (pid 7), up 3d01h");
        assert_eq!(lines[1], "2 of 256 sessions, 5 workers, 3 idle");
        assert!(
            lines[5].contains("1m01s") && lines[5].ends_with("idle"),
            "{table}"
        );
        assert!(lines[6].ends_with(r"STOR /x\ny"), "{table}");
        assert!(!table.contains('\x1b'));
    }

    #[test]
    fn programs_get_one_object() {
        let json = status().json();
        assert!(json.starts_with(r#"{"version":"1.2.3","pid":7,"uptime":262800,"workers":5,"#));
        assert!(json.contains(r#""trackers":["127.0.0.1:7001"]"#), "{json}");
        assert!(json.contains(r#"{"pid":10,"peer":"192.0.2.1:4000","user":null,"module":"","#));
        let escaped =
            r#""user":"a\"\u001b[2J","module":"MogileFs","verb":"STOR","argument":"/x\u000ay""#;
        assert!(json.contains(escaped), "{json}");
    }

    #[test]
    fn times_are_short() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m00s"),
            (3600, "1h00m"),
            (90_000, "1d01h"),
        ] {
            assert_eq!(time(Duration::from_secs(seconds)), expected);
        }
    }
}
