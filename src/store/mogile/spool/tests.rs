//! A spool gives back what it took, and says whose fault it is when it cannot.

use std::cell::Cell;
use std::fs;

use super::kept::LEASE;
use super::*;
use crate::store::inflow::trials::Socket;

const MD5_OF_DIGITS: [u8; 16] = [
    0x78, 0x1e, 0x5e, 0x24, 0x5d, 0x69, 0xb5, 0x66, 0x97, 0x9b, 0x86, 0xe2, 0x8d, 0x23, 0xf2, 0xc7,
];

const UNENDING: Patience = Patience {
    pause: Duration::from_secs(60),
    until: None,
};

fn bounds(memory: u64) -> Bounds {
    Bounds {
        memory,
        dir: std::env::temp_dir(),
        room: None,
        most: u64::MAX,
    }
}

/// Gives so many bytes at once, then is silent so often, until it ends.
struct Slow {
    bytes: Vec<u8>,
    step: usize,
    silences: u32,
    broken: bool,
}

impl Slow {
    fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            step: 1000,
            silences: 0,
            broken: false,
        }
    }
}

impl Read for Slow {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = self.step.min(buf.len()).min(self.bytes.len());
        if most == 0 && self.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        buf[..most].copy_from_slice(&self.bytes[..most]);
        self.bytes.drain(..most);
        Ok(most)
    }
}

impl Source for Slow {
    fn is_ready(&mut self, _limit: Duration) -> io::Result<bool> {
        let silent = self.silences > 0;
        self.silences = self.silences.saturating_sub(1);
        Ok(!silent)
    }
}

fn contents(spool: &mut Spool<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    get_all(&mut spool.reader(UNENDING), &mut bytes).unwrap();
    bytes
}

/// What a node would get: what lies in a file is lent, the rest is read.
fn get_all(reader: &mut Reader<'_, '_>, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut block = [0; 70_000];
    loop {
        let count = match reader.lend(block.len()) {
            None => reader.read(&mut block)?,
            Some(loan) => {
                let loan = loan?;
                loan.file
                    .read_exact_at(&mut block[..loan.count], loan.offset)?;
                loan.count
            }
        };
        if count == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&block[..count]);
    }
}

fn sample(len: u32) -> Vec<u8> {
    (0..len).map(|n| n.to_be_bytes()[3]).collect()
}

#[test]
fn it_gives_back_what_it_took_however_often() {
    let bytes = sample(400_000);
    for memory in [0, 1, 300_000, 400_000, 1 << 30] {
        for followed in [false, true] {
            let mut source = Slow::new(&bytes);
            let mut spool = Spool::new(&mut source, bounds(memory), false);
            if !followed {
                spool.receive().unwrap();
            }
            for _ in 0..2 {
                assert!(contents(&mut spool) == bytes);
            }
            assert!(spool.is_whole());
            assert_eq!(spool.len(), 400_000);
            assert_eq!(spool.place() == "ram", memory >= 400_000);
        }
    }
}

#[test]
fn nothing_is_something_too() {
    let mut source = &b""[..];
    let mut spool = Spool::new(&mut source, bounds(0), false);
    assert!(contents(&mut spool).is_empty());
    assert_eq!((spool.len(), spool.is_whole()), (0, true));
}

#[test]
fn the_sum_of_a_file_is_known_only_where_it_was_asked_for() {
    for (memory, hash, expected) in [
        (4, true, Some(MD5_OF_DIGITS)),
        (4, false, None),
        (40, false, Some(MD5_OF_DIGITS)),
    ] {
        let mut source = &b"0123456789"[..];
        let mut spool = Spool::new(&mut source, bounds(memory), hash);
        assert_eq!(spool.md5(), None);
        spool.receive().unwrap();
        assert_eq!(spool.md5(), expected);
    }
}

#[test]
fn a_source_that_fails_is_told_apart_from_a_disk_that_does() {
    let mut source = Slow {
        broken: true,
        ..Slow::new(b"0123")
    };
    let mut spool = Spool::new(&mut source, bounds(10), false);
    assert!(matches!(spool.receive(), Err(Error::Source(_))));
    let mut source = &b"0123"[..];
    let mut nowhere = bounds(1);
    nowhere.dir = nowhere.dir.join("nanoftpd-no-such-directory");
    let mut spool = Spool::new(&mut source, nowhere, false);
    assert!(matches!(spool.receive(), Err(Error::Broken(_))));
    let mut source = &b"0123"[..];
    let mut narrow = bounds(1);
    narrow.most = 3;
    let mut spool = Spool::new(&mut source, narrow, false);
    assert!(matches!(spool.receive(), Err(Error::TooLarge(_))));
}

#[test]
fn a_disk_that_is_full_is_no_fault_of_ours() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        assert!(matches!(unspooled(&kind.into()), Error::Full(_)));
    }
    let denied = io::ErrorKind::PermissionDenied.into();
    assert!(matches!(unspooled(&denied), Error::Broken(_)));
}

#[test]
fn a_follower_stops_at_a_pause_and_another_one_begins_anew() {
    let bytes = sample(5000);
    let mut source = Slow::new(&bytes);
    source.silences = 1;
    let mut spool = Spool::new(&mut source, bounds(10), false);
    assert!(spool.pull().unwrap());
    let mut got = Vec::new();
    get_all(&mut spool.reader(UNENDING), &mut got).unwrap_err();
    assert!(matches!(spool.trouble(), Some(Trouble::Paused)));
    assert!(got == bytes[..1000]);
    let over = Patience {
        until: Some(Instant::now()),
        ..UNENDING
    };
    get_all(&mut spool.reader(over), &mut got).unwrap_err();
    assert!(matches!(spool.trouble(), Some(Trouble::Aged)));
    assert!(contents(&mut spool) == bytes);
    assert!(spool.trouble().is_none());
}

