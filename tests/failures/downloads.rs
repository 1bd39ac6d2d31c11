//! Downloads: every way in which a copy, or the tracker that names it, can fail.

use std::io::{ErrorKind, Read};
use std::time::Instant;

use super::{Scene, tells_nothing};
use crate::support::{Ftp, PATIENCE, eventually, noise};

/// What happens, the faults that make it happen, and what the client is told in the end.
const ROWS: [(&str, &[&str], u16); 29] = [
    // A copy fails, another one does.
    ("a node refuses", &["refuse dev=1"], 226),
    ("another node refuses", &["refuse dev=2"], 226),
    ("a node resets", &["reset method=GET count=1"], 226),
    (
        "a node hangs before it answers",
        &["freeze method=GET count=1"],
        226,
    ),
    (
        "a node has no such file",
        &["status method=GET code=404 count=1"],
        226,
    ),
    (
        "both nodes fail once",
        &["status method=GET code=500 count=2"],
        226,
    ),
    (
        "a node dies before the first byte",
        &["cut method=GET at=0 count=1"],
        226,
    ),
    (
        "a node dies midway",
        &["cut method=GET at=200000 count=1"],
        226,
    ),
    (
        "both nodes die midway",
        &["cut method=GET at=100000 rst=1 count=2"],
        226,
    ),
    (
        "a node stalls midway",
        &["stall method=GET at=100000 count=1"],
        226,
    ),
    (
        "a node gives a byte now and then",
        &["slow method=GET ms=200 count=1"],
        226,
    ),
    ("a node has a part only", &["short at=5 count=1"], 226),
    (
        "a node announces another length",
        &["wrong-length count=1"],
        226,
    ),
    ("a node announces none", &["no-length count=1"], 226),
    (
        "a node begins anew",
        &[
            "cut method=GET at=100000 count=1",
            "no-range after=1 count=1",
        ],
        226,
    ),
    // The tracker fails.
    ("no path is known at first", &["paths-zero count=1"], 226),
    ("it hangs up", &["close cmd=file_info count=1"], 226),
    (
        "its answer is lost",
        &["lose-reply cmd=get_paths count=1"],
        226,
    ),
    (
        "it answers too late",
        &["late cmd=file_info ms=1900 count=1"],
        226,
    ),
    ("it answers twice", &["double cmd=file_info count=1"], 226),
    (
        "it answers somebody else",
        &["wrong-callid cmd=file_info count=1"],
        226,
    ),
    (
        "its database is away for a moment",
        &["err cmd=file_info code=db count=1"],
        226,
    ),
    // Nobody can give it, before the first byte.
    ("every node refuses", &["refuse"], 450),
    ("no path is known", &["paths-zero"], 450),
    ("no node has it", &["status method=GET code=404"], 450),
    ("every node has a part only", &["short at=399999"], 450),
    (
        "its database is away",
        &["err cmd=file_info code=db text=hush"],
        450,
    ),
    ("it does not answer", &["mute"], 450),
    // Nobody can give the rest.
    (
        "all die where they died before",
        &[
            "cut method=GET at=100000",
            "status method=GET code=500 after=1",
        ],
        451,
    ),
];

/// The same of a file that is long enough to be moved by the kernel, when much of it has been.
const LONG_ROWS: [(&str, &[&str], u16); 9] = [
    (
        "a node dies midway",
        &["cut method=GET at=3333333 count=1"],
        226,
    ),
    (
        "a node resets midway",
        &["cut method=GET at=2500001 rst=1 count=1"],
        226,
    ),
    (
        "a node dies at the last byte",
        &["cut method=GET at=4999999 count=1"],
        226,
    ),
    (
        "both nodes die more than once",
        &["cut method=GET at=1300007 count=3"],
        226,
    ),
    (
        "a node stalls midway",
        &["stall method=GET at=3100003 count=1"],
        226,
    ),
    (
        "a node gets slow midway",
        &[
            "cut method=GET at=1500001 count=1",
            "slow method=GET bytes=7 ms=200 after=1 count=1",
        ],
        226,
    ),
    (
        "the other one lies about what is left",
        &[
            "cut method=GET at=1500001 count=1",
            "wrong-length after=1 count=1",
        ],
        226,
    ),
    (
        "the other one begins anew",
        &[
            "cut method=GET at=1500001 count=1",
            "no-range after=1 count=1",
        ],
        226,
    ),
    (
        "all die where they died before",
        &[
            "cut method=GET at=3000000",
            "status method=GET code=500 after=1",
        ],
        451,
    ),
];

