//! create_open and create_close.

use std::time::UNIX_EPOCH;

use super::Call;
use crate::codec::{Answer, Refusal, count, field, refuse, whole};
use crate::dice::Dice;
use crate::door::lock;
use crate::node::Device;
use crate::probe::{self, Size};
use crate::store::{Checksum, DEFAULT_CLASS, DeviceId, DomainId, Event, Fid, File, State, Temp};

/// Most destinations that are offered.
const DESTINATIONS: usize = 3;

pub(super) fn open(call: &mut Call<'_>) -> Answer {
    let mut state = lock(&call.node.state);
    let domain = call.domain(&state)?.clone();
    let class = match call.args.filled("class") {
        None => DEFAULT_CLASS,
        // The default class has number 0, which the real tracker takes for no class at all.
        Some(name) => match domain.class(name) {
            Some(class) if class.id != DEFAULT_CLASS => class.id,
            _ => return Err(refuse("unreg_class")),
        },
    };
    let several = call.args.truth("multi_dest").is_some();
    let chosen = destinations(call, if several { DESTINATIONS } else { 1 })?;
    let key = call.args.get("key").unwrap_or_default().to_vec();
    if state.flavour.mysql && !fits_column(&key) {
        return Err(refuse("db"));
    }
    let fid = match call.args.whole("fid") {
        0 => state.next_fid(),
        taken if state.temps.contains_key(&taken) || state.file(taken).is_some() => {
            return Err(refuse("fid_in_use"));
        }
        wanted => wanted,
    };
    let opened = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let devices: Vec<DeviceId> = chosen.iter().map(|device| device.id).collect();
    state.record(Event::Temp(
        fid,
        Temp {
            domain: domain.id,
            class,
            opened,
            devices,
            key,
        },
    ));
    drop(state);
    let mut fields = vec![count("fid", fid)];
    if several {
        fields.push(count("dev_count", chosen.len()));
        for (n, device) in (1..).zip(&chosen) {
            fields.push(count(&format!("devid_{n}"), device.id));
            fields.push(field(&format!("path_{n}"), device.url(fid)));
        }
    } else if let Some(device) = chosen.first() {
        fields.push(count("devid", device.id));
        fields.push(field("path", device.url(fid)));
    }
    if call.args.truth("debug_profile").is_some() {
        fields.extend(profile(chosen.first()));
    }
    Ok(fields)
}

/// Devices that take a file of the size that was announced, in random order.
fn destinations(call: &Call<'_>, most: usize) -> Result<Vec<Device>, Refusal> {
    let size = whole(call.args.number("size"));
    let mut devices = lock(&call.node.devices).clone();
    devices.retain(|device| device.takes(size));
    Dice::of_the_moment().shuffle(&mut devices);
    devices.truncate(most);
    if devices.is_empty() {
        Err(refuse("no_devices"))
    } else {
        Ok(devices)
    }
}

/// How long which step took: the names are real, the times are not.
fn profile(device: Option<&Device>) -> Vec<(String, Vec<u8>)> {
    let last = format!("vivify_dir_on_dev{}", device.map_or(0, |device| device.id));
    let steps = [
        "begin",
        "wait_monitor",
        "find_deviceid",
        "vivify_dir_on_all_devs",
        &last,
    ];
    let mut fields = vec![count("profpoints", steps.len())];
    for (n, step) in (1..).zip(steps) {
        fields.push(field(&format!("prof_{n}_name"), step));
        fields.push(field(&format!("prof_{n}_time"), "0.000"));
    }
    fields
}

/// VARCHAR(255) of valid characters.
pub(super) fn fits_column(key: &[u8]) -> bool {
    std::str::from_utf8(key).is_ok_and(|key| key.chars().count() <= 255)
}

