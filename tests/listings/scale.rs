//! A million keys, counted in requests and in memory, never by a clock.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};

use crate::support::{Cluster, Daemon, status};
use crate::{calls, fill, filled, member, total};

/// A million keys in 50 directories: one has half of them.
fn million() -> Cluster {
    let mut arguments = Vec::new();
    arguments.extend(fill("docs/big/f", 500_000));
    arguments.extend(fill("docs/d00/f", 10_208));
    for number in 1..49 {
        arguments.extend(fill(&format!("docs/d{number:02}/f"), 10_204));
    }
    filled(&arguments)
}

#[test]
fn a_class_of_a_million_keys_is_listed_by_its_directories() {
    let cluster = million();
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    for command in ["LIST /docs", "MLSD /docs", "NLST /docs"] {
        calls(&cluster);
        let lines = ftp.lines(command);
        let asked = calls(&cluster);
        assert_eq!(lines.len(), 50, "{command}");
        assert!(total(&asked) < 60, "{command}: {asked:?}");
    }
}

#[test]
fn a_directory_of_half_a_million_files_streams_through_little_memory() {
    let cluster = million();
    let daemon = Daemon::on(&cluster, &[("mogilefs.listlimit", "0")]);
    let mut ftp = member(&daemon);
    let data = ftp.data();
    ftp.expect("LIST /docs/big", 150);
    let lines = BufReader::new(data.stream()).lines();
    let mut count = 0;
    for line in lines {
        count += 1;
        assert!(line.unwrap().ends_with(&format!("f{count:06}")));
    }
    assert_eq!(count, 500_000);
    ftp.reply_of(226);
    let worker = daemon.worker("test@127.0.0.1");
    let most = status(worker, "VmHWM").unwrap();
    let kilobytes: u64 = most.trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 16 * 1024, "{most}");
}

/// Lists 5,000 files on `cluster`, as `extended` has it: how many came with their size, and what the
/// tracker was asked.
fn sized(cluster: &Cluster, extended: &str) -> (u64, BTreeMap<String, u64>) {
    let changes = [
        ("mogilefs.extendedlist", extended),
        ("mogilefs.listlimit", "0"),
    ];
    let daemon = Daemon::on(cluster, &changes);
    let mut ftp = member(&daemon);
    calls(cluster);
    let lines = ftp.lines("LIST /docs/d");
    let asked = calls(cluster);
    assert_eq!(lines.len(), 5000);
    let is_sized = |line: &&String| line.split_whitespace().nth(4) == Some("7");
    let sized = lines.iter().filter(is_sized).count();
    (sized.try_into().unwrap(), asked)
}

#[test]
fn files_that_were_uploaded_together_are_looked_up_together() {
    let cluster = filled(&fill("docs/d/f", 5000));
    let (count, asked) = sized(&cluster, "true");
    assert_eq!(count, 5000);
    assert!(total(&asked) < 200, "{asked:?}");
}

#[test]
fn files_without_neighbours_are_looked_up_once_each() {
    let cluster = filled(&fill("docs/d/f", 5000));
    cluster.node().fault("err code=failure cmd=list_fids");
    for (extended, expected) in [("true", 5000), ("auto", 2000), ("false", 0)] {
        let (count, asked) = sized(&cluster, extended);
        assert_eq!(count, expected, "{extended}");
        let singly = asked.get("file_info").copied().unwrap_or(0);
        assert!(singly <= expected + 3, "{extended}: {asked:?}");
    }
}

#[test]
fn the_first_line_comes_after_the_requests_of_its_own_page() {
    let cluster = filled(&fill("docs/d/f", 3000));
    let changes = [
        ("mogilefs.listlimit", "0"),
        ("mogilefs.listtimes", "head"),
        ("mogilefs.collation", "binary"),
        ("mogilefs.request_timeout", "2"),
    ];
    let daemon = Daemon::on(&cluster, &changes);
    for (command, requests) in [("NLST", 1), ("LIST", 4)] {
        let mut ftp = member(&daemon);
        ftp.expect("CWD /docs/d", 250);
        cluster.node().fault(&format!("mute after={requests}"));
        let data = ftp.data();
        ftp.expect(command, 150);
        let mut stream = BufReader::new(data.stream());
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.ends_with("f0001\r\n"), "{command}: {line}");
        // The rest does not come, and that is said.
        while stream.read_line(&mut line).unwrap() > 0 {}
        ftp.reply_of(451);
        cluster.node().fault("clear");
    }
}

#[test]
fn a_pattern_is_applied_before_the_limit_and_costs_only_what_it_means() {
    let cluster = filled(&[fill("docs/d/f", 30_000), fill("docs/d/x", 20)].concat());
    let daemon = Daemon::on(&cluster, &[]);
    let mut ftp = member(&daemon);
    calls(&cluster);
    assert_eq!(ftp.lines("NLST /docs/d/x0*").len(), 9);
    let asked = calls(&cluster);
    assert!(total(&asked) < 12, "{asked:?}");
    assert_eq!(ftp.lines("NLST /docs/d/*9999").len(), 3);
}
