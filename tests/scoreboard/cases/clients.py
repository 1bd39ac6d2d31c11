"""What ordinary clients count on, whether a text says so or not."""

import contextlib
import re
import time

from session import read_all
from steps import DONE, NO, STARTED, TEXT, YES, NotOffered, ask, case, expect, get, put

TITLE = "What clients count on"
UNIX = (rb"[-dl][-rwxsStT]{9}[+.@]? +\d+ +\S+ +\S+ +(\d+) +([A-Z][a-z]{2} +\d+ +(?:\d\d:\d\d|\d{4})|"
        rb"\d{4}-\d\d-\d\d \d\d:\d\d) (.+)")


def listed(scene, content, name=b"within", size=len(TEXT)):
    for line in content.split(b"\r\n")[:-1]:
        if line.startswith(b"total "):
            continue
        found = re.fullmatch(UNIX, line)
        expect(found, line)
        if found[3] == name:
            expect(int(found[1]) == size, line)
            return
    expect(False, b"no " + name)


def odd_names(scene):
    names = [b"a b.txt", b"two  spaces", b"-dash", b"#hash", b"semi;colon", b"100%d%n", b"it's", b"br[ack]et",
             b"*star", b"q?mark", b"back\\slash", b"a&b=c", b"plus+", b"{brace}", b"~tilde", b"comma,name", b"$HOME"]
    wrong = []
    scene.ask("TYPE I", 200)
    for name in names:
        try:
            scene.give(b"STOR " + name, TEXT)
            found = scene.fetch("NLST").split(b"\r\n")
            if name not in found and b"./" + name not in found or scene.fetch(b"RETR " + name) != TEXT:
                wrong.append(name)
            if scene.session.ask(b"DELE " + name).code != 250:
                wrong.append(name)
        except Exception as why:
            if isinstance(why, (OSError, EOFError)):
                raise
            wrong.append(name)
    expect(not wrong, b", ".join(dict.fromkeys(wrong)))


def in_listing(name):
    def step(scene):
        scene.ask("MKD {new}", 257)
        scene.ask("CWD {new}", 250)
        scene.ask("TYPE I", 200)
        scene.give(b"STOR " + name, TEXT)
        content = scene.fetch("LIST")
        scene.session.ask(b"DELE " + name)
        listed(scene, content, name)
    return step


def options(scene):
    """LIST -a and the like are options for clients of forty years, not names."""
    scene.ask("CWD {full}", 250)
    for option in ("-a", "-l", "-la", "-al"):
        listed(scene, scene.fetch(f"LIST {option}"))
    scene.ask("CDUP", 200, 250)
    listed(scene, scene.fetch("LIST -la {full}"))


def pipelined(scene):
    lines = ["TYPE I", "PWD", "NOOP", "SYST", "NOOP"]
    scene.session.send("".join(line + "\r\n" for line in lines).encode())
    codes = [scene.session.reply().code for _ in lines]
    expect(codes == [200, 257, 200, 215, 200], str(codes))


def later_connection(scene):
    """The client connects to the passive port only after the command."""
    port = scene.session.passive()
    line = scene.fill("RETR {file}")
    scene.session.send(line.encode() + b"\r\n")
    time.sleep(0.3)
    data = scene.session.connect(port)
    scene.judge(line, scene.session.reply(), STARTED)
    with contextlib.closing(data):
        expect(read_all(data) == TEXT, "other bytes")
    scene.judge(line, scene.session.reply(), DONE)


def vanishes(scene):
    """The client closes its data connection in a download: an error or an end, and the session goes on."""
    scene.ask("TYPE I", 200)
    line, data = scene.fill("RETR {large}"), scene.session.data()
    scene.judge(line, scene.session.ask(line), STARTED)
    data.recv(100)
    data.close()
    scene.judge(line, scene.session.reply(), (*NO, *DONE))
    scene.ask("NOOP", 200)


