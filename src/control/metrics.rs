//! The state of the whole as Prometheus reads it, for the textfile collector of its node exporter.

use std::fmt::Write;

use super::Status;
use crate::board::Tally;

impl Status {
    /// In the text format, version 0.0.4: gauges of now, and counters since the master's start.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut page = Page(String::new());
        for (name, about, value) in self.gauges() {
            page.metric("gauge", name, about, &[("", value)]);
        }
        for (name, about, value) in events(&self.tally) {
            page.metric("counter", name, about, &[("", value)]);
        }
        transfers(&mut page, &self.tally);
        page.0
    }

    fn gauges(&self) -> [Row; 10] {
        let members = self.sessions.iter().filter(|one| one.user.is_some());
        let members = number(members.count());
        let sessions = number(self.sessions.len());
        [
            ("up", "The daemon answers.", 1),
            (
                "uptime_seconds",
                "Since the master's start.",
                self.uptime.as_secs(),
            ),
            ("sessions", "Clients now.", sessions),
            (
                "sessions_logged_in",
                "Clients that have logged in.",
                members,
            ),
            (
                "sessions_max",
                "max_clients of the configuration.",
                number(self.max_clients),
            ),
            ("workers", "Worker processes.", number(self.workers)),
            (
                "workers_idle",
                "Workers that wait for a client.",
                number(self.idle),
            ),
            (
                "trackers",
                "Trackers whose address is known.",
                number(self.trackers.len()),
            ),
            (
                "addresses_banned",
                "Addresses that are not let in.",
                number(self.banned),
            ),
            (
                "shut",
                "Whether logins are shut off.",
                u64::from(self.is_shut),
            ),
        ]
    }
}

/// Name, purpose and value of a metric.
type Row = (&'static str, &'static str, u64);

fn events(tally: &Tally) -> [Row; 6] {
    [
        (
            "sessions_total",
            "Clients that were let in.",
            tally.sessions,
        ),
        ("refused_total", "Clients that were not.", tally.refused),
        ("logins_total", "Logins.", tally.logins),
        (
            "login_failures_total",
            "Failed logins.",
            tally.failed_logins,
        ),
        ("bans_total", "Addresses that were banned.", tally.bans),
        (
            "worker_deaths_total",
            "Workers that ended otherwise than they should.",
            tally.worker_deaths,
        ),
    ]
}

fn transfers(page: &mut Page, tally: &Tally) {
    let (up, down) = (&tally.uploads, &tally.downloads);
    page.metric(
        "counter",
        "transfers_total",
        "Transfers of files that ended.",
        &[
            (r#"{direction="in",complete="yes"}"#, up.complete),
            (r#"{direction="in",complete="no"}"#, up.incomplete),
            (r#"{direction="out",complete="yes"}"#, down.complete),
            (r#"{direction="out",complete="no"}"#, down.incomplete),
        ],
    );
    page.metric(
        "counter",
        "transfer_bytes_total",
        "Bytes of files that went over data connections.",
        &[
            (r#"{direction="in"}"#, up.bytes),
            (r#"{direction="out"}"#, down.bytes),
        ],
    );
}

struct Page(String);

impl Page {
    fn metric(&mut self, kind: &str, name: &str, about: &str, values: &[(&str, u64)]) {
        let _ = writeln!(self.0, "# HELP nanoftpd_{name} {about}");
        let _ = writeln!(self.0, "# TYPE nanoftpd_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(self.0, "nanoftpd_{name}{labels} {value}");
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
