"""RFC 959 and RFC 1123 4.1. Codes are those of 959 5.4; RFC 1123 4.1.2.11 lets a server use another one of
the same first digits where none fits, so that an error may be any that is no 500 or 502.
"""

import contextlib
import re
import socket
import time

from session import read_all, shown
from steps import DONE, MINIMUM, NO, STARTED, TEXT, YES, Differs, LARGE, ask, case, expect, get, put, refused

TITLE = "RFC 959 and 1123: the protocol itself"
EVERY_BYTE = bytes(range(256)) * 20
LINES = b"one\r\ntwo\r\n\r\nfour\r\n"


def quit_closes(scene):
    scene.ask("QUIT", 221)
    expect(not scene.session.socket.recv(1), "the connection stays open")


def quit_waits(scene):
    """RFC 959 4.1.1: a transfer goes on to its end before the connection is closed."""
    data, session = scene.session.data(), scene.session
    scene.ask("TYPE I", 200)
    scene.judge("RETR", session.ask(scene.fill("RETR {large}")), STARTED)
    session.send(b"QUIT\r\n")
    time.sleep(0.3)
    came = len(read_all(data))
    data.close()
    expect(came == LARGE, f"the transfer ends after {came} of {LARGE} bytes")
    scene.judge("RETR and QUIT", session.reply(), DONE)
    scene.judge("QUIT", session.reply(), (221,))


def reinitialized(scene):
    scene.ask("REIN", 220)
    expect(scene.session.ask("PWD").code >= 400, "PWD is answered without a login")
    scene.session.log_in()


def quoted(name, verb="MKD"):
    def step(scene):
        said = scene.session.ask(f"{verb} {name}" if name else verb)
        scene.judge(verb, said, (257,))
        path = re.match(r'257[ -]"((?:[^"]|"")+)"', said.lines[0].decode("utf-8", "replace"))
        expect(path, said.lines[0])
        if name:
            expect(path[1].endswith(name.replace('"', '""')), said.lines[0])
            scene.ask(f"RMD {name}", 250)
    return step


def stou(scene):
    """RFC 1123 4.1.2.9: the name is in the 125 or 150, and in no other reply."""
    first = scene.give("STOU", TEXT)
    name = re.search(rb"^1[25][05][ -]FILE: (\S.*)$", first.lines[0], re.I)
    expect(name, first.text)
    expect(scene.fetch(b"RETR " + name[1]) == TEXT, "the name leads to something else")
    scene.session.ask(b"DELE " + name[1])


def port(scene):
    """Active mode: from wherever the server does it."""
    with contextlib.closing(socket.create_server((scene.session.socket.getsockname()[0], 0))) as listener:
        listener.settimeout(10)
        host, number = listener.getsockname()[:2]
        scene.ask(f"PORT {host.replace('.', ',')},{number // 256},{number % 256}", 200)
        line = scene.fill("RETR {file}")
        scene.session.send(line.encode() + b"\r\n")
        data, _ = listener.accept()
        scene.judge(line, scene.session.reply(), STARTED)
        came = read_all(data)
        data.close()
        scene.judge(line, scene.session.reply(), DONE)
    expect(came == TEXT, "other bytes")


def passive(scene):
    said = scene.ask("PASV", 227)
    found = re.search(rb"(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)", said.text)
    expect(found and max(int(part) for part in found.groups()) < 256, said.text)
    expect(".".join(part.decode() for part in found.groups()[:4]) == scene.session.socket.getpeername()[0], said.text)


def second_pasv(scene):
    scene.session.passive()
    expect(scene.fetch("RETR {file}") == TEXT, "other bytes")


def pasv_after_port(scene):
    with contextlib.closing(socket.create_server((scene.session.socket.getsockname()[0], 0))) as listener:
        host, number = listener.getsockname()[:2]
        scene.ask(f"PORT {host.replace('.', ',')},{number // 256},{number % 256}", 200)
        expect(scene.fetch("RETR {file}") == TEXT, "other bytes")


def not_stored(line):
    def step(scene):
        _, last = scene.session.give(scene.fill(line), TEXT)
        scene.judge(line, last, NO)
    return step


def no_route(scene):
    said = scene.session.ask(scene.fill("RETR {file}"))
    if said.code < 200:
        said = scene.session.reply()
    scene.judge("RETR without PASV or PORT", said, NO)
    scene.ask("NOOP", 200)


