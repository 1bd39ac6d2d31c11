//! A tmpdir that is really full: a file system of a few megabytes, mounted for one daemon alone. Needs
//! root.
#![cfg(test)]

mod support;

use std::io::Write;
use std::path::PathBuf;

use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;
use support::{Cluster, Daemon, Scratch, eventually, noise};

/// Runs the rest of its arguments with a small file system at the first.
const PRIVATE_TMPDIR: &str = "mount --make-rprivate / && \
    mount -t tmpfs -o size=4m,mode=1777 tmpfs \"$1\" && shift && exec \"$@\"";

/// A daemon whose tmpdir holds 4 MiB.
struct Narrow {
    daemon: Daemon,
    /// Its tmpdir, as it is seen from outside.
    tmpdir: PathBuf,
    _scratch: Scratch,
}

impl Narrow {
    fn on(cluster: &Cluster, upload: &str) -> Self {
        let scratch = Scratch::new();
        let dir = scratch.open_dir("narrow");
        let dir = dir.to_str().unwrap();
        let tracker = cluster.address.to_string();
        let daemon = Daemon::within(
            &["unshare", "-m", "sh", "-c", PRIVATE_TMPDIR, "sh", dir],
            &[
                ("nanoftpd.tmpdir", dir),
                ("mogilefs.tracker", &tracker),
                ("mogilefs.domain", &cluster.domain),
                ("mogilefs.spool_mem", "64K"),
                ("mogilefs.upload", upload),
            ],
        );
        let tmpdir = PathBuf::from(format!("/proc/{}/root{dir}", daemon.pid()));
        Self {
            daemon,
            tmpdir,
            _scratch: scratch,
        }
    }

    /// How many bytes of it are used.
    fn used(&self) -> u64 {
        let found = statvfs(&self.tmpdir).unwrap();
        (found.blocks() - found.blocks_free()) * found.fragment_size()
    }
}

#[test]
fn an_upload_that_fills_tmpdir_is_refused_and_harms_nobody_else() {
    if !geteuid().is_root() {
        return support::skip("only root may mount");
    }
    for upload in ["spool", "tee"] {
        let cluster = Cluster::faulty();
        cluster.put("photos/old", "photos", b"the old content");
        let narrow = Narrow::on(&cluster, upload);
        let daemon = &narrow.daemon;
        let (mut one, mut other) = (daemon.log_in(), daemon.log_in());
        for ftp in [&mut one, &mut other] {
            ftp.expect("TYPE I", 200);
        }
        let clean = narrow.used();
        let content = noise(2_000_000, 1);
        let (first, rest) = content.split_at(1_000_000);
        let data = other.data();
        other.expect("STOR /photos/other", 150);
        let mut stream = data.stream();
        stream.write_all(first).unwrap();
        eventually("the other spool has a part", || {
            (narrow.used() >= clean + 500_000).then_some(())
        });

        for (command, size) in [
            ("STOR /photos/large", 6_000_000),
            ("STOR /photos/old", 6_000_000),
            ("APPE /photos/old", 6_000_000),
        ] {
            let (code, text) = one.give(command, &noise(size, 2));
            assert_eq!(code, 452, "{upload} {command}: {text}");
            let (_, reference) = text.split_once("(ref ").unwrap();
            let reference = &reference[..6];
            let line = daemon.wait_for(&format!("ref={reference} code=452"));
            assert!(line.contains("cause=\"spool"), "{line}");
            daemon.wait_for(&format!("ref={reference} why=452"));
        }
        // Less than what the other one left, more than there would be if anything had stayed.
        one.store("/photos/again", &noise(2_300_000, 3));
        // Its room is given back after its reply.
        eventually("room for the rest of the other one", || {
            (narrow.used() < clean + 1_500_000).then_some(())
        });

        stream.write_all(rest).unwrap();
        drop(stream);
        other.reply_of(226);
        assert!(cluster.content("photos/other").unwrap() == content);
        assert_eq!(cluster.content("photos/old").unwrap(), b"the old content");
        assert_eq!(
            cluster.keys(),
            ["photos/again", "photos/old", "photos/other"]
        );
        assert_eq!(cluster.node().temp_rows(), [""; 0], "{upload}");
        eventually("all room is given back", || {
            (narrow.used() == clean).then_some(())
        });
        assert_eq!(other.fetch("RETR /photos/old"), b"the old content");
    }
}
