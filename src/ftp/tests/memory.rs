//! A store in memory. Some names have faults: `slow` never comes, `endless` never ends, `short`
//! ends early, and what is put under `broken` or `full` cannot be stored.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::path::Path;
use crate::store::{
    At, Body, Entries, Entry, Error, Kind, Plan, Receipt, Source, Store, Whose, Wish,
};
use crate::vigil;

/// What is stored, shared with the test.
pub(super) type Shared = Arc<Mutex<Tree>>;

/// 2026-11-22 12:00:00 UTC.
const MODIFIED: i64 = 1_795_348_800;

/// Paths: `None` is a directory.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Without a word from there nobody gets on with tidying up.
    pub(super) broom: Option<Receiver<()>>,
}

impl Tree {
    pub(super) fn put(&mut self, path: &str, bytes: Vec<u8>) {
        self.put_bytes(path.as_bytes(), bytes);
    }

    pub(super) fn put_bytes(&mut self, path: &[u8], bytes: Vec<u8>) {
        let path = Path::root().resolve(path);
        let parent = path.parent();
        if !parent.is_root() {
            self.nodes.insert(parent.as_bytes().to_vec(), None);
        }
        self.nodes.insert(path.as_bytes().to_vec(), Some(bytes));
    }

    pub(super) fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.nodes.get(path.as_bytes()).cloned().flatten()
    }

    pub(super) fn kind(&self, path: &Path) -> Option<Kind> {
        if path.is_root() {
            return Some(Kind::Dir);
        }
        match self.nodes.get(path.as_bytes())? {
            Some(_) => Some(Kind::File),
            None => Some(Kind::Dir),
        }
    }

    fn entry(&self, path: &[u8]) -> Entry {
        let node = self.nodes.get(path).cloned().flatten();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap();
        Entry {
            name: name.to_vec(),
            kind: match node {
                Some(_) => Kind::File,
                None => Kind::Dir,
            },
            size: node.as_ref().map(|bytes| bytes.len() as u64),
            modified: node.as_ref().map(|_| MODIFIED),
            mode: if node.is_some() { 0o644 } else { 0o755 },
            owner: Whose::named("mogilefs"),
            group: Whose::named("class"),
            unique: node.map(|_| 0x4711),
        }
    }
}

/// One session's view of a [`Tree`].
pub(super) struct Memory {
    tree: Shared,
}

impl Memory {
    pub(super) fn new(tree: &Shared) -> Self {
        Self {
            tree: Arc::clone(tree),
        }
    }

    fn kind(&self, path: &Path) -> Result<Kind, Error> {
        self.tree.lock().unwrap().kind(path).ok_or(Error::NotFound)
    }
}

/// Zeros for ever.
struct Zeros;

impl Source for Zeros {}

impl Read for Zeros {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(0);
        Ok(buffer.len())
    }
}

