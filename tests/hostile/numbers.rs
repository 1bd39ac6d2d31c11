//! Numbers that are none, or too large: offsets, sizes, ports, times.

use std::fs;

use crate::support::{Cluster, Daemon, Ftp};
use crate::{answer, is_in_step, is_unharmed};

#[test]
fn an_offset_never_turns_round() {
    let cluster = Cluster::start();
    let daemon = Daemon::with_users(&cluster, &["test:File", "moji:MogileFs"], &[]);
    for user in ["test", "moji"] {
        let mut ftp = Ftp::connect(daemon.address);
        ftp.log_in(user, "test");
        answer(&mut ftp, b"MKD photos");
        ftp.store("photos/f", b"0123456789");
        for offset in [
            "-1",
            "+1",
            "1e3",
            "0x10",
            "1.5",
            " ",
            "5 6",
            "18446744073709551616",
            "99999999999999999999999999999999",
            "\u{661}",
        ] {
            let (code, said) = answer(&mut ftp, format!("REST {offset}").as_bytes());
            assert_eq!(code, 501, "REST {offset}: {said}");
        }
        for offset in [
            "11",
            "4294967296",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
        ] {
            for command in ["RETR photos/f", "STOR photos/f"] {
                let (code, said) = answer(&mut ftp, format!("REST {offset}").as_bytes());
                if code == 501 {
                    continue;
                }
                assert_eq!(code, 350, "{said}");
                let _data = ftp.data();
                let (code, said) = answer(&mut ftp, command.as_bytes());
                assert!(code >= 500, "{offset} {command}: {said}");
            }
        }
        ftp.expect("REST 9", 350);
        assert_eq!(ftp.fetch("RETR photos/f"), b"9");
        assert!(ftp.expect("SIZE photos/f", 213).ends_with(" 10"));
        is_in_step(&mut ftp);
    }
    assert_eq!(cluster.content("photos/f").unwrap(), b"0123456789");
    is_unharmed(&daemon);
}

#[test]
fn no_number_is_larger_than_what_it_is_kept_in() {
    let daemon = Daemon::of_files(&[]);
    let mut ftp = daemon.log_in();
    ftp.store("f", b"x");
    let huge = "9".repeat(400);
    for command in [
        format!("ALLO {huge}"),
        "ALLO 18446744073709551615 R 18446744073709551615".to_owned(),
        "ALLO -5".to_owned(),
        format!("SITE IDLE {huge}"),
        "SITE IDLE -1".to_owned(),
        format!("SITE CHMOD {huge} f"),
        "SITE CHMOD 100000000644 f".to_owned(),
        "SITE CHMOD -1 f".to_owned(),
        format!("MFMT {huge} f"),
        "MFMT 99991332256199 f".to_owned(),
        "MFMT 00000000000000 f".to_owned(),
        "SITE UTIME 99999999999999 f".to_owned(),
        format!("PORT {huge},0,0,1,1,1"),
        format!("EPRT |1|127.0.0.1|{huge}|"),
        format!("EPRT |{huge}|127.0.0.1|5000|"),
        format!("EPSV {huge}"),
        format!("TYPE L {huge}"),
        "TYPE L 7".to_owned(),
        format!("XCRC f {huge} {huge}"),
        "XCRC f 5 1".to_owned(),
        "XCRC f 18446744073709551615 18446744073709551615".to_owned(),
        format!("PBSZ {huge}"),
        format!("MDTM {huge} f"),
    ] {
        let (code, said) = answer(&mut ftp, command.as_bytes());
        assert!((200..600).contains(&code), "{command}: {said}");
        is_in_step(&mut ftp);
    }
    assert_eq!(fs::read(daemon.files().join("f")).unwrap(), b"x");
    is_unharmed(&daemon);
}
