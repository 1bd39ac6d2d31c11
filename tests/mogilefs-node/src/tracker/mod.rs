//! A tracker's port: connections, one request at a time in order, and what faults do to an answer.
//! What a command means is in the files beside it.

mod classes;
mod cluster;
mod console;
mod files;
mod listing;
mod lookup;
mod prank;
mod upload;
mod workers;

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::codec::{self, Answer, Args, Refusal, Request, refuse};
use crate::dice::Dice;
use crate::door::{Door, Guest, lock};
use crate::faults::{Side, Target};
use crate::node::Node;
use crate::store::{Domain, State};

use prank::Prank;
use workers::{Granted, Worker, Workers};

/// Longest request line; the real server has no limit, a test machine has.
const LINE_LIMIT: u64 = 8 << 20;

/// What a command is given.
struct Call<'a> {
    node: &'a Node,
    args: &'a Args,
    worker: &'a mut Worker,
    /// Set by a rename onto an existing key: the worker says one line too many.
    stray: bool,
}

impl Call<'_> {
    /// An exception in a handler: the client learns nothing, the worker remembers.
    fn die(&mut self, command: &str, why: &str) -> Refusal {
        self.worker.last_error = format!("Error running command '{command}': {why}\n");
        refuse("failure")
    }

    /// The domain that the request names.
    fn domain<'s>(&self, state: &'s State) -> Result<&'s Domain, Refusal> {
        let name = self
            .args
            .filled("domain")
            .ok_or_else(|| refuse("no_domain"))?;
        state.domain(name).ok_or_else(|| refuse("unreg_domain"))
    }
}

/// One tracker.
struct Tracker {
    node: Arc<Node>,
    /// From 1.
    number: u32,
    workers: Workers,
}

/// Listens and serves for ever.
pub(crate) fn serve(
    node: &Arc<Node>,
    number: u32,
    addr: SocketAddr,
    workers: usize,
) -> io::Result<Arc<Door>> {
    let door = Door::bind(addr)?;
    let tracker = Tracker {
        node: Arc::clone(node),
        number,
        workers: Workers::new(workers),
    };
    door.serve(&format!("tracker {number}"), move |guest| {
        // The client's going away is no news to anybody.
        let _ = tracker.converse(guest);
    })?;
    Ok(door)
}

/// A port for `!` lines only, which no fault ever touches.
pub(crate) fn serve_control(node: &Arc<Node>, addr: SocketAddr) -> io::Result<Arc<Door>> {
    let door = Door::bind(addr)?;
    let node = Arc::clone(node);
    door.serve("control", move |guest| {
        let mut reader = BufReader::new(&guest.stream);
        while let Ok(Some(line)) = read_line(&mut reader) {
            let text = line.strip_prefix(b"!").unwrap_or(&line);
            if (&guest.stream)
                .write_all(&console::answer(&node, text, None))
                .is_err()
            {
                return;
            }
        }
    })?;
    Ok(door)
}

/// Whether the connection goes on.
#[derive(PartialEq, Eq)]
enum After {
    Keep,
    Close,
}

impl Tracker {
    fn converse(&self, guest: &Guest) -> io::Result<()> {
        guest.stream.set_nodelay(true)?;
        let mut dice = Dice::new(guest.id ^ u64::from(self.number) << 32);
        let mut reader = BufReader::new(&guest.stream);
        while let Some(line) = read_line(&mut reader)? {
            if line.is_empty() {
                continue;
            }
            let after = match line.strip_prefix(b"!") {
                Some(text) => {
                    (&guest.stream).write_all(&console::answer(
                        &self.node,
                        text,
                        Some(self.number),
                    ))?;
                    self.node.settle_doors(None);
                    After::Keep
                }
                None => self.answer(guest, &line, &mut dice)?,
            };
            if after == After::Close {
                break;
            }
        }
        Ok(())
    }

