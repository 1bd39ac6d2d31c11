//! Checksums on request: HASH and the verbs that came before it. The store may know one; else the
//! file is read, block by block, while the control connection is listened to.

use std::io::{self, Seek, SeekFrom};
use std::rc::Rc;
use std::time::Duration;

use super::Member;
use crate::ftp::address;
use crate::ftp::digest::{Algorithm, Sum};
use crate::ftp::error::Error;
use crate::ftp::progress::Progress;
use crate::ftp::verb::{Answer, say};
use crate::store::{Body, Kind, Source};
use crate::vigil;

/// How much is read at once.
const BLOCK: usize = 128 * 1024;

/// What is to be summed up: a part of a file, or all of it.
#[derive(Debug, PartialEq, Eq)]
struct Extract<'c> {
    name: &'c [u8],
    /// First byte, and the one behind the last.
    range: Option<(u64, u64)>,
}

impl Member<'_> {
    /// HASH (draft-bryan-ftpext-hash)
    pub(super) fn hash(&mut self, name: &[u8]) -> Answer {
        let algorithm = self.session.hash;
        let whole = Extract { name, range: None };
        let (bytes, sum) = self.sum("HASH", &whole, algorithm)?;
        let head = format!("{} 0-{bytes} {sum} ", algorithm.name());
        say(213, [head.as_bytes(), name].concat())
    }

    /// MD5 (draft-twine-ftpmd5)
    pub(super) fn md5(&mut self, argument: &[u8]) -> Answer {
        let extract = extract(argument)?;
        let (_, sum) = self.sum("MD5", &extract, Algorithm::Md5)?;
        say(251, [extract.name, b" ", sum.as_bytes()].concat())
    }

    /// XCRC
    pub(super) fn xcrc(&mut self, argument: &[u8]) -> Answer {
        self.old_sum("XCRC", argument, Algorithm::Crc32)
    }

    /// XMD5
    pub(super) fn xmd5(&mut self, argument: &[u8]) -> Answer {
        self.old_sum("XMD5", argument, Algorithm::Md5)
    }

    /// XSHA, XSHA1
    pub(super) fn xsha1(&mut self, argument: &[u8]) -> Answer {
        self.old_sum("XSHA1", argument, Algorithm::Sha1)
    }

    /// XSHA256
    pub(super) fn xsha256(&mut self, argument: &[u8]) -> Answer {
        self.old_sum("XSHA256", argument, Algorithm::Sha256)
    }

    /// XSHA512
    pub(super) fn xsha512(&mut self, argument: &[u8]) -> Answer {
        self.old_sum("XSHA512", argument, Algorithm::Sha512)
    }

    fn old_sum(&mut self, verb: &'static str, argument: &[u8], algorithm: Algorithm) -> Answer {
        let (_, sum) = self.sum(verb, &extract(argument)?, algorithm)?;
        say(250, sum.to_ascii_uppercase())
    }

    /// How many bytes were summed up, and their sum.
    fn sum(
        &mut self,
        verb: &'static str,
        extract: &Extract<'_>,
        algorithm: Algorithm,
    ) -> Result<(u64, String), Error> {
        let path = self.resolve(extract.name);
        let progress = Rc::new(Progress::new(verb, extract.name));
        let watch = self.session.watch(&progress)?;
        let entry = self.store.stat(&path)?;
        if entry.kind == Kind::Dir {
            return Err(Error::refused(550, "Not a plain file."));
        }
        if let (None, Some(size)) = (extract.range, entry.size)
            && let Some(known) = self.store.checksum(&path, algorithm.name())?
        {
            return Ok((size, known));
        }
        let (start, end) = extract.range.unwrap_or((0, u64::MAX));
        let body = self.store.open(&path, start).map_err(Error::of_reading)?;
        let bytes = body.len().min(end.saturating_sub(start));
        let sum = read(body, bytes, Sum::new(algorithm))?;
        drop(watch);
        Ok((bytes, sum))
    }
}

fn read(body: Body, bytes: u64, mut sum: Sum) -> Result<String, Error> {
    let failed = |error: io::Error| Error::body(&error);
    let mut source: Box<dyn Source> = match body {
        Body::File(mut file, offset, _) => {
            file.seek(SeekFrom::Start(offset)).map_err(failed)?;
            Box::new(file)
        }
        Body::Stream(reader, _) => reader,
    };
    let mut block = vec![0; BLOCK];
    let mut left = bytes;
    while left > 0 {
        // A file never lets anybody wait, so bystanders are looked at here.
        vigil::pause(Duration::ZERO).map_err(failed)?;
        let most = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let room = block.get_mut(..most).unwrap_or_default();
        let count = match source.read(room) {
            Ok(0) => {
                let cause = format!("the file ended {left} bytes early");
                return Err(Error::failed(451, "Storage error", cause));
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        sum.add(block.get(..count).unwrap_or_default());
        left = left.saturating_sub(count as u64);
    }
    Ok(sum.end())
}

/// `path`, or `"path" [start [end]]`: only behind quotes can a number be told from a name.
fn extract(argument: &[u8]) -> Result<Extract<'_>, Error> {
    let syntax = || Error::refused(501, "It takes \"path\" [start [end]].");
    let Some(rest) = argument.strip_prefix(b"\"") else {
        let name = argument;
        return Ok(Extract { name, range: None });
    };
    let end = rest.iter().rposition(|&byte| byte == b'"');
    let (name, rest) = rest.split_at(end.ok_or_else(syntax)?);
    let numbers = rest.get(1..).unwrap_or_default();
    let mut numbers = numbers
        .split(|&byte| byte == b' ')
        .filter(|n| !n.is_empty());
    let mut number = |missing| match numbers.next() {
        None => Ok(missing),
        Some(digits) => address::decimal::<u64>(digits).ok_or_else(syntax),
    };
    let (start, end) = (number(0)?, number(u64::MAX)?);
    let is_whole = (start, end) == (0, u64::MAX);
    if name.is_empty() || numbers.next().is_some() || end < start {
        return Err(syntax());
    }
    Ok(Extract {
        name,
        range: (!is_whole).then_some((start, end)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_asked_for_behind_quotes() {
        type Expected<'e> = Option<(&'e str, Option<(u64, u64)>)>;
        let cases: [(&str, Expected<'_>); 11] = [
            ("a b 1 2", Some(("a b 1 2", None))),
            ("\"a b\"", Some(("a b", None))),
            ("\"a \"b\"\"", Some(("a \"b\"", None))),
            ("\"a\" 5", Some(("a", Some((5, u64::MAX))))),
            ("\"a\" 5 10", Some(("a", Some((5, 10))))),
            ("\"a\"  0  0", Some(("a", Some((0, 0))))),
            ("\"a\" 10 5", None),
            ("\"a\" 1 2 3", None),
            ("\"a\" -1", None),
            ("\"a", None),
            ("\"\"", None),
        ];
        for (argument, expected) in cases {
            let found = extract(argument.as_bytes()).ok();
            let found = found.map(|extract| (extract.name, extract.range));
            let expected = expected.map(|(name, range)| (name.as_bytes(), range));
            assert_eq!(found, expected, "{argument}");
        }
    }
}
