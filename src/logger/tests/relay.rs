//! Lines that go through a pipe to whoever writes them.

use super::*;

/// A relay, who writes at its other end, and who puts lines in.
fn relayed(config: &Logging) -> (Relay, Arrivals, Journal, Journal) {
    let mut relay = Relay::open().unwrap();
    let mut sinks = open(config, false).unwrap();
    relay.divert(&mut sinks).unwrap();
    let writer = journal(open(config, false).unwrap());
    let targets = Which::ALL.map(|which| {
        let found = relay.targets().find(|(other, _)| *other == which);
        (which, found.map(|(_, target)| target))
    });
    writer.write_to(targets.into_iter()).unwrap();
    let arrivals = relay.arrive().unwrap();
    (relay, arrivals, journal(sinks), writer)
}

/// Writes all that has come.
fn forward(arrivals: &mut Arrivals, writer: &Journal) {
    for (which, lines) in arrivals.take() {
        writer.pass_on(which, &lines);
    }
}

#[test]
fn lines_are_written_at_the_other_end_until_nobody_is_left() {
    let scratch = Scratch::new("relay");
    let (mut relay, mut arrivals, journal, writer) = relayed(&scratch.logging(LogMode::File));
    journal.write(Level::Info, "one");
    assert_eq!(lines(&scratch.at("log")), [""; 0]);
    forward(&mut arrivals, &writer);
    journal.write(Level::Info, "two");
    writer.write(Level::Info, "own");
    assert_eq!(arrivals.ends().count(), 3);
    relay.close();
    drop(journal);
    forward(&mut arrivals, &writer);
    assert_eq!(
        lines(&scratch.at("log")),
        ["info one", "info own", "info two"]
    );
    forward(&mut arrivals, &writer);
    assert_eq!(arrivals.ends().count(), 0);
}

#[test]
fn a_writer_that_is_held_up_holds_nobody_up() {
    let scratch = Scratch::new("held-up");
    let (_relay, mut arrivals, journal, writer) = relayed(&scratch.logging(LogMode::File));
    let long = "x".repeat(1000);
    for _ in 0..2000 {
        journal.write(Level::Info, &long);
    }
    let lost = usize::try_from(journal.losses()).unwrap();
    assert!(lost > 0 && lost < 2000, "{lost}");
    for _ in 0..64 {
        forward(&mut arrivals, &writer);
    }
    journal.write(Level::Info, "next");
    forward(&mut arrivals, &writer);
    let found = lines(&scratch.at("log"));
    assert_eq!(found.len(), 2000 - lost + 2);
    assert_eq!(found[found.len() - 2], "info next");
    let notice = format!("warn log-lines-lost count={lost}");
    assert_eq!(found.last().unwrap(), &notice);
    assert_eq!(journal.losses(), 0);
}

#[test]
fn a_line_without_an_end_is_given_one_before_it_fills_the_memory() {
    let scratch = Scratch::new("endless");
    let (relay, mut arrivals, _journal, _writer) = relayed(&scratch.logging(LogMode::File));
    let (_, mouth) = relay.mouths().next().unwrap();
    let (mut written, mut taken, mut lines) = (0, 0, 0);
    while written < 4 << 20 {
        written += nix::unistd::write(mouth, &[b'x'; 4096]).unwrap_or(0);
        for (_, bytes) in arrivals.take() {
            assert_eq!(bytes.last(), Some(&b'\n'));
            lines += 1;
            taken += bytes.len();
        }
        assert!(written <= taken + (2 << 20), "{written} {taken}");
    }
    assert!((8..=16).contains(&lines), "{lines}");
}
