"""What came later: RFC 2389 (FEAT, OPTS), 2428 (EPRT, EPSV), 2577 (what not to do), 2640 (UTF-8, LANG),
7151 (HOST), and drafts that were never finished and are widely used.
"""

import contextlib
import re
import socket
import time

from session import Session, read_all, shown
from steps import DONE, NO, STARTED, TEXT, YES, Differs, NotOffered, ask, case, expect, get

TITLE = "RFC 2389, 2428, 2577, 2640, 7151 and drafts: what came later"


def feat_form(scene):
    said = scene.ask("FEAT", 211)
    lines = said.lines
    ends = re.match(rb"211-", lines[0]) and re.match(rb"(?i)211 end", lines[-1])
    expect(ends, lines[0] + b" ... " + lines[-1])
    for line in lines[1:-1]:
        expect(re.match(rb" [!-~][ -~]*$", line), b"`" + line + b"`")


def feats_known(scene):
    """What FEAT tells of, and is a verb, is no unknown verb."""
    for verb in "AVBL CLNT CSID EPRT EPSV HASH LANG MDTM MFMT MLST PASV RANG SIZE XCRC XMD5 XSHA256".split():
        if scene.stage.has(verb):
            # Without an argument it may be any other error.
            said = scene.session.ask(verb)
            if said.code == 502:
                raise Differs(f"FEAT tells of {verb}: {shown(said.text)}")


def told_in_feat(verb, line, label=None, state=None):
    """RFC 2389 3.2: what is there has to be told of (MUST)."""
    def step(scene):
        said = scene.session.ask(scene.fill(line))
        if said.code in (500, 502):
            raise NotOffered
        expect(scene.stage.has(label or verb), f"{verb} is answered by {said.code}, and FEAT does not tell of it")
    return step


def eprt(scene):
    active(scene, "1")


def active(scene, family):
    host = scene.session.socket.getsockname()[0]
    kind = socket.AF_INET6 if family == "2" else socket.AF_INET
    with contextlib.closing(socket.create_server((host, 0), family=kind)) as listener:
        listener.settimeout(10)
        scene.ask(f"EPRT |{family}|{host}|{listener.getsockname()[1]}|", 200)
        line = scene.fill("RETR {file}")
        scene.session.send(line.encode() + b"\r\n")
        data, _ = listener.accept()
        scene.judge(line, scene.session.reply(), STARTED)
        came = read_all(data)
        data.close()
        scene.judge(line, scene.session.reply(), DONE)
    expect(came == TEXT, "other bytes")


def epsv(scene, argument=""):
    said = scene.ask(f"EPSV{argument}", 229)
    found = re.search(rb"\((.)\1\1(\d+)\1\)", said.text)
    expect(found, said.text)
    data = scene.session.connect(int(found[2]))
    expect(scene.fetch("RETR {file}", data) == TEXT, "other bytes")


def epsv_all(scene):
    scene.ask("EPSV ALL", *YES)
    host = scene.session.socket.getsockname()[0].replace(".", ",")
    for line in ("PASV", f"PORT {host},200,1", f"EPRT |1|{host.replace(',', '.')}|51201|"):
        said = scene.session.ask(line)
        expect(said.code >= 400, f"{line} after EPSV ALL: {shown(said.text)}")
    epsv(scene)


def over_six(work):
    """The same over IPv6, where the server can be reached that way."""
    def step(scene):
        if not scene.server.six:
            raise NotOffered
        try:
            session = scene.open("in", scene.server.over_six())
        except ConnectionRefusedError:
            raise NotOffered from None
        scene.session.close()
        scene.session = session
        work(scene)
    return step


def transfers(scene):
    expect(scene.fetch("RETR {file}") == TEXT, "other bytes")


def guesses(scene):
    """RFC 2577 5: an end after three to five wrong passwords is recommended; here ten are enough to wait for."""
    session = Session(scene.server, timeout=30)
    begun = time.time()
    with contextlib.closing(session), contextlib.suppress(EOFError, ConnectionError):
        for _ in range(10):
            session.ask("USER {user}".replace("{user}", scene.server.user))
            if session.ask("PASS wrong").code == 421 or time.time() - begun > 40:
                return
        raise Differs("ten wrong passwords, and no end of the session")


def same_for_all(scene):
    known = scene.session.ask(f"USER {scene.server.user}").code
    with contextlib.closing(Session(scene.server)) as other:
        unknown = other.ask("USER nobody-here").code
    expect(known == unknown, f"{known} for a user, {unknown} for nobody")


def name_comes_back(name):
    def step(scene):
        scene.names["odd"] = name
        scene.ask("TYPE I", 200)
        first, last = scene.session.give(b"STOR " + name, TEXT)
        expect(last.code in DONE, b"STOR: " + last.text)
        found = scene.fetch("NLST").split(b"\r\n")
        expect(any(line in (name, b"./" + name) for line in found), b"not in NLST")
        expect(scene.fetch(b"RETR " + name) == TEXT, "other bytes")
        expect(scene.session.ask(b"DELE " + name).code == 250, "DELE does not find it")
    return step


