"""The servers that are measured beside each other: how each is started, and who may log in.

All of this is for a private root that vanishes (tests/run-in-private-root): users are made, places in
/etc are written, ports are taken as they come.
"""

import json
import os
import shutil
import subprocess
import sys
import time

HOME = "/tmp/bench"
RUN = "/tmp/bench-run"
# The same password, as SHA-512 crypt and as MD5 crypt: `sha` and `md5` are the same person otherwise.
PASSWORD = "bench"


def sh(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout.strip()


class Server:
    """A server that runs: its name, port and first process, and what it cannot do."""

    def __init__(self, name, port, version, process, lacks=()):
        self.name, self.port, self.version = name, port, version
        self.process, self.lacks = process, set(lacks)

    @property
    def pid(self):
        return self.process if isinstance(self.process, int) else self.process.pid


def prepare(disk):
    """Users, directories and files; `disk` is where what is to lie on a disk lies."""
    os.makedirs(RUN)
    for name, kind in (("sha", "-6"), ("md5", "-1")):
        crypted = sh("openssl", "passwd", kind, "-salt", "benchben", PASSWORD)
        sh("useradd", "-o", "-u", "1717", "-U" if name == "sha" else "-N", "-d", HOME, "-M",
           "-s", "/bin/bash", "-p", crypted, name)
    sh("usermod", "-g", "sha", "md5")
    for name in ("many", "up", "disk"):
        os.makedirs(f"{HOME}/{name}")
    os.makedirs(disk)
    sh("mount", "--bind", disk, f"{HOME}/disk")
    with open(f"{HOME}/big.bin", "wb") as file:
        for _ in range(256):
            file.write(os.urandom(1 << 20))
    for number in range(1, 10001):
        open(f"{HOME}/many/file_{number:05}.txt", "w").close()
    with open(f"{RUN}/4k.bin", "wb") as file:
        file.write(os.urandom(4096))
    sh("chown", "-R", "sha:sha", HOME)
    os.makedirs("/var/run/vsftpd/empty", exist_ok=True)
    with open("/etc/pam.d/benchftp", "w") as file:
        file.write("auth required pam_unix.so\naccount required pam_unix.so\n")
    sh("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
       "-keyout", f"{RUN}/key.pem", "-out", f"{RUN}/cert.pem")
    with open(f"{RUN}/both.pem", "w") as file:
        file.write(open(f"{RUN}/key.pem").read() + open(f"{RUN}/cert.pem").read())
    os.chmod(f"{RUN}/both.pem", 0o600)


def start_all(binaries, store):
    """Every server that can be had, in the order in which they are measured."""
    libraries = f"{store}/libraries"
    places = [f"{libraries}/usr/lib/{arch}" for arch in os.listdir(f"{libraries}/usr/lib")]
    places += [f"{libraries}/lib/{arch}" for arch in os.listdir(f"{libraries}/lib")] \
        if os.path.isdir(f"{libraries}/lib") else []
    environment = dict(os.environ, LD_LIBRARY_PATH=":".join(places), PYTHONPATH=f"{store}/python")
    servers = []
    for start in (vsftpd, pure_ftpd, proftpd, pyftpdlib, pyftpdlib_two, unftp,
                  vsftpd_tls, pure_ftpd_tls, proftpd_tls, pyftpdlib_tls, unftp_tls):
        try:
            # The one that is no package is where our own programs are, if somebody gave it.
            servers.append(start(binaries if start in (unftp, unftp_tls) else store, environment))
        except (OSError, RuntimeError, subprocess.CalledProcessError) as why:
            print(f"{start.__name__} cannot be had: {why}", file=sys.stderr)
    # Those of ours differ in one thing each.
    for name, port, changes, user in (
        ("nanoftpd", 2110, {}, "md5"),
        ("nanoftpd, SHA-512", 2111, {}, "sha"),
        ("nanoftpd, 100 sessions a worker", 2112, {"pool": "sessions_per_worker = 100"}, "md5"),
        ("nanoftpd, TLS", 2113,
         {"tls": f"mode = optional\ncertificate = {RUN}/cert.pem\nkey = {RUN}/key.pem"}, "md5"),
    ):
        servers.append(nanoftpd(binaries, name, port, changes, user))
    return servers


def version(store, package):
    with open(f"{store}/packages/{package}.done") as file:
        return file.read().strip()


def spawn(name, port, words, environment):
    log = open(f"{RUN}/{name}.out", "w")
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    return await_port(name, port, process)


def await_port(name, port, process):
    for _ in range(100):
        if f":{port} " in sh("ss", "-ltn"):
            return process
        if isinstance(process, subprocess.Popen) and process.poll() is not None:
            break
        time.sleep(0.1)
    with open(f"{RUN}/{name}.out") as file:
        raise RuntimeError(file.read()[-300:] or "it does not listen")


def vsftpd(store, environment, name="vsftpd", port=2101, tls=""):
    path = f"{RUN}/{port}.conf"
    with open(path, "w") as file:
        file.write(f"""listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
local_enable=YES
write_enable=YES
anonymous_enable=NO
pam_service_name=benchftp
use_sendfile=YES
max_clients=0
max_per_ip=0
secure_chroot_dir=/var/run/vsftpd/empty
xferlog_enable=YES
vsftpd_log_file={RUN}/vsftpd.log
{tls}""")
    process = spawn(name, port, [f"{store}/vsftpd/usr/sbin/vsftpd", path], environment)
    return Server(name, port, version(store, "vsftpd"), process, lacks={"MLSD"})


def vsftpd_tls(store, environment):
    tls = f"""ssl_enable=YES
force_local_data_ssl=NO
force_local_logins_ssl=NO
rsa_cert_file={RUN}/cert.pem
rsa_private_key_file={RUN}/key.pem
ssl_ciphers=HIGH
"""
    return vsftpd(store, environment, "vsftpd, TLS", 2121, tls)


def pure_ftpd(store, environment, name="pure-ftpd", port=2102, tls=()):
    words = [f"{store}/pure-ftpd/usr/sbin/pure-ftpd", "-S", f"127.0.0.1,{port}", "-l", "unix", "-c", "2000",
             "-C", "2000", "-E", "-H", "-u", "100", "-P", "127.0.0.1", "-L", "20000:10",
             "-O", f"clf:{RUN}/{port}.log", "-g", f"{RUN}/{port}.pid", *tls]
    process = spawn(name, port, words, environment)
    return Server(name, port, version(store, "pure-ftpd"), process)


def pure_ftpd_tls(store, environment):
    os.makedirs("/etc/ssl/private", exist_ok=True)
    shutil.copy(f"{RUN}/both.pem", "/etc/ssl/private/pure-ftpd.pem")
    return pure_ftpd(store, environment, "pure-ftpd, TLS", 2122, ("-Y", "1"))


def proftpd(store, environment, name="proftpd", port=2103, tls=""):
    modules = "/usr/lib/proftpd"
    if not os.path.isdir(modules):
        shutil.copytree(f"{store}/proftpd-core/usr/lib/proftpd", modules)
        extra = f"{store}/proftpd-mod-crypto/usr/lib/proftpd"
        if os.path.isdir(extra):
            shutil.copytree(extra, modules, dirs_exist_ok=True)
    path = f"{RUN}/{port}.conf"
    with open(path, "w") as file:
        file.write(f"""ServerType standalone
Port {port}
DefaultAddress 127.0.0.1
SocketBindTight on
ServerName bench
User nobody
Group nogroup
UseReverseDNS off
MaxInstances 2000
AuthPAMConfig benchftp
RequireValidShell off
UseSendfile on
AllowOverwrite on
TransferLog {RUN}/{port}.xfer
SystemLog {RUN}/{port}.log
ScoreboardFile {RUN}/{port}.score
PidFile {RUN}/{port}.pid
DelayEngine off
WtmpLog off
{tls}""")
    process = spawn(name, port, [f"{store}/proftpd-core/usr/sbin/proftpd", "-n", "-q", "-c", path], environment)
    return Server(name, port, version(store, "proftpd-core"), process)


def proftpd_tls(store, environment):
    tls = f"""ModulePath /usr/lib/proftpd
LoadModule mod_tls.c
TLSEngine on
TLSRSACertificateFile {RUN}/cert.pem
TLSRSACertificateKeyFile {RUN}/key.pem
TLSLog {RUN}/proftpd.tls
"""
    return proftpd(store, environment, "proftpd, TLS", 2123, tls)


PYTHON = """
import logging, sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
handler = FTPHandler
try:
    from pyftpdlib.handlers import TLS_FTPHandler as handler
    handler.certfile = {pem!r}
except ImportError:
    pass
logging.basicConfig(level=logging.INFO, filename={log!r})
people = DummyAuthorizer()
for user in ("md5", "sha"):
    people.add_user(user, {password!r}, {home!r}, perm="elradfmwMT")
handler.authorizer = people
server = FTPServer(("127.0.0.1", int(sys.argv[1])), handler)
server.max_cons = server.max_cons_per_ip = 2000
workers = int(sys.argv[2])
server.serve_forever(**({{"worker_processes": workers}} if workers > 1 else {{}}))
"""


def python_server(name, port, workers, environment):
    path = f"{RUN}/py.py"
    with open(path, "w") as file:
        file.write(PYTHON.format(pem=f"{RUN}/both.pem", log=f"{RUN}/py.log", password=PASSWORD, home=HOME))
    process = spawn(name, port, ["python3", path, str(port), str(workers)], environment)
    found = sh("python3", "-c", "import pyftpdlib; print(pyftpdlib.__ver__)", env=environment)
    return Server(name, port, found, process)


def pyftpdlib(store, environment):
    return python_server("pyftpdlib", 2104, 1, environment)


def pyftpdlib_tls(store, environment):
    return python_server("pyftpdlib, TLS", 2124, 1, environment)


def pyftpdlib_two(store, environment):
    return python_server("pyftpdlib, 2 workers", 2106, 2, environment)


def unftp(binaries, environment, name="unftp", port=2107, tls=()):
    path = f"{RUN}/{port}.json"
    with open(path, "w") as file:
        json.dump([{"username": user, "password": PASSWORD} for user in ("md5", "sha")], file)
    words = [f"{binaries}/unftp", "--bind-address", f"127.0.0.1:{port}", "--root-dir", HOME,
             "--bind-address-http", f"127.0.0.1:{port + 40}", "--auth-type", "json", "--auth-json-path", path,
             "--log-level", "info", *tls]
    found = sh(words[0], "--version").splitlines()[0].split()[-1]
    return Server(name, port, found, spawn(name, port, words, environment))


def unftp_tls(binaries, environment):
    tls = ("--ftps-certs-file", f"{RUN}/cert.pem", "--ftps-key-file", f"{RUN}/key.pem")
    return unftp(binaries, environment, "unftp, TLS", 2127, tls)


def nanoftpd(binaries, name, port, changes, user):
    """As installed, but for where things are, and room for 300 sessions."""
    place = f"{RUN}/{port}"
    os.makedirs(place)
    if user == "md5":
        crypted = sh("openssl", "dgst", "-md5", "-r", input=PASSWORD).split()[0]
    else:
        crypted = sh("openssl", "passwd", "-6", "-salt", "benchben", PASSWORD)
    with open(f"{place}/users", "w") as file:
        file.write(f"{user}:{crypted}:1717:1717:File\n")
    sections = {
        "nanoftpd": f"listen_addr = 127.0.0.1\nlisten_port = {port}\npidfile = {place}/pid\n"
                    "userid = sha\ngroupid = sha",
        "pool": "max_clients = 400",
        "auth.text": f"file = {place}/users",
        "file": f"root = {HOME}",
        "logging": f"file = {place}/log\nxferlog = {place}/xferlog",
        "status": f"socket = {place}/control.sock",
    }
    for section, text in changes.items():
        sections[section] = sections.get(section, "") + "\n" + text
    with open(f"{place}/conf", "w") as file:
        for section, text in sections.items():
            file.write(f"[{section}]\n{text}\n")
    sh(f"{binaries}/nanoftpd", "-c", f"{place}/conf")
    with open(f"{place}/pid") as file:
        pid = int(file.read())
    return Server(name, port, sh(f"{binaries}/nanoftpd", "-V").split()[-1], pid)
