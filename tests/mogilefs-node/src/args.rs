//! The command line: what it may say, and the help that says so.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::faults::{Fault, KINDS, Side};
use crate::store::{Collation, DeviceId, Flavour};

/// What was asked for.
pub(crate) enum Asked {
    Help(String),
    Node(Box<Options>),
    Device(DeviceOptions),
}

/// A whole MogileFS.
pub(crate) struct Options {
    pub(crate) dir: PathBuf,
    pub(crate) trackers: Vec<SocketAddr>,
    pub(crate) control: Option<SocketAddr>,
    pub(crate) devices: DeviceId,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) storage: Vec<(DeviceId, SocketAddr)>,
    pub(crate) domains: Vec<NewDomain>,
    pub(crate) fills: Vec<NewFill>,
    pub(crate) flavour: Flavour,
    pub(crate) workers: usize,
    pub(crate) idle: Duration,
    pub(crate) watchdog: Duration,
    pub(crate) temp: Duration,
    pub(crate) upkeep: Duration,
    pub(crate) monitor: Option<Duration>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) side_channel: bool,
    pub(crate) stdin: bool,
}

/// One storage node.
pub(crate) struct DeviceOptions {
    pub(crate) dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) id: DeviceId,
    pub(crate) idle: Duration,
    pub(crate) faults: Vec<Fault>,
    pub(crate) stdin: bool,
}

/// A domain to be made, with its classes: name, mindevcount, hashtype.
pub(crate) struct NewDomain {
    pub(crate) name: String,
    pub(crate) classes: Vec<(String, u32, String)>,
}

/// Keys to be made up.
pub(crate) struct NewFill {
    pub(crate) domain: String,
    pub(crate) prefix: String,
    pub(crate) count: u64,
    pub(crate) size: u64,
    pub(crate) class: Option<String>,
}

const USAGE: &str = "\
usage: mogilefs-node --dir DIR [--tracker ADDR:PORT]... [options]
       mogilefs-node --device DIR --listen ADDR:PORT [--devid N] [--idle S] [--fault F]... [--stdin]

A whole MogileFS in one process, for tests: trackers, their data base, storage devices. Prints
`tracker ADDR:PORT` for each tracker, `control ADDR:PORT` where asked for, `device N ADDR:PORT` for
each device, then `ready`. Ends on SIGTERM, SIGINT and `!shutdown`.

  --dir DIR               data of this node; keys, classes and uploads survive a restart
  --tracker ADDR:PORT     listen there; may be repeated, all share one state (127.0.0.1:0)
  --devices N             devices of this process, numbered from 1 (3)
  --device-listen A:P     where the first (second, ...) of them listens (127.0.0.1:0)
  --side-channel          give each of them a side channel too, and print `side N ADDR:PORT`
  --storage ID=ADDR:PORT  a device that another process serves (see --device)
  --domain NAME:CLASS,... make a domain and its classes; CLASS is NAME[=MINDEVCOUNT[=HASHTYPE]]
  --fill DOMAIN:PREFIX:COUNT[:SIZE[:CLASS]]
                          make up keys PREFIX0..1 to COUNT with bodies of SIZE bytes (10); without
                          CLASS: the one that PREFIX's first part names, or the default
  --store sqlite|mysql    the data base that is played (sqlite)
  --collation binary|ci|linguistic
                          its order of keys (sqlite: binary, mysql: ci)
  --workers N             requests that run at once on a tracker; the others wait (20)
  --idle S                a storage connection that is silent so long is closed (30)
  --watchdog S            a look at a silent storage node takes so long (30)
  --temp-ttl S            life of an upload that is not closed (3600)
  --upkeep MS             pause before copies are made and deleted files removed (0)
  --monitor MS            look at the devices that often and offer only those that answer (never)
  --control ADDR:PORT     one more port for `!` lines, which no fault touches
  --fault 'NAME k=v ...'  set a fault at once; may be repeated
  --stdin                 end when standard input ends
  --device DIR --listen ADDR:PORT --devid N
                          be one storage node, with device N (1) in DIR

