//! Answers in their order, and what is none: late, unasked for, to another question.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::thread;

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

/// A connection to a tracker that takes `lines` lines and then sends what `reply` makes of
/// their callids.
fn to(lines: usize, reply: impl Fn(&[String]) -> String + Send + 'static) -> Connection {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut input = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut callids = Vec::new();
            for _ in 0..lines {
                let mut line = String::new();
                if input.read_line(&mut line).unwrap() == 0 {
                    return;
                }
                let callid = line.split("callid=").nth(1).unwrap();
                callids.push(callid.trim_end().to_owned());
            }
            stream.write_all(reply(&callids).as_bytes()).unwrap();
        }
    });
    Connection::open(address, LIMIT).unwrap()
}

fn requests(count: usize) -> Vec<Request> {
    (0..count).map(|_| Request::new("noop")).collect()
}

#[test]
fn answers_come_in_the_order_of_their_questions() {
    let mut connection = to(3, |callids| {
        let line = |(at, id): (usize, &String)| format!("OK n={at}&callid={id}\r\n");
        callids.iter().enumerate().rev().map(line).collect()
    });
    connection.echoes = true;
    let answers = connection.exchange(&requests(3), LIMIT).unwrap();
    let numbers: Vec<Option<usize>> = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap().number("n"))
        .collect();
    assert_eq!(numbers, [Some(0), Some(1), Some(2)]);
    assert!(connection.is_fit());
}

#[test]
fn a_tracker_that_echoes_nothing_is_asked_one_thing_at_a_time() {
    let mut connection = to(1, |_| "ERR unknown_key unknown_key\r\n".to_owned());
    let answers = connection.exchange(&requests(3), LIMIT).unwrap();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(Result::is_err));
    assert!(!connection.echoes);
}

#[test]
fn an_answer_to_another_question_is_none() {
    for reply in [
        "OK callid=1-999999\r\n",
        "ERR unknown_key unknown_key 77\r\n",
        "2.73\r\n",
        "\r\n",
    ] {
        let mut connection = to(1, move |_| reply.to_owned());
        let error = connection.exchange(&requests(1), LIMIT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{reply}");
    }
    let mut connection = to(1, |callids| format!("OK callid={}\r\nOK \r\n", callids[0]));
    assert!(connection.exchange(&requests(1), LIMIT).is_err());
}

#[test]
fn what_nobody_asked_for_makes_a_connection_unfit() {
    let mut connection = to(1, |callids| format!("OK callid={}\r\n", callids[0]));
    connection.exchange(&requests(1), LIMIT).unwrap();
    assert!(connection.is_fit());
    // The tracker answers this line, and nobody waits for it.
    connection.stream.write_all(b"noop callid=x\r\n").unwrap();
    vigil::wait(connection.stream.as_fd(), For::Reading, Some(LIMIT)).unwrap();
    assert!(!connection.is_fit());
}

#[test]
fn silence_ends_with_the_limit_and_a_close_at_once() {
    let mut connection = to(2, |_| String::new());
    let short = Duration::from_millis(20);
    let error = connection.exchange(&requests(1), short).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut connection = Connection::open(listener.local_addr().unwrap(), LIMIT).unwrap();
    drop(listener.accept().unwrap());
    let error = connection.exchange(&requests(1), LIMIT).unwrap_err();
    assert!(matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    ));
}
