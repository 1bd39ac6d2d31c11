//! MODE Z: data connections that are packed.
#![cfg(test)]

mod support;

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::process::Command;
use std::time::{Duration, Instant};

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib;
use rustls::version::TLS13;
use support::tls::{Secure, certificate, memory};
use support::{Cluster, Daemon, Ftp, Mode, Scratch, is_here, noise, status};

const MODULES: &[&str] = &["test:MogileFs", "file:File"];
const ON: (&str, &str) = ("passive.deflate", "yes");

/// Text that can be packed well and is long enough for several blocks.
fn text(len: usize) -> Vec<u8> {
    let lines = (0_u32..).flat_map(|number| format!("line {number}\r\n").into_bytes());
    lines.take(len).collect()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec_zlib(bytes, 6)
}

/// What a command sends, unpacked.
fn fetch(ftp: &mut Ftp, command: &str) -> Vec<u8> {
    decompress_to_vec_zlib(&ftp.fetch(command)).unwrap()
}

fn store(ftp: &mut Ftp, command: &str, bytes: &[u8]) {
    let (code, said) = ftp.give(command, &packed(bytes));
    assert_eq!(code, 226, "{command}: {said}");
}

fn log_in(daemon: &Daemon, user: &str) -> Ftp {
    let mut ftp = Ftp::connect(daemon.address);
    ftp.log_in(user, "test");
    if user == "test" {
        ftp.expect("CWD photos", 250);
    }
    ftp.expect("TYPE I", 200);
    ftp.expect("MODE Z", 200);
    ftp
}

#[test]
fn it_is_there_only_where_it_is_switched_on() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.expect("MODE Z", 504);
    ftp.expect("OPTS MODE Z LEVEL 9", 501);
    assert!(!ftp.expect("FEAT", 211).contains("MODE"));

    let daemon = Daemon::of_files(&[ON]);
    let mut ftp = daemon.log_in();
    assert!(ftp.expect("FEAT", 211).contains("\n MODE Z"));
    for (command, code) in [
        ("OPTS MODE Z LEVEL 9", 200),
        ("opts mode z level 1", 200),
        ("OPTS MODE Z", 200),
        ("OPTS MODE Z LEVEL 0", 501),
        ("OPTS MODE Z LEVEL 10", 501),
        ("OPTS MODE Z ENGINE X", 501),
        ("OPTS MODE", 501),
        ("MODE B", 504),
        ("mode z", 200),
    ] {
        ftp.expect(command, code);
    }
    assert!(ftp.expect("STAT", 211).contains("MODE: Deflate"));
    ftp.store_packed_then_plain();
}

trait Both {
    fn store_packed_then_plain(&mut self);
}

impl Both for Ftp {
    /// MODE S ends it.
    fn store_packed_then_plain(&mut self) {
        let content = text(1000);
        store(self, "STOR f", &content);
        self.expect("MODE S", 200);
        assert_eq!(self.fetch("RETR f"), content);
        self.expect("MODE Z", 200);
        self.expect("REIN", 220);
        self.log_in("test", "test");
        assert_eq!(self.fetch("RETR f"), content);
    }
}

#[test]
fn files_and_listings_are_packed_on_each_module_in_each_way() {
    let cluster = Cluster::start();
    let daemon = Daemon::with_users(&cluster, MODULES, &[ON]);
    let contents = [Vec::new(), b"x".to_vec(), text(700_000), noise(300_000, 5)];
    for user in ["test", "file"] {
        for (mode, level) in Mode::ALL.into_iter().zip(["1", "3", "6", "9"]) {
            let mut ftp = log_in(&daemon, user);
            ftp.mode = mode;
            ftp.expect(&format!("OPTS MODE Z LEVEL {level}"), 200);
            for content in &contents {
                store(&mut ftp, "STOR f", content);
                let size = ftp.expect("SIZE f", 213);
                assert_eq!(size, format!("213 {}", content.len()));
                assert_eq!(fetch(&mut ftp, "RETR f"), *content, "{user} {mode:?}");
            }
            for command in ["LIST", "NLST", "MLSD"] {
                let list = String::from_utf8(fetch(&mut ftp, command)).unwrap();
                assert!(list.ends_with("f\r\n"), "{command}: {list:?}");
            }
            ftp.expect("DELE f", 250);
        }
    }
    // What is counted is the file.
    daemon.written("xferlog", " 700000 ");
}