On a tracker's port, beside the commands:
  !fault NAME k=v ...     set a fault; !fault clear [NAME] takes it away; !faults lists
  !device dev=N status=S observed=O free=MB
                          what the tracker thinks of a device
  !hold on|off            no copying and no deleting meanwhile
  !calls !reset-calls     requests by command, and how often a rename hit an existing key
  !temprows !rows         uploads under way; files (domain key fid class length devids)
  !version !stats !jobs !queue !shutdown, as the real tracker has them

Faults. All take count=N (so often, then never), after=N (let N pass first), lasting=MS. Those of a
tracker take tracker=N (from 1), those of a command also cmd=NAME,...; those of a device dev=N,...,
those of a request also method=NAME,... (GET and PUT where nothing else is said) and fid=N.
";

/// Reads the arguments.
pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut given: Vec<(String, String)> = Vec::new();
    let mut args = args;
    while let Some(arg) = args.next() {
        let Some(name) = arg.strip_prefix("--") else {
            return Err(format!("{arg}: what is it?"));
        };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None if name == "help" => return Ok(Asked::Help(help())),
            None if matches!(name, "stdin" | "side-channel") => (name.to_owned(), String::new()),
            None => {
                let value = args
                    .next()
                    .ok_or_else(|| format!("--{name} needs a value"))?;
                (name.to_owned(), value)
            }
        };
        given.push((name, value));
    }
    let mut given = Given(given);
    match given.take("device") {
        Some(dir) => given.device(dir.into()).map(Asked::Device),
        None => given.node().map(|options| Asked::Node(Box::new(options))),
    }
}

struct Given(Vec<(String, String)>);

impl Given {
    fn node(mut self) -> Result<Options, String> {
        let dir = self.take("dir").ok_or("--dir is needed")?.into();
        let mut trackers = self.each("tracker", address)?;
        if trackers.is_empty() {
            trackers.push(SocketAddr::from(([127, 0, 0, 1], 0)));
        }
        let mysql = match self.take("store").as_deref() {
            None | Some("sqlite") => false,
            Some("mysql") => true,
            Some(other) => return Err(format!("--store {other}: sqlite or mysql")),
        };
        let collation = match self.take("collation") {
            None if mysql => Collation::Ci,
            None => Collation::Binary,
            Some(name) => Collation::named(&name).ok_or("--collation binary, ci or linguistic")?,
        };
        let options = Options {
            dir,
            trackers,
            control: self.each("control", address)?.pop(),
            devices: self.number("devices", 3)?,
            listen: self.each("device-listen", address)?,
            storage: self.each("storage", storage)?,
            domains: self.each("domain", domain)?,
            fills: self.each("fill", fill)?,
            flavour: Flavour { mysql, collation },
            workers: self.number("workers", 20)?,
            idle: self.seconds("idle", 30.0)?,
            watchdog: self.seconds("watchdog", 30.0)?,
            temp: self.seconds("temp-ttl", 3600.0)?,
            upkeep: Duration::from_millis(self.number("upkeep", 0)?),
            monitor: match self.number("monitor", 0)? {
                0 => None,
                ms => Some(Duration::from_millis(ms)),
            },
            faults: self.each("fault", Fault::parse)?,
            side_channel: self.take("side-channel").is_some(),
            stdin: self.take("stdin").is_some(),
        };
        self.finish()?;
        Ok(options)
    }

    fn device(mut self, dir: PathBuf) -> Result<DeviceOptions, String> {
        let options = DeviceOptions {
            dir,
            listen: self
                .each("listen", address)?
                .pop()
                .ok_or("--listen is needed")?,
            id: self.number("devid", 1)?,
            idle: self.seconds("idle", 30.0)?,
            faults: self.each("fault", Fault::parse)?,
            stdin: self.take("stdin").is_some(),
        };
        self.finish()?;
        Ok(options)
    }

    /// The last value of an option.
    fn take(&mut self, name: &str) -> Option<String> {
        let mut last = None;
        self.0.retain(|(known, value)| {
            if known == name {
                last = Some(value.clone());
            }
            known != name
        });
        last
    }

