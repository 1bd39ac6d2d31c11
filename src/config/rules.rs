//! What values must be to each other, and what is allowed but odd.
#![forbid(unsafe_code)]

use super::{AuthModule, Config, LogMode, TlsMode};

/// Section and name of a key.
pub(super) type Name = (&'static str, &'static str);

/// The rules that `config` breaks: the keys that take part, and what is wrong.
pub(super) fn broken(config: &Config) -> Vec<(&'static [Name], String)> {
    let all = [
        ports(config),
        spare(config),
        most(config),
        root(config),
        program(config),
        certificate(config),
        two_ports(config),
    ];
    all.into_iter().flatten().collect()
}

type Broken = Option<(&'static [Name], String)>;

fn ports(config: &Config) -> Broken {
    let (low, high) = (config.nanoftpd.low_port, config.nanoftpd.high_port);
    (low > high).then(|| {
        let keys: &[Name] = &[("nanoftpd", "low_port"), ("nanoftpd", "high_port")];
        (
            keys,
            format!("low_port = {low} is above high_port = {high}"),
        )
    })
}

fn spare(config: &Config) -> Broken {
    let (least, most) = (config.pool.min_spare, config.pool.max_spare);
    (least > most).then(|| {
        let keys: &[Name] = &[("pool", "min_spare"), ("pool", "max_spare")];
        (
            keys,
            format!("min_spare = {least} is above max_spare = {most}"),
        )
    })
}

fn most(config: &Config) -> Broken {
    let (spare, clients) = (config.pool.max_spare, config.pool.max_clients);
    (spare > clients).then(|| {
        let keys: &[Name] = &[("pool", "max_spare"), ("pool", "max_clients")];
        (
            keys,
            format!("max_spare = {spare} is above max_clients = {clients}"),
        )
    })
}

fn root(config: &Config) -> Broken {
    let root = |account: &str| matches!(account, "root" | "0");
    (root(&config.nanoftpd.userid) && !config.nanoftpd.allow_root).then(|| {
        let keys: &[Name] = &[("nanoftpd", "userid"), ("nanoftpd", "allow_root")];
        (
            keys,
            "sessions run as root only with allow_root = yes".to_owned(),
        )
    })
}

fn program(config: &Config) -> Broken {
    (config.auth.module == AuthModule::Exec && config.auth.exec.command.is_none()).then(|| {
        let keys: &[Name] = &[("auth", "module"), ("auth.exec", "command")];
        (
            keys,
            "module = Exec needs a program: [auth.exec] command".to_owned(),
        )
    })
}

fn certificate(config: &Config) -> Broken {
    let tls = &config.tls;
    let has_both = tls.certificate.is_some() && tls.key.is_some();
    let is_on = tls.mode != TlsMode::Off || tls.implicit_port != 0;
    (is_on && !has_both).then(|| {
        let keys: &[Name] = &[("tls", "mode"), ("tls", "certificate"), ("tls", "key")];
        (keys, "TLS needs certificate and key".to_owned())
    })
}

fn two_ports(config: &Config) -> Broken {
    let (clear, implicit) = (config.nanoftpd.listen_port, config.tls.implicit_port);
    (implicit != 0 && clear == implicit).then(|| {
        let keys: &[Name] = &[("nanoftpd", "listen_port"), ("tls", "implicit_port")];
        (keys, "implicit_port is listen_port".to_owned())
    })
}

impl Config {
    /// What is allowed, but will surprise somebody: a line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let own = &self.nanoftpd;
        let ports = usize::from(own.high_port.saturating_sub(own.low_port)) + 1;
        if ports < self.pool.max_clients {
            found.push(format!(
                "low_port to high_port are {ports} ports, fewer than max_clients = {}: passive \
                 transfers will be refused when all are taken",
                self.pool.max_clients
            ));
        }
        if (own.low_port..=own.high_port).contains(&own.listen_port) {
            found.push(format!(
                "listen_port {} lies between low_port and high_port",
                own.listen_port
            ));
        }
        if own.daemonize && self.logging.mode == LogMode::Console {
            found.push("logging.mode = 2 logs nowhere while daemonize = yes".to_owned());
        }
        if own.login_time > own.idle_time {
            found.push("login_time is longer than idle_time, which ends the wait".to_owned());
        }
        if own.allow_root && matches!(own.userid.as_str(), "root" | "0") {
            found.push("sessions run as root".to_owned());
        }
        found
    }
}