def utf8_told(scene):
    expect(scene.stage.has("UTF8"), "FEAT does not tell of UTF8")


def mfmt(scene):
    said = scene.ask("MFMT 20200102030405 {file}", 213)
    expect(re.match(rb"(?i)213 modify=20200102030405; ", said.text), said.text)
    scene.ask("MDTM {file}", 213)
    expect(scene.session.ask(scene.fill("MDTM {file}")).text == b"213 20200102030405", "MDTM says another time")


def mode_z(scene):
    said = scene.session.ask("MODE Z")
    if said.code in (500, 501, 502, 504):
        raise NotOffered
    scene.judge("MODE Z", said, (200,))


def host(scene):
    said = scene.session.ask("HOST ftp.example.org")
    # 530 is what some say to anything that they do not know.
    if said.code in (500, 502) or said.code == 530 and not scene.stage.has("HOST"):
        raise NotOffered
    scene.judge("HOST", said, (220, 504))


CASES = [
    case("2389 3.2", "FEAT: the form of its lines is exact (MUST)", feat_form),
    case("2389 3.2", "FEAT with an argument is 501", ask("FEAT x", 501)),
    case("2389 3.2", "no feature that the server does not know", feats_known),
    case("2389 4", "OPTS for what has no options is 501 (451)", ask("OPTS XYZZY", 451, 501)),
    case("2389 3.2", "MDTM, SIZE and REST are in FEAT if they are there (MUST)",
         told_in_feat("MDTM", "MDTM {file}"), told_in_feat("SIZE", "SIZE {file}"),
         told_in_feat("REST", "REST 0", "REST STREAM")),
    case("2389 3.2", "MLST is in FEAT if it is there (MUST)", told_in_feat("MLST", "MLST {file}")),
    case("2389 3.2", "EPSV and EPRT are in FEAT if they are there (MUST)",
         told_in_feat("EPSV", "EPSV"), told_in_feat("EPRT", "EPRT |1|x|1|")),
    case("2428 2", "EPRT: the server connects, and sends", eprt),
    case("2428 2", "an unknown protocol is 522, with those that there are (MUST)",
         ask("EPRT |3|127.0.0.1|51201|", 522, like=r"\([12](,[12])?\)")),
    case("2428 2", "an EPRT that cannot be read is 501 (500, 522)",
         ask("EPRT |1|127.0.0.1|x|", 501, 500, 522), ask("EPRT 1", 501, 500, 522)),
    case("2428 3", "EPSV: 229 and (|||port|) (MUST)", epsv),
    case("2428 3", "EPSV 1 on IPv4", lambda scene: epsv(scene, " 1")),
    case("2428 3", "EPSV for an unknown protocol is 522 (MUST)", ask("EPSV 9", 522)),
    case("2428 3", "after EPSV ALL all else is refused (MUST)", epsv_all),
    case("2428 3", "EPSV over IPv6", over_six(transfers)),
    case("2428 2", "EPRT over IPv6", over_six(lambda scene: active(scene, "2"))),
    case("2577 3", "PORT to another host is refused", ask("PORT 192,0,2,1,200,1", NO, 500)),
    case("2428, 2577 3", "EPRT to another host is refused", ask("EPRT |1|192.0.2.1|51201|", NO)),
    case("2577 3", "PORT to a port below 1024 is refused (504)", ask("PORT 127,0,0,1,0,25", NO, 500)),
    case("2577 5", "passwords cannot be tried for ever (SHOULD)", guesses, state="out"),
    case("2577 6", "USER is answered in the same way for nobody", same_for_all, state="out"),
    case("2640 2.2", "names in UTF-8 come back", name_comes_back("grüße-日本.txt".encode())),
    case("2640 3.1", "UTF8 is in FEAT", utf8_told),
    case("2640 4.1", "LANG, LANG EN: 200", ask("LANG", 200), ask("LANG EN", 200)),
    case("2640 4.2", "LANG with what is not there is 504", ask("LANG EN", 200), ask("LANG x-none", 504)),
    case("7151 3", "HOST before the login: 220, or 504 for a name that is not there",
         host, state="out"),
    case("7151 3.1", "HOST after the login is 503 (MUST)", ask("HOST ftp.example.org", 503)),
    case("draft MFMT", "MFMT: 213 Modify=time; path, and MDTM says so", mfmt),
    case("draft HASH", "HASH: 213 with a digest", ask("HASH {file}", 213, like=r"213 \S+ 0-\d+ [0-9a-fA-F]{8,} ")),
    case("draft RANG", "RANG: a piece of a file", ask("TYPE I", 200), ask("RANG 4 8", 350),
         get("RETR {file}", TEXT[4:9], None)),
    case("draft AVBL", "AVBL: 213 and a number", ask("AVBL", 213, like=r"213 \d+$")),
    case("draft MODE Z", "MODE Z: 200", mode_z),
    case("draft CSID", "CSID: 200 and facts", ask("CSID Name=x;Version=1;", 200, like="(?i)name=")),
]
