//! The messages, by who says them to whom.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use zeroize::Zeroizing;

use super::wire::{Malformed, Reader, Writer};

/// The first tags of news, in each direction.
const NEWS_DOWN: u8 = 160;
const NEWS_UP: u8 = 192;

/// What can go over a leash.
pub trait Message: Sized {
    /// As a packet.
    fn encode(&self) -> Vec<u8>;

    /// What goes with the packet.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// From a packet and the descriptor that came with it; `None`: of a kind that this program does
    /// not know.
    ///
    /// # Errors
    /// It is no message, or not with this descriptor.
    fn decode(packet: &[u8], fd: Option<OwnedFd>) -> Result<Option<Self>, Malformed>;
}

/// What one end heard.
#[derive(Debug)]
pub enum Heard<M> {
    Message(M),
    /// A message of a kind that this program does not know: another version is at the other end.
    Strange,
    /// There is nothing more for now.
    Nothing,
    /// The other process is gone.
    End,
}

/// Bytes that are wiped when they are dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl Secret {
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// What a session has learned that others can use, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A directory was made that has no keys yet.
    Made { domain: Vec<u8>, prefix: Vec<u8> },
    /// It was removed.
    Unmade { domain: Vec<u8>, prefix: Vec<u8> },
    /// When files were written, in seconds since the epoch, by fid; a hundred at most.
    Times(Vec<(u64, i64)>),
    /// How the trackers' database sorts.
    Order(String),
    /// The tracker or storage node at this address does not answer.
    Failed(SocketAddr),
    /// It does again, as the clerk has found; of a worker's mouth this counts for nothing.
    Recovered(SocketAddr),
}

impl News {
    /// The tags begin at `first`.
    fn write(&self, first: u8) -> Writer {
        match self {
            Self::Made { domain, prefix } => Writer::new(first).bytes(domain).bytes(prefix),
            Self::Unmade { domain, prefix } => Writer::new(first + 1).bytes(domain).bytes(prefix),
            Self::Times(times) => Writer::new(first + 2).list(times, Writer::time),
            Self::Order(name) => Writer::new(first + 3).bytes(name.as_bytes()),
            Self::Failed(address) => Writer::new(first + 4).socket(*address),
            Self::Recovered(address) => Writer::new(first + 5).socket(*address),
        }
    }

    fn read(number: u8, reader: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        Ok(Some(match number {
            0 => Self::Made {
                domain: reader.bytes()?,
                prefix: reader.bytes()?,
            },
            1 => Self::Unmade {
                domain: reader.bytes()?,
                prefix: reader.bytes()?,
            },
            2 => Self::Times(reader.list(Reader::time)?),
            3 => Self::Order(reader.text()?),
            4 => Self::Failed(reader.socket()?),
            5 => Self::Recovered(reader.socket()?),
            _ => return Ok(None),
        }))
    }
}

/// What the master says of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It may stay, after this time.
    Stay(Duration),
    /// It is told this and has to go, after this time.
    Go(Duration, String),
}

impl Word {
    /// As it is put into an answer; never empty.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (tag, delay, text) = match self {
            Self::Stay(delay) => (b'+', delay, ""),
            Self::Go(delay, text) => (b'-', delay, text.as_str()),
        };
        let millis = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        Writer::new(tag).number(millis).bytes(text.as_bytes()).end()
    }

    /// From an answer.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(answer: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(answer);
        let tag = reader.byte()?;
        let delay = Duration::from_millis(reader.number()?.into());
        let text = reader.text()?;
        match tag {
            b'+' => Ok(Self::Stay(delay)),
            b'-' => Ok(Self::Go(delay, text)),
            _ => Err(Malformed),
        }
    }
}

/// What a worker tells the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromWorker {
    /// Its rights are final; it waits for clients.
    Ready,
    /// It has accepted this client.
    Taken { peer: SocketAddr },
    /// The same, and may it stay? To be answered with [`ToWorker::Answer`]: a [`Word`].
    Admit { number: u32, peer: SocketAddr },
    /// The client has logged in as this; may it stay? To be answered with [`ToWorker::Answer`]: a
    /// [`Word`].
    Enter {
        number: u32,
        user: Vec<u8>,
        module: String,
    },
    /// The client's login has failed. To be answered with [`ToWorker::Answer`]: a [`Word`].
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
    /// The client's command; an empty verb: it waits for one.
    Doing { verb: String, argument: Vec<u8> },
    /// A transfer of a file has ended.
    Transferred {
        is_upload: bool,
        is_complete: bool,
        bytes: u64,
    },
    /// So many bytes went over the present data connection by now.
    Moved { bytes: u64 },
    /// The client is gone.
    Left,
    /// It wants so much more room for its spool, in megabytes. To be answered with
    /// [`ToWorker::Answer`]: something if it may have it, nothing if not.
    Room { number: u32, megabytes: u32 },
    /// It needs so much no more.
    RoomFree { megabytes: u32 },
    /// To be told to all others.
    News(News),
}

