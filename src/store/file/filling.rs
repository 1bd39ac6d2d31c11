//! Filling a file with an upload: read and written where it is short, moved in the kernel where it is long.
//! Knows no names and no trees.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::time::Duration;

use super::causes::broken;
use crate::store::inflow::{Inflow, LONG};
use crate::store::{Error, Source};
use crate::vigil;

/// How much is read at once: of what may be a small file, and of what is not.
const FIRST: usize = 16 * 1024;
const BLOCK: usize = 256 * 1024;

/// Writes all of `source` to `file`, from where it stands; how much that was.
///
/// # Errors
/// `Interrupted`, `Source`, and what writing says.
pub(super) fn fill(file: &mut File, source: &mut dyn Source) -> Result<u64, Error> {
    let mut block = vec![0; FIRST];
    let mut bytes = 0;
    while bytes < LONG {
        match read_on(&mut block, file, source)? {
            0 => return Ok(bytes),
            read => bytes += read as u64,
        }
        if bytes >= FIRST as u64 && block.len() < BLOCK {
            block = vec![0; BLOCK];
        }
    }
    let mut inflow = Inflow::new();
    while let Some(taken) = inflow.take(source) {
        let taken = taken.map_err(source_failed)?;
        if taken == 0 {
            return Ok(bytes);
        }
        let stored = inflow.store(file, taken, &mut block);
        stored.map_err(|error| broken(&error))?;
        bytes += taken as u64;
    }
    loop {
        match read_on(&mut block, file, source)? {
            0 => return Ok(bytes),
            read => bytes += read as u64,
        }
    }
}

/// Puts all of `source` behind the first `start` bytes of `file`; how much that was. What stood there is cut off as
/// soon as something comes in its place: a file that was continued in vain ends where the next attempt is to go
/// on, and does not look like a whole one.
///
/// # Errors
/// As [`fill`]; if nothing has come, the file is as it was.
pub(super) fn go_on(file: &mut File, start: u64, source: &mut dyn Source) -> Result<u64, Error> {
    let mut block = vec![0; FIRST];
    let read = source.read(&mut block).map_err(source_failed)?;
    file.set_len(start).map_err(|error| broken(&error))?;
    let first = block.get(..read).unwrap_or_default();
    let written = file
        .seek(SeekFrom::Start(start))
        .and_then(|_| file.write_all(first));
    written.map_err(|error| broken(&error))?;
    match read {
        0 => Ok(0),
        read => Ok(read as u64 + fill(file, source)?),
    }
}

/// Waits for a fiftieth of the time that an upload `took`, but never long. The kernel closes the connections
/// of a client that was killed one after the other, and mostly that of the data first, which then looks like
/// a good end: the other one, which is heard in each wait, is to have its moment.
///
/// # Errors
/// `Interrupted`: the client is gone.
pub(super) fn outlive(took: Duration) -> Result<(), Error> {
    const LEAST: Duration = Duration::from_micros(100);
    const MOST: Duration = Duration::from_millis(10);
    let moment = (took / 50).min(MOST);
    if moment < LEAST {
        return Ok(());
    }
    vigil::pause(moment).map_err(source_failed)
}

/// What was written to `file` is where it belongs: on the disk if `fsync`. Otherwise whoever keeps it has taken
/// it: file systems of other hosts (NFS, and more) say only at a close that there was no room for it.
///
/// # Errors
/// What the kernel says.
pub(super) fn settle(file: &File, fsync: bool) -> Result<(), Error> {
    if fsync {
        return file.sync_all().map_err(|error| broken(&error));
    }
    let again = file.try_clone().map_err(|error| broken(&error))?;
    Ok(nix::unistd::close(again)?)
}

fn read_on(block: &mut [u8], file: &mut File, source: &mut dyn Source) -> Result<usize, Error> {
    let read = source.read(block).map_err(source_failed)?;
    let written = file.write_all(block.get(..read).unwrap_or_default());
    written.map_err(|error| broken(&error))?;
    Ok(read)
}

fn source_failed(error: io::Error) -> Error {
    if vigil::was_interrupted(&error) {
        Error::Interrupted
    } else {
        Error::Source(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::store::inflow::trials::Socket;

    fn file(append: bool) -> File {
        let mut path = std::env::temp_dir();
        path.push(format!("filling-{}-{append}", std::process::id()));
        let mut options = File::options();
        let file = options.read(true).create_new(true);
        let file = file.append(append).write(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file
    }

    /// The second file takes no splice(2), since it is open for appending.
    #[test]
    fn every_byte_arrives_by_whichever_way() {
        for (length, append, is_poured) in [
            (0, false, false),
            (5, false, false),
            (FIRST + 1, false, false),
            (3_500_001, false, true),
            (3_500_002, true, true),
        ] {
            let bytes: Vec<u8> = (0..=250).cycle().step_by(7).take(length).collect();
            let (mut source, sender) = Socket::of(&bytes);
            let mut file = file(append);
            let stored = fill(&mut file, &mut source).unwrap();
            sender.join().unwrap();
            assert_eq!(
                (stored, source.poured > 0),
                (length as u64, is_poured),
                "{length}"
            );
            file.rewind().unwrap();
            let mut found = Vec::new();
            file.read_to_end(&mut found).unwrap();
            assert!(found == bytes, "{length}");
        }
    }
}
