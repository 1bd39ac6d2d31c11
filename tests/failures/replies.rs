//! What trackers and nodes say, and the code that becomes of it.

use super::{Scene, tells_nothing};
use crate::support::Ftp;

/// What a client does.
#[derive(Clone, Copy)]
enum Ask {
    Say(&'static str),
    /// With this many bytes.
    Give(&'static str, usize),
    /// A transfer that does not begin, or sends nothing.
    Fetch(&'static str),
}
use Ask::{Fetch, Give, Say};

/// What is the matter, the faults that make it so, what is asked and the reply. There are the files
/// /photos/a and /docs/sub/b, and the class `empty`.
type Row = (&'static str, &'static [&'static str], Ask, u16);

const ROWS: [Row; 63] = [
    ("no such file", &[], Say("SIZE /photos/none"), 550),
    ("no such file", &[], Say("MDTM /photos/none"), 550),
    ("no such file", &[], Say("DELE /photos/none"), 550),
    ("no such file", &[], Say("RNFR /photos/none"), 550),
    ("no such file", &[], Fetch("RETR /photos/none"), 550),
    (
        "no valid key",
        &["err cmd=delete code=invalid_key text=hush"],
        Say("DELE /photos/a"),
        550,
    ),
    ("no such directory", &[], Say("CWD /photos/none"), 550),
    ("no such directory", &[], Say("RMD /photos/none"), 550),
    ("no such directory", &[], Fetch("MLSD /photos/none"), 550),
    ("an empty directory", &[], Say("CWD /empty"), 250),
    ("an empty directory", &[], Fetch("NLST /empty"), 226),
    (
        "an empty directory",
        &["err cmd=list_keys code=none_match"],
        Fetch("NLST /empty"),
        226,
    ),
    (
        "no such domain",
        &["err cmd=file_info code=unreg_domain text=hush"],
        Say("SIZE /photos/a"),
        550,
    ),
    (
        "no such domain",
        &["err cmd=file_info code=domain_not_found"],
        Say("SIZE /photos/a"),
        550,
    ),
    (
        "no such domain",
        &["err cmd=file_info code=no_domain"],
        Say("SIZE /photos/a"),
        550,
    ),
    (
        "no such domain",
        &["err cmd=create_open code=unreg_domain"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "no such class",
        &["err cmd=create_open code=unreg_class text=hush"],
        Give("STOR /photos/x", 3),
        553,
    ),
    ("no such class", &[], Say("CWD /nosuch"), 550),
    (
        "no such class",
        &["err cmd=delete_class code=class_not_found"],
        Say("RMD /empty"),
        550,
    ),
    (
        "no device has room",
        &["no-devices"],
        Give("STOR /photos/x", 3),
        452,
    ),
    (
        "no device has so much",
        &[
            "err cmd=create_open code=no_devices count=1",
            "err cmd=create_open code=no_devices after=2 count=1",
        ],
        Give("STOR /photos/x", 3),
        552,
    ),
    (
        "every node finds it too large",
        &["status method=PUT code=413"],
        Give("STOR /photos/x", 3),
        552,
    ),
    (
        "every node is full",
        &["status method=PUT code=507"],
        Give("STOR /photos/x", 3),
        452,
    ),
    ("a directory's name", &[], Fetch("STOR /photos"), 553),
    ("no name at all", &[], Fetch("STOR /docs/sub/"), 553),
    (
        "a name that ends in a blank",
        &[],
        Fetch("STOR /photos/x "),
        553,
    ),
    (
        "a name with a control character",
        &[],
        Fetch("STOR /photos/x\u{1}"),
        553,
    ),
    (
        "a name that is too long",
        &[],
        Fetch("STOR /photos/LONG"),
        553,
    ),
    ("a class that is there", &[], Say("MKD /photos"), 550),
    (
        "a class that came meanwhile",
        &["err cmd=create_class code=class_exists text=hush"],
        Say("MKD /new"),
        550,
    ),
    ("a directory with files", &[], Say("RMD /docs/sub"), 550),
    ("a class with files", &[], Say("RMD /docs"), 550),
    (
        "a class that got files",
        &["err cmd=delete_class code=class_has_files"],
        Say("RMD /empty"),
        550,
    ),
    ("the class that must stay", &[], Say("RMD /default"), 550),
    (
        "a plug-in forbids it",
        &["err cmd=delete code=plugin_aborted text=hush"],
        Say("DELE /photos/a"),
        550,
    ),
    (
        "a plug-in forbids it",
        &["err cmd=create_open code=plugin_aborted"],
        Give("STOR /photos/x", 3),
        553,
    ),
    (
        "a plug-in forbids it",
        &["err cmd=create_close code=plugin_aborted"],
        Give("STOR /photos/x", 3),
        553,
    ),
    (
        "no path is known",
        &["paths-zero"],
        Fetch("RETR /photos/a"),
        450,
    ),
    (
        "no node can be reached",
        &["refuse"],
        Fetch("RETR /photos/a"),
        450,
    ),
    (
        "no node has it",
        &["status method=GET code=404"],
        Fetch("RETR /photos/a"),
        450,
    ),
    (
        "a close is refused",
        &["err cmd=create_close code=size_mismatch text=hush"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a close is refused",
        &["err cmd=create_close code=size_verify_error"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a close is refused",
        &["err cmd=create_close code=checksum_mismatch"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a close is refused",
        &["err cmd=create_close code=invalid_destdev"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a close fails",
        &["err cmd=create_close code=failure text=hush"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a close fails",
        &["err cmd=create_close code=db"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "an upload is lost again and again",
        &["no-temp-file"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "every node fails",
        &["status method=PUT code=500"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a tracker takes back its word",
        &["err cmd=create_close code=bogus_args text=hush"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a tracker takes back its word",
        &["err cmd=create_close code=invalid_checksum_format"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a tracker takes back its word",
        &["err cmd=create_close code=no_fid"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a tracker takes back its word",
        &["err cmd=create_close code=no_devid"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a tracker takes back its word",
        &["err cmd=create_close code=no_path"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a tracker takes back its word",
        &["err cmd=create_close code=fid_exists"],
        Give("STOR /photos/x", 3),
        451,
    ),
    (
        "a tracker's database is away",
        &["err cmd=file_info code=db text=hush"],
        Say("SIZE /photos/a"),
        451,
    ),
    (
        "a tracker fails",
        &["err cmd=delete code=failure text=hush"],
        Say("DELE /photos/a"),
        451,
    ),
    ("no tracker", &["down"], Say("SIZE /photos/a"), 451),
    ("no tracker", &["down"], Say("DELE /photos/a"), 451),
    ("no tracker", &["down"], Say("CWD /docs/sub"), 451),
    ("no tracker", &["down"], Fetch("NLST /photos"), 451),
    ("no tracker", &["down"], Fetch("STOR /photos/x"), 451),
    ("no tracker", &["down"], Fetch("RETR /photos/a"), 450),
    (
        "a tracker that is too old",
        &["err cmd=create_class code=unknown_command text=hush"],
        Say("MKD /new"),
        502,
    ),
];

impl Ask {
    /// The last reply.
    fn put(self, ftp: &mut Ftp) -> (u16, String) {
        match self {
            Say(command) => {
                ftp.send(format!("{command}\r\n").as_bytes());
                ftp.reply()
            }
            Give(command, bytes) => ftp.give(command, &vec![b'x'; bytes]),
            Fetch(command) => {
                let data = ftp.data();
                let command = command.replace("LONG", &"x".repeat(250));
                ftp.send(format!("{command}\r\n").as_bytes());
                let reply = ftp.reply();
                drop(data.stream());
                if reply.0 == 150 { ftp.reply() } else { reply }
            }
        }
    }
}

#[test]
fn everything_that_can_be_wrong_has_its_reply() {
    let scene = Scene::new(&[]);
    for error in ["close-refused", "replica-missing", "login-unavailable"] {
        scene.daemon.expect_error(error);
    }
    let empty = [("class", &b"empty"[..]), ("mindevcount", b"1")];
    scene.cluster.call("create_class", &empty).unwrap();
    scene.cluster.put("photos/a", "photos", b"content");
    scene.cluster.put("docs/sub/b", "docs", b"content");
    let mut wrong = Vec::new();
    for (what, faults, ask, expected) in ROWS {
        let mut ftp = scene.session();
        scene.break_it(faults);
        let (code, reply) = ask.put(&mut ftp);
        scene.mend(what);
        tells_nothing(&reply);
        // What is ours to look after has a reference that is in the log.
        let reference = reply.split_once("(ref ").map(|(_, rest)| &rest[..6]);
        if code != expected || reference.is_some() != matches!(code, 450..=452 | 552) {
            wrong.push(format!("{what} {faults:?}: {reply}"));
        }
        if let Some(reference) = reference {
            scene
                .daemon
                .wait_for(&format!("ref={reference} code={code}"));
        }
        ftp.expect("NOOP", 200);
        let keys = ["docs/sub/b", "photos/a"];
        assert_eq!(scene.cluster.keys(), keys, "{what} {faults:?}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // With no tracker nobody new can come in, and who is there can wait for better times.
    let mut ftp = scene.session();
    scene.break_it(&["down"]);
    ftp.expect("SIZE /photos/a", 451);
    let mut late = Ftp::connect(scene.daemon.address);
    late.expect("USER test", 331);
    late.expect("PASS test", 421);
    scene.mend("no tracker");
    ftp.expect("SIZE /photos/a", 213);
    scene.session().expect("SIZE /photos/a", 213);
}

#[test]
fn what_the_configuration_forbids_has_its_reply() {
    let scene = Scene::new(&[
        ("mogilefs.overwrite", "deny"),
        ("mogilefs.canmkdir", "no"),
        ("mogilefs.canrmdir", "no"),
    ]);
    for name in ["a", "b"] {
        scene.cluster.put(&format!("photos/{name}"), "photos", b"x");
    }
    let mut ftp = scene.session();
    ftp.expect("RNFR /photos/a", 350);
    ftp.expect("RNTO /photos/b", 553);
    for command in ["MKD /new", "RMD /docs"] {
        ftp.expect(command, 550);
    }
    let data = ftp.data();
    ftp.expect("STOR /photos/a", 553);
    drop(data);
    assert_eq!(scene.cluster.keys(), ["photos/a", "photos/b"]);
}
