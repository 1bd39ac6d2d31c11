//! Programs that people really use do what people really do with them. What came of it is read from
//! the store, through the tracker, not from the client's exit code.
#![cfg(test)]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use support::{Daemon, PATIENCE, Place, Scratch, Truth, is_here, noise, on_each_module};

/// What a client is asked to do; paths on the server are absolute.
#[derive(Clone, Copy, Debug)]
enum Task<'a> {
    Put(&'a Path, &'a str),
    Get(&'a str, &'a Path),
    List(&'a str),
    Size(&'a str),
    Rename(&'a str, &'a str),
    Delete(&'a str),
    MakeDir(&'a str),
    RemoveDir(&'a str),
}

/// Where the server is, and how data connections are to be made.
struct Site<'a> {
    port: String,
    active: bool,
    /// The client's home, and where it is started.
    home: &'a Path,
    /// Whose password is `test`.
    user: &'a str,
    /// Where files go; empty: the root.
    dir: &'a str,
}

/// One program: turns a task into a call of it, and gives what it printed.
type Client = fn(&Site<'_>, Task<'_>) -> String;

/// The client's work on each module in passive mode, and once in active mode.
fn check(program: &str, client: Client) {
    if !is_here(program) {
        return;
    }
    on_each_module(|place, daemon| {
        let modes: &[bool] = if place.module == "MogileFs" {
            &[false, true]
        } else {
            &[false]
        };
        for &active in modes {
            let home = Scratch::new();
            let site = Site {
                port: daemon.address.port().to_string(),
                active,
                home: home.path(),
                user: &place.user,
                dir: &place.dir,
            };
            work(place, &site, client);
            is_used(daemon, program, active);
        }
    });
}

fn is_used(daemon: &Daemon, program: &str, active: bool) {
    let commands: &[&str] = if active {
        &["PORT", "EPRT"]
    } else {
        &["PASV", "EPSV"]
    };
    let is_used = |line: &str| commands.iter().any(|verb| line.contains(verb));
    let said = daemon.log.wait(0, PATIENCE, is_used);
    assert!(said.is_some(), "{program} never said {commands:?}");
}

fn work(place: &Place<'_>, site: &Site<'_>, client: Client) {
    let content = noise(100_000, 7);
    let local = site.home.join("pic 1.jpg");
    fs::write(&local, &content).unwrap();
    let (first, second) = (place.path("pic 1.jpg"), place.path("pic 2.jpg"));
    let said = client(site, Task::Put(&local, &first));
    assert_eq!(place.names(), ["pic 1.jpg"], "{said}");
    assert!(place.holds("pic 1.jpg") == Some(content.clone()), "{said}");

    let back = site.home.join("back.jpg");
    let said = client(site, Task::Get(&first, &back));
    assert!(
        fs::read(&back).is_ok_and(|bytes| bytes == content),
        "{said}"
    );

    let said = client(site, Task::List(&place.dir));
    assert!(said.contains("pic 1.jpg"), "{said}");
    let said = client(site, Task::Size(&first));
    assert!(said.contains("100000"), "{said}");

    let said = client(site, Task::Rename(&first, &second));
    assert_eq!(place.names(), ["pic 2.jpg"], "{said}");
    let said = client(site, Task::Delete(&second));
    assert_eq!(place.names(), [""; 0], "{said}");
    directories(place, site, client);
}

/// A class, or a directory of the file system, comes and goes.
fn directories(place: &Place<'_>, site: &Site<'_>, client: Client) {
    let parent = place.dir.rsplit_once('/').map_or("", |(parent, _)| parent);
    let dir = format!("{parent}/fresh");
    match &place.store {
        Truth::Cluster(_) if place.module == "MogileFs_FlatNS" => {}
        Truth::Cluster(cluster) => {
            client(site, Task::MakeDir(&dir));
            cluster.classes_become(&["docs", "fresh", "photos"]);
            client(site, Task::RemoveDir(&dir));
            cluster.classes_become(&["docs", "photos"]);
        }
        Truth::Files(root) => {
            client(site, Task::MakeDir(&dir));
            assert!(root.join("fresh").is_dir());
            client(site, Task::RemoveDir(&dir));
            assert!(!root.join("fresh").exists());
        }
    }
}

fn run(site: &Site<'_>, program: &str, arguments: &[&str], input: &str) -> String {
    support::run(site.home, program, arguments, input)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn curl() {
    check("curl", |site, task| {
        let base = format!("ftp://127.0.0.1:{}", site.port);
        let url = |path: &str| format!("{base}{}", path.replace(' ', "%20"));
        let mut arguments = vec!["-sS".to_owned(), "-u".into(), format!("{}:test", site.user)];
        if site.active {
            arguments.extend(["--ftp-port".into(), "-".into()]);
        }
        let quote = |commands: &[String]| {
            commands
                .iter()
                .flat_map(|command| ["-Q".into(), command.clone()])
                .collect()
        };
        let more: Vec<String> = match task {
            Task::Put(local, remote) => vec!["-T".into(), text(local).into(), url(remote)],
            Task::Get(remote, local) => vec!["-o".into(), text(local).into(), url(remote)],
            Task::List(dir) => vec![url(dir) + "/"],
            Task::Size(path) => vec!["-I".into(), url(path)],
            Task::Rename(from, to) => quote(&[format!("RNFR {from}"), format!("RNTO {to}")]),
            Task::Delete(path) => quote(&[format!("DELE {path}")]),
            Task::MakeDir(path) => quote(&[format!("MKD {path}")]),
            Task::RemoveDir(path) => quote(&[format!("RMD {path}")]),
        };
        if more.first().is_some_and(|first| first == "-Q") {
            arguments.push(url("/"));
        }
        arguments.extend(more);
        run(
            site,
            "curl",
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
            "",
        )
    });
}

#[test]
fn lftp() {
    check("lftp", |site, task| {
        let command = match task {
            Task::Put(local, remote) => format!("put '{}' -o '{remote}'", text(local)),
            Task::Get(remote, local) => format!("get '{remote}' -o '{}'", text(local)),
            Task::List(dir) => format!("cls -1 '{dir}/'"),
            Task::Size(path) => format!("cls --size --block-size=1 '{path}'"),
            Task::Rename(from, to) => format!("mv '{from}' '{to}'"),
            Task::Delete(path) => format!("rm '{path}'"),
            Task::MakeDir(path) => format!("mkdir '{path}'"),
            Task::RemoveDir(path) => format!("rmdir '{path}'"),
        };
        let passive = if site.active { "off" } else { "on" };
        let script = format!(
            "set net:max-retries 2\nset net:timeout 10\nset ftp:passive-mode {passive}\n\
             set ftp:ssl-allow no\nopen -u {},test -p {} ftp://127.0.0.1\n{command}\n",
            site.user, site.port
        );
        run(site, "lftp", &["--norc"], &script)
    });
}

#[test]
fn tnftp() {
    check("tnftp", |site, task| classic(site, task, "tnftp"));
}

#[test]
fn inetutils_ftp() {
    check("inetutils-ftp", |site, task| {
        classic(site, task, "inetutils-ftp")
    });
}

/// The programs that descend from the ftp of BSD.
fn classic(site: &Site<'_>, task: Task<'_>, program: &str) -> String {
    let command = match task {
        Task::Put(local, remote) => format!("put \"{}\" \"{remote}\"", text(local)),
        Task::Get(remote, local) => format!("get \"{remote}\" \"{}\"", text(local)),
        Task::List(dir) => format!("ls {dir}/"),
        Task::Size(path) => format!("size \"{path}\""),
        Task::Rename(from, to) => format!("rename \"{from}\" \"{to}\""),
        Task::Delete(path) => format!("delete \"{path}\""),
        Task::MakeDir(path) => format!("mkdir {path}"),
        Task::RemoveDir(path) => format!("rmdir {path}"),
    };
    let mode = if site.active { "-A" } else { "-p" };
    let script = format!("user {} test\nbinary\n{command}\nbye\n", site.user);
    let arguments = ["-n", "-v", mode, "127.0.0.1", &site.port];
    run(site, program, &arguments, &script)
}

#[test]
fn ncftp() {
    check("ncftpput", |site, task| {
        let mode = if site.active { "-E" } else { "-F" };
        let at = ["-u", site.user, "-p", "test", "-P", &site.port];
        let login = [&at[..], &[mode]].concat();
        let tool =
            |program: &str, rest: &[&str]| run(site, program, &[&login[..], rest].concat(), "");
        let shell = |command: String| {
            let passive = if site.active { "off" } else { "on" };
            let script = format!("set passive {passive}\n{command}\nbye\n");
            run(site, "ncftp", &[&at[..], &["127.0.0.1"]].concat(), &script)
        };
        match task {
            Task::Put(local, remote) => tool("ncftpput", &["-C", "127.0.0.1", text(local), remote]),
            Task::Get(remote, local) => tool("ncftpget", &["-C", "127.0.0.1", remote, text(local)]),
            Task::List(dir) => tool("ncftpls", &[&format!("ftp://127.0.0.1{dir}/")]),
            Task::Size(_) => tool("ncftpls", &["-l", &format!("ftp://127.0.0.1{}/", site.dir)]),
            Task::Rename(from, to) => shell(format!("rename \"{from}\" \"{to}\"")),
            Task::Delete(path) => shell(format!("rm \"{path}\"")),
            Task::MakeDir(path) => shell(format!("mkdir {path}")),
            Task::RemoveDir(path) => shell(format!("rmdir {path}")),
        }
    });
}

/// The words of a task for a script: a verb and two arguments.
fn words<'a>(task: Task<'a>) -> [&'a str; 3] {
    match task {
        Task::Put(local, remote) => ["put", text(local), remote],
        Task::Get(remote, local) => ["get", remote, text(local)],
        Task::List(dir) => ["list", dir, ""],
        Task::Size(path) => ["size", path, ""],
        Task::Rename(from, to) => ["rename", from, to],
        Task::Delete(path) => ["delete", path, ""],
        Task::MakeDir(path) => ["mkdir", path, ""],
        Task::RemoveDir(path) => ["rmdir", path, ""],
    }
}

#[test]
fn python_ftplib() {
    const SCRIPT: &str = r#"
import ftplib, sys
user, port, active, verb, a, b = sys.argv[1:]
ftp = ftplib.FTP()
ftp.connect("127.0.0.1", int(port), timeout=30)
ftp.login(user, "test")
ftp.set_pasv(active == "false")
if verb == "put":
    with open(a, "rb") as source: print(ftp.storbinary("STOR " + b, source))
elif verb == "get":
    with open(b, "wb") as target: print(ftp.retrbinary("RETR " + a, target.write))
elif verb == "list":
    ftp.cwd(a or "/")
    names = ftp.nlst()
    assert names == [name for name, _ in ftp.mlsd(facts=["type"])], names
    print(names)
elif verb == "size": ftp.voidcmd("TYPE I"); print(ftp.size(a))
elif verb == "rename": print(ftp.rename(a, b))
elif verb == "delete": print(ftp.delete(a))
elif verb == "mkdir": assert ftp.mkd(a) == a
elif verb == "rmdir": print(ftp.rmd(a))
ftp.quit()
"#;
    check("python3", |site, task| {
        let active = site.active.to_string();
        let arguments = [
            &["-c", SCRIPT, site.user, &site.port, &active][..],
            &words(task),
        ]
        .concat();
        run(site, "python3", &arguments, "")
    });
}

#[test]
fn php() {
    const SCRIPT: &str = r#"
[, $user, $port, $active, $verb, $a, $b] = $argv;
$c = ftp_connect("127.0.0.1", (int) $port, 30);
ftp_login($c, $user, "test") or exit("no login");
if ($active === "false") ftp_set_option($c, FTP_USEPASVADDRESS, true);
ftp_pasv($c, $active === "false");
$done = match ($verb) {
    "put" => ftp_put($c, $b, $a, FTP_BINARY),
    "get" => ftp_get($c, $b, $a, FTP_BINARY),
    "list" => [ftp_nlist($c, $a), ftp_rawlist($c, $a ?: "/")],
    "size" => ftp_size($c, $a),
    "rename" => ftp_rename($c, $a, $b),
    "delete" => ftp_delete($c, $a),
    "mkdir" => ftp_mkdir($c, $a),
    "rmdir" => ftp_rmdir($c, $a),
};
var_dump($done);
ftp_close($c);
"#;
    check("php", |site, task| {
        let active = site.active.to_string();
        let arguments = [
            &["-r", SCRIPT, "--", site.user, &site.port, &active][..],
            &words(task),
        ]
        .concat();
        run(site, "php", &arguments, "")
    });
}

#[test]
fn perl_net_ftp() {
    const SCRIPT: &str = r#"
use strict; use Net::FTP;
my ($user, $port, $active, $verb, $from, $to) = @ARGV;
my $ftp = Net::FTP->new("127.0.0.1", Port => $port, Passive => $active eq "false", Timeout => 30) or die $@;
$ftp->login($user, "test") or die $ftp->message;
$ftp->binary;
my %work = (
    put => sub { $ftp->put($from, $to) },
    get => sub { $ftp->get($from, $to) },
    list => sub { join "\n", $ftp->ls($from || "/"), $ftp->dir($from || "/") },
    size => sub { $ftp->size($from) },
    rename => sub { $ftp->rename($from, $to) },
    delete => sub { $ftp->delete($from) },
    mkdir => sub { $ftp->mkdir($from) },
    rmdir => sub { $ftp->rmdir($from) },
);
print $work{$verb}->() // $ftp->message, "\n";
$ftp->quit;
"#;
    check("perl", |site, task| {
        let active = site.active.to_string();
        let arguments = [
            &["-e", SCRIPT, site.user, &site.port, &active][..],
            &words(task),
        ]
        .concat();
        run(site, "perl", &arguments, "")
    });
}

/// Programs that copy whole trees: what they fetch is what was put, and rclone puts it too, with its time.
#[test]
fn wget_and_rclone_copy_trees() {
    if !is_here("wget") || !is_here("rclone") {
        return;
    }
    on_each_module(|place, daemon| {
        let mut ftp = place.log_in(daemon);
        ftp.expect("TYPE I", 200);
        for name in ["one", "two +&.jpg"] {
            ftp.store(&place.path(name), name.as_bytes());
        }
        let home = Scratch::new();
        let port = daemon.address.port();
        let site = Site {
            port: port.to_string(),
            active: false,
            home: home.path(),
            user: &place.user,
            dir: &place.dir,
        };
        let url = format!("ftp://{}:test@127.0.0.1:{port}{}/", place.user, place.dir);
        let arguments = ["-q", "-nd", "-r", "-l", "1", "-P", "tree", &url];
        let said = run(&site, "wget", &arguments, "");
        for name in ["one", "two +&.jpg"] {
            let got = fs::read(home.path().join("tree").join(name));
            assert!(
                got.is_ok_and(|bytes| bytes == name.as_bytes()),
                "{name}: {said}"
            );
        }
        synchronize(place, &site);
    });
}

/// By rclone, which keeps the times that it can.
fn synchronize(place: &Place<'_>, site: &Site<'_>) {
    let password = run_alone(site, "rclone", &["obscure", "test"]);
    let conf = format!(
        "[far]\ntype = ftp\nhost = 127.0.0.1\nport = {}\nuser = {}\npass = {}\n",
        site.port,
        place.user,
        password.trim()
    );
    fs::write(site.home.join("rclone.conf"), conf).unwrap();
    let far = format!("far:{}/", place.dir);
    let rclone = |words: &[&str]| {
        let words = [&["--config", "rclone.conf"], words].concat();
        run(site, "rclone", &words, "")
    };
    let said = rclone(&["copy", &far, "fetched"]);
    let got = fs::read(site.home.join("fetched/one"));
    assert!(got.is_ok_and(|bytes| bytes == b"one"), "{said}");
    let three = site.home.join("fetched/three");
    fs::write(&three, "3").unwrap();
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let three = File::options().write(true).open(three).unwrap();
    three.set_modified(long_ago).unwrap();
    fs::remove_file(site.home.join("fetched/one")).unwrap();
    let said = rclone(&["sync", "fetched", &far]);
    assert_eq!(place.names(), ["three", "two +&.jpg"], "{said}");
    assert_eq!(place.holds("three").as_deref(), Some(&b"3"[..]), "{said}");
    if let Truth::Files(root) = &place.store {
        let kept = fs::metadata(root.join("three")).unwrap().modified();
        assert_eq!(kept.unwrap(), long_ago, "{said}");
    }
}

/// What a program that needs no server prints.
fn run_alone(site: &Site<'_>, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(site.home)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}
