//! What values must be to each other, and what is allowed but odd.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};

use super::{AuthModule, Config, LogMode, Network, TlsMode};

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
        addresses(config),
        authority(config),
        files(config),
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
        let keys: &[Name] = match tls.mode {
            TlsMode::Off => &[
                ("tls", "implicit_port"),
                ("tls", "certificate"),
                ("tls", "key"),
            ],
            _ => &[("tls", "mode"), ("tls", "certificate"), ("tls", "key")],
        };
        (keys, "TLS needs certificate and key".to_owned())
    })
}

fn authority(config: &Config) -> Broken {
    (config.tls.client_login && config.tls.client_ca.is_none()).then(|| {
        let keys: &[Name] = &[("tls", "client_login"), ("tls", "client_ca")];
        let why = "client_login = yes needs authorities: client_ca";
        (keys, why.to_owned())
    })
}

fn two_ports(config: &Config) -> Broken {
    let (clear, implicit) = (config.nanoftpd.listen_port, config.tls.implicit_port);
    (implicit != 0 && clear == implicit).then(|| {
        let keys: &[Name] = &[("nanoftpd", "listen_port"), ("tls", "implicit_port")];
        (keys, "implicit_port is listen_port".to_owned())
    })
}

/// One port of one address can be had once only.
fn addresses(config: &Config) -> Broken {
    let listens = &config.nanoftpd.listen_addr;
    let holds = |one: &IpAddr, other: &IpAddr| {
        one == other || one.is_unspecified() && one.is_ipv4() == other.is_ipv4()
    };
    let mut pairs = listens.iter().enumerate().flat_map(|(at, one)| {
        let later = listens.iter().skip(at + 1);
        later.map(move |other| (one, other))
    });
    let why = pairs.find_map(
        |(one, other)| match (holds(one, other), holds(other, one)) {
            (true, true) => Some(format!("{one} is there twice")),
            (true, false) => Some(format!("{one} is all addresses, {other} too")),
            (false, true) => Some(format!("{other} is all addresses, {one} too")),
            (false, false) => None,
        },
    )?;
    let keys: &[Name] = &[("nanoftpd", "listen_addr"), ("nanoftpd", "listen_port")];
    // Of the ports that are free each gets another.
    let is_free = config.nanoftpd.listen_port == 0 && config.tls.implicit_port == 0;
    (!is_free).then_some((keys, why))
}

/// Each has a form of its own, and some are written over; only the two logs can share one.
fn files(config: &Config) -> Broken {
    const PID: Name = ("nanoftpd", "pidfile");
    const USERS: Name = ("auth.text", "file");
    const LOG: Name = ("logging", "file");
    const TRANSFERS: Name = ("logging", "xferlog");
    const SOCKET: Name = ("status", "socket");
    const APART: [[Name; 2]; 9] = [
        [PID, USERS],
        [LOG, PID],
        [LOG, USERS],
        [TRANSFERS, PID],
        [TRANSFERS, USERS],
        [SOCKET, PID],
        [SOCKET, USERS],
        [SOCKET, LOG],
        [SOCKET, TRANSFERS],
    ];
    let has_log = matches!(config.logging.mode, LogMode::File | LogMode::Both);
    let place = |key: Name| match key {
        PID => Some(config.nanoftpd.pidfile.as_path()),
        USERS => Some(config.auth.text.file.as_path()),
        LOG => has_log.then_some(config.logging.file.as_path()),
        TRANSFERS => config.logging.xferlog.as_deref(),
        _ => Some(config.status.socket.as_path()),
    };
    let is_one = |pair: &&[Name; 2]| place(pair[0]).is_some() && place(pair[0]) == place(pair[1]);
    let pair = APART.iter().find(is_one)?;
    let [one, other] = pair.map(|(section, key)| format!("[{section}] {key}"));
    Some((pair, format!("{one} and {other} are the same file")))
}

/// Fills in what follows from other keys where it is not written: a small site says how many clients
/// it wants, and nothing else.
pub(super) fn follow(config: &mut Config, is_written: impl Fn(Name) -> bool) {
    let pool = &mut config.pool;
    if !is_written(("pool", "max_spare")) {
        pool.max_spare = pool.max_spare.min(pool.max_clients);
    }
    if !is_written(("pool", "min_spare")) {
        pool.min_spare = pool.min_spare.min(pool.max_spare);
    }
}

