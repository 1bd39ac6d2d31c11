//! Clients that say by a certificate who they are.
#![cfg(test)]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use nix::sys::signal::Signal;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use support::tls::{Certificate, Secure, certificate, known_by, memory};
use support::{Daemon, Ftp, Scratch, eventually, is_here, noise, tried, users};

/// Who signs certificates of clients.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(dir: &Scratch, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut own = CertificateParams::new(Vec::new()).unwrap();
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        own.distinguished_name.push(DnType::CommonName, name);
        let root = own.self_signed(&key).unwrap();
        Self {
            file: dir.file(&format!("{name}.pem"), root.pem().as_bytes()),
            issuer: Issuer::new(own, key),
        }
    }

    fn path(&self) -> &str {
        self.file.to_str().unwrap()
    }

    /// A client with this common name; `change` what its certificate is to be.
    fn client(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Known {
        let key = KeyPair::generate().unwrap();
        let mut own = CertificateParams::new(Vec::new()).unwrap();
        own.distinguished_name = rcgen::DistinguishedName::new();
        own.distinguished_name
            .push(DnType::OrganizationName, "Example");
        own.distinguished_name.push(DnType::CommonName, name);
        change(&mut own);
        let own = own.signed_by(&key, &self.issuer).unwrap();
        Known {
            certificate: own.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            pem: own.pem() + &key.serialize_pem(),
        }
    }

    /// A list with this certificate in it that is good until that year.
    fn revokes(&self, serial: SerialNumber, until: i32) -> String {
        let revoked = RevokedCertParams {
            serial_number: serial,
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A client with a certificate.
struct Known {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pem: String,
}

impl Known {
    fn memory(&self, version: &'static rustls::SupportedProtocolVersion) -> Arc<ClientConfig> {
        known_by(
            version,
            Some((self.certificate.clone(), self.key.clone_key())),
        )
    }
}

struct Site {
    daemon: Daemon,
    dir: Scratch,
    usual: Certificate,
    authority: Authority,
}

impl Site {
    /// Where a certificate is as good as a password, and users are `test` and `ann`.
    fn new(changes: &[(&str, &str)]) -> Self {
        let dir = Scratch::new();
        let usual = certificate(&dir);
        let authority = Authority::new(&dir, "authority");
        let mut all = usual.and(&[
            ("tls.client_ca", authority.path()),
            ("tls.client_certificate", "optional"),
            ("tls.client_login", "yes"),
        ]);
        all.extend_from_slice(changes);
        let daemon = Daemon::of_files(&all);
        fs::write(
            daemon.dir().join("users"),
            users(&["test:File", "ann:File"]),
        )
        .unwrap();
        Self {
            daemon,
            dir,
            usual,
            authority,
        }
    }

    fn connect(&self, known: &Known) -> Secure {
        Secure::connect(self.daemon.address, &known.memory(&TLS13))
    }
}

#[test]
fn who_has_a_certificate_with_the_name_of_an_account_needs_no_password() {
    let site = Site::new(&[]);
    let ann = site.authority.client("ann", |_| {});
    for version in [&TLS12, &TLS13] {
        let mut ftp = Secure::connect(site.daemon.address, &ann.memory(version));
        ftp.expect("USER ann", 232);
        ftp.expect("PBSZ 0", 200);
        ftp.expect("PROT P", 200);
        let content = noise(100_000, 3);
        ftp.give("STOR f", &content, 226);
        assert_eq!(ftp.fetch("RETR f"), content);
        // Once more from within the session, where USER asks for a password whoever it is.
        ftp.expect("USER ann", 331);
        ftp.expect("PASS whatever", 230);
        ftp.expect("PWD", 257);
        // The name is the client's own and no other.
        ftp.expect("USER test", 331);
        ftp.expect("PASS whatever", 530);
        ftp.expect("USER test", 331);
        ftp.expect("PASS test", 230);
        ftp.expect("REIN", 220);
        ftp.expect("USER ann", 232);
    }
    let lines = site.daemon.lines().join("\n");
    for text in [
        " certificate=ok client=\"ann\"",
        " by=certificate user=\"ann\"",
    ] {
        assert!(lines.contains(text), "{text}");
    }
    // In the clear nobody has shown anything.
    let mut clear = Ftp::connect(site.daemon.address);
    clear.expect("USER ann", 331);
}

#[test]
fn all_others_are_asked_for_a_password_as_ever() {
    let site = Site::new(&[]);
    let others = Authority::new(&site.dir, "other");
    let expired = |own: &mut CertificateParams| own.not_after = date_time_ymd(2024, 1, 1);
    let two_names = |own: &mut CertificateParams| {
        let unit = DnType::CustomDnType(vec![2, 5, 4, 3]);
        own.distinguished_name.push(unit, "test");
    };
    for (known, name, is_refused) in [
        (others.client("ann", |_| {}), "ann", true),
        (site.authority.client("ann", expired), "ann", true),
        (site.authority.client("test", two_names), "test", false),
        (site.authority.client("ann ", |_| {}), "ann", false),
        (site.authority.client("ANN", |_| {}), "ann", false),
        (site.authority.client("test", |_| {}), "ann", false),
    ] {
        let mark = site.daemon.mark();
        let mut ftp = site.connect(&known);
        let expected = match is_refused {
            true => " certificate=refused why=",
            false => " version=TLSv1_3 certificate=",
        };
        site.daemon.wait_after(mark, expected);
        ftp.expect(&format!("USER {name}"), 331);
        ftp.expect("PASS wrong", 530);
        ftp.expect(&format!("USER {name}"), 331);
        ftp.expect("PASS test", 230);
    }
    // Nobody by that name: as with any other name.
    let mut ftp = site.connect(&site.authority.client("eve", |_| {}));
    ftp.expect("USER eve", 331);
    ftp.expect("PASS test", 530);
    let mut ftp = Secure::connect(site.daemon.address, &memory(&TLS13));
    ftp.expect("USER ann", 331);
    ftp.expect("PASS test", 230);
    // The account is gone, and with it the way in.
    let ann = site.authority.client("ann", |_| {});
    fs::write(site.daemon.dir().join("users"), users(&["test:File"])).unwrap();
    let mut ftp = site.connect(&ann);
    ftp.expect("USER ann", 331);
    ftp.expect("PASS test", 530);
}

#[test]
fn a_certificate_that_was_revoked_is_none() {
    let serial = || SerialNumber::from(4711);
    let site = Site::new(&[]);
    let revoked = site
        .authority
        .client("ann", |own| own.serial_number = Some(serial()));
    let good = site.authority.client("ann", |own| {
        own.serial_number = Some(SerialNumber::from(4712))
    });
    site.connect(&revoked).expect("USER ann", 232);
    site.daemon.expect_error("revocations-expired end=");
    for (until, code) in [(2100, 232), (2025 + 1, 331)] {
        let list = site.authority.revokes(serial(), until);
        let list = site.dir.file("crl.pem", list.as_bytes());
        site.daemon.write_conf(&site.usual.and(&[
            ("tls.client_ca", site.authority.path()),
            ("tls.client_crl", list.to_str().unwrap()),
            ("tls.client_certificate", "optional"),
            ("tls.client_login", "yes"),
        ]));
        let mark = site.daemon.mark();
        site.daemon.signal(Signal::SIGHUP);
        site.daemon.wait_after(mark, "reloaded");
        let (_, status, _) = site.daemon.order(&["status"]);
        let told = format!("revocation list {}: expired at ", list.display());
        assert_eq!(status.contains(&told), code != 232, "{status}");
        // A worker that is about to go may take one more client.
        eventually("the list", || {
            let mut ftp = site.connect(&revoked);
            ftp.send(b"USER ann\r\n");
            (ftp.reply().0 == 331).then_some(())
        });
        // A list that is too old says nothing of anybody.
        eventually("the list", || {
            let mut ftp = site.connect(&good);
            ftp.send(b"USER ann\r\n");
            (ftp.reply().0 == code).then_some(())
        });
    }
    let told = "error revocations-expired end=2026-01-01T00:00:00Z path=";
    site.daemon.wait_for(told);
}

#[test]
fn without_a_good_one_there_is_no_session_where_it_is_required() {
    let site = Site::new(&[
        ("tls.client_certificate", "required"),
        ("tls.client_login", "no"),
    ]);
    let others = Authority::new(&site.dir, "other");
    for version in [&TLS12, &TLS13] {
        let stranger = others.client("ann", |_| {});
        for memory in [memory(version), stranger.memory(version)] {
            let mark = site.daemon.mark();
            // In TLS 1.3 a client learns of it later.
            let _ = Secure::try_connect(site.daemon.address, &memory);
            site.daemon.wait_after(mark, "handshake-failed");
        }
        // With one there is, and whether it is good for a login is another question.
        let ann = site.authority.client("ann", |_| {});
        let mut ftp = Secure::connect(site.daemon.address, &ann.memory(version));
        ftp.expect("USER ann", 331);
        ftp.expect("PASS wrong", 530);
        ftp.expect("USER ann", 331);
        ftp.expect("PASS test", 230);
    }
}

#[test]
fn limits_hold_for_whoever_needs_no_password() {
    let site = Site::new(&[("limits.max_per_user", "1")]);
    let ann = site.authority.client("ann", |_| {});
    let mut first = site.connect(&ann);
    first.expect("USER ann", 232);
    let mut second = site.connect(&ann);
    second.expect("USER ann", 421);
    assert!(second.is_closed());
    first.expect("QUIT", 221);
}

#[test]
fn what_does_not_fit_together_is_an_error() {
    let dir = Scratch::new();
    let usual = certificate(&dir);
    let empty = dir.file("empty.pem", b"");
    let junk = b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    let junk = dir.file("junk.pem", junk);
    let authority = Authority::new(&dir, "authority");
    for (changes, why) in [
        (&[("tls.client_login", "yes")][..], "client_ca"),
        (
            &[
                ("tls.client_ca", authority.path()),
                ("tls.client_crl", empty.to_str().unwrap()),
            ],
            "empty.pem: no list in it",
        ),
        (
            &[
                ("tls.client_ca", authority.path()),
                ("tls.client_crl", junk.to_str().unwrap()),
            ],
            "junk.pem: no list of version 2, ",
        ),
    ] {
        let (code, said) = tried(&dir, &usual.and(changes));
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

/// Runs a program that stores `local` as `there` and has no password.
fn works(site: &Site, program: &str, arguments: &[&str]) {
    let said = support::run(site.dir.path(), program, arguments, "");
    let there = site.daemon.files().join("there");
    assert_eq!(fs::read(&there).ok(), Some(noise(300_000, 8)), "{said}");
    fs::remove_file(there).unwrap();
    site.daemon.wait_for(" by=certificate user=\"ann\"");
}

fn site_with_files() -> (Site, String) {
    let site = Site::new(&[("tls.mode", "required")]);
    let ann = site.authority.client("ann", |_| {});
    site.dir.file("ann.pem", ann.pem.as_bytes());
    site.dir.file("local", &noise(300_000, 8));
    let port = site.daemon.address.port().to_string();
    (site, port)
}

#[test]
fn curl_shows_its_certificate() {
    if !is_here("curl") {
        return;
    }
    let (site, port) = site_with_files();
    let url = format!("ftp://127.0.0.1:{port}/there");
    let options = ["-sSvk", "--ssl-reqd", "-u", "ann:", "--cert", "ann.pem"];
    works(
        &site,
        "curl",
        &[&options[..], &["-T", "local", &url]].concat(),
    );
}

/// Which is what `openssl x509 -req` makes without further options.
#[test]
fn a_certificate_of_an_old_kind_does_not_count_and_does_no_harm() {
    if !is_here("openssl") || !is_here("curl") {
        return;
    }
    let (site, port) = site_with_files();
    let dir = site.dir.path();
    let commands = "openssl req -x509 -newkey rsa:2048 -nodes -keyout old-ca.key -out old-ca.pem \
        -subj /CN=old && openssl req -newkey rsa:2048 -nodes -keyout old.key -out old.csr \
        -subj /CN=ann && openssl x509 -req -in old.csr -CA old-ca.pem -CAkey old-ca.key \
        -CAcreateserial -out old.pem && openssl x509 -in old.pem -noout -text";
    let made = Command::new("sh")
        .args(["-c", commands])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success());
    if !String::from_utf8_lossy(&made.stdout).contains("Version: 1 ") {
        support::skip("openssl makes other certificates");
        return;
    }
    let ca = dir.join("old-ca.pem");
    site.daemon.write_conf(&site.usual.and(&[
        ("tls.client_ca", ca.to_str().unwrap()),
        ("tls.client_certificate", "optional"),
        ("tls.client_login", "yes"),
    ]));
    let mark = site.daemon.mark();
    site.daemon.signal(Signal::SIGHUP);
    site.daemon.wait_after(mark, "reloaded");
    let url = format!("ftp://127.0.0.1:{port}/there");
    let output = Command::new("curl")
        .args(["-sSk", "--max-time", "60", "--ssl-reqd", "-u", "ann:test"])
        .args(["--cert", "old.pem", "--key", "old.key", "-T", "local", &url])
        .current_dir(dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    site.daemon.wait_after(mark, " certificate=refused why=");
}

#[test]
fn lftp_shows_its_certificate() {
    if !is_here("lftp") {
        return;
    }
    let (site, port) = site_with_files();
    let script = format!(
        "set net:max-retries 1; set net:timeout 20; set ssl:verify-certificate no; \
         set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set ssl:cert-file ann.pem; \
         set ssl:key-file ann.pem; open -u ann,none -p {port} ftp://127.0.0.1; \
         put local -o there"
    );
    works(&site, "lftp", &["--norc", "-c", &script]);
}

#[test]
fn python_shows_its_certificate() {
    const SCRIPT: &str = "
import ftplib, ssl, sys
class Ftp(ftplib.FTP_TLS):
    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        conn = self.context.wrap_socket(conn, session=self.sock.session)
        return conn, size
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
context.load_cert_chain('ann.pem')
ftp = Ftp(context=context)
ftp.connect('127.0.0.1', int(sys.argv[1]), timeout=30)
print(ftp.login('ann'))
ftp.prot_p()
with open('local', 'rb') as source: ftp.storbinary('STOR there', source)
ftp.quit()
";
    if !is_here("python3") {
        return;
    }
    let (site, port) = site_with_files();
    works(&site, "python3", &["-c", SCRIPT, &port]);
}
