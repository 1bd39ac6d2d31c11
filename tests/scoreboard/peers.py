"""The servers that stand beside each other: how each is started. All may do what they can: TLS where the
client asks for it, ASCII, UTF-8, resumed uploads; users in their homes (chroot), at most 32 sessions, and
the shortest time for a login that can be set.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from session import Server, Session

PASSWORD = "peer"
MOST = 32
PEER_HOME = "/srv/peer"
# Not 127.0.0.0/8, which some of them trust; that is for a machine where nothing can be set up.
PRIVATE = ("10.99.0.1", "10.99.0.2", "10.99.0.66")
LOOPBACK = ("127.0.0.1", "127.0.0.2", "127.0.0.66")
DOMAIN = "testdomain"
DELAYED = 2163


def sh(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout.strip()


class Company:
    """All that run. With `store`, the unpacked packages of the others, in a private root."""

    def __init__(self, binaries, store):
        self.binaries, self.store = os.path.abspath(binaries), store and os.path.abspath(store)
        self.place = tempfile.mkdtemp(prefix="nanoftpd-board.")
        os.chmod(self.place, 0o755)
        self.addresses = PRIVATE if store else LOOPBACK
        if store:
            sh("ip", "route", "add", "local", "10.99.0.0/24", "dev", "lo")
        self.running, self.ours, self.servers = [], [], []
        self.environment = None
        self.crypted = sh("openssl", "passwd", "-6", "-salt", "peerpeer", PASSWORD)
        self.certificate()

    def __enter__(self):
        try:
            self.ours = [self.nanoftpd("File", 2105), self.nanoftpd("MogileFs", 2106)]
            self.ours[0].strict = self.nanoftpd("File", 2155, strict=True)
            self.servers = list(self.ours)
            if self.store:
                self.furnish()
                for start in (self.vsftpd, self.pure_ftpd, self.proftpd, self.pyftpdlib):
                    try:
                        server = start()
                        server.strict = start(True)
                        server.delayed = self.proftpd(port=DELAYED) if start == self.proftpd else None
                        self.servers.append(server)
                    except (OSError, RuntimeError, subprocess.CalledProcessError) as why:
                        print(f"{start.__name__} cannot be had: {why}", file=sys.stderr)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            process.wait()
        shutil.rmtree(self.place, ignore_errors=True)

    def certificate(self):
        sh("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
           "-keyout", f"{self.place}/key.pem", "-out", f"{self.place}/cert.pem")
        with open(f"{self.place}/both.pem", "w") as both:
            both.write(open(f"{self.place}/key.pem").read() + open(f"{self.place}/cert.pem").read())

    def spawn(self, name, words, environment=None):
        out = open(f"{self.place}/{name}.out", "ab")
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   start_new_session=True, env=environment)
        self.running.append(process)
        return process

    def server(self, name, port, process, version, log="", home="", user="peer", six=None):
        """It, once it answers."""
        host, source, stranger = self.addresses
        server = Server(name, host, port, user, PASSWORD, home, source, six)
        server.version, server.process, server.log = version, process, log
        server.stranger, server.most = stranger, MOST
        for _ in range(200):
            try:
                Session(server).close()
                return server
            except (OSError, EOFError):
                time.sleep(0.1)
        with open(f"{self.place}/{name}.out") as out:
            raise RuntimeError(f"{name} does not answer: {out.read()[-500:]}")

    def nanoftpd(self, module, port, strict=False):
        """One for each kind of store; where it is not root, as whoever runs it."""
        if not self.store:
            with socket.create_server((self.addresses[0], 0)) as free:
                port = free.getsockname()[1]
        name, place = f"nanoftpd {module}", f"{self.place}/{port}"
        os.makedirs(f"{place}/files")
        os.makedirs(f"{place}/tmp")
        for part in ("files", "tmp"):
            os.chmod(f"{place}/{part}", 0o1777)
        user, group = ("nobody", "nogroup") if os.geteuid() == 0 else (sh("id", "-un"), sh("id", "-gn"))
        with open(f"{place}/users", "w") as users:
            users.write(f"peer:{self.crypted}:65534:65534:{module}\n")
        tracker = self.node(place) if module == "MogileFs" else "127.0.0.1:1"
        with open(f"{place}/conf", "w") as conf:
            conf.write(f"""[nanoftpd]
