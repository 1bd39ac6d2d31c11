//! An upload that has ended, on its way from the worker to the clerk that runs the site's program.

use std::net::IpAddr;

use crate::leash::wire::{Malformed, Reader, Writer};

/// All that a program of the site is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub peer: IpAddr,
    /// Names it in the log.
    pub session: String,
    pub user: Vec<u8>,
    pub path: Vec<u8>,
    /// Domain and key; empty: it is not in MogileFS.
    pub domain: Vec<u8>,
    pub key: Vec<u8>,
    pub fid: Option<u64>,
    /// Bytes that went over the data connection.
    pub size: u64,
    /// The client was told that it is stored.
    pub is_complete: bool,
}

impl Upload {
    /// More bytes than this together are no names; with them a packet might be too long.
    const MOST: usize = 12 * 1024;

    /// Whether it can be told at all.
    #[must_use]
    pub fn fits(&self) -> bool {
        let names = [&self.user, &self.path, &self.domain, &self.key];
        names.iter().map(|name| name.len()).sum::<usize>() <= Self::MOST
    }

    pub(super) fn write(&self, writer: Writer) -> Writer {
        writer
            .address(self.peer)
            .bytes(self.session.as_bytes())
            .bytes(&self.user)
            .bytes(&self.path)
            .bytes(&self.domain)
            .bytes(&self.key)
            .list(self.fid.as_slice(), Writer::size)
            .size(self.size)
            .byte(u8::from(self.is_complete))
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            peer: reader.address()?,
            session: reader.text()?,
            user: reader.bytes()?,
            path: reader.bytes()?,
            domain: reader.bytes()?,
            key: reader.bytes()?,
            fid: reader.list(Reader::size)?.pop(),
            size: reader.size()?,
            is_complete: reader.byte()? != 0,
        })
    }
}

/// What became of the run of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It ended otherwise, could not be started, or took too long.
    Failed,
    /// There was no room for it in the line.
    Dropped,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Dropped];

    pub(super) fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn numbered(number: u8) -> Result<Self, Malformed> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.number() == number).ok_or(Malformed)
    }
}
