//! The keys below a prefix, page by page, however the tracker's database sorts them. Where it sorts
//! as people do, keys of one prefix need not stand together: the end is only where the tracker has
//! no more.
#![forbid(unsafe_code)]

use super::names::{common_head, plain_head};
use crate::mogilefs::Client;
use crate::store::Error;

/// The most keys that a tracker gives at once.
pub(super) const PAGE: usize = 1000;

pub(super) struct Pages {
    client: Client,
    domain: Vec<u8>,
    /// What the wanted keys begin with.
    prefix: Vec<u8>,
    /// What the tracker is told that they begin with: a head of `prefix` which, as the pattern that
    /// it is taken for, matches `after`.
    asked: Vec<u8>,
    /// The last key of the page before, in the database's order.
    after: Vec<u8>,
    ended: bool,
}

impl Pages {
    pub(super) fn new(client: Client, domain: Vec<u8>, prefix: Vec<u8>) -> Self {
        Self {
            client,
            domain,
            asked: plain_head(&prefix).to_vec(),
            // Nothing but the prefix itself, which names no entry, comes before it, and some
            // databases would walk there from the first key of the domain.
            after: prefix.clone(),
            prefix,
            ended: false,
        }
    }

    /// The keys of the next page of up to `size` keys; it may be empty although more follow. `None`
    /// after the last.
    pub(super) fn next(&mut self, size: usize) -> Result<Option<Vec<Vec<u8>>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let size = size.clamp(1, PAGE);
        let mut keys =
            self.client
                .trackers()?
                .list_keys(&self.domain, &self.asked, &self.after, size)?;
        match keys.last() {
            Some(last) if keys.len() >= size => {
                if *last == self.after {
                    let why = "list_keys: the last key of a page is that of the page before";
                    return Err(Error::Unavailable(why.to_owned()));
                }
                self.asked = common_head(&self.asked, last).to_vec();
                self.after.clone_from(last);
            }
            _ => self.ended = true,
        }
        keys.retain(|key| key.starts_with(&self.prefix));
        Ok(Some(keys))
    }

    /// Whether there is any key at all, or, of many, found at the price of one.
    pub(super) fn any(mut self) -> Result<bool, Error> {
        let mut size = 1;
        while let Some(keys) = self.next(size)? {
            if !keys.is_empty() {
                return Ok(true);
            }
            size = PAGE;
        }
        Ok(false)
    }
}
