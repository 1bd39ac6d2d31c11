//! What a master leaves to the program that takes its place, as bytes: who works, for whom, since
//! when; bans, counts; and the numbers of descriptors. A record of a kind that the other program does
//! not know is passed over; what a record says must never change, or the version must.

use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::board::State;
use crate::leash::{self, FromWorker, Malformed, Message, News, Reader, Writer};

/// Of the records.
const VERSION: u16 = 1;

const MAGIC: &[u8] = b"nanoftpd will";

/// One thing that is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The pid file and its lock.
    Pidfile {
        fd: i32,
        path: PathBuf,
    },
    /// The control socket, with device and inode of its name.
    Control {
        fd: i32,
        path: PathBuf,
        place: (u64, u64),
    },
    /// Where stray output goes: what the master reads, and what all others write to.
    Gutter {
        end: i32,
        mouth: i32,
    },
    /// How long the service has been up.
    Up(Duration),
    /// As [`crate::board::Tally::numbers`].
    Tally(Vec<u64>),
    /// As [`crate::figures::Figures::numbers`].
    Figures(Vec<u64>),
    /// As [`crate::board::Suspects::list`].
    Suspect {
        address: IpAddr,
        failures: u32,
        age: Duration,
        left: Option<Duration>,
    },
    /// The service is shut; when sessions are ended, unless that has been said.
    Shut {
        text: String,
        drain: Option<Duration>,
    },
    /// Where a host is.
    Known {
        name: String,
        addresses: Vec<IpAddr>,
    },
    /// What sessions have told each other.
    News(News),
    Worker(Worker),
    /// The next piece of the configuration that the other program has tried.
    Tried(Vec<u8>),
    /// How many more clients a worker may have; behind that worker.
    Clients {
        pid: i32,
        most: u32,
    },
    /// A clerk that nobody holds any more, and that finishes what it has.
    Finishing(i32),
}

impl Record {
    /// All of a configuration.
    pub(super) fn tried(text: &[u8]) -> impl Iterator<Item = Self> {
        /// No field is longer.
        const PIECE: usize = 4096;
        text.chunks(PIECE).map(|piece| Self::Tried(piece.to_vec()))
    }
}

/// A worker and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Worker {
    pub(super) pid: i32,
    /// Its leash.
    pub(super) fd: i32,
    /// Since when it does what it does.
    pub(super) age: Duration,
    pub(super) is_leaving: bool,
    /// How long it has until it is killed.
    pub(super) left: Option<Duration>,
    /// What it has of the room for spools, in megabytes.
    pub(super) room: u64,
    /// As [`crate::board::Traffic::numbers`].
    pub(super) traffic: Vec<u64>,
    pub(super) state: State,
}

/// All of it, to be read by [`read`].
pub(super) fn write(records: &[Record]) -> Vec<u8> {
    let mut text = header();
    for record in records {
        let packet = record.encode();
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        text.extend(length.to_be_bytes());
        text.extend(packet);
    }
    // The end: what was cut off is not taken for the whole.
    text.extend([0; 4]);
    text
}

/// What [`write`] wrote.
///
/// # Errors
/// It was another version, or is damaged.
pub(super) fn read(text: &[u8]) -> Result<Vec<Record>, Malformed> {
    let mut rest = text.strip_prefix(&*header()).ok_or(Malformed)?;
    let mut records = Vec::new();
    loop {
        let (length, behind) = rest.split_first_chunk().ok_or(Malformed)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Malformed)?;
        if length == 0 {
            return Ok(records);
        }
        let (packet, behind) = behind.split_at_checked(length).ok_or(Malformed)?;
        records.extend(Record::decode(packet)?);
        rest = behind;
    }
}

