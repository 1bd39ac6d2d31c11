//! What a tracker is told to change, typed. Each command knows how long it may take, whether it may
//! be sent twice, and what an answer to the second sending says of the first.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::questions::about;
use super::{Repeat, Trackers, is_passing};
use crate::config::Zone;
use crate::mogilefs::wire::Request;
use crate::mogilefs::{Error, Object, Opened, Target};
use crate::text::{hexadecimal, quoted_error};
use crate::vigil;

/// The name that a tracker knows the default class by, and refuses in `create_open`.
const DEFAULT_CLASS: &[u8] = b"default";

/// How long the giving back of an unused fid may take: nobody depends on it.
pub(super) const ABORT: Duration = Duration::from_secs(5);

impl Trackers {
    /// A fid and places to put a file that has `size` bytes, if that is known. `class` `default` is
    /// not sent: trackers refuse the name here.
    pub(crate) fn create_open(
        &mut self,
        domain: &[u8],
        key: &[u8],
        class: &[u8],
        size: Option<u64>,
    ) -> Result<Opened, Error> {
        let mut request = about("create_open", domain, key)
            .within(self.zone)
            .with("multi_dest", "1");
        if let Some(size) = size {
            request = request.with("size", size.to_string());
        }
        if class != DEFAULT_CLASS {
            request = request.with("class", class);
        }
        self.open_hedged(domain, &request)
    }

    /// Commits what was put to `target`. After an error other than a refusal it is not known
    /// whether it was carried out.
    pub(crate) fn create_close(
        &mut self,
        domain: &[u8],
        key: &[u8],
        fid: u64,
        target: &Target,
        size: u64,
        md5: Option<[u8; 16]>,
    ) -> Result<(), Error> {
        let mut request = close(self.zone, domain, key, fid, target).with("size", size.to_string());
        if let Some(md5) = md5 {
            request = request.with("checksum", format!("MD5:{}", hexadecimal(&md5)));
        }
        self.ask(&request, self.limits.close, Repeat::Never)
            .map(|_| ())
    }

    /// How long a close may take.
    pub(in crate::mogilefs) fn longest_close(&self) -> Duration {
        self.limits.close
    }

    /// Gives a fid back: what was put to `target` is deleted, and nothing appears under any key.
    pub(crate) fn abandon(
        &mut self,
        domain: &[u8],
        fid: u64,
        target: &Target,
    ) -> Result<(), Error> {
        let _quiet = vigil::undisturbed();
        let request = close(self.zone, domain, b"", fid, target);
        self.ask(&request, ABORT, Repeat::Never).map(|_| ())
    }

    /// Gives the file under `from` the key `to` and returns what it is. A tracker that is asked to
    /// rename onto an existing key answers twice, and then cuts off an innocent client: therefore
    /// it is never asked before the target was looked up.
    pub(crate) fn rename(
        &mut self,
        domain: &[u8],
        from: &[u8],
        to: &[u8],
    ) -> Result<Object, Error> {
        let source = self.file_info(domain, from)?;
        self.rename_file(domain, from, to, source, None)
    }

    /// The same of a file that was looked up before. `gone` is what was under `to`, and is elsewhere now: a
    /// database that lags behind may not know yet.
    pub(crate) fn rename_file(
        &mut self,
        domain: &[u8],
        from: &[u8],
        to: &[u8],
        source: Object,
        gone: Option<u64>,
    ) -> Result<Object, Error> {
        let _quiet = vigil::undisturbed();
        if from == to {
            return Ok(source);
        }
        match self.file_info(domain, to) {
            Err(error) if error.is("unknown_key") => {}
            Err(error) => return Err(error),
            // It is called so already, but for its case.
            Ok(other) if other.fid == source.fid || Some(other.fid) == gone => {}
            Ok(_) => {
                return Err(Error::Refused {
                    code: "key_exists".to_owned(),
                    text: "looked up before the rename".to_owned(),
                });
            }
        }
        let request = Request::new("rename")
            .with("domain", domain)
            .with("from_key", from)
            .with("to_key", to);
        for last in [false, true] {
            let doubt = match self.change(&request) {
                Ok(_) => return Ok(source),
                Err(error) if is_doubtful(&error) || error.is("unknown_key") => error,
                Err(error) => return Err(error),
            };
            log::warn!(
                "rename-doubt fid={} error={}",
                source.fid,
                quoted_error(&doubt)
            );
            match self.file_info(domain, to) {
                Ok(target) if target.fid == source.fid => return Ok(source),
                Err(error) if !last && error.is("unknown_key") => {}
                _ => return Err(doubt),
            }
        }
        Err(Error::Protocol("rename: no answer".to_owned()))
    }

