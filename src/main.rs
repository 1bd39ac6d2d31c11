//! From the command line to the master: reads, checks, binds, locks, detaches. All that can go
//! wrong at a start goes wrong here, on the terminal, with an exit code that says what it was.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nanoftpd::auth::text::Users;
use nanoftpd::cli::{self, Command};
use nanoftpd::config::{AuthModule, Config, Error};
use nanoftpd::master::{self, Crew, Estate, Ground, Listeners, Start, Unbound};
use nanoftpd::sys::detach::{self, Ready, Side};
use nanoftpd::sys::fds::Gutter;
use nanoftpd::sys::heir::Heritage;
use nanoftpd::sys::pidfile::{self, Pidfile};
use nanoftpd::sys::{process, title};
use nanoftpd::text::quoted;
use nanoftpd::{clerk, logger, worker};

#[path = "main/tools.rs"]
mod tools;

const FAILED: u8 = 1;
const USAGE: u8 = 64;
const TAKEN: u8 = 69;
const NOT_PERMITTED: u8 = 77;
const CONFIG: u8 = 78;

/// Why there is no more to do: the exit code, and what the terminal is told.
struct End {
    code: u8,
    text: String,
}

fn main() -> ExitCode {
    let mut arguments = title::take_arguments().into_iter();
    let name = arguments.next().unwrap_or_default();
    let ready = process::hear_of_deaths().map_err(|error| end(FAILED, error));
    match ready.and_then(|()| obey(cli::parse(arguments), Path::new(&name))) {
        Ok(code) => ExitCode::from(code),
        Err(end) => {
            complain(&end.text);
            ExitCode::from(end.code)
        }
    }
}

/// The exit code, where what was to be said is said.
fn obey(command: Result<Command, String>, name: &Path) -> Result<u8, End> {
    let done = match command {
        Ok(Command::Run { config, foreground }) => run(name, &config, foreground),
        Ok(Command::Check { config }) => test(&config),
        Ok(Command::Print { config }) => print(load(&config)?),
        Ok(Command::Version) => print(format_args!("{}\n", cli::VERSION)),
        Ok(Command::Help) => print(help()),
        Ok(Command::Passwd { config, change }) => tools::change_user(config, &change),
        Ok(Command::Import { source, logrotate }) => tools::import(&source, logrotate),
        Ok(Command::Probe { config, write }) => return tools::probe(&config, write),
        Ok(Command::Ask { config, order }) if order.is_stop() => tools::stop(&config, order),
        Ok(Command::Ask { config, order }) => tools::ask(&config, order),
        Ok(Command::Top { config }) => tools::top(&config),
        Err(why) => Err(end(USAGE, format_args!("{why}; nanoftpd -h says more"))),
    };
    done.map(|()| 0)
}

/// `name` is what this program was called by.
fn run(name: &Path, path: &Path, is_foreground: bool) -> Result<(), End> {
    let failed = |error| end(FAILED, error);
    let mut heritage = Heritage::find();
    let mut estate = Estate::claim(&mut heritage);
    heritage.close_rest();
    let path = std::path::absolute(path).map_err(failed)?;
    let program = program(name).map_err(failed)?;
    let config = tried_or_load(estate.as_ref(), &path)?;
    let ground = Ground::prepare(&config, &path).map_err(|errors| all(&errors))?;
    let (listeners, unbound) = listen(heritage, &config)?;
    let left = estate.as_mut().and_then(Estate::take_pidfile);
    let (pidfile, unmoved) = match left {
        Some(left) => moved(left, &config.nanoftpd.pidfile),
        None => (lock(&config)?, None),
    };
    let left = estate.as_mut().and_then(Estate::take_gutter);
    let gutter = left.map_or_else(Gutter::open, Ok).map_err(failed)?;
    let sinks = master::open_logs(&config.logging, is_foreground, &gutter)
        .map_err(|error| end(CONFIG, format_args!("{}: {error}", path.display())))?;
    let mut ready = Ready::unheard();
    if config.nanoftpd.daemonize && !is_foreground {
        if estate.is_some() {
            process::print_to(gutter.mouth()).map_err(failed)?;
        } else {
            match detach::detach(gutter.mouth()).map_err(failed)? {
                Side::Daemon(ours) => ready = ours,
                Side::Terminal(report) if report.code == 0 => return Ok(()),
                Side::Terminal(report) => return Err(end(report.code, report.text)),
            }
        }
    }
    logger::install(sinks);
    logger::catch_panics();
    complain_of_legacy(&config, unbound, unmoved);
    let start = Start {
        config,
        path,
        program,
        is_foreground,
        ground,
        listeners,
        pidfile,
        estate,
        crew: Crew {
            nursery: worker::nursery::run,
            clerk: clerk::look_out,
            log_clerk: clerk::write_lines,
            login_clerk: clerk::check_logins,
            hook_clerk: clerk::run_hooks,
        },
    };
    let ended = serve(start, gutter, &mut ready);
    ended.map_err(|why| {
        let code = match why {
            master::Error::Taken(_) => TAKEN,
            master::Error::Failed(_) => FAILED,
        };
        ready.tell(code, &why.to_string());
        end(code, why)
    })
}

/// What could not be as the configuration has it, of which an upgrade does not die.
fn complain_of_legacy(config: &Config, unbound: Option<Unbound>, unmoved: Option<pidfile::Error>) {
    if let Some((address, error)) = unbound {
        log::error!("not-bound addr={address} why=\"{error}\"");
    }
    if let Some(error) = unmoved {
        let path = quoted(config.nanoftpd.pidfile.as_os_str().as_encoded_bytes());
        log::error!("not-moved what=pidfile path={path} why=\"{error}\"");
    }
}

