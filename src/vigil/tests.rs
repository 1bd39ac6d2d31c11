//! How waits end, and who is noticed meanwhile.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::*;

#[test]
fn a_ready_descriptor_ends_the_wait() {
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(b"x").unwrap();
    wait(far.as_fd(), For::Reading, Some(Duration::from_secs(5))).unwrap();
}

#[test]
fn the_limit_ends_the_wait() {
    let (_near, far) = UnixStream::pair().unwrap();
    let error = wait(far.as_fd(), For::Reading, Some(Duration::from_millis(5))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn a_bystander_is_called_and_may_end_this_wait_and_the_next() {
    let (_near, far) = UnixStream::pair().unwrap();
    let (mut bell, mut ear) = UnixStream::pair().unwrap();
    bell.write_all(b"12").unwrap();
    let own = ear.try_clone().unwrap();
    let mut calls = 0;
    let watch = watch(own.as_fd(), move || {
        let mut byte = [0];
        ear.read_exact(&mut byte).unwrap();
        calls += 1;
        if calls == 2 {
            Verdict::Leave
        } else {
            Verdict::Stay
        }
    })
    .unwrap();
    let limit = Some(Duration::from_secs(5));
    for _ in 0..2 {
        let error = wait(far.as_fd(), For::Reading, limit).unwrap_err();
        assert!(was_interrupted(&error), "{error}");
    }
    let short = Some(Duration::from_millis(5));
    for verdict in [Verdict::Rest, Verdict::Leave, Verdict::Stay] {
        watch.set(verdict);
        let error = wait(far.as_fd(), For::Reading, short).unwrap_err();
        assert_eq!(was_interrupted(&error), verdict == Verdict::Leave);
    }
    drop(watch);
    let error = wait(far.as_fd(), For::Reading, short).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn nobody_is_called_while_undisturbed() {
    let (mut bell, ear) = UnixStream::pair().unwrap();
    bell.write_all(b"1").unwrap();
    let _watch = watch(ear.as_fd(), || Verdict::Leave).unwrap();
    let outer = undisturbed();
    drop(undisturbed());
    pause(Duration::from_millis(5)).unwrap();
    drop(outer);
    let error = pause(Duration::from_secs(5)).unwrap_err();
    assert!(was_interrupted(&error), "{error}");
}

#[test]
fn what_a_bystander_brings_is_waited_for() {
    let (mut bell, mut ear) = UnixStream::pair().unwrap();
    ear.set_nonblocking(true).unwrap();
    let brought = Rc::new(Cell::new(0));
    let counter = Rc::clone(&brought);
    let fd = ear.as_fd().try_clone_to_owned().unwrap();
    let _watch = watch(fd.as_fd(), move || {
        while ear.read(&mut [0]).is_ok() {
            counter.set(counter.get() + 1);
        }
        Verdict::Stay
    })
    .unwrap();
    let soon = Instant::now().checked_add(Duration::from_millis(20));
    let error = wait_for(|| brought.get() > 0, soon).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let ringing = std::thread::spawn(move || {
        for _ in 0..100 {
            bell.write_all(b"x").unwrap();
            std::thread::yield_now();
        }
        bell
    });
    wait_for(|| brought.get() == 100, None).unwrap();
    ringing.join().unwrap();
}

#[test]
fn who_asks_to_be_reminded_is_called_once_in_a_wait_that_goes_on() {
    let (_near, far) = UnixStream::pair().unwrap();
    let calls = Rc::new(Cell::new(0));
    let seen = Rc::clone(&calls);
    let reminder = remind(move || seen.set(seen.get() + 1));
    pause(Duration::from_millis(5)).unwrap();
    assert_eq!(calls.get(), 0, "nobody has asked");
    reminder.set(Duration::from_millis(10));
    reminder.set(Duration::from_secs(60));
    let limit = Some(Duration::from_millis(40));
    let error = wait(far.as_fd(), For::Reading, limit).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(calls.get(), 1);
    pause(Duration::from_millis(20)).unwrap();
    reminder.set(Duration::ZERO);
    drop(reminder);
    pause(Duration::from_millis(5)).unwrap();
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_bystander_at_rest_is_left_alone() {
    let (_near, far) = UnixStream::pair().unwrap();
    let (mut bell, ear) = UnixStream::pair().unwrap();
    bell.write_all(b"1").unwrap();
    let calls = Rc::new(Cell::new(0));
    let seen = Rc::clone(&calls);
    let _watch = watch(ear.as_fd(), move || {
        seen.set(seen.get() + 1);
        Verdict::Rest
    })
    .unwrap();
    let error = wait(far.as_fd(), For::Reading, Some(Duration::from_millis(20))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(calls.get(), 1);
}