daemonize = no
pidfile = {place}/pid
tmpdir = {place}/tmp
userid = {user}
groupid = {group}
listen_addr = {self.addresses[0]}, ::1
listen_port = {port}
login_time = 10
[pool]
max_clients = {MOST}
max_spare = 8
[auth.text]
file = {place}/users
[file]
root = {place}/files
[mogilefs]
tracker = {tracker}
domain = {DOMAIN}
[tls]
mode = {"required" if strict else "optional"}
truncation = require
certificate = {self.place}/cert.pem
key = {self.place}/key.pem
[logging]
file = {place}/log
level = debug
xferlog =
[status]
socket = {place}/control
""")
        process = self.spawn(name, [f"{self.binaries}/nanoftpd", "-f", "-c", f"{place}/conf"])
        version = sh(f"{self.binaries}/nanoftpd", "-V").split()[-1]
        if module == "File":
            self.fill(f"{place}/files")
        return self.server(name, port, process, version, f"{place}/log",
                           "photos" if module == "MogileFs" else "", six=("::1", port))

    def node(self, place):
        os.makedirs(f"{place}/mogilefs")
        process = subprocess.Popen(
            [f"{self.binaries}/mogilefs-node", "--dir", f"{place}/mogilefs", "--tracker", "127.0.0.1:0",
             "--devices", "3", "--domain", f"{DOMAIN}:photos,docs"], stdout=subprocess.PIPE, text=True)
        self.running.insert(0, process)
        tracker = ""
        for line in process.stdout:
            word, _, rest = line.strip().partition(" ")
            tracker = rest if word == "tracker" else tracker
            if word == "ready":
                return tracker
        raise RuntimeError("the node did not start")

    def fill(self, home, owner=None):
        """What the attacks want to find."""
        for number in range(60):
            open(f"{home}/{'a' * 240}{number:02}", "w").close()
        with open(f"{home}/large", "wb") as large:
            large.truncate(64 << 20)
        os.makedirs(f"{home}/d/e/f", exist_ok=True)
        if owner:
            sh("chown", "-R", owner, home)

    def furnish(self):
        """A user and the libraries of the others, in a root that vanishes."""
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        sh("useradd", "-m", "-d", PEER_HOME, "-s", "/bin/bash", "-p", self.crypted, "peer")
        sh("sh", "-c", "id ftp || useradd -r -d /srv/ftp -s /usr/sbin/nologin ftp")
        self.fill(PEER_HOME, "peer:peer")
        os.makedirs("/var/run/vsftpd/empty", exist_ok=True)
        os.makedirs("/etc/ssl/private", exist_ok=True)
        shutil.copy(f"{self.place}/both.pem", "/etc/ssl/private/pure-ftpd.pem")
        os.chmod("/etc/ssl/private/pure-ftpd.pem", 0o600)
        with open("/etc/pam.d/peerftp", "w") as pam:
            pam.write("auth required pam_unix.so\naccount required pam_unix.so\n")
        roots = [f"{self.store}/libraries/{part}" for part in ("usr/lib", "lib")]
        places = [f"{root}/{arch}" for root in roots if os.path.isdir(root) for arch in os.listdir(root)]
        self.environment = dict(os.environ, LD_LIBRARY_PATH=":".join(places), PYTHONPATH=f"{self.store}/python")

    def version(self, package):
        with open(f"{self.store}/packages/{package}.done") as file:
            return file.read().strip()

    def vsftpd(self, strict=False):
        log = f"{self.place}/vsftpd.log"
        program, demanded = f"{self.store}/vsftpd/usr/sbin/vsftpd", "YES" if strict else "NO"
        port = 2151 if strict else 2101
        for name, where in (("vsftpd-six", "listen=NO\nlisten_ipv6=YES\nlisten_address6=::1"),
                            ("vsftpd", f"listen=YES\nlisten_address={self.addresses[0]}")):
            with open(f"{self.place}/{name}.conf", "w") as conf:
                conf.write(f"""{where}
