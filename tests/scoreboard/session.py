"""A client of any FTP server, for those who look closely at what it says: control and data connections,
in the clear and under TLS. It judges nothing.
"""

import contextlib
import re
import socket
import ssl
from typing import NamedTuple

PATIENCE = 15


class Reply(NamedTuple):
    """A whole reply: its code and its lines, without their ends."""
    code: int
    text: bytes

    @property
    def lines(self):
        return self.text.split(b"\n")


class Server:
    """Whom to speak to. `home` is a directory that may be written to; `source` is the client's address."""

    def __init__(self, name, host, port, user, password, home="", source=None, six=None):
        self.name, self.host, self.port, self.home = name, host, int(port), home
        self.user, self.password, self.source, self.six = user, password, source, six
        self.version, self.process, self.log = "", None, None
        # Where strangers come from, how many may be in, the same server with TLS demanded, and as slow over
        # logins as it can be.
        self.stranger, self.most, self.strict, self.delayed = None, 0, None, None

    def over_six(self):
        """The same server, as it is found over IPv6."""
        return Server(self.name, *self.six, self.user, self.password, self.home)


class Session:
    """A control connection."""

    def __init__(self, server, source=None, timeout=PATIENCE):
        self.server, self.timeout, self.source = server, timeout, source or server.source
        self.socket = self.connect(server.port)
        self.buffer, self.tls, self.private = b"", None, False
        # Ends of lines that were no CR LF, and replies that were none.
        self.faults = []
        self.greeting = self.reply()

    def connect(self, port):
        source = (self.source, 0) if self.source else None
        return socket.create_connection((self.server.host, port), self.timeout, source)

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        while b"\n" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError("the connection ended")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        # What a server answers to Telnet options.
        line = re.sub(rb"\xff[\xfb-\xfe].", b"", line)
        if not line.endswith(b"\r"):
            self.faults.append("a line that ends in LF alone")
        return line.removesuffix(b"\r")

    def reply(self):
        first = line = self.line()
        if not re.match(rb"[1-6]\d\d[ -]", first):
            self.faults.append(f"`{shown(first)}`")
        lines = [first]
        while not re.match(rb"\d{3}( |$)", line) or line[:3] != first[:3]:
            line = self.line()
            lines.append(line)
        return Reply(int(first[:3]), b"\n".join(lines))

    def ask(self, line):
        self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.reply()

    def log_in(self):
        said = self.ask(f"USER {self.server.user}")
        if said.code == 331:
            said = self.ask(f"PASS {self.server.password}")
        if said.code not in (230, 232):
            raise EOFError(said.text)
        return self

    def secure(self, private=True):
        """TLS, and with `private` for data connections too."""
        said = self.ask("AUTH TLS")
        if said.code != 234:
            raise EOFError(said.text)
        self.shake_hands()
        if private:
            self.ask("PBSZ 0")
            self.ask("PROT P")
            self.private = True
        return self

    def shake_hands(self):
        self.tls = trusting()
        self.socket = self.tls.wrap_socket(self.socket, suppress_ragged_eofs=False)

    def passive(self):
        """The port that the server listens at."""
        if ":" in self.server.host:
            said = self.ask("EPSV")
            found = re.search(rb"\(\|\|\|(\d+)\|\)", said.text)
            if said.code != 229 or not found:
                raise EOFError(said.text)
            return int(found[1])
        said = self.ask("PASV")
        found = re.search(rb"(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)", said.text)
        if said.code != 227 or not found:
            raise EOFError(said.text)
        return int(found[5]) * 256 + int(found[6])

    def data(self):
        return self.connect(self.passive())

    def protect(self, data, session=None):
        """The data connection under TLS, if that was agreed on; resumes the control connection's session."""
        if not self.private:
            return data
        return self.tls.wrap_socket(data, session=session or self.socket.session, suppress_ragged_eofs=False)

    def fetch(self, command, data=None):
        """The first and the last reply, and what came; without a data connection nothing did."""
        data = data or self.data()
        with contextlib.closing(data):
            first = self.ask(command)
            if first.code >= 200:
                return first, first, b""
            data = self.protect(data)
            content = read_all(data)
            # Some wait for the client's close_notify too.
            finish(data)
            return first, self.reply(), content

    def give(self, command, content, data=None):
        data = data or self.data()
        with contextlib.closing(data):
            first = self.ask(command)
            if first.code >= 200:
                return first, first
            data = self.protect(data)
            data.sendall(content)
            finish(data)
            return first, self.reply()


def trusting():
    """TLS that believes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def read_all(data):
    content = bytearray()
    while block := data.recv(1 << 16):
        content += block
    return bytes(content)


def finish(data):
    """Ends an upload as it should be: close_notify under TLS, and nothing of the other's left unread."""
    if isinstance(data, ssl.SSLSocket):
        data.setblocking(False)
        with contextlib.suppress(OSError):
            data.unwrap()
        data.settimeout(PATIENCE)
    with contextlib.suppress(OSError):
        data.shutdown(socket.SHUT_WR)
        while data.recv(1 << 16):
            pass
    data.close()


def shown(text, most=90):
    """Bytes as a table can have them."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    text = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    text = text.replace("`", "'").replace("|", "\\|")
    return text if len(text) <= most else text[:most - 1] + "…"
