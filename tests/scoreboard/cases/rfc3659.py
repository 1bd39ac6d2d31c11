"""RFC 3659: MDTM, SIZE, REST STREAM, TVFS, MLST and MLSD."""

import calendar
import re
import time

from session import shown
from steps import DONE, NO, TEXT, NotOffered, ask, case, expect, get, put, refused

TITLE = "RFC 3659: SIZE, MDTM, REST, MLST"
UNIX_LINES = b"one\ntwo\nthree\n"
FACT = r"[\w.-]+=[^; ]*;"
# RFC 3659 7.2: these, those of an operating system, and local ones, which begin with X.
NAMED = "size|modify|create|type|unique|perm|lang|media-type|charset|[a-z]+[.][a-z]+"


def mdtm_is_now(scene):
    said = scene.ask("MDTM {file}", 213)
    found = re.fullmatch(rb"213 (\d{14})(\.\d+)?", said.text)
    expect(found, said.text)
    then = calendar.timegm(time.strptime(found[1].decode(), "%Y%m%d%H%M%S"))
    expect(abs(time.time() - then) < 300, b"not now, in UTC: " + said.text)


def size_as_sent(scene):
    """RFC 3659 4: under TYPE A what would be sent; 550 where that takes too long to find out."""
    scene.ask("TYPE A", 200)
    said = scene.session.ask(scene.fill("SIZE {new}"))
    if said.code == 550:
        return
    scene.judge("SIZE", said, (213,))
    wanted = len(scene.fetch("RETR {new}"))
    expect(said.text == b"213 %d" % wanted, said.text + b" of %d that come" % wanted)


def entries(scene, command="MLSD"):
    if not scene.stage.has("MLST"):
        raise NotOffered
    found = []
    for line in scene.fetch(command).split(b"\r\n")[:-1]:
        facts, _, name = line.decode("utf-8", "surrogateescape").partition(" ")
        expect(re.fullmatch(f"(?i)(?:{FACT})*", facts), line)
        found.append((dict(fact.lower().split("=", 1) for fact in facts.split(";")[:-1]), name))
    return found


def mlsd(scene, content=None):
    kinds = [facts["type"] for facts, _ in entries(scene, "MLSD {full}") if "type" in facts]
    expect(kinds.count("file") == 1 and kinds.count("cdir") < 2, " ".join(kinds))


def facts_named(scene):
    for facts, _ in entries(scene, "MLSD {full}"):
        for name in facts:
            expect(re.fullmatch(NAMED, name), f"{name}={facts[name]}")


def mlsd_names(scene):
    """RFC 3659 7.3.1: names, not paths (SHOULD)."""
    names = [name for facts, name in entries(scene, "MLSD {full}") if facts.get("type") == "file"]
    expect(names == ["within"], shown(" ".join(names)))


def mlsd_empty(scene):
    others = [name for facts, name in entries(scene, "MLSD {dir}") if facts.get("type") not in ("cdir", "pdir")]
    expect(not others, " ".join(others))


def mlsd_binary(scene):
    """RFC 3659 7.2: as with TYPE L 8, and TYPE stays what it was."""
    scene.ask("TYPE A", 200)
    entries(scene, "MLSD {full}")


def fact(name, pattern, command="MLSD {full}", kind="file"):
    def step(scene):
        all_ = [facts for facts, _ in entries(scene, command) if facts.get("type") == kind]
        expect(all_, f"no type={kind}")
        for facts in all_:
            if name not in facts:
                raise NotOffered
            expect(re.fullmatch(pattern, facts[name]), f"{name}={facts[name]}")
    return step


def mlst_form(scene, command="MLST {file}"):
    said = scene.ask(command, 250)
    expect(len(said.lines) == 3 and said.lines[0].startswith(b"250-"), said.text)
    found = re.fullmatch(rf" ((?:{FACT})*) (.+)".encode(), said.lines[1], re.I)
    expect(found, said.lines[1])
    return found


def mlst_name(scene):
    found = mlst_form(scene)
    name = scene.fill("{file}").encode()
    expect(found[2] == name or found[2].startswith(b"/") and found[2].endswith(b"/" + name), found[2])


def mlst_here(scene):
    """RFC 3659 7.3.1: without an argument, the current directory."""
    found = mlst_form(scene, "MLST")
    expect(re.search(rb"(?i)type=c?dir;", found[1]), found[1])


def chosen_facts(scene):
    if not scene.stage.has("MLST"):
        raise NotOffered
    said = scene.ask("OPTS MLST type;size;", 200)
    expect(re.match(rb"(?i)200 +MLST OPTS( +([\w.-]+;)*)?$", said.text), said.text)
    facts = mlst_form(scene)[1].lower()
    expect(set(re.findall(rb"([\w.-]+)=", facts)) <= {b"type", b"size"}, facts)
    feat = next(line for line in scene.ask("FEAT", 211).lines if line.upper().startswith(b" MLST"))
    marked = set(re.findall(rb"([\w.-]+)\*", feat.lower()))
    expect(marked <= {b"type", b"size"}, feat)


def no_facts(scene):
    if not scene.stage.has("MLST"):
        raise NotOffered
    scene.ask("OPTS MLST", 200)
    line = scene.ask("MLST {file}", 250).lines[1]
    expect(line.startswith(b"  ") and b"=" not in line, line)


def wrong_facts(scene):
    if not scene.stage.has("MLST"):
        raise NotOffered
    scene.ask("OPTS MLST fish cakes;", 501)


def feat_line(scene):
    if not scene.stage.has("MLST"):
        raise NotOffered
    feat = next(line for line in scene.ask("FEAT", 211).lines if line.upper().startswith(b" MLST"))
    expect(re.fullmatch(rb" MLST( ([\w.-]+\*?;)+)?", feat, re.I), feat)


