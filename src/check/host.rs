//! What is tried on this machine: logs, names, temporary files, ports, trees of files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::sys::statvfs::fstatvfs;
use nix::unistd::{AccessFlags, access};

use super::finding::MOST_NAMED;
use super::users::Members;
use super::{Report, Severity, cluster};
use crate::board::Addresses;
use crate::config::{self, AuthModule, Config, LogMode, Logging, TlsMode};
use crate::store::file::Tree;
use crate::store::{Error, Store, Wish, mogile};
use crate::sys::{rights, sandbox, sockets};
use crate::text::bare;

/// Below so much free space there is no room to speak of, in bytes.
const NO_ROOM: u64 = 16 << 20;

/// Below so much it will soon be full.
const LITTLE_ROOM: u64 = 256 << 20;

/// As many ports of the passive range are tried on each address.
const SAMPLE: usize = 16;

/// The files that the master opens.
pub(super) fn logs(logging: &Logging, report: &mut Report) {
    if matches!(logging.mode, LogMode::File | LogMode::Both) {
        log("log", &logging.file, report);
    }
    if let Some(path) = &logging.xferlog {
        log("xferlog", path, report);
    }
    if logging.mode == LogMode::Syslog {
        let tried = UnixDatagram::unbound().and_then(|socket| socket.connect("/dev/log"));
        match tried {
            Ok(()) => report.add(Severity::Ok, "log /dev/log: somebody listens"),
            Err(error) => report.add(Severity::Critical, &format!("log /dev/log: {error}")),
        }
    }
}

fn log(what: &str, path: &Path, report: &mut Report) {
    let name = path.display();
    match log_room(path) {
        Ok(room) => {
            let text = format!("{what} {name}: can be written, {} free", size(room));
            report.add(roominess(room), &text);
        }
        Err(error) => report.add(Severity::Critical, &format!("{what} {name}: {error}")),
    }
    let mode = fs::metadata(path).map_or(0, |about| about.permissions().mode() & 0o7777);
    if mode & 0o002 != 0 {
        let text = format!("{what} {name}: has mode {mode:04o}: everybody can write to it");
        report.add(Severity::Warning, &text);
    }
}

/// How much can be written there; nothing is made on the way.
fn log_room(path: &Path) -> io::Result<u64> {
    match File::options().append(true).open(path) {
        Ok(file) => room(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let dir = path.parent().unwrap_or(Path::new("/"));
            access(dir, AccessFlags::W_OK | AccessFlags::X_OK)?;
            room(&File::open(dir)?)
        }
        Err(error) => Err(error),
    }
}

/// What there is to be said of kernel, rights and encryption.
pub(super) fn kernel(config: &Config, report: &mut Report) {
    for part in sandbox::missing() {
        let text = format!("sandbox: this kernel has no {part}");
        report.add(Severity::Warning, &text);
    }
    if !rights::are_root() {
        let text = "rights: not root: tried as this user, as whom sessions would run too";
        report.add(Severity::Ok, text);
    }
    report.add(
        Severity::Ok,
        match config.tls.mode {
            TlsMode::Off => "tls: off: passwords and files cross the network as they are",
            TlsMode::Optional => "tls: optional: clients may send passwords as they are",
            TlsMode::Required => "tls: required",
        },
    );
}

/// Finds every name that the clerk would have to find.
pub(super) fn names(addresses: &mut Addresses, config: &Config, report: &mut Report) {
    let passive = config.passive.address.as_ref();
    for name in addresses.names() {
        let found = (name.as_str(), 0).to_socket_addrs();
        let found = found.map(|found| found.map(|one| one.ip()).collect::<Vec<IpAddr>>());
        let why = match found {
            Ok(found) if !found.is_empty() => {
                let list: Vec<String> = found.iter().map(ToString::to_string).collect();
                let text = format!("name {name}: {}", list.join(", "));
                report.add(Severity::Ok, &text);
                addresses.learn(&name, found);
                continue;
            }
            Ok(_) => "has no address".to_owned(),
            Err(error) => error.to_string(),
        };
        // Of trackers there may be others.
        let severity = if passive == Some(&name) {
            Severity::Critical
        } else {
            Severity::Warning
        };
        report.add(severity, &format!("name {name}: {why}"));
    }
    if let (Some(name), Some(IpAddr::V6(_))) = (passive, addresses.announced()) {
        let text = format!("passive address {name}: is IPv6, which PASV cannot say");
        report.add(Severity::Warning, &text);
    }
}

/// Where large uploads wait.
pub(super) fn tmpdir(dir: &Path, report: &mut Report) {
    let tried = mogile::nameless(dir).and_then(|mut file| {
        file.write_all(&[0; 4096])?;
        room(&file)
    });
    let name = dir.display();
    match tried {
        Ok(room) => {
            let text = format!("tmpdir {name}: can be written, {} free", size(room));
            report.add(roominess(room), &text);
        }
        Err(error) => report.add(Severity::Critical, &format!("tmpdir {name}: {error}")),
    }
}

