//! The defects of the PHP daemon, by the numbers under which they were recorded: of each one that
//! cost data, an answer or a session, what happens now. Those that belong to listings, to uploads
//! whose storage fails and to TLS are tried where those are.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod bytes;
mod sessions;