def abort_transfer(scene):
    data, session = scene.session.data(), scene.session
    scene.ask("TYPE I", 200)
    scene.judge("RETR", session.ask(scene.fill("RETR {large}")), STARTED)
    data.recv(1000)
    session.send(b"ABOR\r\n")
    time.sleep(0.2)
    data.close()
    codes = [session.reply().code]
    if codes[0] in (426, 451, 425) or codes[0] in DONE:
        session.socket.settimeout(4)
        with contextlib.suppress(TimeoutError):
            codes.append(session.reply().code)
    good = len(codes) == 2 and codes[0] in (425, 426, 451, 226, 250) and codes[1] in (225, 226) \
        or codes in ([225], [226])
    expect(good, f"RETR and ABOR are answered by 150 and {codes}")
    session.socket.settimeout(session.timeout)
    scene.ask("NOOP", 200)


def during(command, codes, before_the_end):
    """A command while a transfer goes on; RFC 1123 4.1.3.3 wants STAT to be answered meanwhile."""
    def step(scene):
        data, session = scene.session.data(), scene.session
        scene.ask("TYPE I", 200)
        scene.judge("RETR", session.ask(scene.fill("RETR {large}")), STARTED)
        session.send(command.encode() + b"\r\n")
        said = None
        if before_the_end:
            session.socket.settimeout(3)
            with contextlib.suppress(TimeoutError):
                said = session.reply()
            session.socket.settimeout(session.timeout)
            expect(said and said.code not in DONE, "no answer while the transfer goes on")
        read_all(data)
        data.close()
        got = sorted([said.code if said else session.reply().code, session.reply().code])
        expect(got[0] in codes and got[1] in DONE, f"RETR and {command} are answered by {got}")
    return step


def minimum(scene):
    missing = []
    for verb in MINIMUM:
        # Those that would end the session, or wait for a data connection, have cases of their own.
        if verb in "QUIT USER PASS ACCT RETR STOR LIST NLST".split():
            continue
        # Without an argument, or with one that does no harm.
        code = scene.session.ask(verb if verb in "PWD CDUP SYST STAT HELP NOOP".split() else f"{verb} none").code
        if code < 200:
            code = scene.session.reply().code
        if code == 502:
            missing.append(verb)
    expect(not missing, " ".join(missing) + " not known")


def well_formed(scene):
    for line in ("HELP", "FEAT", "STAT", "SYST", "PWD", "XYZZY", "HELP RETR", "NOOP"):
        scene.session.ask(line)
    expect(not scene.session.faults, ", ".join(scene.session.faults[:2]))


def pieces(scene):
    for count, parts in ((1, (b"NO", b"OP\r\n")), (1, (b"NOOP\r", b"\n")), (2, (b"NOOP\r\nNO", b"OP\r\n"))):
        for part in parts:
            scene.session.send(part)
            time.sleep(0.05)
        try:
            for _ in range(count):
                scene.judge("NOOP", scene.session.reply(), (200,))
        except TimeoutError:
            raise Differs("no answer to " + " and ".join(repr(part)[2:-1] for part in parts)) from None


def lines_only(scene, content):
    expect(content.endswith(b"\r\n") and not re.search(rb"(?<!\r)\n", content), content[:60])


def names_only(scene, content):
    lines_only(scene, content)
    for name in content.split(b"\r\n")[:-1]:
        expect(scene.session.ask(b"SIZE " + name).code == 213 or b" " not in name, b"NLST: " + name)


def usable_names(scene):
    """RFC 1123 4.1.2.7: each line is an argument for a transfer, also when another directory is listed."""
    names = scene.fetch("NLST {full}").split(b"\r\n")[:-1]
    names = [name for name in names if not re.search(rb"(^|/)\.\.?$", name)]
    expect(len(names) == 1, f"{len(names)} lines for a directory with one file")
    expect(scene.fetch(b"RETR " + names[0]) == TEXT, "other bytes")


def telnet(*lines):
    def step(scene):
        for line in lines:
            scene.session.send(line + b"\r\n")
            said = scene.session.reply()
            expect(said.code == 200, f"`{shown(line)}`: {shown(said.lines[0])}")
    return step


def synch(scene):
    """RFC 959 4.1.3: Interrupt Process and Synch, urgent, before ABOR."""
    session = scene.session
    session.socket.send(b"\xff\xf4\xff", socket.MSG_OOB)
    session.send(b"\xf2ABOR\r\n")
    scene.judge("IP Synch ABOR", session.reply(), (225, 226))
    scene.ask("NOOP", 200)


def known_type(scene):
    said = scene.ask("SYST", 215)
    expect(re.match(rb"215 [A-Z0-9./-]+", said.text), said.text)