#[test]
fn a_follower_is_not_told_that_a_broken_upload_has_ended() {
    let mut source = Slow {
        broken: true,
        ..Slow::new(b"0123")
    };
    let mut spool = Spool::new(&mut source, bounds(10), false);
    let mut got = Vec::new();
    get_all(&mut spool.reader(UNENDING), &mut got).unwrap_err();
    assert_eq!(got, b"0123");
    let trouble = spool.trouble();
    assert!(matches!(trouble, Some(Trouble::Failed(Error::Source(_)))));
}

#[test]
fn what_stood_before_comes_first() {
    let mut source = &b"56789"[..];
    let mut spool = Spool::new(&mut source, bounds(7), true);
    spool.prepend(&mut &b"01234"[..]).unwrap();
    assert_eq!(contents(&mut spool), b"0123456789");
    assert_eq!(spool.md5(), Some(MD5_OF_DIGITS));
}

#[test]
fn it_leaves_no_name_behind() {
    let dir = std::env::temp_dir().join(format!("nanoftpd-spool-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let mut source = &b"0123"[..];
    let mut own = bounds(1);
    own.dir.clone_from(&dir);
    let mut spool = Spool::new(&mut source, own, false);
    spool.receive().unwrap();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    fs::remove_dir(&dir).unwrap();
    assert_eq!(contents(&mut spool), b"0123");
}

/// Room without end; how much of it is taken.
#[derive(Default)]
struct Endless(Cell<u32>);

impl Room for Endless {
    fn take(&self, megabytes: u32) -> Result<bool, Error> {
        self.0.set(self.0.get() + megabytes);
        Ok(true)
    }

    fn give(&self, megabytes: u32) {
        self.0.set(self.0.get() - megabytes);
    }

    fn whole(&self) -> u64 {
        u64::MAX
    }
}

#[test]
fn its_room_is_taken_until_what_it_took_up_is_gone() {
    let room = Rc::new(Endless::default());
    let mut source = &b"0123"[..];
    let mut own = bounds(1);
    own.room = Some(Rc::clone(&room) as Rc<dyn Room>);
    let mut spool = Spool::new(&mut source, own, false);
    spool.receive().unwrap();
    let kept = spool.into_kept();
    assert_eq!(room.0.get(), LEASE);
    drop(kept);
    assert_eq!(room.0.get(), 0);
}

/// Nobody hears whether it may be taken, and it is.
struct Unheard(Cell<u32>);

impl Room for Unheard {
    fn take(&self, megabytes: u32) -> Result<bool, Error> {
        self.0.set(self.0.get() + megabytes);
        Err(Error::Interrupted)
    }

    fn give(&self, megabytes: u32) {
        self.0.set(self.0.get() - megabytes);
    }

    fn whole(&self) -> u64 {
        u64::MAX
    }
}

#[test]
fn room_that_may_have_been_taken_is_given_back() {
    let room = Rc::new(Unheard(Cell::new(0)));
    let mut source = &b"0123"[..];
    let mut own = bounds(1);
    own.room = Some(Rc::clone(&room) as Rc<dyn Room>);
    let mut spool = Spool::new(&mut source, own, false);
    let received = spool.receive();
    assert!(matches!(received, Err(Error::Interrupted)), "{received:?}");
    drop(spool);
    assert_eq!(room.0.get(), 0);
}

#[test]
fn a_reader_may_ask_for_less_than_comes_at_once() {
    let bytes = sample(5000);
    let mut source = Slow::new(&bytes);
    let mut spool = Spool::new(&mut source, bounds(10), false);
    let mut block = [0; 600];
    let mut reader = spool.reader(UNENDING);
    let mut got = Vec::new();
    loop {
        assert_eq!(reader.read(&mut []).unwrap(), 0);
        match reader.read(&mut block).unwrap() {
            0 => break,
            read => got.extend_from_slice(&block[..read]),
        }
    }
    assert!(got == bytes);
    assert!(contents(&mut spool) == bytes);
}

#[test]
fn what_is_poured_is_followed_and_found_again() {
    let bytes = sample(3_500_001);
    let (mut source, sender) = Socket::of(&bytes);
    let mut spool = Spool::new(&mut source, bounds(10), false);
    assert!(spool.pull().unwrap());
    for _ in 0..2 {
        assert!(contents(&mut spool) == bytes);
    }
    assert_eq!((spool.len(), spool.place()), (3_500_001, "disk"));
    sender.join().unwrap();
    assert!(source.poured > 1);
}

#[test]
fn a_sum_that_was_asked_for_is_of_all_bytes_and_nothing_is_poured() {
    let bytes = sample(3_500_001);
    let (mut source, sender) = Socket::of(&bytes);
    let mut spool = Spool::new(&mut source, bounds(10), true);
    spool.receive().unwrap();
    assert_eq!(spool.md5(), Some(Md5::digest(&bytes).into()));
    sender.join().unwrap();
    assert_eq!(source.poured, 0);
}

#[test]
fn what_is_poured_has_bounds_too() {
    let (mut source, sender) = Socket::of(&sample(3_500_001));
    let mut bounds = bounds(10);
    bounds.most = 3_500_000;
    let mut spool = Spool::new(&mut source, bounds, false);
    assert!(matches!(spool.receive(), Err(Error::TooLarge(_))));
    drop(source);
    sender.join().unwrap();
}
