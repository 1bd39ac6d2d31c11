//! `top` on a terminal and in a pipe: what it shows, and what it leaves behind.
#![cfg(test)]

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::tcgetattr;
use nix::unistd::Pid;
use support::{Daemon, eventually};

fn top(daemon: &Daemon, output: impl Into<Stdio>) -> Child {
    // A suite that runs in the background ignores what Ctrl-C sends, and so would its children.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT");
    command.arg(env!("CARGO_BIN_EXE_nanoftpd"));
    command.arg("-c").arg(daemon.conf()).arg("top");
    command.stdin(Stdio::null()).stdout(output).spawn().unwrap()
}

/// What a terminal shows after `output`, whatever it showed before. It understands: to the upper left
/// corner, clear the rest of the line, clear what is below.
fn screen(output: &str) -> Vec<String> {
    let mut rows = vec!["old text ".repeat(9); 10];
    let (mut row, mut column) = (0, 0);
    for (at, piece) in output.split("\x1b[").enumerate() {
        let mut text = piece.chars();
        match text.next() {
            _ if at == 0 => text = piece.chars(),
            Some('H') => (row, column) = (0, 0),
            Some('K') => rows[row] = rows[row].chars().take(column).collect(),
            Some('J') => rows[row..].iter_mut().for_each(String::clear),
            other => panic!("{other:?}"),
        }
        for c in text {
            match c {
                '\r' => column = 0,
                '\n' => row += 1,
                c => {
                    let old: Vec<char> = rows[row].chars().collect();
                    let behind = old.iter().skip(column + 1);
                    let new = old.iter().take(column).chain([&c]).chain(behind);
                    rows[row] = new.collect();
                    column += 1;
                }
            }
        }
    }
    assert!(rows.iter().all(|row| row.chars().count() <= 80), "{rows:?}");
    rows
}

#[test]
fn it_draws_in_place_and_leaves_the_terminal_as_it_was() {
    let daemon = Daemon::of_files(&[("pool.max_spare", "12")]);
    let mut crowd: Vec<_> = (0..3).map(|_| daemon.log_in()).collect();
    let size = Winsize {
        ws_row: 10,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = openpty(&size, None).unwrap();
    let before = tcgetattr(&terminal.slave).unwrap();
    let mut child = top(&daemon, terminal.slave.try_clone().unwrap());
    let mut master = File::from(terminal.master);
    let (mut shown, mut block) = (String::new(), [0; 4096]);
    let mut read_until = |shown: &mut String, wanted: &dyn Fn(&str) -> bool| {
        while !wanted(shown) {
            let count = master.read(&mut block).unwrap();
            shown.push_str(std::str::from_utf8(&block[..count]).unwrap());
        }
    };
    let pictures = |count: usize| move |shown: &str| shown.matches("\x1b[J").count() >= count;
    let idle = |rows: &[String]| rows.iter().filter(|row| row.ends_with(" - idle")).count();
    read_until(&mut shown, &|shown| {
        pictures(1)(shown) && idle(&screen(shown)) == 3
    });
    let rows = screen(&shown);
    assert!(rows[0].starts_with("nanoftpd "), "{rows:?}");
    assert!(rows.iter().any(|row| row.ends_with(" DOING")), "{rows:?}");

    // Fewer sessions: the rows of the others are gone. More than there is room for: none scrolls.
    crowd.pop();
    crowd.pop();
    let seen = shown.matches("\x1b[J").count();
    read_until(&mut shown, &|shown| {
        pictures(seen + 1)(shown) && idle(&screen(shown)) == 1
    });
    crowd.extend((0..8).map(|_| daemon.log_in()));
    let seen = shown.matches("\x1b[J").count();
    read_until(&mut shown, &pictures(seen + 2));
    let rows = screen(&shown);
    assert_eq!((rows.len(), rows[9].as_str()), (10, ""), "{rows:?}");

    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    child.wait().unwrap();
    assert_eq!(tcgetattr(&terminal.slave).unwrap(), before);
    // No cursor is hidden, no other screen is shown, and no picture is half drawn.
    assert!(!shown.contains('?'), "{shown}");
    assert!(shown.ends_with("\x1b[J"), "{shown:?}");
}

#[test]
fn in_a_pipe_it_prints_plain_tables_until_nobody_reads() {
    let daemon = Daemon::of_files(&[]);
    let _one = daemon.log_in();
    let mut child = top(&daemon, Stdio::piped());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    for _ in 0..2 {
        assert!(next().starts_with("nanoftpd "));
        while !next().is_empty() {}
        while !next().is_empty() {}
    }
    drop(lines);
    let status = eventually("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}