/// The leash's language belongs to it, since leashes are left.
fn header() -> Vec<u8> {
    let versions = [VERSION, leash::LANGUAGE].map(u16::to_be_bytes);
    [MAGIC, versions.as_flattened()].concat()
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Pidfile { fd, path } => Writer::new(1).natural(*fd).path(path),
            Self::Control {
                fd,
                path,
                place: (device, inode),
            } => Writer::new(2)
                .natural(*fd)
                .path(path)
                .size(*device)
                .size(*inode),
            Self::Gutter { end, mouth } => Writer::new(3).natural(*end).natural(*mouth),
            Self::Up(time) => Writer::new(4).time_span(*time),
            Self::Tally(numbers) => Writer::new(5).list(numbers, Writer::size),
            Self::Figures(numbers) => Writer::new(11).list(numbers, Writer::size),
            Self::Suspect {
                address,
                failures,
                age,
                left,
            } => Writer::new(6)
                .address(*address)
                .number(*failures)
                .time_span(*age)
                .list(left.as_slice(), Writer::time_span),
            Self::Shut { text, drain } => Writer::new(7)
                .bytes(text.as_bytes())
                .list(drain.as_slice(), Writer::time_span),
            Self::Known { name, addresses } => Writer::new(8)
                .bytes(name.as_bytes())
                .list(addresses, Writer::address),
            Self::News(news) => Writer::new(9).bytes(&FromWorker::News(news.clone()).encode()),
            Self::Worker(worker) => worker.encode(Writer::new(10)),
            Self::Clients { pid, most } => Writer::new(12).natural(*pid).number(*most),
            Self::Tried(text) => Writer::new(13).bytes(text),
            Self::Finishing(pid) => Writer::new(14).natural(*pid),
        }
        .end()
    }

    fn decode(packet: &[u8]) -> Result<Option<Self>, Malformed> {
        let reader = &mut Reader::new(packet);
        let record = match reader.byte()? {
            1 => Self::Pidfile {
                fd: reader.natural()?,
                path: path(reader)?,
            },
            2 => Self::Control {
                fd: reader.natural()?,
                path: path(reader)?,
                place: (reader.size()?, reader.size()?),
            },
            3 => Self::Gutter {
                end: reader.natural()?,
                mouth: reader.natural()?,
            },
            4 => Self::Up(time_span(reader)?),
            5 => Self::Tally(reader.list(Reader::size)?),
            11 => Self::Figures(reader.list(Reader::size)?),
            6 => Self::Suspect {
                address: reader.address()?,
                failures: reader.number()?,
                age: time_span(reader)?,
                left: reader.list(time_span)?.pop(),
            },
            7 => Self::Shut {
                text: reader.text()?,
                drain: reader.list(time_span)?.pop(),
            },
            8 => Self::Known {
                name: reader.text()?,
                addresses: reader.list(Reader::address)?,
            },
            9 => match FromWorker::decode(&reader.bytes()?, None)? {
                Some(FromWorker::News(news)) => Self::News(news),
                _ => return Ok(None),
            },
            10 => Self::Worker(Worker::decode(reader)?),
            12 => Self::Clients {
                pid: reader.natural()?,
                most: reader.number()?,
            },
            13 => Self::Tried(reader.bytes()?),
            14 => Self::Finishing(reader.natural()?),
            _ => return Ok(None),
        };
        reader.is_empty().then_some(Some(record)).ok_or(Malformed)
    }
}

impl Worker {
    fn encode(&self, writer: Writer) -> Writer {
        let writer = writer
            .natural(self.pid)
            .natural(self.fd)
            .time_span(self.age)
            .byte(u8::from(self.is_leaving))
            .list(self.left.as_slice(), Writer::time_span)
            .size(self.room)
            .list(&self.traffic, Writer::size);
        match &self.state {
            State::Unborn => writer.byte(0),
            State::Idle => writer.byte(1),
            State::Visitor { peer } => writer.byte(2).socket(*peer),
            State::Member {
                peer,
                user,
                module,
                verb,
                argument,
            } => writer
                .byte(3)
                .socket(*peer)
                .bytes(user)
                .bytes(module.as_bytes())
                .bytes(verb.as_bytes())
                .bytes(argument),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            pid: reader.natural()?,
            fd: reader.natural()?,
            age: time_span(reader)?,
            is_leaving: reader.byte()? != 0,
            left: reader.list(time_span)?.pop(),
            room: reader.size()?,
            traffic: reader.list(Reader::size)?,
            state: match reader.byte()? {
                0 => State::Unborn,
                1 => State::Idle,
                2 => State::Visitor {
                    peer: reader.socket()?,
                },
                3 => State::Member {
                    peer: reader.socket()?,
                    user: reader.bytes()?,
                    module: reader.text()?,
                    verb: reader.text()?,
                    argument: reader.bytes()?,
                },
                _ => return Err(Malformed),
            },
        })
    }
}

/// What only a will has in it.
trait Testator {
    fn path(self, path: &Path) -> Self;
    fn time_span(self, time: Duration) -> Self;
}

impl Testator for Writer {
    fn path(self, path: &Path) -> Self {
        self.bytes(path.as_os_str().as_bytes())
    }

    /// In milliseconds.
    fn time_span(self, time: Duration) -> Self {
        self.size(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

fn path(reader: &mut Reader<'_>) -> Result<PathBuf, Malformed> {
    Ok(std::ffi::OsString::from_vec(reader.bytes()?).into())
}

fn time_span(reader: &mut Reader<'_>) -> Result<Duration, Malformed> {
    reader.size().map(Duration::from_millis)
}

#[cfg(test)]
mod tests;
