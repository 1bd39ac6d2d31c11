//! The tracker's commands, typed. Each knows how long it may take, whether it may be sent twice,
//! and what an answer to the second sending says of the first.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::answers::{device, domain, fate, listed, object, rows};
use super::connection::Answer;
use super::{Repeat, Trackers, is_passing};
use crate::mogilefs::wire::Request;
use crate::mogilefs::{Device, Domain, Error, Fate, Object, Opened, Row, Target};
use crate::text::quoted_error;
use crate::vigil;

/// How many paths of a file are asked for.
const PATHS: &str = "4";

/// The name that a tracker knows the default class by, and refuses in `create_open`.
const DEFAULT_CLASS: &[u8] = b"default";

/// How long the giving back of an unused fid may take: nobody depends on it.
pub(super) const ABORT: Duration = Duration::from_secs(5);

impl Trackers {
    /// What is stored under `key`.
    pub(crate) fn file_info(&mut self, domain: &[u8], key: &[u8]) -> Result<Object, Error> {
        let request = about("file_info", domain, key);
        object(&self.ask(&request, self.limits.request, Repeat::Freely)?)
    }

    /// The checksum of the file under `key`, such as `MD5:hex`, where its class asks for one.
    pub(crate) fn checksum(&mut self, domain: &[u8], key: &[u8]) -> Result<Option<String>, Error> {
        let request = about("file_info", domain, key);
        let fields = self.ask(&request, self.limits.request, Repeat::Freely)?;
        Ok(fields.text("checksum").map(|text| text.to_string()))
    }

