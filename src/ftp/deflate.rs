//! MODE Z (draft-preston-ftpext-deflate): what goes over a data connection is one zlib stream
//! (RFC 1950), which ends before the connection does. Pure; memory is the same however long it is.

use std::fmt;
use std::io::{self, Read as _};

use miniz_oxide::deflate::core::{CompressionStrategy, CompressorOxide};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

/// As zlib has it; a client may wish for others.
pub(super) const USUAL_LEVEL: u8 = 6;
pub(super) const LEVELS: std::ops::RangeInclusive<u8> = 1..=9;

/// How much is held that has come and is not unpacked, and that is unpacked and was not taken.
const PACKED: usize = 16 * 1024;
const PLAIN: usize = 64 * 1024;

/// What has come is no zlib stream, or not one alone.
#[derive(Debug)]
pub(super) struct Garbled;

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the compressed data is damaged")
    }
}

impl std::error::Error for Garbled {}

/// Packs.
pub(super) struct Deflater {
    state: Box<CompressorOxide>,
    packed: Vec<u8>,
    filled: usize,
}

impl Deflater {
    pub(super) fn new(level: u8) -> Self {
        const WINDOW: u8 = 15;
        let strategy = CompressionStrategy::Default;
        let state = CompressorOxide::with_params(DataFormat::Zlib, level, strategy, WINDOW);
        Self {
            state: Box::new(state),
            packed: vec![0; PLAIN],
            filled: 0,
        }
    }

    /// Packs all of `bytes`; what is packed goes to `send`, a good piece at a time.
    ///
    /// # Errors
    /// What `send` says.
    pub(super) fn put(
        &mut self,
        bytes: &[u8],
        send: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let (taken, _) = self.step(left, MZFlush::None, send)?;
            left = left.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Ends the stream: all of it has been sent.
    ///
    /// # Errors
    /// What `send` says.
    pub(super) fn end(&mut self, send: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        while !self.step(&[], MZFlush::Finish, send)?.1 {}
        send(self.packed.get(..self.filled).unwrap_or_default())
    }

    /// How much of `bytes` was taken, and whether the stream has ended.
    fn step(
        &mut self,
        bytes: &[u8],
        flush: MZFlush,
        send: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<(usize, bool)> {
        if self.filled == self.packed.len() {
            send(&self.packed)?;
            self.filled = 0;
        }
        let room = self.packed.get_mut(self.filled..).unwrap_or_default();
        let done = deflate(&mut self.state, bytes, room, flush);
        self.filled += done.bytes_written;
        match done.status {
            Ok(status) => Ok((done.bytes_consumed, status == MZStatus::StreamEnd)),
            Err(error) => Err(io::Error::other(format!("zlib: {error:?}"))),
        }
    }
}

/// Unpacks.
pub(super) struct Inflater {
    state: Box<InflateState>,
    packed: Vec<u8>,
    /// What of it is still to be unpacked.
    left: std::ops::Range<usize>,
    plain: Vec<u8>,
    /// What of it is still to be taken.
    ready: std::ops::Range<usize>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// More must come.
    Open,
    /// Nothing more may come.
    Whole,
    Garbled,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self {
            state: InflateState::new_boxed(DataFormat::Zlib),
            packed: vec![0; PACKED],
            left: 0..0,
            plain: vec![0; PLAIN],
            ready: 0..0,
            end: End::Open,
        }
    }

    /// Where more is to be put of what comes; all that came before has been unpacked.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.packed
    }

    /// So much has come; 0: that was all.
    ///
    /// # Errors
    /// `UnexpectedEof`: it is not all there. [`Garbled`]: it went on behind its end.
    pub(super) fn came(&mut self, count: usize) -> io::Result<()> {
        match (self.end, count) {
            (End::Whole, 0) => Ok(()),
            (End::Open, 0) => Err(io::ErrorKind::UnexpectedEof.into()),
            (End::Open, count) => {
                self.left = 0..count;
                Ok(())
            }
            _ => Err(io::Error::other(Garbled)),
        }
    }

    /// Whether something can be taken, or there is something wrong, before more comes.
    pub(super) fn has_more(&mut self) -> bool {
        if self.ready.is_empty() && self.end == End::Open {
            self.unpack();
        }
        !self.ready.is_empty() || self.end == End::Garbled
    }

