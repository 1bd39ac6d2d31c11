//! Who waits for the dead: one session, once, and from then on the clerk alone.
#![cfg(test)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use support::{Cluster, Daemon, Ftp, eventually, own_address};

/// A tracker that may die: what it is asked goes to a real one, or nowhere.
#[derive(Clone)]
struct Mortal {
    address: SocketAddr,
    is_mute: Arc<AtomicBool>,
    /// The commands it was asked, in their order.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Mortal {
    fn before(tracker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mortal = Self {
            address: listener.local_addr().unwrap(),
            is_mute: Arc::default(),
            asked: Arc::default(),
        };
        let listening = mortal.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let one = listening.clone();
                thread::spawn(move || one.serve(client.unwrap(), tracker));
            }
        });
        mortal
    }

    /// One line there, one line back.
    fn serve(&self, client: TcpStream, tracker: SocketAddr) {
        let mut behind = BufReader::new(TcpStream::connect(tracker).unwrap());
        let (mut client, mut answers) = (BufReader::new(client.try_clone().unwrap()), client);
        let mut line = String::new();
        while client.read_line(&mut line).is_ok_and(|read| read > 0) {
            let command = line.split(' ').next().unwrap().to_owned();
            self.asked.lock().unwrap().push(command);
            if !self.is_mute.load(Ordering::Relaxed) {
                behind.get_mut().write_all(line.as_bytes()).unwrap();
                let mut answer = String::new();
                behind.read_line(&mut answer).unwrap();
                if answers.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
            line.clear();
        }
    }

    fn asked(&self, wanted: impl Fn(&str) -> bool) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|command| wanted(command)).count()
    }

    /// How often a session has asked it something.
    fn by_sessions(&self) -> usize {
        self.asked(|command| command != "noop")
    }

    /// How often the clerk has tried it.
    fn by_the_clerk(&self) -> usize {
        self.asked(|command| command == "noop")
    }
}

const SHORT: [(&str, &str); 4] = [
    ("mogilefs.timeout", "2"),
    ("mogilefs.request_timeout", "2"),
    ("mogilefs.probe_interval", "100ms"),
    ("pool.min_spare", "3"),
];

fn on(cluster: &Cluster, mortal: &Mortal) -> Daemon {
    let trackers = format!("{}, {}", mortal.address, cluster.address);
    let mut keys = vec![("mogilefs.tracker", trackers.as_str())];
    keys.extend(SHORT);
    Daemon::on(cluster, &keys)
}

fn ask(ftp: &mut Ftp) {
    ftp.expect("SIZE /photos/a", 213);
}

#[test]
fn a_dead_tracker_is_waited_for_once_and_then_by_the_clerk_alone() {
    let cluster = Cluster::faulty();
    cluster.put("photos/a", "photos", b"here");
    let mortal = Mortal::before(cluster.address);
    let daemon = on(&cluster, &mortal);
    // Sessions that have a connection to it, and are warned by whoever finds out.
    let mut before: Vec<Ftp> = (0..6).map(|_| daemon.log_in()).collect();
    before.iter_mut().for_each(ask);
    mortal.is_mute.store(true, Ordering::Relaxed);
    eventually("a session finds out", || {
        ask(&mut daemon.log_in());
        let lines = daemon.log.all();
        let found = |line: &String| line.contains("tracker-failed") && line.contains("timed out");
        lines.iter().any(found).then_some(())
    });
    eventually("the clerk tries it", || {
        (mortal.by_the_clerk() > 0).then_some(())
    });
    let found_out = mortal.by_sessions();
    before.iter_mut().for_each(ask);
    for _ in 0..10 {
        ask(&mut daemon.log_in());
    }
    let tried = mortal.by_the_clerk();
    eventually("the clerk tries it again and again", || {
        (mortal.by_the_clerk() >= tried + 2).then_some(())
    });
    assert_eq!(mortal.by_sessions(), found_out, "a session waited for it");

    mortal.is_mute.store(false, Ordering::Relaxed);
    let line = daemon.wait_for("peer-answers");
    assert!(line.contains(&mortal.address.to_string()), "{line}");
    eventually("sessions ask it again", || {
        ask(&mut daemon.log_in());
        (mortal.by_sessions() > found_out).then_some(())
    });
}

