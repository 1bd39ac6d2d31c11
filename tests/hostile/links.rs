//! Module File while somebody else turns directories into links that lead out, and back, as fast as
//! they can.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

    let is_over = Arc::new(AtomicBool::new(false));
    let racer = {
        let (is_over, files) = (Arc::clone(&is_over), files.clone());
        std::thread::spawn(move || {
            let mut swaps = 0_u64;
            let (dir, link) = (files.join("d"), files.join("link"));
            while !is_over.load(Ordering::Relaxed) {
                let swap = RenameFlags::RENAME_EXCHANGE;
                swaps += u64::from(renameat2(AT_FDCWD, &dir, AT_FDCWD, &link, swap).is_ok());
            }
            swaps
        })
    };
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
    is_over.store(true, Ordering::Relaxed);
    let swaps = racer.join().unwrap();
    assert_eq!(picture(&outside), before, "after {rounds} rounds");
    assert!(swaps > 1000, "{swaps} swaps are no race");
    is_unharmed(&daemon);
}
