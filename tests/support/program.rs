//! Programs of others, which are given a minute.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `program` with `home` for its home and `input` for its input; what it was called with, and all
/// that it printed.
pub(crate) fn run(home: &Path, program: &str, arguments: &[&str], input: &str) -> String {
    let script = home.join("input");
    std::fs::write(&script, input).unwrap();
    let output = Command::new("timeout")
        .arg("60")
        .arg(program)
        .args(arguments)
        .current_dir(home)
        .env("HOME", home)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("all_proxy")
        .env_remove("ftp_proxy")
        .env_remove("http_proxy")
        .stdin(Stdio::from(File::open(&script).unwrap()))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    format!(
        "{program} {arguments:?}\n{input}\n{}",
        String::from_utf8_lossy(&said)
    )
}