pub(super) fn close(call: &mut Call<'_>) -> Answer {
    let domain = call.domain(&lock(&call.node.state))?.id;
    let key = call.args.filled("key");
    let numbered = |name: &str, code: &str| {
        call.args
            .truth(name)
            .map(|_| call.args.whole(name))
            .ok_or_else(|| refuse(code))
    };
    let fid = numbered("fid", "no_fid")?;
    let device = numbered("devid", "no_devid")?;
    let path = call.args.truth("path").ok_or_else(|| refuse("no_path"))?;
    let checksum = match call.args.truth("checksum") {
        None => None,
        Some(text) => {
            let checksum = Checksum::parse(text);
            Some(checksum.ok_or_else(|| refuse("invalid_checksum_format"))?)
        }
    };
    let device = DeviceId::try_from(device)
        .ok()
        .and_then(|id| call.node.device(id));
    let device = device.filter(|device| device.url(fid).as_bytes() == path);
    let device = device.ok_or_else(|| refuse("bogus_args"))?;
    // From here on the upload can be closed once only, whatever comes of it.
    let temp = take(&mut lock(&call.node.state), fid).ok_or_else(|| refuse("no_temp_file"))?;
    let reject = |refusal: Refusal| {
        call.node.doom(fid, vec![device.id]);
        refusal
    };
    if !temp.devices.contains(&device.id) {
        let valid: Vec<String> = temp.devices.iter().map(DeviceId::to_string).collect();
        let (bad, valid) = (device.id, valid.join(","));
        let text = format!("File uploaded to invalid dest {bad}. Valid devices were: {valid}");
        return Err(reject(Refusal::new("invalid_destdev", text)));
    }
    let Some(key) = key else {
        call.node.doom(fid, vec![device.id]);
        return Ok(Vec::new());
    };
    let length = match verify(call, &device, fid, checksum.as_ref()) {
        Ok(length) => length,
        Err(Verdict::Reject(refusal)) => return Err(reject(refusal)),
        // The worker was shot and the request run again: the row is gone, the file forgotten.
        Err(Verdict::Shot) => return Err(refuse("no_temp_file")),
    };
    let upload = Upload {
        fid,
        domain,
        device: device.id,
        length,
        key,
        checksum,
        temp: &temp,
    };
    commit(call, upload)
}

fn take(state: &mut State, fid: Fid) -> Option<Temp> {
    let temp = state.temps.get(&fid).cloned()?;
    state.record(Event::NoTemp(fid));
    Some(temp)
}

/// Forgets the upload that a create_close names, and its file too.
pub(super) fn lose(call: &Call<'_>) {
    take(&mut lock(&call.node.state), call.args.whole("fid"));
}

enum Verdict {
    Reject(Refusal),
    Shot,
}

/// Looks at the file on its node. The length that it has there counts.
fn verify(
    call: &Call<'_>,
    device: &Device,
    fid: Fid,
    checksum: Option<&Checksum>,
) -> Result<u64, Verdict> {
    let url = device.url(fid);
    let said = call
        .args
        .truth("size")
        .map_or("-1".into(), String::from_utf8_lossy);
    let missing = |what: &str| {
        let error = &call.worker.last_error;
        let text = format!("Expected: {said}; actual: 0 ({what}); path: {url}; error: {error}");
        Verdict::Reject(Refusal::new("size_verify_error", text))
    };
    let length = match probe::size(call.node, device, fid) {
        Size::Known(length) => length,
        Size::Missing => return Err(missing("missing")),
        Size::Unreachable => return Err(missing("cantreach")),
        Size::Hung => return Err(Verdict::Shot),
    };
    // No size, 0 and anything below mean that the length is not checked.
    let wanted = call.args.number("size");
    if call.args.truth("size").is_some() && wanted > -1.0 && whole(wanted) != length {
        let text = format!("Expected: {said}; actual: {length}; path: {url}");
        return Err(Verdict::Reject(Refusal::new("size_mismatch", text)));
    }
    let Some(checksum) = checksum.filter(|_| call.args.truth("checksumverify").is_some()) else {
        return Ok(length);
    };
    match probe::digest(device, fid, checksum.algorithm) {
        Ok(actual) if actual != *checksum => {
            let (name, hex) = (checksum.algorithm.name(), &checksum.hex);
            let text =
                format!("Expected: Checksum[f={fid};{name}={hex}]; actual: {actual}; path: {url}");
            Err(Verdict::Reject(Refusal::new("checksum_mismatch", text)))
        }
        _ => Ok(length),
    }
}

struct Upload<'a> {
    fid: Fid,
    domain: DomainId,
    device: DeviceId,
    length: u64,
    key: &'a [u8],
    checksum: Option<Checksum>,
    temp: &'a Temp,
}

fn commit(call: &mut Call<'_>, upload: Upload<'_>) -> Answer {
    let mut state = lock(&call.node.state);
    let old = state.lookup(upload.domain, upload.key);
    if let Some(old) = old {
        if old.fid == upload.fid {
            return Err(refuse("fid_exists"));
        }
        state.record(Event::NoFile(old.fid));
        call.node.doom(old.fid, old.copies);
    }
    if state.flavour.mysql && !fits_column(upload.key) {
        drop(state);
        return Err(call.die("create_close", "the key does not fit its column"));
    }
    // A checksum is kept only where the class, looked up in the closing domain, asks for its kind.
    let class = state
        .domains
        .get(&upload.domain)
        .and_then(|d| d.class_with(upload.temp.class));
    let kind = class.map(|class| class.hashtype).unwrap_or_default();
    let checksum = upload
        .checksum
        .filter(|checksum| checksum.algorithm.name() == kind);
    state.record(Event::File(File {
        fid: upload.fid,
        domain: upload.domain,
        class: upload.temp.class,
        length: upload.length,
        copies: vec![upload.device],
        checksum,
        key: upload.key.to_vec(),
    }));
    drop(state);
    call.node.replicate(upload.fid);
    Ok(Vec::new())
}