/// What is allowed, but will surprise somebody: the key to look at, and why.
pub(super) fn odd(config: &Config) -> Vec<(Name, String)> {
    let mut found = Vec::new();
    let own = &config.nanoftpd;
    let ports = usize::from(own.high_port.saturating_sub(own.low_port)) + 1;
    if ports < config.pool.max_clients {
        let why = format!(
            "low_port to high_port are {ports} ports, fewer than max_clients = {}: passive \
             transfers will be refused when all are taken",
            config.pool.max_clients
        );
        found.push((("nanoftpd", "high_port"), why));
    }
    if (own.low_port..=own.high_port).contains(&own.listen_port) {
        let why = format!(
            "listen_port {} lies between low_port and high_port",
            own.listen_port
        );
        found.push((("nanoftpd", "listen_port"), why));
    }
    if own.daemonize && config.logging.mode == LogMode::Console {
        let why = "logging.mode = 2 logs nowhere while daemonize = yes";
        found.push((("logging", "mode"), why.to_owned()));
    }
    if own.login_time > own.idle_time {
        let why = "login_time is longer than idle_time, which ends the wait";
        found.push((("nanoftpd", "login_time"), why.to_owned()));
    }
    if !config.limits.ban_time.is_zero() && config.limits.login_attempts == 0 {
        let why = "ban_time bans nobody while login_attempts = 0";
        found.push((("limits", "ban_time"), why.to_owned()));
    }
    if own.allow_root && matches!(own.userid.as_str(), "root" | "0") {
        found.push((("nanoftpd", "userid"), "sessions run as root".to_owned()));
    }
    let mogilefs = &config.mogilefs;
    if mogilefs.hedge_timeout >= mogilefs.open_timeout {
        let why = "hedge_timeout is not shorter than open_timeout, which ends the wait: nobody else is asked";
        found.push((("mogilefs", "hedge_timeout"), why.to_owned()));
    }
    let four = |network: &Network| network.address.to_canonical().is_ipv4();
    let rules = config
        .passive
        .nat
        .iter()
        .filter(|(network, _)| four(network));
    let rules = rules.map(|(_, address)| (("passive", "nat"), *address));
    let own = announced(config).map(|address| (("passive", "address"), address));
    let told = rules.chain(own);
    found.extend(told.filter_map(|(key, address)| Some((key, unannounced(address)?))));
    found.extend(unreachable(config));
    found
}

/// What PASV announces, where that is an address and no name.
fn announced(config: &Config) -> Option<IpAddr> {
    let text = config.passive.address.as_deref()?;
    text.trim_matches(['[', ']']).parse().ok()
}

/// Why PASV cannot announce an address: it has room for four bytes.
fn unannounced(address: IpAddr) -> Option<String> {
    match address.to_canonical() {
        IpAddr::V6(_) => Some(format!(
            "PASV announces IPv4 addresses only: {address} is not used"
        )),
        four if four.is_unspecified() => Some(format!(
            "PASV announces {address}, to which nobody can connect"
        )),
        IpAddr::V4(_) => None,
    }
}

/// Private addresses that clients elsewhere are told to connect to.
fn unreachable(config: &Config) -> Vec<(Name, String)> {
    // Who listens only where the public cannot come is not asked by the public.
    let listens = &config.nanoftpd.listen_addr;
    if listens.iter().all(|address| is_private(*address)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let passive = &config.passive;
    if let Some(address) = announced(config).filter(|address| is_private(*address)) {
        let why = format!(
            "PASV announces {address}, which is private: clients on the Internet cannot connect to it"
        );
        found.push((("passive", "address"), why));
    }
    let rules = passive.nat.iter();
    for (network, address) in rules.filter(|(network, _)| !is_private(network.address)) {
        if is_private(*address) {
            let why = format!(
                "PASV announces {address} to {}/{}, which is private: they cannot connect to it",
                network.address, network.bits
            );
            found.push((("passive", "nat"), why));
        }
    }
    found
}

fn is_private(address: IpAddr) -> bool {
    /// Shared by the customers of a provider (RFC 6598).
    const SHARED: Network = Network {
        address: IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)),
        bits: 10,
    };
    match address.to_canonical() {
        IpAddr::V4(four) => {
            four.is_private()
                || four.is_loopback()
                || four.is_link_local()
                || SHARED.contains(address)
        }
        IpAddr::V6(six) => {
            six.is_loopback() || six.is_unique_local() || six.is_unicast_link_local()
        }
    }
}

impl Config {
    /// What is allowed, but will surprise somebody: a line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        odd(self).into_iter().map(|(_, why)| why).collect()
    }
}
