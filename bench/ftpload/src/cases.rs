//! What is measured, and how it is told.

use std::fmt::Write as _;
use std::fs::File;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use crate::process;
use crate::session::{Server, Session};

/// Time on the clock and on the server's processors.
struct Cost {
    begun: Instant,
    processor: f64,
    pid: u32,
}

impl Cost {
    fn begin(server: &Server<'_>) -> Self {
        Self {
            processor: process::seconds(server.pid),
            begun: Instant::now(),
            pid: server.pid,
        }
    }

    /// Seconds of the clock, and of the processors.
    fn end(&self) -> (f64, f64) {
        let clock = self.begun.elapsed().as_secs_f64();
        (clock, process::seconds(self.pid) - self.processor)
    }
}

/// Sessions that log in and quit.
pub(crate) fn logins(server: &Server<'_>, times: usize, clients: usize) -> Result<String, String> {
    let next = AtomicUsize::new(0);
    let cost = Cost::begin(server);
    at_once(clients, || {
        while next.fetch_add(1, Ordering::Relaxed) < times {
            Session::log_in(server)?.command("QUIT", 2)?;
        }
        Ok(())
    })?;
    let (clock, processor) = cost.end();
    let (rate, each) = (float(times) / clock, processor * 1000.0 / float(times));
    Ok(format!("per_s={rate:.1} cpu_ms={each:.4}"))
}

/// The same file, again and again, by each client.
pub(crate) fn downloads(
    server: &Server<'_>,
    path: &str,
    times: usize,
    clients: usize,
) -> Result<String, String> {
    let cost = Cost::begin(server);
    let ended = at_once(clients, || {
        let mut session = member(server)?;
        let bytes: Result<usize, String> = (0..times).map(|_| session.discard(path)).sum();
        Ok((bytes?, session))
    })?;
    let bytes = ended.iter().map(|(bytes, _)| bytes).sum();
    Ok(per_gigabyte(bytes, &cost))
}

/// A local file, again and again.
pub(crate) fn uploads(
    server: &Server<'_>,
    path: &str,
    file: &str,
    times: usize,
) -> Result<String, String> {
    let file = open(file)?;
    let mut session = member(server)?;
    let cost = Cost::begin(server);
    for _ in 0..times {
        session.store(path, &file, None)?;
    }
    // What a server puts off until it has answered costs as much.
    session.command("NOOP", 2)?;
    let size = file.metadata().map_err(|why| why.to_string())?.len();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    Ok(per_gigabyte(size.saturating_mul(times), &cost))
}

fn per_gigabyte(bytes: usize, cost: &Cost) -> String {
    let (clock, processor) = cost.end();
    let (rate, each) = (float(bytes) / 1e6 / clock, processor / float(bytes) * 1e9);
    format!("mb_per_s={rate:.1} bytes={bytes} cpu_s_per_gb={each:.4}")
}

/// How long the reply to an upload takes after its last byte: the median.
pub(crate) fn last_reply(
    server: &Server<'_>,
    path: &str,
    file: &str,
    times: usize,
) -> Result<String, String> {
    const PAUSE: Duration = Duration::from_millis(250);
    let file = open(file)?;
    let mut session = member(server)?;
    let waits: Result<Vec<Duration>, String> = (0..times)
        .map(|_| session.store(path, &file, Some(PAUSE)))
        .collect();
    let wait = millis(percentile(&mut waits?, 50));
    Ok(format!("last_ms={wait:.2}"))
}

/// Small files: stored, fetched, deleted.
pub(crate) fn small_files(
    server: &Server<'_>,
    dir: &str,
    count: usize,
    file: &str,
    clients: usize,
) -> Result<String, String> {
    let file = open(file)?;
    let mut told = String::new();
    for verb in ["stor", "retr", "dele"] {
        let next = AtomicUsize::new(0);
        let cost = Cost::begin(server);
        let sessions = at_once(clients, || {
            let mut session = member(server)?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return Ok(session);
                }
                let path = format!("{dir}/s{index:06}.dat");
                match verb {
                    "stor" => session.store(&path, &file, None).map(|_| ())?,
                    "retr" => session.discard(&path).map(|_| ())?,
                    _ => session.command(&format!("DELE {path}"), 2).map(|_| ())?,
                }
            }
        })?;
        let (clock, processor) = cost.end();
        drop(sessions);
        let (rate, each) = (float(count) / clock, processor * 1000.0 / float(count));
        let _ = write!(told, "{verb}_per_s={rate:.1} {verb}_cpu_ms={each:.4} ");
    }
    Ok(told)
}

