//! One trial under libFuzzer; `TRIAL` in the environment says which. What it tries is in src/trials.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use nanoftpd::trials;

static TRIAL: OnceLock<fn(&[u8])> = OnceLock::new();

/// The trial that was asked for.
fn chosen() -> fn(&[u8]) {
    let name = std::env::var("TRIAL").unwrap_or_default();
    trials::named(&name).unwrap_or_else(|| {
        let names: Vec<&str> = trials::TRIALS.iter().map(|(name, _)| *name).collect();
        panic!("TRIAL is one of {}", names.join(", "))
    })
}

fuzz_target!(|data: &[u8]| {
    TRIAL.get_or_init(chosen)(data);
});
