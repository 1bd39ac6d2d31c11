//! Load for any FTP server: passive mode, binary. What arrives is discarded in the kernel, so that the
//! server is what is measured. Prints one line of `key=value`.
#![forbid(unsafe_code)]

mod process;
mod session;

use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use session::{Server, Session};

const USAGE: &str = "\
usage: ftpload HOST PORT USER PASSWORD PID login N CLIENTS
       ftpload HOST PORT USER PASSWORD PID retr PATH TIMES CLIENTS
PID is the server's first process, whose processor time is told with that of its children.
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match measure(&words) {
        Ok(line) => {
            let _ = writeln!(io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            let _ = writeln!(io::stderr(), "ftpload: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: &[String]) -> Result<String, String> {
    let [host, port, user, password, pid, mode, rest @ ..] = words else {
        return Err(USAGE.to_owned());
    };
    let server = Server {
        host,
        port: number(port)?,
        user,
        password,
    };
    let pid = number(pid)?;
    match (mode.as_str(), rest) {
        ("login", [times, clients]) => logins(&server, pid, number(times)?, number(clients)?),
        ("retr", [path, times, clients]) => {
            downloads(&server, pid, path, number(times)?, number(clients)?)
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text} is not a number\n{USAGE}"))
}

/// Sessions that log in and quit.
fn logins(server: &Server<'_>, pid: u32, times: usize, clients: usize) -> Result<String, String> {
    let next = AtomicUsize::new(0);
    let before = process::seconds(pid);
    let start = Instant::now();
    at_once(clients, || {
        while next.fetch_add(1, Ordering::Relaxed) < times {
            Session::log_in(server)?.command("QUIT", 2)?;
        }
        Ok(0)
    })?;
    let took = start.elapsed().as_secs_f64();
    let each = (process::seconds(pid) - before) * 1000.0 / float(times);
    let per_second = float(times) / took;
    Ok(format!(
        "per_s={per_second:.0} seconds={took:.2} server_cpu_ms_each={each:.2}"
    ))
}

/// The same file, again and again, by each client.
fn downloads(
    server: &Server<'_>,
    pid: u32,
    path: &str,
    times: usize,
    clients: usize,
) -> Result<String, String> {
    let before = process::seconds(pid);
    let start = Instant::now();
    let bytes = at_once(clients, || {
        let mut session = Session::log_in(server)?;
        session.command("TYPE I", 2)?;
        let mut bytes = 0;
        for _ in 0..times {
            bytes += session.discard(path)?;
        }
        session.command("QUIT", 2)?;
        Ok(bytes)
    })?;
    let took = start.elapsed().as_secs_f64();
    let cpu = process::seconds(pid) - before;
    let (rate, per_gb) = (float(bytes) / 1e6 / took, cpu / (float(bytes) / 1e9));
    Ok(format!(
        "mb_per_s={rate:.0} bytes={bytes} server_cpu_s_per_gb={per_gb:.3}"
    ))
}

/// Runs `work` in so many threads and adds up what they give; the first error wins.
fn at_once(
    clients: usize,
    work: impl Fn() -> Result<usize, String> + Sync,
) -> Result<usize, String> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(&work)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<usize, String>>| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a client panicked".to_owned()))
        };
        threads.into_iter().map(join).sum()
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "rates are told with three digits"
)]
fn float(number: usize) -> f64 {
    number as f64
}
