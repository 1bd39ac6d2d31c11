//! `nanoftpd check`: tries what the configuration says, for real, and tells what it found. What the
//! daemon does as root is tried by this process; what its sessions do is tried by a child in their
//! jail. Never called by the daemon.
#![forbid(unsafe_code)]

mod cluster;
mod finding;
mod host;
mod users;

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::unistd::{Pid, getpid, pipe2};

use crate::board::Addresses;
use crate::config::Config;
use crate::sys::jail::Jail;
use crate::sys::process::{self, Ending, Streams};
use cluster::Cluster;
pub use finding::{Report, Severity};
use users::Members;

/// Tries `config`; `jail` is that of its workers. `write`: a file is also stored, read back and
/// removed wherever users may store one.
#[must_use]
pub fn run(config: &Config, jail: &Jail, write: bool) -> Report {
    let mut report = Report::default();
    for warning in config.warnings() {
        report.add(Severity::Warning, &format!("configuration: {warning}"));
    }
    let members = Members::read(config, &mut report);
    host::logs(&config.logging, &mut report);
    host::kernel(config, &mut report);
    let mut addresses = Addresses::new(&config.mogilefs, &config.passive);
    host::names(&mut addresses, config, &mut report);
    let cluster = Cluster {
        settings: &config.mogilefs,
        tmpdir: &config.nanoftpd.tmpdir,
        trackers: addresses.trackers(),
        members: &members,
    };
    let inside = |report: &mut Report| {
        host::tmpdir(&config.nanoftpd.tmpdir, report);
        host::passive_ports(config, report);
        host::trees(&config.file, &members, write, report);
        cluster.look(write, report);
    };
    if let Err(error) = in_jail(jail, config, inside, &mut report) {
        let text = format!("jail: nothing could be tried as the sessions' user: {error}");
        report.add(Severity::Critical, &text);
    }
    report
}

/// What `inside` finds in a process that has become what a worker is.
fn in_jail(
    jail: &Jail,
    config: &Config,
    inside: impl FnOnce(&mut Report),
    report: &mut Report,
) -> io::Result<()> {
    let (reader, writer) = pipe()?;
    let nowhere = File::open("/dev/null")?;
    let streams = Streams {
        input: nowhere.as_fd(),
        output: writer.as_fd(),
        errors: writer.as_fd(),
    };
    let keep: Vec<_> = jail.descriptors().collect();
    let parent = getpid();
    let child = move || -> Infallible {
        let mut found = Report::default();
        if let Err(error) = confine(jail, parent, config, &mut found) {
            let text = format!("jail: cannot be entered: {error}");
            found.add(Severity::Critical, &text);
        } else {
            inside(&mut found);
        }
        let told = io::stdout().write_all(found.lines().as_bytes());
        process::leave(u8::from(told.is_err()))
    };
    let pid = process::spawn(streams, &keep, child)?;
    drop(writer);
    let mut lines = Vec::new();
    File::from(reader).read_to_end(&mut lines)?;
    report.read(&String::from_utf8_lossy(&lines));
    match process::wait(pid)? {
        Ending::Exit(0) => Ok(()),
        ending => Err(io::Error::other(format!("it ended with {ending}"))),
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe2(OFlag::O_CLOEXEC)?)
}

fn confine(jail: &Jail, parent: Pid, config: &Config, report: &mut Report) -> io::Result<()> {
    jail.give_up_rights()?;
    process::die_with_parent(parent)?;
    // Clerks run them, outside of the workers' sandbox.
    host::programs(config, report);
    jail.enter()?;
    jail.leave_nursery()
}
