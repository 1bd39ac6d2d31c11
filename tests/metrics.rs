//! What Prometheus reads: its form, to the letter, and that the numbers are what happened.
#![cfg(test)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Cluster, Daemon, eventually, noise};

/// Name with labels → value.
type Samples = BTreeMap<String, f64>;

fn page(daemon: &Daemon) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanoftpd"));
    command.arg("-c").arg(daemon.conf());
    let output = command.args(["status", "--prometheus"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.starts_with("nanoftpd_") && text.chars().all(legal)
}

/// The labels of a sample, in their order.
fn labels(text: &str) -> Vec<(&str, &str)> {
    let label = |pair: &'_ str| -> Option<(usize, usize)> {
        let (name, value) = pair.split_once("=\"")?;
        let is_sound = name.chars().all(|c| c.is_ascii_lowercase());
        (is_sound && value.ends_with('"')).then_some((name.len(), value.len() - 1))
    };
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    let parsed = pairs.map(|pair| {
        let (name, value) = label(pair).unwrap_or_else(|| panic!("{pair}"));
        (&pair[..name], &pair[name + 2..name + 2 + value])
    });
    parsed.collect()
}

/// The text format, version 0.0.4: each family has its HELP and its TYPE before its samples, which
/// stand together; no sample is there twice; histograms are cumulative up to `+Inf`, which is
/// `_count`.
fn parse(page: &str) -> Samples {
    let mut samples = Samples::new();
    let mut families: BTreeSet<&str> = BTreeSet::new();
    let (mut family, mut kind, mut about) = ("", "", "");
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && !text.is_empty(), "{line}");
            assert!(families.insert(name), "twice: {line}");
            (family, about, kind) = (name, name, "");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, word) = rest.split_once(' ').unwrap();
            assert_eq!((name, kind), (about, ""), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&word), "{line}");
            assert_eq!(word == "counter", name.ends_with("_total"), "{line}");
            kind = word;
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            let suffix = name.strip_prefix(family).unwrap();
            let is_part = ["_bucket", "_sum", "_count"].contains(&suffix);
            assert_eq!(kind == "histogram", is_part, "{line}");
            assert!(is_part || suffix.is_empty(), "{line}");
            if let Some((_, rest)) = sample.split_once('{') {
                labels(rest.strip_suffix('}').unwrap());
            }
            let value = value.parse().unwrap();
            assert!(samples.insert(sample.to_owned(), value).is_none(), "{line}");
        }
    }
    histograms(page, &samples);
    samples
}

fn histograms(page: &str, samples: &Samples) {
    let mut rows: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in page.lines().filter(|line| line.contains("_bucket{")) {
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let (name, rest) = sample.split_once("_bucket{").unwrap();
        let (others, bound) = rest.split_once("le=\"").unwrap();
        let bound = bound.strip_suffix("\"}").unwrap();
        let bound = if bound == "+Inf" {
            f64::INFINITY
        } else {
            bound.parse().unwrap()
        };
        let key = format!("{name}_WHAT{{{}}}", others.trim_end_matches(','));
        rows.entry(key)
            .or_default()
            .push((bound, value.parse().unwrap()));
    }
    assert_eq!(rows.len(), 6, "two of three labels each");
    for (key, row) in rows {
        assert!(
            row.is_sorted_by(|one, two| one.0 < two.0 && one.1 <= two.1),
            "{key}: {row:?}"
        );
        let (bound, all) = *row.last().unwrap();
        assert_eq!(bound, f64::INFINITY, "{key}");
        assert_eq!(samples[&key.replace("_WHAT", "_count")], all, "{key}");
        let sum = samples[&key.replace("_WHAT", "_sum")];
        assert_eq!(sum > 0.0, all > 0.0, "{key}");
    }
}

#[test]
fn the_page_of_an_idle_daemon_is_sound_and_complete() {
    let samples = parse(&page(&Daemon::of_files(&[])));
    for name in [
        "nanoftpd_up",
        "nanoftpd_sessions",
        "nanoftpd_logins_total",
        "nanoftpd_login_failures_total",
        "nanoftpd_transfers_total{direction=\"in\",complete=\"yes\"}",
        "nanoftpd_transfer_bytes_total{direction=\"out\"}",
        "nanoftpd_worker_deaths_total",
        "nanoftpd_spool_leased_bytes",
        "nanoftpd_resumes_total",
        "nanoftpd_retries_total{what=\"upload\"}",
        "nanoftpd_create_close_verdicts_total{verdict=\"lost\"}",
    ] {
        assert!(samples.contains_key(name), "{name}");
    }
}

