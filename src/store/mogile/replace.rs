//! What happens to a file whose name another one gets: it gives way at once, not at all, or when
//! the new one is stored as a whole.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::MogileFs;
use super::destination::{Destination, Precondition};
use super::layout::Spot;
use super::names::LONGEST_KEY;
use crate::config::Overwrite;
use crate::mogilefs::{Fate, Object};
use crate::store::Error;
use crate::text::{quoted, quoted_error};
use crate::vigil;

/// How often a file is tried to be put in the place of another one, and how many milliseconds are
/// waited before: the other one may be gone already, so it is not given up soon.
const SWAPS: [u64; 10] = [
    0, 200, 1000, 3000, 5000, 5000, 10_000, 10_000, 10_000, 10_000,
];

impl MogileFs {
    /// The key to close an upload under: its own, or one beside it if a version that stands there
    /// is to be kept until the new one is safe. For `close_was_lost` see [`Precondition::check`].
    pub(super) fn close_key(
        &mut self,
        to: &Destination<'_>,
        fid: u64,
        close_was_lost: bool,
    ) -> Result<Vec<u8>, Error> {
        let Spot { domain, key, .. } = to.spot;
        let swaps = self.settings.overwrite == Overwrite::Swap;
        if matches!(to.precondition, Precondition::None) && !swaps {
            return Ok(key.clone());
        }
        let now = match self.client.trackers()?.file_info(domain, key) {
            Ok(object) => Some(object),
            Err(error) if close_was_lost || error.is("unknown_key") => None,
            Err(error) => return Err(error.into()),
        };
        let overwrite = self.settings.overwrite;
        to.precondition
            .check(now.as_ref(), close_was_lost, overwrite)?;
        Ok(match now {
            Some(_) if swaps => beside(key, fid),
            _ => key.clone(),
        })
    }

    /// Puts the file `fid`, which is stored under `part`, in the place of the one at `spot`.
    pub(super) fn swap_in(&mut self, spot: &Spot, part: &[u8], fid: u64) -> Result<(), Error> {
        let _quiet = vigil::undisturbed();
        let mut trackers = self.client.trackers()?;
        let mut trouble = None;
        for wait in SWAPS {
            // Nobody interrupts it: it is undisturbed.
            let _ = vigil::pause(Duration::from_millis(wait));
            if trouble.is_some() {
                // What nobody has answered may have been done: what stands there is not to be deleted
                // if it is the new one.
                match trackers.file_debug(fid) {
                    Ok(Fate::Committed { key, .. }) if key == spot.key => return Ok(()),
                    Ok(Fate::Committed { key, .. }) if key == part => {}
                    Ok(_) => break,
                    Err(error) => {
                        trouble = Some(error);
                        continue;
                    }
                }
            }
            match trackers.delete(&spot.domain, &spot.key) {
                Err(error) if !error.is("unknown_key") => {
                    trouble = Some(error);
                    continue;
                }
                _ => {}
            }
            match trackers.rename(&spot.domain, part, &spot.key) {
                Ok(_) => return Ok(()),
                Err(error) => trouble = Some(error),
            }
        }
        let trouble = trouble.map_or_else(String::new, |error| error.to_string());
        log::error!(
            "swap-failed fid={fid} part={} key={} error={}",
            quoted(part),
            quoted(&spot.key),
            quoted(trouble.as_bytes())
        );
        Err(Error::Broken(format!(
            "fid {fid} is not in its place: {trouble}"
        )))
    }

    /// Renames the file `own` from `source` to `target`. One that is there is put aside until that is done: to
    /// delete a key means whatever has it by then, and another session may just have put this very file there.
    pub(super) fn rename_over(
        &mut self,
        source: &Spot,
        target: &Spot,
        own: Object,
    ) -> Result<(), Error> {
        let _quiet = vigil::undisturbed();
        let Some(mut aside) = self.make_way(source, target, &own)? else {
            return self.rename_key(source, target, own, None);
        };
        let (Spot { domain, .. }, fid, old) = (target, own.fid, aside.object.fid);
        let fate = self
            .client
            .trackers()
            .and_then(|mut all| all.file_debug(fid));
        let renamed = match fate {
            Ok(Fate::Committed { key, .. }) if key == aside.key => {
                aside.object = own;
                Err(Error::NotFound)
            }
            Ok(_) => self.rename_key(source, target, own, Some(old)),
            Err(error) => Err(error.into()),
        };
        if renamed.is_err() {
            self.put_back(target, &aside);
            return renamed;
        }
        let key = quoted(&target.key);
        log::info!("rename-replaces old_fid={old} fid={fid} key={key}");
        let deleted = self.client.trackers()?.delete(domain, &aside.key);
        if let Err(error) = deleted
            && !error.is("unknown_key")
        {
            let (part, error) = (quoted(&aside.key), quoted_error(&error));
            log::warn!("part-left fid={old} part={part} error={error}");
        }
        Ok(())
    }

