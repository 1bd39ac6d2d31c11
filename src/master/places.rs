//! Where the daemon is to put files of its own. A start fails at the first that cannot be, HUP likewise;
//! here all of them are found, for -t, and nothing is made.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use crate::config::{Config, Error, LogMode};
use crate::sys::named::Named;
use crate::sys::pidfile::Pidfile;

/// The logs, the pid file and the control socket that cannot be where `config`, which was read from
/// `path`, has them.
#[must_use]
pub fn misplaced(config: &Config, path: &Path) -> Vec<Error> {
    let logging = &config.logging;
    let has_log = matches!(logging.mode, LogMode::File | LogMode::Both);
    let logs = [
        ("file", has_log.then_some(&*logging.file)),
        ("xferlog", logging.xferlog.as_deref()),
    ];
    let logs = logs
        .into_iter()
        .filter_map(|(key, log)| Some((("logging", key), why_not(log?, false)?)));
    let pidfile = &config.nanoftpd.pidfile;
    let pidfile = why_not(pidfile, true).or_else(|| Pidfile::why_not(pidfile));
    let socket = &config.status.socket;
    let socket = why_not(socket, true).or_else(|| Named::why_not(socket));
    let own = [
        (("nanoftpd", "pidfile"), pidfile),
        (("status", "socket"), socket),
    ];
    let own = own.into_iter().filter_map(|(key, why)| Some((key, why?)));
    logs.chain(own)
        .map(|(key, why)| Error::of_key(path, key, why))
        .collect()
}

/// Why no file can be at `place`. `is_made`: its directory is made where only that is missing.
fn why_not(place: &Path, is_made: bool) -> Option<String> {
    let is_directory = |place: &Path| Some(format!("{} is a directory", place.display()));
    let Some(dir) = place.parent() else {
        return is_directory(place);
    };
    let can_be_made = is_made && !dir.exists() && dir.parent().is_some_and(Path::is_dir);
    if !dir.is_dir() && !can_be_made {
        return Some(format!("{} is not a directory", dir.display()));
    }
    if place.is_dir() {
        return is_directory(place);
    }
    let written = match std::fs::metadata(place) {
        // Another one takes its place.
        Ok(about) if about.file_type().is_socket() => dir,
        Ok(_) => place,
        Err(_) if can_be_made => dir.parent()?,
        Err(_) => dir,
    };
    let error = access(written, AccessFlags::W_OK).err()?;
    let error = io::Error::from(error);
    Some(format!("{} cannot be written: {error}", written.display()))
}
