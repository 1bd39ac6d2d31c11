//! The test node under test: the recorded dialogues, every fault, restarts, made-up keys, devices
//! of other processes. All of it drives the built binary.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod client;
mod conformance;
mod device_faults;
mod http;
mod pattern;
mod process;
mod restart;
mod script;
mod tracker;
mod tracker_faults;
