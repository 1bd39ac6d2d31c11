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
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    /// What was confirmed last.
    is: Option<Content>,
    /// What nobody confirmed or denied since.
    wanted: Vec<Option<Content>>,
    /// A change that failed may have taken what was there with it.
    may_be_gone: bool,
}

/// What has become of a file of which not everything is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It is what was confirmed last.
    Kept,
    /// It is what a change wanted that was not confirmed.
    Made,
    /// What was confirmed last was lost to a change that failed.
    Gone,
}

impl File {
    pub(crate) fn is_certain(&self) -> bool {
        self.wanted.is_empty() && !self.may_be_gone
    }

    /// What it is, if that is certain.
    pub(crate) fn content(&self) -> Option<&Content> {
        self.is.as_ref().filter(|_| self.is_certain())
    }

    /// What has become of it, if it may be what was found.
    pub(crate) fn outcome(&self, found: Option<&[u8]>) -> Option<Outcome> {
        let is_found = |one: &Option<Content>| match (one, found) {
            (None, None) => true,
            (Some(content), Some(found)) => bytes(content) == found,
            _ => false,
        };
        if is_found(&self.is) {
            Some(Outcome::Kept)
        } else if self.wanted.iter().any(is_found) {
            Some(Outcome::Made)
        } else {
            (self.may_be_gone && found.is_none()).then_some(Outcome::Gone)
        }
    }

    pub(crate) fn may_be(&self, found: Option<&[u8]>) -> bool {
        self.outcome(found).is_some()
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
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// It is this now.
    pub(crate) fn is(&mut self, name: &str, content: Option<Content>) {
        let is = content;
        let file = File {
            is,
            ..File::default()
        };
        self.0.insert(name.to_owned(), file);
    }

    /// It was to become this, and nobody said that it did.
    pub(crate) fn may_be(&mut self, name: &str, content: Option<Content>) {
        let file = self.0.entry(name.to_owned()).or_default();
        if file.is != content && !file.wanted.contains(&content) {
            file.wanted.push(content);
        }
    }

    /// What is there may be lost to a change: the tracker makes it in two steps.
    pub(crate) fn may_be_gone(&mut self, name: &str) {
        let file = self.0.entry(name.to_owned()).or_default();
        file.may_be_gone = file.is.is_some() || !file.wanted.is_empty();
    }
}
