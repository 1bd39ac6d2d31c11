//! What a configuration needs to stand on: users, directories, time zone, sandbox. Looked at before
//! anything is started or replaced, so that what is wrong is said in time.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::unistd::Uid;

use crate::config::{self, AuthModule, Config, Error, SandboxMode, TlsMode};
use crate::sys::jail::Jail;
use crate::sys::rights::{self, Identity};
use crate::sys::sandbox::{self, Part, Sandbox};
use crate::text::quoted;
use crate::tls::{self, Fading, Kind};

const DAY: Duration = Duration::from_secs(86_400);

/// What children are given at birth beside the configuration.
#[derive(Debug)]
pub struct Ground {
    pub(super) worker: Jail,
    pub(super) clerk: Jail,
    /// Of the clerk that runs the program of `module = Exec`, which is nobody's to shut in.
    pub(super) login_clerk: Jail,
    /// Of LIST; read here, since children cannot.
    pub(super) zone: TimeZone,
    /// Certificate and key; read here, since children may not.
    pub(super) tls: Option<tls::Identity>,
    missing: Vec<Part>,
    /// When certificates were last looked at.
    looked: Option<Instant>,
    /// Whom children become; `None`: whoever we are.
    identity: Option<Identity>,
    is_root: bool,
}

impl Ground {
    /// Of `config`, which was read from `path`.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn prepare(config: &Config, path: &Path) -> Result<Self, Vec<Error>> {
        let mut wrong = Wrong {
            file: path,
            errors: Vec::new(),
        };
        let is_root = rights::are_root();
        let identity = identity(config, &mut wrong).filter(|_| is_root);
        let zone = config::zone(&config.nanoftpd.timezone);
        let zone = wrong.unless(("nanoftpd", "timezone"), zone);
        let dirs = dirs(config, &mut wrong);
        let dirs: Vec<&Path> = dirs.iter().map(PathBuf::as_path).collect();
        let worker = wrong.unless(("nanoftpd", "tmpdir"), Sandbox::of_worker(&dirs));
        let clerk = wrong.unless(("sandbox", "mode"), Sandbox::of_clerk());
        let missing = sandbox::missing();
        if config.sandbox.mode == SandboxMode::Strict {
            for part in &missing {
                let why = format!("strict, but this kernel has no {part}");
                wrong.add(("sandbox", "mode"), why);
            }
        }
        for (key, why) in programs(config) {
            wrong.add(key, why);
        }
        let has_tls = config.tls.mode != TlsMode::Off || config.tls.implicit_port != 0;
        let tls = has_tls.then(|| tls::Identity::load(&config.tls));
        let tls = tls.and_then(|loaded| {
            let note = |error: &tls::Error| wrong.add(("tls", error.key), error.to_string());
            loaded.map_err(|errors| errors.iter().for_each(note)).ok()
        });
        match (worker, clerk, zone) {
            (Some(worker), Some(clerk), Some(zone)) if wrong.errors.is_empty() => Ok(Self {
                worker: Jail::of_workers(identity, worker),
                clerk: Jail::of_clerk(identity, Some(clerk)),
                login_clerk: Jail::of_clerk(identity, None),
                zone,
                tls,
                missing,
                looked: None,
                identity,
                is_root,
            }),
            _ => Err(wrong.errors),
        }
    }

    /// What a worker is shut in.
    #[must_use]
    pub fn jail(&self) -> &Jail {
        &self.worker
    }

    /// Whom children become; `None`: whoever we are.
    pub(super) fn user(&self) -> Option<Uid> {
        self.identity.map(Identity::uid)
    }

    /// The certificates that end soon, or have ended, and the lists of revoked ones that have.
    #[must_use]
    pub fn fading(&self) -> Vec<Fading> {
        let tls = self.tls.as_ref();
        tls.map_or_else(Vec::new, |tls| tls.fading(Timestamp::now()))
    }

    /// Says once a day what ends soon, or has ended.
    pub(super) fn warn_of_certificates(&mut self, now: Instant) {
        if self.certificates_due().is_some_and(|due| now < due) {
            return;
        }
        self.looked = Some(now);
        for fading in self.fading() {
            let Fading {
                kind,
                file,
                end,
                days,
            } = &fading;
            let path = quoted(file.as_os_str().as_bytes());
            match (kind, fading.is_over()) {
                (Kind::Certificate, false) => {
                    log::warn!("certificate-expires days={days} end={end} path={path}");
                }
                (Kind::Certificate, true) => {
                    log::error!("certificate-expired end={end} path={path}");
                }
                (Kind::Revocations, _) => {
                    log::error!("revocations-expired end={end} path={path}");
                }
            }
        }
    }

    /// When they are looked at next.
    pub(super) fn certificates_due(&self) -> Option<Instant> {
        self.tls.as_ref()?;
        self.looked.map(|looked| looked + DAY)
    }

    /// Says what is weaker than it could be.
    pub(super) fn warn(&self) {
        for part in &self.missing {
            log::warn!("sandbox-missing part={part}");
        }
        if !self.is_root {
            log::warn!("userid-ignored why=\"not started as root\"");
        }
    }
}

