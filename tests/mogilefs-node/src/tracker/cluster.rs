//! Devices, hosts and server settings.

use std::time::UNIX_EPOCH;

use super::Call;
use crate::codec::{Answer, Fields, Refusal, count, field, refuse};
use crate::door::lock;
use crate::store::Event;

/// Settings that may be written, and what they take.
const SETTINGS: &[(&str, Takes)] = &[
    ("case_sensitive_list_keys", Takes::Truth),
    ("enable_rebalance", Takes::Truth),
    ("internal_queue_limit", Takes::Number),
    ("memcache_servers", Takes::Text),
    ("memcache_ttl", Takes::Number),
    ("skip_devcount", Takes::Truth),
    ("slave_keys", Takes::Text),
];

#[derive(Clone, Copy)]
enum Takes {
    Truth,
    Number,
    Text,
}

pub(super) fn devices(call: &mut Call<'_>) -> Answer {
    let only = call.args.truth("devid").map(|_| call.args.whole("devid"));
    let mut devices = lock(&call.node.devices).clone();
    devices.retain(|device| only.is_none_or(|only| only == u64::from(device.id)));
    let mut fields = vec![count("devices", devices.len())];
    for (n, device) in (1..).zip(devices) {
        let name = |what: &str| format!("dev{n}_{what}");
        fields.push(count(&name("devid"), device.id));
        fields.push(count(&name("hostid"), device.id));
        fields.push(field(&name("status"), device.status));
        fields.push(field(&name("observed_state"), device.observed));
        fields.push(count(&name("weight"), 100));
        fields.push(count(&name("mb_total"), device.total_mb));
        fields.push(count(&name("mb_free"), device.free_mb));
        fields.push(count(
            &name("mb_used"),
            device.total_mb.saturating_sub(device.free_mb),
        ));
        fields.push(field(&name("mb_asof"), ""));
        fields.push(field(&name("utilization"), "0.00"));
        fields.push(count(&name("reject_bad_md5"), 1));
    }
    Ok(fields)
}

/// Every device is a host of its own.
pub(super) fn hosts(call: &mut Call<'_>) -> Answer {
    let only = call.args.truth("hostid").map(|_| call.args.whole("hostid"));
    let mut devices = lock(&call.node.devices).clone();
    devices.retain(|device| only.is_none_or(|only| only == u64::from(device.id)));
    let mut fields = vec![count("hosts", devices.len())];
    for (n, device) in (1..).zip(devices) {
        let name = |what: &str| format!("host{n}_{what}");
        fields.push(count(&name("hostid"), device.id));
        fields.push(field(&name("hostname"), format!("node{}", device.id)));
        fields.push(count(&name("hostip"), device.addr.ip()));
        fields.push(count(&name("http_port"), device.addr.port()));
        fields.push(field(&name("status"), "alive"));
        for empty in ["http_get_port", "altip", "altmask"] {
            fields.push(field(&name(empty), ""));
        }
    }
    Ok(fields)
}

pub(super) fn set_state(call: &mut Call<'_>) -> Answer {
    let bad = || refuse("bad_params");
    let state = String::from_utf8_lossy(call.args.filled("state").ok_or_else(bad)?).into_owned();
    if !["alive", "down", "dead", "drain", "readonly"].contains(&state.as_str()) {
        return Err(bad());
    }
    let wanted = call.args.whole("device");
    let mut devices = lock(&call.node.devices);
    let device = devices
        .iter_mut()
        .find(|device| u64::from(device.id) == wanted);
    let device = device.ok_or_else(|| refuse("no_device"))?;
    if device.status == "dead" && state == "alive" {
        return Err(refuse("state_too_high"));
    }
    device.status = state;
    Ok(Vec::new())
}

pub(super) fn setting(call: &mut Call<'_>) -> Answer {
    let key = call
        .args
        .filled("key")
        .ok_or_else(|| refuse("bad_params"))?;
    let state = lock(&call.node.state);
    let value = state.settings.get(key).cloned().unwrap_or_default();
    Ok(vec![field("key", key), field("value", value)])
}

pub(super) fn settings(call: &mut Call<'_>) -> Answer {
    let settings = lock(&call.node.state).settings.clone();
    let mut fields = vec![count("key_count", settings.len())];
    for (n, (key, value)) in (1..).zip(settings) {
        fields.push(field(&format!("key_{n}"), key));
        fields.push(field(&format!("value_{n}"), value));
    }
    Ok(fields)
}

pub(super) fn set_setting(call: &mut Call<'_>) -> Answer {
    let key = call
        .args
        .filled("key")
        .ok_or_else(|| refuse("bad_params"))?;
    let value = call.args.get("value").unwrap_or_default();
    let known = SETTINGS.iter().find(|(name, _)| name.as_bytes() == key);
    let (_, takes) = known.ok_or_else(|| refuse("not_writable"))?;
    let invalid = |why: &str| {
        Refusal::new(
            "invalid_format",
            format!("{why} at lib/MogileFS/Config.pm line 350.\n"),
        )
    };
    match takes {
        Takes::Truth if !matches!(value, b"0" | b"1" | b"") => {
            return Err(invalid("Must be 0 or 1"));
        }
        Takes::Number if !value.iter().all(u8::is_ascii_digit) => {
            return Err(invalid("Must be numeric"));
        }
        _ => {}
    }
    lock(&call.node.state).record(Event::Setting(key.to_vec(), value.to_vec()));
    Ok(Vec::new())
}

pub(super) fn replicate_now(call: &mut Call<'_>) -> Answer {
    let waiting = lock(&call.node.queues).replicate.len();
    call.node.work.notify_all();
    Ok(vec![count("count", waiting)])
}

/// No fsck ever ran here.
pub(super) fn fsck_status() -> Fields {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let zeros = [
        "end_fid",
        "stop_time",
        "policy_only",
        "running",
        "start_time",
        "max_fid_checked",
    ];
    let mut fields: Fields = zeros.iter().map(|name| count(name, 0)).collect();
    fields.extend([
        count("max_logid", 0),
        count("current_time", now),
        field("host", ""),
    ]);
    fields
}
