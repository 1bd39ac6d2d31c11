//! The state of the whole as Prometheus reads it, for the textfile collector of its node exporter.

use std::fmt::Write;

use super::Status;
use crate::board::Tally;
use crate::figures::{Event, Figures, Histogram, SECONDS, Wait};

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
        hooks(&mut page, &self.tally);
        mogilefs(&mut page, &self.figures);
        page.0
    }

    fn gauges(&self) -> [Row; 11] {
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
                "spool_leased_bytes",
                "Room in tmpdir that uploads were given, where spool_max limits it.",
                self.spool_leased,
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

fn hooks(page: &mut Page, tally: &Tally) {
    page.metric(
        "counter",
        "hooks_total",
        "Runs of the program that is told of uploads.",
        &[
            (r#"{result="ok"}"#, tally.hooks.done),
            (r#"{result="failed"}"#, tally.hooks.failed),
            (r#"{result="dropped"}"#, tally.hooks.dropped),
        ],
    );
}

fn mogilefs(page: &mut Page, figures: &Figures) {
    let count = |event| figures.events(event);
    page.metric(
        "counter",
        "create_close_verdicts_total",
        "What became of uploads that were closed.",
        &[
            (r#"{verdict="ok"}"#, count(Event::CloseOk)),
            (r#"{verdict="committed"}"#, count(Event::CloseCommitted)),
            (r#"{verdict="lost"}"#, count(Event::CloseLost)),
            (r#"{verdict="refused"}"#, count(Event::CloseRefused)),
            (r#"{verdict="unknown"}"#, count(Event::CloseUnknown)),
        ],
    );
    page.metric(
        "counter",
        "failures_total",
        "Trackers and storage nodes that did not answer.",
        &[
            (r#"{peer="tracker"}"#, count(Event::TrackerFailed)),
            (r#"{peer="node"}"#, count(Event::NodeFailed)),
        ],
    );
    page.metric(
        "counter",
        "retries_total",
        "Requests to trackers that were repeated or sent to a second one, other copies that were \
         turned to, uploads that were begun once more.",
        &[
            (r#"{what="request"}"#, count(Event::TrackerAgain)),
            (r#"{what="hedge"}"#, count(Event::TrackerHedged)),
            (r#"{what="copy"}"#, count(Event::CopyAgain)),
            (r#"{what="upload"}"#, count(Event::UploadAgain)),
        ],
    );
    page.metric(
        "counter",
        "resumes_total",
        "Downloads that went on from another copy.",
        &[("", count(Event::Resumed))],
    );
    latencies(page, figures);
}

fn latencies(page: &mut Page, figures: &Figures) {
    page.histogram(
        "tracker_request_seconds",
        "How long trackers took to answer.",
        &[
            (
                r#"command="create_open""#,
                figures.histogram(Wait::TrackerOpen),
            ),
            (
                r#"command="create_close""#,
                figures.histogram(Wait::TrackerClose),
            ),
            (r#"command="other""#, figures.histogram(Wait::Tracker)),
        ],
    );
    page.histogram(
        "node_request_seconds",
        "How long storage nodes took to answer: GET until the first byte, PUT with the body.",
        &[
            (r#"method="GET""#, figures.histogram(Wait::NodeGet)),
            (r#"method="HEAD""#, figures.histogram(Wait::NodeHead)),
            (r#"method="PUT""#, figures.histogram(Wait::NodePut)),
        ],
    );
}

struct Page(String);

impl Page {
    fn head(&mut self, kind: &str, name: &str, about: &str) {
        let _ = writeln!(self.0, "# HELP nanoftpd_{name} {about}");
        let _ = writeln!(self.0, "# TYPE nanoftpd_{name} {kind}");
    }

    fn metric(&mut self, kind: &str, name: &str, about: &str, values: &[(&str, u64)]) {
        self.head(kind, name, about);
        for (labels, value) in values {
            let _ = writeln!(self.0, "nanoftpd_{name}{labels} {value}");
        }
    }

    fn histogram(&mut self, name: &str, about: &str, values: &[(&str, Histogram<'_>)]) {
        self.head("histogram", name, about);
        for (label, histogram) in values {
            let bounds = SECONDS.iter().chain([&"+Inf"]);
            let mut count = 0;
            for (bound, cumulated) in bounds.zip(histogram.cumulated()) {
                count = cumulated;
                let _ = writeln!(
                    self.0,
                    "nanoftpd_{name}_bucket{{{label},le=\"{bound}\"}} {count}"
                );
            }
            let sum = histogram.sum();
            let (seconds, micros) = (sum.as_secs(), sum.subsec_micros());
            let _ = writeln!(
                self.0,
                "nanoftpd_{name}_sum{{{label}}} {seconds}.{micros:06}"
            );
            let _ = writeln!(self.0, "nanoftpd_{name}_count{{{label}}} {count}");
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