#[test]
fn offsets_are_those_of_the_file_and_lines_are_converted_before() {
    let cluster = Cluster::start();
    let daemon = Daemon::with_users(&cluster, MODULES, &[ON]);
    let content = text(300_000);
    for user in ["test", "file"] {
        let mut ftp = log_in(&daemon, user);
        store(&mut ftp, "STOR f", &content[..100_000]);
        store(&mut ftp, "APPE f", &content[100_000..200_000]);
        ftp.expect("REST 200000", 350);
        store(&mut ftp, "STOR f", &content[200_000..]);
        assert_eq!(fetch(&mut ftp, "RETR f"), content, "{user}");
        ftp.expect("REST 250000", 350);
        assert_eq!(fetch(&mut ftp, "RETR f"), content[250_000..]);
        ftp.expect("RANG 10 100009", 350);
        assert_eq!(fetch(&mut ftp, "RETR f"), content[10..100_010]);
        // Announced is the size of the file, too.
        ftp.expect("ALLO 300000", 200);
        store(&mut ftp, "STOR f", &content);
        ftp.expect("ALLO 300001", 200);
        assert_eq!(ftp.give("STOR f", &packed(&content)).0, 451);

        ftp.expect("TYPE A", 200);
        store(&mut ftp, "STOR t", b"a\r\nb\r\n");
        assert_eq!(fetch(&mut ftp, "RETR t"), b"a\r\nb\r\n");
        ftp.expect("TYPE I", 200);
        assert_eq!(fetch(&mut ftp, "RETR t"), b"a\nb\n");
    }
}

#[test]
fn what_is_cut_short_or_damaged_is_not_stored() {
    let cluster = Cluster::start();
    for upload in ["spool", "tee"] {
        let daemon = Daemon::with_users(&cluster, MODULES, &[ON, ("mogilefs.upload", upload)]);
        for user in ["test", "file"] {
            let mut ftp = log_in(&daemon, user);
            store(&mut ftp, "STOR f", b"as it was");
            let whole = packed(&noise(400_000, 7));
            let mut damaged = whole.clone();
            damaged[200_000] ^= 0x55;
            let mut sum = whole.clone();
            *sum.last_mut().unwrap() ^= 1;
            for (wrong, code) in [
                (&whole[..whole.len() - 1], 426),
                (&whole[..200_000], 426),
                (&whole[..1], 426),
                (b"", 426),
                (&damaged, 451),
                (&sum, 451),
                (&[&whole[..], b"more"].concat(), 451),
                (b"this is no zlib stream", 451),
            ] {
                let (found, said) = ftp.give("STOR f", wrong);
                assert_eq!(found, code, "{user} {upload} {}: {said}", wrong.len());
                assert_eq!(fetch(&mut ftp, "RETR f"), b"as it was");
            }
        }
    }
}

/// A byte of the client can be a thousand of the file, and no more than that.
#[test]
fn a_bomb_takes_no_memory_and_no_more_room_than_is_allowed() {
    let bomb = packed(&vec![0; 24 << 20]);
    assert!(bomb.len() < 40_000);
    let cluster = Cluster::start();
    let daemon = Daemon::with_users(
        &cluster,
        MODULES,
        &[
            ON,
            ("mogilefs.spool_max", "16M"),
            ("mogilefs.spool_mem", "64K"),
        ],
    );
    for (user, code) in [("test", 552), ("file", 226)] {
        let mut ftp = log_in(&daemon, user);
        let (found, said) = ftp.give("STOR bomb", &bomb);
        assert_eq!(found, code, "{said}");
        let pid = daemon.worker(&format!("{user}@"));
        let peak = status(pid, "VmHWM").unwrap();
        let peak: u64 = peak.split(' ').next().unwrap().parse().unwrap();
        assert!(peak < 16 << 10, "{peak} kB");
    }
}