    /// Puts the file at `target` aside, if there is another one than `own`, and that may be.
    fn make_way(
        &mut self,
        source: &Spot,
        target: &Spot,
        own: &Object,
    ) -> Result<Option<Aside>, Error> {
        let Spot { domain, key, .. } = target;
        if source == target {
            return Ok(None);
        }
        let mut trackers = self.client.trackers()?;
        let old = match trackers.file_info(domain, key) {
            Ok(old) => old,
            Err(error) if error.is("unknown_key") => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if own.fid == old.fid {
            // The database takes the two keys for one.
            return Ok(None);
        }
        if self.settings.overwrite == Overwrite::Deny {
            return Err(Error::Exists);
        }
        let part = beside(key, own.fid);
        match trackers.rename(domain, key, &part) {
            Ok(object) => Ok(Some(Aside { key: part, object })),
            Err(error) if error.is("unknown_key") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives what was put aside its name again, unless another file has it by now.
    fn put_back(&mut self, spot: &Spot, aside: &Aside) {
        let (part, Spot { domain, key, .. }) = (&aside.key, spot);
        let mut trouble = String::new();
        for wait in SWAPS {
            // Nobody interrupts it: it is undisturbed.
            let _ = vigil::pause(Duration::from_millis(wait));
            let object = aside.object.clone();
            let back = self.client.trackers().and_then(|mut trackers| {
                match trackers.rename_file(domain, part, key, object, None) {
                    Err(error) if error.is("key_exists") => trackers.delete(domain, part),
                    back => back.map(|_| ()),
                }
            });
            match back {
                Ok(()) => return,
                // Another session that renames the same file has done it.
                Err(error) if error.is("unknown_key") => return,
                Err(error) => trouble = error.to_string(),
            }
        }
        log::error!(
            "not-put-back part={} key={} error={}",
            quoted(part),
            quoted(key),
            quoted(trouble.as_bytes())
        );
    }
}

/// A file that gives way to another, and the key that it has meanwhile.
struct Aside {
    key: Vec<u8>,
    object: Object,
}

/// A key in the same directory that nobody else uses: `dir/.name.FID.part`, the name cut where the
/// key would get too long; where even that would not do, in a directory further up.
fn beside(key: &[u8], fid: u64) -> Vec<u8> {
    let end = format!(".{fid}.part").into_bytes();
    let at = key
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |at| at + 1);
    let (mut dir, name) = key.split_at_checked(at).unwrap_or((&[], key));
    while dir.len() + 1 + end.len() > LONGEST_KEY {
        let above = dir.split_last().map_or(&[][..], |(_, above)| above);
        let at = above.iter().rposition(|byte| *byte == b'/');
        dir = at.and_then(|at| above.get(..=at)).unwrap_or_default();
    }
    let room = LONGEST_KEY.saturating_sub(dir.len() + 1 + end.len());
    let mut name = name.get(..room).unwrap_or(name);
    while let Err(error) = std::str::from_utf8(name) {
        if error.error_len().is_some() {
            break;
        }
        name = name.get(..error.valid_up_to()).unwrap_or_default();
    }
    [dir, b".", name, &end].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lies_beside_its_file_and_is_never_too_long() {
        for (key, expected) in [
            (&b"photos/a.jpg"[..], &b"photos/.a.jpg.7.part"[..]),
            (b"a", b".a.7.part"),
            (b"photos/x/", b"photos/x/..7.part"),
        ] {
            assert_eq!(beside(key, 7), expected);
        }
        let long = [&b"photos/"[..], &[b'k'; 248]].concat();
        assert_eq!(beside(&long, 4711).len(), LONGEST_KEY);
        for dir in [236, 244, 247] {
            let long = [&b"photos/"[..], &vec![b'd'; dir], b"/x"].concat();
            let part = beside(&long, 12_345_678);
            assert!(part.len() <= LONGEST_KEY && part.starts_with(b"photos/"));
            assert!(part.ends_with(b".12345678.part"));
        }
        assert_eq!(beside(&[&[b'd'; 250][..], b"/x"].concat(), 7), b".x.7.part");
        let long = format!("photos/{}", "\u{e9}".repeat(124)).into_bytes();
        let part = beside(&long, 4711);
        assert!(std::str::from_utf8(&part).is_ok() && part.len() <= LONGEST_KEY);
    }
}
