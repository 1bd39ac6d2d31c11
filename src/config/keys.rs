//! Every key there is: its name, default, form and purpose, and the field that it fills. Defaults,
//! parsing, range checks, what -T prints and the shipped file come from this table and from nowhere
//! else; a new key is a field and a row.
#![forbid(unsafe_code)]

use log::LevelFilter;

use super::form::{
    AbsolutePath, Form, List, Maybe, Number, Octal, OneOf, Pair, Size, Text, Time, YesNo,
};
use super::net::{Address, HostPort, Net, is_host};
use super::places;
use super::row::{Key, Section, read};
use super::{
    ActivePort, Allo, AuthModule, ClientCertificate, Collation, ContentMd5, Crypt, Extended,
    Hangup, ListTimes, LogMode, Overwrite, ProxyData, SandboxMode, Scheduling, SessionReuse,
    TlsMode, TlsVersion, TransferFormat, Truncation, Type, Upload, Zone,
};

/// Thirty days, in milliseconds: longer than anybody waits.
const LONG: u64 = 30 * 86_400_000;
const ACCOUNT: Text = Text("the name or number of an account", is_account);
const CLASS: Text = Text("a name without blanks, slashes and `&=%+`", |text| {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "/&=%+".contains(c))
});
const HOST: Text = Text("an address or a host name", |text| {
    is_host(text) || Address.read(text).is_some()
});
const ROOT: Text = Text(
    "a path that begins with /, in which % is followed by u",
    |text| text.starts_with('/') && text.split('%').skip(1).all(|rest| rest.starts_with('u')),
);

