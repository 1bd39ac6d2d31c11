//! Programs that people use, over TLS: explicit and implicit, with files that are compared on the
//! disk. All but Perl's resume their session on data connections, as the default asks for.
#![cfg(test)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use suppaftp::types::FileType;
use suppaftp::{RustlsConnector, RustlsFtpStream};
use support::{Daemon, Scratch, is_here, noise, own_address};

const IMPLICIT: &str = "20990";

/// A daemon with TLS on both ports, and a client's home.
struct Site {
    daemon: Daemon,
    home: Scratch,
    address: String,
    port: String,
    content: Vec<u8>,
}

impl Site {
    fn new(changes: &[(&str, &str)]) -> Self {
        let home = Scratch::new();
        let certificate = support::tls::certificate(&home);
        let address = own_address().to_string();
        let mut all = certificate.and(&[
            ("tls.mode", "required"),
            ("tls.implicit_port", IMPLICIT),
            ("nanoftpd.listen_addr", &*address),
        ]);
        all.extend_from_slice(changes);
        let daemon = Daemon::of_files(&all);
        let port = daemon.address.port().to_string();
        let content = noise(3_000_000, 11);
        home.file("local.bin", &content);
        Self {
            daemon,
            home,
            address,
            port,
            content,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn run(&self, program: &str, arguments: &[&str], input: &str) -> String {
        support::run(self.home.path(), program, arguments, input)
    }

    /// What a client stored as `name` and fetched into `back`; both go.
    fn check(&self, name: &str, back: &str, said: &str) {
        let there = self.daemon.files().join(name);
        assert!(is_same(&there, &self.content), "{said}");
        let back = self.path(back);
        assert!(is_same(&back, &self.content), "{said}");
        fs::remove_file(there).unwrap();
        fs::remove_file(back).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for line in self.daemon.log.all() {
            for wrong in ["worker-died", "data-not-resumed", "data-truncated"] {
                assert!(!line.contains(wrong), "{line}");
            }
        }
    }
}

fn is_same(path: &Path, content: &[u8]) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes == content)
}

#[test]
fn curl() {
    if !is_here("curl") {
        return;
    }
    let site = Site::new(&[]);
    for (scheme, port) in [("ftp", &*site.port), ("ftps", IMPLICIT)] {
        for version in ["1.2", "1.3"] {
            let base = format!("{scheme}://{}:{port}/", site.address);
            let common = [
                "-sSk",
                "--ssl-reqd",
                "-u",
                "test:test",
                "--tls-max",
                version,
                if version == "1.3" {
                    "--tlsv1.3"
                } else {
                    "--tlsv1.2"
                },
            ];
            let remote = format!("{base}a.bin");
            // Several transfers in one session.
            let up = ["-T", "local.bin", &remote, "--next"];
            let down = ["-o", "back.bin", &remote, &base];
            let arguments = [&common[..], &up, &common, &down].concat();
            let said = site.run("curl", &arguments, "");
            assert!(said.contains("a.bin"), "{said}");
            site.check("a.bin", "back.bin", &said);
        }
    }
}

/// Whatever suites it offers, and however many files it only sends.
#[test]
fn curl_uploads_many_files_in_a_row() {
    if !is_here("curl") {
        return;
    }
    let site = Site::new(&[]);
    let url = format!("ftp://{}:{}/", site.address, site.port);
    let common = ["-sSk", "--ssl-reqd", "-u", "test:test"];
    for suites in [
        &["--tls-max", "1.2"][..],
        &["--tlsv1.3"],
        &["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"],
        &["--tls13-ciphers", "TLS_CHACHA20_POLY1305_SHA256"],
    ] {
        let names = site.home.open_dir("many");
        let names: Vec<String> = (0..20)
            .map(|number| {
                let name = format!("f{number}");
                fs::write(names.join(&name), noise(40_000, number)).unwrap();
                name
            })
            .collect();
        let list = format!("many/{{{}}}", names.join(","));
        let arguments = [&common[..], suites, &["-T", &list, &url]].concat();
        let said = site.run("curl", &arguments, "");
        for (name, seed) in names.iter().zip(0..) {
            let there = site.daemon.files().join(name);
            assert!(is_same(&there, &noise(40_000, seed)), "{name}: {said}");
            fs::remove_file(there).unwrap();
        }
    }
}

