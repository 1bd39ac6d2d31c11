//! HUP: another configuration, all of it or nothing.

use std::time::Instant;

use super::{Ground, Master};
use crate::auth::text::Users;
use crate::config::{Config, Error};
use crate::logger;
use crate::store::mogile::Lore;
use crate::sys::supervisor::{self, Condition};
use crate::text::quoted_error;

impl Master<'_> {
    /// Takes what the file says now, if nothing is wrong with it. Running sessions are left alone;
    /// they keep what they were born with.
    pub(super) fn reload(&mut self) -> Result<(), Vec<Error>> {
        supervisor::tell(Condition::Reloading);
        let read = self.read_again();
        supervisor::tell(Condition::Ready);
        match &read {
            Ok(()) => log::info!("reloaded"),
            Err(errors) => {
                for error in errors {
                    log::error!("config-error text={}", quoted_error(error));
                }
                log::error!("reload-failed errors={} kept=old", errors.len());
            }
        }
        read
    }

    fn read_again(&mut self) -> Result<(), Vec<Error>> {
        let config = Config::load(&self.path)?;
        let ground = Ground::prepare(&config, &self.path)?;
        let path = self.path.clone();
        let wrong = |key, why: String| vec![Error::of_key(&path, key, why)];
        let mut sinks = super::open_logs(&config.logging, self.is_foreground, &self.gutter)
            .map_err(|error| wrong(("logging", "file"), error.to_string()))?;
        let desk = self
            .other_desk(&config.status, &ground)
            .map_err(|error| wrong(("status", "socket"), error.to_string()))?;
        let pidfile = self
            .pidfile
            .elsewhere(&config.nanoftpd.pidfile)
            .map_err(|error| wrong(("nanoftpd", "pidfile"), error.to_string()))?;
        self.leave_the_door();
        self.listeners.rebind(&config).map_err(|(address, error)| {
            let why = format!("{address}: {error}");
            wrong(("nanoftpd", "listen_addr"), why)
        })?;

        if let Err(error) = self.relay.divert(&mut sinks) {
            log::error!("logs-not-reopened why={}", quoted_error(&error));
        }
        logger::install(sinks);
        self.users = Users::new(config.auth.text.clone(), config.auth.crypt);
        if self.config.mogilefs.tracker != config.mogilefs.tracker {
            self.lore = Lore::default();
        }
        self.addresses = self.addresses.renewed(&config.mogilefs, &config.passive);
        self.ground = ground;
        self.move_desk(desk);
        if let Some(pidfile) = pidfile {
            self.pidfile = pidfile;
        }
        let old = std::mem::replace(&mut self.config, config);
        self.introduce();
        self.renew_clerks(&old);
        // At once: what workers have told by now is for the new ones.
        self.maintain_clerks(Instant::now());
        self.renew_nursery(Instant::now());
        for pid in self.pids() {
            self.retire(pid);
        }
        self.hand_out_logs();
        Ok(())
    }
}
