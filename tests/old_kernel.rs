//! A kernel that lacks every system call newer than Linux 4.18: the daemon runs under a filter that
//! answers ENOSYS to all of them, as such a kernel does, or EPERM, as an old container on a newer one
//! does. Nor does it give names to descriptors, nor can its file systems send files.
#![cfg(test)]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use nix::errno::Errno;
use support::{Cluster, Daemon, noise, status};

/// Installs the filter, whose answer is the first argument, and becomes the program of the others. The
/// first call that Linux 4.18 lacks has number 335 on this machine; all others have higher ones. 265 is
/// linkat, to which the flag AT_EMPTY_PATH is 4096, and who may not use it is told ENOENT; 40 is sendfile,
/// and what it does not know of a file system is EINVAL.
const PROGRAM: &str = "
import ctypes, os, struct, sys
answer = int(sys.argv[1])
code = lambda *fields: struct.pack('HBBI', *fields)
rules = code(0x20, 0, 0, 0) + code(0x15, 0, 1, 40) + code(6, 0, 0, 0x00050000 | 22) + code(0x15, 0, 3, 265)
rules += code(0x20, 0, 0, 48) + code(0x45, 0, 3, 4096) + code(6, 0, 0, 0x00050000 | 2)
rules += code(0x35, 0, 1, 335) + code(6, 0, 0, 0x00050000 | answer) + code(6, 0, 0, 0x7fff0000)
text = ctypes.create_string_buffer(rules)
filter = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(rules) // 8, ctypes.addressof(text)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filter, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[2], sys.argv[2:])
";

/// What such a kernel answers, and such a container.
const ANSWERS: [Errno; 2] = [Errno::ENOSYS, Errno::EPERM];

#[test]
fn all_that_is_newer_has_something_in_its_place() {
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    for answer in ANSWERS {
        all_is_in_its_place(answer);
    }
}

fn all_is_in_its_place(answer: Errno) {
    let answer = (answer as i32).to_string();
    let daemon = Daemon::of_files_within(&["python3", "-c", PROGRAM, &answer], &[]);
    daemon.wait_for("sandbox-missing part=landlock");
    let mut ftp = daemon.log_in();
    let content = noise(300_000, 1);
    ftp.expect("MKD a", 257);
    ftp.store("a/file", &content);
    assert_eq!(ftp.fetch("RETR a/file"), content);
    ftp.expect("RNFR a/file", 350);
    ftp.expect("RNTO b", 250);
    assert!(ftp.lines("NLST").contains(&"b".to_owned()));
    std::os::unix::fs::symlink("/etc", daemon.files().join("out")).unwrap();
    ftp.expect("CWD out", 550);
    ftp.expect("SIZE out/passwd", 550);

    // What is not whole has no name there either.
    ftp.expect("TYPE I", 200);
    let data = ftp.data();
    ftp.expect("STOR new", 150);
    let mut wire = data.stream();
    wire.write_all(&content).unwrap();
    ftp.expect("NOOP", 200);
    assert_eq!(names(&daemon.files()), ["a", "b", "out"]);
    drop(wire);
    ftp.reply_of(226);
    assert_eq!(names(&daemon.files()), ["a", "b", "new", "out"]);
    assert_eq!(fs::read(daemon.files().join("new")).unwrap(), content);

    // The other part of the sandbox is there, and no descriptor too many.
    let worker = daemon.worker("test@");
    assert_eq!(status(worker, "Seccomp").as_deref(), Some("2"));
    // What a reply leaves to be tidied up is, once there is another one.
    ftp.expect("NOOP", 200);
    let open = |pid: i32| fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let usual = Daemon::of_files(&[]);
    usual.log_in().expect("PWD", 257);
    let mut there = usual.log_in();
    there.store("file", &content);
    there.expect("NOOP", 200);
    let other = usual.worker("test@");
    assert_eq!(open(worker), open(other));
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn uploads_wait_in_files_there_too() {
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let cluster = Cluster::start();
    let tracker = cluster.address.to_string();
    let changes = [
        ("mogilefs.tracker", &*tracker),
        ("mogilefs.domain", &*cluster.domain),
        ("mogilefs.spool_mem", "64K"),
    ];
    for answer in ANSWERS {
        let answer = (answer as i32).to_string();
        let daemon = Daemon::within(&["python3", "-c", PROGRAM, &answer], &changes);
        let mut ftp = daemon.log_in();
        let content = noise(1_000_000, 2);
        ftp.store("photos/a", &content);
        assert_eq!(ftp.fetch("RETR photos/a"), content);
    }
}
