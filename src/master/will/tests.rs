//! What is written of a will is read again, and nothing else is believed.

use std::net::SocketAddr;

use super::*;

fn records() -> Vec<Record> {
    let second = Duration::from_millis(1001);
    let [four, six]: [SocketAddr; 2] =
        ["192.0.2.1:65535", "[2001:db8::1]:21"].map(|text| text.parse().unwrap());
    let worker = |state| {
        Record::Worker(Worker {
            pid: i32::MAX,
            fd: 7,
            age: second,
            is_leaving: true,
            left: Some(second),
            room: u64::MAX,
            traffic: vec![1, 2, 3],
            state,
        })
    };
    vec![
        Record::Pidfile {
            fd: 3,
            path: "/run/x/\u{fc}.pid".into(),
        },
        Record::Control {
            fd: 4,
            path: "/run/x/control".into(),
            place: (1, u64::MAX),
        },
        Record::Gutter { end: 5, mouth: 6 },
        Record::Up(second),
        Record::Tally(vec![1, 2, u64::MAX]),
        Record::Figures(vec![u64::MAX; 128]),
        Record::Suspect {
            address: six.ip(),
            failures: 2,
            age: second,
            left: None,
        },
        Record::Shut {
            text: "new disks".to_owned(),
            drain: Some(second),
        },
        Record::Known {
            name: "tracker.example".to_owned(),
            addresses: vec![four.ip(), six.ip()],
        },
        Record::News(News::Made {
            domain: b"d".to_vec(),
            prefix: b"a/\xff/".to_vec(),
        }),
        worker(State::Unborn),
        worker(State::Idle),
        worker(State::Visitor { peer: six }),
        worker(State::Member {
            peer: four,
            user: b"u\0".to_vec(),
            module: "File".to_owned(),
            verb: "RETR".to_owned(),
            argument: b"x\xff".to_vec(),
        }),
    ]
}

#[test]
fn a_will_reads_as_it_was_written() {
    assert_eq!(read(&write(&records())), Ok(records()));
    assert_eq!(read(&write(&[])), Ok(Vec::new()));
    let (pid, most) = (i32::MAX, u32::MAX);
    let others = vec![Record::Clients { pid, most }, Record::Finishing(pid)];
    assert_eq!(read(&write(&others)), Ok(others));
    let tried: Vec<Record> = Record::tried(&[b'#'; 100_000]).collect();
    assert_eq!(read(&write(&tried)), Ok(tried));
}

#[test]
fn what_is_cut_off_or_of_another_version_is_not_believed() {
    let whole = write(&records());
    for length in 0..whole.len() {
        assert_eq!(read(&whole[..length]), Err(Malformed), "{length}");
    }
    for version in [MAGIC.len() + 1, MAGIC.len() + 3] {
        let mut other = whole.clone();
        other[version] += 1;
        assert_eq!(read(&other), Err(Malformed));
    }
}

#[test]
fn records_that_are_not_known_are_passed_over() {
    let mut will = header();
    for packet in [&[200, 1, 2, 3][..], &records()[3].encode()] {
        will.extend(u32::try_from(packet.len()).unwrap().to_be_bytes());
        will.extend(packet);
    }
    will.extend([0; 4]);
    assert_eq!(read(&will), Ok(vec![records()[3].clone()]));
}