/// A listing, again and again: the medians.
pub(crate) fn listings(server: &Server<'_>, command: &str, times: usize) -> Result<String, String> {
    let mut session = member(server)?;
    let cost = Cost::begin(server);
    let (mut lines, mut firsts, mut all) = (0, Vec::new(), Vec::new());
    for _ in 0..times {
        let begun = Instant::now();
        let (first, text) = session.list(command)?;
        all.push(begun.elapsed());
        firsts.push(first);
        lines = text.iter().filter(|&&byte| byte == b'\n').count();
    }
    let (_, processor) = cost.end();
    let (first, whole) = (percentile(&mut firsts, 50), percentile(&mut all, 50));
    let rate = float(lines) / whole.as_secs_f64();
    let each = processor * 1e6 / float(lines.saturating_mul(times).max(1));
    let (first, whole) = (millis(first), millis(whole));
    Ok(format!(
        "lines_per_s={rate:.0} lines={lines} ms={whole:.2} first_ms={first:.3} cpu_us={each:.3}"
    ))
}

/// Sessions that come at once and stay: how long that takes, what memory they need, and what a
/// download costs meanwhile.
pub(crate) fn crowd(
    server: &Server<'_>,
    count: usize,
    path: &str,
    times: usize,
) -> Result<String, String> {
    let before = process::kilobytes(server.pid);
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let sessions = at_once(8, || {
        let mut own = Vec::new();
        while next.fetch_add(1, Ordering::Relaxed) < count {
            own.push(Session::log_in(server)?);
        }
        Ok(own)
    })?;
    let opened = begun.elapsed().as_secs_f64();
    // Whoever is born for those to come is no cost of these.
    std::thread::sleep(Duration::from_millis(300));
    let each = (process::kilobytes(server.pid) - before) / float(count);
    let transfer = downloads(server, path, times, 1)?;
    for mut session in sessions.into_iter().flatten() {
        session.command("QUIT", 2)?;
    }
    Ok(format!("open_s={opened:.4} pss_kb={each:.1} {transfer}"))
}

/// How long commands take when many sessions do all kinds of them.
pub(crate) fn latency(
    server: &Server<'_>,
    clients: usize,
    count: usize,
    dir: &str,
) -> Result<String, String> {
    let block = nix::sys::memfd::memfd_create("block", nix::sys::memfd::MFdFlags::empty());
    let block = File::from(block.map_err(|why| why.to_string())?);
    block.set_len(4096).map_err(|why| why.to_string())?;
    // All are there before the first command: how long logins take is another case's, and who is slow
    // at them would never have so many at once.
    let sessions = at_once(clients, || member(server))?;
    let sessions = Mutex::new(sessions.into_iter().enumerate());
    let cost = Cost::begin(server);
    let ended = at_once(clients, || {
        let next = sessions.lock().map(|mut all| all.next());
        let (name, mut session) = next.ok().flatten().ok_or("there is no session left")?;
        let path = format!("{dir}/l{name:04}.dat");
        let mut own = Vec::with_capacity(count);
        for step in 0..count {
            let begun = Instant::now();
            match step % 8 {
                0 => session.store(&path, &block, None).map(|_| ())?,
                1 => session.command("NOOP", 2).map(|_| ())?,
                2 => session.command(&format!("SIZE {path}"), 2).map(|_| ())?,
                3 => session.discard(&path).map(|_| ())?,
                4 => session.command("PWD", 2).map(|_| ())?,
                5 => session.list(&format!("NLST {dir}")).map(|_| ())?,
                6 => session.command(&format!("DELE {path}"), 2).map(|_| ())?,
                _ => session.command("TYPE I", 2).map(|_| ())?,
            }
            own.push(begun.elapsed());
        }
        Ok((own, session))
    })?;
    let (clock, processor) = cost.end();
    let times = ended.into_iter().flat_map(|(own, _)| own);
    let mut times: Vec<Duration> = times.collect();
    let (half, most) = (percentile(&mut times, 50), percentile(&mut times, 99));
    let rate = float(times.len()) / clock;
    let each = processor * 1000.0 / float(times.len().max(1));
    let (half, most) = (millis(half), millis(most));
    Ok(format!(
        "p50_ms={half:.3} p99_ms={most:.3} per_s={rate:.0} cpu_ms={each:.4}"
    ))
}

fn member<'a>(server: &Server<'a>) -> Result<Session<'a>, String> {
    let mut session = Session::log_in(server)?;
    session.command("TYPE I", 2)?;
    Ok(session)
}

fn open(path: &str) -> Result<File, String> {
    File::open(path).map_err(|why| format!("{path}: {why}"))
}

/// Runs `work` in so many threads: what each gives, or the first error.
fn at_once<T: Send>(
    clients: usize,
    work: impl Fn() -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(&work)).collect();
        let join = |thread: ScopedJoinHandle<'_, Result<T, String>>| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a client panicked".to_owned()))
        };
        threads.into_iter().map(join).collect()
    })
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let index = times.len().saturating_mul(percent) / 100;
    let last = times.len().saturating_sub(1);
    times.get(index.min(last)).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates are told with three digits"
)]
fn float(number: usize) -> f64 {
    number as f64
}
