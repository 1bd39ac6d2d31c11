//! `nanoftpd`, a pre-fork FTP daemon for MogileFS. This file is the map: rooms in floor order.
//!
//! A room uses only rooms on lower floors, never its own or a higher one (floor 0 excepted, whose
//! rooms may use each other); `tests/floor_plan.rs` checks it.

// In a static binary the crate would not find the function by its name, and keep a file open instead,
// which no child is left.
#[cfg(all(
    target_feature = "crt-static",
    target_env = "gnu",
    not(getrandom_backend = "linux_getrandom")
))]
compile_error!("a static binary wants --cfg getrandom_backend=\"linux_getrandom\" in RUSTFLAGS");

// Others have no filters of system calls that we could write, and sizes of files that we would have to cut.
#[cfg(not(target_pointer_width = "64"))]
compile_error!("nanoftpd runs on 64-bit machines (x86_64, aarch64, riscv64)");

// Floor 0: vocabulary.
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod config;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod draw;
#[doc(hidden)]
pub mod figures;
#[doc(hidden)]
pub mod path;
#[doc(hidden)]
pub mod pipe;
#[doc(hidden)]
pub mod regular;
#[doc(hidden)]
pub mod text;
#[doc(hidden)]
pub mod vigil;

// Floor 1: trackers and nodes, messages between processes, the log, the kernel in our words.
#[doc(hidden)]
pub mod leash;
#[doc(hidden)]
pub mod logger;
#[doc(hidden)]
pub mod mogilefs;
#[doc(hidden)]
pub mod proxy;
#[doc(hidden)]
pub mod sys;
#[doc(hidden)]
pub mod tls;

// Floor 2: where files are, who may come in, the state of the whole.
#[doc(hidden)]
pub mod auth;
#[doc(hidden)]
pub mod board;
#[doc(hidden)]
pub mod store;

// Floor 3: the protocol, what workers are born with, and tools that the daemon never runs.
#[doc(hidden)]
pub mod birthright;
#[doc(hidden)]
pub mod check;
#[doc(hidden)]
pub mod control;
#[doc(hidden)]
pub mod ftp;
#[doc(hidden)]
pub mod import;
#[doc(hidden)]
pub mod passwd;

// Floor 4: the kinds of process.
#[doc(hidden)]
pub mod clerk;
#[doc(hidden)]
pub mod master;
#[doc(hidden)]
pub mod worker;

// Floor 5: what must hold of any input, for the fuzzer and the tests only.
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod trials;
