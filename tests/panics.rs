//! A panic of any process is a line in the log, with its place.
#![cfg(test)]

mod support;

use std::fs;
use std::process::Command;

use nanoftpd::config::{Config, LogMode, Logging};
use nanoftpd::logger;
use support::Scratch;

/// Where the process that panics has its log.
const LOG: &str = "NANOFTPD_TEST_LOG";

#[test]
fn a_panic_reaches_the_log_with_its_place() {
    let scratch = Scratch::new();
    let log = scratch.path().join("log");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["dies", "--exact", "--ignored"])
        .env(LOG, &log)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = fs::read_to_string(&log).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains(" : error panic place="))
        .unwrap();
    assert!(line.contains("place=tests/panics.rs:"), "{line}");
    assert!(line.ends_with(r#"message="it \"broke\"\nhere""#), "{line}");
}

#[test]
#[ignore = "panics, for another test"]
fn dies() {
    let Some(file) = std::env::var_os(LOG) else {
        return;
    };
    let logging = Logging {
        mode: LogMode::File,
        file: file.into(),
        xferlog: None,
        ..Config::default().logging
    };
    logger::install(logger::open(&logging, false).unwrap());
    logger::catch_panics();
    panic!("it \"broke\"\nhere");
}