/// A file with two copies.
fn scene(content: &[u8]) -> Scene {
    scene_with(content, &[])
}

fn scene_with(content: &[u8], keys: &[(&str, &str)]) -> Scene {
    let scene = Scene::new(keys);
    scene.session().store("/twice/a", content);
    eventually("the file is copied", || {
        let paths = scene.cluster.call("get_paths", &[("key", b"twice/a")]);
        (paths.ok()?["paths"] == b"2").then_some(())
    });
    scene
}

/// What came, and the last reply.
fn fetch(ftp: &mut Ftp) -> (Vec<u8>, u16, String) {
    let data = ftp.data();
    ftp.send(b"RETR /twice/a\r\n");
    let mut got = Vec::new();
    let (mut code, mut text) = ftp.reply();
    if code == 150 {
        let mut stream = data.stream();
        let (mut block, begun) = ([0; 65536], Instant::now());
        loop {
            match stream.read(&mut block) {
                Ok(read @ 1..) => got.extend_from_slice(&block[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
            assert!(begun.elapsed() < PATIENCE, "it never ends");
        }
        (code, text) = ftp.reply();
    }
    (got, code, text)
}

#[test]
fn a_download_survives_what_can_be_survived_and_never_claims_to_be_whole() {
    let content = noise(400_000, 2);
    let scene = scene(&content);
    scene.daemon.expect_error("replica-missing");
    for (what, faults, expected) in ROWS {
        let mut ftp = scene.session();
        scene.break_it(faults);
        let (got, code, reply) = fetch(&mut ftp);
        scene.mend(what);
        assert_eq!(code, expected, "{what}: {reply}");
        tells_nothing(&reply);
        let is_whole = got == content;
        assert_eq!(is_whole, code == 226, "{what}");
        assert!(got == content[..got.len()], "{what}");
        assert!(code != 450 || got.is_empty(), "{what}");
        let (again, code, _) = fetch(&mut ftp);
        assert!(code == 226 && again == content, "{what}");
    }
    assert!(scene.cluster.content("twice/a").unwrap() == content);
    assert_eq!(scene.cluster.keys(), ["twice/a"]);
    assert_eq!(scene.leaves((0, 0)), None);
    let lines = scene.daemon.lines();
    let said = |line: &&String| line.contains("replica-missing");
    assert_eq!(lines.iter().filter(said).count(), 1, "where no node has it");
}

#[test]
fn a_long_download_goes_on_at_the_exact_byte() {
    let content = noise(5_000_000, 5);
    let scene = scene(&content);
    for (what, faults, expected) in LONG_ROWS {
        let mut ftp = scene.session();
        scene.break_it(faults);
        let (got, code, reply) = fetch(&mut ftp);
        scene.mend(what);
        assert_eq!(code, expected, "{what}: {reply}");
        assert_eq!(got.len() == content.len(), code == 226, "{what}");
        assert!(got == content[..got.len()], "{what}");
        let (again, code, _) = fetch(&mut ftp);
        assert!(code == 226 && again == content, "{what}");
    }
    assert_eq!(scene.leaves((0, 0)), None);
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_broken_off_and_never_mixed() {
    let old = noise(3_000_000, 3);
    for gone in [false, true] {
        // Before it gives the first copy up the file has to be replaced.
        let scene = scene_with(&old, &[("mogilefs.read_timeout", "4")]);
        let mut ftp = scene.session();
        scene.break_it(&["stall method=GET at=1000000 count=1"]);
        let data = ftp.data();
        ftp.expect("RETR /twice/a", 150);
        let mut stream = data.stream();
        let mut got = vec![0; 1_000_000];
        stream.read_exact(&mut got).unwrap();
        // The copies of the old one vanish with it.
        if gone {
            scene
                .cluster
                .call("delete", &[("key", b"twice/a")])
                .unwrap();
        } else {
            scene.cluster.put("twice/a", "twice", &noise(3_000_000, 4));
        }
        scene.break_it(&["status method=GET code=404"]);
        let _ = stream.read_to_end(&mut got);
        let reply = ftp.reply_of(451);
        assert!(reply.contains("replaced"), "{reply}");
        tells_nothing(&reply);
        assert!(got.len() < old.len() && got == old[..got.len()]);
        scene.node().fault("clear");
        if !gone {
            assert!(ftp.fetch("RETR /twice/a") == noise(3_000_000, 4));
        }
        assert_eq!(scene.leaves((0, 0)), None);
    }
}