def nobody_comes(scene):
    """PASV, then another command: nothing is left hanging."""
    scene.session.passive()
    scene.ask("PWD", 257)
    expect(scene.fetch("RETR {file}") == TEXT, "other bytes")


def mixed(scene):
    """Transfers of all kinds, one after the other, in one session."""
    for _ in range(3):
        scene.ask("TYPE I", 200)
        scene.give("STOR {new}", TEXT)
        expect(scene.fetch("RETR {new}") == TEXT, "other bytes")
        scene.ask("TYPE A", 200)
        scene.fetch("LIST")
        scene.fetch("NLST")
        scene.ask("DELE {new}", 250)


def two_sessions(scene):
    """What one session stores the next one sees at once."""
    scene.ask("TYPE I", 200)
    scene.give("STOR {new}", TEXT)
    with contextlib.closing(scene.open()) as other:
        other.ask("TYPE I")
        said = other.ask(scene.fill("SIZE {new}"))
        expect(said.text == b"213 %d" % len(TEXT), said.text)
        names = other.fetch("NLST")[2]
    expect(scene.fill("{new}").encode() in names, "not in NLST")


def large(scene):
    scene.ask("TYPE I", 200)
    expect(len(scene.fetch("RETR {large}")) == 16 << 20, "cut short")


def empty_list(scene, content):
    rest = [line for line in content.split(b"\r\n") if line and not line.startswith(b"total ")
            and not re.search(rb"[ /]\.\.?$", line)]
    expect(not rest, content)


def long_name(scene):
    name = ("n" * 200).encode()
    scene.ask("TYPE I", 200)
    scene.give(b"STOR " + name, TEXT)
    listed(scene, scene.fetch("LIST"), name)
    scene.judge("DELE", scene.session.ask(b"DELE " + name), (250,))


def optional(line, *codes, like=None):
    """Where 500, 502, 501 or 504 says that it is not there: SITE and its like have no other way."""
    def step(scene):
        said = scene.session.ask(scene.fill(line))
        if said.code in (500, 501, 502, 504):
            raise NotOffered
        scene.judge(line, said, codes)
    return step


def pattern(scene):
    name = scene.fill("{file}").encode()
    expect(name in scene.fetch("NLST *.txt"), "not found")


