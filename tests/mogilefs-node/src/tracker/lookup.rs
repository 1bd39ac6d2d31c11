//! file_info, get_paths and file_debug.

use super::Call;
use crate::codec::{Answer, count, field, refuse};
use crate::dice::Dice;
use crate::door::lock;
use crate::node::Device;
use crate::probe::{self, Size};
use crate::store::{Checksum, DeviceId, DomainId, Fid, File, State};

pub(super) fn info(call: &mut Call<'_>) -> Answer {
    let state = lock(&call.node.state);
    let domain = call.domain(&state)?;
    let key = call.args.filled("key").ok_or_else(|| refuse("no_key"))?;
    let file = state
        .lookup(domain.id, key)
        .ok_or_else(|| refuse("unknown_key"))?;
    let Some(class) = domain.class_with(file.class) else {
        drop(state);
        return Err(call.die("file_info", "the class is not there"));
    };
    let mut fields = vec![
        count("fid", file.fid),
        field("domain", &domain.name),
        field("class", class.name),
        field("key", key),
        count("length", file.length),
        count("devcount", file.copies.len()),
    ];
    if class.hashtype != "NONE" {
        let sum = file
            .checksum
            .as_ref()
            .map_or_else(|| "MISSING".to_owned(), Checksum::to_string);
        fields.push(field("checksum", sum));
    }
    if call.args.truth("devices").is_some() {
        fields.push(field("devids", joined(&file.copies)));
    }
    Ok(fields)
}

pub(super) fn paths(call: &mut Call<'_>) -> Answer {
    let file = {
        let state = lock(&call.node.state);
        let domain = call.domain(&state)?;
        let key = call.args.filled("key").ok_or_else(|| refuse("no_key"))?;
        state
            .lookup(domain.id, key)
            .ok_or_else(|| refuse("unknown_key"))?
    };
    let most = usize::try_from(call.args.whole("pathcount"))
        .unwrap_or(0)
        .max(2);
    let trust = call.args.truth("noverify").is_some();
    let mut found: Vec<String> = Vec::new();
    let mut backup = None;
    for device in in_order(call, &file) {
        let url = device.url(file.fid);
        if !device.is_seen() {
            backup = Some(url);
            continue;
        }
        // Once a path is good, the others are taken as they are.
        if !trust && found.is_empty() && !has_whole(call, &device, &file) {
            continue;
        }
        found.push(url);
        if found.len() == most {
            break;
        }
    }
    if found.is_empty() {
        found.extend(backup);
    }
    let mut fields = vec![count("paths", found.len())];
    fields.extend(
        (1..)
            .zip(found)
            .map(|(n, url)| field(&format!("path{n}"), url)),
    );
    Ok(fields)
}

/// The devices of a file in random order, those that are being emptied last.
fn in_order(call: &Call<'_>, file: &File) -> Vec<Device> {
    let copies = file.copies.iter().filter_map(|id| call.node.device(*id));
    let mut devices: Vec<Device> = copies.filter(Device::serves).collect();
    Dice::of_the_moment().shuffle(&mut devices);
    devices.sort_by_key(|device| device.status == "drain");
    devices
}

fn has_whole(call: &Call<'_>, device: &Device, file: &File) -> bool {
    let made_up = lock(&call.node.state).made_up(file.fid).is_some();
    made_up || probe::size(call.node, device, file.fid) == Size::Known(file.length)
}

pub(super) fn debug(call: &mut Call<'_>) -> Answer {
    let state = lock(&call.node.state);
    let fid = if call.args.truth("fid").is_some() {
        call.args.whole("fid")
    } else {
        let domain = call.domain(&state)?;
        let key = call.args.filled("key").ok_or_else(|| refuse("no_key"))?;
        state
            .lookup(domain.id, key)
            .ok_or_else(|| refuse("unknown_key"))?
            .fid
    };
    let mut fields = Vec::new();
    let mut copies = Vec::new();
    let mut sum = "NONE".to_owned();
    if let Some(file) = state.file(fid) {
        fields.extend(committed(&state, &file));
        if let Some(checksum) = &file.checksum {
            sum = checksum.to_string();
        }
        copies = file.copies;
    }
    fields.push(field("checksum", sum));
    if let Some(temp) = state.temps.get(&fid) {
        fields.push(count("tempfile_fid", fid));
        fields.push(count("tempfile_createtime", temp.opened));
        fields.push(count("tempfile_classid", temp.class));
        fields.push(count("tempfile_dmid", temp.domain));
        fields.push(field("tempfile_dkey", &temp.key));
        fields.push(field("tempfile_devids", joined(&temp.devices)));
    }
    drop(state);
    let queues = lock(&call.node.queues);
    if queues.replicate.contains_key(&fid) {
        fields.push(count("replqueue_fid", fid));
        fields.push(count("replqueue_nexttry", 0));
        fields.push(field("replqueue_fromdevid", ""));
        fields.push(count("replqueue_failcount", 0));
        fields.push(count("replqueue_flags", 0));
    }
    if let Some((_, doomed)) = queues.delete.get(&fid) {
        let now = std::time::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_secs();
        fields.push(count("delqueue_fid", fid));
        fields.push(count("delqueue_nexttry", now));
        fields.push(count("delqueue_failcount", 0));
        copies.clone_from(doomed);
    }
    drop(queues);
    fields.extend(places(call, fid, &copies));
    Ok(fields)
}

fn committed(state: &State, file: &File) -> Vec<(String, Vec<u8>)> {
    let name = |id: DomainId| state.domains.get(&id).map(|domain| domain.name.clone());
    let class = state
        .domains
        .get(&file.domain)
        .and_then(|domain| domain.class_with(file.class));
    vec![
        count("fid_fid", file.fid),
        count("fid_dmid", file.domain),
        count("fid_classid", file.class),
        count("fid_length", file.length),
        count("fid_devcount", file.copies.len()),
        field("fid_dkey", &file.key),
        field("fid_domain", name(file.domain).unwrap_or_default()),
        field(
            "fid_class",
            class.map(|class| class.name).unwrap_or_default(),
        ),
    ]
}

fn places(call: &Call<'_>, fid: Fid, copies: &[DeviceId]) -> Vec<(String, Vec<u8>)> {
    if copies.is_empty() {
        return Vec::new();
    }
    let mut fields = vec![field("devids", joined(copies))];
    for device in copies.iter().filter_map(|id| call.node.device(*id)) {
        fields.push(field(&format!("devpath_{}", device.id), device.url(fid)));
    }
    fields
}

fn joined(devices: &[DeviceId]) -> String {
    devices
        .iter()
        .map(DeviceId::to_string)
        .collect::<Vec<_>>()
        .join(",")
}
