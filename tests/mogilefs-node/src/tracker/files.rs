//! delete, rename and updateclass.

use super::Call;
use super::upload::fits_column;
use crate::codec::{Answer, refuse};
use crate::door::lock;
use crate::store::{Event, File};

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    let mut state = lock(&call.node.state);
    let domain = call.domain(&state)?.id;
    let key = call.args.filled("key").ok_or_else(|| refuse("no_key"))?;
    let file = state
        .lookup(domain, key)
        .ok_or_else(|| refuse("unknown_key"))?;
    state.record(Event::NoFile(file.fid));
    drop(state);
    call.node.doom(file.fid, file.copies);
    Ok(Vec::new())
}

/// Onto an existing key the real worker says ERR and then, forgetting that it did, OK.
pub(super) fn rename(call: &mut Call<'_>) -> Answer {
    let node = call.node;
    let mut state = lock(&node.state);
    let domain = call.domain(&state)?.id;
    let from = call
        .args
        .filled("from_key")
        .ok_or_else(|| refuse("no_key"))?;
    let to = call.args.filled("to_key").ok_or_else(|| refuse("no_key"))?;
    let file = state
        .lookup(domain, from)
        .ok_or_else(|| refuse("unknown_key"))?;
    if state
        .lookup(domain, to)
        .is_some_and(|there| there.fid != file.fid)
    {
        call.stray = true;
        return Err(refuse("key_exists"));
    }
    if state.flavour.mysql && !fits_column(to) {
        drop(state);
        return Err(call.die("rename", "the key does not fit its column"));
    }
    state.record(Event::File(File {
        key: to.to_vec(),
        ..file
    }));
    Ok(Vec::new())
}

pub(super) fn update_class(call: &mut Call<'_>) -> Answer {
    let mut state = lock(&call.node.state);
    let domain = call.domain(&state)?.clone();
    let key = call.args.filled("key").ok_or_else(|| refuse("no_key"))?;
    let class = call
        .args
        .filled("class")
        .ok_or_else(|| refuse("no_class"))?;
    let class = domain
        .class(class)
        .ok_or_else(|| refuse("class_not_found"))?
        .id;
    let file = state
        .lookup(domain.id, key)
        .ok_or_else(|| refuse("invalid_key"))?;
    if file.class != class {
        let fid = file.fid;
        state.record(Event::File(File { class, ..file }));
        drop(state);
        call.node.replicate(fid);
    }
    Ok(Vec::new())
}
