//! The store of the trial: files and directories in memory. Some names have faults: what is put
//! under `full` is not stored, and `short` ends early.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::rc::Rc;

use crate::path::Path;
use crate::store::{
    At, Body, Entries, Entry, Error, Kind, Plan, Receipt, Source, Store, Whose, Wish,
};

/// Paths: `None` is a directory. The root is not in it.
pub(super) type Nodes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What is stored, shared with the trial.
pub(super) type Tree = Rc<RefCell<Nodes>>;

/// One session's view of a [`Tree`].
pub(super) struct Memory {
    tree: Tree,
}

impl Memory {
    pub(super) fn new(tree: &Tree) -> Self {
        Self {
            tree: Rc::clone(tree),
        }
    }

    fn kind(&self, path: &Path) -> Result<Kind, Error> {
        assert_eq!(Path::root().resolve(path.as_bytes()), *path);
        let breaks = |byte: &u8| matches!(byte, b'\0' | b'\r' | b'\n');
        assert!(!path.as_bytes().iter().any(breaks));
        if path.is_root() {
            return Ok(Kind::Dir);
        }
        match self.tree.borrow().get(path.as_bytes()) {
            Some(Some(_)) => Ok(Kind::File),
            Some(None) => Ok(Kind::Dir),
            None => Err(Error::NotFound),
        }
    }

    fn bytes(&self, path: &Path) -> Vec<u8> {
        let tree = self.tree.borrow();
        tree.get(path.as_bytes())
            .cloned()
            .flatten()
            .unwrap_or_default()
    }

    /// Where something new may be.
    fn may_hold(&self, path: &Path) -> Result<(), Error> {
        match self.kind(&path.parent())? {
            Kind::Dir => Ok(()),
            Kind::File => Err(Error::NotADir),
        }
    }

    fn insert(&self, path: &Path, node: Option<Vec<u8>>) {
        self.tree
            .borrow_mut()
            .insert(path.as_bytes().to_vec(), node);
    }
}

fn entry(path: &[u8], bytes: Option<&Vec<u8>>) -> Entry {
    let name = path.rsplit(|byte| *byte == b'/').next();
    Entry {
        name: name.unwrap_or_default().to_vec(),
        kind: if bytes.is_some() {
            Kind::File
        } else {
            Kind::Dir
        },
        size: bytes.map(|bytes| bytes.len() as u64),
        modified: bytes.map(|bytes| 1_795_348_800 - bytes.len() as i64),
        mode: if bytes.is_some() { 0o644 } else { 0o755 },
        owner: Whose::named("trial"),
        group: Whose::named(""),
        unique: bytes.map(|bytes| bytes.len() as u64),
    }
}

impl Store for Memory {
    fn list(&mut self, dir: &Path, wish: Wish) -> Result<Entries<'_>, Error> {
        if self.kind(dir)? == Kind::File {
            return Err(Error::NotADir);
        }
        let tree = self.tree.borrow();
        let all = tree
            .iter()
            .map(|(path, bytes)| (path, entry(path, bytes.as_ref())));
        let entries: Vec<Result<Entry, Error>> = all
            .filter(|(path, entry)| {
                Path::root().resolve(path).parent() == *dir && wish.wants(&entry.name)
            })
            .map(|(_, entry)| Ok(entry))
            .collect();
        Ok(Box::new(entries.into_iter()))
    }

    fn stat(&mut self, path: &Path) -> Result<Entry, Error> {
        self.kind(path)?;
        let tree = self.tree.borrow();
        let bytes = tree.get(path.as_bytes()).and_then(Option::as_ref);
        Ok(entry(path.as_bytes(), bytes))
    }

    fn open(&mut self, path: &Path, offset: u64) -> Result<Body, Error> {
        if self.kind(path)? == Kind::Dir {
            return Err(Error::NotAFile);
        }
        let bytes = self.bytes(path);
        let Some(left) = (bytes.len() as u64).checked_sub(offset) else {
            return Err(Error::BeyondEnd);
        };
        let missing = u64::from(path.name() == b"short");
        let mut reader = Cursor::new(bytes);
        reader.set_position(offset);
        Ok(Body::Stream(Box::new(reader), left + missing))
    }

    fn put(&mut self, path: &Path, source: &mut dyn Source, plan: &Plan) -> Result<Receipt, Error> {
        self.may_put(path, plan)?;
        let old = self.bytes(path);
        let mut bytes = match plan.at {
            At::Start => Vec::new(),
            At::End => old,
            At::Offset(offset) => usize::try_from(offset)
                .ok()
                .and_then(|offset| old.get(..offset))
                .ok_or(Error::BeyondEnd)?
                .to_vec(),
        };
        let count = source.read_to_end(&mut bytes).map_err(Error::Source)?;
        if path.name() == b"full" {
            return Err(Error::Full("no room".into()));
        }
        self.insert(path, Some(bytes));
        Ok(Receipt {
            bytes: count as u64,
            fid: Some(4711),
            replicas: None,
        })
    }

    fn may_put(&mut self, path: &Path, _: &Plan) -> Result<(), Error> {
        self.may_hold(path)?;
        match self.kind(path) {
            Ok(Kind::Dir) => Err(Error::NotAFile),
            _ => Ok(()),
        }
    }

    fn remove(&mut self, path: &Path) -> Result<(), Error> {
        if self.kind(path)? == Kind::Dir {
            return Err(Error::NotAFile);
        }
        self.tree.borrow_mut().remove(path.as_bytes());
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        if self.kind(from)? == Kind::Dir {
            return Err(Error::Unsupported);
        }
        self.may_hold(to)?;
        if self.kind(to).is_ok() {
            return Err(Error::Exists);
        }
        let bytes = self.bytes(from);
        self.tree.borrow_mut().remove(from.as_bytes());
        self.insert(to, Some(bytes));
        Ok(())
    }

    fn make_dir(&mut self, path: &Path) -> Result<(), Error> {
        if self.kind(path).is_ok() {
            return Err(Error::Exists);
        }
        self.may_hold(path)?;
        self.insert(path, None);
        Ok(())
    }

    fn remove_dir(&mut self, path: &Path) -> Result<(), Error> {
        if self.kind(path)? == Kind::File {
            return Err(Error::NotADir);
        }
        if self.list(path, Wish::default())?.next().is_some() {
            return Err(Error::NotEmpty);
        }
        self.tree.borrow_mut().remove(path.as_bytes());
        Ok(())
    }
}
