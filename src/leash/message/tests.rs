//! Every message, there and back again.

use std::fmt::Debug;
use std::fs::File;

use super::*;
use crate::figures::Figures;
use crate::leash::wire::{LONGEST_FIELD, LONGEST_LIST};

fn upload(fid: Option<u64>) -> Box<Upload> {
    Box::new(Upload {
        peer: "2001:db8::1".parse().unwrap(),
        session: "5e551017".to_owned(),
        user: b"\xff".to_vec(),
        path: b"/photos/a b".to_vec(),
        domain: b"d".to_vec(),
        key: b"photos/a b".to_vec(),
        fid,
        size: 7,
        is_complete: fid.is_some(),
    })
}

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
        text.split("fd:").next().unwrap().to_owned()
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
fn every_question_of_a_worker_has_its_number() {
    for number in [0, u32::MAX] {
        travels(&FromWorker::Failed { number }, false);
        travels(&FromWorker::Fence { number }, false);
        let megabytes = number;
        travels(&FromWorker::Room { number, megabytes }, false);
    }
}

#[test]
fn every_message_of_a_worker_travels() {
    let peer = |text: &str| text.parse().unwrap();
    for message in [
        FromWorker::Ready { pid: i32::MAX },
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
        FromWorker::LoggedOut,
        FromWorker::Parting,
        FromWorker::Awaits {
            proxy: peer("192.0.2.1:21"),
        },
        FromWorker::Admit {
            number: 1,
            peer: peer("[2001:db8::1]:21"),
        },
        FromWorker::Enter {
            number: 2,
            user: b"test".to_vec(),
            module: "File".to_owned(),
        },
        FromWorker::Transferred {
            is_upload: true,
            is_complete: false,
            count: u32::MAX,
            bytes: u64::MAX,
        },
        FromWorker::RoomFree { megabytes: 16 },
        FromWorker::Call {
            number: 4,
            local: peer("[2001:db8::1]:21"),
            port: 65535,
        },
        FromWorker::Unlogged { lines: u32::MAX },
        FromWorker::Moved { bytes: 1 << 40 },
        FromWorker::Uploaded(upload(Some(u64::MAX))),
        FromWorker::Figures(Box::new(Figures::of(&(0..200).collect::<Vec<u64>>()))),
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
        News::Corrupt {
            fid: u64::MAX,
            device: u32::MAX,
        },
    ] {
        travels(&FromWorker::News(news.clone()), false);
        travels(&ToWorker::News(news.clone()), false);
        travels(&ToNursery::News(news), false);
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
    let called = ToWorker::Called {
        number: 7,
        fd: any_fd(),
    };
    travels(&called, true);
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
        FromClerk::Hook(Outcome::Done),
        FromClerk::Hook(Outcome::Dropped),
        FromClerk::NoSyslogd,
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
    travels(&ToClerk::Uploaded(upload(None)), false);
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
fn every_message_of_a_birth_travels() {
    travels(&ToNursery::Birth { fd: any_fd() }, true);
    travels(&FromNursery::Born { pid: i32::MAX }, false);
    travels(&FromNursery::Unborn { errno: 11 }, false);
}

#[test]
fn a_worker_of_another_version_need_not_say_who_it_is() {
    let ready = Some(FromWorker::Ready { pid: 0 });
    assert_eq!(FromWorker::decode(&[1], None), Ok(ready));
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
