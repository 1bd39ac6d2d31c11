//! `nanoftpd passwd`, as it is typed.
#![cfg(test)]

mod support;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use support::Scratch;

#[test]
fn a_new_file_may_lie_where_one_is() {
    let scratch = Scratch::new();
    for (user, users) in [("ann", 1), ("bob", 2)] {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_nanoftpd"))
            .args(["passwd", "-f", "users", user])
            .current_dir(scratch.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        tool.stdin.take().unwrap().write_all(b"secret\n").unwrap();
        let output = tool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
        let text = fs::read_to_string(scratch.path().join("users")).unwrap();
        assert_eq!(text.lines().count(), users, "{text}");
    }
}
