//! What the master and a worker say to each other.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Message, NEWS_DOWN, NEWS_UP, News, Secret, Upload, whole};
use crate::figures::Figures;
use crate::leash::wire::{Malformed, Reader, Writer};

/// What a worker tells the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromWorker {
    /// Its rights are final; it waits for clients. Its nursery may have died before it said who it is.
    Ready { pid: i32 },
    /// It has accepted this client.
    Taken { peer: SocketAddr },
    /// It has accepted this proxy, which has yet to say for whom it comes.
    Awaits { proxy: SocketAddr },
    /// It has accepted this client; may it stay? To be answered with [`ToWorker::Answer`]: a
    /// [`super::Word`].
    Admit { number: u32, peer: SocketAddr },
    /// The client has logged in as this; may it stay? To be answered with [`ToWorker::Answer`]: a
    /// [`super::Word`].
    Enter {
        number: u32,
        user: Vec<u8>,
        module: String,
    },
    /// The client's login has failed. To be answered with [`ToWorker::Answer`]: a [`super::Word`].
    Failed { number: u32 },
    /// Who is this? To be answered with [`ToWorker::Answer`]: a record or the lack of one, as `auth`
    /// writes it.
    Account { number: u32, user: Vec<u8> },
    /// Is this the right password? To be answered with [`ToWorker::Answer`]: a verdict, as `auth`
    /// writes it.
    Login {
        number: u32,
        user: Vec<u8>,
        password: Secret,
    },
    /// The client has logged in and uses this store module.
    Entered { user: Vec<u8>, module: String },
    /// It has logged out and is still there.
    LoggedOut,
    /// It has said QUIT, and is about to hear that it may go: who it was may come again then.
    Parting,
    /// The client's command; an empty verb: it waits for one.
    Doing { verb: String, argument: Vec<u8> },
    /// So many transfers of files have ended, of so many bytes together.
    Transferred {
        is_upload: bool,
        is_complete: bool,
        count: u32,
        bytes: u64,
    },
    /// An upload has ended of which the site's program is to be told.
    Uploaded(Box<Upload>),
    /// What it has counted since it said so last.
    Figures(Box<Figures>),
    /// So many bytes went over the present data connection by now.
    Moved { bytes: u64 },
    /// The client is gone.
    Left,
    /// It wants so much more room for its spool, in megabytes. To be answered with
    /// [`ToWorker::Answer`]: something if it may have it, nothing if not.
    Room { number: u32, megabytes: u32 },
    /// It needs so much no more.
    RoomFree { megabytes: u32 },
    /// It is to connect to this port of its client, whose control connection came to `local`. To be
    /// answered with [`ToWorker::Called`], or, where that cannot be, with [`ToWorker::Answer`].
    Call {
        number: u32,
        local: SocketAddr,
        port: u32,
    },
    /// All that it has told before is to be known to the others. To be answered with
    /// [`ToWorker::Answer`].
    Fence { number: u32 },
    /// So many lines could not be logged.
    Unlogged { lines: u32 },
    /// To be told to all others.
    News(News),
}

/// What the master tells a worker.
#[derive(Debug)]
pub enum ToWorker {
    /// The answer to the question of that number; empty: there is none to be had now.
    Answer { number: u32, answer: Vec<u8> },
    /// The answer to [`FromWorker::Call`]: a connection that is under way, from the data port.
    Called { number: u32, fd: OwnedFd },
    /// Serve no further client after this one.
    Retire,
    /// The service ends: say this to a client that waits, or when its command is done, and end.
    Leave { text: String },
    /// Say this to the client now, whatever it does, and end.
    Kick { text: String },
    /// Log there from now on; which log it is for is the logger's number.
    Log { which: u8, fd: OwnedFd },
    /// The trackers are there now.
    Trackers { addresses: Vec<SocketAddr> },
    /// What PASV is to announce from now on.
    Announce { address: Option<IpAddr> },
    /// What another worker has told.
    News(News),
    /// What this session may move of what all sessions of its user together may, in bytes a second;
    /// 0: any number.
    Share { up: u64, down: u64 },
    /// Whether the service is shut: if so, every client and every login has to be asked about.
    Gate { is_shut: bool },
}