#[test]
fn wget() {
    if !is_here("wget") {
        return;
    }
    let site = Site::new(&[]);
    let there = site.daemon.files().join("a.bin");
    fs::write(&there, &site.content).unwrap();
    for (how, port) in [
        ("--ftps-fallback-to-ftp", &*site.port),
        ("--ftps-implicit", IMPLICIT),
    ] {
        let url = format!("ftps://test:test@{}:{port}/a.bin", site.address);
        let arguments = [
            "-nv",
            "--no-check-certificate",
            how,
            "-t1",
            "-O",
            "back.bin",
            &url,
        ];
        let said = site.run("wget", &arguments, "");
        assert!(is_same(&site.path("back.bin"), &site.content), "{said}");
        fs::remove_file(site.path("back.bin")).unwrap();
    }
}

#[test]
fn lftp() {
    if !is_here("lftp") {
        return;
    }
    let site = Site::new(&[]);
    for (scheme, port) in [("ftp", &*site.port), ("ftps", IMPLICIT)] {
        for version in ["NORMAL:-VERS-TLS1.3", "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.3"] {
            let script = format!(
                "set net:max-retries 1\nset net:timeout 20\nset ssl:verify-certificate no\n\
                 set ftp:ssl-force yes\nset ftp:ssl-protect-data yes\nset ssl:priority {version}\n\
                 open -u test,test -p {port} {scheme}://{}\n\
                 put local.bin -o a.bin\nput local.bin -o b.bin\nget a.bin -o back.bin\ncls -1\n\
                 rm b.bin\nset ftp:passive-mode no\nput local.bin -o c.bin\nrm a.bin\nmv c.bin a.bin\n",
                site.address
            );
            let said = site.run("lftp", &["--norc"], &script);
            assert!(said.contains("b.bin"), "{said}");
            site.check("a.bin", "back.bin", &said);
        }
    }
}

#[test]
fn python_ftp_tls() {
    const SCRIPT: &str = r#"
import ftplib, io, socket, ssl, sys
host, port, implicit, version, tickets = sys.argv[1:]
class Ftp(ftplib.FTP_TLS):
    def connect_under_tls(self, host, port):
        self.host, self.port, self.timeout = host, port, 30
        self.sock = self.context.wrap_socket(socket.create_connection((host, port), 30), server_hostname=host)
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()
    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        conn = self.context.wrap_socket(conn, server_hostname=self.host, session=self.sock.session)
        assert conn.session_reused
        return conn, size
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
if tickets == "false": context.options |= ssl.OP_NO_TICKET
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
ftp = Ftp(context=context)
if implicit == "true": ftp.connect_under_tls(host, int(port))
else: ftp.connect(host, int(port), timeout=30)
ftp.login("test", "test")
ftp.prot_p()
with open("local.bin", "rb") as source: ftp.storbinary("STOR a.bin", source)
small = bytes(range(256)) * 40
for number in range(5 if implicit == "true" else 100):
    ftp.storbinary("STOR small", io.BytesIO(small))
    back = io.BytesIO()
    ftp.retrbinary("RETR small", back.write)
    assert back.getvalue() == small
assert sorted(ftp.nlst()) == ["a.bin", "small"]
ftp.delete("small")
ftp.set_pasv(False)
for number in range(5):
    ftp.storbinary("STOR small", io.BytesIO(small))
    assert sorted(ftp.nlst()) == ["a.bin", "small"]
ftp.delete("small")
with open("back.bin", "wb") as target: ftp.retrbinary("RETR a.bin", target.write)
ftp.quit()
print("done")
"#;
    if !is_here("python3") {
        return;
    }
    let site = Site::new(&[]);
    for (implicit, port) in [("false", &*site.port), ("true", IMPLICIT)] {
        // Without tickets it shows the number of its session.
        for (version, tickets) in [
            ("TLSv1_2", "true"),
            ("TLSv1_2", "false"),
            ("TLSv1_3", "true"),
        ] {
            let place = [&*site.address, port, implicit];
            let arguments = [&["-c", SCRIPT][..], &place, &[version, tickets]].concat();
            let said = site.run("python3", &arguments, "");
            assert!(said.ends_with("done\n"), "{said}");
            site.check("a.bin", "back.bin", &said);
        }
    }
}

