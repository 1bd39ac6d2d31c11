//! leash