#[test]
fn rates_are_about_files_and_an_abort_is_heard() {
    let daemon = Daemon::of_files(&[
        ON,
        ("limits.upload_rate", "2M"),
        ("limits.download_rate", "2M"),
    ]);
    let mut ftp = daemon.log_in();
    ftp.expect("TYPE I", 200);
    ftp.expect("MODE Z", 200);
    let zeros = vec![0; 3 << 20];
    let begin = Instant::now();
    store(&mut ftp, "STOR f", &zeros);
    assert!(begin.elapsed() > Duration::from_secs(1));
    let begin = Instant::now();
    assert_eq!(fetch(&mut ftp, "RETR f"), zeros);
    assert!(begin.elapsed() > Duration::from_secs(1));
    // All of it is here already, and takes long to unpack at that rate.
    let data = ftp.data();
    ftp.expect("STOR g", 150);
    let mut stream = data.stream();
    stream.write_all(&packed(&vec![0; 20 << 20])).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    ftp.expect("STAT", 211);
    ftp.expect("ABOR", 426);
    ftp.reply_of(226);
    assert!(!daemon.files().join("g").exists());
}

#[test]
fn it_goes_under_tls_too() {
    let dir = Scratch::new();
    let daemon = Daemon::of_files(&certificate(&dir).and(&[ON]));
    let mut ftp = Secure::log_in(daemon.address, &memory(&TLS13));
    ftp.expect("TYPE I", 200);
    ftp.expect("MODE Z", 200);
    let content = text(500_000);
    ftp.give("STOR f", &packed(&content), 226);
    assert_eq!(fs::read(daemon.files().join("f")).unwrap(), content);
    let fetched = decompress_to_vec_zlib(&ftp.fetch("RETR f")).unwrap();
    assert!(fetched == content);
}

#[test]
fn lftp_packs() {
    if !is_here("lftp") {
        return;
    }
    let cluster = Cluster::start();
    let daemon = Daemon::with_users(&cluster, MODULES, &[ON]);
    let port = daemon.address.port();
    for (user, dir) in [("test", "photos"), ("file", ".")] {
        let home = Scratch::new();
        let content = text(2_000_000);
        home.file("local", &content);
        home.file("empty", b"");
        let script = format!(
            "set net:max-retries 1; set net:timeout 20; set cmd:fail-exit yes; set ssl:verify-certificate no; \
             set ftp:use-mode-z yes; set ftp:ssl-allow no; debug 5; \
             open -u {user},test -p {port} ftp://127.0.0.1; cd {dir}; \
             put local -o a; put empty -o b; get a -o back; get b -o back-empty; cls -1; \
             pget -n 3 a -o pieces"
        );
        let output = Command::new("timeout")
            .args(["60", "lftp", "--norc", "-c", &script])
            .current_dir(home.path())
            .env("HOME", home.path())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("MODE Z"), "{said}");
        assert!(
            said.contains("\na\nb\n") || said.starts_with("a\nb\n"),
            "{said}"
        );
        let read = |name| fs::read(home.path().join(name)).unwrap();
        assert!(read("back") == content, "{said}");
        assert!(read("pieces") == content, "{said}");
        assert_eq!(read("back-empty"), b"");
        let mut ftp = log_in(&daemon, user);
        assert!(fetch(&mut ftp, "RETR a") == content, "{said}");
        assert_eq!(fetch(&mut ftp, "RETR b"), b"");
    }
}

#[test]
fn zlib_itself_reads_and_writes_it() {
    const SCRIPT: &str = "
import ftplib, os, sys, zlib
ftp = ftplib.FTP()
ftp.connect('127.0.0.1', int(sys.argv[1]), timeout=30)
ftp.login('test', 'test')
ftp.voidcmd('TYPE I')
ftp.voidcmd('MODE Z')
for content in (b'', os.urandom(300000), b'all work and no play ' * 100000):
    for level in range(10):
        with ftp.transfercmd('STOR f') as data: data.sendall(zlib.compress(content, level))
        ftp.voidresp()
        if level: ftp.voidcmd(f'OPTS MODE Z LEVEL {level}')
        packed = b''
        with ftp.transfercmd('RETR f') as data:
            while piece := data.recv(65536): packed += piece
        ftp.voidresp()
        assert zlib.decompress(packed) == content
";
    if !is_here("python3") {
        return;
    }
    let daemon = Daemon::of_files(&[ON]);
    let port = daemon.address.port().to_string();
    let output = Command::new("timeout")
        .args(["60", "python3", "-c", SCRIPT, &port])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