#[test]
fn php() {
    const SCRIPT: &str = r#"
[, $host, $port] = $argv;
$c = ftp_ssl_connect($host, (int) $port, 30);
ftp_login($c, "test", "test") or exit("no login");
ftp_pasv($c, true);
var_dump(ftp_put($c, "a.bin", "local.bin", FTP_BINARY), ftp_get($c, "back.bin", "a.bin", FTP_BINARY),
    ftp_nlist($c, "."), ftp_rawlist($c, "/"), ftp_size($c, "a.bin"));
ftp_close($c);
"#;
    if !is_here("php") {
        return;
    }
    let site = Site::new(&[]);
    for version in ["TLSv1.2", "TLSv1.3"] {
        // It has no word for the version; its library reads it here.
        let only = format!("MinProtocol = {version}\nMaxProtocol = {version}\n");
        let head = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n";
        let conf = site
            .home
            .file("openssl.cnf", (head.to_owned() + &only).as_bytes());
        let conf = format!("OPENSSL_CONF={}", conf.to_str().unwrap());
        let arguments = [&conf, "php", "-r", SCRIPT, "--", &site.address, &site.port];
        let said = site.run("env", &arguments, "");
        assert!(said.contains("int(3000000)"), "{said}");
        site.check("a.bin", "back.bin", &said);
        let wanted = format!("version={}", version.replace('.', "_"));
        site.daemon.wait_for(&wanted);
    }
}

/// TLS of Go. Its memory holds one session for all connections, so that only one may be open.
#[test]
fn rclone() {
    if !is_here("rclone") {
        return;
    }
    let site = Site::new(&[]);
    let password = site.run("rclone", &["obscure", "test"], "");
    let password = password.trim().lines().last().unwrap().to_owned();
    let tree = site.home.open_dir("tree");
    for number in 0..20 {
        let file = tree.join(format!("f{number}"));
        fs::write(file, noise(30_000, number)).unwrap();
    }
    for (how, port) in [("explicit_tls", &*site.port), ("tls", IMPLICIT)] {
        for newest in ["false", "true"] {
            let conf = format!(
                "[far]\ntype = ftp\nhost = {}\nport = {port}\nuser = test\npass = {password}\n\
                 {how} = true\nno_check_certificate = true\ndisable_tls13 = {newest}\nconcurrency = 1\n",
                site.address
            );
            site.home.file("rclone.conf", conf.as_bytes());
            let rclone = |words: &[&str]| {
                let all = [
                    &[
                        "--config",
                        "rclone.conf",
                        "--retries",
                        "1",
                        "--transfers",
                        "1",
                        "--checkers",
                        "1",
                    ],
                    words,
                ]
                .concat();
                site.run("rclone", &all, "")
            };
            let mut said = rclone(&["copy", "tree", "far:tree"]);
            said += &rclone(&["copy", "far:tree", "back"]);
            for number in 0..20 {
                let back = site.path("back").join(format!("f{number}"));
                assert!(is_same(&back, &noise(30_000, number)), "{said}");
            }
            said += &rclone(&["purge", "far:tree"]);
            assert!(!site.daemon.files().join("tree").exists(), "{said}");
            fs::remove_dir_all(site.path("back")).unwrap();
        }
    }
}

#[test]
fn perl_net_ftp() {
    const SCRIPT: &str = r#"
use strict; use Net::FTP;
my ($host, $port, $implicit, $version) = @ARGV;
my $ftp = Net::FTP->new($host, Port => $port, Passive => 1, SSL => $implicit, SSL_verify_mode => 0,
    SSL_version => $version, Timeout => 30) or die "connect: $@";
if (!$implicit) { $ftp->starttls() or die "starttls: " . $ftp->message; }
$ftp->login("test", "test") or die $ftp->message;
$ftp->prot("P") or die $ftp->message;
$ftp->binary;
$ftp->put("local.bin", "a.bin") or die "put: " . $ftp->message;
$ftp->get("a.bin", "back.bin") or die "get: " . $ftp->message;
print join(" ", $ftp->ls), "\n";
$ftp->quit;
"#;
    if !is_here("perl") {
        return;
    }
    // It never offers its data connections the session.
    let site = Site::new(&[("tls.session_reuse", "off")]);
    if site
        .run("perl", &["-MIO::Socket::SSL", "-e1"], "")
        .contains("Can't locate")
    {
        support::skip("IO::Socket::SSL is not installed");
        return;
    }
    for (implicit, port) in [("0", &*site.port), ("1", IMPLICIT)] {
        for version in ["TLSv1_2", "TLSv1_3"] {
            let arguments = ["-e", SCRIPT, &*site.address, port, implicit, version];
            let said = site.run("perl", &arguments, "");
            assert!(said.contains("a.bin"), "{said}");
            site.check("a.bin", "back.bin", &said);
        }
    }
}

