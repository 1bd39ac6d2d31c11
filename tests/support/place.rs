//! The five store modules, each with a place to put files and a way to look at them that is not ours.

use std::fs;
use std::path::PathBuf;

use super::{Cluster, Daemon, Ftp};

/// A module, with a directory of it in which files can be put.
pub(crate) struct Place<'c> {
    pub(crate) module: &'static str,
    pub(crate) user: String,
    /// Where files go, without a slash at the end; empty: the root.
    pub(crate) dir: String,
    /// What stands before a name in its key.
    pub(crate) prefix: &'static str,
    pub(crate) store: Truth<'c>,
}

pub(crate) enum Truth<'c> {
    Cluster(&'c Cluster),
    Files(PathBuf),
}

impl Place<'_> {
    pub(crate) fn log_in(&self, daemon: &Daemon) -> Ftp {
        let mut ftp = Ftp::connect(daemon.address);
        ftp.log_in(&self.user, "test");
        ftp
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// What is stored under `name`, asked of the store itself.
    pub(crate) fn holds(&self, name: &str) -> Option<Vec<u8>> {
        match &self.store {
            Truth::Cluster(cluster) => cluster.content(&format!("{}{name}", self.prefix)),
            Truth::Files(dir) => fs::read(dir.join(name)).ok(),
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        match &self.store {
            Truth::Cluster(cluster) => {
                let keys = cluster.keys();
                keys.iter()
                    .filter_map(|key| key.strip_prefix(self.prefix))
                    .map(str::to_owned)
                    .collect()
            }
            Truth::Files(dir) => {
                let names = fs::read_dir(dir).unwrap();
                let mut names: Vec<String> = names
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect();
                names.sort();
                names
            }
        }
    }

    pub(crate) fn is_mogile(&self) -> bool {
        matches!(self.store, Truth::Cluster(_))
    }
}

/// Runs `scenario` on each of the five modules, each with a cluster and a daemon of its own.
pub(crate) fn on_each_module(scenario: impl Fn(&Place<'_>, &Daemon)) {
    for module in [
        "MogileFs",
        "MogileFs_UserDomain",
        "MogileFs_DomainNS",
        "MogileFs_FlatNS",
        "File",
    ] {
        let cluster = Cluster::start();
        let own = format!("{}:MogileFs_UserDomain", cluster.domain);
        let daemon = Daemon::with_users(
            &cluster,
            &[
                "test:MogileFs",
                "ftp:MogileFs_FlatNS",
                "root:MogileFs_DomainNS",
                "file:File",
                &own,
            ],
            &[("mogilefs.defaultclass", "photos")],
        );
        let (user, dir, prefix) = match module {
            "MogileFs" => ("test", "/photos".to_owned(), "photos/"),
            "MogileFs_UserDomain" => (&*cluster.domain, "/photos".to_owned(), "photos/"),
            "MogileFs_DomainNS" => ("root", format!("/{}/photos", cluster.domain), "photos/"),
            "MogileFs_FlatNS" => ("ftp", String::new(), ""),
            _ => ("file", String::new(), ""),
        };
        let store = match module {
            "File" => Truth::Files(daemon.dir().join("files")),
            _ => Truth::Cluster(&cluster),
        };
        let place = Place {
            module,
            user: user.to_owned(),
            dir,
            prefix,
            store,
        };
        super::say(&format!("module {module}"));
        scenario(&place, &daemon);
    }
}