/// The programs of the site that cannot be run: keys, and what is wrong.
fn programs(config: &Config) -> Vec<(Name, String)> {
    let command = match config.auth.module {
        AuthModule::Exec => config.auth.exec.command.as_deref(),
        AuthModule::Text => None,
    };
    let uploaded = config.hooks.uploaded.as_deref();
    let programs = [
        (("auth.exec", "command"), command),
        (("hooks", "uploaded"), uploaded),
    ];
    programs
        .into_iter()
        .filter_map(|(key, program)| Some((key, why_not(program?)?)))
        .collect()
}

fn why_not(program: &Path) -> Option<String> {
    let name = program.display();
    match std::fs::metadata(program) {
        Err(error) => Some(format!("there is no program {name}: {error}")),
        Ok(about) if !about.is_file() => Some(format!("{name} is no file")),
        Ok(about) if about.permissions().mode() & 0o111 == 0 => {
            Some(format!("{name} is not executable"))
        }
        Ok(_) => None,
    }
}

/// Section and name of a key.
type Name = (&'static str, &'static str);

struct Wrong<'a> {
    file: &'a Path,
    errors: Vec<Error>,
}

impl Wrong<'_> {
    fn add(&mut self, key: Name, why: String) {
        self.errors.push(Error::of_key(self.file, key, why));
    }

    fn unless<T, E: ToString>(&mut self, key: Name, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(key, error.to_string());
                None
            }
        }
    }
}

/// Nobody else than root can become somebody, so only for root does it matter who there is.
fn identity(config: &Config, wrong: &mut Wrong<'_>) -> Option<Identity> {
    if !rights::are_root() {
        return None;
    }
    let own = &config.nanoftpd;
    let named = |name: &str| format!("`{name}`");
    let user = Identity::user(&own.userid, own.allow_root)
        .map_err(|error| format!("{}: {error}", named(&own.userid)));
    let group = Identity::group(&own.groupid, own.allow_root)
        .map_err(|error| format!("{}: {error}", named(&own.groupid)));
    let user = wrong.unless(("nanoftpd", "userid"), user);
    let group = wrong.unless(("nanoftpd", "groupid"), group);
    Some(Identity::new(user?, group?))
}

/// The directories that sessions may reach. The root of module File may be missing: not every site
/// uses it.
fn dirs(config: &Config, wrong: &mut Wrong<'_>) -> Vec<PathBuf> {
    let tmpdir = &config.nanoftpd.tmpdir;
    if !tmpdir.is_dir() {
        let why = format!("{} is not a directory", tmpdir.display());
        wrong.add(("nanoftpd", "tmpdir"), why);
        return Vec::new();
    }
    let mut dirs = vec![tmpdir.clone()];
    let root = fixed(&config.file.root);
    if root.is_dir() {
        dirs.push(root);
    } else {
        log::debug!("file-root-missing path=\"{}\"", root.display());
    }
    dirs
}

/// The part of `root` that is the same for all users.
fn fixed(root: &str) -> PathBuf {
    match root.split_once('%') {
        None => PathBuf::from(root),
        Some((before, _)) => {
            let end = before.rfind('/').unwrap_or(0);
            PathBuf::from(
                before
                    .get(..end)
                    .filter(|dir| !dir.is_empty())
                    .unwrap_or("/"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_part_of_a_root_ends_before_the_user() {
        for (root, expected) in [
            ("/srv/ftp", "/srv/ftp"),
            ("/srv/ftp/%u", "/srv/ftp"),
            ("/home/%u/ftp", "/home"),
            ("/home/x%u", "/home"),
            ("/%u", "/"),
        ] {
            assert_eq!(fixed(root), Path::new(expected), "{root}");
        }
    }

    #[test]
    fn certificates_are_looked_at_once_a_day() {
        let name = format!("nanoftpd-ground-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let place = dir.display();
        let text = format!(
            "[nanoftpd]\nuserid = root\ngroupid = root\nallow_root = yes\n\
             [tls]\nmode = optional\ncertificate = {place}/cert.pem\nkey = {place}/key.pem\n"
        );
        let config = Config::parse(&text, "x.conf").unwrap();
        let mut ground = Ground::prepare(&config, Path::new("x.conf")).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let begin = Instant::now();
        for (hours, due) in [(0, 24), (1, 24), (23, 24), (24, 48), (25, 48)] {
            let at = |hours: u64| begin + Duration::from_secs(hours * 3600);
            ground.warn_of_certificates(at(hours));
            assert_eq!(ground.certificates_due(), Some(at(due)), "{hours}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_said() {
        let text = "[nanoftpd]\nuserid = no-such-user\ngroupid = no-such-group\n\
                    tmpdir = /no/such/dir\n";
        let config = Config::parse(text, "x.conf").unwrap();
        let errors = Ground::prepare(&config, Path::new("x.conf")).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(
            text.contains(&"x.conf: [nanoftpd] tmpdir: /no/such/dir is not a directory".to_owned())
        );
        if rights::are_root() {
            assert_eq!(
                text[0],
                "x.conf: [nanoftpd] userid: `no-such-user`: no such user"
            );
            assert_eq!(
                text[1],
                "x.conf: [nanoftpd] groupid: `no-such-group`: no such group"
            );
        }
    }
}