/// What the master tells a worker.
#[derive(Debug)]
pub enum ToWorker {
    /// The answer to the question of that number; empty: there is none to be had now.
    Answer { number: u32, answer: Vec<u8> },
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

/// What the master tells its clerk.
#[derive(Debug)]
pub enum ToClerk {
    /// Log there from now on; which log it is for is the logger's number.
    Log { which: u8, fd: OwnedFd },
    /// Is this the right password? To be answered with [`FromClerk::Verdict`].
    Login {
        worker: i32,
        number: u32,
        peer: IpAddr,
        user: Vec<u8>,
        password: Secret,
    },
    /// This tracker or storage node does not answer: try it again and again until it does. To be
    /// answered with [`FromClerk::Alive`].
    Suspect {
        address: SocketAddr,
        is_tracker: bool,
    },
}

/// What the clerk tells the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromClerk {
    /// Its rights are final.
    Ready,
    /// Where a host is; no addresses: it cannot be found now, and why.
    Host {
        name: String,
        addresses: Vec<IpAddr>,
        why: String,
    },
    /// The answer to [`ToClerk::Login`], as `auth` writes it; empty: there is none to be had.
    Verdict {
        worker: i32,
        number: u32,
        verdict: Vec<u8>,
    },
    /// It answers again.
    Alive { address: SocketAddr },
}

impl Message for FromWorker {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready => Writer::new(1),
            Self::Taken { peer } => Writer::new(2).socket(*peer),
            Self::Account { number, user } => Writer::new(3).number(*number).bytes(user),
            Self::Entered { user, module } => Writer::new(4).bytes(user).bytes(module.as_bytes()),
            Self::Doing { verb, argument } => Writer::new(5).bytes(verb.as_bytes()).bytes(argument),
            Self::Left => Writer::new(6),
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
                bytes,
            } => Writer::new(11)
                .byte(u8::from(*is_upload))
                .byte(u8::from(*is_complete))
                .size(*bytes),
        }
        .end()
    }

    fn decode(packet: &[u8], fd: Option<OwnedFd>) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(packet);
        let message = match reader.byte()? {
            1 => Self::Ready,
            2 => Self::Taken {
                peer: reader.socket()?,
            },
            3 => Self::Account {
                number: reader.number()?,
                user: reader.bytes()?,
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
            7 => Self::Login {
                number: reader.number()?,
                user: reader.bytes()?,
                password: reader.bytes()?.into(),
            },
            12 => Self::Room {
                number: reader.number()?,
                megabytes: reader.number()?,
            },
            13 => Self::RoomFree {
                megabytes: reader.number()?,
            },
            14 => Self::Moved {
                bytes: reader.size()?,
            },
            tag @ NEWS_UP.. => match News::read(tag - NEWS_UP, &mut reader)? {
                Some(news) => Self::News(news),
                None => return Ok(None),
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
            11 => Self::Transferred {
                is_upload: reader.byte()? != 0,
                is_complete: reader.byte()? != 0,
                bytes: reader.size()?,
            },
            _ => return Ok(None),
        };
        whole(message, &reader, fd.as_ref())
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
        }
        .end()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Log { fd, .. } => Some(fd.as_fd()),
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
            _ => return Ok(None),
        };
        whole(message, &reader, fd.as_ref())
    }
}

impl Message for ToClerk {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Log { which, .. } => Writer::new(65).byte(*which),
            Self::Login {
                worker,
                number,
                peer,
                user,
                password,
            } => Writer::new(66)
                .number(worker.unsigned_abs())
                .number(*number)
                .address(*peer)
                .bytes(user)
                .bytes(password.as_bytes()),
            Self::Suspect {
                address,
                is_tracker,
            } => Writer::new(67).socket(*address).byte(u8::from(*is_tracker)),
        }
        .end()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Log { fd, .. } => Some(fd.as_fd()),
            Self::Login { .. } | Self::Suspect { .. } => None,
        }
    }

    fn decode(packet: &[u8], mut fd: Option<OwnedFd>) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(packet);
        let message = match reader.byte()? {
            65 => Self::Log {
                which: reader.byte()?,
                fd: fd.take().ok_or(Malformed)?,
            },
            66 => Self::Login {
                worker: reader.pid()?,
                number: reader.number()?,
                peer: reader.address()?,
                user: reader.bytes()?,
                password: reader.bytes()?.into(),
            },
            67 => Self::Suspect {
                address: reader.socket()?,
                is_tracker: reader.byte()? != 0,
            },
            _ => return Ok(None),
        };
        whole(message, &reader, fd.as_ref())
    }
}