    fn each<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let all: Vec<String> = self
            .0
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, v)| v.clone())
            .collect();
        self.take(name);
        let read = |value: &String| read(value).map_err(|why| format!("--{name} {value}: {why}"));
        all.iter().map(read).collect()
    }

    fn number<T: std::str::FromStr>(&mut self, name: &str, default: T) -> Result<T, String> {
        match self.take(name) {
            None => Ok(default),
            Some(value) => value
                .parse()
                .map_err(|_| format!("--{name} {value}: not a number")),
        }
    }

    fn seconds(&mut self, name: &str, default: f64) -> Result<Duration, String> {
        let seconds = self.number(name, default)?;
        let time = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| !time.is_zero());
        time.ok_or_else(|| format!("--{name} {seconds}: not a time"))
    }

    fn finish(&self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("--{name}: no such option here")),
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "an address and a port are needed".to_owned())
}

fn storage(text: &str) -> Result<(DeviceId, SocketAddr), String> {
    let (id, addr) = text.split_once('=').ok_or("ID=ADDR:PORT is needed")?;
    let id = id.parse().map_err(|_| "the ID is a number".to_owned())?;
    Ok((id, address(addr)?))
}

fn domain(text: &str) -> Result<NewDomain, String> {
    let (name, classes) = text.split_once(':').unwrap_or((text, ""));
    let class = |text: &str| {
        let mut parts = text.split('=');
        let name = parts.next().unwrap_or_default().to_owned();
        let mindevcount = parts.next().map_or(Ok(2), str::parse);
        let mindevcount = mindevcount.map_err(|_| "MINDEVCOUNT is a number".to_owned())?;
        Ok::<_, String>((name, mindevcount, parts.next().unwrap_or("NONE").to_owned()))
    };
    let classes = classes
        .split(',')
        .filter(|class| !class.is_empty())
        .map(class);
    Ok(NewDomain {
        name: name.to_owned(),
        classes: classes.collect::<Result<_, _>>()?,
    })
}

fn fill(text: &str) -> Result<NewFill, String> {
    let mut parts = text.split(':').map(str::to_owned);
    let mut next = || parts.next().ok_or("DOMAIN:PREFIX:COUNT is needed");
    let (domain, prefix, count) = (next()?, next()?, next()?);
    let number = |text: &str| text.parse().map_err(|_| format!("{text}: not a number"));
    let count = number(&count)?;
    let size = parts.next().map_or(Ok(10), |size| number(&size))?;
    Ok(NewFill {
        domain,
        prefix,
        count,
        size,
        class: parts.next(),
    })
}

fn help() -> String {
    let mut text = USAGE.to_owned();
    for (side, title) in [
        (Side::Tracker, "of a tracker"),
        (Side::Command, "of a command"),
        (Side::Device, "of a device"),
        (Side::Request, "of a request to a device"),
    ] {
        text.push_str(&format!("\n {title}:\n"));
        for kind in KINDS.iter().filter(|kind| kind.side == side) {
            text.push_str(&format!("  {:14} {}\n", kind.name, kind.help));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, String> {
        match parse(line.split_whitespace().map(str::to_owned)) {
            Ok(Asked::Node(options)) => Ok(*options),
            Ok(_) => Err("something else".to_owned()),
            Err(why) => Err(why),
        }
    }

    #[test]
    fn a_full_line_is_read() {
        let options = options(
            "--dir /d --tracker 127.0.0.1:1 --tracker=127.0.0.1:2 --domain a:x,y=3=MD5 \
             --fill a:p/:100:5 --store mysql --idle 0.5 --stdin --storage 7=127.0.0.1:9",
        )
        .unwrap();
        assert_eq!(options.trackers.len(), 2);
        let domain = options.domains.first().unwrap();
        assert_eq!(
            domain.classes,
            [
                ("x".to_owned(), 2, "NONE".to_owned()),
                ("y".to_owned(), 3, "MD5".to_owned())
            ]
        );
        assert_eq!(options.flavour.collation, Collation::Ci);
        assert_eq!(options.idle, Duration::from_millis(500));
        assert!(options.stdin && options.fills.first().unwrap().size == 5);
    }

    #[test]
    fn mistakes_are_named() {
        for line in [
            "",
            "--dir",
            "--dir d --what 1",
            "--dir d --tracker x",
            "x",
            "--dir d --idle 0",
        ] {
            assert!(options(line).is_err(), "{line}");
        }
    }
}
