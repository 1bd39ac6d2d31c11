//! nanoftpd
