//! Uploads: every step between create_open and the row of the file, and what dies there.

use std::thread;

use super::{Scene, tells_nothing};
use crate::support::noise;

/// What is under the name afterwards, where another file was before.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    Old,
    New,
}
use Holds::{New, Old};

/// What happens, the faults that make it happen, what the client is told, what is there then, and
/// how many uploads stay open and how many files known to nobody, because only MogileFS itself can
/// forget them.
type Row = (
    &'static str,
    &'static [&'static str],
    u16,
    Holds,
    (usize, usize),
);

static ROWS: [Row; 38] = [
    // The tracker opens a fid.
    (
        "it fails once",
        &["err cmd=create_open code=failure count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "it fails always",
        &["err cmd=create_open code=failure text=hush"],
        451,
        Old,
        (0, 0),
    ),
    (
        "its answer is lost",
        &["lose-reply cmd=create_open count=1"],
        226,
        New,
        (1, 0),
    ),
    (
        "it hangs up before it",
        &["close cmd=create_open count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "it takes half a minute",
        &["delay cmd=create_open ms=1800 count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "it answers much later",
        &["late cmd=create_open ms=1800 count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "it never answers",
        &["mute cmd=create_open"],
        451,
        Old,
        (0, 0),
    ),
    (
        "it answers twice",
        &["double cmd=create_open count=1"],
        226,
        New,
        (1, 0),
    ),
    (
        "it answers somebody else",
        &["wrong-callid cmd=create_open count=1"],
        226,
        New,
        (1, 0),
    ),
    // The node is connected.
    ("one node refuses", &["refuse dev=1"], 226, New, (0, 0)),
    ("every node refuses", &["refuse"], 451, Old, (0, 0)),
    // The node is sent the file.
    (
        "a node hangs before it answers",
        &["freeze method=PUT count=1"],
        226,
        New,
        (0, 0),
    ),
    ("every node hangs", &["freeze method=PUT"], 451, Old, (0, 0)),
    (
        "a node dies midway",
        &["cut method=PUT at=100000 count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "two nodes reset midway",
        &["cut method=PUT at=3000 rst=1 count=2"],
        226,
        New,
        (0, 0),
    ),
    (
        "two nodes die at the last byte",
        &["cut method=PUT at=299999 count=2"],
        226,
        New,
        (0, 0),
    ),
    (
        "every node dies midway",
        &["cut method=PUT at=3000"],
        451,
        Old,
        (0, 0),
    ),
    (
        "a node stalls midway",
        &["stall method=PUT at=3000 count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "a node takes a byte now and then",
        &["slow method=PUT ms=300 count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "a node has no such place",
        &["status method=PUT code=404 early=1 count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "a node finds it too large",
        &["status method=PUT code=413 count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "a node is full",
        &["status method=PUT code=507 count=2"],
        226,
        New,
        (0, 0),
    ),
    // The node says that it has it.
    (
        "a node never says so",
        &["hang-reply count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "two nodes have it all and hang up",
        &["hang-reply close=1 count=2"],
        226,
        New,
        (0, 0),
    ),
    (
        "every node has it all and hangs up",
        &["hang-reply close=1"],
        451,
        Old,
        (0, 0),
    ),
    (
        "a node says so and has a part",
        &["lose-put at=3 count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "every node says so and has a part",
        &["lose-put at=3"],
        451,
        Old,
        (0, 0),
    ),
    // The tracker closes the fid.
    (
        "its answer to that is lost",
        &["lose-reply cmd=create_close count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "it hangs up before that",
        &["close cmd=create_close count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "it never answers that",
        &["mute cmd=create_close count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "it has closed it, and forgotten",
        &["no-temp-file after-commit=1 count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "it has lost it",
        &["no-temp-file count=1"],
        226,
        New,
        (0, 1),
    ),
    (
        "it fails at it once",
        &["err cmd=create_close code=failure count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "it collides with another one",
        &["err cmd=create_close code=dup count=1"],
        226,
        New,
        (0, 0),
    ),
    (
        "it cannot see the file",
        &["err cmd=create_close code=size_verify_error count=1"],
        226,
        New,
        (1, 1),
    ),
    (
        "it finds another sum",
        &["err cmd=create_close code=checksum_mismatch count=1"],
        226,
        New,
        (1, 1),
    ),
    (
        "it never takes it",
        &["err cmd=create_close code=db text=hush"],
        451,
        Old,
        (1, 1),
    ),
    (
        "it takes its own word for none",
        &["err cmd=create_close code=bogus_args text=hush"],
        451,
        Old,
        (1, 1),
    ),
];

fn every_row(upload: &str) {
    // Most of the time is spent waiting, so several wait at once.
    let wrong: Vec<String> = thread::scope(|scope| {
        let part = |rows: &'static [Row]| rows.iter().filter_map(|row| wrong(upload, row));
        let parts: Vec<_> = ROWS
            .chunks(7)
            .map(|rows| scope.spawn(move || part(rows).collect::<Vec<_>>()))
            .collect();
        let wrong = parts.into_iter().flat_map(|part| part.join().unwrap());
        wrong.collect()
    });
    assert!(wrong.is_empty(), "{upload}: {wrong:#?}");
}

/// What is otherwise than the row says.
fn wrong(upload: &str, row: &Row) -> Option<String> {
    let (what, faults, code, holds, left) = *row;
    let content = noise(300_000, 1);
    let old = b"the old content".to_vec();
    let scene = scene(upload);
    scene.cluster.put("photos/a", "photos", &old);
    let mut ftp = scene.session();
    scene.break_it(faults);
    let (told, reply) = ftp.give("STOR /photos/a", &content);
    scene.mend(what);
    tells_nothing(&reply);
    let found = scene.cluster.content("photos/a");
    let expected = if holds == Old { old } else { content };
    if told != code || found != Some(expected) || scene.cluster.keys() != ["photos/a"] {
        let size = found.map(|found| found.len());
        return Some(format!("{what}: {reply}, {size:?} bytes"));
    }
    ftp.expect("SIZE /photos/a", 213);
    let found = scene.leaves(left)?;
    Some(format!("{what}: {found:?} open and orphaned"))
}

fn scene(upload: &str) -> Scene {
    let scene = Scene::new(&[("mogilefs.upload", upload)]);
    scene.daemon.expect_error("close-refused");
    scene
}

#[test]
fn an_upload_that_was_received_survives_what_can_be_survived() {
    every_row("spool");
}

#[test]
fn an_upload_that_is_followed_survives_what_can_be_survived() {
    every_row("tee");
}

#[test]
fn a_device_that_comes_back_meanwhile_is_not_called_too_small() {
    let scene = scene("spool");
    let mut ftp = scene.session();
    scene.break_it(&["err cmd=create_open code=no_devices count=1"]);
    ftp.store("/photos/a", b"content");
    scene.mend("no device for a moment");
    assert_eq!(scene.cluster.content("photos/a").unwrap(), b"content");
    assert_eq!(scene.leaves((0, 0)), None);
}
