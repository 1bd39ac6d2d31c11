//! Module File while somebody else turns directories into links that lead out, and back, as fast as
//! they can.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::support::{Daemon, Ftp};
use crate::{answer, is_unharmed};

/// Everything of `dir`: names, contents, modes, times.
fn picture(dir: &Path) -> Vec<(String, Vec<u8>, u32, i64)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let about = entry.metadata().unwrap();
            let content = fs::read(entry.path()).unwrap_or_default();
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, content, about.mode(), about.mtime())
        })
        .collect();
    all.sort();
    all
}

/// Does everything that can be done with `d/f` once; what a reading command gave.
fn try_everything(ftp: &mut Ftp) -> Vec<u8> {
    let mut read = Vec::new();
    for command in [
        "SITE CHMOD 600 d/f",
        "SITE UTIME 20200101000000 d/f",
        "MFMT 20210101000000 d/f",
        "DELE d/other",
        "RMD d/dir",
        "MKD d/made",
        "XMD5 d/f",
        "MLST d/f",
        "CWD d",
        "CWD /",
    ] {
        answer(ftp, command.as_bytes());
    }
    for (from, to) in [("d/f", "kept"), ("own", "d/taken")] {
        if answer(ftp, format!("RNFR {from}").as_bytes()).0 == 350 {
            answer(ftp, format!("RNTO {to}").as_bytes());
        }
    }
    for command in ["RETR d/f", "MLSD d", "STOR d/stored", "APPE d/f"] {
        let data = ftp.data().stream();
        if answer(ftp, command.as_bytes()).0 != 150 {
            continue;
        }
        let _ = std::io::Write::write_all(&mut &data, b"");
        let _ = data.shutdown(std::net::Shutdown::Write);
        let _ = std::io::Read::read_to_end(&mut &data, &mut read);
        ftp.reply();
    }
    read
}

/// Has two names change places until it is dropped.
struct Racer {
    is_over: Arc<AtomicBool>,
    swaps: Option<JoinHandle<u64>>,
}

impl Racer {
    fn start(one: PathBuf, other: PathBuf) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let is_seen_over = Arc::clone(&is_over);
        let swaps = std::thread::spawn(move || {
            let mut swaps = 0_u64;
            while !is_seen_over.load(Ordering::Relaxed) {
                let swap = RenameFlags::RENAME_EXCHANGE;
                swaps += u64::from(renameat2(AT_FDCWD, &one, AT_FDCWD, &other, swap).is_ok());
            }
            swaps
        });
        Self {
            is_over,
            swaps: Some(swaps),
        }
    }

    fn end(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let swaps = self.swaps.take().unwrap().join().unwrap();
        assert!(swaps > 1000, "{swaps} swaps are no race");
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// All that daemons make is of one user, who may change it wherever it is.
#[test]
fn a_file_that_becomes_a_link_has_nothing_outside_changed() {
    let daemon = Daemon::of_files(&[]);
    let (files, outside) = (daemon.files(), daemon.dir().join("outside"));
    let mut ftp = daemon.log_in();
    for name in ["own", "other"] {
        ftp.store(name, b"x");
        ftp.expect(&format!("SITE CHMOD 600 {name}"), 200);
    }
    fs::create_dir(&outside).unwrap();
    fs::rename(files.join("other"), outside.join("other")).unwrap();
    symlink("../outside/other", files.join("link")).unwrap();
    let before = picture(&outside);

    let racer = Racer::start(files.join("own"), files.join("link"));
    let commands = b"SITE CHMOD 666 own\r\nSITE UTIME 20200101000000 own\r\n".repeat(50);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) && picture(&outside) == before {
        ftp.send(&commands);
        for _ in 0..100 {
            ftp.reply();
        }
    }
    racer.end();
    assert_eq!(picture(&outside), before);
    is_unharmed(&daemon);
}

#[test]
fn no_race_of_links_leads_out_of_the_root() {
    let daemon = Daemon::of_files(&[]);
    let (files, outside) = (daemon.files(), daemon.dir().join("outside"));
    for dir in [&outside, &files.join("d"), &outside.join("dir")] {
        fs::create_dir(dir).unwrap();
        fs::set_permissions(dir, Permissions::from_mode(0o777)).unwrap();
    }
    for (name, content) in [("f", "secret"), ("other", "secret too")] {
        fs::write(outside.join(name), content).unwrap();
        fs::set_permissions(outside.join(name), Permissions::from_mode(0o666)).unwrap();
    }
    let before = picture(&outside);
    symlink("../outside", files.join("link")).unwrap();

    let racer = Racer::start(files.join("d"), files.join("link"));
    let mut ftp = daemon.log_in();
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        rounds += 1;
        let _ = fs::write(files.join("own"), "own");
        let read = try_everything(&mut ftp);
        assert!(
            !read.windows(6).any(|part| part == b"secret"),
            "it was read"
        );
    }
    racer.end();
    assert_eq!(picture(&outside), before, "after {rounds} rounds");
    is_unharmed(&daemon);
}
