#!/usr/bin/env python3
"""Writes docs/bench.md and its charts from what was measured. What was written there by hand, between the
markers, stays.

usage: report.py DOCS FOUND...
"""

import json
import os
import platform
import re
import statistics
import sys
import textwrap

import chart
from goals import GOALS

# Who is to stand beside us.
PEERS = ("vsftpd", "pure-ftpd", "proftpd", "pyftpdlib", "unftp")

BY_HAND = ("<!-- by hand -->", "<!-- end of by hand -->")

# Columns: figure, heading, digits.
LOGIN = [("per_s", "per s", 0), ("cpu_ms", "CPU ms each", 2)]
BULK = [("cpu_s_per_gb", "CPU s per GB", 3), ("mb_per_s", "MB/s", 0)]
LISTING = [("lines_per_s", "lines per s", 0), ("first_ms", "first byte, ms", 2), ("cpu_us", "CPU µs a line", 2)]

# Of each case: title and columns.
TABLES = {
    "login1": ("login and QUIT, one client, MD5", LOGIN),
    "login8": ("login and QUIT, 8 clients, MD5", LOGIN),
    "login1-sha512": ("login and QUIT, one client, SHA-512 crypt", LOGIN),
    "login8-sha512": ("login and QUIT, 8 clients, SHA-512 crypt", LOGIN),
    "retr": ("RETR of 256 MiB", BULK),
    "stor": ("STOR of 256 MiB into memory", BULK),
    "stor-disk": ("STOR of 256 MiB onto a disk", BULK),
    "small": ("1,000 files of 4 KiB, 4 clients",
              [("stor_per_s", "STOR per s", 0), ("retr_per_s", "RETR per s", 0), ("dele_per_s", "DELE per s", 0),
               ("stor_cpu_ms", "CPU ms per STOR", 3), ("retr_cpu_ms", "CPU ms per RETR", 3)]),
    "list": ("LIST of 10,000", LISTING),
    "mlsd": ("MLSD of 10,000", LISTING),
    "nlst": ("NLST of 10,000", LISTING),
    "crowd": ("300 sessions that stay", [("open_s", "all open, s", 3), ("pss_kb", "PSS KiB each", 0),
                                         ("cpu_s_per_gb", "RETR meanwhile, CPU s per GB", 3)]),
    "latency": ("64 mixed sessions", [("p99_ms", "p99 of a command, ms", 2), ("p50_ms", "p50, ms", 2),
                                      ("cpu_ms", "CPU ms a command", 3)]),
    "tls-retr": ("RETR of 256 MiB under TLS", BULK),
    "tls-stor": ("STOR of 256 MiB under TLS", BULK),
    "mogile-retr": ("MogileFS: RETR of 256 MiB; beside: curl from the node", BULK[::-1]),
    "mogile-stor": ("MogileFS: STOR of 256 MiB; beside: curl to the node", BULK[::-1]),
    "mogile-small": ("MogileFS: files of 4 KiB, 4 clients",
                     [("stor_per_s", "STOR per s", 0), ("retr_per_s", "RETR per s", 0),
                      ("stor_cpu_ms", "CPU ms per STOR", 3), ("retr_cpu_ms", "CPU ms per RETR", 3)]),
    "mogile-last": ("MogileFS: last byte of 16 MiB to 226; beside: closing an upload at the tracker",
                    [("last_ms", "ms", 2)]),
}
for count in (1000, 5000, 100000):
    for verb, what in (("NLST", "list_keys"), ("LIST", "list_keys and list_fids")):
        TABLES[f"mogile-{verb.lower()}-{count}"] = (
            f"MogileFS: {verb} of {count:,} keys; beside: {what} alone",
            [("ms", "ms", 1), ("first_ms", "first byte, ms", 2), ("grown_kb", "memory grown, KiB", 0)])


def cell(values, digits):
    """The median, and what half of the rounds lie between."""
    if not values:
        return "–"
    low, high = statistics.quantiles(values, n=4)[::2] if len(values) > 2 else (min(values), max(values))
    return f"{statistics.median(values):,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def table(case, found, failed):
    title, columns = TABLES[case]
    columns = [column for column in columns if any(column[0] in figures for figures in found.values())]
    lines = [f"### {title}", "", "| | " + " | ".join(name for _, name, _ in columns) + " |",
             "|---|" + "---|" * len(columns)]
    for server, figures in sorted(found.items(), key=lambda item: not item[0].startswith("nanoftpd")):
        shown = f"**{server}**" if server.startswith("nanoftpd") else server
        cells = " | ".join(cell(figures.get(figure, []), digits) for figure, _, digits in columns)
        lines.append(f"| {shown} | {cells} |")
    for server, why in failed.items():
        lines += ["", wrapped(f"Not measured: {server} ({why}).")]
    return lines + [""]


