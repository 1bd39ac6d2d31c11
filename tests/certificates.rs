//! Certificates: which of several a client is shown.
#![cfg(test)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::version::{TLS12, TLS13};
use support::tls::{Certificate, certificate, memory, shake_hands_with};
use support::{Daemon, Ftp, Scratch, eventually, is_here, own_address, tried};

/// Makes a certificate of `names` in `dir`; its file and that of its key.
fn make(dir: &Scratch, name: &str, names: &[&str]) -> (PathBuf, PathBuf) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    (
        dir.file(&format!("{name}.pem"), made.cert.pem().as_bytes()),
        dir.file(
            &format!("{name}.key"),
            made.signing_key.serialize_pem().as_bytes(),
        ),
    )
}

/// The value of `certificates` for these.
fn listed(pairs: &[&(PathBuf, PathBuf)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(certificate, key)| format!("{} {}", certificate.display(), key.display()));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Whether whoever asks for `name` is shown the certificate in that file.
fn is_shown(daemon: &Daemon, name: &str, file: &Path) -> bool {
    let expected = pem(file);
    [&TLS12, &TLS13].into_iter().all(|version| {
        let mut ftp = Ftp::connect(daemon.address);
        ftp.expect("AUTH TLS", 234);
        let socket = ftp.control().try_clone().unwrap();
        let stream = shake_hands_with(name, socket, &memory(version)).unwrap();
        let shown = stream.conn.peer_certificates().unwrap();
        shown.first().unwrap().as_ref() == expected
    })
}

fn pem(file: &Path) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_file(file).unwrap().to_vec()
}

#[test]
fn a_client_is_shown_the_certificate_for_the_name_that_it_asks_for() {
    let dir = Scratch::new();
    let usual: Certificate = certificate(&dir);
    let usual_file = dir.path().join("cert.pem");
    let first = make(&dir, "first", &["ftp.example.com", "*.example.org"]);
    let second = make(&dir, "second", &["deep.example.org", "example.net"]);
    let both = listed(&[&first, &second]);
    let daemon = Daemon::of_files(&usual.and(&[("tls.certificates", &both)]));
    for (name, file) in [
        ("localhost", &usual_file),
        ("127.0.0.1", &usual_file),
        ("elsewhere.example.com", &usual_file),
        ("ftp.example.com", &first.0),
        ("FTP.Example.COM", &first.0),
        ("any.example.org", &first.0),
        // A wildcard is for one label, and for one only.
        ("example.org", &usual_file),
        ("a.b.example.org", &usual_file),
        // The first that fits.
        ("deep.example.org", &first.0),
        ("example.net", &second.0),
    ] {
        assert!(is_shown(&daemon, name, file), "{name}");
    }

    // A reload reads them again, and one that is wrong changes nothing.
    let renewed = make(&dir, "first", &["ftp.example.com"]);
    let turned = listed(&[&second, &renewed]);
    let reload = |said: &str, list: &str| {
        daemon.write_conf(&usual.and(&[("tls.certificates", list)]));
        let mark = daemon.mark();
        daemon.signal(Signal::SIGHUP);
        daemon.wait_after(mark, said);
    };
    reload("reloaded", &turned);
    for (name, file) in [
        ("ftp.example.com", &renewed.0),
        ("any.example.org", &usual_file),
        ("deep.example.org", &second.0),
    ] {
        // A worker that is about to go may take one more client.
        eventually(name, || is_shown(&daemon, name, file).then_some(()));
    }
    daemon.expect_error("config-error");
    daemon.expect_error("reload-failed");
    reload("reload-failed", &listed(&[&(second.0.clone(), renewed.1)]));
    assert!(is_shown(&daemon, "example.net", &second.0));
}

