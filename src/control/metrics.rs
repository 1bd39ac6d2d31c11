//! The state of the whole as Prometheus reads it, for the textfile collector of its node exporter.

use std::fmt::Write;

use super::Status;

impl Status {
    /// In the text format, version 0.0.4: gauges of now, and counters since the master's start.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut page = Page(String::new());
        let tally = &self.tally;
        page.gauge("up", "The daemon answers.", 1);
        page.gauge(
            "uptime_seconds",
            "Since the master's start.",
            self.uptime.as_secs(),
        );
        page.gauge("sessions", "Clients now.", number(self.sessions.len()));
        let members = self.sessions.iter().filter(|one| one.user.is_some());
        page.gauge(
            "sessions_logged_in",
            "Clients that have logged in.",
            number(members.count()),
        );
        page.gauge(
            "sessions_max",
            "max_clients of the configuration.",
            number(self.max_clients),
        );
        page.gauge("workers", "Worker processes.", number(self.workers));
        page.gauge(
            "workers_idle",
            "Workers that wait for a client.",
            number(self.idle),
        );
        page.gauge(
            "trackers",
            "Trackers whose address is known.",
            number(self.trackers.len()),
        );
        page.gauge(
            "addresses_banned",
            "Addresses that are not let in.",
            number(self.banned),
        );
        page.gauge(
            "shut",
            "Whether logins are shut off.",
            u64::from(self.is_shut),
        );
        for (name, about, value) in [
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
        ] {
            page.counter(name, about, &[("", value)]);
        }
        let (up, down) = (&tally.uploads, &tally.downloads);
        page.counter(
            "transfers_total",
            "Transfers of files that ended.",
            &[
                (r#"{direction="in",complete="yes"}"#, up.complete),
                (r#"{direction="in",complete="no"}"#, up.incomplete),
                (r#"{direction="out",complete="yes"}"#, down.complete),
                (r#"{direction="out",complete="no"}"#, down.incomplete),
            ],
        );
        page.counter(
            "transfer_bytes_total",
            "Bytes of files that went over data connections.",
            &[
                (r#"{direction="in"}"#, up.bytes),
                (r#"{direction="out"}"#, down.bytes),
            ],
        );
        page.0
    }
}

struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, about: &str, value: u64) {
        self.metric("gauge", name, about, &[("", value)]);
    }

    fn counter(&mut self, name: &str, about: &str, values: &[(&str, u64)]) {
        self.metric("counter", name, about, values);
    }

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