    fn answer(&self, guest: &Guest, line: &[u8], dice: &mut Dice) -> io::Result<After> {
        let request = Request::parse(line);
        let verb = request
            .as_ref()
            .map_or("", |request| request.command.as_str());
        self.node.counters.queries.fetch_add(1, Ordering::Relaxed);
        let counted = if verb.is_empty() { "?" } else { verb };
        *lock(&self.node.counters.calls)
            .entry(counted.to_owned())
            .or_default() += 1;
        let target = Target {
            side: Side::Command,
            verb,
            number: self.number,
            fid: None,
        };
        let prank = Prank::of(&self.node.faults.strike(&target));
        if prank.mute {
            return Ok(After::Keep);
        }
        if prank.close {
            return Ok(After::Close);
        }
        let (mut worker, waited) = match self.workers.take(guest.id) {
            Granted::Free(worker) => (worker, false),
            Granted::Queued(worker) => (worker, true),
            Granted::Struck => {
                self.node.counters.victims.fetch_add(1, Ordering::Relaxed);
                return Ok(After::Close);
            }
        };
        if waited && has_left(&guest.stream) {
            self.workers.give_back(worker);
            return Ok(After::Close);
        }
        let (answer, stray) = match &request {
            Some(request) => {
                worker.last_callid = request.args.get("callid").map(<[u8]>::to_vec);
                self.run(request, &mut worker, &prank)
            }
            // The callid is that of an earlier request, as on the real server.
            None => (Err(refuse("unknown_command")), false),
        };
        pause(prank.late);
        let callid = worker.last_callid.clone();
        if stray {
            self.node.counters.strays.fetch_add(1, Ordering::Relaxed);
        }
        let callid = if prank.wrong_callid {
            Some(b"none-of-yours".to_vec())
        } else {
            callid
        };
        let line = codec::line(&answer, callid.as_deref(), dice);
        // First, so that whoever has seen the answer finds the worker idle.
        if stray {
            self.workers.give_back_astray(worker, guest.id, prank.stray);
        } else {
            self.workers.give_back(worker);
        }
        prank.send(&line, &guest.stream)
    }

    fn run(&self, request: &Request, worker: &mut Worker, prank: &Prank) -> (Answer, bool) {
        pause(prank.delay);
        if let Some(refusal) = &prank.instead {
            return (refusal.clone(), false);
        }
        let args = &request.args;
        let mut call = Call {
            node: &self.node,
            args,
            worker,
            stray: false,
        };
        if prank.no_temp_file == Some(false) {
            // The worker died between the row and the commit: nobody knows the file any more.
            upload::lose(&call);
            return (Err(refuse("no_temp_file")), false);
        }
        let answer = dispatch(&request.command, &mut call);
        let stray = call.stray;
        if prank.no_temp_file == Some(true) {
            return (Err(refuse("no_temp_file")), stray);
        }
        (answer, stray)
    }
}

fn dispatch(command: &str, call: &mut Call<'_>) -> Answer {
    match command {
        "noop" | "clear_cache" | "do_monitor_round" => Ok(Vec::new()),
        "sleep" => {
            let seconds = call.args.truth("duration").map_or(10.0, codec::number);
            thread::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default());
            Ok(Vec::new())
        }
        "test" if call.args.truth("crash").is_some() => {
            Err(call.die(command, "crashed as it was told to"))
        }
        "test" => Ok(Vec::new()),
        "create_open" => upload::open(call),
        "create_close" => upload::close(call),
        "file_info" => lookup::info(call),
        "file_debug" => lookup::debug(call),
        "get_paths" => lookup::paths(call),
        "delete" => files::delete(call),
        "rename" => files::rename(call),
        "updateclass" => files::update_class(call),
        "list_keys" => listing::keys(call),
        "list_fids" => listing::fids(call),
        "create_domain" => classes::create_domain(call),
        "delete_domain" => classes::delete_domain(call),
        "get_domains" => classes::domains(call),
        "create_class" => classes::create(call),
        "update_class" => classes::update(call),
        "delete_class" => classes::delete(call),
        "get_devices" => cluster::devices(call),
        "get_hosts" => cluster::hosts(call),
        "set_state" => cluster::set_state(call),
        "server_setting" => cluster::setting(call),
        "server_settings" => cluster::settings(call),
        "set_server_setting" => cluster::set_setting(call),
        "replicate_now" => cluster::replicate_now(call),
        "fsck_status" => Ok(cluster::fsck_status()),
        "rebalance_status" => Err(refuse("no_rebal_state")),
        _ => Err(refuse("unknown_command")),
    }
}

/// One line without its end; `None` at the end of the connection.
fn read_line(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader
        .by_ref()
        .take(LINE_LIMIT)
        .read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Ok(None);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

/// Did the client close while its request waited?
fn has_left(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let left = matches!(stream.peek(&mut [0]), Ok(0));
    let _ = stream.set_nonblocking(false);
    left
}

fn pause(time: Option<Duration>) {
    if let Some(time) = time {
        thread::sleep(time);
    }
}
