//! The MogileFS store.