impl Message for FromWorker {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready { pid } => Writer::new(20).natural(*pid),
            Self::Taken { peer } => Writer::new(2).socket(*peer),
            Self::Awaits { proxy } => Writer::new(22).socket(*proxy),
            Self::Account { number, user } => Writer::new(3).number(*number).bytes(user),
            Self::Entered { user, module } => Writer::new(4).bytes(user).bytes(module.as_bytes()),
            Self::Doing { verb, argument } => Writer::new(5).bytes(verb.as_bytes()).bytes(argument),
            Self::Left => Writer::new(6),
            Self::LoggedOut => Writer::new(21),
            Self::Parting => Writer::new(23),
            Self::Login {
                number,
                user,
                password,
            } => Writer::new(7)
                .number(*number)
                .bytes(user)
                .bytes(password.as_bytes()),
            Self::Room { number, megabytes } => Writer::new(12).number(*number).number(*megabytes),
            Self::RoomFree { megabytes } => Writer::new(13).number(*megabytes),
            Self::Call {
                number,
                local,
                port,
            } => Writer::new(17).number(*number).socket(*local).number(*port),
            Self::Fence { number } => Writer::new(19).number(*number),
            Self::Uploaded(upload) => upload.write(Writer::new(16)),
            Self::Unlogged { lines } => Writer::new(31).number(*lines),
            Self::Figures(figures) => Writer::new(15).list(figures.numbers(), Writer::size),
            Self::Moved { bytes } => Writer::new(14).size(*bytes),
            Self::News(news) => news.write(NEWS_UP),
            Self::Admit { number, peer } => Writer::new(8).number(*number).socket(*peer),
            Self::Enter {
                number,
                user,
                module,
            } => Writer::new(9)
                .number(*number)
                .bytes(user)
                .bytes(module.as_bytes()),
            Self::Failed { number } => Writer::new(10).number(*number),
            Self::Transferred {
                is_upload,
                is_complete,
                count,
                bytes,
            } => Writer::new(18)
                .byte(u8::from(*is_upload))
                .byte(u8::from(*is_complete))
                .number(*count)
                .size(*bytes),
        }
        .end()
    }

    fn decode(packet: &[u8], fd: Option<OwnedFd>) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(packet);
        let message = match reader.byte()? {
            // In the first of these versions it did not say who it is: that had been told of each.
            1 => Self::Ready { pid: 0 },
            20 => Self::Ready {
                pid: reader.natural()?,
            },
            2 => Self::Taken {
                peer: reader.socket()?,
            },
            4 => Self::Entered {
                user: reader.bytes()?,
                module: reader.text()?,
            },
            5 => Self::Doing {
                verb: reader.text()?,
                argument: reader.bytes()?,
            },
            6 => Self::Left,
            21 => Self::LoggedOut,
            23 => Self::Parting,
            22 => Self::Awaits {
                proxy: reader.socket()?,
            },
            31 => Self::Unlogged {
                lines: reader.number()?,
            },
            13 => Self::RoomFree {
                megabytes: reader.number()?,
            },
            16 => Self::Uploaded(Box::new(Upload::read(&mut reader)?)),
            15 => Self::Figures(Box::new(Figures::of(&reader.list(Reader::size)?))),
            14 => Self::Moved {
                bytes: reader.size()?,
            },
            tag @ NEWS_UP.. => match News::read(tag - NEWS_UP, &mut reader)? {
                Some(news) => Self::News(news),
                None => return Ok(None),
            },
            // In the first of these versions each was told by itself.
            tag @ (11 | 18) => Self::Transferred {
                is_upload: reader.byte()? != 0,
                is_complete: reader.byte()? != 0,
                count: if tag == 11 { 1 } else { reader.number()? },
                bytes: reader.size()?,
            },
            tag => match Self::question(tag, &mut reader)? {
                Some(question) => question,
                None => return Ok(None),
            },
        };
        whole(message, &reader, fd.as_ref())
    }
}

impl FromWorker {
    /// Those that are answered.
    fn question(tag: u8, reader: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        Ok(Some(match tag {
            3 => Self::Account {
                number: reader.number()?,
                user: reader.bytes()?,
            },
            7 => Self::Login {
                number: reader.number()?,
                user: reader.bytes()?,
                password: reader.bytes()?.into(),
            },
            12 => Self::Room {
                number: reader.number()?,
                megabytes: reader.number()?,
            },
            17 => Self::Call {
                number: reader.number()?,
                local: reader.socket()?,
                port: reader.number()?,
            },
            8 => Self::Admit {
                number: reader.number()?,
                peer: reader.socket()?,
            },
            9 => Self::Enter {
                number: reader.number()?,
                user: reader.bytes()?,
                module: reader.text()?,
            },
            10 => Self::Failed {
                number: reader.number()?,
            },
            19 => Self::Fence {
                number: reader.number()?,
            },
            _ => return Ok(None),
        }))
    }
}

impl Message for ToWorker {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Answer { number, answer } => Writer::new(33).number(*number).bytes(answer),
            Self::Retire => Writer::new(34),
            Self::Leave { text } => Writer::new(35).bytes(text.as_bytes()),
            Self::Kick { text } => Writer::new(36).bytes(text.as_bytes()),
            Self::Log { which, .. } => Writer::new(37).byte(*which),
            Self::Trackers { addresses } => Writer::new(38).list(addresses, Writer::socket),
            Self::Announce { address } => Writer::new(39).list(address.as_slice(), Writer::address),
            Self::News(news) => news.write(NEWS_DOWN),
            Self::Gate { is_shut } => Writer::new(40).byte(u8::from(*is_shut)),
            Self::Share { up, down } => Writer::new(41).size(*up).size(*down),
            Self::Called { number, .. } => Writer::new(42).number(*number),
        }
        .end()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Log { fd, .. } | Self::Called { fd, .. } => Some(fd.as_fd()),
            _ => None,
        }
    }

    fn decode(packet: &[u8], mut fd: Option<OwnedFd>) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(packet);
        let message = match reader.byte()? {
            33 => Self::Answer {
                number: reader.number()?,
                answer: reader.bytes()?,
            },
            34 => Self::Retire,
            35 => Self::Leave {
                text: reader.text()?,
            },
            36 => Self::Kick {
                text: reader.text()?,
            },
            37 => Self::Log {
                which: reader.byte()?,
                fd: fd.take().ok_or(Malformed)?,
            },
            38 => Self::Trackers {
                addresses: reader.list(Reader::socket)?,
            },
            39 => Self::Announce {
                address: reader.list(Reader::address)?.pop(),
            },
            tag @ NEWS_DOWN..NEWS_UP => match News::read(tag - NEWS_DOWN, &mut reader)? {
                Some(news) => Self::News(news),
                None => return Ok(None),
            },
            40 => Self::Gate {
                is_shut: reader.byte()? != 0,
            },
            41 => Self::Share {
                up: reader.size()?,
                down: reader.size()?,
            },
            42 => Self::Called {
                number: reader.number()?,
                fd: fd.take().ok_or(Malformed)?,
            },
            _ => return Ok(None),
        };
        whole(message, &reader, fd.as_ref())
    }
}
