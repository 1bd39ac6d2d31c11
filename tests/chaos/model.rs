//! What a client knows of its files: of each what it may be, which is one thing as long as every
//! answer came and was clear.

use std::collections::BTreeMap;

use super::support::noise;

/// A content: how long, and the seed that makes it; pieces one behind the other.
pub(crate) type Content = Vec<(usize, u64)>;

/// The bytes of a content.
pub(crate) fn bytes(content: &Content) -> Vec<u8> {
    let pieces = content.iter().map(|(len, seed)| noise(*len, *seed));
    pieces.flatten().collect()
}

/// What a file may be; `None` is that there is none.
#[derive(Clone, Debug)]
pub(crate) struct File(Vec<Option<Content>>);

impl File {
    pub(crate) fn is_certain(&self) -> bool {
        self.0.len() == 1
    }

    /// What it is, if that is certain.
    pub(crate) fn content(&self) -> Option<&Content> {
        match self.0.as_slice() {
            [Some(content)] => Some(content),
            _ => None,
        }
    }

    pub(crate) fn may_be(&self, found: Option<&[u8]>) -> bool {
        self.0.iter().any(|one| match (one, found) {
            (None, None) => true,
            (Some(content), Some(found)) => bytes(content) == found,
            _ => false,
        })
    }
}

/// The files of one client.
#[derive(Default)]
pub(crate) struct Model(BTreeMap<String, File>);

impl Model {
    pub(crate) fn files(&self) -> impl Iterator<Item = (&String, &File)> {
        self.0.iter()
    }

    pub(crate) fn file(&self, name: &str) -> File {
        let none = || File(vec![None]);
        self.0.get(name).cloned().unwrap_or_else(none)
    }

    /// It is this now.
    pub(crate) fn is(&mut self, name: &str, content: Option<Content>) {
        self.0.insert(name.to_owned(), File(vec![content]));
    }

    /// It was to become this, and nobody said that it did.
    pub(crate) fn may_be(&mut self, name: &str, content: Option<Content>) {
        let mut file = self.file(name);
        if !file.0.contains(&content) {
            file.0.push(content);
        }
        self.0.insert(name.to_owned(), file);
    }
}
