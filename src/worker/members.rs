//! From an account to its store: the one place where they meet.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use crate::auth::{self, Account, Auth, Module};
use crate::birthright::Birthright;
use crate::config;
use crate::ftp::Refusal;
use crate::leash::News;
use crate::mogilefs::Client;
use crate::store::file::Tree;
use crate::store::mogile::layout::{Classes, Domains, Flat, Layout};
use crate::store::mogile::{MogileFs, Room, Shared};
use crate::store::{Error, Store};

/// What is needed to open the store of any member.
pub(super) struct Members {
    auth: Box<dyn Auth>,
    mogilefs: config::Mogilefs,
    file: config::File,
    tmpdir: PathBuf,
    trackers: RefCell<Vec<SocketAddr>>,
    lore: Shared,
    /// Where there is a limit to it.
    room: Option<Rc<dyn Room>>,
    /// Of the last session, whose trackers may change while it lasts.
    client: RefCell<Option<Client>>,
}

impl Members {
    pub(super) fn new(
        &Birthright {
            config, addresses, ..
        }: &Birthright<'_>,
        lore: Shared,
        room: Rc<dyn Room>,
    ) -> Self {
        Self {
            auth: auth::named(config.auth.module),
            mogilefs: config.mogilefs.clone(),
            file: config.file.clone(),
            tmpdir: config.nanoftpd.tmpdir.clone(),
            trackers: RefCell::new(addresses.trackers()),
            lore,
            room: (config.mogilefs.spool_max > 0).then_some(room),
            client: RefCell::new(None),
        }
    }

    /// Who finds out who may come in.
    pub(super) fn auth(&self) -> &dyn Auth {
        &*self.auth
    }

    /// The trackers are elsewhere now.
    pub(super) fn set_trackers(&self, trackers: Vec<SocketAddr>) {
        if let Some(client) = &*self.client.borrow() {
            client.set_trackers(trackers.clone());
        }
        self.trackers.replace(trackers);
    }

    /// Another session has learned something.
    pub(super) fn learn(&self, news: &News) {
        self.lore.learn(news);
    }

    /// The session is over: nothing of it stays open.
    pub(super) fn forget(&self) {
        self.client.replace(None);
    }

    /// The store of `account`.
    pub(super) fn open(&self, account: &Account) -> Result<Box<dyn Store>, Refusal> {
        let layout: Box<dyn Layout> = match account.module {
            Module::File => {
                let tree = Tree::open(&self.file, &account.name).map_err(refusal)?;
                return Ok(Box::new(tree));
            }
            Module::MogileFs => Box::new(Classes::new(self.domain()?)),
            Module::FlatNs => Box::new(Flat::new(
                self.domain()?,
                self.mogilefs.defaultclass.as_str(),
            )),
            Module::DomainNs => Box::new(Domains),
            Module::UserDomain => Box::new(Classes::new(account.name.as_slice())),
        };
        let client = Client::new(&self.mogilefs, self.trackers.borrow().clone());
        self.client.replace(Some(client.clone()));
        let (settings, tmpdir) = (self.mogilefs.clone(), self.tmpdir.clone());
        let store = MogileFs::new(client, layout, settings, tmpdir)
            .sharing(self.lore.clone())
            .within(self.room.clone());
        // Better no login than one after which nothing works.
        store.check().map_err(refusal)?;
        Ok(Box::new(store))
    }

    fn domain(&self) -> Result<&str, Refusal> {
        let domain = self.mogilefs.domain.as_deref();
        domain.ok_or_else(|| Refusal::Unavailable("[mogilefs] domain is empty".to_owned()))
    }
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::Interrupted => Refusal::Interrupted,
        error => Refusal::Unavailable(error.to_string()),
    }
}