impl Message for FromClerk {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ready => Writer::new(97),
            Self::Host {
                name,
                addresses,
                why,
            } => Writer::new(98)
                .bytes(name.as_bytes())
                .list(addresses, Writer::address)
                .bytes(why.as_bytes()),
            Self::Verdict {
                worker,
                number,
                verdict,
            } => Writer::new(99)
                .number(worker.unsigned_abs())
                .number(*number)
                .bytes(verdict),
            Self::Alive { address } => Writer::new(100).socket(*address),
        }
        .end()
    }

    fn decode(packet: &[u8], fd: Option<OwnedFd>) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader(packet);
        let message = match reader.byte()? {
            97 => Self::Ready,
            98 => Self::Host {
                name: reader.text()?,
                addresses: reader.list(Reader::address)?,
                why: reader.text()?,
            },
            99 => Self::Verdict {
                worker: reader.pid()?,
                number: reader.number()?,
                verdict: reader.bytes()?,
            },
            100 => Self::Alive {
                address: reader.socket()?,
            },
            _ => return Ok(None),
        };
        whole(message, &reader, fd.as_ref())
    }
}

/// `message`, if nothing is left over.
fn whole<M>(message: M, reader: &Reader<'_>, fd: Option<&OwnedFd>) -> Result<Option<M>, Malformed> {
    if reader.is_empty() && fd.is_none() {
        Ok(Some(message))
    } else {
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::fs::File;

    use super::super::wire::{LONGEST_FIELD, LONGEST_LIST};
    use super::*;

    fn any_fd() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    /// Back and forth; and no packet that is a byte shorter or longer is a message.
    fn travels<M: Message + Debug>(message: &M, has_fd: bool) {
        let fd = || has_fd.then(any_fd);
        let packet = message.encode();
        let again = M::decode(&packet, fd()).unwrap().unwrap();
        let shown = |message: &M| {
            let text = format!("{message:?}");
            text.split(", fd:").next().unwrap().to_owned()
        };
        assert_eq!(shown(&again), shown(message));
        for length in 0..packet.len() {
            let cut = &packet[..length];
            assert_eq!(M::decode(cut, fd()).err(), Some(Malformed), "{message:?}");
        }
        let longer = [&packet[..], &[0]].concat();
        assert_eq!(M::decode(&longer, fd()).err(), Some(Malformed));
        let other = (!has_fd).then(any_fd);
        assert_eq!(M::decode(&packet, other).err(), Some(Malformed));
    }

    #[test]
    fn every_message_of_a_worker_travels() {
        let peer = |text: &str| text.parse().unwrap();
        for message in [
            FromWorker::Ready,
            FromWorker::Taken {
                peer: peer("192.0.2.1:65535"),
            },
            FromWorker::Taken {
                peer: peer("[2001:db8::1]:21"),
            },
            FromWorker::Account {
                number: u32::MAX,
                user: vec![0, 255],
            },
            FromWorker::Login {
                number: 1,
                user: b"test".to_vec(),
                password: b"secret".to_vec().into(),
            },
            FromWorker::Entered {
                user: b"test".to_vec(),
                module: "MogileFs".to_owned(),
            },
            FromWorker::Doing {
                verb: "STOR".to_owned(),
                argument: b"a\xff b".to_vec(),
            },
            FromWorker::Left,
            FromWorker::Admit {
                number: 1,
                peer: peer("[2001:db8::1]:21"),
            },
            FromWorker::Enter {
                number: 2,
                user: b"test".to_vec(),
                module: "File".to_owned(),
            },
            FromWorker::Failed { number: 3 },
            FromWorker::Transferred {
                is_upload: true,
                is_complete: false,
                bytes: u64::MAX,
            },
            FromWorker::Room {
                number: 3,
                megabytes: u32::MAX,
            },
            FromWorker::RoomFree { megabytes: 16 },
            FromWorker::Moved { bytes: 1 << 40 },
        ] {
            travels(&message, false);
        }
    }

    #[test]
    fn news_travel_up_and_down() {
        let (domain, prefix) = (b"d".to_vec(), b"photos/\xff/".to_vec());
        for news in [
            News::Made {
                domain: domain.clone(),
                prefix: prefix.clone(),
            },
            News::Unmade { domain, prefix },
            News::Times(vec![(u64::MAX, i64::MIN), (1, 1_795_348_800)]),
            News::Times(Vec::new()),
            News::Order("binary".to_owned()),
            News::Failed("[::1]:7001".parse().unwrap()),
            News::Recovered("192.0.2.1:7500".parse().unwrap()),
        ] {
            travels(&FromWorker::News(news.clone()), false);
            travels(&ToWorker::News(news), false);
        }
    }

    #[test]
    fn a_word_travels_in_an_answer() {
        let delay = Duration::from_millis(1500);
        for word in [Word::Stay(delay), Word::Go(delay, "why".to_owned())] {
            assert_eq!(Word::decode(&word.encode()), Ok(word));
        }
        for wrong in [&b""[..], b"+", b"?\0\0\0\0\0\0"] {
            assert_eq!(Word::decode(wrong), Err(Malformed));
        }
    }

    #[test]
    fn every_message_to_a_worker_travels() {
        let text = || "gr\u{fc}n".to_owned();
        for message in [
            ToWorker::Answer {
                number: 0,
                answer: Vec::new(),
            },
            ToWorker::Answer {
                number: 7,
                answer: b"0\n5000".to_vec(),
            },
            ToWorker::Retire,
            ToWorker::Leave { text: text() },
            ToWorker::Kick { text: text() },
            ToWorker::Trackers {
                addresses: vec![
                    "127.0.0.1:7001".parse().unwrap(),
                    "[::1]:1".parse().unwrap(),
                ],
            },
            ToWorker::Trackers {
                addresses: Vec::new(),
            },
            ToWorker::Announce { address: None },
            ToWorker::Gate { is_shut: true },
            ToWorker::Gate { is_shut: false },
            ToWorker::Share {
                up: 0,
                down: u64::MAX,
            },
            ToWorker::Announce {
                address: Some("203.0.113.9".parse().unwrap()),
            },
        ] {
            travels(&message, false);
        }
        for which in [0, 255] {
            travels(
                &ToWorker::Log {
                    which,
                    fd: any_fd(),
                },
                true,
            );
            travels(
                &ToClerk::Log {
                    which,
                    fd: any_fd(),
                },
                true,
            );
        }
    }

    #[test]
    fn every_message_of_a_clerk_travels() {
        for message in [
            FromClerk::Ready,
            FromClerk::Host {
                name: "tracker.example".to_owned(),
                addresses: vec!["::1".parse().unwrap(), "192.0.2.1".parse().unwrap()],
                why: String::new(),
            },
            FromClerk::Host {
                name: "x".to_owned(),
                addresses: Vec::new(),
                why: "no such host".to_owned(),
            },
            FromClerk::Verdict {
                worker: i32::MAX,
                number: 3,
                verdict: b"x".to_vec(),
            },
            FromClerk::Alive {
                address: "[::1]:7001".parse().unwrap(),
            },
        ] {
            travels(&message, false);
        }
        let login = ToClerk::Login {
            worker: 1,
            number: 2,
            peer: "192.0.2.1".parse().unwrap(),
            user: b"test".to_vec(),
            password: b"secret".to_vec().into(),
        };
        travels(&login, false);
        for is_tracker in [true, false] {
            let address = "192.0.2.1:7001".parse().unwrap();
            let suspect = ToClerk::Suspect {
                address,
                is_tracker,
            };
            travels(&suspect, false);
        }
        assert!(!format!("{login:?}").contains("secret"));
    }

    #[test]
    fn what_is_too_long_is_cut_when_sent_and_refused_when_received() {
        let user = vec![b'u'; LONGEST_FIELD + 1];
        let mut packet = FromWorker::Account { number: 0, user }.encode();
        let Ok(Some(FromWorker::Account { user, .. })) = FromWorker::decode(&packet, None) else {
            panic!("another message");
        };
        assert_eq!(user.len(), LONGEST_FIELD);
        packet[5..7].copy_from_slice(&u16::try_from(LONGEST_FIELD + 1).unwrap().to_be_bytes());
        packet.push(b'u');
        assert_eq!(FromWorker::decode(&packet, None), Err(Malformed));

        let addresses = vec!["192.0.2.1:1".parse().unwrap(); LONGEST_LIST + 1];
        let packet = ToWorker::Trackers { addresses }.encode();
        let Ok(Some(ToWorker::Trackers { addresses })) = ToWorker::decode(&packet, None) else {
            panic!("another message");
        };
        assert_eq!(addresses.len(), LONGEST_LIST);
    }

    #[test]
    fn strange_values_are_malformed() {
        for packet in [
            &b""[..],
            b"\x07",
            b"\x02\x05\0\0\0\0\0\x15",
            b"\x05\0\x02\xff\xfe\0\0",
        ] {
            assert_eq!(
                FromWorker::decode(packet, None),
                Err(Malformed),
                "{packet:?}"
            );
        }
        // Each end understands only what is meant for it.
        let packet = ToWorker::Retire.encode();
        assert_eq!(FromWorker::decode(&packet, None), Ok(None));
        assert!(matches!(ToClerk::decode(&packet, None), Ok(None)));
    }
}
