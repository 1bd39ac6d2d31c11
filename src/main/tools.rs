//! What the program does besides being the daemon: asks the one that runs, tries it out, changes users,
//! reads the PHP daemon's configuration.
#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanoftpd::check::{self, Report, Severity};
use nanoftpd::cli::{self, Order};
use nanoftpd::config::{Config, Error};
use nanoftpd::control::{self, Request};
use nanoftpd::master::Ground;
use nanoftpd::sys::process;
use nanoftpd::{import, passwd};

use super::{CONFIG, End, FAILED, USAGE, all, end, load, print};

/// How long a daemon takes to end behind its last session, and some.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// How often `top` looks.
const EVERY: Duration = Duration::from_secs(2);

pub(super) fn change_user(config: Option<PathBuf>, change: &cli::Passwd) -> Result<(), End> {
    let auth = match config {
        Some(path) => load(&path)?.auth,
        None if Path::new(cli::CONFIG).exists() => load(Path::new(cli::CONFIG))?.auth,
        None => Config::default().auth,
    };
    match passwd::run(change, &auth, &io::stdin(), &mut io::stderr()) {
        Ok(_) => Ok(()),
        Err(error @ passwd::Error::Usage(_)) => Err(end(USAGE, error)),
        Err(error @ passwd::Error::Failed(_)) => Err(end(FAILED, error)),
    }
}

pub(super) fn import(source: &Path, logrotate: bool) -> Result<(), End> {
    let unreadable = |error| end(FAILED, format_args!("{}: {error}", source.display()));
    let path = std::path::absolute(source).map_err(unreadable)?;
    let text = std::fs::read(source).map_err(unreadable)?;
    // PHP takes any bytes; what is not UTF-8 was Latin-1 when the daemon was young.
    let text = String::from_utf8(text)
        .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect());
    let wrong = |error: import::Error| End {
        code: CONFIG,
        text: error.to_string(),
    };
    let original = import::read(&text, &path.display().to_string()).map_err(wrong)?;
    if logrotate {
        print(original.logrotate().map_err(wrong)?)
    } else {
        print(original.configuration())
    }
}

/// `check`: says everything on standard output, for whoever watches a service.
pub(super) fn probe(path: &Path, write: bool) -> Result<u8, End> {
    process::close_inherited();
    let report = match Config::load(path) {
        Err(errors) => unusable(Severity::Unknown, &errors),
        Ok(config) => match Ground::prepare(&config, path) {
            Err(errors) => unusable(Severity::Critical, &errors),
            Ok(ground) => {
                let mut report = check::run(&config, ground.jail(), write);
                for fading in ground.fading() {
                    let severity = match fading.is_over() {
                        true => Severity::Critical,
                        false => Severity::Warning,
                    };
                    report.add(severity, &format!("{} {fading}", fading.kind));
                }
                report
            }
        },
    };
    print(&report)?;
    Ok(report.severity().code())
}

fn unusable(severity: Severity, errors: &[Error]) -> Report {
    let mut report = Report::default();
    for error in errors {
        report.add(severity, &error.to_string());
    }
    report
}

pub(super) fn ask(path: &Path, order: Order) -> Result<(), End> {
    let config = match order {
        // Whoever wants a file to be read wants to know all that is wrong in it.
        Order::Reload => load(path)?,
        _ => load_to_ask(path)?,
    };
    let socket = config.status.socket;
    let answer = request(&socket, &order.into())?;
    match answer.strip_prefix("error: ") {
        Some(why) => Err(end(FAILED, why.trim_end())),
        None => print(answer),
    }
}

/// Returns when the daemon is gone; transfers have as long as its configuration says.
pub(super) fn stop(path: &Path, order: Order) -> Result<(), End> {
    let config = load_to_ask(path)?;
    let socket = config.status.socket;
    let grace = match order {
        Order::StopNow => Duration::ZERO,
        _ => config.nanoftpd.stop_grace,
    };
    let asked = control::ask_whom(&socket, &order.into());
    let (answer, pid) = asked.map_err(|error| unanswered(&socket, &error))?;
    print(answer)?;
    let limit = grace.saturating_add(LAST_MOMENTS);
    if process::await_end(pid, limit) {
        return print("stopped\n");
    }
    let seconds = limit.as_secs();
    let text = format!("it still stops after {seconds} s (pid {pid}); stop --now does not wait");
    Err(end(FAILED, text))
}

/// Until somebody has seen enough.
pub(super) fn top(path: &Path) -> Result<(), End> {
    let socket = load_to_ask(path)?.status.socket;
    control::watch(&socket, &mut io::stdout(), EVERY).map_err(|error| unanswered(&socket, &error))
}

fn load_to_ask(path: &Path) -> Result<Config, End> {
    Config::load_to_ask(path).map_err(|errors| all(&errors))
}

fn request(socket: &Path, request: &Request) -> Result<String, End> {
    control::ask(socket, request).map_err(|error| unanswered(socket, &error))
}

fn unanswered(socket: &Path, error: &io::Error) -> End {
    let why = match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => "no daemon listens there".to_owned(),
        _ => error.to_string(),
    };
    end(FAILED, format_args!("{}: {why}", socket.display()))
}
