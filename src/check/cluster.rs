//! What is tried in the MogileFS: trackers one by one, domains, classes, and with leave to write a
//! file in each.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path as Place;
use std::time::{Duration, Instant};

use super::finding::MOST_NAMED;
use super::users::Members;
use super::{Report, Severity};
use crate::config;
use crate::mogilefs::{self, Client, Domain};
use crate::path::Path;
use crate::store::mogile::MogileFs;
use crate::store::mogile::layout::Domains;
use crate::store::{Body, Error, Plan, Store};
use crate::text::{bare, hexadecimal};

/// A tracker that takes longer is as good as none to whoever waits for this.
const PATIENCE: Duration = Duration::from_secs(5);

/// The class that every domain has.
const DEFAULT_CLASS: &[u8] = b"default";

/// How much a probe holds, in bytes.
const PROBE: usize = 4096;

/// One MogileFS and what users need of it.
pub(super) struct Cluster<'a> {
    pub(super) settings: &'a config::Mogilefs,
    pub(super) tmpdir: &'a Place,
    pub(super) trackers: Vec<SocketAddr>,
    pub(super) members: &'a Members,
}

impl Cluster<'_> {
    /// Looks at all of it; `write`: stores, reads and removes a file in each class in use.
    pub(super) fn look(&self, write: bool, report: &mut Report) {
        let (sound, domains) = self.trackers(report);
        if sound.is_empty() {
            return;
        }
        let in_use = self.domains(&domains, report);
        self.default_class(&domains, report);
        if write {
            self.probe(sound, &in_use, report);
        }
    }

    /// Each tracker by itself: those that answer, and what they know.
    fn trackers(&self, report: &mut Report) -> (Vec<SocketAddr>, Vec<Domain>) {
        let mut settings = self.settings.clone();
        settings.request_timeout = settings.request_timeout.min(PATIENCE);
        let (mut sound, mut known) = (Vec::new(), Vec::new());
        let mut down = Vec::new();
        for &address in &self.trackers {
            match tracker(&settings, address) {
                Ok((domains, text)) => {
                    report.add(Severity::Ok, &format!("tracker {address}: {text}"));
                    sound.push(address);
                    known = domains;
                }
                Err(error) => {
                    let error = error.to_string();
                    let named = format!("no tracker: {address}: ");
                    let why = error.strip_prefix(&named).unwrap_or(&error);
                    down.push(format!("tracker {address}: {why}"));
                }
            }
        }
        // With another one in its place nobody notices that one is down.
        let severity = if sound.is_empty() {
            Severity::Critical
        } else {
            Severity::Warning
        };
        for text in &down {
            report.add(severity, text);
        }
        if self.trackers.is_empty() {
            report.add(Severity::Critical, "tracker: none could be found");
        }
        (sound, known)
    }

    /// The domains that users need: those that are there.
    fn domains<'d>(&self, domains: &'d [Domain], report: &mut Report) -> Vec<&'d Domain> {
        let find = |name: &[u8]| domains.iter().find(|domain| domain.name == name);
        let mut in_use: Vec<&Domain> = Vec::new();
        let default = self.settings.domain.as_deref().unwrap_or_default();
        if self.members.default_domain {
            match find(default.as_bytes()) {
                Some(domain) => {
                    in_use.push(domain);
                    let text = format!("domain {default}: {}", classes(domain));
                    report.add(Severity::Ok, &text);
                }
                None if default.is_empty() => {
                    let text = "domain: [mogilefs] domain is empty, and users need it";
                    report.add(Severity::Critical, text);
                }
                None => {
                    let text = format!("domain {default}: does not exist, and users need it");
                    report.add(Severity::Critical, &text);
                }
            }
        }
        let missing = self.members.domains.iter();
        let missing: Vec<&Vec<u8>> = missing.filter(|name| find(name).is_none()).collect();
        for name in missing.iter().take(MOST_NAMED) {
            let text = format!(
                "domain {0}: does not exist, and user {0} needs it",
                bare(name)
            );
            report.add(Severity::Critical, &text);
        }
        if let Some(more @ 1..) = missing.len().checked_sub(MOST_NAMED) {
            let text = format!("domain: and the domains of {more} more users");
            report.add(Severity::Critical, &text);
        }
        let found = self.members.domains.len() - missing.len();
        if found > 0 {
            let text = format!("domains of users: {found} exist");
            report.add(Severity::Ok, &text);
        }
        let is_needed =
            |name: &[u8]| self.members.all_domains || self.members.domains.contains(name);
        in_use.extend(domains.iter().filter(|domain| {
            is_needed(&domain.name)
                && !(self.members.default_domain && domain.name == default.as_bytes())
        }));
        in_use
    }

    fn default_class(&self, domains: &[Domain], report: &mut Report) {
        let name = &self.settings.defaultclass;
        let default = self.settings.domain.as_deref().unwrap_or_default();
        let domain = domains.iter().find(|one| one.name == default.as_bytes());
        let (Some(domain), true) = (domain, self.members.default_class) else {
            return;
        };
        if has_class(domain, name.as_bytes()) {
            report.add(
                Severity::Ok,
                &format!("defaultclass {name}: is a class of {default}"),
            );
        } else {
            let text = format!("defaultclass {name}: is no class of {default}, uploads will fail");
            report.add(Severity::Critical, &text);
        }
    }

    /// A file in each class of `domains`, through the store that sessions use.
    fn probe(&self, trackers: Vec<SocketAddr>, domains: &[&Domain], report: &mut Report) {
        let client = Client::new(self.settings, trackers);
        let settings = self.settings.clone();
        let tmpdir = self.tmpdir.to_owned();
        let mut store = MogileFs::new(client, Box::new(Domains), settings, tmpdir);
        for domain in domains {
            let mut classes: BTreeSet<&[u8]> = domain.classes.iter().map(Vec::as_slice).collect();
            classes.insert(DEFAULT_CLASS);
            for class in classes {
                let dir = Path::root().child(&domain.name).child(class);
                let name = format!("class {} of {}", bare(class), bare(&domain.name));
                let begin = Instant::now();
                match probe(&mut store, &dir) {
                    Ok(()) => {
                        let took = millis(begin.elapsed());
                        let text = format!("{name}: stored, read and removed a file in {took}");
                        report.add(Severity::Ok, &text);
                    }
                    Err(error) => report.add(Severity::Critical, &format!("{name}: {error}")),
                }
            }
        }
    }
}