#[test]
fn openssl_speaks_the_versions_that_there_are() {
    if !is_here("openssl") {
        return;
    }
    for (least, welcome) in [
        ("1.2", [false, false, true, true]),
        ("1.3", [false, false, false, true]),
    ] {
        let site = Site::new(&[("tls.min_version", least)]);
        let place = format!("{}:{}", site.address, site.port);
        for (version, is_welcome) in ["-tls1", "-tls1_1", "-tls1_2", "-tls1_3"]
            .iter()
            .zip(welcome)
        {
            let arguments = [
                "s_client",
                "-starttls",
                "ftp",
                "-connect",
                &place,
                version,
                "-cipher",
                "ALL:@SECLEVEL=0",
            ];
            let said = site.run("openssl", &arguments, "QUIT\n");
            let has_shaken = said.contains("BEGIN CERTIFICATE");
            assert_eq!(has_shaken, is_welcome, "{version} of {least}: {said}");
        }
    }
}

/// A client library of Rust: in the clear, and under TLS in both versions, explicit and implicit. In TLS
/// 1.3 rustls shows each ticket once, and this library reads nothing on the data connection of an upload.
#[test]
fn rust_suppaftp() {
    let site = Site::new(&[("tls.mode", "optional")]);
    let both = [&rustls::version::TLS12, &rustls::version::TLS13];
    let implicit = format!("{}:{IMPLICIT}", site.address);
    let plain = || RustlsFtpStream::connect(site.daemon.address).unwrap();
    let connector = |version| RustlsConnector::from(support::tls::memory(version));
    work_of_suppaftp(&site, plain(), "in the clear");
    for version in both {
        let ftp = plain().into_secure(connector(version), "localhost");
        work_of_suppaftp(&site, ftp.unwrap(), &format!("explicit {version:?}"));
        let ftp =
            RustlsFtpStream::connect_secure_implicit(&implicit, connector(version), "localhost");
        work_of_suppaftp(&site, ftp.unwrap(), &format!("implicit {version:?}"));
    }
}

fn work_of_suppaftp(site: &Site, mut ftp: RustlsFtpStream, how: &str) {
    ftp.login("test", "test").unwrap();
    ftp.transfer_type(FileType::Binary).unwrap();
    let sent = ftp.put_file("big", &mut site.content.as_slice()).unwrap();
    assert_eq!(sent, site.content.len() as u64);
    assert!(is_same(&site.daemon.files().join("big"), &site.content));
    let got = ftp.retr_as_buffer("big").unwrap().into_inner();
    assert!(got == site.content, "{how}");

    let content = |number: usize| noise(5_000 + number, 12);
    let name = |number: usize| format!("f{number}");
    for number in 0..50 {
        let sent = ftp.put_file(name(number), &mut content(number).as_slice());
        assert_eq!(sent.unwrap(), content(number).len() as u64, "{how}");
    }
    for number in 0..50 {
        let got = ftp.retr_as_buffer(&name(number)).unwrap().into_inner();
        assert!(got == content(number), "{number} {how}");
    }
    for number in 0..50 {
        let next = (number + 1) % 50;
        ftp.put_file(name(number), &mut content(next).as_slice())
            .unwrap();
        assert_eq!(ftp.nlst(None).unwrap().len(), 51);
        let got = ftp.retr_as_buffer(&name(number)).unwrap().into_inner();
        assert!(got == content(next), "{number} {how}");
    }
    for number in 0..50 {
        ftp.rm(name(number)).unwrap();
    }
    ftp.quit().unwrap();
}