#[rustfmt::skip]
pub(super) const SECTIONS: &[Section] = sections! {
    [nanoftpd] "The daemon: where it listens, whom it runs as, how long it waits for clients." {
        daemonize = "yes", YesNo,
            "go into the background once everything is bound and opened";
        pidfile = places::PIDFILE, AbsolutePath,
            "holds the master's process id, and is locked as long as it lives";
        tmpdir = "/var/tmp", AbsolutePath,
            "where uploads wait that are larger than [mogilefs] spool_mem";
        userid = "nanoftpd", ACCOUNT,
            "user that sessions run as, name or number";
        groupid = "nanoftpd", ACCOUNT,
            "group that sessions run as, name or number";
        allow_root = "no", YesNo,
            "let sessions run as root";
        listen_addr = "0.0.0.0", List(Address, 1),
            "addresses to listen on, with commas between them";
        listen_port = "21", Number(0, 65535),
            "port to listen on; 0: any that is free, it is in the log";
        low_port = "15000", Number(1024, 65535),
            "first port for passive data connections";
        high_port = "25000", Number(1024, 65535),
            "last port for passive data connections";
        idle_time = "300", Time(10, LONG),
            "a session ends after so long without a command or a transfer";
        login_time = "30", Time(10, LONG),
            "a session ends that has not logged in after so long";
        server_name = "nanoFTPd server", Text("a line of at most 200 bytes", |text| text.len() <= 200),
            "the greeting";
        stop_grace = "30", Time(0, LONG),
            "how long transfers may go on when the daemon stops";
        timezone = "UTC", Text("a time zone of this machine, such as UTC or Europe/Berlin", is_zone),
            "zone of the times in LIST";
        default_type = "binary", OneOf(&[("binary", Type::Binary), ("ascii", Type::Ascii)]),
            "what an upload is before the client has said TYPE: binary or ascii";
        resolve_interval = "60", Time(10, LONG),
            "host names in this file are looked up again after so long";
    }
    [pool] "Worker processes: each serves one session at a time." {
        min_spare = "4", Number(1, 10_000),
            "fewest workers that wait for a client";
        max_spare = "16", Number(1, 10_000),
            "most workers that wait for a client";
        max_clients = "256", Number(1, 100_000),
            "most sessions at once; the next client gets 421";
        sessions_per_worker = "1", Number(1, 1_000_000),
            "a worker ends after so many sessions; with 1 no two sessions share a process";
        scheduling = "batch", OneOf(&[("batch", Scheduling::Batch), ("other", Scheduling::Other)]),
            "batch: what runs is not interrupted for a worker; other: as with most processes";
    }
    [passive] "Data connections." {
        address = "", Maybe(HOST),
            "what PASV announces, an address or a name; empty: the control connection's own";
        nat = "", List(Pair(Net, Address), 0),
            "per client network what PASV announces: `10.0.0.0/8 10.1.2.3, 192.0.2.0/24 ...`";
        accept_timeout = "30", Time(10, LONG),
            "how long a data connection may take to come about";
        stall_timeout = "300", Time(10, LONG),
            "a transfer ends in which nothing has moved for so long";
        hangup = "abort", OneOf(&[("abort", Hangup::Abort), ("finish", Hangup::Finish)]),
            "a client leaves during a transfer: abort it, or finish it, as ffmpeg needs";
        active = "yes", YesNo,
            "allow PORT and EPRT";
        active_port = "any", OneOf(&[("any", ActivePort::Any), ("data", ActivePort::Data)]),
            "where their connections come from: any port, or data: the one before listen_port, 20";
        deflate = "no", YesNo,
            "allow MODE Z: data connections that are packed (zlib)";
    }
    [auth] "Who may come in." {
        module = "Text", OneOf(&[("Text", AuthModule::Text), ("Exec", AuthModule::Exec)]),
            "Text: the users file; Exec: a program decides";
        crypt = "md5", OneOf(&[("md5", Crypt::Md5), ("sha1", Crypt::Sha1)]),
            "what a password hash without $ is: md5 or sha1";
    }
    [auth.text] "The users file; see nanoftpd-users(5)." {
        file = places::USERS, AbsolutePath,
            "name:password:uid:gid:io_module, a user a line";
        sep = ":", Text("a separator without letters, digits and line ends", is_separator),
            "what stands between the fields";
    }
    [auth.exec] "The program of module = Exec." {
        command = "", Maybe(AbsolutePath),
            "gets user and password on standard input, prints the account";
        timeout = "5", Time(10, 3_600_000),
            "how long it may take";
    }
    [mogilefs] "The trackers, and how their files look." {
        tracker = "127.0.0.1", List(HostPort, 1),
            "trackers, host or host:port, with commas between them";
        port = "7001", Number(1, 65535),
            "port of trackers that are written without one";
        domain = "", Maybe(CLASS),
            "the default domain: of MogileFs and MogileFs_FlatNS users";
        timeout = "3", Time(10, 3_600_000),
            "how long a connection to a tracker or storage node may take to come about";
        request_timeout = "10", Time(10, 3_600_000),
            "how long a tracker may take over a plain request";
        admin_timeout = "20", Time(10, 3_600_000),
            "how long a tracker may take to make or delete a class or a domain";
        open_timeout = "40", Time(10, 3_600_000),
            "how long a tracker may take over create_open";
        hedge_timeout = "5", Time(10, 3_600_000),
            "after so long another tracker is sent the create_open too";
        probe_interval = "5", Time(10, 3_600_000),
            "how soon a tracker or storage node that did not answer is tried again by the clerk";
        close_timeout = "45", Time(10, 3_600_000),
            "how long a tracker may take over create_close";
        read_timeout = "20", Time(10, 3_600_000),
            "how long a storage node may take to send, or to send more";
        write_timeout = "20", Time(10, 3_600_000),
            "how long a storage node may take to accept more";
        store_timeout = "60", Time(10, 3_600_000),
            "how long a storage node may take to confirm a file, and a second more per 10M";
        storage = "", List(Net, 0),
            "networks of storage nodes that may be contacted; empty: what the trackers name";
        zone = "", Maybe(OneOf(&[("alt", Zone::Alt)])),
            "alt: trackers name the other address (altip) of each host that has one";
        defaultclass = "default", CLASS,
            "class of uploads in MogileFs_FlatNS";
        listlimit = "1000", Number(0, 1_000_000_000),
            "most entries of a listing; 0: no limit";
        listlimit_error = "no", YesNo,
            "a listing that is cut at listlimit ends in an error";
        extendedlist = "auto", OneOf(&[
                ("true", Extended::Yes), ("yes", Extended::Yes), ("on", Extended::Yes), ("1", Extended::Yes),
                ("false", Extended::No), ("no", Extended::No), ("off", Extended::No), ("0", Extended::No),
                ("auto", Extended::Auto),
            ]),
            "look sizes up for listings: true, false or auto";
        searchlist = "no", YesNo,
            "LIST <prefix> lists what begins with it";
        canrename = "yes", YesNo,
            "allow RNFR and RNTO";
        canmkdir = "yes", YesNo,
            "allow MKD, which makes classes";
        canrmdir = "yes", YesNo,
            "allow RMD, which deletes classes";
        mindevcount = "2", Number(1, 255),
            "copies that a class made by MKD asks for";
        upload = "spool", OneOf(&[("spool", Upload::Spool), ("tee", Upload::Tee)]),
            "spool: an upload is received whole, then stored; tee: it is stored while it comes";
        spool_mem = "4M", Size(0, 1 << 30),
            "an upload up to this size waits in memory, a larger one in tmpdir";
        spool_max = "0", Size(0, 1 << 60),
            "most that all uploads together may have in tmpdir; 0: what there is room for";
        append_max = "1G", Size(0, 1 << 60),
            "largest file that APPE, or REST and STOR, make: it is stored anew as a whole";
        pause_timeout = "25", Time(10, LONG),
            "upload = tee: a client that sends nothing for so long has its upload wait in the spool";
        temp_timeout = "3000", Time(10, LONG),
            "how old an unfinished upload on a storage node may get; trackers delete it after an hour";
        content_md5 = "small", OneOf(&[
                ("never", ContentMd5::Never), ("small", ContentMd5::Small), ("always", ContentMd5::Always),
            ]),
            "uploads that storage nodes verify: never, small (up to spool_mem), always (slow)";
        overwrite = "direct", OneOf(&[
                ("direct", Overwrite::Direct), ("deny", Overwrite::Deny), ("swap", Overwrite::Swap),
            ]),
            "a file that is there already: direct: replaced; deny: kept; swap: kept until the new is whole";
        wait_for_replicas = "0", Number(0, 255),
            "copies of an upload that are waited for before it is confirmed";
        replica_timeout = "10", Time(10, 3_600_000),
            "how long they are waited for at most";
        legacy_names = "no", YesNo,
            "find files also under the names that the PHP daemon made of `+`, `%XX` and `&`";
        dirmarkers = "no", YesNo,
            "MKD below a class stores an empty file that keeps the directory; no: the daemon remembers it";
        listtimes = "auto", OneOf(&[
                ("auto", ListTimes::Auto), ("head", ListTimes::Head), ("off", ListTimes::Off),
            ]),
            "ask storage nodes for the times in listings: auto (up to 500 files), head (all), off";
        collation = "auto", OneOf(&[
                ("auto", Collation::Auto), ("binary", Collation::Binary), ("ci", Collation::Ci),
                ("linguistic", Collation::Linguistic),
            ]),
            "how the trackers' database sorts keys: binary, ci, linguistic, or auto: find it out";
    }
    [file] "Users of the module File." {
        root = "/srv/ftp", ROOT,
            "what they see as /; %u is the user's name";
        create_mask = "022", Octal,
            "permissions that new files and directories do not get";
        fsync = "no", YesNo,
            "an upload is on the disk before it is confirmed";
    }
    [tls] "Encryption of control and data connections." {
        mode = "off", OneOf(&[
                ("off", TlsMode::Off), ("optional", TlsMode::Optional), ("required", TlsMode::Required),
            ]),
            "off, optional, or required: no login and no data without it";
        certificate = "", Maybe(AbsolutePath),
            "the certificate and those that sign it, PEM";
        key = "", Maybe(AbsolutePath),
            "the certificate's private key, PEM";
        certificates = "", List(Pair(AbsolutePath, AbsolutePath), 0),
            "others for the names in them, each with its key: `/a.pem /a.key, /b.pem /b.key ...`";
        implicit_port = "0", Number(0, 65535),
            "port on which connections begin with TLS (990 by custom); 0: none";
        min_version = "1.2", OneOf(&[("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)]),
            "oldest version: 1.2 or 1.3";
        session_reuse = "require", OneOf(&[
                ("off", SessionReuse::Off), ("warn", SessionReuse::Warn), ("require", SessionReuse::Require),
            ]),
            "data connections resume the control connection's session: off, warn, require";
        truncation = "log", OneOf(&[
                ("ignore", Truncation::Ignore), ("log", Truncation::Log), ("require", Truncation::Require),
            ]),
            "an upload that ends without close_notify: ignore, log (and store), require (426)";
        client_ca = "", Maybe(AbsolutePath),
            "authorities that sign certificates of clients, PEM; empty: clients are asked for none";
        client_crl = "", Maybe(AbsolutePath),
            "which of these certificates are revoked, PEM";
        client_certificate = "required", OneOf(&[
                ("optional", ClientCertificate::Optional), ("required", ClientCertificate::Required),
            ]),
            "whether clients need one that client_ca signed: optional or required";
        client_login = "no", YesNo,
            "whoever has one with the name of an account in it needs no password";
    }
    [limits] "What clients may do, and how much of it." {
        max_per_ip = "0", Number(0, 1_000_000),
            "most sessions of one address (IPv6: of one /64 network); 0: no limit";
        max_per_user = "0", Number(0, 1_000_000),
            "most sessions of one user; 0: no limit";
        login_attempts = "3", Number(0, 1_000_000),
            "failed logins after which a session ends; 0: it does not";
        login_delay = "2", Time(0, 60_000),
            "the answer to a failed login waits so long, longer for each one more of the same address";
        ban_time = "0", Time(0, LONG),
            "after login_attempts failed logins an address is refused for so long; 0: it is not";
        upload_rate = "0", Size(0, 1 << 40),
            "bytes a second that a session may send; 0: no limit";
        download_rate = "0", Size(0, 1 << 40),
            "bytes a second that a session may receive; 0: no limit";
        upload_rate_per_user = "0", Size(0, 1 << 40),
            "bytes a second that all sessions of a user together may send; 0: no limit";
        download_rate_per_user = "0", Size(0, 1 << 40),
            "bytes a second that all sessions of a user together may receive; 0: no limit";
        commands_per_second = "0", Number(0, 1_000_000),
            "commands of a session; faster ones wait; 0: no limit";
        allo = "bind", OneOf(&[("bind", Allo::Bind), ("hint", Allo::Hint)]),
            "ALLO: bind: an upload with fewer bytes is not stored; hint: it says nothing";
    }
    [proxy] "Proxies that speak the PROXY protocol, version 1 or 2." {
        trusted = "", List(Net, 0),
            "networks whose control connections begin with a PROXY header";
        data = "direct", OneOf(&[("direct", ProxyData::Direct), ("header", ProxyData::Header)]),
            "their clients' data connections come direct, or through the proxy with a header";
    }
    [hooks] "Programs of the site, which run beside the daemon, as its user." {
        uploaded = "", Maybe(AbsolutePath),
            "run after each upload, with what it was in the environment; empty: nothing is";
        queue = "1000", Number(1, 100_000),
            "how many runs may stand in line; what comes when it is full is dropped and counted";
        timeout = "30", Time(100, 3_600_000),
            "a run that takes longer is killed";
    }
    [sandbox] "What a session cannot do." {
        mode = "on", OneOf(&[("on", SandboxMode::On), ("strict", SandboxMode::Strict)]),
            "where the kernel lacks a part of the sandbox: on: a line in the log; strict: no start";
    }
    [logging] "The log and the transfer log." {
        mode = "1", OneOf(&[
                ("0", LogMode::Off), ("1", LogMode::File), ("2", LogMode::Console), ("3", LogMode::Both),
                ("4", LogMode::Syslog),
            ]),
            "0 none, 1 file, 2 console, 3 both, 4 syslog";
        file = places::LOG, AbsolutePath,
            "the log of modes 1 and 3";
        level = "info", OneOf(&[
                ("error", LevelFilter::Error), ("warn", LevelFilter::Warn), ("info", LevelFilter::Info),
                ("debug", LevelFilter::Debug), ("trace", LevelFilter::Trace),
            ]),
            "the least that is logged: error, warn, info, debug (the dialogue) or trace";
        syslog_facility = "ftp", Text("a syslog facility such as ftp, daemon or local0", is_facility),
            "facility of mode 4";
        xferlog = places::XFERLOG, Maybe(AbsolutePath),
            "a line for each transfer; empty: none";
        transfer_format = "xferlog", OneOf(&[
                ("xferlog", TransferFormat::Xferlog), ("clf", TransferFormat::Clf),
                ("json", TransferFormat::Json),
            ]),
            "xferlog: as wu-ftpd wrote it; clf: as web servers do; json: an object a line";
    }
    [status] "The control socket." {
        socket = places::SOCKET, AbsolutePath,
            "where status and the commands are asked for; only root and the daemon's user may";
    }
};

fn is_account(text: &str) -> bool {
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '$');
    !text.is_empty() && text.chars().all(legal)
}

/// A letter or a digit between the fields would cut hashes and names; `\t` is a tab.
fn is_separator(text: &str) -> bool {
    text == "\\t" || !text.is_empty() && !text.contains(char::is_alphanumeric)
}

fn is_zone(text: &str) -> bool {
    super::zone(text).is_ok()
}

fn is_facility(text: &str) -> bool {
    text.parse::<syslog::Facility>().is_ok()
}