#[test]
fn a_certificate_that_could_not_be_shown_is_an_error() {
    let dir = Scratch::new();
    let usual = certificate(&dir);
    let good = make(&dir, "good", &["ftp.example.com"]);
    let nameless = make(&dir, "nameless", &["192.0.2.1"]);
    let missing = (dir.path().join("no.pem"), good.1.clone());
    let other_key = (good.0.clone(), nameless.1.clone());
    for (pair, why) in [
        (&nameless, "nameless.pem: it is for no name"),
        (&missing, "no.pem: "),
        (&other_key, "nameless.key: "),
    ] {
        let list = listed(&[&good, pair]);
        let (code, said) = tried(&dir, &usual.and(&[("tls.certificates", &list)]));
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

/// As [`make`], of one that ends within an hour after so many days from now.
fn make_until(dir: &Scratch, name: &str, days: i64) -> (PathBuf, PathBuf) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut own = CertificateParams::new([format!("{name}.example.com")]).unwrap();
    let end = i64::try_from(now.as_secs()).unwrap() + days * 86_400 + 3599;
    own.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(end.try_into().unwrap());
    let key = KeyPair::generate().unwrap();
    let made = own.self_signed(&key).unwrap();
    (
        dir.file(&format!("{name}.pem"), made.pem().as_bytes()),
        dir.file(&format!("{name}.key"), key.serialize_pem().as_bytes()),
    )
}

#[test]
fn a_certificate_that_ends_soon_is_told_of_until_there_is_another() {
    let dir = Scratch::new();
    let usual = certificate(&dir);
    let soon = make_until(&dir, "soon", 5);
    let over = make_until(&dir, "over", -2);
    let later = make_until(&dir, "later", 14);
    let list = listed(&[&soon, &later, &over]);
    let changes = usual.and(&[("tls.certificates", &list)]);
    let (soon_file, over_file) = (soon.0.display(), over.0.display());

    // It can be started with, so a test of it says no other.
    let place = Scratch::new();
    let (code, said) = tried(&place, &changes);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(&format!("warning: {soon_file}: expires in 5 days\n")),
        "{said}"
    );
    assert!(
        said.contains(&format!("warning: {over_file}: expired at ")),
        "{said}"
    );
    assert_eq!(said.matches("expire").count(), 2, "{said}");

    let daemon = Daemon::of_files(&changes);
    daemon.expect_error("certificate-expired end=");
    let warned = daemon.wait_for("warn certificate-expires days=5 end=");
    assert!(
        warned.ends_with(&format!("path=\"{soon_file}\"")),
        "{warned}"
    );
    let complained = daemon.wait_for("error certificate-expired end=");
    assert!(
        complained.ends_with(&format!("path=\"{over_file}\"")),
        "{complained}"
    );
    let (_, status, _) = daemon.order(&["status"]);
    assert!(
        status.contains(&format!("certificate {soon_file}: expires in 5 days\n")),
        "{status}"
    );
    let (code, report, _) = daemon.order(&["check"]);
    assert_eq!(code, Some(2), "{report}");
    for line in [
        format!("warning certificate {soon_file}: expires in 5 days\n"),
        format!("critical certificate {over_file}: expired at "),
    ] {
        assert!(report.contains(&line), "{report}");
    }

    make_until(&dir, "over", 90);
    let mark = daemon.mark();
    daemon.signal(Signal::SIGHUP);
    // Said once more, and no more of the other.
    daemon.wait_after(mark, "reloaded");
    daemon.wait_after(mark, "warn certificate-expires days=5 ");
    let (_, status, _) = daemon.order(&["status"]);
    assert_eq!(status.matches("certificate ").count(), 1, "{status}");
    let log = daemon.log.all();
    let about = |line: &&String| line.contains(" certificate-");
    assert_eq!(log.iter().filter(about).count(), 3, "{log:#?}");
}

#[test]
fn curl_finds_the_server_that_it_looks_for() {
    if !is_here("curl") {
        return;
    }
    let dir = Scratch::new();
    let usual = certificate(&dir);
    let other = make(&dir, "other", &["ftp.example.com"]);
    let list = listed(&[&other]);
    let address = own_address().to_string();
    let daemon = Daemon::of_files(&usual.and(&[
        ("tls.certificates", &*list),
        ("tls.mode", "required"),
        ("nanoftpd.listen_addr", &*address),
    ]));
    std::fs::write(daemon.files().join("a file"), "x").unwrap();
    let port = daemon.address.port();
    for (name, file) in [
        ("ftp.example.com", &other.0),
        ("localhost", &dir.path().join("cert.pem")),
    ] {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "60", "--ssl-reqd", "--cacert"])
            .arg(file)
            .args(["-u", "test:test", "--resolve"])
            .arg(format!("{name}:{port}:{address}"))
            .arg(format!("ftp://{name}:{port}/"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.trim_end().ends_with(" a file"), "{name}: {said}");
    }
}
