//! PUT: straight to the final name, as Perlbal does, or by a temporary name where the client sends
//! Content-MD5; and the faults of an upload.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;

use super::conversation::{After, Conversation, status_line};
use super::disk::{self, Bad};
use super::head::Head;
use super::mischief::Mischief;
use crate::store::{Algorithm, Digest};

const BUFFER: usize = 256 * 1024;

/// Bodies up to here are read before a refusal, so that the connection can stay.
const SMALL: u64 = 16 * 1024;

impl Conversation<'_> {
    pub(super) fn put(&mut self, head: &Head, mischief: &Mischief) -> io::Result<After> {
        if let Some((code, true)) = mischief.status {
            return self.html(head, &status_line(code), "", false);
        }
        if mischief.stall == Some(None) {
            return Ok(self.hold());
        }
        let place = match disk::place(&self.storage.root, &head.path) {
            Ok(place) => place,
            Err(bad) => {
                let why = match bad {
                    Bad::Name => "Invalid filename",
                    Bad::Shallow => "Does not meet minimum directory requirement",
                };
                return self.html(head, "400 Bad request", why, false);
            }
        };
        // Only a PUT of known length looks whether the device is there.
        let base = disk::base(&self.storage.root, &head.path);
        if !head.is_chunked() && !base.is_dir() {
            let small = head.length() <= self.incoming.waiting().max(SMALL);
            if small {
                self.skip(head.length())?;
            }
            let why = "Base directory does not exist";
            return self.html(head, "404 Not Found", why, small && head.keeps());
        }
        if head.is_chunked() && head.expects_continue() {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        self.store(head, mischief, &place)
    }

    fn store(&mut self, head: &Head, mischief: &Mischief, place: &Path) -> io::Result<After> {
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        let promised = head
            .header("content-md5")
            .map(|sum| sum.trim_end_matches('=').to_owned());
        let path = promised
            .as_ref()
            .map_or_else(|| place.to_owned(), |_| temporary(place));
        let limit = mischief.lose_put.unwrap_or(u64::MAX);
        let digest = promised.as_ref().map(|_| Digest::new(Algorithm::Md5));
        let mut sink = Sink {
            file: File::create(&path)?,
            digest,
            limit,
            done: 0,
        };
        let whole = if head.is_chunked() {
            self.take_chunks(&mut sink, mischief)?
        } else {
            self.take(head.length(), &mut sink, mischief)?
        };
        if let Some(after) = whole {
            return Ok(after);
        }
        match mischief.hang_reply {
            Some(true) => return Ok(After::Close),
            Some(false) => return Ok(self.hold()),
            None => {}
        }
        if let Some((code, _)) = mischief.status {
            let _ = fs::remove_file(&path);
            return self.html(head, &status_line(code), "", head.keeps());
        }
        let Some(promised) = promised else {
            return self.html(head, "200 OK", "", head.keeps());
        };
        let actual = base64(&sink.digest.map(Digest::bytes).unwrap_or_default());
        if actual != promised {
            fs::remove_file(&path)?;
            let why = format!("Content-MD5 mismatch, expected: {promised} actual: {actual}");
            return self.html(head, "400 Bad request", &why, head.keeps());
        }
        fs::rename(&path, place)?;
        self.html(head, "201 ", "", head.keeps())
    }

    /// Moves `length` bytes to the sink. `Some` where a fault ended it.
    fn take(
        &mut self,
        length: u64,
        sink: &mut Sink,
        mischief: &Mischief,
    ) -> io::Result<Option<After>> {
        let mut buffer = vec![0; usize::try_from(length).unwrap_or(BUFFER).clamp(1, BUFFER)];
        let mut left = length;
        while left > 0 {
            let mut room = left;
            if let Some(stop) = mischief.stop() {
                if sink.done >= stop {
                    return Ok(Some(self.stop(mischief)));
                }
                room = room.min(stop - sink.done);
            }
            if let Some((bytes, pause)) = mischief.slow {
                room = room.min(bytes);
                thread::sleep(pause);
            }
            let room = usize::try_from(room).unwrap_or(BUFFER).min(buffer.len());
            let count = self
                .incoming
                .read(buffer.get_mut(..room).unwrap_or_default())?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            sink.write(buffer.get(..count).unwrap_or_default())?;
            left -= u64::try_from(count).unwrap_or(left);
        }
        Ok(None)
    }

    fn stop(&self, mischief: &Mischief) -> After {
        match mischief.stall {
            Some(_) if mischief.cut.is_none() => self.hold(),
            _ if mischief.rst => After::Reset,
            _ => After::Close,
        }
    }

    fn take_chunks(&mut self, sink: &mut Sink, mischief: &Mischief) -> io::Result<Option<After>> {
        loop {
            let line = self.incoming.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            if size == 0 {
                while !self.incoming.line()?.is_empty() {}
                return Ok(None);
            }
            let ended = self.take(size, sink, mischief)?;
            if ended.is_some() {
                return Ok(ended);
            }
            self.incoming.line()?;
        }
    }
}

/// Where body bytes go.
struct Sink {
    file: File,
    digest: Option<Digest>,
    /// Bytes beyond are lost, which is a fault.
    limit: u64,
    done: u64,
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.limit.saturating_sub(self.done)).unwrap_or(usize::MAX);
        self.file.write_all(bytes.get(..room).unwrap_or(bytes))?;
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.done += u64::try_from(bytes.len()).unwrap_or(0);
        Ok(())
    }
}

fn temporary(place: &Path) -> PathBuf {
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_nanos();
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{now}.tmp", std::process::id()));
    place.with_file_name(name)
}

/// Base64 without its padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for n in 0..=group.len() {
            let letter = bits >> (18 - 6 * n) & 63;
            let letter = usize::try_from(letter).ok().and_then(|at| LETTERS.get(at));
            out.extend(letter.copied().map(char::from));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_any_length() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
    }
}
