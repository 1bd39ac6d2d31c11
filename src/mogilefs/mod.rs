//! mogilefs