CASES = [
    case("", "LIST as `ls -l` writes it, with sizes", get("LIST {full}", listed)),
    case("", "LIST of an empty directory: 226, and nothing", get("LIST {dir}", empty_list)),
    case("", "NLST of an empty directory: nothing (226 or 550, 450)", lambda scene: empty_nlst(scene)),
    case("", "LIST of a file has its line", get("LIST {file}", lambda scene, content: listed(
        scene, content, scene.fill("{file}").encode()))),
    case("", "LIST -a, -l, -la, -al are options", options),
    case("", "names with blanks in LIST", in_listing(b"two words and  more")),
    case("", "names in UTF-8 in LIST", in_listing("grüße.txt".encode())),
    case("", "names with Latin-1 bytes come back in LIST", in_listing(b"gr\xfc\xdfe.txt")),
    case("", "seventeen odd names (`a b`, `-dash`, `*star`, `100%d%n` …) can be stored, listed, fetched, deleted",
         odd_names),
    case("", "a name of 200 bytes", long_name),
    case("", "CWD with a slash at the end", ask("CWD {dir}/", 250), ask("CWD ..", 250), ask("CWD {dir}", 250)),
    case("", "CWD with an absolute path", lambda scene: absolute(scene)),
    case("", "paths in STOR, RETR, SIZE, DELE", ask("TYPE I", 200), put("STOR {dir}/x"), get("RETR {dir}/x", TEXT),
         ask("SIZE {dir}/x", 213), ask("DELE {dir}/x", 250)),
    case("", "MKD one below the other, and RMD", ask("MKD {dir}/deeper", 257), ask("CWD {dir}/deeper", 250),
         ask("CDUP", 200, 250), ask("RMD deeper", 250)),
    case("", "RMD of a directory with files is refused", ask("RMD {full}", NO), get("RETR {full}/within", TEXT)),
    case("", "RNFR and RNTO of a directory", ask("RNFR {full}", 350), ask("RNTO {new}", 250),
         get("RETR {new}/within", TEXT)),
    case("", "RNTO into another directory", ask("RNFR {file}", 350), ask("RNTO {dir}/moved", 250),
         get("RETR {dir}/moved", TEXT)),
    case("", "RNTO onto a file: it is replaced, or refused", ask("RNFR {file1}", 350),
         ask("RNTO {file2}", 250, NO), get("RETR {file2}", TEXT)),
    case("", "DELE of a directory is refused", ask("DELE {dir}", NO), ask("CWD {dir}", 250)),
    case("", "commands with blanks at the end (NOOP)", ask("NOOP ", 200)),
    case("", "several commands sent at once", pipelined),
    case("", "a line that ends in LF alone is heard, or ignored", lambda scene: lf_only(scene)),
    case("", "connecting to the passive port after the command", later_connection),
    case("", "PASV without a transfer, then another one", nobody_comes),
    case("", "a client that closes its data connection", vanishes),
    case("", "SIZE right after STOR, in the same session", put("STOR {new}"),
         ask("SIZE {new}", 213, like=f" {len(TEXT)}$")),
    case("", "another session sees an upload at once", two_sessions),
    case("", "twelve transfers of all kinds in one session", mixed),
    case("", "16 MiB in one piece", large),
    case("", "NLST of a pattern (`*.txt`), which mget asks for", pattern),
    case("", "OPTS UTF8 ON: 200", optional("OPTS UTF8 ON", *YES)),
    case("", "CLNT: 200", optional("CLNT test", 200)),
    case("", "SITE HELP", optional("SITE HELP", *YES)),
    case("", "SITE CHMOD", optional("SITE CHMOD 644 {file}", *YES)),
    case("", "SITE UTIME, or MDTM with a time", lambda scene: set_time(scene)),
    case("", "XCRC, XMD5 or XSHA256", lambda scene: digest(scene)),
    case("", "keep-alive: NOOP in a download is answered in the end", lambda scene: keep_alive(scene)),
]


def absolute(scene):
    here = re.match(r'257 "(.*)"', scene.ask("PWD", 257).text.decode())[1]
    scene.ask("CWD /", 250)
    scene.ask(f"CWD {here}", 250)
    expect(scene.ask("PWD", 257).text.decode().startswith(f'257 "{here}"'), "elsewhere")


def empty_nlst(scene):
    _, last, content = scene.session.fetch(scene.fill("NLST {dir}"))
    scene.judge("NLST", last, (*DONE, 450, 550))
    empty_list(scene, content)


def lf_only(scene):
    scene.session.send(b"NOOP\nNOOP\r\n")
    expect(scene.session.reply().code in (200, 500, 501), "no answer")


def keep_alive(scene):
    data, session = scene.session.data(), scene.session
    scene.ask("TYPE I", 200)
    line = scene.fill("RETR {large}")
    scene.judge(line, session.ask(line), STARTED)
    session.send(b"NOOP\r\n")
    time.sleep(0.1)
    came = len(read_all(data))
    data.close()
    codes = sorted([session.reply().code, session.reply().code])
    expect(codes in ([200, 226], [200, 250]), str(codes))
    expect(came == 16 << 20, "cut short")


def set_time(scene):
    then = "20200102030405"
    for line in (f"SITE UTIME {then} {{file}}", f"SITE UTIME {{file}} {then} {then} {then} UTC", f"MDTM {then} {{file}}"):
        said = scene.session.ask(scene.fill(line))
        if said.code in YES and scene.session.ask(scene.fill("MDTM {file}")).text == f"213 {then}".encode():
            return
    raise NotOffered


def digest(scene):
    for verb in ("XCRC", "XMD5", "XSHA256"):
        said = scene.session.ask(scene.fill(verb + " {file}"))
        if said.code in (213, 250):
            return
    raise NotOffered
