//! MODE Z: the bytes of files and those of the connection, of which it makes two. What is counted is the
//! file's: rates, limits and reports are about files.

use std::io;
use std::time::Duration;

use super::{HEARD_EVERY, Link};
use crate::ftp::deflate::{Deflater, Inflater};
use crate::vigil;

/// MODE Z, one way or the other.
pub(super) enum Packer {
    In(Inflater),
    Out(Deflater),
}

impl Link {
    /// Much can be packed and unpacked without a call to the connection.
    fn look_up(&mut self) -> io::Result<()> {
        if self.unheard >= HEARD_EVERY {
            self.will_wait();
            vigil::pause(Duration::ZERO)?;
            self.unheard = 0;
        }
        Ok(())
    }

    pub(super) fn unpack(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut inflater = match self.packer.take() {
            Some(Packer::In(inflater)) => inflater,
            _ => Inflater::new(),
        };
        let count = self.unpack_with(&mut inflater, room);
        self.packer = Some(Packer::In(inflater));
        count
    }

    fn unpack_with(&mut self, inflater: &mut Inflater, room: &mut [u8]) -> io::Result<usize> {
        loop {
            self.look_up()?;
            match inflater.take(room)? {
                0 => {}
                count => return Ok(count),
            }
            let count = self.receive(inflater.room())?;
            inflater.came(count)?;
            if count == 0 {
                return Ok(0);
            }
        }
    }

    pub(super) fn pack(&mut self, level: u8, bytes: &[u8]) -> io::Result<usize> {
        self.look_up()?;
        let mut deflater = self.deflater(level);
        let packed = deflater.put(bytes, &mut |packed| self.send(packed));
        self.packer = Some(Packer::Out(deflater));
        packed.map(|()| bytes.len())
    }

    pub(super) fn deflater(&mut self, level: u8) -> Deflater {
        match self.packer.take() {
            Some(Packer::Out(deflater)) => deflater,
            _ => Deflater::new(level),
        }
    }
}
