"""The attacks of tests/hostile that mean something to any FTP server, and what came of each. Those that
measure time are alone on the machine.
"""

import os
import re
import socket
import statistics
import struct
import sys
import threading
import time

import attacks_tls
from attacks_tls import OK, fell
from session import Session, shown


def tree(root):
    """The pids of `root` and all below it."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", "rb") as stat:
                parents[int(pid)] = int(stat.read().rsplit(b")")[-1].split()[1])
        except OSError:
            pass
    found = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def status(pid, field):
    try:
        with open(f"/proc/{pid}/status") as text:
            for line in text:
                if line.startswith(field + ":"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""


def peak(server):
    """The most memory that one of its processes has had, in MB."""
    return max(int(status(pid, "VmHWM").split()[0]) for pid in tree(server.process.pid)
               if status(pid, "VmHWM")) / 1024


def member(server, **more):
    client = Session(server, timeout=more.pop("timeout", 20), **more).log_in()
    client.ask("TYPE I")
    return client


def fetch(client, command):
    """The last code and what came; without a data connection nothing did."""
    _, last, content = client.fetch(command)
    return last.code, content


def bounce(server):
    trap = socket.create_server((server.stranger, 0))
    trap.settimeout(0.5)
    port = trap.getsockname()[1]
    for command in (f"PORT {server.stranger.replace('.', ',')},{port // 256},{port % 256}",
                    f"EPRT |1|{server.stranger}|{port}|"):
        client = member(server)
        code, _ = client.ask(command)
        client.send(b"LIST\r\n")
        try:
            trap.accept()
            return fell("connects to a third party")
        except OSError:
            pass
        client.close()
    return OK


def low_port(server):
    codes = [member(server).ask(f"PORT {server.source.replace('.', ',')},0,25")[0],
             member(server).ask(f"EPRT |1|{server.source}|25|")[0]]
    return OK if min(codes) >= 400 else fell("takes port 25")


def theft(server):
    client = member(server)
    thief = socket.create_connection((server.host, client.passive()), 10, (server.stranger, 0))
    thief.settimeout(2)
    client.send(b"LIST\r\n")
    try:
        if thief.recv(100):
            return fell("gives the listing to a stranger")
    except OSError:
        pass
    # The true client still wants its own.
    try:
        client.socket.settimeout(5)
        code, said = client.reply()
        if code == 150:
            return OK
        return fell(f"a stranger keeps the client out ({code})")
    except OSError:
        return OK


def foretold(server):
    client = member(server)
    ports = [client.passive() for _ in range(30)]
    near = sum(abs(a - b) < 16 for a, b in zip(ports, ports[1:]))
    return OK if near < 5 else fell("ports follow each other")


def browser(server):
    client = Session(server)
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nUSER peer\r\nPASS peer\r\nNOOP\r\n")
    client.socket.settimeout(4)
    said = client.buffer
    try:
        while block := client.socket.recv(65536):
            said += block
    except OSError:
        pass
    return fell("commands in an HTTP request are carried out") if b"\n230" in said else OK


def endless_line(server):
    client, before = Session(server, timeout=20), peak(server)
    block = b"x" * 65536
    try:
        for _ in range(1024):
            client.send(block)
    except OSError:
        pass
    grown = peak(server) - before
    member(server).close()
    return OK if grown < 24 else fell(f"{grown:.0f} MB more")


def unread(server):
    client, before = member(server), peak(server)
    client.socket.settimeout(1)
    try:
        for _ in range(2000):
            client.send(b"HELP\r\nFEAT\r\n" * 500)
    except OSError:
        pass
    grown = peak(server) - before
    member(server).close()
    return OK if grown < 24 else fell(f"{grown:.0f} MB more")


def crowd(server):
    """Twice as many as there are places for, all silent; then somebody who means it."""
    silent = []
    for _ in range(2 * server.most):
        one = socket.socket()
        one.bind((server.stranger, 0))
        one.setblocking(False)
        one.connect_ex((server.host, server.port))
        silent.append(one)
        time.sleep(0.01)
    time.sleep(1)
    begun, came_in = time.time(), False
    while time.time() - begun < 5 and not came_in:
        try:
            member(server, timeout=2).close()
            came_in = True
        except (OSError, EOFError):
            time.sleep(0.5)
    for one in silent:
        one.close()
    time.sleep(2)
    return OK if came_in else fell("members are kept out by whoever says nothing")


def trickle(server):
    """A byte now and then: the shortest time for a login that can be configured has to end it."""
    patience = 90 if server.name == "pure-ftpd" else 25
    client = Session(server)
    client.socket.settimeout(0.3)
    begun = time.time()
    while time.time() - begun < patience:
        try:
            client.send(b"x")
            if not client.socket.recv(100):
                return OK
        except TimeoutError:
            pass
        except OSError:
            return OK
    return fell(f"a byte every 0.3 s keeps a session for {patience} s and more")


def globs(server):
    longest, worst = 0, ""
    for pattern in ("a*" * 60 + "b", "*/../*/../*/../*/../*", "{a,b}" * 20, "*" * 250, "*a" * 100,
                    "{*,*,*,*}" * 6 + "/*", "[a-z]*" * 30):
        client = member(server, timeout=30)
        begun = time.time()
        try:
            fetch(client, f"LIST {pattern}")
        except (OSError, EOFError):
            pass
        took = time.time() - begun
        if took > longest:
            longest, worst = took, pattern
        client.close()
    return OK if longest < 5 else fell(f"{longest:.0f} s for {worst[:12]}…")


def broken_names(server):
    client = member(server)
    for name in (b"x\r226 Done", b"x\x1b[2J", b"%n%s%x%99999d", b"\xc3\x28", b"a\x08b"):
        client.ask(b"MKD " + name)
    listing = fetch(client, "LIST")[1] + fetch(client, "NLST")[1]
    alive = client.ask("NOOP")[0]
    for name in (b"x\r226 Done", b"x\x1b[2J", b"%n%s%x%99999d", b"\xc3\x28", b"a\x08b"):
        client.ask(b"RMD " + name)
    if alive != 200:
        return fell("the session ended")
    broken = [line for line in listing.split(b"\r\n") if b"\r" in line or b"\n" in line]
    return fell("a name with CR breaks a line of a listing") if broken else OK


def long_names(server):
    client = member(server)
    for name in (b"a" * 4000, b"a/" * 1500, b"../" * 1000 + b"etc/passwd", b"\xff" * 4000):
        for verb in (b"CWD ", b"SIZE ", b"MKD ", b"RNFR "):
            client.ask(verb + name)
    if client.ask("NOOP").code != 200:
        return fell("one long line is answered more than once")
    code, came = fetch(client, "RETR ../../../../etc/passwd")
    return fell("out of its root") if b"root:" in came else OK


def offsets(server):
    client = member(server)
    client.give("STOR ten", b"0123456789")
    for offset in ("-1", "18446744073709551617", "-9223372036854775808", "4294967297"):
        code, _ = client.ask(f"REST {offset}")
        if code >= 400:
            continue
        code, came = fetch(client, "RETR ten")
        if came:
            return fell(f"REST {offset} reads {len(came)} bytes of 10")
    said = client.ask("SIZE ten").text
    return OK if said.endswith(b" 10") else fell("the file has changed")


def log_injection(server):
    if not server.log:
        return "not applicable: syslog"
    mark = b"mark%d" % time.time_ns()
    client = Session(server)
    client.ask(b"USER " + mark + b"\r20260102 fake\x1b[2J\x9b2J")
    try:
        client.ask("PASS x")
    except EOFError:
        pass
    time.sleep(2)
    with open(server.log, "rb") as log:
        lines = [line for line in log.read().split(b"\n") if mark in line]
    if not lines:
        return OK + " (the name is not logged)"
    raw = [line for line in lines if re.search(rb"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]", line)]
    return fell("control characters reach the log") if raw else OK


def enumeration(server):
    server = server.delayed or server
    # Each from an address of its own, so that what an address has done before does not count.
    addresses = (re.sub(r"\d+$", str(last), server.source) for last in range(100, 200))

    def once(name):
        client = Session(server, next(addresses))
        asked = client.ask(f"USER {name}")
        begun = time.perf_counter()
        try:
            said = client.ask("PASS wrong")
        except EOFError:
            said = (0, b"")
        took = time.perf_counter() - begun
        client.close()
        return took, asked[1].replace(name.encode(), b""), said[1]

    known, unknown = [], []
    for round_ in range(9):
        known.append(once("peer"))
        unknown.append(once(f"nobody{round_}"))
    if {a[1] for a in known} != {a[1] for a in unknown}:
        return fell("by its words")
    middle = [statistics.median(answer[0] for answer in all_) for all_ in (known, unknown)]
    ratio = max(middle) / max(min(middle), 1e-6)
    return OK if ratio < 2 else fell(f"by its time: {middle[0]:.2f} s and {middle[1]:.2f} s")


def guessing(server):
    """Guesses on eight connections at once, for five seconds."""
    counts = [0] * 8
    end = time.time() + 5

    def guess(at):
        while time.time() < end:
            try:
                client = Session(server, source=server.stranger, timeout=8)
                while time.time() < end:
                    client.ask("USER peer")
                    if client.ask("PASS wrong")[0] != 530:
                        break
                    counts[at] += 1
            except (OSError, EOFError):
                time.sleep(0.05)

    threads = [threading.Thread(target=guess, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(counts) / 5
    return OK + f" ({rate:.0f}/s)" if rate < 10 else fell(f"{rate:.0f} guesses/s")


def telnet(server):
    client = member(server)
    for line in (b"\xff\xf4\xff\xf2NOOP", b"NO\xff\xf6OP", b"\xff\xfb\x01NOOP", b"\xff\xfaxterm\xff\xf0NOOP",
                 b"SIZE " + b"\xff" * 2000):
        try:
            client.ask(line)
        except TimeoutError:
            return fell(f"no answer to `{shown(line[:12])}`")
        except EOFError:
            client = member(server)
    member(server).close()
    return OK


def verbs(server):
    client = member(server)
    for line in ("STORX x", "L\u0131ST", "NOOPE", "\u017fYST", "QUIT\u00e9"):
        try:
            code, said = client.ask(line.encode())
        except TimeoutError:
            return fell(f"no answer to `{line}`")
        if code < 500:
            return fell(f"takes `{line}`")
    return OK


def aborts(server):
    for before in ((), ("PASV",), ("REST 5",), ("RNFR ten",)):
        client = member(server)
        for command in before:
            client.ask(command)
        client.ask("ABOR")
        if client.ask("NOOP")[0] != 200:
            return fell(f"out of step after {before}")
    client = member(server)
    data = client.data()
    data.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    begun = client.ask("RETR large")[0]
    client.socket.send(b"\xff\xf4\xff", socket.MSG_OOB)
    client.send(b"\xf2ABOR\r\nSYST\r\n")
    data.close()
    codes = []
    try:
        client.socket.settimeout(10)
        while 215 not in codes:
            codes.append(client.reply()[0])
    except (OSError, EOFError):
        return fell(f"an aborted download and SYST are answered by {codes}")
    codes.insert(0, begun)
    good = codes[0] in (125, 150) and codes[1:] in ([426, 226, 215], [426, 225, 215])
    return OK if good else fell(f"RETR, ABOR, SYST are answered by {codes}")


def routes(server):
    client = member(server)
    client.ask("PORT 10,0,0,1,1,1")
    client.ask("EPRT |1|x|1|")
    return OK if fetch(client, "NLST")[0] == 226 else fell("a failed PORT spoils PASV")


def resets(server):
    for data in (b"", b"\0" * 100, b"\x16\x03\x01\x02\x00\x01", b"USER peer\r\nPASS peer\r\nPASV\r\nLIST\r\n"):
        for _ in range(20):
            one = socket.create_connection((server.host, server.port), 10)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.sendall(data)
            one.close()
    time.sleep(1)
    member(server).close()
    return OK


def rights(server):
    """Of the process that reads the first bytes of a client."""
    client = Session(server)
    client.ask("USER peer")
    time.sleep(0.5)
    mine = []
    inode = None
    local = client.socket.getsockname()[1]
    with open("/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            if fields[2].endswith(f":{local:04X}"):
                inode = fields[9]
    for pid in tree(server.process.pid):
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if f"socket:[{inode}]" in links:
            mine.append(pid)
    words = []
    # One that is unprivileged parses, even if a privileged one has the connection too.
    judged = []
    for pid in mine:
        root = status(pid, "Uid").split()[:3].count("0") > 0
        able = int(status(pid, "CapPrm") or "0", 16) != 0
        filtered = status(pid, "Seccomp") == "2"
        judged.append((root or able) and not filtered)
        words.append(("root" if root else "no root") + (", capabilities" if able else "")
                     + (", seccomp" if filtered else ""))
    client.close()
    # The least of them is the one that is for parsing.
    text = "; beside it: ".join(sorted(set(words)))
    return fell(text) if all(judged) else f"{OK} ({text})"


# Title, attack, and whether it must be alone.
ATTACKS = [
    ("bounce to a third party", bounce, False),
    ("PORT and EPRT to port 25", low_port, False),
    ("a stranger at the passive port", theft, False),
    ("passive ports that can be foretold", foretold, False),
    ("FTP commands in an HTTP POST", browser, False),
    ("64 MB without an end of line", endless_line, False),
    ("replies that nobody reads", unread, False),
    ("64 silent connections for 32 places: is a member in within 5 s?", crowd, True),
    ("a byte now and then, before the login", trickle, False),
    ("patterns (glob, braces)", globs, True),
    ("names with CR, ESC, `%n`, broken UTF-8", broken_names, False),
    ("names of 4 kB, `..`", long_names, False),
    ("offsets that turn round", offsets, False),
    ("control characters in the log", log_injection, False),
    ("which users there are", enumeration, True),
    ("guessing passwords, eight connections", guessing, True),
    ("Telnet sequences", telnet, False),
    ("verbs that only look like verbs", verbs, False),
    ("ABOR at every point, urgent", aborts, False),
    ("PASV after a failed PORT", routes, False),
    ("resets and other protocols", resets, False),
    ("the process that parses before the login is taken over", rights, False),
    *attacks_tls.ATTACKS,
]


def play(servers):
    """[(title, {server: what came of it})]"""
    only = os.environ.get("ONLY", "").split()
    chosen = [row for row in ATTACKS if not only or any(word in f"attack {row[0]}" for word in only)]
    found = [(title, {}) for title, _, _ in chosen]

    def once(server, alone):
        for (title, attack, wants), (_, cells) in zip(chosen, found):
            if wants == alone:
                begun = time.time()
                try:
                    cells[server.name] = attack(server)
                except (OSError, EOFError) as error:
                    cells[server.name] = fell(f"no service ({shown(str(error)) or type(error).__name__})")
                if os.environ.get("SLOW"):
                    print(f"{server.name}: {title}: {time.time() - begun:.0f} s", file=sys.stderr, flush=True)
                time.sleep(0.5)
    threads = [threading.Thread(target=once, args=(server, False)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for server in servers:
        once(server, True)
    return found


def judged(found, names):
    """Prints what one of `names` fell to; whether nothing."""
    good = True
    for title, cells in found:
        for name in names:
            if cells.get(name, OK).startswith("fell"):
                good = False
                print(f"DIFFERS: {name}: {title}: {cells[name]}")
    print(f"{len(found)} attacks, {'all' if good else 'not all'} resisted")
    return good
