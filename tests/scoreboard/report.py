"""Writes docs/conformance.md, and the table of attacks into docs/SECURITY.md."""

import datetime
import platform
import re
import textwrap

PASS, DIFFERS, ABSENT = "✓", "✗", "–"
MARKS = ("<!-- peers -->", "<!-- end of peers -->")

INTRO = """Written by `make conformance`: every case is played on every server, side by side on one machine. A case is a
row of `tests/scoreboard/cases`: where the demand stands, what is sent, and all answers that the text allows. Any of
them is a pass. {count} cases.

✓ does what the text asks for; ✗ does something else, which the note of that number tells; – says that it has no
such thing (500 or 502, or it is not in FEAT), which is no fault, except where RFC 1123 4.1.2.13 wants every server
to have it. SHOULD and MUST are said where the text says them. The last part is what clients count on, whether a text
says so or not."""

CONDITIONS = """Each has TLS where the client asks for it, ASCII, UTF-8 and resumed uploads switched on; nanoftpd is as
installed otherwise (MODE Z and the like are off);
users of the system, in their homes (chroot); pyftpdlib as its documentation has it, `TLS_FTPHandler` as a user without
rights. What a server does not do as Debian builds it may be there with other modules. MogileFS is the test node of this
tree."""


def wrapped(text):
    return textwrap.fill(" ".join(text.split()), 110, break_on_hyphens=False)


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def heads(servers, ours):
    return [f"**{server.name}**" if server.name in ours else server.name for server in servers]


def short(title):
    return title.split(":")[0]


def totals(servers, ours, found):
    lines = [row("", "cases", *heads(servers, ours)), "|---|---|" + "---|" * len(servers)]
    for title, rows in [*found, ("all", [line for _, rows in found for line in rows])]:
        cells = []
        for server in servers:
            signs = [cells_[server.name][0] for _, cells_ in rows]
            cells.append(f"{signs.count(PASS)} {PASS} {signs.count(ABSENT)} {ABSENT} {signs.count(DIFFERS)} {DIFFERS}")
        lines.append(row(short(title), str(len(rows)), *cells))
    return lines


def section(title, rows, servers, ours, reasons):
    lines = [f"## {title}", "", row("", "", *heads(servers, ours)), "|---|---|" + ":-:|" * len(servers)]
    notes = []
    for case, cells in rows:
        shown = []
        for server in servers:
            sign, note = cells[server.name]
            if sign == DIFFERS:
                known = reasons.get((server.name, case.demand))
                notes.append(f"{len(notes) + 1}. {server.name}, {case.demand.rstrip(':')}: {note}"
                             + (f" (on purpose: {known})" if known else ""))
                sign = f"{DIFFERS} {len(notes)}"
            shown.append(sign)
        lines.append(row(case.section, case.demand.replace("|", "\\|"), *shown))
    return [*lines, "", *notes, ""]


def when():
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return f"{datetime.date.today().isoformat()}, {release}"


def conformance(docs, servers, ours, found, reasons):
    count = sum(len(rows) for _, rows in found)
    versions = ", ".join(f"{server.name} {server.version}" for server in servers)
    lines = ["# Conformance", "", *(wrapped(part) + "\n" for part in INTRO.format(count=count).split("\n\n")),
             wrapped(f"{when()}: {versions}."), "", wrapped(CONDITIONS), "",
             "`make conformance ADDRESS=host:port USER=… PASSWORD=… DIRECTORY=…` plays the same cases on any server.",
             "Attacks on the same servers are in [SECURITY.md](SECURITY.md#the-same-against-others).", "",
             *totals(servers, ours, found), ""]
    for title, rows in found:
        lines += section(title, rows, servers, ours, reasons)
    with open(f"{docs}/conformance.md", "w", encoding="utf-8") as file:
        file.write(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n")


def attacks(docs, servers, attacked):
    lines = [row("attack", *(f"{server.name} {server.version}" for server in servers)), "|---|" + "---|" * len(servers)]
    lines += [row(title, *(cells[server.name] for server in servers)) for title, cells in attacked]
    table = "\n".join([MARKS[0], "", *lines, "",
                       f"{when()}. In other configurations some of it may be otherwise; a row is one attempt, not an "
                       "audit.", "", MARKS[1]])
    path = f"{docs}/SECURITY.md"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(MARKS[0])
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + table + rest.split(MARKS[1])[1])
