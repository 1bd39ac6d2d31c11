//! Messages between processes: whatever a worker that was taken over sends is a message or is
//! malformed, and what is sent arrives as it was.

use std::fmt::Debug;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::draw::Draw;
use crate::figures::Figures;
use crate::leash::{
    FromClerk, FromNursery, FromWorker, Message, News, ToClerk, ToNursery, ToWorker, Word,
};

/// `data`: an end of a leash, and a packet for it, or what a packet is made of.
pub(super) fn leash(data: &[u8]) {
    let mut draw = Draw(data);
    match draw.byte() % 12 {
        0 => hears::<FromWorker>(draw.0),
        1 => hears::<ToWorker>(draw.0),
        2 => hears::<FromClerk>(draw.0),
        3 => hears::<ToClerk>(draw.0),
        4 => word(draw.0),
        5 => travels(&from_worker(&mut draw)),
        6 => travels(&to_worker(&mut draw)),
        7 => travels(&between_clerks(&mut draw)),
        8 => hears::<FromNursery>(draw.0),
        9 => hears::<ToNursery>(draw.0),
        10 => travels(&from_nursery(&mut draw)),
        _ => travels(&to_nursery(&mut draw)),
    }
}

fn any_fd() -> Option<OwnedFd> {
    File::open("/dev/null").ok().map(OwnedFd::from)
}

/// What is heard can be said again, and is heard as the same; with a descriptor or without, but not
/// with both.
fn hears<M: Message + Debug>(packet: &[u8]) {
    for has_fd in [false, true] {
        if let Ok(Some(message)) = M::decode(packet, has_fd.then(any_fd).flatten()) {
            assert_eq!(message.descriptor().is_some(), has_fd, "{packet:?}");
            travels(&message);
        }
    }
}

fn travels<M: Message + Debug>(message: &M) {
    let packet = message.encode();
    let has_fd = message.descriptor().is_some();
    let fd = || has_fd.then(any_fd).flatten();
    let shown = |message: &M| {
        let text = format!("{message:?}");
        // Its number is another one each time; it is the last field.
        let length = text.rfind("fd:").filter(|_| has_fd);
        text.get(..length.unwrap_or(text.len())).map(str::to_owned)
    };
    let again = M::decode(&packet, fd()).map(|again| again.map(|again| shown(&again)));
    assert_eq!(again, Ok(Some(shown(message))), "{packet:?}");
    if let Some((_, shorter)) = packet.split_last() {
        assert!(M::decode(shorter, fd()).is_err());
    }
    let longer = [packet.as_slice(), &[0]].concat();
    assert!(M::decode(&longer, fd()).is_err());
    assert!(M::decode(&packet, (!has_fd).then(any_fd).flatten()).is_err());
}

fn word(answer: &[u8]) {
    if let Ok(word) = Word::decode(answer) {
        assert_eq!(Word::decode(&word.encode()), Ok(word));
    }
    let mut draw = Draw(answer);
    let delay = Duration::from_millis(draw.number() >> 32);
    let word = Word::Go(delay, draw.text());
    assert_eq!(Word::decode(&word.encode()), Ok(word));
}

fn number(draw: &mut Draw<'_>) -> u32 {
    u32::try_from(draw.number() >> 32).unwrap_or_default()
}

fn news(draw: &mut Draw<'_>) -> News {
    let (domain, prefix) = (draw.bytes().to_vec(), draw.bytes().to_vec());
    match draw.byte() % 7 {
        0 => News::Made { domain, prefix },
        1 => News::Unmade { domain, prefix },
        2 => {
            let time = |_| (draw.number(), draw.number().cast_signed());
            News::Times((0..domain.len() % 128).map(time).collect())
        }
        3 => News::Order(draw.text()),
        4 => News::Failed(draw.address()),
        5 => News::Recovered(draw.address()),
        _ => News::Corrupt {
            fid: draw.number(),
            device: number(draw),
        },
    }
}

fn from_worker(draw: &mut Draw<'_>) -> FromWorker {
    let (number, user) = (number(draw), draw.bytes().to_vec());
    match draw.byte() % 15 {
        0 => FromWorker::Account { number, user },
        1 => FromWorker::Login {
            number,
            user,
            password: draw.bytes().to_vec().into(),
        },
        2 => FromWorker::Doing {
            verb: draw.text(),
            argument: user,
        },
        3 => FromWorker::Enter {
            number,
            user,
            module: draw.text(),
        },
        4 => FromWorker::Transferred {
            is_upload: number % 2 == 0,
            is_complete: user.is_empty(),
            count: number,
            bytes: draw.number(),
        },
        5 => FromWorker::Admit {
            number,
            peer: draw.address(),
        },
        6 => FromWorker::Taken {
            peer: draw.address(),
        },
        7 => FromWorker::Room {
            number,
            megabytes: number.rotate_left(7),
        },
        8 => FromWorker::RoomFree { megabytes: number },
        9 => FromWorker::Moved {
            bytes: draw.number(),
        },
        10 => {
            let numbers: Vec<u64> = (0..number % 128).map(|_| draw.number()).collect();
            FromWorker::Figures(Box::new(Figures::of(&numbers)))
        }
        11 => FromWorker::News(news(draw)),
        12 => FromWorker::Fence { number },
        13 => FromWorker::Ready {
            pid: number.cast_signed() & i32::MAX,
        },
        _ => FromWorker::Call {
            number,
            local: draw.address(),
            port: number.rotate_left(9),
        },
    }
}

fn to_worker(draw: &mut Draw<'_>) -> ToWorker {
    let (number, text) = (number(draw), draw.text());
    match draw.byte() % 12 {
        0 => ToWorker::Answer {
            number,
            answer: draw.bytes().to_vec(),
        },
        1 => ToWorker::Leave { text },
        2 => ToWorker::Kick { text },
        3 => ToWorker::Trackers {
            addresses: (0..text.len() % 128).map(|_| draw.address()).collect(),
        },
        4 => ToWorker::Announce {
            address: (number % 2 == 0).then(|| draw.address().ip()),
        },
        5 => ToWorker::Share {
            up: draw.number(),
            down: draw.number(),
        },
        6 => ToWorker::Gate {
            is_shut: number % 2 == 0,
        },
        _ => ToWorker::News(news(draw)),
    }
}

fn between_clerks(draw: &mut Draw<'_>) -> FromClerk {
    let number = number(draw);
    match draw.byte() % 2 {
        0 => FromClerk::Host {
            name: draw.text(),
            why: draw.text(),
            addresses: (0..number % 128).map(|_| draw.address().ip()).collect(),
        },
        _ => FromClerk::Verdict {
            worker: number.cast_signed() & i32::MAX,
            number,
            verdict: draw.bytes().to_vec(),
        },
    }
}

fn from_nursery(draw: &mut Draw<'_>) -> FromNursery {
    let number = number(draw).cast_signed() & i32::MAX;
    match draw.byte() % 2 {
        0 => FromNursery::Born { pid: number },
        _ => FromNursery::Unborn { errno: number },
    }
}

fn to_nursery(draw: &mut Draw<'_>) -> ToNursery {
    match (draw.byte() % 4, any_fd()) {
        (0, Some(fd)) => ToNursery::Birth { fd },
        _ => ToNursery::News(news(draw)),
    }
}