impl Store for Memory {
    fn list(&mut self, dir: &Path, wish: Wish) -> Result<Entries<'_>, Error> {
        match self.kind(dir)? {
            Kind::File => return Err(Error::NotADir),
            Kind::Dir => {}
        }
        let tree = self.tree.lock().unwrap();
        let mut prefix = dir.as_bytes().to_vec();
        if !dir.is_root() {
            prefix.push(b'/');
        }
        let mut entries: Vec<Result<Entry, Error>> = tree
            .nodes
            .keys()
            .filter(|path| {
                let rest = path.strip_prefix(prefix.as_slice());
                rest.is_some_and(|rest| !rest.contains(&b'/'))
            })
            .map(|path| tree.entry(path))
            .filter(|entry| wish.wants(&entry.name))
            .map(Ok)
            .collect();
        match dir.name() {
            b"cut" => entries.push(Err(Error::Cut(entries.len()))),
            b"torn" => entries.push(Err(Error::Broken("torn".into()))),
            b"dark" => entries.insert(0, Err(Error::Unavailable("dark".into()))),
            _ => {}
        }
        Ok(Box::new(entries.into_iter()))
    }

    fn stat(&mut self, path: &Path) -> Result<Entry, Error> {
        self.kind(path)?;
        Ok(self.tree.lock().unwrap().entry(path.as_bytes()))
    }

    fn open(&mut self, path: &Path, offset: u64) -> Result<Body, Error> {
        match path.name() {
            b"slow" => {
                return match vigil::pause(Duration::from_secs(60)) {
                    Ok(()) => Err(Error::Unavailable("slow".into())),
                    Err(_) => Err(Error::Interrupted),
                };
            }
            b"endless" => return Ok(Body::Stream(Box::new(Zeros), 1 << 40)),
            b"short" => return Ok(Body::Stream(Box::new(Zeros.take(10)), 11)),
            b"dark" => return Err(Error::Unavailable("dark".into())),
            _ => {}
        }
        if self.kind(path)? == Kind::Dir {
            return Err(Error::NotAFile);
        }
        let bytes = self.tree.lock().unwrap().nodes[path.as_bytes()].clone();
        let bytes = bytes.unwrap();
        let Some(left) = (bytes.len() as u64).checked_sub(offset) else {
            return Err(Error::BeyondEnd);
        };
        if path.name().ends_with(b".kernel") {
            let file = memfd_create("body", MFdFlags::empty()).unwrap();
            let mut file = std::fs::File::from(file);
            file.write_all(&bytes).unwrap();
            return Ok(Body::File(file, offset, left));
        }
        let mut reader = Cursor::new(bytes);
        reader.set_position(offset);
        Ok(Body::Stream(Box::new(reader), left))
    }

    fn put(&mut self, path: &Path, source: &mut dyn Source, plan: &Plan) -> Result<Receipt, Error> {
        self.may_put(path, plan)?;
        if path.name() == b"broken" {
            return Err(Error::Broken("the node at 10.0.0.1 broke".into()));
        }
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).map_err(Error::Source)?;
        if path.name() == b"full" {
            return Err(Error::Full("no room".into()));
        }
        let count = bytes.len() as u64;
        self.tree.lock().unwrap().put_bytes(path.as_bytes(), bytes);
        Ok(Receipt {
            bytes: count,
            fid: Some(4711),
            replicas: None,
        })
    }

    fn tidy(&mut self) {
        let broom = self.tree.lock().unwrap().broom.take();
        if let Some(broom) = broom {
            broom.recv().unwrap();
        }
    }

    fn may_put(&mut self, path: &Path, plan: &Plan) -> Result<(), Error> {
        if plan.at != At::Start {
            return Err(Error::Unsupported);
        }
        if self.kind(&path.parent())? == Kind::File {
            return Err(Error::NotADir);
        }
        match self.kind(path) {
            Ok(Kind::Dir) => Err(Error::NotAFile),
            _ => Ok(()),
        }
    }

    fn remove(&mut self, path: &Path) -> Result<(), Error> {
        match self.kind(path)? {
            Kind::Dir => Err(Error::NotAFile),
            Kind::File => {
                self.tree.lock().unwrap().nodes.remove(path.as_bytes());
                Ok(())
            }
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        if self.kind(to).is_ok() {
            return Err(Error::Exists);
        }
        let mut tree = self.tree.lock().unwrap();
        let node = tree.nodes.remove(from.as_bytes()).ok_or(Error::NotFound)?;
        tree.nodes.insert(to.as_bytes().to_vec(), node);
        Ok(())
    }

    fn make_dir(&mut self, path: &Path) -> Result<(), Error> {
        if self.kind(path).is_ok() {
            return Err(Error::Exists);
        }
        let mut tree = self.tree.lock().unwrap();
        tree.nodes.insert(path.as_bytes().to_vec(), None);
        Ok(())
    }

    fn remove_dir(&mut self, path: &Path) -> Result<(), Error> {
        if self.kind(path)? == Kind::File {
            return Err(Error::NotADir);
        }
        if self.list(path, Wish::default())?.next().is_some() {
            return Err(Error::NotEmpty);
        }
        self.tree.lock().unwrap().nodes.remove(path.as_bytes());
        Ok(())
    }
}