    /// Moves the file under `key` to another class.
    pub(crate) fn updateclass(
        &mut self,
        domain: &[u8],
        key: &[u8],
        class: &[u8],
    ) -> Result<(), Error> {
        let _quiet = vigil::undisturbed();
        let request = about("updateclass", domain, key).with("class", class);
        self.ask(&request, self.limits.request, Repeat::Freely)
            .map(|_| ())
    }

    /// Makes a class whose files have `mindevcount` copies.
    pub(crate) fn create_class(
        &mut self,
        domain: &[u8],
        class: &[u8],
        mindevcount: u32,
    ) -> Result<(), Error> {
        let request = Request::new("create_class")
            .with("domain", domain)
            .with("class", class)
            .with("mindevcount", mindevcount.to_string());
        self.insist(&request, self.limits.admin, "class_exists")
    }

    /// Removes a class that has no files.
    pub(crate) fn delete_class(&mut self, domain: &[u8], class: &[u8]) -> Result<(), Error> {
        let request = Request::new("delete_class")
            .with("domain", domain)
            .with("class", class);
        self.insist(&request, self.limits.admin, "class_not_found")
    }

    /// Makes a domain.
    pub(crate) fn create_domain(&mut self, domain: &[u8]) -> Result<(), Error> {
        let request = Request::new("create_domain").with("domain", domain);
        self.insist(&request, self.limits.admin, "domain_exists")
    }

    /// Removes a domain that has neither files nor classes.
    pub(crate) fn delete_domain(&mut self, domain: &[u8]) -> Result<(), Error> {
        let request = Request::new("delete_domain").with("domain", domain);
        self.insist(&request, self.limits.admin, "domain_not_found")
    }

    /// Asks for a change; where it is not known whether it was made, asks once more, and then the
    /// refusal `done` says that it was.
    fn insist(&mut self, request: &Request, limit: Duration, done: &str) -> Result<(), Error> {
        let _quiet = vigil::undisturbed();
        match self.ask(request, limit, Repeat::Never) {
            Ok(_) => Ok(()),
            Err(error) if is_doubtful(&error) => {
                log::warn!(
                    "tracker-doubt command={} error={}",
                    request.command(),
                    quoted_error(&error)
                );
                match self.ask(request, limit, Repeat::Never) {
                    Err(error) if !error.is(done) => Err(error),
                    _ => Ok(()),
                }
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether a change may have been made all the same.
pub(in crate::mogilefs) fn is_doubtful(error: &Error) -> bool {
    match error {
        Error::Refused { code, .. } => is_passing(code),
        Error::Io(_) | Error::Protocol(_) | Error::Interrupted => true,
        Error::NoTracker(_) | Error::NoNode(_) | Error::Corrupt(_) | Error::Http(_) => false,
    }
}

pub(super) fn close(
    zone: Option<Zone>,
    domain: &[u8],
    key: &[u8],
    fid: u64,
    target: &Target,
) -> Request {
    about("create_close", domain, key)
        .within(zone)
        .with("fid", fid.to_string())
        .with("devid", target.device.to_string())
        .with("path", &target.url)
}
