//! The MogileFS store without daemon and FTP, with the defaults or with little patience.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use nanoftpd::config::{Config, Mogilefs};
use nanoftpd::mogilefs::Client;
use nanoftpd::path::Path;
use nanoftpd::store::mogile::MogileFs;
use nanoftpd::store::mogile::layout::{Classes, Layout};
use nanoftpd::store::{Body, Error, Plan, Store};

use super::{Cluster, eventually};

/// Where a file of this size no longer fits into memory.
pub(crate) const SPOOL_MEM: u64 = 100_000;

pub(crate) fn settings() -> Mogilefs {
    let mut settings = Config::default().mogilefs;
    settings.spool_mem = SPOOL_MEM;
    settings
}

/// Shrunk patience, for tests that make something fail.
pub(crate) fn impatient() -> Mogilefs {
    let mut settings = settings();
    for limit in [
        &mut settings.timeout,
        &mut settings.request_timeout,
        &mut settings.admin_timeout,
        &mut settings.open_timeout,
        &mut settings.close_timeout,
        &mut settings.read_timeout,
        &mut settings.write_timeout,
        &mut settings.store_timeout,
    ] {
        *limit = Duration::from_millis(400);
    }
    settings.hedge_timeout = Duration::from_millis(200);
    settings
}

pub(crate) fn store_at(
    trackers: Vec<SocketAddr>,
    layout: Box<dyn Layout>,
    settings: Mogilefs,
) -> MogileFs {
    let client = Client::new(&settings, trackers);
    MogileFs::new(client, layout, settings, std::env::temp_dir())
}

pub(crate) fn classes(cluster: &Cluster, settings: Mogilefs) -> MogileFs {
    let layout = Box::new(Classes::new(cluster.domain.clone()));
    store_at(vec![cluster.address], layout, settings)
}

pub(crate) fn at(path: impl AsRef<[u8]>) -> Path {
    Path::root().resolve(path.as_ref())
}

pub(crate) fn put(store: &mut MogileFs, path: &str, content: &[u8]) -> Result<u64, Error> {
    let path = at(path);
    store.may_put(&path, &Plan::default())?;
    let receipt = store.put(&path, &mut &content[..], &Plan::default())?;
    assert_eq!(receipt.bytes, content.len() as u64);
    Ok(receipt.fid.unwrap())
}

pub(crate) fn get(store: &mut MogileFs, path: &str, offset: u64) -> Result<Vec<u8>, Error> {
    let Body::Stream(mut stream, len) = store.open(&at(path), offset)? else {
        panic!("a file of the kernel");
    };
    let mut content = Vec::new();
    stream
        .read_to_end(&mut content)
        .map_err(|error| Error::Broken(error.to_string()))?;
    assert_eq!(content.len() as u64, len);
    Ok(content)
}

/// A file with copies on two devices.
pub(crate) fn put_twice(cluster: &Cluster, store: &mut MogileFs, content: &[u8]) {
    let class = [("class", &b"twice"[..]), ("mindevcount", b"2")];
    cluster.call("create_class", &class).unwrap();
    put(store, "/twice/a", content).unwrap();
    eventually("the file is copied", || {
        let paths = cluster.call("get_paths", &[("key", b"twice/a")]).unwrap();
        (paths["paths"] == b"2").then_some(())
    });
}