/// A sample of the ports for passive data connections.
pub(super) fn passive_ports(config: &Config, report: &mut Report) {
    let (low, high) = (config.nanoftpd.low_port, config.nanoftpd.high_port);
    let sample = sample(low, high);
    for address in &config.nanoftpd.listen_addr {
        let tried = sample.iter().map(|port| {
            let tried = sockets::listen(SocketAddr::new(*address, *port));
            tried.map(drop)
        });
        let failed: Vec<io::Error> = tried.filter_map(Result::err).collect();
        let what = format!("passive ports {low}-{high} on {address}");
        let tried = sample.len();
        let severity = match failed.len() {
            0 => Severity::Ok,
            failed if failed == tried => Severity::Critical,
            failed if failed * 2 > tried => Severity::Warning,
            _ => Severity::Ok,
        };
        let text = match failed.first() {
            None => format!("{what}: {tried} of them tried"),
            Some(first) => {
                let failed = failed.len();
                format!("{what}: {failed} of {tried} cannot be used: {first}")
            }
        };
        report.add(severity, &text);
    }
}

/// Ports of `low..=high`, evenly spread, both ends among them.
fn sample(low: u16, high: u16) -> Vec<u16> {
    let span = u32::from(high.saturating_sub(low));
    let last = u32::try_from(SAMPLE - 1).unwrap_or(1);
    let port = |index: u32| u16::try_from(u32::from(low) + span * index / last).unwrap_or(high);
    let mut ports: Vec<u16> = (0..=last).map(port).collect();
    ports.dedup();
    ports
}

/// The trees of users of module File.
pub(super) fn trees(settings: &config::File, members: &Members, write: bool, report: &mut Report) {
    // Where all have the same tree one is as good as all.
    let alone = if settings.root.contains("%u") {
        usize::MAX
    } else {
        1
    };
    let mut good = 0_usize;
    let mut bad = 0_usize;
    for user in members.trees.iter().take(alone) {
        match tree(settings, user, write) {
            Ok(()) => good += 1,
            Err(error) => {
                bad += 1;
                if bad <= MOST_NAMED {
                    let text = format!("file root {} of {}: {error}", settings.root, bare(user));
                    report.add(Severity::Critical, &text);
                }
            }
        }
    }
    if bad > MOST_NAMED {
        let text = format!(
            "file root {}: and {} more users",
            settings.root,
            bad - MOST_NAMED
        );
        report.add(Severity::Critical, &text);
    }
    if good > 0 {
        let how = if write { "read and written" } else { "read" };
        let text = format!("file root {}: {good} tried, can be {how}", settings.root);
        report.add(Severity::Ok, &text);
    }
}

fn tree(settings: &config::File, user: &[u8], write: bool) -> Result<(), Error> {
    let mut tree = Tree::open(settings, user)?;
    let root = crate::path::Path::root();
    tree.list(&root, Wish::default())?.next().transpose()?;
    if write {
        cluster::probe(&mut tree, &root)?;
    }
    Ok(())
}

/// The programs of the site, which clerks run.
pub(super) fn programs(config: &Config, report: &mut Report) {
    if config.auth.module == AuthModule::Exec {
        program("auth program", config.auth.exec.command.as_deref(), report);
    }
    program("hook", config.hooks.uploaded.as_deref(), report);
}

fn program(what: &str, path: Option<&Path>, report: &mut Report) {
    let Some(path) = path else {
        return;
    };
    let name = path.display();
    match access(path, AccessFlags::X_OK) {
        Ok(()) if path.is_file() => {
            report.add(Severity::Ok, &format!("{what} {name}: can be run"));
        }
        Ok(()) => report.add(Severity::Critical, &format!("{what} {name}: no file")),
        Err(error) => {
            let error = io::Error::from(error);
            report.add(Severity::Critical, &format!("{what} {name}: {error}"));
        }
    }
}

fn room(file: &File) -> io::Result<u64> {
    let about = fstatvfs(file)?;
    Ok(about
        .blocks_available()
        .saturating_mul(about.fragment_size()))
}

fn roominess(room: u64) -> Severity {
    match room {
        room if room < NO_ROOM => Severity::Critical,
        room if room < LITTLE_ROOM => Severity::Warning,
        _ => Severity::Ok,
    }
}

/// `17M`, `3G`
fn size(bytes: u64) -> String {
    match bytes >> 20 {
        mega @ ..10_000 => format!("{mega}M"),
        mega => format!("{}G", mega >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_and_hold_both_ends() {
        for (low, high, count) in [(15000, 25000, 16), (20000, 20003, 4), (1024, 1024, 1)] {
            let ports = sample(low, high);
            assert_eq!(ports.len(), count, "{ports:?}");
            assert_eq!((ports[0], *ports.last().unwrap()), (low, high));
        }
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [(0, "0M"), (17 << 20, "17M"), (11 << 33, "88G")] {
            assert_eq!(size(bytes), text);
        }
    }
}