def same_everywhere(scene):
    """One file, one size and one time, whatever asks."""
    size = scene.ask("SIZE {file}", 213).text[4:].decode()
    time_ = scene.ask("MDTM {file}", 213).text[4:18].decode()
    facts = mlst_form(scene)[1].decode().lower()
    expect(f"size={size};" in facts and f"modify={time_}" in facts, f"{size}, {time_}, but {facts}")


def tvfs(scene):
    if not scene.stage.has("TVFS"):
        raise NotOffered
    here = re.match(r'257 "(.*)"', scene.ask("PWD", 257).text.decode())[1]
    full = scene.fill("{full}")
    scene.ask("CWD {dir}", 250)
    for path in (f"{here}/{full}/within", f"../{full}/within", f"../{full}/../{full}/within"):
        expect(scene.session.ask(f"SIZE {path}").code == 213, f"SIZE {path}")


CASES = [
    case("3659 3", "MDTM: 213 YYYYMMDDHHMMSS, in UTC", mdtm_is_now),
    case("3659 3.1", "MDTM of nothing is 550", ask("MDTM {file}", 213), ask("MDTM {none}", 550)),
    case("3659 4", "SIZE under TYPE I: 213 and the bytes", ask("TYPE I", 200),
         ask("SIZE {file}", 213, like=f" {len(TEXT)}$")),
    case("3659 4", "SIZE under TYPE A: what would be sent, or 550",
         put("STOR {new}", UNIX_LINES), size_as_sent, ask("DELE {new}", 250)),
    case("3659 4.1", "SIZE of nothing is 550", ask("TYPE I", 200), ask("SIZE {file}", 213), ask("SIZE {none}", 550)),
    case("3659 4.1", "SIZE without a name is 501 (500)", ask("SIZE", 500, 501)),
    case("3659 5", "REST and RETR: the rest of it", ask("TYPE I", 200), ask("REST 4", 350),
         get("RETR {file}", TEXT[4:], None)),
    case("3659 5.3", "REST 0 is the whole", ask("TYPE I", 200), ask("REST 4", 350), ask("REST 0", 350),
         get("RETR {file}", TEXT, None)),
    case("3659 5.3", "REST is for one transfer", ask("TYPE I", 200), ask("REST 4", 350),
         get("RETR {file}", TEXT[4:], None), get("RETR {file}", TEXT, None)),
    case("3659 5.3", "REST at the end, and STOR: the upload goes on",
         put("STOR {new}", b"0123"), ask("REST 4", 350), put("STOR {new}", b"4567", None),
         get("RETR {new}", b"01234567"), ask("DELE {new}", 250)),
    case("3659 5.3", "REST of no number is 501 (500, 554)", ask("REST x", 501, 500, 554), ask("REST -1", 501, 500, 554)),
    case("3659 5.3", "REST beyond the end: the transfer is refused, or empty", ask("TYPE I", 200),
         ask("REST 99999", 350), lambda scene: beyond(scene)),
    case("3659 6", "TVFS: paths with / and ..", tvfs),
    case("3659 7.2", "MLST: 250-, one line with facts, 250 (exact)", mlst_form),
    case("3659 7.3.1", "MLST tells the name that was asked for, or the full path", mlst_name),
    case("3659 7.1", "MLST without an argument: the directory itself", mlst_here),
    case("3659 7.1", "MLST of a directory: type=dir", lambda scene: expect(
        b"type=dir;" in mlst_form(scene, "MLST {dir}")[1].lower(), "no type=dir")),
    case("3659 7.2.1", "MLST of nothing is 550", ask("MLST {file}", 250), ask("MLST {none}", 550)),
    case("3659 7.2", "MLSD: facts, one space, name (exact)", mlsd),
    case("3659 7.2", "… and no facts but those of the text, of an operating system, or X.", facts_named),
    case("3659 7.3.1", "MLSD has names, not paths (SHOULD)", mlsd_names),
    case("3659 7.2", "MLSD of an empty directory", mlsd_empty),
    case("3659 7.2", "MLSD under TYPE A", mlsd_binary),
    case("3659 7.2.1", "MLSD of a file is 501", refused("MLSD {file}", 501)),
    case("3659 7.2.1", "MLSD of nothing is 550", refused("MLSD {none}", 550)),
    case("3659 7.5.1", "type=dir for directories",
         lambda scene: scene.fill("{full}"), lambda scene: fact("type", "dir", "MLSD", "dir")(scene)),
    case("3659 7.5.7", "size is that of the file", fact("size", str(len(TEXT)))),
    case("3659 7.5.3", "modify is a time", fact("modify", r"\d{14}(\.\d+)?")),
    case("3659 7.5.5", "perm has letters that there are", fact("perm", "[acdeflmprw]*")),
    case("3659 7.5.2", "unique is there", fact("unique", ".+")),
    case("3659 7.8", "FEAT tells of MLST and its facts", feat_line),
    case("3659 7.9", "OPTS MLST chooses facts, also in FEAT (MUST)", chosen_facts),
    case("3659 7.9", "OPTS MLST without facts: two spaces and the name", no_facts),
    case("3659 7.9.1", "OPTS MLST that cannot be read is 501", wrong_facts),
    case("3659 2.3", "SIZE, MDTM and MLST agree", same_everywhere),
]


def beyond(scene):
    _, last, content = scene.session.fetch(scene.fill("RETR {file}"))
    expect(not content, f"{len(content)} bytes come")
    scene.judge("RETR", last, (*NO, *DONE))
