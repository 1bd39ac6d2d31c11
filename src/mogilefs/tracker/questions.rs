//! What a tracker is asked, typed. Each question knows how long it may take; all of them may be asked
//! twice.
#![forbid(unsafe_code)]

use super::answers::{device, domain, fate, listed, object, rows};
use super::connection::Answer;
use super::{Repeat, Trackers};
use crate::config::Zone;
use crate::mogilefs::wire::{Fields, Request};
use crate::mogilefs::{Device, Domain, Error, Fate, Object, Row};

/// How many paths of a file are asked for.
const PATHS: &str = "4";

impl Trackers {
    /// What is stored under `key`.
    pub(crate) fn file_info(&mut self, domain: &[u8], key: &[u8]) -> Result<Object, Error> {
        let request = about("file_info", domain, key);
        object(&self.inquire(&request)?)
    }

    /// The checksum of the file under `key`, such as `MD5:hex`, where its class asks for one.
    pub(crate) fn checksum(&mut self, domain: &[u8], key: &[u8]) -> Result<Option<String>, Error> {
        let request = about("file_info", domain, key);
        let fields = self.inquire(&request)?;
        Ok(fields.text("checksum").map(|text| text.to_string()))
    }

    /// On how many devices the file under `key` is.
    pub(crate) fn copies(&mut self, domain: &[u8], key: &[u8]) -> Result<u32, Error> {
        let request = about("file_info", domain, key).with("devices", "1");
        let fields = self.inquire(&request)?;
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
        let ask = |key: &&[u8]| about("file_info", domain, key);
        let requests: Vec<_> = keys.iter().map(ask).collect();
        let answers = self.inquire_all(&requests)?;
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
            known_paths(self.zone, domain, key),
        ];
        let mut answers = self.inquire_all(&requests)?;
        let paths = answers.pop();
        // What was refused, or failed in the tracker, is asked again by itself; and the paths of a file that
        // may be another one by then.
        let (object, paths) = match answers.pop() {
            Some(Ok(found)) => (object(&found)?, paths),
            _ => (self.file_info(domain, key)?, None),
        };
        let paths = match paths {
            Some(Ok(fields)) => listed(fields, "path", "paths"),
            _ => self.get_paths(domain, key, false)?,
        };
        Ok((object, paths))
    }

    /// Where the copies of a file are. `verify` has the tracker ask the nodes, which takes long
    /// where a node hangs. None is a possible answer.
    pub(crate) fn get_paths(
        &mut self,
        domain: &[u8],
        key: &[u8],
        verify: bool,
    ) -> Result<Vec<String>, Error> {
        let fields = match verify {
            true => self.ask(
                &paths(self.zone, domain, key),
                self.limits.admin,
                Repeat::Freely,
            )?,
            false => self.inquire(&known_paths(self.zone, domain, key))?,
        };
        Ok(listed(fields, "path", "paths"))
    }

    /// Where the copies of many files are, as far as the tracker knows, in the order of the keys.
    /// Where it cannot say there are none.
    pub(crate) fn paths_of(
        &mut self,
        domain: &[u8],
        keys: &[&[u8]],
    ) -> Result<Vec<Vec<String>>, Error> {
        let ask = |key: &&[u8]| known_paths(self.zone, domain, key);
        let requests: Vec<_> = keys.iter().map(ask).collect();
        let answers = self.inquire_all(&requests)?;
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
        Ok(rows(self.inquire(&request)?))
    }

    /// What has become of a fid that was opened: the one way to learn whether a close whose answer
    /// never came was carried out.
    pub(crate) fn file_debug(&mut self, fid: u64) -> Result<Fate, Error> {
        let request = Request::new("file_debug").with("fid", fid.to_string());
        match self.inquire(&request) {
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
        match self.inquire(&request) {
            Ok(mut fields) => {
                let count = fields.number("key_count").unwrap_or(0);
                Ok((1..=limit.min(count))
                    .map_while(|number: usize| fields.take(&format!("key_{number}")))
                    .collect())
            }
            Err(error) if error.is("none_match") => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// All domains with their classes, sorted by name: trackers list them in no order.
    pub(crate) fn get_domains(&mut self) -> Result<Vec<Domain>, Error> {
        let request = Request::new("get_domains");
        let mut fields = self.inquire(&request)?;
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
        let fields = self.inquire(&request)?;
        let count: u32 = fields.number("devices").unwrap_or(0);
        Ok((1..=count)
            .map_while(|number| device(&fields, number))
            .collect())
    }

    /// Asks what can be answered from the database.
    fn inquire(&mut self, request: &Request) -> Result<Fields, Error> {
        self.ask(request, self.limits.request, Repeat::Freely)
    }

    /// The same of many at once; the answers come in their order.
    fn inquire_all(&mut self, requests: &[Request]) -> Result<Vec<Answer>, Error> {
        match requests {
            [] => Ok(Vec::new()),
            requests => self.ask_all(requests, self.limits.request, Repeat::Freely),
        }
    }
}

/// Where the copies of a file are, once the tracker has looked.
fn paths(zone: Option<Zone>, domain: &[u8], key: &[u8]) -> Request {
    about("get_paths", domain, key)
        .within(zone)
        .with("pathcount", PATHS)
}

/// The same as far as the tracker knows.
fn known_paths(zone: Option<Zone>, domain: &[u8], key: &[u8]) -> Request {
    paths(zone, domain, key).with("noverify", "1")
}

/// Most commands name a key.
pub(super) fn about(command: &'static str, domain: &[u8], key: &[u8]) -> Request {
    Request::new(command)
        .with("domain", domain)
        .with("key", key)
}
