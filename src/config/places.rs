//! Where the program looks for what is its own, and puts it, unless it is told otherwise: where `make`
//! was told to (SYSCONFDIR, LOCALSTATEDIR, RUNDIR), else at the usual places.

/// The place that the environment of the build names, or the usual one.
macro_rules! place {
    ($variable:literal, $usual:literal) => {
        match option_env!($variable) {
            Some(place) => place,
            None => $usual,
        }
    };
}

/// The configuration file.
pub const CONF: &str = place!("NANOFTPD_CONF", "/etc/nanoftpd/nanoftpd.conf");
pub(super) const USERS: &str = place!("NANOFTPD_USERS", "/etc/nanoftpd/users");
pub(super) const PIDFILE: &str = place!("NANOFTPD_PIDFILE", "/run/nanoftpd/nanoftpd.pid");
pub(super) const SOCKET: &str = place!("NANOFTPD_SOCKET", "/run/nanoftpd/control.sock");
pub(super) const LOG: &str = place!("NANOFTPD_LOG", "/var/log/nanoftpd/nanoftpd.log");
pub(super) const XFERLOG: &str = place!("NANOFTPD_XFERLOG", "/var/log/nanoftpd/xferlog");
