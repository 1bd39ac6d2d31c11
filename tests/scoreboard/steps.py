"""What cases are made of. A case is a row: where the demand stands, what it is, and steps. A step is a
function of the scene; it returns if all is well, and raises how the server differs otherwise.
"""

import contextlib
import itertools
import os
import re
import time
from typing import NamedTuple

from session import Session, shown

TEXT = b"The first line\r\nand the second.\r\n"
LARGE = 16 << 20

# RFC 1123 4.1.2.13 demands these of every server; of all others 500 and 502 mean: not offered.
MINIMUM = ("USER PASS ACCT PORT TYPE MODE STRU RETR STOR RNFR RNTO DELE CWD CDUP RMD MKD PWD LIST NLST SYST "
           "STAT HELP NOOP QUIT").split()
# RFC 959 4.2: what the first digit says.
NO = tuple(code for code in range(400, 560) if code not in (500, 502))
YES = tuple(range(200, 300))
STARTED = (125, 150)
DONE = (226, 250)


class Differs(Exception):
    """What the server did instead."""


class NotOffered(Exception):
    """The server says that it has no such thing."""


class Case(NamedTuple):
    """`demand` is what the text asks for; `state` is out, in (logged in), tls (the same under TLS)."""
    section: str
    demand: str
    steps: tuple
    state: str = "in"


def case(section, demand, *steps, state="in"):
    return Case(section, demand, steps, state)