CASES = [
    case("959 5.4", "greets with 220 (or 120 first)", ask("NOOP", YES, 530), state="out"),
    case("959 4.1.1", "USER is answered by 331 (230, 332)", ask("USER {user}", 230, 331, 332), state="out"),
    case("959 4.1.1", "the right PASS by 230", ask("USER {user}", 331), ask("PASS {password}", 230, 202), state="out"),
    case("959 4.1.1", "a wrong PASS by 530", ask("USER {user}", 331), ask("PASS wrong", 530), state="out"),
    case("959 5.4", "PASS before USER by 503 (530)", ask("PASS {password}", 503, 530), state="out"),
    case("959 4.1.1", "USER without a name is an error", ask("USER", NO, 500), state="out"),
    case("959 5.4", "commands of a member are refused before the login: 530",
         *(ask(line, 530, 503) for line in ("CWD /", "PWD", "RETR x", "DELE x")), state="out"),
    case("959 5.4", "ACCT is answered by 230, 202, 503 or 530", ask("ACCT x", 230, 202, 503, 530)),
    case("959 4.1.1", "REIN logs out: 220, and a login follows", reinitialized),
    case("959 4.1.1", "QUIT: 221, and the connection is closed", quit_closes),
    case("959 4.1.1", "QUIT waits for the end of a transfer", quit_waits),
    case("959 4.1.1", "CWD: 250, and 550 for what is not there", ask("CWD {none}", 550), ask("CWD {dir}", 250)),
    case("959 4.1.1", "CWD to a file is 550", ask("CWD {file}", 550)),
    case("959 4.1.1", "CDUP: 200 (250), and leads to the parent",
         ask("CWD {dir}", 250), ask("CDUP", 200, 250), ask("CWD {dir}", 250)),
    case("959 4.1.3", "PWD: 257 and the path in quotes", quoted("", "PWD")),
    case("959 App. II", "MKD: 257 and the path in quotes", quoted("made-here")),
    case("959 App. II", "quotes in a path are doubled in 257", quoted('with "quotes"')),
    case("959 5.4", "MKD of what is there is an error", ask("MKD {dir}", NO), ask("MKD {file}", NO)),
    case("959 4.1.3", "RMD: 250, and then it is gone", ask("RMD {dir}", 250), ask("CWD {dir}", 550)),
    case("959 4.1.3", "RMD of a file, or of nothing, is 550", ask("RMD {file}", 550), ask("RMD {none}", 550)),
    case("959 4.1.3", "DELE: 250, and then it is gone", ask("DELE {file}", 250), refused("RETR {file}", 450, 550)),
    case("959 5.4", "DELE of nothing is 450 or 550", ask("DELE {none}", 450, 550)),
    case("959 4.1.3", "RNFR 350, RNTO 250: the file has the other name",
         ask("RNFR {file}", 350), ask("RNTO {new}", 250), get("RETR {new}", TEXT), ask("RNFR {file}", 450, 550)),
    case("959 5.4", "RNTO without RNFR is 503", ask("RNTO {new}", 503)),
    case("959 5.4", "RNFR of nothing is 450 or 550, and no RNTO follows",
         ask("RNFR {none}", 450, 550), ask("RNTO {new}", 503)),
    case("959 4.1.2", "TYPE A, A N, I and L 8 are 200",
         *(ask(f"TYPE {kind}", 200) for kind in ("A", "A N", "I", "L 8"))),
    case("959 5.4", "a TYPE that is not there is 504 (500, 501), and no other is set",
         ask("TYPE I", 200), ask("TYPE X", 500, 501, 504), get("RETR {file}", TEXT, None)),
    case("959 5.4", "TYPE E: 200, or 504 (500, 501)", ask("TYPE E", 200, 504, 501, 500)),
    case("959 4.1.2", "STRU F is 200, STRU R 200 or 504", ask("STRU F", 200), ask("STRU R", 200, 504)),
    case("959 5.4", "a STRU that is not there is 504 (500, 501)", ask("STRU X", 500, 501, 504)),
    case("959 4.1.2", "MODE S is 200, MODE B 200 or 504", ask("MODE S", 200), ask("MODE B", 200, 504)),
    case("959 5.4", "a MODE that is not there is 504 (500, 501)", ask("MODE X", 500, 501, 504)),
    case("959 4.1.2", "PORT: the server connects, and sends", port),
    case("959 5.4", "a PORT that cannot be read is 501 (500)",
         *(ask(f"PORT {text}", 500, 501) for text in ("127,0,0,1", "127,0,0,1,300,1", "localhost,1,1", ""))),
    case("959 4.1.2", "PASV: 227 with the address of the server and a port", passive),
    case("959 4.1.2", "a second PASV is as good as the first", second_pasv),
    case("959 3.2", "PASV after PORT: what was said last counts", pasv_after_port),
    case("959 3.2", "a transfer without PASV or PORT ends in an error, not in silence", no_route),
    case("959 3.1.1.3", "TYPE I: every byte comes back as it went",
         put("STOR {new}", EVERY_BYTE), get("RETR {new}", EVERY_BYTE), ask("DELE {new}", 250)),
    case("959 3.1.1.1", "TYPE A: lines come back as they went",
         put("STOR {new}", LINES, "A"), get("RETR {new}", LINES, "A"), ask("DELE {new}", 250)),
    case("959 4.1.3", "RETR of nothing is 450 or 550", refused("RETR {none}", 450, 550)),
    case("959 4.1.3", "RETR of a directory is 450 or 550", refused("RETR {dir}", 450, 550)),
    case("959 5.4", "RETR, STOR, MKD, RMD, DELE without a name are errors",
         *(ask(verb, NO, 500) for verb in ("RETR", "STOR", "MKD", "RMD", "DELE", "RNFR"))),
    case("959 4.1.3", "STOR: another file in the place of the old one",
         put("STOR {file}", b"short"), get("RETR {file}", b"short")),
    case("959 5.4", "STOR onto a directory is an error", not_stored("STOR {dir}")),
    case("959 4.1.3", "STOR of nothing makes an empty file",
         put("STOR {new}", b""), get("RETR {new}", b""), ask("DELE {new}", 250)),
    case("959 4.1.3", "APPE makes the file, or adds to it",
         put("APPE {new}", b"one"), put("APPE {new}", b"two"), get("RETR {new}", b"onetwo"), ask("DELE {new}", 250)),
    case("1123 4.1.2.9", "STOU: `150 FILE: name`, and it is stored there", stou),
    case("959 4.1.3", "ALLO is 200 or 202, also with records",
         ask("ALLO 100", 200, 202), ask("ALLO 100 R 10", 200, 202)),
    case("959 4.1.3", "ABOR with nothing to abort is 225 (226)", ask("ABOR", 225, 226)),
    case("959 4.1.3", "ABOR in a download: 426, then 226; or 226 if it was over", abort_transfer),
    case("959 4.1.3", "ABOR with Telnet's Interrupt and Synch", synch),
    case("959 4.1.3", "STAT: 211 (212, 213)", ask("STAT", 211, 212, 213)),
    case("959 4.1.3", "STAT of a directory lists it in the reply", ask("STAT {full}", 211, 212, 213, like="within")),
    case("959 4.1.3", "STAT in a transfer is answered", during("STAT", (211, 212, 213), False)),
    case("1123 4.1.3.3", "… while the transfer goes on (SHOULD)", during("STAT", (211, 212, 213), True)),
    case("959 4.1.3", "HELP: 211 or 214, also for a command", ask("HELP", 211, 214), ask("HELP RETR", 211, 214)),
    case("959 4.1.3", "SYST: 215 and a name of a system", known_type),
    case("959 4.1.3", "NOOP: 200", ask("NOOP", 200)),
    case("959 4.1.3", "SITE with something unknown is an error", ask("SITE XYZZY", NO, 500, 502)),
    case("959 5.4", "a command that is not there is 500 or 502", ask("XYZZY", 500, 502)),
    case("959 5.3", "verbs in any case", ask("noop", 200), ask("NoOp", 200), ask("type i", 200)),
    case("959 4.2", "replies have their form, and CR LF at the end of each line", well_formed),
    case("1123 4.1.2.13", "each command of the minimum is known", minimum),
    case("1123 4.1.2.6", "PASV is there (MUST), again for each transfer",
         get("RETR {file}", TEXT), get("RETR {file}", TEXT)),
    case("1123 4.1.2.7", "LIST and NLST are lines with CR LF, whatever TYPE is (SHOULD)",
         get("LIST {full}", lines_only), get("NLST {full}", lines_only)),
    case("1123 4.1.2.7", "NLST has names and nothing else (MUST)", ask("MKD {new}", 257), put("STOR {new}/a"),
         ask("CWD {new}", 250), get("NLST", names_only), ask("DELE a", 250), ask("CDUP", 200, 250)),
    case("1123 4.1.2.7", "what NLST gives for another directory can be fetched (MUST)", usable_names),
    case("1123 4.1.2.10", "commands in pieces, and several in one (MUST)", pieces),
    case("1123 4.1.2.12", "Telnet options are refused or ignored, the command is heard (MUST)",
         telnet(b"\xff\xfb\x01NOOP", b"\xff\xfd\x03NOOP")),
    case("1123 4.1.3.1", "XPWD, XCWD, XCUP, XMKD, XRMD are synonyms",
         ask("XMKD {new}", 257), ask("XCWD {new}", 250), ask("XPWD", 257), ask("XCUP", 200, 250),
         ask("XRMD {new}", 250)),
]