    /// What is unpacked, as much as fits; 0: more must come first.
    ///
    /// # Errors
    /// [`Garbled`].
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.has_more() {
            return Ok(0);
        }
        if self.ready.is_empty() {
            return Err(io::Error::other(Garbled));
        }
        let mut ready = self.plain.get(self.ready.clone()).unwrap_or_default();
        let count = ready.read(buffer)?;
        self.ready.start += count;
        Ok(count)
    }

    /// A piece is unpacked even where nothing is left: the state may hold some.
    fn unpack(&mut self) {
        let packed = self.packed.get(self.left.clone()).unwrap_or_default();
        let done = inflate(&mut self.state, packed, &mut self.plain, MZFlush::None);
        self.left.start += done.bytes_consumed;
        self.ready = 0..done.bytes_written;
        self.end = match done.status {
            Ok(MZStatus::StreamEnd) if self.left.is_empty() => End::Whole,
            // It cannot go on with what there is.
            Ok(MZStatus::Ok) | Err(MZError::Buf) => End::Open,
            _ => End::Garbled,
        };
    }
}

/// `data`: how it is cut, and a file, or what is said to be one that was packed.
#[cfg(any(test, fuzzing))]
pub(crate) fn trial(data: &[u8]) {
    use crate::draw::Draw;
    let mut draw = Draw(data);
    let mut cut = Draw(draw.bytes());
    let level = draw.byte() % 9 + 1;
    let bytes = draw.0;

    let mut packed = Vec::new();
    let mut send = |piece: &[u8]| {
        packed.extend_from_slice(piece);
        Ok(())
    };
    let mut deflater = Deflater::new(level);
    for piece in cut.pieces(bytes) {
        assert!(deflater.put(piece, &mut send).is_ok());
    }
    assert!(deflater.end(&mut send).is_ok());

    let step = usize::from(level) * 7;
    assert_eq!(unpacked(&packed, step).ok().as_deref(), Some(bytes));
    // What is cut off is not whole, and nothing may follow.
    if let Some((_, short)) = packed.split_last() {
        assert!(unpacked(short, step).is_err());
    }
    assert!(unpacked(&[packed.as_slice(), b"x"].concat(), step).is_err());

    // Anything at all is the same however it comes, and nothing is ever more than it can hold.
    let (once, pieces) = (unpacked(bytes, bytes.len()), unpacked(bytes, 1));
    assert_eq!(once.is_ok(), pieces.is_ok());
    if let (Ok(once), Ok(pieces)) = (once, pieces) {
        assert_eq!(once, pieces);
        assert!(once.len() <= bytes.len() * 1032);
    }
}

/// All that is unpacked of `packed`, which comes in pieces.
#[cfg(any(test, fuzzing))]
fn unpacked(packed: &[u8], step: usize) -> io::Result<Vec<u8>> {
    let mut inflater = Inflater::new();
    let (mut all, mut block) = (Vec::new(), [0; 1000]);
    let mut rest = packed.chunks(step.clamp(1, PACKED));
    loop {
        match inflater.take(&mut block)? {
            0 => {
                let piece = rest.next().unwrap_or_default();
                let room = inflater.room().iter_mut();
                room.zip(piece).for_each(|(to, from)| *to = *from);
                inflater.came(piece.len())?;
                if piece.is_empty() {
                    return Ok(all);
                }
            }
            count => all.extend_from_slice(block.get(..count).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: &[u8], level: u8) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut send = |piece: &[u8]| {
            packed.extend_from_slice(piece);
            Ok(())
        };
        let mut deflater = Deflater::new(level);
        deflater.put(bytes, &mut send).unwrap();
        deflater.end(&mut send).unwrap();
        packed
    }

    #[test]
    fn what_is_packed_is_unpacked_again_whatever_its_size() {
        let text = b"all work and no play ".repeat(20_000);
        for size in [0, 1, 100, PACKED, PLAIN - 1, PLAIN, PLAIN + 1, text.len()] {
            for level in [1, USUAL_LEVEL, 9] {
                let packed = packed(&text[..size], level);
                assert!(packed.len() < size / 10 + 100, "{size}");
                for step in [1, 13, PACKED] {
                    assert_eq!(unpacked(&packed, step).unwrap(), text[..size], "{size}");
                }
            }
        }
    }

    #[test]
    fn what_is_cut_damaged_or_goes_on_is_an_error() {
        let whole = packed(&b"all work and no play ".repeat(1000), 6);
        for length in 0..whole.len() {
            let error = unpacked(&whole[..length], PACKED).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{length}");
        }
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let longer = [&whole[..], b"x"].concat();
        let raw = &whole[2..whole.len() - 4];
        for garbled in [&damaged[..], &longer, raw, b"no zlib at all"] {
            for step in [1, PACKED] {
                let error = unpacked(garbled, step).unwrap_err();
                assert!(crate::vigil::was_caused_by::<Garbled>(&error), "{error:?}");
            }
        }
    }
}