def goals(cases):
    lines = ["| goal | ours | beside | ratio | wanted | |", "|---|---|---|---|---|---|"]
    for goal in GOALS:
        row = goal.judge(cases)
        if row:
            lines.append("| " + " | ".join(row) + " |")
    return lines


def wrapped(text):
    return textwrap.fill(text, 110, break_on_hyphens=False)


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*:\s*(.*)", file.read())
    with open("/proc/meminfo") as file:
        kilobytes = int(file.readline().split()[1])
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return (f"{os.cpu_count()} × {model.group(1) if model else platform.machine()}, {kilobytes >> 20} GiB, "
            f"{release}, Linux {platform.release().split('-')[0]}")


def by_hand(path):
    try:
        with open(path) as file:
            text = file.read()
        return text[text.index(BY_HAND[0]) + len(BY_HAND[0]):text.index(BY_HAND[1])].strip()
    except (OSError, ValueError):
        return ""


def main(docs, *paths):
    versions, cases, failed, cluster, disk, congestion = {}, {}, {}, None, None, set()
    for path in paths:
        with open(path) as file:
            found = json.load(file)
        versions.update(found.get("versions", {}))
        cases.update(found["cases"])
        failed.update(found.get("failed", {}))
        cluster, disk = found.get("cluster", cluster), found.get("disk", disk)
        congestion |= {found["congestion"]}
    cases = {case: found for case, found in cases.items() if found}
    most = max((len(values) for found in cases.values() for figures in found.values()
                for values in figures.values()), default=0)
    path = f"{docs}/bench.md"
    written = by_hand(path)
    lines = ["# How fast, how small", "", wrapped(
        "Written by `make bench`: it starts the servers beside each other on one machine, measures them in turn "
        "(first to last, then last to first), and checks the MD5 of what was transferred once for each case. "
        f"Medians of {most} rounds (at most 3 of the longest lists); in brackets what the middle half of them "
        "lies between. Processor time is that of the server with all its processes."), "",
        wrapped(f"Machine: {machine()}, TCP with {' or '.join(sorted(congestion))}."), ""]
    peers = [f"{name} {version}" for name, version in versions.items()
             if not name.startswith("nanoftpd") and ", " not in name]
    if peers:
        lines += [wrapped(
            f"Beside: {', '.join(peers)}. The files are in memory (tmpfs), but for STOR onto a disk ({disk}). "
            f"nanoftpd {versions.get('nanoftpd', '')} runs as it is installed, with its sandbox, log, transfer log "
            "and limits; `max_clients` is 400, for 300 sessions. pyftpdlib and unftp compare plain passwords; all "
            "others pay for the same kind of hash: MD5, where nothing else is said, which is crypt(3) with a "
            "thousand rounds in the others' case, and one round in ours, as the daemon before this one had it."), ""]
        missing = [name for name in PEERS if name not in versions]
        if missing:
            lines += [wrapped(f"Not measured: {', '.join(missing)}, which {'were' if missing[1:] else 'was'} not "
                              "to be had. (unftp is built by whoever wants it: `UNFTP` names the program.)"), ""]
    if cluster:
        lines += [wrapped(
            f"MogileFS: {cluster} on the same machine; uploads wait on a disk ({disk}). `straight` is what stands "
            "beside. `listlimit` is 200,000, for the longest lists."), ""]
    lines += ["## Goals", "", "Met is also what is within the spread of the rounds.", "", *goals(cases), "",
              BY_HAND[0], "", written, "", BY_HAND[1], "", "## Charts", ""]
    for name, title in chart.draw(docs, cases):
        lines += [f"![{title}]({name})", ""]
    lines += ["## Figures", ""]
    for case in TABLES:
        if case in cases:
            lines += table(case, cases[case], failed.get(case, {}))
    with open(path, "w") as file:
        file.write(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
