//! GET and HEAD: files, ranges, the usage page, made-up bodies, and the faults of a download.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek as _, SeekFrom, Write as _};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::sendfile::sendfile;

use super::conversation::{After, Conversation, keeping, status_line};
use super::head::Head;
use super::mischief::Mischief;
use super::{date, disk, fid_of};

const BUFFER: usize = 256 * 1024;

/// Something that can be read from anywhere in it.
enum Body {
    Disk(File),
    Made(Vec<u8>),
}

struct Found {
    body: Body,
    size: u64,
    modified: SystemTime,
}

/// Which part of a file was asked for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// First and last byte.
    Bytes(u64, u64),
    Impossible,
}

impl Conversation<'_> {
    pub(super) fn get(&mut self, head: &Head, mischief: &Mischief) -> io::Result<After> {
        self.skip(head.length())?;
        let keep = head.keeps();
        if mischief.stall == Some(None) {
            return Ok(self.hold());
        }
        if let Some((code, _)) = mischief.status {
            return self.html(head, &status_line(code), "", keep);
        }
        if head.path.contains("..") {
            return self.html(head, "403 Forbidden", "", keep);
        }
        let place = disk::readable(&self.storage.root, &head.path);
        if place.as_ref().is_some_and(|path| path.is_dir()) {
            return self.html(head, "200 OK", "Directory listing disabled", keep);
        }
        let Some(found) = self.find(head) else {
            return self.html(head, "404 Not Found", "", keep);
        };
        self.deliver(head, mischief, found)
    }

    fn find(&self, head: &Head) -> Option<Found> {
        let file = disk::readable(&self.storage.root, &head.path).and_then(|p| File::open(p).ok());
        if let Some(file) = file {
            let about = file.metadata().ok()?;
            let modified = about.modified().unwrap_or(UNIX_EPOCH);
            return Some(Found {
                body: Body::Disk(file),
                size: about.len(),
                modified,
            });
        }
        let device = disk::base(&self.storage.root, &head.path);
        if !device.is_dir() {
            return None;
        }
        let (text, modified) = if head.path.ends_with("/usage") {
            (usage(&device.display().to_string()), SystemTime::now())
        } else {
            let fid = fid_of(&head.path)?;
            let size = (self.storage.made_up)(fid)?;
            // One second a fid from the beginning of 2026: never the same, never changing.
            (
                made_up(fid, size),
                UNIX_EPOCH + Duration::from_secs(1_767_225_600 + fid),
            )
        };
        let size = u64::try_from(text.len()).ok()?;
        Some(Found {
            body: Body::Made(text),
            size,
            modified,
        })
    }

    fn deliver(&mut self, head: &Head, mischief: &Mischief, found: Found) -> io::Result<After> {
        let modified = date::http(found.modified);
        let common = format!(
            "Date: {}\r\nServer: Perlbal\r\nLast-Modified: {modified}\r\nAccept-Ranges: bytes\r\n",
            date::http(SystemTime::now())
        );
        let keep = head.keeps() && mischief.wrong_length == 0 && !mischief.no_length;
        if head.header("if-modified-since") == Some(&modified) {
            let text = format!("HTTP/1.0 304 Not Modified\r\n{common}{}\r\n", keeping(keep));
            return self.send(text.as_bytes(), keep);
        }
        let part = match head.header("range") {
            Some(range) if !mischief.no_range => part(range, found.size),
            _ => Part::Whole,
        };
        let (status, range, start, length) = match part {
            Part::Whole => ("200 OK", String::new(), 0, found.size),
            Part::Bytes(first, last) => {
                let range = format!("Content-Range: bytes {first}-{last}/{}\r\n", found.size);
                ("206 Partial Content", range, first, last - first + 1)
            }
            Part::Impossible => {
                let star = if found.size > 0 {
                    format!("bytes */{}", found.size)
                } else {
                    "*".to_owned()
                };
                let text = format!(
                    "HTTP/1.0 416 Request range not satisfiable\r\nContent-Range: {star}\r\n\
                     Content-Length: 0\r\n{common}{}\r\n",
                    keeping(keep)
                );
                return self.send(text.as_bytes(), keep);
            }
        };
        let length = mischief.short.map_or(length, |short| length.min(short));
        let said = length.saturating_add_signed(mischief.wrong_length);
        let said = if mischief.no_length {
            String::new()
        } else {
            format!("Content-Length: {said}\r\n")
        };
        let text = format!(
            "HTTP/1.0 {status}\r\n{common}Content-Type: text/plain\r\n{range}{said}{}\r\n",
            keeping(keep)
        );
        self.stream.write_all(text.as_bytes())?;
        if head.method == "GET" {
            let end = self.pour(found.body, start, length, mischief)?;
            if end != After::Keep {
                return Ok(end);
            }
        }
        Ok(if keep { After::Keep } else { After::Close })
    }

    /// Sends `length` bytes from `start`, or as many as the faults allow.
    fn pour(&self, body: Body, start: u64, length: u64, faults: &Mischief) -> io::Result<After> {
        let stop = faults.stop().filter(|stop| *stop < length);
        let count = stop.unwrap_or(length);
        match body {
            Body::Disk(mut file) => {
                file.seek(SeekFrom::Start(start))?;
                if faults.moves_freely() {
                    if self.hand_over(&file, start, count)? < count {
                        return Ok(After::Close);
                    }
                } else {
                    self.trickle(file.take(count), faults)?;
                }
            }
            Body::Made(bytes) => {
                let mut cursor = Cursor::new(bytes);
                cursor.set_position(start);
                self.trickle(cursor.take(count), faults)?;
            }
        }
        if stop.is_none() {
            return Ok(After::Keep);
        }
        if faults.stall.flatten() == stop {
            return Ok(self.hold());
        }
        Ok(if faults.rst {
            After::Reset
        } else {
            After::Close
        })
    }

    /// Lets the kernel send `count` bytes from `start`; fewer, where the file ends before.
    fn hand_over(&self, file: &File, start: u64, count: u64) -> io::Result<u64> {
        const MOST: u64 = 1 << 30;
        let mut offset = start.try_into().map_err(io::Error::other)?;
        let mut done = 0;
        while done < count {
            let room = usize::try_from((count - done).min(MOST)).unwrap_or(BUFFER);
            match sendfile(self.stream, file, Some(&mut offset), room) {
                Ok(0) => break,
                Ok(sent) => done += u64::try_from(sent).unwrap_or(0),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    fn trickle(&self, mut source: impl Read, faults: &Mischief) -> io::Result<()> {
        let room = faults
            .slow
            .map_or(BUFFER, |(bytes, _)| usize::try_from(bytes).unwrap_or(1));
        let mut buffer = vec![0; room];
        let mut done = 0;
        loop {
            let count = source.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            let piece = buffer.get_mut(..count).unwrap_or_default();
            let turned = faults.corrupt.and_then(|at| at.checked_sub(done));
            let turned = turned.and_then(|at| usize::try_from(at).ok());
            if let Some(byte) = turned.and_then(|at| piece.get_mut(at)) {
                *byte = !*byte;
            }
            (&mut &*self.stream).write_all(piece)?;
            done += u64::try_from(count).unwrap_or(0);
            if let Some((_, pause)) = faults.slow {
                thread::sleep(pause);
            }
        }
    }
}

/// Perlbal's reading of a Range header: one range only, and a suffix is taken for an end.
fn part(range: &str, size: u64) -> Part {
    let bounds = range
        .trim()
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'));
    let Some((first, last)) = bounds else {
        return Part::Whole;
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) || first.is_empty() && last.is_empty() {
        return Part::Whole;
    }
    let (first, last): (Option<u64>, Option<u64>) = (first.parse().ok(), last.parse().ok());
    let impossible = match (first, last) {
        (Some(first), Some(last)) if first > last => true,
        (None, Some(0)) => true,
        (Some(first), _) => first >= size,
        (None, _) => size == 0,
    };
    if impossible {
        return Part::Impossible;
    }
    let end = size.saturating_sub(1);
    Part::Bytes(first.unwrap_or(0), last.map_or(end, |last| last.min(end)))
}

fn usage(disk: &str) -> Vec<u8> {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let text = format!(
        "available: 80000000\ndevice: /dev/vda\ndisk: {disk}\ntime: {now}\ntotal: 100000000\n\
         use: 20%\nused: 20000000\n"
    );
    text.into_bytes()
}

/// The bytes of a made-up file: its fid, over and over.
fn made_up(fid: u64, size: u64) -> Vec<u8> {
    let pattern = format!("{fid:010}\n");
    pattern
        .bytes()
        .cycle()
        .take(usize::try_from(size).unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_perlbal_reads_them() {
        for (range, size, expected) in [
            ("bytes=2-5", 10, Part::Bytes(2, 5)),
            ("bytes=7-", 10, Part::Bytes(7, 9)),
            ("bytes=8-100", 10, Part::Bytes(8, 9)),
            ("bytes=-3", 10, Part::Bytes(0, 3)),
            ("bytes=-100", 10, Part::Bytes(0, 9)),
            ("bytes=-0", 10, Part::Impossible),
            ("bytes=10-", 10, Part::Impossible),
            ("bytes=5-2", 10, Part::Impossible),
            ("bytes=0-", 0, Part::Impossible),
            ("bytes=0-1,4-5", 10, Part::Whole),
            ("items=0-1", 10, Part::Whole),
            ("bytes=-", 10, Part::Whole),
        ] {
            assert_eq!(part(range, size), expected, "{range} of {size}");
        }
    }
}
