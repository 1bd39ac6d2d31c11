//! `[mogilefs]`: trackers, storage nodes, and how files and directories are made of keys.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::{Host, Network};

/// `[mogilefs]`
#[derive(Clone, Debug, PartialEq)]
pub struct Mogilefs {
    pub tracker: Vec<Host>,
    /// Used for trackers that are written without a port.
    pub port: u16,
    /// The default domain.
    pub domain: Option<String>,
    /// Connect time-out, trackers and storage nodes.
    pub timeout: Duration,
    /// How long a tracker may take over a plain request.
    pub request_timeout: Duration,
    /// How long a tracker may take to make or delete a class or a domain.
    pub admin_timeout: Duration,
    /// How long a tracker may take over create_open.
    pub open_timeout: Duration,
    /// How long create_open may take before another tracker is asked too.
    pub hedge_timeout: Duration,
    /// How soon a tracker or storage node that did not answer is tried again, at first.
    pub probe_interval: Duration,
    /// How long a tracker may take over create_close.
    pub close_timeout: Duration,
    /// How long a storage node may take to begin its answer, or to send more of a body.
    pub read_timeout: Duration,
    /// How long a storage node may take to accept more of a body.
    pub write_timeout: Duration,
    /// How long a storage node may take to answer a PUT whose body it has (plus a second for every
    /// 10 MiB).
    pub store_timeout: Duration,
    /// Networks of storage nodes that may be contacted; empty: whatever the trackers name.
    pub storage: Vec<Network>,
    /// Which addresses of storage nodes trackers are to name; `None`: those that they think best.
    pub zone: Option<Zone>,
    pub defaultclass: String,
    /// Most entries of a listing; 0: no limit.
    pub listlimit: usize,
    pub listlimit_error: bool,
    pub extendedlist: Extended,
    pub searchlist: bool,
    pub canrename: bool,
    pub canmkdir: bool,
    pub canrmdir: bool,
    pub mindevcount: u32,
    pub upload: Upload,
    /// Bytes of an upload that are kept in memory.
    pub spool_mem: u64,
    /// Bytes that all uploads together may have in `tmpdir`; 0: no limit.
    pub spool_max: u64,
    /// The largest file that is stored anew because something is added to it.
    pub append_max: u64,
    /// How long a client may pause before its upload waits in the spool.
    pub pause_timeout: Duration,
    /// How old an upload may get before it is closed.
    pub temp_timeout: Duration,
    pub content_md5: ContentMd5,
    pub overwrite: Overwrite,
    /// Copies that are waited for before an upload is confirmed.
    pub wait_for_replicas: u32,
    pub replica_timeout: Duration,
    pub legacy_names: bool,
    pub dirmarkers: bool,
    pub listtimes: ListTimes,
    pub collation: Collation,
}

/// `zone`: which of the two addresses that a host may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The other one, which trackers call altip.
    Alt,
}

/// `extendedlist`: whether sizes are looked up for listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    Yes,
    No,
    Auto,
}

/// `listtimes`: whether storage nodes are asked for the times of listed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListTimes {
    /// For so many as do not take long.
    Auto,
    /// For every one.
    Head,
    Off,
}

/// `collation`: how the trackers' database sorts keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// That is found out.
    Auto,
    Binary,
    /// Without case.
    Ci,
    Linguistic,
}

/// `content_md5`: for which uploads a storage node is asked to verify the MD5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentMd5 {
    Never,
    /// Files up to `spool_mem`.
    Small,
    Always,
}

/// `upload`: when an upload begins to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// When it is whole.
    Spool,
    /// While it is received.
    Tee,
}

/// `overwrite`: what happens to a file whose name is stored anew, or given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// The new one takes its place.
    Direct,
    /// It stays.
    Deny,
    /// The new one takes its place, but only after it is stored as a whole under another name.
    Swap,
}
