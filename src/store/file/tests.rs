//! Trees in private directories: what a client can name, and what it cannot reach.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::*;
use crate::store::Kind;

struct Garden {
    dir: PathBuf,
    tree: Tree,
}

impl Garden {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("nanoftpd-tree-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("root")).unwrap();
        fs::write(dir.join("outside"), "secret").unwrap();
        let settings = config::File {
            root: dir.join("root").to_str().unwrap().to_owned(),
            create_mask: 0o022,
            fsync: true,
        };
        let tree = Tree::open(&settings, b"x").unwrap();
        Self { dir, tree }
    }

    fn inside(&self, name: &str) -> PathBuf {
        self.dir.join("root").join(name)
    }

    fn put(&mut self, name: &str, at: At, bytes: &[u8]) -> Result<Receipt, Error> {
        let mut source = bytes;
        self.tree
            .put(&path(name), &mut source, &Plan { at, size: None })
    }

    fn names(&mut self, dir: &str) -> Vec<String> {
        let entries = self.tree.list(&path(dir), Wish::default()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| String::from_utf8(entry.unwrap().name).unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Garden {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn path(name: &str) -> Path {
    Path::root().resolve(name.as_bytes())
}

fn read(body: Body) -> Vec<u8> {
    let Body::File(mut file, offset, len) = body else {
        panic!("a file of the kernel")
    };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.take(len).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Gives some bytes, then fails as a reset connection does.
struct Reset(usize);

impl Read for Reset {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let n = self.0.min(buf.len());
        self.0 -= n;
        Ok(n)
    }
}

impl Source for Reset {}

#[test]
fn what_is_put_is_listed_opened_renamed_and_removed() {
    let mut garden = Garden::new("round");
    garden.tree.make_dir(&path("/d")).unwrap();
    assert_eq!(
        garden.put("/d/a b%n", At::Start, b"hello").unwrap().bytes,
        5
    );
    assert_eq!(garden.names("/d"), ["a b%n"]);
    let entry = garden.tree.stat(&path("/d/a b%n")).unwrap();
    assert_eq!(
        (entry.kind, entry.size, entry.mode),
        (Kind::File, Some(5), 0o644)
    );
    assert_eq!(
        read(garden.tree.open(&path("/d/a b%n"), 2).unwrap()),
        b"llo"
    );
    garden
        .tree
        .rename(&path("/d/a b%n"), &path("/d/c"))
        .unwrap();
    assert!(matches!(
        garden.tree.remove_dir(&path("/d")),
        Err(Error::NotEmpty)
    ));
    garden.tree.remove(&path("/d/c")).unwrap();
    garden.tree.remove_dir(&path("/d")).unwrap();
    assert_eq!(garden.names("/"), Vec::<String>::new());
}

#[test]
fn nothing_is_made_that_no_listing_shows() {
    let mut garden = Garden::new("unseen");
    let unseen = path("/.nanoftpd-0");
    let made = garden.tree.make_dir(&unseen);
    assert!(matches!(made, Err(Error::BadName(_))), "{made:?}");
    let put = garden.put("/.nanoftpd-0", At::Start, b"x");
    assert!(matches!(put, Err(Error::BadName(_))), "{put:?}");
    garden.tree.make_dir(&path("/d")).unwrap();
    let renamed = garden.tree.rename(&path("/d"), &unseen);
    assert!(matches!(renamed, Err(Error::BadName(_))), "{renamed:?}");
    assert_eq!(garden.names("/"), ["d"]);
}

#[test]
fn no_path_and_no_link_leads_out() {
    let mut garden = Garden::new("out");
    symlink("../outside", garden.inside("file-link")).unwrap();
    symlink("..", garden.inside("dir-link")).unwrap();
    symlink("/etc", garden.inside("abs-link")).unwrap();
    for name in ["/file-link", "/dir-link/outside", "/abs-link/passwd"] {
        let opened = garden.tree.open(&path(name), 0);
        assert!(matches!(opened, Err(Error::Denied)), "{name}");
        assert!(garden.tree.stat(&path(name)).is_err(), "{name}");
    }
    for name in ["/dir-link/new", "/abs-link/new"] {
        assert!(garden.put(name, At::Start, b"x").is_err(), "{name}");
        assert!(garden.tree.make_dir(&path(name)).is_err(), "{name}");
    }
    assert!(garden.tree.remove(&path("/dir-link/outside")).is_err());
    assert!(
        garden
            .tree
            .rename(&path("/dir-link/outside"), &path("/in"))
            .is_err()
    );
    assert!(garden.tree.set_mode(&path("/file-link"), 0o777).is_err());
    assert_eq!(fs::read(garden.dir.join("outside")).unwrap(), b"secret");
    assert_eq!(
        garden.names("/"),
        Vec::<String>::new(),
        "links are not listed"
    );
}

#[test]
fn a_link_that_stays_inside_is_followed() {
    let mut garden = Garden::new("in");
    garden.put("/true", At::Start, b"x").unwrap();
    symlink("true", garden.inside("link")).unwrap();
    assert_eq!(read(garden.tree.open(&path("/link"), 0).unwrap()), b"x");
}

#[test]
fn only_plain_files_are_opened() {
    let mut garden = Garden::new("plain");
    nix::unistd::mkfifo(&garden.inside("fifo"), Mode::from_bits_truncate(0o666)).unwrap();
    garden.tree.make_dir(&path("/d")).unwrap();
    assert!(matches!(
        garden.tree.open(&path("/fifo"), 0),
        Err(Error::Denied)
    ));
    assert!(matches!(
        garden.put("/fifo", At::Start, b"x"),
        Err(Error::Denied)
    ));
    assert!(matches!(
        garden.put("/fifo", At::End, b"x"),
        Err(Error::Denied)
    ));
    assert!(matches!(
        garden.tree.open(&path("/d"), 0),
        Err(Error::NotAFile)
    ));
    assert!(matches!(
        garden.put("/d", At::Start, b"x"),
        Err(Error::NotAFile)
    ));
    assert_eq!(garden.names("/"), ["d"]);
}

#[test]
fn a_failed_upload_leaves_the_old_file_and_nothing_else() {
    let mut garden = Garden::new("failed");
    garden.put("/f", At::Start, b"old").unwrap();
    let put = garden
        .tree
        .put(&path("/f"), &mut Reset(700_000), &Plan::default());
    assert!(matches!(put, Err(Error::Source(_))));
    assert_eq!(fs::read(garden.inside("f")).unwrap(), b"old");
    assert_eq!(fs::read_dir(garden.dir.join("root")).unwrap().count(), 1);
}

/// An upload that has taken a while, at the end of which its client is gone: the line says so.
struct Killed(UnixStream);

impl Read for Killed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        vigil::pause(Duration::from_millis(20))?;
        self.0.write_all(b"x")?;
        Ok(0)
    }
}

impl Source for Killed {}

#[test]
fn what_a_client_has_sent_that_is_gone_a_moment_later_is_not_kept() {
    let mut garden = Garden::new("killed");
    garden.put("old", At::Start, b"old").unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    let _watch = vigil::watch(near.as_fd(), || vigil::Verdict::Leave).unwrap();
    let (at, size) = (At::Start, None);
    let mut source = Killed(far);
    let put = garden
        .tree
        .put(&path("old"), &mut source, &Plan { at, size });
    assert!(matches!(put, Err(Error::Interrupted)), "{put:?}");
    assert_eq!(fs::read(garden.inside("old")).unwrap(), b"old");
    assert_eq!(garden.names("/"), ["old"]);
}

#[test]
fn an_upload_goes_where_it_was_found_that_it_may_and_nowhere_else() {
    let mut garden = Garden::new("place");
    for name in ["one", "two"] {
        fs::create_dir(garden.inside(name)).unwrap();
    }
    let plan = Plan {
        at: At::Start,
        size: None,
    };
    // Another path than was asked about is looked at by itself.
    garden.tree.may_put(&path("one/file"), &plan).unwrap();
    garden.put("two/file", At::Start, b"two").unwrap();
    assert!(garden.names("one").is_empty());
    fs::create_dir(garden.inside("one/file")).unwrap();
    garden.put("one/file", At::Start, b"one").unwrap_err();
    // The directory is the same one wherever it goes, and what takes its name is another.
    garden.tree.may_put(&path("two/new"), &plan).unwrap();
    fs::rename(garden.inside("two"), garden.inside("three")).unwrap();
    symlink(&garden.dir, garden.inside("two")).unwrap();
    let new = garden.put("two/new", At::Start, b"new");
    assert!(!garden.dir.join("new").exists(), "{new:?}");
    assert_eq!(fs::read(garden.inside("three/new")).unwrap(), b"new");
}

#[test]
fn uploads_go_on_in_place() {
    let mut garden = Garden::new("append");
    garden.put("/f", At::End, b"abc").unwrap();
    garden.put("/f", At::End, b"def").unwrap();
    assert_eq!(fs::read(garden.inside("f")).unwrap(), b"abcdef");
    garden.put("/f", At::Offset(2), b"XY").unwrap();
    assert_eq!(fs::read(garden.inside("f")).unwrap(), b"abXY");
    assert!(matches!(
        garden.put("/f", At::Offset(5), b"-"),
        Err(Error::BeyondEnd)
    ));
    assert!(matches!(
        garden.put("/none", At::Offset(1), b"-"),
        Err(Error::BeyondEnd)
    ));
    assert!(matches!(
        garden.tree.open(&path("/f"), 5),
        Err(Error::BeyondEnd)
    ));
    assert_eq!(read(garden.tree.open(&path("/f"), 4).unwrap()), b"");
}

#[test]
fn an_upload_that_goes_on_in_vain_ends_where_the_next_one_is_to_go_on() {
    let mut garden = Garden::new("in-vain");
    garden.put("/f", At::Start, b"0123456789").unwrap();
    let size = None;
    for (at, sent, left) in [
        (At::Offset(4), 0, &b"0123456789"[..]),
        (At::Offset(4), 2, b"0123\0\0"),
        (At::End, 1, b"0123\0\0\0"),
    ] {
        let plan = Plan { at, size };
        let put = garden.tree.put(&path("/f"), &mut Reset(sent), &plan);
        assert!(matches!(put, Err(Error::Source(_))), "{put:?}");
        assert_eq!(fs::read(garden.inside("f")).unwrap(), left, "{at:?}");
    }
    garden.put("/f", At::Offset(4), b"").unwrap();
    assert_eq!(fs::read(garden.inside("f")).unwrap(), b"0123");
}

#[test]
fn errors_say_what_is_wrong() {
    let mut garden = Garden::new("errors");
    garden.put("/f", At::Start, b"x").unwrap();
    let long = "n".repeat(300);
    assert!(matches!(
        garden.put("/none/f", At::Start, b"x"),
        Err(Error::NotADir)
    ));
    assert!(matches!(
        garden.put("/f/g", At::Start, b"x"),
        Err(Error::NotADir)
    ));
    assert!(matches!(
        garden.put(&long, At::Start, b"x"),
        Err(Error::BadName(_))
    ));
    assert!(matches!(
        garden.tree.make_dir(&path("/f")),
        Err(Error::Exists)
    ));
    assert!(matches!(
        garden.tree.remove(&path("/none")),
        Err(Error::NotFound)
    ));
    assert!(matches!(
        garden.tree.remove_dir(&path("/")),
        Err(Error::Denied)
    ));
    assert!(matches!(
        garden.tree.list(&path("/f"), Wish::default()),
        Err(Error::NotADir)
    ));
}

#[test]
fn chmod_takes_octal_permission_bits_only() {
    let mut garden = Garden::new("chmod");
    garden.put("/f", At::Start, b"x").unwrap();
    garden.tree.set_mode(&path("/f"), 0o4640).unwrap();
    let mode = fs::metadata(garden.inside("f"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[test]
fn a_users_name_cannot_leave_the_root() {
    let garden = Garden::new("user");
    let root = format!("{}/%u", garden.dir.display());
    let settings = config::File {
        root,
        create_mask: 0o022,
        fsync: false,
    };
    for user in [&b".."[..], b".", b"", b"a/b", b"../outside"] {
        assert!(matches!(Tree::open(&settings, user), Err(Error::Denied)));
    }
    assert!(Tree::open(&settings, b"root").is_ok());
}

#[test]
fn a_replaced_file_is_there_until_it_is_tidied_up() {
    let mut garden = Garden::new("replaced");
    let replaced = format!("{} (deleted)", garden.inside("file").display());
    let is_held = || {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let mut names = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        names.any(|name| name.as_os_str() == replaced.as_str())
    };
    garden.put("file", At::Start, b"old").unwrap();
    assert!(!is_held());
    garden.put("file", At::Start, b"new").unwrap();
    assert!(is_held());
    garden.tree.tidy();
    assert!(!is_held());
}