    /// On how many devices the file under `key` is.
    pub(crate) fn copies(&mut self, domain: &[u8], key: &[u8]) -> Result<u32, Error> {
        let request = about("file_info", domain, key).with("devices", "1");
        let fields = self.ask(&request, self.limits.request, Repeat::Freely)?;
        let devices = fields.text("devids").unwrap_or_default();
        let count = devices.split(',').filter(|id| !id.is_empty()).count();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// The same for many keys at once, in their order.
    pub(crate) fn file_infos(
        &mut self,
        domain: &[u8],
        keys: &[&[u8]],
    ) -> Result<Vec<Result<Object, Error>>, Error> {
        let requests: Vec<_> = keys
            .iter()
            .map(|key| about("file_info", domain, key))
            .collect();
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.ask_all(&requests, self.limits.request, Repeat::Freely)?;
        let seen = |answer: Answer| {
            answer
                .map_err(Error::from)
                .and_then(|fields| object(&fields))
        };
        Ok(answers.into_iter().map(seen).collect())
    }

    /// What is stored under `key`, and where, as far as the tracker knows without asking the nodes.
    pub(crate) fn locate(
        &mut self,
        domain: &[u8],
        key: &[u8],
    ) -> Result<(Object, Vec<String>), Error> {
        let requests = [
            about("file_info", domain, key),
            about("get_paths", domain, key)
                .with("noverify", "1")
                .with("pathcount", PATHS),
        ];
        let mut answers = self.ask_all(&requests, self.limits.request, Repeat::Freely)?;
        let paths = answers.pop();
        let Some(Ok(object_fields)) = answers.pop() else {
            // Refused, or failed in the tracker: asked again, one by one.
            let object = self.file_info(domain, key)?;
            return Ok((object, self.get_paths(domain, key, false)?));
        };
        match paths {
            Some(Ok(fields)) => Ok((object(&object_fields)?, listed(fields, "path", "paths"))),
            _ => Ok((object(&object_fields)?, self.get_paths(domain, key, false)?)),
        }
    }

    /// Where the copies of a file are. `verify` has the tracker ask the nodes, which takes long
    /// where a node hangs. None is a possible answer.
    pub(crate) fn get_paths(
        &mut self,
        domain: &[u8],
        key: &[u8],
        verify: bool,
    ) -> Result<Vec<String>, Error> {
        let mut request = about("get_paths", domain, key).with("pathcount", PATHS);
        let mut limit = self.limits.admin;
        if !verify {
            request = request.with("noverify", "1");
            limit = self.limits.request;
        }
        let fields = self.ask(&request, limit, Repeat::Freely)?;
        Ok(listed(fields, "path", "paths"))
    }

    /// Where the copies of many files are, as far as the tracker knows, in the order of the keys.
    /// Where it cannot say there are none.
    pub(crate) fn paths_of(
        &mut self,
        domain: &[u8],
        keys: &[&[u8]],
    ) -> Result<Vec<Vec<String>>, Error> {
        let ask = |key: &&[u8]| {
            about("get_paths", domain, key)
                .with("noverify", "1")
                .with("pathcount", PATHS)
        };
        let requests: Vec<_> = keys.iter().map(ask).collect();
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.ask_all(&requests, self.limits.request, Repeat::Freely)?;
        let paths = |answer: Answer| {
            answer
                .map(|fields| listed(fields, "path", "paths"))
                .unwrap_or_default()
        };
        Ok(answers.into_iter().map(paths).collect())
    }

    /// The files whose fids follow `after`, of all domains, up to 500, in no order.
    pub(crate) fn list_fids(&mut self, after: u64) -> Result<Vec<Row>, Error> {
        let request = Request::new("list_fids")
            .with("from", after.to_string())
            .with("to", "500");
        Ok(rows(self.ask(
            &request,
            self.limits.request,
            Repeat::Freely,
        )?))
    }

    /// What has become of a fid that was opened: the one way to learn whether a close whose answer
    /// never came was carried out.
    pub(crate) fn file_debug(&mut self, fid: u64) -> Result<Fate, Error> {
        let request = Request::new("file_debug").with("fid", fid.to_string());
        match self.ask(&request, self.limits.request, Repeat::Freely) {
            Ok(fields) => Ok(fate(fields, fid)),
            Err(error) if error.is("unknown_fid") => Ok(Fate::Unknown),
            Err(error) => Err(error),
        }
    }

    /// Up to `limit` keys (1 to 1000) that begin with `prefix` and come after `after`, in the order
    /// of the tracker's database. The tracker takes `prefix` for a pattern as soon as there is an
    /// `after`, and may also return keys that differ from it in case.
    pub(crate) fn list_keys(
        &mut self,
        domain: &[u8],
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let request = Request::new("list_keys")
            .with("domain", domain)
            .with("prefix", prefix)
            .with("after", after)
            .with("limit", limit.to_string());
        match self.ask(&request, self.limits.request, Repeat::Freely) {
            Ok(mut fields) => {
                let count = fields.number("key_count").unwrap_or(0);
                Ok((1..=count)
                    .map_while(|number: usize| fields.take(&format!("key_{number}")))
                    .collect())
            }
            Err(error) if error.is("none_match") => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// A fid and places to put a file that has `size` bytes, if that is known. `class` `default` is not sent: trackers
    /// refuse the name here.
    pub(crate) fn create_open(
        &mut self,
        domain: &[u8],
        key: &[u8],
        class: &[u8],
        size: Option<u64>,
    ) -> Result<Opened, Error> {
        let mut request = about("create_open", domain, key).with("multi_dest", "1");
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
        let mut request = close(domain, key, fid, target).with("size", size.to_string());
        if let Some(md5) = md5 {
            let digits: String = md5.iter().map(|byte| format!("{byte:02x}")).collect();
            request = request.with("checksum", format!("MD5:{digits}"));
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
        self.ask(&close(domain, b"", fid, target), ABORT, Repeat::Never)
            .map(|_| ())
    }

    /// Removes `key`.
    pub(crate) fn delete(&mut self, domain: &[u8], key: &[u8]) -> Result<(), Error> {
        let request = about("delete", domain, key);
        self.insist(&request, self.limits.request, "unknown_key")
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
        let _quiet = vigil::undisturbed();
        let source = self.file_info(domain, from)?;
        if from == to {
            return Ok(source);
        }
        self.must_be_free(domain, to)?;
        let request = Request::new("rename")
            .with("domain", domain)
            .with("from_key", from)
            .with("to_key", to);
        for last in [false, true] {
            let doubt = match self.ask(&request, self.limits.request, Repeat::Never) {
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

    /// All domains with their classes, sorted by name: trackers list them in no order.
    pub(crate) fn get_domains(&mut self) -> Result<Vec<Domain>, Error> {
        let request = Request::new("get_domains");
        let mut fields = self.ask(&request, self.limits.request, Repeat::Freely)?;
        let count: u32 = fields.number("domains").unwrap_or(0);
        let mut domains: Vec<Domain> = (1..=count)
            .map_while(|number| domain(&mut fields, number))
            .collect();
        domains.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(domains)
    }

    /// All devices.
    pub(crate) fn get_devices(&mut self) -> Result<Vec<Device>, Error> {
        let request = Request::new("get_devices");
        let fields = self.ask(&request, self.limits.request, Repeat::Freely)?;
        let count: u32 = fields.number("devices").unwrap_or(0);
        Ok((1..=count)
            .map_while(|number| device(&fields, number))
            .collect())
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

    fn must_be_free(&mut self, domain: &[u8], key: &[u8]) -> Result<(), Error> {
        match self.file_info(domain, key) {
            Err(error) if error.is("unknown_key") => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::Refused {
                code: "key_exists".to_owned(),
                text: "looked up before the rename".to_owned(),
            }),
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

fn about(command: &'static str, domain: &[u8], key: &[u8]) -> Request {
    Request::new(command)
        .with("domain", domain)
        .with("key", key)
}

pub(super) fn close(domain: &[u8], key: &[u8], fid: u64, target: &Target) -> Request {
    about("create_close", domain, key)
        .with("fid", fid.to_string())
        .with("devid", target.device.to_string())
        .with("path", &target.url)
}
