//! Renaming: a file by its key, a directory by all keys below it. A directory is looked through
//! before anything is moved, and is not moved at once: whoever looks meanwhile sees both.
#![forbid(unsafe_code)]

use std::collections::HashSet;

use super::layout::{Place, Spot};
use super::names::LONGEST_KEY;
use super::pages::{PAGE, Pages};
use super::{MogileFs, names};
use crate::mogilefs::Object;
use crate::path::Path;
use crate::store::Error;
use crate::text::quoted_error;

/// A key, and what it is to be called.
type Move = (Vec<u8>, Vec<u8>);

/// The most files of a directory that is renamed.
const MOST: usize = 10_000;

impl MogileFs {
    /// Gives the file at `source` the key of `target`, where nothing is, and its class if that is another than
    /// that of `source`: what others have put into some class stays in it.
    ///
    /// `gone` is what was there until now.
    pub(super) fn rename_key(
        &mut self,
        source: &Spot,
        target: &Spot,
        object: Object,
        gone: Option<u64>,
    ) -> Result<(), Error> {
        let Spot { domain, key, .. } = source;
        let mut trackers = self.client.trackers()?;
        let renamed = trackers.rename_file(domain, key, &target.key, object, gone);
        let mut object = match renamed {
            Err(error) if error.is("failure") && std::str::from_utf8(&target.key).is_err() => {
                return Err(names::not_utf8());
            }
            renamed => renamed?,
        };
        if source.class != target.class && object.class != target.class {
            match trackers.updateclass(&target.domain, &target.key, &target.class) {
                Ok(()) => object.class.clone_from(&target.class),
                Err(error) => log::warn!(
                    "class-kept fid={} error={}",
                    object.fid,
                    quoted_error(&error)
                ),
            }
        }
        drop(trackers);
        self.remember_removed(source, object.fid);
        self.remember(target, &object);
        Ok(())
    }

    /// Gives all keys below `from` other beginnings.
    pub(super) fn rename_dir(&mut self, from: &Path, to: &Path) -> Result<(), Error> {
        let (Place::Key(source), Place::Key(target)) =
            (self.layout.place(from), self.layout.place(to))
        else {
            return Err(Error::Unsupported);
        };
        if source.domain != target.domain || source.key.is_empty() || target.key.is_empty() {
            return Err(Error::Unsupported);
        }
        if from == to {
            return Ok(());
        }
        names::check_key(&target.key)?;
        if target.key.starts_with(&source.prefix()) {
            return Err(Error::BadName("is inside the directory itself"));
        }
        if !self.has_class(&target.domain, &target.class)? {
            return Err(Error::BadName("is not inside a class"));
        }
        let whole = (from.clone(), to.clone());
        if self.unfinished.take().as_ref() != Some(&whole) {
            self.must_be_free(to, &target)?;
        }
        for dir in self.lore.dirs_below(&source.domain, &source.prefix()) {
            // Both with a slash at the end.
            let longest = LONGEST_KEY + 1;
            if target.prefix().len() + dir.len() > longest + source.prefix().len() {
                return Err(too_long());
            }
        }
        let moves = self.moves(&source, &target)?;
        let moved = self.carry_out(&source, &target, &moves);
        if matches!(moved, Err(Error::Partly { .. })) {
            self.unfinished = Some(whole);
        }
        moved?;
        let was_emptied = self.emptied.forget(&source.domain, &source.prefix());
        self.emptied.forget(&target.domain, &target.prefix());
        if was_emptied && moves.is_empty() {
            self.lore.make_dir(&target.domain, &target.prefix());
        }
        for dir in self.lore.dirs_below(&source.domain, &source.prefix()) {
            let rest = dir.get(source.prefix().len()..).unwrap_or_default();
            let moved = [&target.prefix()[..], rest].concat();
            self.lore.make_dir(&target.domain, &moved);
            self.lore.forget_dir(&source.domain, &dir);
        }
        Ok(())
    }

    /// Every key below `source`, and what it is to be called.
    fn moves(&self, source: &Spot, target: &Spot) -> Result<Vec<Move>, Error> {
        let mut moves = Vec::new();
        for prefix in self.written(source.prefix()) {
            if self.has_marker(&source.domain, &prefix)? {
                moves.push((prefix.clone(), target.prefix()));
            }
            let mut pages = Pages::new(self.quarry(&source.domain, prefix));
            while let Some(page) = pages.next(PAGE)? {
                for member in page.members {
                    let new = [&target.prefix()[..], member.rest()].concat();
                    if new.len() > LONGEST_KEY {
                        return Err(too_long());
                    }
                    moves.push((member.key, new));
                }
                if moves.len() > MOST {
                    return Err(Error::TooMany(MOST));
                }
            }
        }
        let new: HashSet<&[u8]> = moves.iter().map(|(_, new)| new.as_slice()).collect();
        if new.len() < moves.len() {
            return Err(Error::BadName("would be that of two files in it"));
        }
        Ok(moves)
    }

    fn carry_out(&mut self, source: &Spot, target: &Spot, moves: &[Move]) -> Result<(), Error> {
        let all = moves.len();
        let mut missing = 0;
        for (done, (old, new)) in moves.iter().enumerate() {
            let at = |spot: &Spot, key: &[u8]| Spot {
                key: key.to_vec(),
                ..spot.clone()
            };
            let (source, target) = (at(source, old), at(target, new));
            let renamed = match self.first_of(&source, vec![old.clone()]) {
                Ok(Some((_, object))) => self.rename_key(&source, &target, object, None),
                Ok(None) => Err(Error::NotFound),
                Err(error) => Err(error),
            };
            match renamed {
                Ok(()) => {}
                // Removed since it was looked for; or a database that lags behind has not heard of it.
                Err(Error::NotFound) => missing += 1,
                Err(error) if done == 0 => return Err(error),
                Err(error) => {
                    let cause = error.to_string();
                    return Err(Error::Partly { done, all, cause });
                }
            }
        }
        if missing > 0 && self.has_keys(source)? {
            let (done, cause) = (all - missing, "the tracker has not heard of the others yet");
            return Err(Error::Partly {
                done,
                all,
                cause: cause.to_owned(),
            });
        }
        Ok(())
    }
}

fn too_long() -> Error {
    Error::BadName("makes the name of something in it longer than 255 bytes")
}
