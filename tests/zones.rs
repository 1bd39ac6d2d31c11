//! Which of their addresses storage nodes are called by: the zone goes with every request about a place,
//! or the tracker does not know the place again.
#![cfg(test)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use support::{Cluster, Daemon, PATIENCE, eventually};

/// The requests that pass through.
type Heard = Arc<Mutex<Vec<String>>>;

/// A tracker that passes everything on to the one at `true_one`.
fn listener(true_one: SocketAddr) -> (SocketAddr, Heard) {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, heard) = (door.local_addr().unwrap(), Heard::default());
    let ears = Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in door.incoming().flatten() {
            let heard = Arc::clone(&ears);
            std::thread::spawn(move || pass_on(stream, true_one, &heard));
        }
    });
    (address, heard)
}

fn pass_on(stream: TcpStream, true_one: SocketAddr, heard: &Heard) -> std::io::Result<()> {
    let mut answers = TcpStream::connect_timeout(&true_one, PATIENCE)?;
    let (mut back, mut there) = (stream.try_clone()?, answers.try_clone()?);
    std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
    for line in BufReader::new(stream).lines() {
        let line = line?;
        heard.lock().unwrap().push(line.clone());
        there.write_all(format!("{line}\r\n").as_bytes())?;
    }
    there.shutdown(std::net::Shutdown::Write)
}

#[test]
fn a_zone_goes_with_every_request_about_a_place() {
    let cluster = Cluster::start();
    let (address, heard) = listener(cluster.address);
    for (zone, upload) in [("alt", "tee"), ("alt", "spool"), ("", "tee")] {
        heard.lock().unwrap().clear();
        let tracker = address.to_string();
        let changes = [
            ("mogilefs.tracker", tracker.as_str()),
            ("mogilefs.domain", cluster.domain.as_str()),
            ("mogilefs.zone", zone),
            ("mogilefs.upload", upload),
        ];
        let daemon = Daemon::start(&changes);
        let mut ftp = daemon.log_in();
        ftp.store("photos/a", b"0123456789");
        assert_eq!(ftp.fetch("RETR photos/a"), b"0123456789");
        ftp.expect("MDTM photos/a", 213);
        ftp.fetch("LIST photos");

        // One that is opened while it comes, and given back.
        if upload == "tee" {
            let count = |command: &str| {
                let heard = heard.lock().unwrap();
                heard
                    .iter()
                    .filter(|line| line.starts_with(command))
                    .count()
            };
            let (opened, closed) = (count("create_open "), count("create_close "));
            let data = ftp.data();
            ftp.expect("STOR photos/b", 150);
            let mut data = data.stream();
            data.write_all(b"some").unwrap();
            eventually("the second upload is opened", || {
                (count("create_open ") > opened).then_some(())
            });
            ftp.expect("ABOR", 426);
            ftp.reply_of(226);
            eventually("it is given back", || {
                (count("create_close ") > closed).then_some(())
            });
        }
        drop(ftp);
        drop(daemon);
        let heard = heard.lock().unwrap();
        for command in ["create_open ", "create_close ", "get_paths "] {
            let said: Vec<&String> = heard
                .iter()
                .filter(|line| line.starts_with(command))
                .collect();
            assert!(!said.is_empty(), "{command}");
            for line in said {
                assert_eq!(line.contains("zone="), zone == "alt", "{line}");
                assert_eq!(line.contains("&zone=alt&"), zone == "alt", "{line}");
            }
        }
    }
}