/// Asks a tracker twice: the second time it is known where the time went.
fn tracker(
    settings: &config::Mogilefs,
    address: SocketAddr,
) -> Result<(Vec<Domain>, String), mogilefs::Error> {
    let client = Client::new(settings, vec![address]);
    let begin = Instant::now();
    let mut trackers = client.trackers()?;
    trackers.get_domains()?;
    let first = begin.elapsed();
    let begin = Instant::now();
    let domains = trackers.get_domains()?;
    let text = format!(
        "{} domains, answered in {}, then in {}",
        domains.len(),
        millis(first),
        millis(begin.elapsed())
    );
    Ok((domains, text))
}

/// Stores a file of its own name in `dir`, reads it back and removes it.
pub(super) fn probe(store: &mut dyn Store, dir: &Path) -> Result<(), Error> {
    let mut content = vec![0; PROBE];
    getrandom::fill(&mut content).map_err(|error| Error::Broken(error.to_string()))?;
    let name = hexadecimal(content.get(..8).unwrap_or_default());
    let path = dir.child(format!(".check-nanoftpd-{name}").as_bytes());
    store.put(&path, &mut content.as_slice(), &Plan::default())?;
    let read = read(store, &path);
    store
        .remove(&path)
        .map_err(|error| Error::Broken(format!("{path} was stored and stays: {error}")))?;
    if read? == content {
        Ok(())
    } else {
        Err(Error::Broken(
            "what was read is not what was stored".to_owned(),
        ))
    }
}

fn read(store: &mut dyn Store, path: &Path) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    let limit = PROBE as u64 + 1;
    let read = match store.open(path, 0)? {
        Body::Stream(stream, _) => stream.take(limit).read_to_end(&mut content),
        Body::File(file, _, _) => file.take(limit).read_to_end(&mut content),
    };
    read.map_err(|error: io::Error| Error::Broken(format!("reading it back: {error}")))?;
    Ok(content)
}

fn has_class(domain: &Domain, name: &[u8]) -> bool {
    name == DEFAULT_CLASS || domain.classes.iter().any(|class| class == name)
}

fn classes(domain: &Domain) -> String {
    let names: Vec<String> = domain
        .classes
        .iter()
        .map(|class| bare(class).to_string())
        .collect();
    match names.len() {
        0..=MOST_NAMED => format!("exists, classes {}", names.join(", ")),
        count => format!("exists, {count} classes"),
    }
}

/// `0.8 ms`
fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
