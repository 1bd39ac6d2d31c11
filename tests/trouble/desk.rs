//! Operators who ask a full house, and do not read what it answers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::support::{Daemon, Ftp, PATIENCE, eventually, say};
use crate::{descriptors, length, memory};

/// How many sessions there are.
const SESSIONS: usize = 250;

/// How many operators ask and do not read.
const DEAF: usize = 12;

/// How long the master talks to anybody.
const PATIENT: Duration = Duration::from_secs(10);

/// Sessions, each in the middle of an upload to so long a path that all together are more than a socket
/// takes at once.
fn crowd(daemon: &Daemon) -> Vec<(Ftp, TcpStream)> {
    let part = "n".repeat(250);
    let mut path = String::new();
    let mut ftp = daemon.log_in();
    for _ in 0..4 {
        path = format!("{path}/{part}");
        ftp.expect(&format!("MKD {path}"), 257);
    }
    drop(ftp);
    let begin = |number: usize| {
        let mut ftp = daemon.log_in();
        let data = ftp.data();
        ftp.expect(&format!("STOR {path}/{number}"), 150);
        (ftp, data.stream())
    };
    (0..SESSIONS).map(begin).collect()
}

#[test]
fn a_full_house_tells_who_reads_and_waits_for_nobody_else() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(2048)), hard).unwrap();
    let daemon = Daemon::of_files(&[("pool.max_clients", "300"), ("logging.level", "info")]);
    let master = daemon.pid().as_raw();
    let _crowd = crowd(&daemon);
    let whole = eventually("all uploads", || {
        let (_, whole, _) = daemon.order(&["status", "--json"]);
        (whole.matches("\"verb\":\"STOR\"").count() == SESSIONS).then_some(whole)
    });
    say(&format!("{} bytes", whole.len()));

    let before = (descriptors(master), memory(master));
    let asked = Instant::now();
    let deaf = (0..DEAF).map(|_| {
        let mut guest = UnixStream::connect(daemon.dir().join("control.sock")).unwrap();
        guest.write_all(b"status json\n").unwrap();
        // The first byte is there: so is all of the answer that there was room for.
        guest.read_exact(&mut [0]).unwrap();
        guest
    });
    let mut deaf: Vec<UnixStream> = deaf.collect();
    let (code, table, _) = daemon.order(&["status"]);
    assert_eq!(code, Some(0));
    assert!(
        table.contains(&format!("\n{SESSIONS} of 300 sessions")),
        "{table}"
    );
    // They are not sent away at once.
    assert!(descriptors(master) >= before.0 + DEAF);
    // No more than the answers themselves, and what putting them together took.
    let most = u64::try_from((DEAF + 4) * whole.len() / 1024).unwrap();
    let grown = memory(master).saturating_sub(before.1);
    assert!(grown <= most, "{grown} KiB of {most}");
    let mut ftp = daemon.log_in();
    ftp.expect("PWD", 257);

    if length() > PATIENT {
        // Nothing rings when they are dropped; it is seen at once by who reads then.
        std::thread::sleep(PATIENT.saturating_sub(asked.elapsed()) + Duration::from_secs(1));
        for guest in &mut deaf {
            let mut rest = Vec::new();
            guest.set_read_timeout(Some(PATIENCE)).unwrap();
            guest.read_to_end(&mut rest).unwrap();
            assert!(rest.len() + 1 < whole.len());
        }
        assert!(descriptors(master) < before.0 + DEAF);
    }
}
