//! A whole MogileFS in one process, for tests: command line, start, end. Where it differs from the
//! real server is said in README.md.
#![forbid(unsafe_code)]

mod args;
mod codec;
mod device;
mod dice;
mod door;
mod faults;
mod node;
mod probe;
mod store;
mod tracker;
mod upkeep;

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{SigSet, Signal};

use args::{Asked, DeviceOptions, NewDomain, NewFill, Options};
use device::Storage;
use door::lock;
use faults::{Fault, Faults, Side};
use node::{Counters, Device, Node, Patience, Queues};
use store::{Class, DEFAULT_CLASS, Event, State};

fn main() -> ExitCode {
    let run = match args::parse(std::env::args().skip(1)) {
        Ok(Asked::Help(text)) => write!(io::stdout(), "{text}"),
        Ok(Asked::Node(options)) => run_node(&options),
        Ok(Asked::Device(options)) => run_device(options),
        Err(why) => {
            let _ = writeln!(io::stderr(), "mogilefs-node: {why}\ntry --help");
            return ExitCode::from(64);
        }
    };
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "mogilefs-node: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_node(options: &Options) -> io::Result<()> {
    let (quit, ended) = channel();
    wait_for_end(&quit, options.stdin)?;
    std::fs::create_dir_all(&options.dir)?;
    let mut state = State::open(&options.dir.join("log"), options.flavour, options.devices)?;
    options
        .domains
        .iter()
        .for_each(|domain| make_domain(&mut state, domain));
    for fill in &options.fills {
        make_fill(&mut state, fill).map_err(io::Error::other)?;
    }
    let node = Arc::new(Node {
        state: Mutex::new(state),
        devices: Mutex::default(),
        faults: Arc::new(Faults::default()),
        counters: Counters::default(),
        queues: Mutex::new(Queues::default()),
        work: Condvar::new(),
        doors: Mutex::default(),
        patience: Patience {
            watchdog: options.watchdog,
            temp: options.temp,
            upkeep: options.upkeep,
        },
        started: Instant::now(),
        workers: options.workers,
        quit: Mutex::new(quit),
    });
    let mut lines = Vec::new();
    open_devices(&node, options, &mut lines)?;
    let mut trackers = Vec::new();
    for (number, addr) in (1..).zip(&options.trackers) {
        let door = tracker::serve(&node, number, *addr, options.workers)?;
        trackers.push(format!("tracker {}", door.addr()));
        lock(&node.doors).push((Side::Tracker, number, door));
    }
    if let Some(addr) = options.control {
        let door = tracker::serve_control(&node, addr)?;
        trackers.push(format!("control {}", door.addr()));
    }
    options
        .faults
        .iter()
        .cloned()
        .for_each(|fault: Fault| node.faults.add(fault));
    node.settle_doors(None);
    upkeep::start(&node, options.monitor)?;
    say(trackers.iter().chain(&lines))?;
    sleep(&ended);
    Ok(())
}

fn open_devices(node: &Arc<Node>, options: &Options, lines: &mut Vec<String>) -> io::Result<()> {
    let known = |id, addr, root| Device {
        id,
        addr,
        root,
        status: "alive".to_owned(),
        observed: "writeable".to_owned(),
        free_mb: 80_000,
        total_mb: 100_000,
    };
    for id in 1..=options.devices {
        let root = options.dir.join(format!("store{id}"));
        let asked = usize::try_from(id - 1)
            .ok()
            .and_then(|n| options.listen.get(n))
            .copied();
        let sizes = Arc::clone(node);
        let storage = Storage {
            root: root.clone(),
            number: id,
            faults: Arc::clone(&node.faults),
            idle: options.idle,
            made_up: Box::new(move |fid| lock(&sizes.state).made_up(fid)),
        };
        let door = storage.serve(asked.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))))?;
        lines.push(format!("device {id} {}", door.addr()));
        if options.side_channel {
            let side = device::side::serve(root.clone(), door.addr().ip())?;
            lines.push(format!("side {id} {}", side.addr()));
        }
        lock(&node.devices).push(known(id, door.addr(), Some(root)));
        lock(&node.doors).push((Side::Device, id, door));
    }
    for &(id, addr) in &options.storage {
        lines.push(format!("device {id} {addr}"));
        lock(&node.devices).push(known(id, addr, None));
    }
    Ok(())
}

fn run_device(options: DeviceOptions) -> io::Result<()> {
    let (quit, ended) = channel();
    wait_for_end(&quit, options.stdin)?;
    let faults = Arc::new(Faults::default());
    options
        .faults
        .into_iter()
        .for_each(|fault| faults.add(fault));
    let storage = Storage {
        root: options.dir,
        number: options.id,
        faults,
        idle: options.idle,
        made_up: Box::new(|_| None),
    };
    let door = storage.serve(options.listen)?;
    say([format!("device {} {}", options.id, door.addr())].iter())?;
    sleep(&ended);
    Ok(())
}

/// Makes what is not there yet.
fn make_domain(state: &mut State, wanted: &NewDomain) {
    if state.domain(wanted.name.as_bytes()).is_none() {
        state.record(Event::Domain(
            state.next_domain(),
            wanted.name.clone().into_bytes(),
        ));
    }
    for (name, mindevcount, hashtype) in &wanted.classes {
        let Some(domain) = state.domain(wanted.name.as_bytes()) else {
            continue;
        };
        if domain.class(name.as_bytes()).is_some() {
            continue;
        }
        let highest = domain
            .classes
            .iter()
            .map(|class| class.id)
            .max()
            .unwrap_or(DEFAULT_CLASS);
        let (domain, id) = (domain.id, highest + 1);
        state.record(Event::Class(
            domain,
            Class {
                id,
                name: name.clone().into_bytes(),
                mindevcount: *mindevcount,
                hashtype: hashtype.clone(),
                replpolicy: "MultipleHosts()".to_owned(),
            },
        ));
    }
}

fn make_fill(state: &mut State, wanted: &NewFill) -> Result<(), String> {
    let name = &wanted.domain;
    let domain = state
        .domain(name.as_bytes())
        .ok_or_else(|| format!("no domain {name}"))?;
    let first = wanted.prefix.split('/').next().unwrap_or_default();
    let class = match &wanted.class {
        Some(name) => {
            domain
                .class(name.as_bytes())
                .ok_or_else(|| format!("no class {name}"))?
                .id
        }
        None => domain
            .class(first.as_bytes())
            .map_or(DEFAULT_CLASS, |class| class.id),
    };
    let domain = domain.id;
    let prefix = wanted.prefix.clone().into_bytes();
    if !state.has_fill(domain, &prefix) {
        let (count, size, base) = (wanted.count, wanted.size, state.next_fid());
        state.record(Event::Fill {
            domain,
            class,
            prefix,
            count,
            size,
            base,
        });
    }
    Ok(())
}

/// Signals are taken by a thread of their own; every other thread has them blocked.
fn wait_for_end(quit: &Sender<()>, stdin: bool) -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let told = quit.clone();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let _ = signals.wait();
            let _ = told.send(());
        })?;
    if stdin {
        let told = quit.clone();
        thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
                let mut buffer = [0; 1024];
                while io::stdin().read(&mut buffer).is_ok_and(|count| count > 0) {}
                let _ = told.send(());
            })?;
    }
    Ok(())
}

fn sleep(ended: &Receiver<()>) {
    let _ = ended.recv();
}

fn say<'a>(lines: impl Iterator<Item = &'a String>) -> io::Result<()> {
    let mut text: String = lines.map(|line| format!("{line}\n")).collect();
    text.push_str("ready\n");
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