#[test]
fn a_tracker_that_refuses_is_back_when_the_clerk_gets_through() {
    let cluster = Cluster::faulty();
    cluster.put("photos/a", "photos", b"here");
    let mortal = Mortal::before(cluster.address);
    let refusing = {
        // Where nobody takes the port meanwhile.
        let listener = TcpListener::bind((own_address(), 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let absent = Mortal {
        address: refusing,
        ..mortal
    };
    let daemon = on(&cluster, &absent);
    let refusals = || {
        let lines = daemon.log.all();
        let refused = |line: &&String| line.contains("tracker-down");
        lines.iter().filter(refused).count()
    };
    eventually("a session finds out", || {
        ask(&mut daemon.log_in());
        (refusals() > 0).then_some(())
    });
    daemon.wait_for("probe-failed");
    let known = daemon.lines().len();
    for _ in 0..10 {
        ask(&mut daemon.log_in());
    }
    let since = daemon.lines().split_off(known);
    assert!(!since.iter().any(|line| line.contains("tracker-down")));

    let listener = TcpListener::bind(refusing).unwrap();
    let arrived = thread::spawn(move || {
        let mut lines = Vec::new();
        for client in listener.incoming() {
            let mut client = BufReader::new(client.unwrap());
            let mut line = String::new();
            client.read_line(&mut line).unwrap();
            let is_probe = line.starts_with("noop");
            lines.push(line);
            if !is_probe {
                return lines;
            }
            client.get_mut().write_all(b"OK \r\n").unwrap();
        }
        lines
    });
    daemon.wait_for("peer-answers");
    eventually("sessions ask it again", || {
        ask(&mut daemon.log_in());
        arrived.is_finished().then_some(())
    });
    let lines = arrived.join().unwrap();
    assert!(
        lines.len() >= 2 && lines[0].starts_with("noop"),
        "{lines:?}"
    );
}

#[test]
fn a_clerk_that_dies_leaves_its_suspects_to_the_next() {
    let cluster = Cluster::faulty();
    cluster.put("photos/a", "photos", b"here");
    let mortal = Mortal::before(cluster.address);
    let daemon = on(&cluster, &mortal);
    mortal.is_mute.store(true, Ordering::Relaxed);
    eventually("the clerk tries it", || {
        ask(&mut daemon.log_in());
        (mortal.by_the_clerk() > 0).then_some(())
    });
    let clerk = nix::unistd::Pid::from_raw(daemon.worker("[clerk]"));
    nix::sys::signal::kill(clerk, nix::sys::signal::Signal::SIGKILL).unwrap();
    daemon.wait_for("clerk-died");
    let tried = mortal.by_the_clerk();
    eventually("the next one tries it", || {
        (mortal.by_the_clerk() > tried).then_some(())
    });
    mortal.is_mute.store(false, Ordering::Relaxed);
    daemon.wait_for("peer-answers");
}

#[test]
fn a_dead_node_comes_last_until_it_answers_the_clerk() {
    let cluster = Cluster::faulty();
    let daemon = Daemon::on(&cluster, &SHORT);
    let mut ftp = daemon.log_in();
    let node = cluster.node();
    node.fault("refuse dev=1");
    let device = node.devices[0].to_string();
    eventually("an upload finds out", || {
        ftp.store("/photos/a", b"x");
        let lines = daemon.log.all();
        let found = |line: &String| line.contains("node-down") && line.contains(&device);
        lines.iter().any(found).then_some(())
    });
    daemon.wait_for("probe-failed");
    let known = daemon.lines().len();
    for number in 0..10 {
        daemon.log_in().store(&format!("/photos/{number}"), b"x");
    }
    let since = daemon.lines().split_off(known);
    assert!(!since.iter().any(|line| line.contains("node-down")));
    node.fault("clear");
    let line = daemon.wait_for("peer-answers");
    assert!(line.contains(&device), "{line}");
}
