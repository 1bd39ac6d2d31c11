//! Bytes between a store and a data connection, and how far they are. Memory stays flat: one block,
//! or none where the kernel can send a file by itself, or take it from where it comes.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;

use super::ascii::ToWire;
use super::control::Control;
use super::error::Error;
use super::link::Link;
use super::progress::Progress;
use crate::pipe::Pipe;
use crate::store::{Body, Source};
use crate::vigil::{self, Verdict, Watch};

/// How much is held in memory of a body that comes from elsewhere.
const BLOCK: usize = 128 * 1024;

/// What is shorter is not worth a pipe.
const LONG: u64 = 256 * 1024;

/// What a pipe holds.
const PIPE: usize = 1024 * 1024;

/// A file no longer than this is read and sent in one piece, together with the end of the connection.
const SHORT: u64 = 16 * 1024;

/// Keeps an ear on the control connection until the watch is dropped; `None` when there is nothing
/// more to be heard, for all that waits has to wait for its turn.
///
/// # Errors
/// `Interrupted` when the ABOR is there already; what [`vigil::watch`] says.
pub(super) fn watch(
    control: &Rc<RefCell<Control>>,
    progress: &Rc<Progress>,
) -> Result<Option<Watch>, Error> {
    let verdict = control.borrow_mut().overhear_at_hand(progress);
    match verdict {
        Verdict::Leave => return Err(Error::Interrupted),
        Verdict::Rest => return Ok(None),
        Verdict::Stay => {}
    }
    let (overheard, progress) = (Rc::clone(control), Rc::clone(progress));
    let ear = control.borrow_mut().ear();
    let ear =
        ear.map_err(|error| Error::failed(451, "No resources", format!("a watch: {error}")))?;
    Ok(Some(vigil::watch_shared(ear, move || {
        // Borrowed: a reply is being sent to a client that does not read.
        match overheard.try_borrow_mut() {
            Ok(mut control) => control.overhear(&progress),
            Err(_) => Verdict::Rest,
        }
    })))
}

/// Whether all of `body` can be sent in one piece, whatever the client does meanwhile.
pub(super) fn is_short(body: &Body) -> bool {
    matches!(body, Body::File(_, _, len) if *len <= SHORT)
}

/// Sends a whole body and closes the data connection; `Ok` when the client has all of it.
///
/// # Errors
/// `Failed` when the store failed, `Refused` (426) when the data connection did.
pub(super) fn send(body: Body, mut link: Link, ascii: bool) -> Result<(), Error> {
    match body {
        Body::File(file, offset, len) if !ascii && link.is_plain() => {
            let sent = send_short(&file, offset, len, &mut link)?;
            send_file(&file, offset + sent, len - sent, &mut link)?
        }
        Body::File(mut file, offset, len) => {
            file.seek(SeekFrom::Start(offset))
                .map_err(|error| Error::body(&error))?;
            pump(&mut file, len, &mut link, ascii)?;
        }
        Body::Stream(mut reader, len) => pump(&mut reader, len, &mut link, ascii)?,
    }
    link.finish().map_err(|error| Error::data(&error))
}

/// Sends a file that is short; how much of it went.
fn send_short(file: &File, offset: u64, len: u64, link: &mut Link) -> Result<u64, Error> {
    if !(1..=SHORT).contains(&len) {
        return Ok(0);
    }
    let mut block = vec![0; usize::try_from(len).unwrap_or_default()];
    let read = file.read_at(&mut block, offset);
    if read.map_err(|error| Error::body(&error))? < block.len() {
        return Ok(0);
    }
    link.send_last(&block).map(|sent| sent as u64)
}

fn send_file(file: &File, mut offset: u64, len: u64, link: &mut Link) -> Result<(), Error> {
    let end = offset.saturating_add(len);
    while offset < end {
        match link.send_file(file, offset, end - offset)? {
            0 => return Err(ended_early(end - offset)),
            count => offset += count as u64,
        }
    }
    Ok(())
}

fn pump(source: &mut dyn Source, len: u64, link: &mut Link, ascii: bool) -> Result<(), Error> {
    let is_touched = ascii || !link.is_plain() || len < LONG;
    let pipe = (!is_touched).then(|| Pipe::open(PIPE)).flatten();
    let mut block = vec![0; usize::try_from(len).unwrap_or(BLOCK).min(BLOCK)];
    let mut converted = ascii.then(|| (ToWire::default(), Vec::with_capacity(2 * BLOCK)));
    let mut left = len;
    while left > 0 {
        if let Some(pipe) = &pipe
            && let Some(poured) = pour(source, left, pipe, link)
        {
            left = left.saturating_sub(poured?);
            continue;
        }
        let most = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let room = block.get_mut(..most).unwrap_or_default();
        let count = match source.read(room) {
            Ok(0) => return Err(ended_early(left)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::body(&error)),
        };
        left = left.saturating_sub(count as u64);
        let bytes = block.get(..count).unwrap_or_default();
        match &mut converted {
            None => link.write_all(bytes),
            Some((lines, wire)) => {
                wire.clear();
                lines.convert(bytes, wire);
                link.write_all(wire)
            }
        }
        .map_err(|error| Error::data(&error))?;
    }
    Ok(())
}

/// Moves some of `source` through `pipe`; how much. `None`: what comes next has to be read.
fn pour(
    source: &mut dyn Source,
    left: u64,
    pipe: &Pipe,
    link: &mut Link,
) -> Option<Result<u64, Error>> {
    let most = usize::try_from(left).unwrap_or(PIPE).min(PIPE);
    let moved = match source.pour(pipe.mouth(), most)? {
        Ok(0) => Err(ended_early(left)),
        Ok(count) => link
            .drain(pipe, count)
            .map(|()| count as u64)
            .map_err(|error| Error::data(&error)),
        Err(error) => Err(Error::body(&error)),
    };
    Some(moved)
}

fn ended_early(left: u64) -> Error {
    Error::failed(
        451,
        "Storage error",
        format!("the file ended {left} bytes early"),
    )
}
