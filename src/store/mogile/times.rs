//! When files were written: the oldest date that the nodes have for their copies, since a copy that
//! was made later has a later one. A fid's bytes never change, and neither does its time once it
//! was shown.
#![forbid(unsafe_code)]

use super::lore::Shared;
use crate::mogilefs::{Client, Location};
use crate::store::Error;

/// How many files are asked for at once.
const AT_ONCE: usize = 250;

/// The times of `files`, keys and fids, as far as they can be found out. Up to `asks` that are not
/// known are asked for, and taken off it.
pub(super) fn times(
    client: &Client,
    lore: &Shared,
    domain: &[u8],
    files: &[(&[u8], u64)],
    asks: &mut usize,
) -> Result<Vec<Option<i64>>, Error> {
    let known = |(_, fid): &(&[u8], u64)| lore.time(*fid);
    let unknown: Vec<(&[u8], u64)> = files
        .iter()
        .filter(|file| known(file).is_none())
        .take(*asks)
        .copied()
        .collect();
    *asks = asks.saturating_sub(unknown.len());
    for some in unknown.chunks(AT_ONCE) {
        ask(client, lore, domain, some)?;
    }
    Ok(files.iter().map(known).collect())
}

fn ask(client: &Client, lore: &Shared, domain: &[u8], files: &[(&[u8], u64)]) -> Result<(), Error> {
    let keys: Vec<&[u8]> = files.iter().map(|(key, _)| *key).collect();
    let paths = client.trackers()?.paths_of(domain, &keys)?;
    let mut places = Vec::new();
    for ((_, fid), paths) in files.iter().zip(&paths) {
        let copies = paths.iter().filter_map(|path| Location::parse(path));
        places.extend(copies.filter(|copy| copy.fid == Some(*fid)));
    }
    let written = client.nodes().modified(&places)?;
    let mut oldest: Vec<(u64, i64)> = Vec::with_capacity(files.len());
    for (place, time) in places.iter().zip(written) {
        let (Some(fid), Some(time)) = (place.fid, time) else {
            continue;
        };
        match oldest.last_mut() {
            Some((last, least)) if *last == fid => *least = time.min(*least),
            _ => oldest.push((fid, time)),
        }
    }
    lore.keep_times(&oldest);
    Ok(())
}
