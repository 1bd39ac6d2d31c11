//! The defaults. Every field of the blank form is filled from the table of keys; a field without a
//! row is found by a test, not by a sysadmin.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use super::keys::SECTIONS;
use super::{
    ActivePort, Allo, Auth, AuthExec, AuthModule, AuthText, ClientCertificate, Collation, Config,
    ContentMd5, Crypt, Extended, File, Hangup, Hooks, Limits, ListTimes, LogMode, Logging,
    Mogilefs, Nanoftpd, Overwrite, Passive, Pool, Proxy, ProxyData, Sandbox, SandboxMode,
    Scheduling, SessionReuse, Status, Tls, TlsMode, TlsVersion, TransferFormat, Truncation, Type,
    Upload,
};

impl Default for Config {
    fn default() -> Self {
        let mut config = blank();
        for key in SECTIONS.iter().flat_map(|section| section.keys) {
            let filled = (key.set)(&mut config, key.default);
            debug_assert!(filled.is_ok(), "default of {}: {filled:?}", key.name);
        }
        config
    }
}

fn blank() -> Config {
    Config {
        nanoftpd: nanoftpd(),
        pool: Pool {
            min_spare: 0,
            max_spare: 0,
            max_clients: 0,
            sessions_per_worker: 0,
            scheduling: Scheduling::Other,
        },
        passive: passive(),
        auth: Auth {
            module: AuthModule::Text,
            crypt: Crypt::Md5,
            text: AuthText {
                file: PathBuf::new(),
                sep: String::new(),
            },
            exec: AuthExec {
                command: None,
                timeout: Duration::ZERO,
            },
        },
        mogilefs: mogilefs(),
        file: File {
            root: String::new(),
            create_mask: 0,
            fsync: false,
        },
        tls: tls(),
        limits: limits(),
        proxy: Proxy {
            trusted: Vec::new(),
            data: ProxyData::Direct,
        },
        hooks: Hooks {
            uploaded: None,
            queue: 0,
            timeout: Duration::ZERO,
        },
        sandbox: Sandbox {
            mode: SandboxMode::On,
        },
        logging: Logging {
            mode: LogMode::Off,
            file: PathBuf::new(),
            level: log::LevelFilter::Off,
            syslog_facility: String::new(),
            xferlog: None,
            transfer_format: TransferFormat::Json,
        },
        status: Status {
            socket: PathBuf::new(),
        },
    }
}

fn passive() -> Passive {
    Passive {
        address: None,
        nat: Vec::new(),
        accept_timeout: Duration::ZERO,
        stall_timeout: Duration::ZERO,
        hangup: Hangup::Abort,
        active: false,
        active_port: ActivePort::Any,
        deflate: false,
    }
}

fn tls() -> Tls {
    Tls {
        mode: TlsMode::Off,
        certificate: None,
        key: None,
        certificates: Vec::new(),
        implicit_port: 0,
        min_version: TlsVersion::V12,
        session_reuse: SessionReuse::Off,
        truncation: Truncation::Ignore,
        client_ca: None,
        client_crl: None,
        client_certificate: ClientCertificate::Optional,
        client_login: false,
    }
}

fn limits() -> Limits {
    Limits {
        max_per_ip: 0,
        max_per_user: 0,
        login_attempts: 0,
        login_delay: Duration::ZERO,
        ban_time: Duration::ZERO,
        upload_rate: 0,
        download_rate: 0,
        upload_rate_per_user: 0,
        download_rate_per_user: 0,
        commands_per_second: 0,
        allo: Allo::Hint,
    }
}

fn nanoftpd() -> Nanoftpd {
    Nanoftpd {
        daemonize: false,
        pidfile: PathBuf::new(),
        tmpdir: PathBuf::new(),
        userid: String::new(),
        groupid: String::new(),
        allow_root: false,
        listen_addr: Vec::new(),
        listen_port: 0,
        low_port: 0,
        high_port: 0,
        idle_time: Duration::ZERO,
        login_time: Duration::ZERO,
        server_name: String::new(),
        stop_grace: Duration::ZERO,
        resolve_interval: Duration::ZERO,
        timezone: String::new(),
        default_type: Type::Binary,
    }
}

fn mogilefs() -> Mogilefs {
    Mogilefs {
        tracker: Vec::new(),
        port: 0,
        domain: None,
        timeout: Duration::ZERO,
        request_timeout: Duration::ZERO,
        admin_timeout: Duration::ZERO,
        open_timeout: Duration::ZERO,
        hedge_timeout: Duration::ZERO,
        probe_interval: Duration::ZERO,
        close_timeout: Duration::ZERO,
        read_timeout: Duration::ZERO,
        write_timeout: Duration::ZERO,
        store_timeout: Duration::ZERO,
        storage: Vec::new(),
        zone: None,
        defaultclass: String::new(),
        listlimit: 0,
        listlimit_error: false,
        extendedlist: Extended::No,
        searchlist: false,
        canrename: false,
        canmkdir: false,
        canrmdir: false,
        mindevcount: 0,
        upload: Upload::Spool,
        spool_mem: 0,
        spool_max: 0,
        append_max: 0,
        pause_timeout: Duration::ZERO,
        temp_timeout: Duration::ZERO,
        content_md5: ContentMd5::Never,
        overwrite: Overwrite::Direct,
        wait_for_replicas: 0,
        replica_timeout: Duration::ZERO,
        legacy_names: false,
        dirmarkers: false,
        listtimes: ListTimes::Off,
        collation: Collation::Auto,
    }
}
