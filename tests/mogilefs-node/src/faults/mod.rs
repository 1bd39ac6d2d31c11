//! Faults that tests ask for: what kinds there are, which are set, and which strike a given request.
//! What a fault does to an answer or to a transfer is said where answers and transfers are made.

mod kinds;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::door::lock;

pub(crate) use kinds::{KINDS, Kind, Side};

const FILTERS: &[&str] = &[
    "cmd", "tracker", "dev", "method", "fid", "count", "after", "lasting",
];

/// One fault that was set.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    params: BTreeMap<String, String>,
    /// How many more times; `None`: for ever.
    left: Option<u64>,
    /// How many that match are let through first.
    skip: u64,
    hits: u64,
    until: Option<Instant>,
}

impl Fault {
    /// Reads `NAME key=value …`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words.next().ok_or("which fault?")?;
        let kind = Kind::named(name).ok_or_else(|| format!("no fault is called {name}"))?;
        let mut params = BTreeMap::new();
        for word in words {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word}: no ="))?;
            if !kind.takes(key) && !FILTERS.contains(&key) {
                return Err(format!("{name} has no {key}="));
            }
            let numeric = !["cmd", "method", "code", "text", "dev"].contains(&key);
            if numeric && value.parse::<i64>().is_err() {
                return Err(format!("{key}={value}: not a number"));
            }
            params.insert(key.to_owned(), value.to_owned());
        }
        let whole = |key: &str| {
            params
                .get(key)
                .and_then(|value: &String| value.parse().ok())
        };
        let until = whole("lasting").map(|ms| Instant::now() + Duration::from_millis(ms));
        let (left, skip) = (whole("count"), whole("after").unwrap_or(0));
        Ok(Self {
            name: kind.name,
            params,
            left,
            skip,
            hits: 0,
            until,
        })
    }

    /// A parameter as text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.params.get(key).map(String::as_str)
    }

    /// A parameter as a number.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.text(key)?.parse().ok()
    }

    /// A parameter as a number that may be negative.
    pub(crate) fn signed(&self, key: &str) -> Option<i64> {
        self.text(key)?.parse().ok()
    }

    fn over(&self, now: Instant) -> bool {
        self.left == Some(0) || self.until.is_some_and(|until| until <= now)
    }

    fn fits(&self, target: &Target<'_>) -> bool {
        let Some(kind) = Kind::named(self.name).filter(|kind| kind.side == target.side) else {
            return false;
        };
        let verb = if kind.side == Side::Command {
            "cmd"
        } else {
            "method"
        };
        let named = self.text(verb);
        let verb_fits = match named {
            Some(list) => list
                .split(',')
                .any(|verb| verb.eq_ignore_ascii_case(target.verb)),
            None => kind.strikes(target.verb),
        };
        let place = match kind.side {
            Side::Command | Side::Tracker => "tracker",
            Side::Request | Side::Device => "dev",
        };
        let place_fits = self
            .text(place)
            .is_none_or(|list| list.split(',').any(|id| id.parse() == Ok(target.number)));
        let fid_fits = self.number("fid").is_none_or(|fid| target.fid == Some(fid));
        verb_fits && place_fits && fid_fits
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)?;
        for (key, value) in self.params.iter().filter(|(key, _)| *key != "count") {
            write!(f, " {key}={value}")?;
        }
        if let Some(left) = self.left {
            write!(f, " left={left}")?;
        }
        write!(f, " hits={}", self.hits)
    }
}

/// What a fault may strike.
pub(crate) struct Target<'a> {
    pub(crate) side: Side,
    /// The command or the method; empty for a whole tracker or device.
    pub(crate) verb: &'a str,
    /// Which tracker (from 1) or device.
    pub(crate) number: u32,
    pub(crate) fid: Option<u64>,
}

/// The faults that are set.
#[derive(Default)]
pub(crate) struct Faults {
    set: Mutex<Vec<Fault>>,
    any: AtomicBool,
}

impl Faults {
    /// Sets one more.
    pub(crate) fn add(&self, fault: Fault) {
        lock(&self.set).push(fault);
        self.any.store(true, Ordering::Release);
    }

    /// Takes all away, or those of one name.
    pub(crate) fn clear(&self, name: Option<&str>) {
        let mut set = lock(&self.set);
        set.retain(|fault| name.is_some_and(|name| fault.name != name));
        self.any.store(!set.is_empty(), Ordering::Release);
    }

    /// One line for each that is set.
    pub(crate) fn lines(&self) -> Vec<String> {
        lock(&self.set).iter().map(Fault::to_string).collect()
    }

    /// No fault at all is set.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    /// The faults that strike here and now; each is counted.
    pub(crate) fn strike(&self, target: &Target<'_>) -> Vec<Fault> {
        if self.is_quiet() {
            return Vec::new();
        }
        let now = Instant::now();
        let mut set = lock(&self.set);
        let mut struck = Vec::new();
        for fault in set
            .iter_mut()
            .filter(|fault| !fault.over(now) && fault.fits(target))
        {
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.left = fault.left.map(|left| left.saturating_sub(1));
            fault.hits += 1;
            struck.push(fault.clone());
        }
        struck
    }

    /// Is this whole tracker or device shut? Nothing is counted.
    pub(crate) fn shuts(&self, side: Side, number: u32) -> bool {
        let target = Target {
            side,
            verb: "",
            number,
            fid: None,
        };
        let now = Instant::now();
        lock(&self.set)
            .iter()
            .any(|fault| !fault.over(now) && fault.fits(&target))
    }

    /// When the next fault ends by itself.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        let now = Instant::now();
        lock(&self.set)
            .iter()
            .filter_map(|fault| fault.until)
            .filter(|until| *until > now)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command<'a>(verb: &'a str) -> Target<'a> {
        Target {
            side: Side::Command,
            verb,
            number: 1,
            fid: None,
        }
    }

    #[test]
    fn a_fault_strikes_what_it_names_and_as_often() {
        let faults = Faults::default();
        assert!(faults.strike(&command("noop")).is_empty());
        faults.add(Fault::parse("err cmd=noop,delete count=1 after=1 code=db").unwrap());
        assert!(faults.strike(&command("sleep")).is_empty());
        assert!(
            faults.strike(&command("noop")).is_empty(),
            "the first is let through"
        );
        let struck = faults.strike(&command("delete"));
        assert_eq!(
            struck.first().and_then(|fault| fault.text("code")),
            Some("db")
        );
        assert!(faults.strike(&command("noop")).is_empty(), "once only");
        assert_eq!(
            faults.lines(),
            ["err after=1 cmd=noop,delete code=db left=0 hits=1"]
        );
    }

    #[test]
    fn defaults_limit_a_fault_to_what_it_is_for() {
        let faults = Faults::default();
        faults.add(Fault::parse("cut dev=2").unwrap());
        let request = |verb, number| Target {
            side: Side::Request,
            verb,
            number,
            fid: Some(7),
        };
        assert_eq!(faults.strike(&request("GET", 2)).len(), 1);
        assert!(faults.strike(&request("HEAD", 2)).is_empty());
        assert!(faults.strike(&request("GET", 1)).is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "nosuch", "err what=1", "delay ms=x", "err code"] {
            assert!(Fault::parse(text).is_err(), "{text}");
        }
    }
}