#[test]
fn what_happened_is_counted_and_survives_the_worker() {
    let cluster = Cluster::faulty();
    let daemon = Daemon::on(
        &cluster,
        &[("mogilefs.spool_max", "64M"), ("mogilefs.spool_mem", "64K")],
    );
    let fault = |fault: &str| cluster.node().fault(fault);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let bytes = noise(3 << 20, 4);
    ftp.store("/photos/a", &bytes);
    fault("lose-reply cmd=create_close count=1");
    ftp.store("/photos/b", b"b");
    fault("no-temp-file count=1");
    ftp.store("/photos/c", b"c");
    fault("cut at=1000000 method=GET count=1");
    assert_eq!(ftp.fetch("RETR /photos/a"), bytes);
    // At the end of the session it is all told.
    ftp.expect("QUIT", 221);
    let told = |samples: &Samples, name: &str| samples[&format!("nanoftpd_{name}")];
    let samples = eventually("the end of the session", || {
        let samples = parse(&page(&daemon));
        (told(&samples, "sessions") == 0.0).then_some(samples)
    });
    for (name, expected) in [
        ("create_close_verdicts_total{verdict=\"ok\"}", 2.0),
        ("create_close_verdicts_total{verdict=\"committed\"}", 1.0),
        ("create_close_verdicts_total{verdict=\"lost\"}", 1.0),
        ("retries_total{what=\"upload\"}", 1.0),
        ("retries_total{what=\"copy\"}", 1.0),
        ("resumes_total", 1.0),
        ("failures_total{peer=\"tracker\"}", 1.0),
        (
            "tracker_request_seconds_count{command=\"create_open\"}",
            4.0,
        ),
        ("node_request_seconds_count{method=\"PUT\"}", 4.0),
        ("node_request_seconds_count{method=\"GET\"}", 2.0),
        ("spool_leased_bytes", 0.0),
    ] {
        assert_eq!(told(&samples, name), expected, "{name}");
    }

    // Room is leased while an upload that is not small is under way, and no longer.
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    let data = ftp.data();
    ftp.expect("STOR /photos/d", 150);
    let mut stream = data.stream();
    std::io::Write::write_all(&mut stream, &bytes).unwrap();
    let leased = |daemon: &Daemon| told(&parse(&page(daemon)), "spool_leased_bytes");
    eventually("a lease", || {
        (leased(&daemon) == 16_777_216.0).then_some(())
    });
    let pid = daemon.worker("STOR");
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    daemon.wait_for("worker-died");
    let samples = parse(&page(&daemon));
    assert_eq!(told(&samples, "spool_leased_bytes"), 0.0);
    assert_eq!(told(&samples, "worker_deaths_total"), 1.0);
    assert_eq!(
        told(&samples, "create_close_verdicts_total{verdict=\"ok\"}"),
        2.0
    );
}

/// More of them than the master is told of one by one.
#[test]
fn transfers_that_follow_fast_are_all_counted_while_the_session_goes_on() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    for _ in 0..30 {
        ftp.store("/a", b"abc");
        assert_eq!(ftp.fetch("RETR /a"), b"abc");
    }
    eventually("what was transferred, and that it is over", || {
        let samples = parse(&page(&daemon));
        let told = |name: &str| samples[&format!("nanoftpd_{name}")];
        let count = |direction: &str| {
            told(&format!(
                "transfers_total{{direction=\"{direction}\",complete=\"yes\"}}"
            ))
        };
        let (_, table, _) = daemon.order(&["status"]);
        let is_idle = table.lines().any(|line| line.ends_with("  idle"));
        (count("in") == 30.0 && count("out") == 30.0 && is_idle).then_some(())
    });
    ftp.expect("NOOP", 200);
}

#[test]
fn a_long_session_tells_what_it_has_counted_on_the_way() {
    let cluster = Cluster::start();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = daemon.log_in();
    ftp.store("/photos/a", b"a");
    eventually("what was counted", || {
        ftp.expect("NOOP", 200);
        let samples = parse(&page(&daemon));
        let name = "nanoftpd_create_close_verdicts_total{verdict=\"ok\"}";
        (samples[name] == 1.0).then_some(())
    });
}