class Stage:
    """What the cases need of one server: a directory, names, and a session that makes files."""
    numbers = itertools.count()

    def __init__(self, server):
        self.server = server
        self.home = f"board-{os.getpid()}-{time.time_ns() % 1000000}"
        self.session = None
        self.feats, self.lasting = None, {}

    def enter(self):
        """The session that makes things, in its directory. Servers end it when it has nothing to do."""
        if self.session:
            with contextlib.suppress(OSError, EOFError):
                if self.session.ask("NOOP").code == 200:
                    return self.session
        first = self.session is None
        self.session = Session(self.server).log_in()
        if self.server.home:
            self.session.ask(f"CWD {self.server.home}")
        if first:
            self.session.ask(f"MKD {self.home}")
        self.cwd(self.session)
        self.session.ask("TYPE I")
        return self.session

    def cwd(self, session):
        said = session.ask(f"CWD {self.home}")
        if said.code != 250:
            raise Differs(f"CWD into the directory of the cases: {shown(said.text)}")

    def has(self, label):
        """Is it in FEAT?"""
        if self.feats is None:
            said = self.enter().ask("FEAT")
            self.feats = [line.strip().decode("latin-1").upper() for line in said.lines[1:-1]]
        return any(feat == label or feat.startswith(label + " ") for feat in self.feats)

    def speaks_tls(self):
        if "tls" not in self.lasting:
            with contextlib.closing(Session(self.server)) as session:
                self.lasting["tls"] = session.ask("AUTH TLS").code == 234
        return self.lasting["tls"]

    def store(self, name, content):
        _, last = self.enter().give(f"STOR {name}", content)
        if last.code not in DONE:
            raise Differs(f"STOR: {shown(last.text)}")
        return name

    def thing(self, kind, session):
        """A name, and what it is to stand for. Directories are made in the case's own session: others may
        learn of them a moment later."""
        name = f"{kind}{next(self.numbers)}"
        if kind == "file":
            return self.store(name + ".txt", TEXT)
        if kind == "large":
            if kind not in self.lasting:
                self.lasting[kind] = self.store("large", b"0123456789abcdef" * (LARGE // 16))
            return self.lasting[kind]
        if kind == "dir":
            session.ask(f"MKD {name}")
        if kind == "full":
            self.enter().ask(f"MKD {name}")
            self.store(f"{name}/within", TEXT)
        return name

    def clear(self):
        """Leaves nothing behind, as far as that is possible."""
        with contextlib.suppress(OSError, EOFError, Differs):
            session = self.enter()
            if f"/{self.home}\"".encode() not in session.ask("PWD").text:
                return
            self.sweep(session, 0)
            session.ask("CDUP")
            session.ask(f"RMD {self.home}")
            session.close()

    def sweep(self, session, depth):
        _, _, names = session.fetch("NLST")
        for name in names.split(b"\r\n"):
            # Never a path, nor `..`, which some servers list too: what is not ours stays.
            if not name or b"/" in name or name in (b".", b".."):
                continue
            if session.ask(b"DELE " + name).code < 300 or depth > 3:
                continue
            if session.ask(b"CWD " + name).code == 250:
                self.sweep(session, depth + 1)
                session.ask("CDUP")
                session.ask(b"RMD " + name)


class Scene:
    """One case on one server: its session, and the names in it (`{file}` and `{dir}` exist, `{new}` and
    `{none}` do not)."""

    def __init__(self, stage, state):
        self.stage, self.server, self.names = stage, stage.server, {}
        self.session = self.open(state)

    def open(self, state="in", server=None):
        session = Session(server or self.server)
        if session.greeting.code != 220:
            raise Differs(f"greets with {shown(session.greeting.text)}")
        if state == "tls":
            if not self.stage.speaks_tls():
                raise NotOffered
            session.secure()
        if state != "out":
            self.settle(session.log_in())
        return session

    def settle(self, session):
        """Into the directory of the cases; bytes are sent as they are."""
        if self.server.home:
            session.ask(f"CWD {self.server.home}")
        self.stage.cwd(session)
        session.ask("TYPE I")

    def close(self):
        self.session.close()

    def fill(self, line):
        """The line, with the names of this case."""
        def name(found):
            word = found[1]
            if word in ("user", "password"):
                return getattr(self.server, word)
            if word not in self.names:
                # Nothing may come between RNFR and RNTO.
                session = self.stage.enter() if line.startswith("RNTO") else self.session
                self.names[word] = self.stage.thing(word.rstrip("0123456789"), session)
            return self.names[word]
        return re.sub(r"\{(\w+)\}", name, line) if isinstance(line, str) else line

    def ask(self, line, *codes):
        """A reply that is allowed."""
        line = self.fill(line)
        said = self.session.ask(line)
        return self.judge(line, said, codes)

    def judge(self, line, said, codes):
        if codes and said.code not in codes:
            verb = (line if isinstance(line, str) else line.decode("latin-1")).split(" ")[0].upper()
            if said.code in (500, 502) and verb not in MINIMUM:
                raise NotOffered
            raise Differs(f"`{shown(line, 40)}`: {shown(said.lines[0], 70)}")
        return said

    def fetch(self, command, data=None):
        """What came, whole and confirmed."""
        command = self.fill(command)
        first, last, content = self.session.fetch(command, data)
        self.judge(command, first, STARTED)
        self.judge(command, last, DONE)
        return content

    def give(self, command, content, data=None):
        command = self.fill(command)
        first, last = self.session.give(command, content, data)
        self.judge(command, first, STARTED)
        self.judge(command, last, DONE)
        return first


def flat(codes):
    for code in codes:
        yield from flat(code) if isinstance(code, tuple) else (code,)


def expect(true, what):
    if not true:
        raise Differs(what if isinstance(what, str) else shown(what))


def ask(line, *codes, like=None):
    """A command and the codes that the text allows; `like`: a pattern that the reply's text has."""
    codes = tuple(flat(codes))

    def step(scene):
        said = scene.ask(line, *codes)
        if like:
            pattern = scene.fill(like).encode()
            expect(re.search(pattern, said.text), f"`{shown(scene.fill(line), 40)}`: {shown(said.text, 70)}")
    return step


def get(command, content=None, type_="I"):
    """A download or listing; `content`: what has to come, or a function that judges it."""
    def step(scene):
        if type_:
            scene.ask(f"TYPE {type_}", 200)
        came = scene.fetch(command)
        if callable(content):
            content(scene, came)
        elif content is not None:
            expect(came == content, f"`{shown(scene.fill(command), 40)}` gives {different(came, content)}")
    return step


def put(command, content=TEXT, type_="I"):
    def step(scene):
        if type_:
            scene.ask(f"TYPE {type_}", 200)
        scene.give(command, content)
    return step


def refused(command, *codes):
    """A transfer that does not come about, at its beginning or at its end."""
    codes = tuple(flat(codes)) or NO

    def step(scene):
        line = scene.fill(command)
        _, last, _ = scene.session.fetch(line)
        scene.judge(line, last, codes)
    return step


def different(came, wanted):
    if len(came) != len(wanted):
        return f"{len(came)} bytes, not {len(wanted)}"
    return "other bytes"