listen_port={port}
background=NO
local_enable=YES
write_enable=YES
anonymous_enable=NO
chroot_local_user=YES
allow_writeable_chroot=YES
ascii_upload_enable=YES
ascii_download_enable=YES
utf8_filesystem=YES
pam_service_name=peerftp
max_clients={MOST}
idle_session_timeout=10
secure_chroot_dir=/var/run/vsftpd/empty
log_ftp_protocol=YES
xferlog_enable=YES
xferlog_std_format=NO
vsftpd_log_file={log}
ssl_enable=YES
force_local_data_ssl={demanded}
force_local_logins_ssl={demanded}
strict_ssl_read_eof=YES
ssl_ciphers=HIGH
rsa_cert_file={self.place}/cert.pem
rsa_private_key_file={self.place}/key.pem
""")
            process = self.spawn(name, [program, f"{self.place}/{name}.conf"], self.environment)
        return self.server("vsftpd", port, process, self.version("vsftpd"), log, six=("::1", port))

    def pure_ftpd(self, strict=False):
        port, demanded = (2152, "3") if strict else (2102, "1")
        for name, host in (("pure-ftpd-six", "::1"), ("pure-ftpd", self.addresses[0])):
            words = [f"{self.store}/pure-ftpd/usr/sbin/pure-ftpd", "-S", f"{host},{port}", "-l", "unix",
                     "-c", str(MOST), "-C", str(MOST), "-A", "-E", "-H", "-u", "100", "-I", "1", "-Y", demanded,
                     "-g", f"{self.place}/{name}-{port}.pid"]
            process = self.spawn(name, words, self.environment)
        return self.server("pure-ftpd", port, process, self.version("pure-ftpd"), six=("::1", port))

    def proftpd(self, strict=False, port=0):
        """One more has the delays that are to hide which users there are: they make each login slow."""
        modules = "/usr/lib/proftpd"
        if not os.path.isdir(modules):
            shutil.copytree(f"{self.store}/proftpd-core/usr/lib/proftpd", modules)
            shutil.copytree(f"{self.store}/proftpd-mod-crypto/usr/lib/proftpd", modules, dirs_exist_ok=True)
        port = port or (2153 if strict else 2103)
        state = f"/srv/proftpd-{port}"
        os.makedirs(state, exist_ok=True)
        with open(f"{state}/conf", "w") as conf:
            conf.write(f"""ServerType standalone
Port {port}
DefaultAddress {self.addresses[0]} ::1
SocketBindTight on
User nobody
Group nogroup
UseReverseDNS off
MaxInstances {MOST}
AuthPAMConfig peerftp
RequireValidShell off
DefaultRoot ~
AllowOverwrite on
AllowStoreRestart on
AllowRetrieveRestart on
TimeoutLogin 10
SystemLog {state}/proftpd.log
TransferLog none
ScoreboardFile {state}/proftpd.score
PidFile {state}/proftpd.pid
DelayEngine {"on" if port == DELAYED else "off"}
DelayTable {state}/proftpd.delay
WtmpLog off
UseIPv6 on
ModulePath {modules}
LoadModule mod_tls.c
TLSEngine on
TLSRequired {"on" if strict else "off"}
TLSRSACertificateFile {self.place}/cert.pem
TLSRSACertificateKeyFile {self.place}/key.pem
TLSLog {state}/tls.log
""")
        process = self.spawn("proftpd", [f"{self.store}/proftpd-core/usr/sbin/proftpd", "-n", "-q",
                                         "-c", f"{state}/conf"], self.environment)
        return self.server("proftpd", port, process, self.version("proftpd-core"), f"{state}/proftpd.log",
                           six=("::1", port))

    def pyftpdlib(self, strict=False):
        port = 2154 if strict else 2104
        log = f"{self.place}/pyftpdlib-{port}.log"
        with open(f"{self.place}/peer.py", "w") as program:
            program.write(PYTHON.format(pem=f"{self.place}/both.pem", password=PASSWORD, home=PEER_HOME,
                                        most=MOST, host=self.addresses[0], port=port, strict=strict))
        open(log, "w").close()
        shutil.chown(log, "peer")
        shutil.chown(f"{self.place}/both.pem", "peer")
        words = ["setpriv", "--reuid", "peer", "--regid", "peer", "--clear-groups",
                 "python3", f"{self.place}/peer.py", log]
        process = self.spawn("pyftpdlib", words, self.environment)
        version = sh("python3", "-c", "import pyftpdlib; print(pyftpdlib.__ver__)", env=self.environment)
        return self.server("pyftpdlib", port, process, version, log, six=("::1", port))


# As its documentation has it, as a user without rights.
PYTHON = """
import logging, sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer
logging.basicConfig(level=logging.DEBUG, filename=sys.argv[1])
people = DummyAuthorizer()
people.add_user("peer", {password!r}, {home!r}, perm="elradfmwMT")
handler = TLS_FTPHandler
handler.certfile = {pem!r}
handler.authorizer = people
handler.timeout = 10
handler.tls_control_required = handler.tls_data_required = {strict}
server = FTPServer(({host!r}, {port}), handler)
server.max_cons = {most}
other = FTPServer(("::1", {port}), handler)
server.serve_forever()
"""
