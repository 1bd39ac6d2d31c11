//! Load for any FTP server: passive mode, binary. What arrives is discarded in the kernel and what is
//! sent comes from there, so that the server is what is measured. Prints one line of `key=value`.
#![forbid(unsafe_code)]

mod cases;
mod process;
mod session;

use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;

use session::Server;

const USAGE: &str = "\
usage: ftpload HOST PORT USER PASSWORD PID CASE
PID is the server's first process, whose processor time is told with that of its children (0: none).
  login N CLIENTS            N sessions that log in and quit
  retr PATH TIMES CLIENTS    downloads
  stor PATH FILE TIMES       uploads of a local file
  last PATH FILE TIMES       the same, with a pause before the end: how long the last reply takes
  small DIR N FILE CLIENTS   N times STOR, then RETR, then DELE
  list COMMAND TIMES         a listing
  crowd N PATH TIMES         N sessions that stay; their memory; downloads meanwhile
  latency CLIENTS N DIR      N commands of each client, of all kinds
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match measure(&words) {
        Ok(line) => {
            let _ = writeln!(io::stdout(), "{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            let _ = writeln!(io::stderr(), "ftpload: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: &[String]) -> Result<String, String> {
    let [host, port, user, password, pid, case, rest @ ..] = words else {
        return Err(USAGE.to_owned());
    };
    let server = Server {
        host,
        port: number(port)?,
        user,
        password,
        pid: number(pid)?,
    };
    match (case.as_str(), rest) {
        ("login", [times, clients]) => cases::logins(&server, number(times)?, number(clients)?),
        ("retr", [path, times, clients]) => {
            cases::downloads(&server, path, number(times)?, number(clients)?)
        }
        ("stor", [path, file, times]) => cases::uploads(&server, path, file, number(times)?),
        ("last", [path, file, times]) => cases::last_reply(&server, path, file, number(times)?),
        ("small", [dir, count, file, clients]) => {
            cases::small_files(&server, dir, number(count)?, file, number(clients)?)
        }
        ("list", [command, times]) => cases::listings(&server, command, number(times)?),
        ("crowd", [count, path, times]) => {
            cases::crowd(&server, number(count)?, path, number(times)?)
        }
        ("latency", [clients, count, dir]) => {
            cases::latency(&server, number(clients)?, number(count)?, dir)
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text} is not a number\n{USAGE}"))
}