fn serve(mut start: Start, gutter: Gutter, ready: &mut Ready) -> Result<(), master::Error> {
    let name = start.config.nanoftpd.pidfile.display().to_string();
    let written = start.pidfile.write();
    written.map_err(|error| master::Error::Failed(format!("{name}: {error}")))?;
    master::run(start, gutter, ready)
}

/// Where this program lies, or a later version of it: a name that was replaced names another one.
fn program(name: &Path) -> io::Result<PathBuf> {
    if name.components().nth(1).is_some() {
        std::path::absolute(name)
    } else {
        // It was found somewhere along PATH.
        std::env::current_exe()
    }
}

/// The listeners; beside them what could not be bound although others are there, of which an upgrade
/// does not die.
fn listen(heritage: Heritage, config: &Config) -> Result<(Listeners, Option<Unbound>), End> {
    let is_inherited = heritage.is_inherited();
    let sockets = heritage.into_sockets();
    if !is_inherited {
        let is_strange = |wanted: &SocketAddr| config.listeners().all(|other| other != *wanted);
        let strange = sockets.iter().map(|passed| passed.wanted).find(is_strange);
        if let Some(strange) = strange {
            let why =
                format_args!("the service manager listens on {strange}, listen_addr does not");
            return Err(end(CONFIG, why));
        }
    }
    match Listeners::take(sockets, config) {
        (_, Some((address, error))) if !is_inherited => Err(not_bound(config, address, &error)),
        taken => Ok(taken),
    }
}

fn load(path: &Path) -> Result<Config, End> {
    Config::load(path).map_err(|errors| all(&errors))
}

/// The same, from what was in the file when it was tried, where that was left to us.
fn tried_or_load(estate: Option<&Estate>, path: &Path) -> Result<Config, End> {
    let Some(text) = estate.and_then(Estate::tried) else {
        return load(path);
    };
    let name = path.display().to_string();
    Config::read(text, &name).map_err(|errors| all(&errors))
}

/// Two daemons on one address are mostly one that runs already.
fn not_bound(config: &Config, address: SocketAddr, error: &io::Error) -> End {
    let holder = match error.kind() {
        ErrorKind::AddrInUse => Pidfile::lock(&config.nanoftpd.pidfile).err(),
        _ => None,
    };
    let code = match error.kind() {
        ErrorKind::AddrInUse => TAKEN,
        ErrorKind::PermissionDenied => NOT_PERMITTED,
        ErrorKind::AddrNotAvailable => CONFIG,
        _ => FAILED,
    };
    match holder {
        Some(held @ pidfile::Error::Held(_)) => {
            end(code, format_args!("cannot listen on {address}: {held}"))
        }
        _ => end(code, format_args!("cannot listen on {address}: {error}")),
    }
}

/// A pid file that was left to us, or the one that takes its place at `path`. Where there can be none it
/// stays where it is, of which an upgrade does not die; beside it why.
fn moved(left: Pidfile, path: &Path) -> (Pidfile, Option<pidfile::Error>) {
    match left.elsewhere(path) {
        Ok(other) => (other.unwrap_or(left), None),
        Err(error) => (left, Some(error)),
    }
}

fn lock(config: &Config) -> Result<Pidfile, End> {
    let path = &config.nanoftpd.pidfile;
    Pidfile::lock(path).map_err(|error| {
        let code = match error {
            pidfile::Error::Held(_) => TAKEN,
            pidfile::Error::Io(_) => CONFIG,
        };
        end(code, format_args!("{}: {error}", path.display()))
    })
}

/// -t: also what is only a warning when the daemon runs.
fn test(path: &Path) -> Result<(), End> {
    let config = load(path)?;
    let mut users = Users::new(config.auth.text.clone(), config.auth.crypt);
    let unread = match config.auth.module {
        AuthModule::Text => users.refresh().err(),
        AuthModule::Exec => None,
    };
    let (fading, mut errors) = match Ground::prepare(&config, path) {
        Ok(ground) => (ground.fading(), Vec::new()),
        Err(errors) => (Vec::new(), errors),
    };
    errors.extend(master::misplaced(&config, path));
    if let Some(error) = unread {
        let why = format!(
            "{} cannot be read: {error}",
            config.auth.text.file.display()
        );
        errors.push(Error::of_key(path, ("auth.text", "file"), why));
    }
    errors.sort_by_key(|error| error.line);
    errors.extend_from_slice(users.errors());
    if config.mogilefs.domain.is_none() {
        errors.extend(users.without_domain());
    }
    for warning in config.warnings_of(path).iter().chain(users.warnings()) {
        complain(&format!("warning: {warning}"));
    }
    for fading in fading {
        complain(&format!("warning: {fading}"));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(all(&errors))
    }
}

fn help() -> String {
    let (rows, config) = (cli::HELP, cli::CONFIG);
    format!("{rows}FILE is {config} unless it is named. See nanoftpd(8).\n")
}

fn print(text: impl Display) -> Result<(), End> {
    match write!(io::stdout(), "{text}") {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(|error| end(FAILED, format_args!("cannot print: {error}"))),
    }
}

fn end(code: u8, text: impl Display) -> End {
    End {
        code,
        text: format!("nanoftpd: {text}"),
    }
}

/// Errors of a file name their place, and need no name before it.
fn all(errors: &[Error]) -> End {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    End {
        code: CONFIG,
        text: lines.join("\n"),
    }
}

fn complain(text: &str) {
    // Without a terminal the exit code says it alone.
    let _ = writeln!(io::stderr(), "{text}");
}
