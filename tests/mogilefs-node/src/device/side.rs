//! A storage node's side channel: sizes and checksums by lines of text.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk;
use crate::door::Door;
use crate::store::{Algorithm, Digest};

/// Listens on any port of `ip` and serves for ever.
pub(crate) fn serve(root: PathBuf, ip: IpAddr) -> io::Result<Arc<Door>> {
    let door = Door::bind(SocketAddr::new(ip, 0))?;
    door.serve("side", move |guest| {
        for line in BufReader::new(&guest.stream).lines() {
            let Ok(line) = line else { return };
            let answer = answer(&root, line.trim_end());
            if write!(&mut &guest.stream, "{answer}\r\n").is_err() {
                return;
            }
        }
    })?;
    Ok(door)
}

fn answer(root: &Path, line: &str) -> String {
    let (command, path) = line.split_once(' ').unwrap_or((line, ""));
    let place = disk::readable(root, path).filter(|place| place.is_file());
    match (command, Algorithm::named(command.as_bytes())) {
        ("size", _) => {
            let size = place
                .and_then(|place| place.metadata().ok())
                .map(|about| about.len());
            size.map_or_else(|| format!("{path} -1"), |size| format!("{path} {size}"))
        }
        (_, Some(algorithm)) => {
            let sum = place.and_then(|place| sum(&place, algorithm).ok());
            format!(
                "{path} {command}={}",
                sum.unwrap_or_else(|| "-1".to_owned())
            )
        }
        _ => format!("ERROR: unknown command: {line}"),
    }
}

fn sum(place: &Path, algorithm: Algorithm) -> io::Result<String> {
    let mut file = std::fs::File::open(place)?;
    let mut digest = Digest::new(algorithm);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(digest.checksum().hex);
        }
        digest.update(buffer.get(..count).unwrap_or_default());
    }
}
